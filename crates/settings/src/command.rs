//! The command that soaks a library with given settings, for a shell.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::Settings;

/// The command that soaks the library at `path` with these settings. It is the same from any directory where the path is absolute.
#[must_use]
pub fn command(path: &Path, settings: &Settings) -> String {
    // No command takes it for a flag.
    let path = if path.as_os_str().as_bytes().starts_with(b"-") { &Path::new("./").join(path) } else { path };
    let mut words = vec!["dlsoak".to_owned(), "run".to_owned(), quoted(path.as_os_str().as_bytes())];
    for (flag, value) in settings.arguments() {
        words.push(quoted(flag.as_bytes()));
        words.extend(value.map(|value| quoted(value.as_bytes())));
    }
    words.join(" ")
}

/// A word as a shell takes it for exactly these bytes. What is not text, or would break the line, is written as
/// `$'..'`, which bash, zsh, ksh and POSIX since 2024 read.
#[must_use]
pub fn quoted(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    let text = std::str::from_utf8(word).ok().filter(|text| !text.chars().any(char::is_control));
    match text {
        Some(text) if !text.is_empty() && word.iter().all(plain) => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', "'\\''")),
        None => {
            let mut out = String::from("$'");
            for byte in word {
                match byte {
                    b'\\' | b'\'' => out.extend(['\\', char::from(*byte)]),
                    b'\n' => out.push_str("\\n"),
                    b'\t' => out.push_str("\\t"),
                    b' '..=b'~' => out.push(char::from(*byte)),
                    // Three digits: of hexadecimal ones some shells take more than two.
                    _ => out.push_str(&format!("\\{byte:03o}")),
                }
            }
            out.push('\'');
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn words_come_out_of_a_shell_as_they_went_in() {
        let words: [&[u8]; 12] = [
            b"",
            b"plain-1.0/x",
            b"two words",
            b"it's",
            b"a\nb",
            b"tab\tand 'quote' and \\",
            b"\xff\xfe1",
            b"$HOME `id` \"x\" !",
            "gr\u{fc}n \u{65e5}".as_bytes(),
            b"*?[a]~",
            b"\x01\x7f0",
            b"-",
        ];
        for word in words {
            let script = format!("printf %s {}", quoted(word));
            // Not every sh reads $'..' yet.
            let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(output.stdout, word, "{script}");
        }
    }

    #[test]
    fn a_command_has_what_differs_from_the_defaults() {
        let settings = Settings {
            call: Some(vec!["f(\"it's\", 2)".parse().unwrap()]),
            env: Some(vec!["A=1 2".parse().unwrap()]),
            allow_pinned: Some("it is Go".parse().unwrap()),
            until_decided: Some(true),
            ..Settings::default()
        };
        let path = Path::new(OsStr::from_bytes(b"-x/li\xffb.so"));
        assert_eq!(
            command(path, &settings),
            "dlsoak run $'./-x/li\\377b.so' --call 'f(\"it'\\''s\", 2)' --until-decided --env 'A=1 2' '--allow-pinned=it is Go'"
        );
        assert_eq!(command(Path::new("/a.so"), &Settings::default()), "dlsoak run /a.so");
    }
}
