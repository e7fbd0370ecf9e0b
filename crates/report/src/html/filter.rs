//! What of a page is shown, chosen without a script: each choice is a radio button, and a rule of the style sheet hides all that is not of
//! its kind.

use std::fmt::Write as _;

use super::super::summary::Mark;
use super::section;
use dlsoak_record::Run;

/// One choice.
pub(super) struct Chip {
    /// The end of its id.
    pub(super) id: String,
    pub(super) class: &'static str,
    pub(super) symbol: &'static str,
    pub(super) count: usize,
    pub(super) word: &'static str,
}

/// The marks and verdicts of all libraries.
fn libraries(run: &Run) -> Vec<(Mark, &'static str)> {
    let soaks = run.soaks.iter().map(|soak| (Mark::of(soak), soak.judged.verdict.name()));
    let watched = run.watch.iter().flat_map(|watch| &watch.libraries);
    soaks.chain(watched.map(|library| (Mark::of_watched(library), library.verdict.name()))).collect()
}

/// All, each mark, and each verdict where there are several.
pub(super) fn chips(run: &Run) -> Vec<Chip> {
    let libraries = libraries(run);
    let all = Chip { id: "all".to_owned(), class: "all", symbol: "", count: libraries.len(), word: "in all" };
    let marks = [Mark::Fail, Mark::Undecided, Mark::Pass].map(|mark| Chip {
        id: mark.class().to_owned(),
        class: mark.class(),
        symbol: mark.sign(),
        count: libraries.iter().filter(|(of, _)| *of == mark).count(),
        word: match mark {
            Mark::Fail => "failed",
            Mark::Undecided => section::word(mark),
            Mark::Pass => "passed",
        },
    });
    let verdicts = verdicts(&libraries);
    let verdicts = verdicts.iter().filter(|_| verdicts.len() > 1).map(|(word, count)| Chip {
        id: format!("v-{word}"),
        class: "verdict",
        symbol: "",
        count: *count,
        word,
    });
    std::iter::once(all).chain(marks).chain(verdicts).collect()
}

/// Each verdict that there is, and how often, in the order of the run.
fn verdicts(libraries: &[(Mark, &'static str)]) -> Vec<(&'static str, usize)> {
    let mut verdicts: Vec<(&str, usize)> = Vec::new();
    for (_, verdict) in libraries {
        match verdicts.iter_mut().find(|(known, _)| known == verdict) {
            Some((_, count)) => *count += 1,
            None => verdicts.push((verdict, 1)),
        }
    }
    verdicts
}

/// The rule of each choice but the first, which hides nothing. It looks for the choice below the header: with `body:has()`, a browser looks
/// through the whole page for each element of it, and a window of 500 libraries that became narrower took minutes.
pub(super) fn css(chips: &[Chip]) -> String {
    chips.iter().skip(1).fold(String::new(), |mut css, Chip { id, .. }| {
        let _ = writeln!(css, ".top:has(#show-{id}:checked)~main .of:not(.{id}){{display:none}}");
        css
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;

    #[test]
    fn each_verdict_is_a_choice_where_there_are_several() {
        let choices = |run: &Run| -> Vec<(String, usize)> {
            chips(run).into_iter().map(|chip| (chip.id, chip.count)).collect()
        };
        let owned = |choices: &[(&str, usize)]| -> Vec<(String, usize)> {
            choices.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect()
        };
        assert_eq!(choices(&sample::run(1)), owned(&[("all", 1), ("bad", 0), ("open", 0), ("good", 1)]));
        let of_eight = [
            ("all", 8),
            ("bad", 4),
            ("open", 1),
            ("good", 3),
            ("v-clean", 3),
            ("v-leak", 1),
            ("v-pinned", 3),
            ("v-inconclusive", 1),
        ];
        assert_eq!(choices(&sample::run(8)), owned(&of_eight));
        let css = css(&chips(&sample::run(8)));
        assert!(css.contains(".top:has(#show-v-leak:checked)~main .of:not(.v-leak){display:none}"), "{css}");
        assert_eq!(css.lines().count(), 7);
    }
}
