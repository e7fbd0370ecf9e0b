//! What the library or a runtime said before it ended the process: the line that says most, out of all it printed.

use crate::record::why::{Message, Said};

/// What lines hold that say why a process ends. The sharpest comes first. Those of glibc are from malloc/malloc.c (`malloc_printerr`),
/// debug/stack_chk_fail.c, debug/chk_fail.c and assert/assert.c.
const TELLING: [(&str, Message); 20] = [
    ("out of TLS keys", Message::OutOfTlsKeys),
    ("double free", Message::DoubleFree),
    ("free(): ", Message::InvalidFree),
    ("malloc(): ", Message::HeapCorrupt),
    ("malloc_consolidate(): ", Message::HeapCorrupt),
    ("realloc(): ", Message::InvalidRealloc),
    ("munmap_chunk(): ", Message::InvalidFree),
    ("corrupted ", Message::HeapCorrupt),
    ("*** stack smashing detected ***", Message::StackSmashed),
    ("*** buffer overflow detected ***", Message::BufferOverflow),
    ("pure virtual method called", Message::PureVirtual),
    ("Assertion `", Message::Assertion),
    ("terminate called", Message::Exception),
    (" panicked at ", Message::RustPanic),
    ("fatal runtime error: ", Message::RustFatal),
    ("panic: ", Message::GoPanic),
    ("fatal error: ", Message::GoFatal),
    ("runtime: ", Message::GoFatal),
    ("Fatal ", Message::Fatal),
    ("FATAL", Message::Fatal),
];

/// Longest line that is told, in characters.
const LONGEST: usize = 500;

/// The line that says most; the last one where none is known. `None` where nothing was printed.
pub(super) fn said(output: &str) -> Option<Said> {
    let lines: Vec<&str> = output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    // What a runtime says first is the cause; where more than one thing tells, the sharpest comes first in the table.
    for (mark, message) in TELLING {
        // Rust's runtime panics once more when a panic may not go further.
        let tells = |(at, line): &(usize, &&str)| {
            line.contains(mark) && !lines.get(at + 1).is_some_and(|next| next.contains("cannot unwind"))
        };
        let Some((at, _)) = lines.iter().enumerate().rev().find(tells) else { continue };
        let mut text = lines[at].trim().to_owned();
        // A C++ exception and a Rust panic have their message on the next line.
        if let Some(next) = lines.get(at + 1)
            && (next.trim_start().starts_with("what():") || message == Message::RustPanic)
        {
            text.push_str(&format!(" {}", next.trim()));
        }
        return Some(Said { line: cut(&text), message: Some(message) });
    }
    lines.last().map(|line| Said { line: cut(line.trim()), message: None })
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(output: &str, line: &str, message: Option<Message>) {
        assert_eq!(said(output), Some(Said { line: line.to_owned(), message }));
    }

    #[test]
    fn the_line_that_says_most_is_found() {
        assert_eq!(said(""), None);
        is("one\ntwo\n\n", "two", None);
        let assert = "noise\nhost: end.c:3: check: Assertion `n > 0' failed.\n";
        is(assert, "host: end.c:3: check: Assertion `n > 0' failed.", Some(Message::Assertion));
        let cpp = "terminate called after throwing an instance of 'std::runtime_error'\n  what():  no room\n";
        is(
            cpp,
            "terminate called after throwing an instance of 'std::runtime_error' what():  no room",
            Some(Message::Exception),
        );
        let go = "panic: boom\n\ngoroutine 17 [running, locked to thread]:\nmain.f(...)\n";
        is(go, "panic: boom", Some(Message::GoPanic));
        let rust =
            "\nthread '<unnamed>' (7) panicked at src/lib.rs:9:5:\nno\nnote: run with `RUST_BACKTRACE=1`\n";
        is(rust, "thread '<unnamed>' (7) panicked at src/lib.rs:9:5: no", Some(Message::RustPanic));
        let keys = "fatal runtime error: out of TLS keys, aborting";
        is(keys, keys, Some(Message::OutOfTlsKeys));
        for words in ["double free or corruption (fasttop)", "free(): double free detected in tcache 2"] {
            is(words, words, Some(Message::DoubleFree));
        }
        assert!(said(&"x".repeat(10_000)).unwrap().line.len() < 600);
    }
}
