//! `report.md`: the result as Markdown for GitHub's step summaries and comments, which hold at most a mebibyte: the
//! table, failures first, then the reasons.

use std::fmt::Write as _;

use dlsoak_record::{Run, Soak, Watch};

use super::summary::{self, Mark};
use super::{built, cells, units, watch};

/// Rows of the table, and soaks that are explained: more than anyone reads there, and well below the limit of size.
const ROWS: usize = 200;
/// Characters of a reason.
const LONGEST: usize = 600;

/// The whole text.
pub(super) fn render(run: &Run) -> String {
    let mut soaks: Vec<&Soak> = run.soaks.iter().collect();
    soaks.sort_by_key(|soak| Mark::of(soak));
    let mut out = format!("## dlsoak: {}\n\n", text(&summary::closing(run)));
    if !soaks.is_empty() {
        out.push_str("| | library | | cycles | loads/cycle | unload | growth/cycle | growth/s | open p50 | p99 | close p50 | p99 |\n");
        out.push_str("| --- | --- | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    }
    for soak in soaks.iter().take(ROWS) {
        let (growth, rate) = cells::growth(soak, true);
        let [open, close] = [&soak.latency_ns.open, &soak.latency_ns.close]
            .map(|latency| cells::median_and_p99(soak, latency.as_ref()).join(" | "));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {open} | {close} |",
            verdict(Mark::of(soak), soak.judged.verdict.name()),
            text(&soak.name),
            summary::language_word(soak.language),
            units::count(soak.cycles.completed),
            cells::loads(soak),
            summary::unload_word(soak),
            text(&growth),
            text(&rate),
        );
    }
    if soaks.len() > ROWS {
        let _ = writeln!(out, "\nand {} more, in the record", units::count((soaks.len() - ROWS) as u64));
    }
    if let Some(watch) = &run.watch {
        watched(&mut out, watch);
    }
    let mut failed = soaks.iter().filter(|soak| Mark::of(soak) != Mark::Pass).peekable();
    if failed.peek().is_some() {
        out.push_str("\n### Why\n\n");
    }
    for soak in failed.take(ROWS) {
        let _ = writeln!(
            out,
            "- **{}**: {}",
            text(&soak.name),
            verdict(Mark::of(soak), soak.judged.verdict.name())
        );
        for reason in summary::reasons(soak) {
            let _ = writeln!(out, "  - {}", text(&units::elide(&reason.line(), LONGEST)));
        }
    }
    let host = &run.host;
    let host = [&host.libc, &host.kernel, &host.machine].map(|fact| text(fact)).join(", ");
    let built = built::of_run(run).map(|with| format!("; built with {}", text(&with))).unwrap_or_default();
    let (version, started) = (text(&run.tool.version), text(&run.started_at));
    let _ = writeln!(out, "\n<sub>{host}{built}; dlsoak {version}, {started}</sub>");
    out
}

/// The libraries of a watched host, failures first, then why, and what the host says.
fn watched(out: &mut String, watch: &Watch) {
    let mut rows = watch::rows(watch);
    rows.sort_by_key(|row| row.mark);
    out.push_str("| | library | loads | unloads | opens | closes | growth/load |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n");
    for row in rows.iter().take(ROWS) {
        let Some(library) = row.library else { continue };
        let counts = watch::counts(library).map(|(_, count)| count).join(" | ");
        let (verdict, growth) = (verdict(row.mark, row.verdict), watch::rate(library));
        let _ = writeln!(out, "| {verdict} | {} | {counts} | {growth} |", text(&row.name));
    }
    out.push('\n');
    for row in rows.iter().filter(|row| row.mark != Mark::Pass || row.library.is_none()).take(ROWS) {
        let _ = writeln!(out, "- **{}**: {}", text(&row.name), verdict(row.mark, row.verdict));
        for line in row.reasons.iter().chain(&row.places) {
            let _ = writeln!(out, "  - {}", text(&units::elide(line.trim_start(), LONGEST)));
        }
    }
}

/// The gate's answer and the verdict. The signs stand beside words: they are for the eye only.
fn verdict(mark: Mark, verdict: &str) -> String {
    let sign = match mark {
        Mark::Pass => "✅ pass",
        Mark::Fail => "❌ FAIL",
        Mark::Undecided => "❔ undecided",
    };
    format!("{sign} {verdict}")
}

/// Text that is not taken for Markdown, HTML, a mention or an issue.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in units::printable(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // As references, since a backslash does not keep a cell whole everywhere, nor a name from being a mention.
            '|' => out.push_str("&#124;"),
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '$' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;

    #[test]
    fn text_stays_text() {
        assert_eq!(text("a|b\n<i>@x #1 `c` *d*"), "a&#124;b &lt;i&gt;&#64;x &#35;1 \\`c\\` \\*d\\*");
        let mut run = sample::run(1);
        run.soaks[0].name = "x | y".to_owned();
        let row = render(&run).lines().find(|line| line.contains("x &#124; y")).unwrap().to_owned();
        assert_eq!(row.matches(" | ").count(), 11, "{row}");
    }

    #[test]
    fn a_large_suite_fits_a_step_summary() {
        let mut run = sample::run(1000);
        for soak in &mut run.soaks {
            soak.judged.findings = sample::stays("x".repeat(5000));
        }
        let size = render(&run).len();
        assert!(size < 1 << 20, "{size}");
    }

    #[test]
    fn a_watch_is_a_table_of_libraries() {
        let text = render(&sample::watched());
        let head = "| ❌ FAIL leak | leaking.so | 13 | 12 | 13 | 12 | 1,008 B |";
        assert_eq!(text.lines().nth(4), Some(head), "{text}");
        assert!(text.contains("- **host**: ✅ pass watched\n  - host: anonymous memory grows by"), "{text}");
        assert!(!text.contains("cycles |"), "{text}");
    }
}
