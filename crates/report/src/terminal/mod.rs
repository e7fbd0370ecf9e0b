//! The result for a terminal: one table, then why each soak that did not pass did not, warnings, and one closing
//! line. Read at night by someone tired: the verdict comes first in each row, and colour only repeats words.

mod further;
pub(crate) mod plain;
mod table;

use dlsoak_record::{Code, Run, Soak};

use super::groups::{self, Fold, Group};
use super::summary::{self, Figure, Mark};
use super::{units, words};

pub(super) use further::{instances, together};

/// The width to wrap text for where output is no terminal.
pub const PIPED_WIDTH: u16 = 120;

/// Columns to write for.
#[derive(Debug, Clone, Copy)]
pub struct Width {
    text: u16,
    table: u16,
}

impl Width {
    /// Of what is no terminal: text is wrapped, and a row of the table is one line, however long, for `grep` and `sort`.
    pub const PIPED: Self = Self { text: PIPED_WIDTH, table: u16::MAX };
}

impl From<u16> for Width {
    /// Those of a terminal.
    fn from(columns: u16) -> Self {
        Self { text: columns, table: columns }
    }
}

/// The whole text: table, reasons, warnings, closing line. Ends with a newline. Whether there are colours is for the caller to decide.
pub fn render(run: &Run, width: impl Into<Width>, color: bool) -> String {
    detailed(run, width, color, false)
}

/// The same, and with `verbose` the stacks of all threads of a soak that came to a bad end, and calls that no prototype confirms.
pub fn detailed(run: &Run, width: impl Into<Width>, color: bool, verbose: bool) -> String {
    let Width { text: width, table } = width.into();
    let mut out = String::new();
    #[cfg(feature = "files")]
    if let Some(watch) = &run.watch {
        out.push_str(&super::watch::render(watch, width));
        out.push('\n');
    }
    if !run.soaks.is_empty() {
        for line in table::render(run, table, color).lines() {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        for note in notes(run) {
            wrap(&mut out, "  ", "  ", note, width);
        }
        out.push('\n');
    }
    let before = out.len();
    let mut groups = groups::failed(&run.soaks, true);
    if verbose {
        groups.extend(groups::passed(&run.soaks));
    }
    for group in &groups {
        explain(&mut out, group, width, color, verbose);
    }
    // The same of all soaks, because it is the system's.
    let unwatched =
        |soak: &Soak| soak.judged.findings.iter().find(|of| of.code == Code::Unwatched).map(words::finding);
    if let Some(text) = run.soaks.iter().find_map(unwatched) {
        wrap(&mut out, "warning: ", "         ", &text.line(), width);
    }
    for unused in dlsoak_judge::unused_exceptions(run) {
        let text = format!(
            "--allow-pointer {} allows nothing, because no library leaves such a pointer",
            unused.place()
        );
        wrap(&mut out, "warning: ", "         ", &text, width);
    }
    let fold = fold(width, verbose);
    for remark in groups::remarks(&run.soaks, verbose) {
        let first = format!("{}: ", remark.label);
        wrap(&mut out, &first, &" ".repeat(first.len()), &remark.line(fold), width);
    }
    for soak in &run.soaks {
        if !soak.together.is_empty() {
            let text = format!("{}: {}", units::printable(&soak.name), further::together(soak));
            wrap(&mut out, "together: ", "          ", &text, width);
        }
        let turns = soak.judged.findings.iter().find(|finding| finding.code == Code::BuildsAlternate);
        if let Some(text) = turns.map(words::finding) {
            let text = format!("{}: {}", units::printable(&soak.name), text.line());
            wrap(&mut out, "hot reload: ", "            ", &text, width);
        }
        if let Some(instances) = &soak.instances {
            let text =
                format!("{}: {}", units::printable(&soak.name), further::instances(soak.mode(), instances));
            wrap(&mut out, "instances: ", "           ", &text, width);
        }
    }
    if out.len() > before {
        out.push('\n');
    }
    for soak in run.soaks.iter().filter(|soak| !soak.judged.patterns.is_empty()) {
        out.push_str(&further::patterns(soak));
        out.push('\n');
    }
    close(&mut out, run, width, color);
    out
}

/// The line that closes a run.
fn close(out: &mut String, run: &Run, width: u16, color: bool) {
    let mut closing = String::new();
    wrap(&mut closing, "", "  ", &summary::closing(run), width);
    out.push_str(&painted(closing.trim_end(), result_mark(run), color));
    out.push('\n');
}

/// A line for each library and one for the run, in the order of the run, cut to the width. Ends with a newline.
pub fn summary(run: &Run, width: u16, color: bool) -> String {
    let mut out = String::new();
    let mut line = |mark: Mark, verdict: &str, text: String| {
        let head = format!("{} {verdict}: ", mark.word());
        let text = units::elide(&units::printable(&text), usize::from(width).saturating_sub(head.len()));
        out.push_str(&format!("{}{text}\n", painted(&head, mark, color)));
    };
    for soak in &run.soaks {
        let mark = Mark::of(soak);
        let reason = summary::reasons(soak).into_iter().next().filter(|_| mark != Mark::Pass);
        let reason = reason.map_or_else(String::new, |reason| format!(": {}", reason.fact));
        line(mark, soak.judged.verdict.name(), format!("{}{reason}", soak.name));
    }
    #[cfg(feature = "files")]
    for row in run.watch.iter().flat_map(super::watch::rows) {
        let reason = row.reasons.into_iter().next().filter(|_| row.mark != Mark::Pass);
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        line(row.mark, row.verdict, format!("{}{reason}", row.name));
    }
    close(&mut out, run, u16::MAX, color);
    out
}

/// What the shorthand in the growth column means, where it is used.
fn notes(run: &Run) -> Vec<&'static str> {
    let figures: Vec<Figure> = run.soaks.iter().filter_map(summary::headline).map(|of| of.figure).collect();
    let mut notes = Vec::new();
    if !figures.is_empty() {
        notes.push("growth: of the C heap, unless another metric is named beside it.");
    }
    if figures.contains(&Figure::Below) {
        notes.push("<x: nothing grew; x is the smallest leak that the run would have detected.");
    }
    if figures.contains(&Figure::Exact) {
        notes.push("exact: the series had no noise; the figure is a count, not an estimate.");
    }
    if figures.contains(&Figure::Within) {
        notes.push("x ok: growth is proven, and it is within the limit.");
    }
    if figures.contains(&Figure::Unclear) {
        notes.push("x ?: growth is neither proven nor excluded; x is the best estimate.");
    }
    if run.soaks.iter().any(|soak| soak.beside > 0) {
        notes.push("~x: other soaks ran at the same time; times and MB/s are contended.");
    }
    notes
}

/// A name fits into a line, behind what stands before it.
fn fold(width: u16, all: bool) -> Fold {
    Fold { all, longest: usize::from(width).saturating_sub(12) }
}

/// Soaks that have their reasons in common, and of the first one where its threads stood; `verbose`: of all.
fn explain(out: &mut String, group: &Group<'_>, width: u16, color: bool, verbose: bool) {
    let mark = group.mark();
    let head = format!("{} {}: ", mark.word(), group.verdict());
    let title = units::elide(&group.title(), usize::from(width).saturating_sub(head.len()));
    out.push_str(&format!("{}{title}\n", painted(&head, mark, color)));
    let (several, fold) = (group.soaks.len() > 1, fold(width, verbose));
    if several {
        wrap(out, "  ", "  ", &fold.names(&group.soaks), width);
    }
    let findings = group.findings(fold);
    if findings.is_empty() {
        wrap(out, "  - ", "    ", "no reason was recorded", width);
    }
    for finding in &findings {
        let mut first = "  - ";
        for line in finding {
            wrap(out, first, "    ", line, width);
            first = "    ";
        }
    }
    let shown = match (several, verbose) {
        _ if mark == Mark::Pass => 0,
        (true, false) if !group.ended() => 0,
        (_, false) => 1,
        (_, true) => group.soaks.len(),
    };
    for soak in &group.soaks[..shown] {
        let mut end = String::new();
        further::end(&mut end, &soak.outcome, width, verbose);
        // What the library itself said last is often the whole answer.
        for line in quoted(&soak.worker.output_tail) {
            wrap(&mut end, "  its output: ", "    ", line, width);
        }
        if further::ended(soak.outcome.kind) && !soak.replay.is_empty() {
            // On a line of its own and unbroken, to be copied.
            end.push_str(&format!("  again: {}\n", units::printable(&soak.replay)));
        }
        if several && !end.is_empty() {
            wrap(out, "  ", "    ", &format!("{}:", fold.names(&[soak])), width);
        }
        out.push_str(&end);
    }
}

/// The last three lines of what a process wrote, and before them the first one that reports an error: what follows an error is often its
/// consequence.
fn quoted(output: &str) -> Vec<&str> {
    const ERRORS: [&str; 7] = ["error", "fail", "fatal", "panic", "cannot", "can't", "unable"];
    let lines: Vec<&str> = output.lines().collect();
    let last = lines.len().saturating_sub(3);
    let reports = |line: &&&str| {
        let line = line.to_lowercase();
        ERRORS.iter().any(|word| line.contains(word))
    };
    let first = lines[..last].iter().find(reports);
    first.into_iter().chain(&lines[last..]).copied().collect()
}

/// Appends `text` with its words wrapped at `width`. A word longer than the line stays whole: a path that is cut
/// can't be copied.
pub fn wrap(out: &mut String, first: &str, rest: &str, text: &str, width: u16) {
    let words = units::printable(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let options = textwrap::Options::new(usize::from(width.max(40)))
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    out.push_str(textwrap::fill(&words, options).trim_end());
    out.push('\n');
}

/// The mark of a whole run.
fn result_mark(run: &Run) -> Mark {
    match summary::result_word(run) {
        "passed" => Mark::Pass,
        "undecided" => Mark::Undecided,
        _ => Mark::Fail,
    }
}

/// The text, bold and in the colour of a mark where colours may be used.
pub(super) fn painted(text: &str, mark: Mark, color: bool) -> String {
    if color { paint(text, mark, true) } else { text.to_owned() }
}

/// The text in the colour of a mark, by the eight colours that every terminal has.
pub fn paint(text: &str, mark: Mark, bold: bool) -> String {
    let code = match mark {
        Mark::Pass => 32,
        Mark::Fail => 31,
        Mark::Undecided => 33,
    };
    format!("\u{1b}[{}{code}m{text}\u{1b}[0m", if bold { "1;" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::super::units;
    use super::*;
    use dlsoak_record::why::{Crash, CrashCause};
    use dlsoak_record::{
        Ended, Facts, Finding, Frame, Outcome, OutcomeKind, Phase, Severity, Stack, ThreadName, Verdict, Why,
        sample,
    };

    /// Eight libraries and one that does not load.
    fn run() -> Run {
        let mut run = sample::run(8);
        run.soaks.push(sample::load_failed());
        run
    }

    #[test]
    fn the_first_error_is_quoted_before_the_last_lines() {
        assert_eq!(quoted(""), [""; 0]);
        assert_eq!(quoted("a\nb\n"), ["a", "b"]);
        assert_eq!(quoted("up\nError 1\nerror 2\nc\nd\ne\n"), ["Error 1", "c", "d", "e"]);
        assert_eq!(quoted("up\nc\nfailed\ne\n"), ["c", "failed", "e"]);
    }

    #[test]
    fn wide() {
        insta::assert_snapshot!(render(&run(), PIPED_WIDTH, false));
    }

    #[test]
    fn narrow() {
        insta::assert_snapshot!(render(&run(), 80, false));
    }

    #[test]
    fn one_clean_library() {
        insta::assert_snapshot!(render(&sample::run(1), PIPED_WIDTH, false));
    }

    #[test]
    fn a_crash_shows_where_and_what_the_library_said() {
        let mut run = sample::run(1);
        let soak = &mut run.soaks[0];
        soak.judged.verdict = Verdict::Crashed;
        soak.judged.gate.passed = Some(false);
        soak.cycles.completed = 4_211;
        let frame = Frame {
            function: Some("fibonacci".to_owned()),
            file: Some("fib.c".to_owned()),
            line: Some(12),
            object: Some("libfib.so".to_owned()),
            ..Frame::default()
        };
        soak.outcome = Outcome {
            kind: OutcomeKind::Crashed,
            cycle: Some(4_711),
            phase: Some(Phase::Call),
            library: None,
            signal: Some("SIGSEGV".to_owned()),
            why: Some(Why::Crash(Crash {
                cause: CrashCause::DivisionByZero,
                callee: None,
                by: Some(frame.clone()),
                handled: None,
            })),
            fault: None,
            stacks: Some(vec![Stack {
                thread: ThreadName { id: 7, name: "host".to_owned() },
                cycle: Some(4_711),
                phase: Some(Phase::Call),
                frames: vec![frame],
                ..Stack::default()
            }]),
            more_threads: None,
        };
        let ended = Ended { outcome: soak.outcome.clone(), measured: 4_211 };
        soak.judged.findings = vec![Finding::new(Severity::Fail, Facts::Ended(Box::new(ended)))];
        soak.worker.output_tail = "starting\nassertion failed: n > 0\n".to_owned();
        run.passed = false;
        insta::assert_snapshot!(render(&run, 100, false));
    }

    fn fits(text: &str, width: u16) {
        let widest = text.lines().map(units::columns).max().unwrap();
        assert!(widest <= usize::from(width), "{widest} > {width}\n{text}");
    }

    #[test]
    fn a_summary_is_a_line_for_each_library_and_one_for_the_run() {
        let text = summary(&run(), PIPED_WIDTH, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 10, "{text}");
        assert_eq!(lines[0], "pass clean: c-clean");
        assert_eq!(
            lines[1],
            "FAIL leak: c-leak-constructor: heap grows by exactly 32 B per cycle (0.713 MB/s)"
        );
        assert_eq!(
            lines[9],
            "9 soaks: 3 clean, 1 leak, 3 pinned, 1 inconclusive, 1 load-failed - not passed"
        );
        let watched = summary(&sample::watched(), PIPED_WIDTH, false);
        assert_eq!(watched.lines().count(), 5, "{watched}");
    }

    #[test]
    fn names_of_any_length_fit_any_terminal() {
        let mut run = run();
        // All that has lines of its own: what passes with warnings, and groups.
        run.soaks[6].judged.gate.passed = Some(true);
        let more = sample::run(8).soaks;
        run.soaks.extend(more);
        for length in 1..=60 {
            for (index, soak) in run.soaks.iter_mut().enumerate() {
                let end = char::from(b'a' + u8::try_from(index).unwrap());
                soak.name = format!("{}{end}", "n".repeat(length - 1));
            }
            for width in [60, 80, 120, 200] {
                for verbose in [false, true] {
                    fits(&detailed(&run, width, false, verbose), width);
                }
                let text = summary(&run, width, false);
                let (lines, _) = text.trim_end().rsplit_once('\n').unwrap();
                fits(lines, width);
            }
            // One alone has another table.
            let one = Run { soaks: vec![run.soaks[1].clone()], ..sample::run(0) };
            for width in [60, 80, 120, 200] {
                fits(&render(&one, width, false), width);
            }
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut run = run();
        run.soaks[0].name = "x".repeat(200);
        run.soaks[1].name = "\u{65e5}\u{672c}\u{8a9e}".repeat(20);
        run.soaks[2].name = "\u{1b}[31m<&>\n".to_owned();
        run.soaks[3].judged.growth[0].per_cycle = -61.0;
        run.soaks[4].cycles.completed = 100_000_000;
        run.soaks[4].unload.loads_per_cycle = 0.0511;
        for width in [60, 70, 80, 90, 100, 111, 112, 120, 200] {
            let text = table::render(&run, width, false);
            fits(&text, width);
            assert!(!text.contains('\u{1b}'));
        }
        // Beyond what a machine can do a line may be too long, but it is printed.
        run.soaks[2].unload.loads_per_cycle = 1e300;
        run.soaks[3].judged.growth[0].per_cycle = -1e300;
        run.soaks[4].cycles.completed = u64::MAX;
        for width in [0, 1, 40, u16::MAX] {
            render(&run, width, true);
        }
    }

    #[test]
    fn colour_is_only_added() {
        let colored = render(&run(), PIPED_WIDTH, true);
        let mut plain = String::new();
        let mut rest = colored.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        let trim = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        assert!(colored.len() > plain.len());
        assert_eq!(trim(&plain), trim(&render(&run(), PIPED_WIDTH, false)));
    }
}
