//! An explained log for a terminal: each error with its line, what it means, what this machine has to do with it, and commands
//! on lines of their own, to be copied.

use crate::explain::{Explained, Explanation, Stage};
use dlsoak_report::summary::Mark;
use dlsoak_report::terminal::{paint, wrap};
use dlsoak_report::units;

/// Errors of one kind that are told in full; of the others only the line, what is here, and the first command.
const FULL: usize = 1;
/// Errors of one kind that are told at all, unless all are asked for.
const SHOWN: usize = 4;

/// The whole text; ends with a newline. `all` tells every error.
pub fn render(found: &Explanation, width: u16, color: bool, all: bool) -> String {
    let log = units::printable(&found.log);
    let lines = units::count(found.lines);
    if found.errors.is_empty() {
        return format!("{log}: nothing known went wrong in {lines} lines\n");
    }
    let mut out = String::new();
    let mut told: Vec<(&str, usize)> = Vec::new();
    for error in &found.errors {
        let before = match told.iter_mut().find(|(rule, _)| *rule == error.rule) {
            Some((_, count)) => {
                *count += 1;
                *count - 1
            }
            None => {
                told.push((&error.rule, 1));
                0
            }
        };
        if all || before < SHOWN {
            one(&mut out, &log, error, (width, color), all || before < FULL);
            out.push('\n');
        }
    }
    for (rule, count) in told.iter().filter(|(_, count)| !all && *count > SHOWN) {
        let more = units::count((count - SHOWN) as u64);
        out.push_str(&format!("and {more} more of {rule} (-v tells all)\n"));
    }
    if found.left_out > 0 {
        out.push_str(&format!("and {} lines with further errors\n", units::count(found.left_out)));
    }
    let count = units::count(found.errors.len() as u64);
    let what = if found.errors.len() == 1 { "error" } else { "different errors" };
    out.push_str(&format!("{log}: {count} {what} in {lines} lines"));
    if let Some(host) = &found.host {
        out.push_str(&format!("; \"here\" is {}", units::printable(host)));
    }
    out.push('\n');
    out
}

fn one(out: &mut String, log: &str, error: &Explained, (width, color): (u16, bool), full: bool) {
    let head = format!("{log}:{}: {}", error.line, error.title);
    out.push_str(&if color { paint(&head, Mark::Fail, true) } else { head });
    out.push_str(&format!(" [{}]\n", stage(error.stage)));
    // Unbroken, so that it is found again in the log.
    out.push_str(&format!("  | {}\n", error.text));
    if error.count > 1 {
        let count = units::count(error.count);
        wrap(
            out,
            "  ",
            "  ",
            &format!("{count} times, last in line {}", units::count(error.last_line)),
            width,
        );
    }
    if full {
        wrap(out, "  means: ", "         ", &error.means, width);
    }
    for here in &error.here {
        wrap(out, "  here:  ", "         ", here, width);
    }
    // The first command has the names of this one in it.
    for run in error.run.iter().take(if full { usize::MAX } else { 1 }) {
        out.push_str(&format!("  run:   {run}\n"));
    }
    for echo in error.repeated_by.iter().filter(|_| full) {
        out.push_str(&format!("  with:  line {}: {}\n", echo.line, units::elide(&echo.text, 100)));
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Compile => "compile",
        Stage::Link => "link",
        Stage::Load => "load",
        Stage::Run => "run",
        Stage::Go => "go",
        Stage::Rust => "rust",
        Stage::Package => "package",
    }
}
