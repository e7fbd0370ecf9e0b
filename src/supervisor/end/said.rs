//! What the library or a runtime said before it ended the process: the line that tells, out of all it printed, and what
//! it means.

/// How lines begin, or what they hold, that tell why a process ends; with what it means where the line does not say.
const TELLING: [(&str, Option<&str>); 20] = [
    (
        "out of TLS keys",
        Some(
            "each load takes a key for thread-specific data and does not give it back, and a process has 1,024 in all \
             (PTHREAD_KEYS_MAX)",
        ),
    ),
    ("double free", Some("memory was freed twice, or written beside an allocation")),
    (
        "free(): ",
        Some("what was freed was not allocated, was freed before, or its neighbour was written over"),
    ),
    ("malloc(): ", Some("memory beside an allocation was written over")),
    ("malloc_consolidate(): ", Some("memory beside an allocation was written over")),
    ("realloc(): ", Some("what was given is no allocation, or was freed before")),
    ("munmap_chunk(): ", Some("what was freed was not allocated")),
    ("corrupted ", Some("memory beside an allocation was written over")),
    ("*** stack smashing detected ***", Some("an array on the stack was written beyond its end")),
    ("*** buffer overflow detected ***", Some("a buffer was written beyond its end")),
    ("pure virtual method called", Some("a method was called on an object under construction or destroyed")),
    ("Assertion `", None),
    ("terminate called", None),
    (" panicked at ", None),
    ("fatal runtime error: ", None),
    ("panic: ", None),
    ("fatal error: ", None),
    ("runtime: ", None),
    ("Fatal ", None),
    ("FATAL", None),
];

/// Longest line that is told, in characters.
const LONGEST: usize = 500;

/// The line that tells, and what it means; the last line where none does. `None` where nothing was printed.
pub(super) fn said(output: &str) -> Option<String> {
    let lines: Vec<&str> = output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    // What a runtime says first is the cause; where more than one thing tells, the sharpest comes first in the table.
    for (mark, meaning) in TELLING {
        // Rust's runtime panics once more when a panic may not go further.
        let tells = |(at, line): &(usize, &&str)| {
            line.contains(mark) && !lines.get(at + 1).is_some_and(|next| next.contains("cannot unwind"))
        };
        let Some((at, _)) = lines.iter().enumerate().rev().find(tells) else { continue };
        let mut text = lines[at].trim().to_owned();
        // A C++ exception and a Rust panic have their message on the next line.
        if let Some(next) = lines.get(at + 1)
            && (next.trim_start().starts_with("what():") || mark == " panicked at ")
        {
            text.push_str(&format!(" {}", next.trim()));
        }
        let meaning = meaning.map(|meaning| format!(" ({meaning})")).unwrap_or_default();
        return Some(cut(&text) + &meaning);
    }
    lines.last().map(|line| cut(line.trim()))
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

    #[test]
    fn the_line_that_tells_is_found() {
        assert_eq!(said(""), None);
        assert_eq!(said("one\ntwo\n\n").unwrap(), "two");
        let assert = "noise\nhost: end.c:3: check: Assertion `n > 0' failed.\n";
        assert_eq!(said(assert).unwrap(), "host: end.c:3: check: Assertion `n > 0' failed.");
        let cpp = "terminate called after throwing an instance of 'std::runtime_error'\n  what():  no room\n";
        assert_eq!(
            said(cpp).unwrap(),
            "terminate called after throwing an instance of 'std::runtime_error' what():  no room"
        );
        let go = "panic: boom\n\ngoroutine 17 [running, locked to thread]:\nmain.f(...)\n";
        assert_eq!(said(go).unwrap(), "panic: boom");
        let rust =
            "\nthread '<unnamed>' (7) panicked at src/lib.rs:9:5:\nno\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(said(rust).unwrap(), "thread '<unnamed>' (7) panicked at src/lib.rs:9:5: no");
        assert!(said("fatal runtime error: out of TLS keys, aborting\n").unwrap().contains("1,024"));
        for words in ["double free or corruption (fasttop)\n", "free(): double free detected in tcache 2\n"] {
            assert!(said(words).unwrap().contains("freed twice"));
        }
        assert!(said(&"x".repeat(10_000)).unwrap().len() < 600);
    }
}
