//! Annotations of GitHub Actions: workflow commands that mark what failed on the page of a run
//! (<https://docs.github.com/actions/reference/workflow-commands-for-github-actions>).

use std::fmt::Write as _;

use dlsoak_record::{Run, Soak};

use super::summary::{self, Mark};
use super::units;
use super::words::Text;

/// GitHub shows ten of each kind in a step, and drops the others without a word.
const MOST: usize = 10;

/// One line for each soak, and for each library of a watch, that did not pass, failures first, at most ten; the last one says how many
/// more there are.
pub fn render(run: &Run) -> String {
    let mut found: Vec<Annotation> = run.soaks.iter().map(of_soak).collect();
    #[cfg(feature = "files")]
    found.extend(run.watch.iter().flat_map(super::watch::rows).map(of_row));
    found.retain(|found| found.mark != Mark::Pass);
    found.sort_by_key(|found| found.mark);
    let shown = if found.len() > MOST { MOST - 1 } else { found.len() };
    let mut out = String::new();
    for Annotation { mark, path, name, verdict, message } in &found[..shown] {
        let (level, word) = if *mark == Mark::Fail { ("error", "FAIL") } else { ("warning", "undecided") };
        let title = format!("{name}: {word} {verdict}");
        let message = if message.is_empty() { "no reason was recorded" } else { message };
        let _ = writeln!(
            out,
            "::{level} file={},title={}::{}",
            property(path),
            property(&title),
            data(&units::elide(message, 4_000))
        );
    }
    if found.len() > shown {
        let more = found.len() - shown;
        let _ = writeln!(out, "::error title=dlsoak::{more} more did not pass; the report has them all");
    }
    out
}

/// What did not pass, perhaps.
struct Annotation {
    mark: Mark,
    path: String,
    name: String,
    verdict: &'static str,
    message: String,
}

fn of_soak(soak: &Soak) -> Annotation {
    Annotation {
        mark: Mark::of(soak),
        path: soak.path.clone(),
        name: soak.name.clone(),
        verdict: soak.judged.verdict.name(),
        message: summary::reasons(soak).iter().flat_map(Text::lines).collect::<Vec<_>>().join("\n"),
    }
}

#[cfg(feature = "files")]
fn of_row(row: super::watch::Row<'_>) -> Annotation {
    let message = [row.reasons, row.places].concat().join("\n");
    Annotation { mark: row.mark, path: row.path.to_owned(), name: row.name, verdict: row.verdict, message }
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

    #[cfg(feature = "files")]
    #[test]
    fn libraries_of_a_watch_are_among_them() {
        let text = render(&sample::watched());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines[0].starts_with("::error file=/usr/lib/host/leaking.so,title=leaking.so%3A FAIL leak::")
        );
        assert!(lines[1].starts_with("::warning file=/usr/lib/host/rare.so,"), "{text}");
    }
}
