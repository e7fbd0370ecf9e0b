//! `report.md`: the result as Markdown for GitHub's step summaries and comments: the table, failures first, then the reasons.

use std::fmt::Write as _;

use dlsoak_record::{Run, Soak, Watch};

use super::groups::{self, Fold, Group};
use super::summary::{self, Mark};
use super::{built, cells, units, watch};

/// Bytes of a comment on GitHub.
const LARGEST: usize = 65_536;
/// Rows of the table, and groups that are explained: more than anyone reads there. Where the text is too large, half as many, and so on.
const ROWS: usize = 200;
/// Characters of a reason.
const LONGEST: usize = 600;
/// Columns of a name.
const NAME: usize = 60;

/// The whole text, which is smaller than a comment may be.
pub(super) fn render(run: &Run) -> String {
    let mut soaks: Vec<&Soak> = run.soaks.iter().collect();
    soaks.sort_by_key(|soak| Mark::of(soak));
    let groups = groups::failed(soaks.iter().copied(), false);
    let mut rows = ROWS;
    loop {
        let text = of_rows(run, &soaks, &groups, rows);
        if text.len() < LARGEST || rows == 0 {
            return text;
        }
        rows /= 2;
    }
}

/// The text with at most this many rows in each of its parts.
fn of_rows(run: &Run, soaks: &[&Soak], groups: &[Group<'_>], rows: usize) -> String {
    let mut out = format!("## dlsoak: {}\n\n", text(&summary::closing(run)));
    if !soaks.is_empty() {
        out.push_str("| | library | | cycles | loads/cycle | unload | growth/cycle | growth/s | open p50 | p99 | close p50 | p99 |\n");
        out.push_str("| --- | --- | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    }
    for soak in soaks.iter().take(rows) {
        let (growth, rate) = cells::growth(soak, true);
        let [open, close] = [&soak.latency_ns.open, &soak.latency_ns.close]
            .map(|latency| cells::median_and_p99(soak, latency.as_ref()).join(" | "));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {open} | {close} |",
            verdict(Mark::of(soak), soak.judged.verdict.name()),
            text(&units::elide(&soak.name, NAME)),
            summary::language_word(soak.language),
            units::count(soak.cycles.completed),
            cells::loads(soak),
            summary::unload_word(soak),
            text(&growth),
            text(&rate),
        );
    }
    more(&mut out, soaks.len(), rows);
    if let Some(watch) = &run.watch {
        watched(&mut out, watch, rows);
    }
    if !groups.is_empty() {
        out.push_str("\n### Why\n\n");
    }
    let fold = Fold { all: false, longest: NAME };
    for group in groups.iter().take(rows) {
        let title = text(&units::elide(&group.title(), NAME));
        let _ = writeln!(out, "- **{title}**: {}", verdict(group.mark(), group.verdict()));
        if group.soaks.len() > 1 {
            let _ = writeln!(out, "  - {}", text(&fold.names(&group.soaks)));
        }
        for lines in group.findings(fold) {
            let _ = writeln!(out, "  - {}", text(&units::elide(&lines.join("; "), LONGEST)));
        }
    }
    more(&mut out, groups.len(), rows);
    let host = &run.host;
    let host = [&host.libc, &host.kernel, &host.machine].map(|fact| text(fact)).join(", ");
    let built = built::of_run(run).map(|with| format!("; built with {}", text(&with))).unwrap_or_default();
    let (version, started) = (text(&run.tool.version), text(&run.started_at));
    let _ = writeln!(out, "\n<sub>{host}{built}; dlsoak {version}, {started}</sub>");
    out
}

/// Says how many are left out.
fn more(out: &mut String, all: usize, rows: usize) {
    if all > rows {
        let _ = writeln!(out, "\nand {} more, in the record", units::count((all - rows) as u64));
    }
}

/// The libraries of a watched host, failures first, then why, and what the host says.
fn watched(out: &mut String, watch: &Watch, most: usize) {
    let mut rows = watch::rows(watch);
    rows.sort_by_key(|row| row.mark);
    out.push_str("| | library | loads | unloads | opens | closes | growth/load |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n");
    for row in rows.iter().take(most) {
        let Some(library) = row.library else { continue };
        let counts = watch::counts(library).map(|(_, count)| count).join(" | ");
        let (verdict, growth) = (verdict(row.mark, row.verdict), watch::rate(library));
        let _ = writeln!(out, "| {verdict} | {} | {counts} | {growth} |", text(&row.name));
    }
    out.push('\n');
    for row in rows.iter().filter(|row| row.mark != Mark::Pass || row.library.is_none()).take(most) {
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
    fn a_large_suite_fits_a_comment() {
        // Each for a reason of its own, and with names that Markdown would take for something else.
        let mut run = sample::run(900);
        for (index, soak) in run.soaks.iter_mut().enumerate() {
            soak.name = format!("{index}{}", "|".repeat(80));
            soak.judged.findings = sample::stays(format!("{index}{}", "<".repeat(5000)));
            soak.judged.gate.passed = Some(false);
            soak.judged.findings[0].object = Some(index.to_string());
        }
        let text = render(&run);
        assert!(text.len() < LARGEST, "{}", text.len());
        assert!(text.contains("## dlsoak: 900 soaks") && text.contains("more, in the record"));
        // As suites are.
        let text = render(&sample::run(900));
        assert!(text.len() < LARGEST, "{}", text.len());
        assert_eq!(text.matches("| ❌ FAIL").count(), 200);
        assert!(text.contains("- **112 libraries**: ❌ FAIL pinned"), "{text}");
    }

    #[test]
    fn growth_within_the_limit_has_a_mark_of_its_own() {
        let mut run = sample::run(2);
        sample_within(&mut run.soaks[1]);
        let text = render(&run);
        assert!(text.contains("| ✅ pass clean | c-leak-constructor |"), "{text}");
        assert!(text.contains(" | 32 B ok | ") && !text.contains("### Why"), "{text}");
    }

    /// A soak whose growth is proven, and that its limit allows.
    fn sample_within(soak: &mut Soak) {
        use dlsoak_record::{Facts, Finding, Severity, Verdict};
        (soak.judged.leak, soak.judged.verdict, soak.judged.gate.passed) = (None, Verdict::Clean, Some(true));
        let growth = soak.judged.growth[0].clone();
        soak.judged.findings =
            vec![Finding::new(Severity::Note, Facts::WithinLimit { growth, limit: 100.0 })];
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
