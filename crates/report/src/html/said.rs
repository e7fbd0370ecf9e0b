//! What is said of a library, in lines for the page: a help line stands apart, and a command in it can be selected with one click.

use super::super::units;
use super::super::words::Text;

/// One finding.
pub(super) type Said = Vec<Line>;

/// One line of a finding.
#[derive(Default)]
pub(super) struct Line {
    /// Whether it says what helps.
    pub(super) help: bool,
    pub(super) parts: Vec<Part>,
}

/// A piece of a line.
pub(super) struct Part {
    /// Whether it is to be typed as it stands.
    pub(super) code: bool,
    pub(super) text: String,
}

/// A finding in lines.
pub(super) fn said(text: &Text) -> Said {
    text.lines().map(|text| line(&text)).collect()
}

/// The fact of a finding, and what helps.
pub(super) fn in_short(said: &Said) -> impl Iterator<Item = &Line> {
    said.iter().enumerate().filter(|(i, line)| *i == 0 || line.help).map(|(_, line)| line)
}

/// A line, without what moves a cursor.
pub(super) fn line(text: &str) -> Line {
    let text = units::printable(text);
    let (help, text) = match text.strip_prefix("help: ") {
        Some(help) => (true, help),
        None => (false, text.as_str()),
    };
    // What stands between a pair of backticks is to be typed; without a second one it is text.
    let pieces: Vec<&str> = text.split('`').collect();
    let pairs = (pieces.len() - 1) / 2 * 2;
    let mut parts: Vec<Part> = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        let code = i % 2 == 1 && i <= pairs && help;
        let text =
            if code || i == 0 || help && i <= pairs { (*piece).to_owned() } else { format!("`{piece}") };
        match parts.last_mut() {
            Some(last) if !last.code && !code => last.text.push_str(&text),
            _ => parts.push(Part { code, text }),
        }
    }
    parts.retain(|part| !part.text.is_empty());
    Line { help, parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_a_help_line_is_a_part_of_its_own() {
        let parts = |text: &str| -> Vec<(bool, String)> {
            line(text).parts.into_iter().map(|part| (part.code, part.text)).collect()
        };
        let owned = |parts: &[(bool, &str)]| -> Vec<(bool, String)> {
            parts.iter().map(|(code, text)| (*code, (*text).to_owned())).collect()
        };
        let help = parts("help: run `dlsoak trace ./x.so` to see which function allocates it");
        let expected =
            [(false, "run "), (true, "dlsoak trace ./x.so"), (false, " to see which function allocates it")];
        assert_eq!(help, owned(&expected));
        assert_eq!(parts("help: `a`"), owned(&[(true, "a")]));
        // A name in a fact is no command, and a lone backtick is text.
        assert_eq!(parts("its symbol `x`"), owned(&[(false, "its symbol `x`")]));
        assert_eq!(parts("help: a ` b"), owned(&[(false, "a ` b")]));
        assert_eq!(parts("help: `a` ` b"), owned(&[(true, "a"), (false, " ` b")]));
        assert_eq!(parts(""), owned(&[]));
    }

    #[test]
    fn in_short_it_is_the_fact_and_the_help() {
        let text = Text::fact("it leaks").means("a host grows").help("run `x`");
        let said = said(&text);
        assert_eq!(said.len(), 3);
        assert_eq!(in_short(&said).map(|line| line.help).collect::<Vec<_>>(), [false, true]);
    }
}
