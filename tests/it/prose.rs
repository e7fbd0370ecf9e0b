//! Who writes sentences, and in which words: only `crates/report` does, and none of them uses a word that readers stumbled over.

use std::path::Path;

/// Words and phrases that no text uses. Each was misread, or has a term of the field in its place.
const BANNED: [&str; 16] = [
    "tell",
    "tells",
    "told",
    "mend",
    "mends",
    "mended",
    "whoever",
    "hold against",
    "held against",
    "holds against",
    "so many",
    "an own",
    "no one's",
    "a look",
    "the looks",
    "as if all were well",
];

/// Words in a literal from which on it is a sentence.
const SENTENCE: usize = 4;

/// Where sentences are besides the report, and why.
const EXEMPT: [(&str, &str); 29] = [
    ("crates/agent/", "the loop of `verify` writes its own errors; the agent writes none"),
    ("crates/judge/src/merge.rs", "errors by thiserror"),
    ("crates/pool/", "errors of a library that stands alone"),
    ("crates/record/src/file/machine.rs", "a description in the JSON Schema"),
    ("crates/record/src/read.rs", "errors of a record that can't be read"),
    ("crates/record/src/sample.rs", "words of a loader, in a record for tests"),
    ("crates/settings/", "errors of a setting that can't be read"),
    ("src/cli", "help texts"),
    ("crates/elf/src/read.rs", "errors of a file that can't be read"),
    ("src/commands/", "errors of a verb, with their context"),
    ("src/explain/rules.rs", "errors of the rule file"),
    ("crates/soak/src/calls.rs", "errors of a call that can't be made"),
    ("crates/soak/src/lddebug.rs", "words of glibc's loader that are searched for"),
    ("crates/soak/src/suite/", "errors of a suite file or of an argument"),
    ("crates/soak/src/driver.rs", "errors of a driver that can't be used"),
    ("crates/soak/src/host.rs", "errors of a host that can't be had"),
    (
        "crates/soak/src/supervisor/linked.rs",
        "errors of a host that can't be had, and words of glibc's loader",
    ),
    ("crates/soak/src/supervisor/end/said.rs", "words of runtimes that are searched for"),
    ("crates/soak/src/supervisor/failure.rs", "words of glibc's loader that are searched for"),
    ("crates/soak/src/supervisor/image.rs", "errors of a process that can't be started"),
    ("crates/soak/src/supervisor/job.rs", "errors of a process that can't be started"),
    ("crates/soak/src/supervisor/mod.rs", "errors of a process that can't be started"),
    ("crates/soak/src/supervisor/private.rs", "errors of a directory that can't be made"),
    ("crates/soak/src/supervisor/process.rs", "errors of a process that can't be started"),
    ("crates/soak/src/fault.rs", "errors of a soak that can't be made"),
    ("crates/soak/src/replace.rs", "errors of another build that can't be used"),
    ("crates/soak/src/supervisor/sandbox.rs", "errors of a sandbox that can't be had"),
    ("crates/soak/src/supervisor/staging.rs", "errors of a copy that can't be made"),
    ("src/verify/lsan.rs", "words of LeakSanitizer that are searched for"),
];

fn root() -> std::path::PathBuf {
    xtask::fixtures::root()
}

fn tracked(of: &[&str]) -> Vec<String> {
    let output =
        std::process::Command::new("git").arg("ls-files").args(of).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "git ls-files failed");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn is(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|e| e == extension)
}

/// The code of a file without its tests.
fn code(path: &str) -> String {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
}

/// The string literals of Rust code, those of attributes left out, each with its line.
fn literals(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    let line = |rest: &str| text[..text.len() - rest.len()].matches('\n').count() + 1;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("#[") || rest.starts_with("#![") {
            attribute(rest)
        } else if let Some((literal, length)) = raw(rest, text) {
            found.push((line(rest), literal));
            length
        } else if first == '"' {
            let length = quoted(rest);
            found.push((line(rest), rest[1..length - 1].to_owned()));
            length
        } else if first == '\'' {
            character(rest)
        } else {
            first.len_utf8()
        };
        rest = &rest[skipped..];
    }
    found
}

/// Bytes of a quoted literal that begins here.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A raw literal that begins here, and its bytes.
fn raw(text: &str, all: &str) -> Option<(String, usize)> {
    let before = all[..all.len() - text.len()].chars().next_back();
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end)?;
    Some((body[..length].to_owned(), 1 + hashes + 1 + length + end.len()))
}

/// Bytes of a character literal that begins here; 1 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => text[2..].find('\'').map_or(1, |at| at + 3).max(4).min(text.len()),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// Bytes of an attribute that begins here.
fn attribute(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'"' => at += quoted(&text[at..]) - 1,
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 && text.as_bytes()[at - 1] == b']' {
            return at;
        }
    }
    text.len()
}

/// Words of plain language in a literal.
fn words(literal: &str) -> usize {
    let plain = |word: &&str| {
        let word = word.trim_end_matches([',', '.', ';', ':']);
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '\'' || c == '-')
    };
    literal.split_whitespace().filter(plain).count()
}

#[test]
fn only_the_report_writes_sentences() {
    let mut found = Vec::new();
    for path in tracked(&["src", "crates"]) {
        let exempt = EXEMPT.iter().any(|(place, _)| path.starts_with(place));
        let of_tests = path.contains("/tests") || path.ends_with("vandalism.rs");
        if !is(&path, "rs") || path.starts_with("crates/report/") || exempt || of_tests {
            continue;
        }
        for (line, literal) in literals(&code(&path)) {
            if words(&literal) >= SENTENCE {
                found.push(format!("{path}:{line}: {literal}"));
            }
        }
    }
    assert!(found.is_empty(), "{} sentences outside crates/report:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_exemption_is_needed() {
    for (place, _) in EXEMPT {
        let files =
            tracked(&["src", "crates"]).into_iter().filter(|path| path.starts_with(place) && is(path, "rs"));
        let needed =
            files.flat_map(|path| literals(&code(&path))).any(|(_, literal)| words(&literal) >= SENTENCE);
        assert!(needed, "{place} has no sentence");
    }
}

/// The phrase in the text, as words of their own.
fn uses(text: &str, phrase: &str) -> bool {
    let text = text.to_lowercase();
    text.match_indices(phrase).any(|(at, _)| {
        let free = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '-');
        free(text[..at].chars().next_back()) && free(text[at + phrase.len()..].chars().next())
    })
}

#[test]
fn no_text_uses_a_word_that_readers_stumble_over() {
    let mut found = Vec::new();
    let mut check = |place: String, text: &str| {
        let spaced = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for phrase in BANNED.iter().filter(|phrase| uses(&spaced, phrase)) {
            found.push(format!("{place}: `{phrase}`: {}", spaced.chars().take(160).collect::<String>()));
        }
    };
    for path in tracked(&["*.md"]).iter().filter(|path| !path.starts_with("cdylib-fixtures/")) {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        for (number, paragraph) in text.split("\n\n").enumerate() {
            check(format!("{path}, paragraph {}", number + 1), paragraph);
        }
    }
    let code_of = ["crates/report/src", "src/cli.rs", "src/cli", "src/commands"];
    for path in tracked(&code_of).into_iter().filter(|path| is(path, "rs")) {
        let text = code(&path);
        for (line, literal) in literals(&text) {
            check(format!("{path}:{line}"), &literal);
        }
        // The help of an argument is its comment.
        for (number, comment) in text.lines().enumerate().filter(|_| path.starts_with("src/cli")) {
            if let Some(help) = comment.trim_start().strip_prefix("///") {
                check(format!("{path}:{}", number + 1), help);
            }
        }
    }
    let rules = std::fs::read_to_string(root().join("src/explain/rules.toml")).unwrap();
    rules.lines().enumerate().for_each(|(number, line)| check(format!("rules.toml:{}", number + 1), line));
    assert!(found.is_empty(), "{}:\n{}", found.len(), found.join("\n"));
}

#[test]
fn literals_are_found_and_attributes_and_comments_are_not() {
    let text = "// \"no\"\n#[error(\"no [{x}]\")]\nlet a = 'x'; let b = '\"'; f::<'a>(\"one \\\" two\", r#\"three \"four\"\"#);";
    let found: Vec<String> = literals(text).into_iter().map(|(_, literal)| literal).collect();
    assert_eq!(found, ["one \\\" two", "three \"four\""]);
    assert_eq!(words("heap grows by {} B per cycle"), 5);
}
