//! The result for a terminal: one table, then why each soak that did not pass did not, warnings, and one closing
//! line. Read at night by someone tired: the verdict comes first in each row, and colour only repeats words.

mod further;
pub(crate) mod plain;
mod table;

use dlsoak_record::{Code, Finding, Run, Soak};

use super::summary::{self, Figure, Mark};
use super::{units, words};

pub(super) use further::{instances, together};

/// The width to render for where output is no terminal.
pub const PIPED_WIDTH: u16 = 120;
/// The whole text: table, reasons, warnings, closing line. Ends with a newline.
///
/// `width` is that of the terminal, or [`PIPED_WIDTH`]. `color` is for the caller to decide (see
/// [`color_allowed`]).
pub fn render(run: &Run, width: u16, color: bool) -> String {
    detailed(run, width, color, false)
}

/// The same, and with `verbose` the stacks of all threads of a soak that came to a bad end, and calls that no prototype confirms.
pub fn detailed(run: &Run, width: u16, color: bool, verbose: bool) -> String {
    let mut out = String::new();
    #[cfg(feature = "files")]
    if let Some(watch) = &run.watch {
        out.push_str(&super::watch::render(watch, width));
        out.push('\n');
    }
    if !run.soaks.is_empty() {
        for line in table::render(run, width, color).lines() {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        for note in notes(run) {
            wrap(&mut out, "  ", "  ", note, width);
        }
        out.push('\n');
    }
    let before = out.len();
    for soak in run.soaks.iter().filter(|soak| Mark::of(soak) != Mark::Pass) {
        explain(&mut out, soak, width, color, verbose);
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
    for soak in &run.soaks {
        for warning in summary::warnings(soak) {
            let text = format!("{}: {}", units::printable(&soak.name), warning.line());
            wrap(&mut out, "warning: ", "         ", &text, width);
        }
    }
    for soak in &run.soaks {
        // Where the soak did not pass, it is among the reasons.
        let passed = Mark::of(soak) == Mark::Pass;
        let noted = |finding: &&Finding| match finding.code {
            Code::CallsUnchecked => verbose,
            Code::MallocHoldsFree => passed,
            _ => false,
        };
        for note in soak.judged.findings.iter().filter(noted).map(words::finding) {
            let text = format!("{}: {}", units::printable(&soak.name), note.line());
            wrap(&mut out, "note: ", "      ", &text, width);
        }
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
    let closing = summary::closing(run);
    out.push_str(&painted(&closing, result_mark(run), color));
    out.push('\n');
    out
}

/// Whether colours may be used: the terminal can show them and `NO_COLOR` is unset or empty, as
/// <https://no-color.org> has it.
pub fn color_allowed(is_terminal: bool, no_color: Option<&str>) -> bool {
    is_terminal && no_color.is_none_or(str::is_empty)
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
    if figures.contains(&Figure::Unclear) {
        notes.push("x ?: growth is neither proven nor excluded; x is the best estimate.");
    }
    if run.soaks.iter().any(|soak| soak.beside > 0) {
        notes.push("~x: other soaks ran at the same time; times and MB/s are contended.");
    }
    notes
}

/// One soak that did not pass, with its reasons and where its threads stood.
fn explain(out: &mut String, soak: &Soak, width: u16, color: bool, verbose: bool) {
    let mark = Mark::of(soak);
    let head = format!("{} {}", mark.word(), soak.judged.verdict.name());
    let head = painted(&head, mark, color);
    out.push_str(&format!("{head}: {}\n", units::printable(&soak.name)));
    let reasons = summary::reasons(soak);
    if reasons.is_empty() {
        wrap(out, "  - ", "    ", "no reason was recorded", width);
    }
    for reason in &reasons {
        let mut first = "  - ";
        for line in reason.lines() {
            wrap(out, first, "    ", &line, width);
            first = "    ";
        }
    }
    for rule in soak.judged.gate.rules.iter().filter(|rule| summary::is_not_met(soak, rule)) {
        wrap(out, "  - ", "    ", &summary::rule(rule), width);
    }
    further::end(out, &soak.outcome, width, verbose);
    // What the library itself said last is often the whole answer.
    for line in quoted(&soak.worker.output_tail) {
        wrap(out, "  its output: ", "    ", line, width);
    }
    if further::ended(soak.outcome.kind) && !soak.replay.is_empty() {
        // On a line of its own and unbroken, to be copied.
        out.push_str(&format!("  again: {}\n", units::printable(&soak.replay)));
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
    let width = usize::from(width.max(40));
    let mut line = first.to_owned();
    let mut length = units::columns(first);
    let mut empty = true;
    for word in units::printable(text).split_whitespace() {
        let word_length = units::columns(word);
        if !empty && length + 1 + word_length > width {
            out.push_str(&line);
            out.push('\n');
            line = rest.to_owned();
            length = units::columns(rest);
            empty = true;
        }
        if !empty {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += word_length;
        empty = false;
    }
    out.push_str(line.trim_end());
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
        Ended, Facts, Frame, Outcome, OutcomeKind, Phase, Severity, Stack, ThreadName, Verdict, Why, sample,
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

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut run = run();
        run.soaks[0].name = "x".repeat(200);
        run.soaks[1].name = "\u{65e5}\u{672c}\u{8a9e}".repeat(20);
        run.soaks[2].name = "\u{1b}[31m<&>\n".to_owned();
        run.soaks[3].judged.growth[0].per_cycle = -61.0;
        run.soaks[4].cycles.completed = 100_000_000;
        run.soaks[4].unload.loads_per_cycle = 0.0511;
        for width in [80, 90, 100, 111, 112, 120, 200] {
            let text = table::render(&run, width, false);
            let widest = text.lines().map(units::columns).max().unwrap();
            assert!(widest <= usize::from(width), "{widest} > {width}\n{text}");
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

    #[test]
    fn no_color_is_heeded() {
        assert!(color_allowed(true, None));
        assert!(color_allowed(true, Some("")));
        assert!(!color_allowed(true, Some("1")));
        assert!(!color_allowed(false, None));
    }
}
