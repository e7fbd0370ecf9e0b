//! A comparison as Markdown, for a pull request or a step summary.

use super::super::markdown::text as escape;
use super::{TITLES, WATCHED, cells, closing, findings, language, library, words};
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
        if !against.libraries.is_empty() {
            table(&mut out, &WATCHED, against.libraries.iter().map(|of| library(of).to_vec()));
        }
    }
    for work in &comparison.languages {
        let calls = if work.calls.is_empty() { "load and unload".to_owned() } else { work.calls.join(", ") };
        out.push_str(&format!("## Languages doing the same work: {}\n\n", escape(&calls)));
        let rows = work.soaks.iter().map(|soak| {
            let [lang, name, cycle, call, heap, _, verdict] = language(soak);
            vec![lang, name, soak.run.clone(), cycle, call, heap, verdict]
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
