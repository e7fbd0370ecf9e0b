//! A comparison for a terminal: one table for each run, then what changed in sentences.

use super::super::terminal::{plain, wrap};
use super::super::units;
use super::{TITLES, WATCHED, cells, closing, findings, language, library, words};
use dlsoak_judge::compare::{Against, Comparison, Work};

/// Columns that are aligned to the right.
const FIGURES: std::ops::Range<usize> = 2..6;

/// The whole text; `width` is that of the terminal.
pub fn render(comparison: &Comparison, width: u16) -> String {
    let mut out = String::new();
    for against in &comparison.others {
        one(&mut out, &comparison.base, against, width);
    }
    for work in &comparison.languages {
        languages(&mut out, work, comparison.others.is_empty(), width);
    }
    out
}

fn one(out: &mut String, base: &str, against: &Against, width: u16) {
    let head = format!("{} compared with {}", units::printable(&against.label), units::printable(base));
    out.push_str(&head);
    out.push('\n');
    for warning in words::warnings(against) {
        wrap(out, "warning: ", "         ", &warning, width);
    }
    if !against.soaks.is_empty() {
        let rows = against.soaks.iter().map(|soak| cells(soak).to_vec()).collect();
        plain::table(out, &TITLES, rows, FIGURES, width);
        wrap(
            out,
            "  ",
            "  ",
            "! changed beyond noise. ~ only the slowest cycles changed, which a busy machine can cause. All other differences are noise (docs/compare.md).",
            width,
        );
    }
    if !against.libraries.is_empty() {
        let rows = against.libraries.iter().map(|of| library(of).to_vec()).collect();
        plain::table(out, &WATCHED, rows, 2..3, width);
    }
    out.push('\n');
    for line in findings(against) {
        wrap(out, "- ", "  ", &line, width);
    }
    wrap(out, "", "", &closing(against), width);
    out.push('\n');
}

/// The languages that did the same work.
fn languages(out: &mut String, work: &Work, one_run: bool, width: u16) {
    let calls = if work.calls.is_empty() { "load and unload".to_owned() } else { work.calls.join(", ") };
    wrap(out, "", "", &format!("languages doing the same work: {calls}"), width);
    let rows = work
        .soaks
        .iter()
        .map(|soak| {
            let mut row = language(soak);
            if !one_run {
                row[1] = format!("{}, {}", row[1], units::printable(&soak.run));
            }
            row.to_vec()
        })
        .collect();
    let titles = ["lang", "library", "cycle p50", "call p50", "heap B/cycle", "resident B/cycle", "verdict"];
    plain::table(out, &titles, rows, FIGURES, width);
    out.push('\n');
}
