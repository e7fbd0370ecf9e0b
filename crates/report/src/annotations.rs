//! Annotations of GitHub Actions: workflow commands that mark what failed on the page of a run
//! (<https://docs.github.com/actions/reference/workflow-commands-for-github-actions>).

use std::fmt::Write as _;

use dlsoak_record::{Run, Soak};

use super::summary::{self, Mark};
use super::units;
use super::words::Text;

/// GitHub shows ten of each kind in a step, and drops the others without a word.
const MOST: usize = 10;

/// One line for each soak that did not pass, failures first, at most ten; the last one says how many more there are.
pub fn render(run: &Run) -> String {
    let of = |mark| run.soaks.iter().filter(move |soak| Mark::of(soak) == mark);
    let soaks: Vec<&Soak> = of(Mark::Fail).chain(of(Mark::Undecided)).collect();
    let shown = if soaks.len() > MOST { MOST - 1 } else { soaks.len() };
    let mut out = String::new();
    for soak in &soaks[..shown] {
        let (level, word) =
            if Mark::of(soak) == Mark::Fail { ("error", "FAIL") } else { ("warning", "undecided") };
        let title = format!("{}: {word} {}", soak.name, soak.judged.verdict.name());
        let reasons = summary::reasons(soak);
        let message = if reasons.is_empty() {
            "no reason was recorded".to_owned()
        } else {
            reasons.iter().flat_map(Text::lines).collect::<Vec<_>>().join("\n")
        };
        let _ = writeln!(
            out,
            "::{level} file={},title={}::{}",
            property(&soak.path),
            property(&title),
            data(&units::elide(&message, 4_000))
        );
    }
    if soaks.len() > shown {
        let more = soaks.len() - shown;
        let _ = writeln!(out, "::error title=dlsoak::{more} more did not pass; the report has them all");
    }
    out
}

/// The message of a command: what would end its line or begin an escape is escaped.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property: there a colon or a comma would end it, too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;

    #[test]
    fn text_can_neither_end_a_command_nor_begin_one() {
        let mut run = sample::run(2);
        run.soaks.remove(0);
        run.soaks[0].path = "a:b,c%\r\n::error::x".to_owned();
        run.soaks[0].name = "n,m".to_owned();
        run.soaks[0].judged.findings = sample::stays("100 %\n::stop-commands::x".to_owned());
        let text = render(&run);
        assert_eq!(text.lines().count(), 1);
        assert_eq!(
            text,
            "::error file=a%3Ab%2Cc%25%0D%0A%3A%3Aerror%3A%3Ax,title=n%2Cm%3A FAIL leak::the library is unloaded in every \
             cycle, but objects that it brought stay: 100 %25%0A::stop-commands::x\n"
        );
    }

    #[test]
    fn there_are_at_most_ten_and_failures_come_first() {
        let text = render(&sample::run(40));
        assert_eq!(text.lines().count(), 10);
        assert!(text.lines().next().unwrap().starts_with("::error "));
        assert!(text.ends_with("::16 more did not pass; the report has them all\n"), "{text}");
        let few = render(&sample::run(8));
        assert_eq!(few.lines().count(), 5);
        assert!(few.lines().last().unwrap().starts_with("::warning "), "{few}");
        assert_eq!(render(&sample::run(1)), "");
    }
}
