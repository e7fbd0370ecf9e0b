//! A comparison as Markdown, for a pull request or a step summary.

use super::super::{summary, units};
use super::{TITLES, cells, closing, findings, words};
use dlsoak_judge::compare::Comparison;

/// The whole text.
pub fn render(comparison: &Comparison) -> String {
    let mut out = String::new();
    for against in &comparison.others {
        out.push_str(&format!(
            "## {} compared with {}\n\n",
            escape(&against.label),
            escape(&comparison.base)
        ));
        out.push_str(&format!("**{}**\n\n", escape(&closing(against))));
        list(
            &mut out,
            &words::warnings(against).iter().map(|warning| format!("warning: {warning}")).collect::<Vec<_>>(),
        );
        list(&mut out, &findings(against));
        if !against.soaks.is_empty() {
            table(&mut out, &TITLES, against.soaks.iter().map(|soak| cells(soak).to_vec()));
        }
    }
    for work in &comparison.languages {
        let calls = if work.calls.is_empty() { "load and unload".to_owned() } else { work.calls.join(", ") };
        out.push_str(&format!("## Languages doing the same work: {}\n\n", escape(&calls)));
        let nanos = |ns: Option<u64>| ns.map_or_else(|| units::NONE.to_owned(), |ns| units::nanos(ns as f64));
        let rows = work.soaks.iter().map(|soak| {
            vec![
                summary::language_word(soak.language).to_owned(),
                soak.name.clone(),
                soak.run.clone(),
                nanos(soak.cycle_p50_ns),
                nanos(soak.call_p50_ns),
                soak.heap_per_cycle.map_or_else(|| units::NONE.to_owned(), units::number),
                soak.verdict.name().to_owned(),
            ]
        });
        table(
            &mut out,
            &["lang", "library", "run", "cycle p50", "call p50", "heap B/cycle", "verdict"],
            rows,
        );
    }
    out
}

fn list(out: &mut String, lines: &[String]) {
    for line in lines {
        out.push_str(&format!("- {}\n", escape(line)));
    }
    if !lines.is_empty() {
        out.push('\n');
    }
}

fn table(out: &mut String, titles: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    out.push_str(&format!("| {} |\n|{}\n", titles.join(" | "), " --- |".repeat(titles.len())));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| escape(cell)).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out.push('\n');
}

/// Text that Markdown shows as it is in a line or a cell.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in units::printable(text).chars() {
        if matches!(c, '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '\\' | '#' | '&') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_a_table() {
        assert_eq!(
            escape("a|b <x>\n`c`"),
            "a\\|b \\<x\\>\u{fffd}\\`c\\`".replace('\u{fffd}', &units::printable("\n"))
        );
    }
}
