//! Annotations of GitHub Actions: workflow commands that mark what failed on the page of a run
//! (<https://docs.github.com/actions/reference/workflow-commands-for-github-actions>).

use std::fmt::Write as _;

use dlsoak_record::{Run, Soak};

use super::place::{Place, Sources};
use super::summary::{self, Mark};
use super::units;
use super::words::Text;

/// GitHub shows ten of each kind in a step, and drops the others without a word.
const MOST: usize = 10;

/// One line for each soak, and for each library of a watch, that did not pass, failures first, at most ten; the last one says how many
/// more there are. A line is at the place in the source where one is known, else at the library. `in_repository` makes a path one that
/// GitHub finds: relative to the root of the repository.
pub fn render(run: &Run, in_repository: impl Fn(&str) -> String) -> String {
    let mut found: Vec<Annotation> = run.soaks.iter().map(of_soak).collect();
    #[cfg(feature = "files")]
    found.extend(run.watch.iter().flat_map(super::watch::rows).map(of_row));
    found.retain(|found| found.mark != Mark::Pass);
    found.sort_by_key(|found| found.mark);
    let shown = if found.len() > MOST { MOST - 1 } else { found.len() };
    let mut out = String::new();
    for Annotation { mark, path, line, name, verdict, message } in &found[..shown] {
        let (level, word) = if *mark == Mark::Fail { ("error", "FAIL") } else { ("warning", "undecided") };
        let title = format!("{name}: {word} {verdict}");
        let message = if message.is_empty() { "no reason was recorded" } else { message };
        let _ = writeln!(
            out,
            "::{level} file={}{},title={}::{}",
            property(&in_repository(path)),
            line.map_or_else(String::new, |line| format!(",line={line}")),
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
    line: Option<u32>,
    name: String,
    verdict: &'static str,
    message: String,
}

impl Annotation {
    /// The same at this place.
    fn at(self, place: Option<Place<'_>>) -> Self {
        match place {
            Some(place) => Self { path: place.file.to_owned(), line: place.line, ..self },
            None => self,
        }
    }
}

fn of_soak(soak: &Soak) -> Annotation {
    let sources = Sources::of_soak(soak);
    let found = Annotation {
        mark: Mark::of(soak),
        path: soak.path.clone(),
        line: None,
        name: soak.name.clone(),
        verdict: soak.judged.verdict.name(),
        message: summary::reasons(soak).iter().flat_map(Text::lines).collect::<Vec<_>>().join("\n"),
    };
    found.at(summary::reasoning(soak).find_map(|finding| sources.place(finding)))
}

#[cfg(feature = "files")]
fn of_row(row: super::watch::Row<'_>) -> Annotation {
    let place = row.library.and_then(|library| {
        let sources = Sources::of_watched(library);
        library.findings.iter().find_map(|finding| sources.place(finding))
    });
    let message = [row.reasons, row.places].concat().join("\n");
    let (path, line) = (row.path.to_owned(), None);
    Annotation { mark: row.mark, path, line, name: row.name, verdict: row.verdict, message }.at(place)
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

    fn render(run: &Run) -> String {
        super::render(run, str::to_owned)
    }

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

    #[test]
    fn a_line_of_the_source_is_named_where_one_is_known() {
        let mut run = sample::run(2);
        run.soaks[1].measured.trace = Some(sample::trace());
        let text = super::render(&run, |path| format!("sub/{path}"));
        assert!(text.starts_with("::error file=sub/src/leak.c,line=9,title="), "{text}");
    }

    #[cfg(feature = "files")]
    #[test]
    fn libraries_of_a_watch_are_among_them() {
        let text = render(&sample::watched());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("::error file=src/leak.c,line=9,title=leaking.so%3A FAIL leak::"));
        assert!(lines[1].starts_with("::warning file=/usr/lib/host/rare.so,"), "{text}");
    }
}
