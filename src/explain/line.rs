//! A line of a log as its writer meant it: without colours, progress that was overwritten, and quotes of another locale.
//! Pure, and no bytes make it fail.

use std::io::{self, BufRead};

/// Bytes of a line that are looked at: command lines of linkers are longer, their errors are not.
pub(super) const LONGEST: usize = 16 * 1024;

/// Reads lines of any length from `input` and hands each to `take`, without its end and cut at [`LONGEST`].
pub(super) fn each(mut input: impl BufRead, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut line = Vec::new();
    let mut begun = false;
    loop {
        let buffer = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if buffer.is_empty() {
            break;
        }
        let end = memchr::memchr(b'\n', buffer);
        let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
        let room = LONGEST.saturating_sub(line.len());
        line.extend_from_slice(part.get(..room).unwrap_or(part));
        begun = true;
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            take(&line);
            line.clear();
            begun = false;
        }
    }
    if begun {
        take(&line);
    }
    Ok(())
}

/// The parts of a line that a terminal would show one over the other: progress is written so.
pub(super) fn overwritten(line: &[u8]) -> impl Iterator<Item = String> {
    line.split(|byte| *byte == b'\r')
        .filter(|part| !part.is_empty())
        .map(|part| clean(&String::from_utf8_lossy(part)))
}

/// The text without escape sequences (ECMA-48: CSI, OSC and other strings, and those of two characters) and with
/// straight quotes, as tools write them in the C locale.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => while chars.next().is_some_and(|c| !matches!(c, '\u{40}'..='\u{7e}')) {},
                Some(']' | '_' | 'P' | '^' | 'X') => {
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || c == '\u{1b}' && chars.next_if_eq(&'\\').is_some() {
                            break;
                        }
                    }
                }
                Some('(' | ')' | '*' | '+' | '#' | '%') => {
                    chars.next();
                }
                _ => {}
            },
            '\u{2018}' | '\u{2019}' => out.push('\''),
            '\u{201c}' | '\u{201d}' => out.push('"'),
            '\t' | '\u{a0}' => out.push(' '),
            '\u{feff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_does_not_show_is_gone() {
        assert_eq!(clean("\u{1b}[1;31merror:\u{1b}[0m x"), "error: x");
        assert_eq!(
            clean("\u{1b}]8;;file:///a\u{1b}\\a.c\u{1b}]8;;\u{7}: \u{2018}x\u{2019}\t1"),
            "a.c: 'x' 1"
        );
        assert_eq!(clean("\u{1b}_bk;t=17\u{7}ok\u{1b}(B\u{1b}"), "ok");
        assert_eq!(clean("\u{1b}[31"), "");
        let parts: Vec<_> = overwritten(b"10%\r100%\rfailed: \xff\r").collect();
        assert_eq!(parts, ["10%", "100%", "failed: \u{fffd}"]);
    }

    #[test]
    fn lines_of_any_length_are_read_and_counted() {
        let mut data = vec![b'x'; 3 * LONGEST];
        data.extend(b"\n\nlast");
        let mut lengths = Vec::new();
        each(io::BufReader::with_capacity(7, &data[..]), |line| lengths.push(line.len())).unwrap();
        assert_eq!(lengths, [LONGEST, 0, 4]);
        let mut none = 0;
        each(&b""[..], |_| none += 1).unwrap();
        assert_eq!(none, 0);
    }
}
