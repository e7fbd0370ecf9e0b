//! A checkup for a terminal: a line for each thing, and under what is not as it should be what to do.

use crate::doctor::{Check, Checkup, Status};
use dlsoak_report::summary::Mark;
use dlsoak_report::terminal::{paint, wrap};
use dlsoak_report::units;

/// Columns before a check's name, and for its name.
const NAME: usize = 20;

/// The whole text; ends with a newline.
pub fn render(checkup: &Checkup, width: u16, color: bool) -> String {
    let mut out = String::new();
    let mut group = None;
    for check in &checkup.checks {
        if group != Some(check.group) {
            out.push_str(&format!("{}\n", check.group.name()));
            group = Some(check.group);
        }
        line(&mut out, check, width, color);
    }
    let count = |status| checkup.checks.iter().filter(|check| check.status == status).count();
    let (fail, warn) = (count(Status::Fail), count(Status::Warn));
    let warnings = if warn == 1 { "1 warning".to_owned() } else { format!("{warn} warnings") };
    out.push_str(&match fail {
        0 => format!("nothing fails, {warnings}\n"),
        1 => format!("1 thing fails, {warnings}\n"),
        _ => format!("{fail} things fail, {warnings}\n"),
    });
    out
}

fn line(out: &mut String, check: &Check, width: u16, color: bool) {
    let (word, mark) = match check.status {
        Status::Ok => ("ok  ", Some(Mark::Pass)),
        Status::Note => ("-   ", None),
        Status::Warn => ("warn", Some(Mark::Undecided)),
        Status::Fail => ("FAIL", Some(Mark::Fail)),
    };
    let indent = " ".repeat(NAME + 7);
    let before = format!("  {word} {:<NAME$}", check.name);
    let mut text = String::new();
    wrap(&mut text, &before, &indent, &check.found, width);
    match mark.filter(|_| color) {
        Some(mark) => {
            let rest = text.get(2 + word.len()..).unwrap_or_default();
            out.push_str(&format!("  {}{rest}", paint(word, mark, false)));
        }
        None => out.push_str(&text),
    }
    if let Some(mend) = &check.mend {
        // Unbroken: most are commands, to be copied.
        out.push_str(&format!("{indent}-> {}\n", units::printable(mend)));
    }
}
