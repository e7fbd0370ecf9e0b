//! A verification for a terminal: what each instrument found, what it can and cannot see, which instruments agree, and the conclusion.

use super::words;
use dlsoak_record::verification::{
    Agreement, Answer, Content, CrossCheck, Doubt, Failure, Figure, Frame, Instrument, Observation, Place,
    PlaceKind, Quantity, Source, State, Subject, Verification,
};
use dlsoak_record::{Metric, Trend, Unit};

use super::summary::{self, Mark};
use super::terminal::{painted, wrap};
use super::units;

/// Where values begin.
const INDENT: &str = "                ";

/// The whole text; ends with a newline. `all` shows every figure of every instrument.
pub fn render(found: &Verification, width: u16, color: bool, all: bool) -> String {
    let calls = if found.calls.is_empty() { "load and unload".to_owned() } else { found.calls.join(", ") };
    let mut out = format!("{} ({}): ", units::printable(&found.path), summary::language_word(found.language));
    out.push_str(&units::printable(&calls));
    out.push_str("\n\n");
    for observation in &found.observations {
        one(&mut out, observation, width, color, all);
    }
    let mut row = |name: &str, value: &str| wrap(&mut out, &format!("{name:<16}"), INDENT, value, width);
    for (index, check) in found.cross_checks.iter().enumerate() {
        let (word, mark) = match check.agreement {
            Agreement::Agree => ("agree", Mark::Pass),
            Agreement::Disagree => ("DISAGREE", Mark::Fail),
            Agreement::Inconclusive => ("inconclusive", Mark::Undecided),
        };
        let title = if index == 0 { "cross-checks" } else { "" };
        let word = painted(word, mark, color);
        row(title, &format!("{}: {word} ({})", subject(check.subject), facts(found, check)));
    }
    let (word, mark) = match found.answer {
        Answer::Grows => ("it grows", Mark::Fail),
        Answer::NothingGrows => ("nothing grows", Mark::Pass),
        Answer::Undecided => ("undecided", Mark::Undecided),
        Answer::EndedEarly => ("ended early", Mark::Fail),
        Answer::Interrupted => ("interrupted", Mark::Undecided),
    };
    out.push('\n');
    let mut row = |name: &str, value: &str| wrap(&mut out, &format!("{name:<16}"), INDENT, value, width);
    row("conclusion", &painted(word, mark, color));
    for line in conclusion(found) {
        row("", &format!("- {}", units::printable(&line)));
    }
    out
}

/// What to show while an instrument runs.
pub fn running(instrument: Instrument) -> String {
    format!("running {}", name(instrument))
}

/// What an instrument is called, what it sees, and what it cannot see.
fn about(instrument: Instrument) -> [&'static str; 3] {
    match instrument {
        Instrument::Dlsoak => [
            "dlsoak",
            "the C heap in use, memory and address space by kind, threads, descriptors, and page tables",
            "memory that Go or a custom allocator holds inside its own mappings, or memory of the kernel itself",
        ],
        Instrument::Memcheck => [
            "valgrind",
            "every malloc block that is not freed at the end, and the stack that requested it",
            "mmap, brk, Go's heap, threads or descriptors, or whether a cache stops growing after these few cycles",
        ],
        Instrument::Lsan => [
            "LeakSanitizer",
            "malloc blocks that nothing points to at the end",
            "mmap, Go's heap, or blocks that something still points to, such as those of a cache that only grows; it reports \
             blocks that only Go's memory points to as lost",
        ],
        Instrument::Gctrace => [
            "gctrace",
            "the live heap of Go's collector, after each collection",
            "C.malloc, C.CString, mmap or thread stacks, or growth below 1 MiB in total",
        ],
        Instrument::Status => [
            "/proc status",
            "the memory that the kernel counts as resident and as mapped, whichever allocator requested it",
            "growth below the error of the kernel's counters, or memory that is freed and reused within a page",
        ],
    }
}

fn name(instrument: Instrument) -> &'static str {
    about(instrument)[0]
}

fn label(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::NotFreed => "not freed",
        Quantity::Lost => "lost",
        Quantity::DefinitelyLost => "definitely lost",
        Quantity::IndirectlyLost => "indirectly lost",
        Quantity::PossiblyLost => "possibly lost",
        Quantity::StillReachable => "still reachable",
        Quantity::GoHeap => "live Go heap",
        Quantity::VmRss => "VmRSS",
        Quantity::RssAnon => "RssAnon",
        Quantity::VmSize => "VmSize",
        Quantity::Brk => "[heap]",
        Quantity::Metric(metric) => metric.name(),
    }
}

/// Whether a figure is shown although it does not grow.
fn is_main(quantity: Quantity) -> bool {
    use Metric::{Anon, Heap, Rss, Virtual};
    matches!(
        quantity,
        Quantity::Metric(Heap | Anon | Rss | Virtual)
            | Quantity::VmRss
            | Quantity::RssAnon
            | Quantity::Lost
            | Quantity::NotFreed
    )
}

fn one(out: &mut String, observation: &Observation, width: u16, color: bool, all: bool) {
    let mut row = |name: &str, value: &str| wrap(out, &format!("{name:<16}"), INDENT, value, width);
    let instrument = observation.instrument;
    let [name, sees, cannot_see] = about(instrument);
    match observation.state {
        State::Missing => {
            let package = match instrument {
                Instrument::Lsan => "gcc or liblsan0",
                _ => name,
            };
            return row(name, &format!("not installed (help: apt install {package})"));
        }
        State::Failed => {
            let why = observation.failure.as_ref().map_or_else(String::new, failure);
            let said = observation.said.as_ref().map_or_else(String::new, |said| format!(": {said}"));
            let failed = painted("failed", Mark::Undecided, color);
            row(name, &format!("{failed}: {}", units::printable(&format!("{why}{said}"))));
            if let Some(help) = observation.failure.as_ref().and_then(help) {
                row("", &format!("help: {help}"));
            }
            return;
        }
        State::Observed => {}
    }
    let figures = &observation.figures;
    let shown = |figure: &&Figure| {
        all || figure.trend == Trend::Growing || is_main(figure.quantity) || figures.len() == 1
    };
    let texts: Vec<String> = figures.iter().filter(shown).map(|figure| growth(figure, color)).collect();
    let span = observation.cycles.map_or_else(String::new, |span| {
        format!(" (cycles {} to {})", units::count(span.after + 1), units::count(span.to))
    });
    row(name, &format!("{}{span}", texts.join("; ")));
    if let Some(first) = observation.stack.first() {
        let frames: Vec<String> =
            observation.stack.iter().map(|each| units::printable(&frame(each))).collect();
        row("", &format!("mostly requested by {}", frames.join(" < ")));
        if instrument == Instrument::Memcheck && first.function.is_none() {
            row("", "valgrind does not know the name of that function");
        }
    }
    for (kind, places) in &observation.errors {
        let places = words::counted(*places, "place");
        row("", &units::printable(&format!("valgrind also reports {kind} in {places}")));
    }
    if let Some(found) = &observation.collections {
        let mib = |bytes: u64| bytes >> 20;
        let (before, after) = (mib(found.live_before), mib(found.live_after));
        let total = words::counted(found.total, "collection");
        row(
            "",
            &format!(
                "{total} with GOGC={}, {} during these cycles; live heap {before} MiB before and {after} MiB after",
                found.gogc, found.measured
            ),
        );
    }
    row("", &format!("sees {sees}"));
    row("", &format!("cannot see {cannot_see}"));
    out.push('\n');
}

fn amount(unit: Unit, x: f64) -> String {
    match unit {
        Unit::Bytes => bytes(x),
        Unit::Count => format!("{} per cycle", units::number(x)),
    }
}

fn bytes(x: f64) -> String {
    format!("{}/cycle", units::bytes(x))
}

/// "heap +32 B/cycle", "RssAnon flat (would detect 13 B/cycle)".
fn growth(figure: &Figure, color: bool) -> String {
    let amount = |x| amount(figure.unit, x);
    let what = label(figure.quantity);
    let range = || format!("{} to {}", amount(figure.low), amount(figure.high));
    match figure.trend {
        Trend::Growing => {
            let grown = painted(&amount(figure.per_cycle), Mark::Fail, color);
            let blocks = figure.blocks_per_cycle;
            let blocks = blocks.map_or_else(String::new, |blocks| {
                format!(" in {} block{}", units::number(blocks), if blocks == 1.0 { "" } else { "s" })
            });
            format!("{what} +{grown}{blocks}")
        }
        Trend::Flat if figure.blocks_per_cycle.is_none() && figure.detectable > 0.0 => {
            format!("{what} flat (would detect {})", amount(figure.detectable))
        }
        Trend::Flat => format!("{what} flat"),
        Trend::Decaying => format!("{what} slowing down ({})", range()),
        Trend::Unclear if figure.blocks_per_cycle.is_some() => {
            format!("{what} unclear ({}, in too few blocks)", amount(figure.per_cycle))
        }
        Trend::Unclear => format!("{what} unclear ({})", range()),
    }
}

fn frame(frame: &Frame) -> String {
    let function = frame.function.as_deref().unwrap_or("???");
    match (&frame.file, frame.line, &frame.object) {
        (Some(file), Some(line), _) => format!("{function} ({file}:{line})"),
        (Some(file), None, _) => format!("{function} ({file})"),
        (None, _, Some(object)) => format!("{function} in {}", words::file_name(object)),
        (None, _, None) if frame.function.is_none() => format!("{function} (code that was unloaded)"),
        (None, _, None) => function.to_owned(),
    }
}

/// Why an instrument failed.
fn failure(failure: &Failure) -> String {
    match failure {
        Failure::EndedEarly { outcome } => words::outcome(outcome, 0).line(),
        Failure::Interrupted => "interrupted".to_owned(),
        Failure::CannotStart { program, error } => format!("cannot start {program}: {error}"),
        Failure::CannotMake { path, error } => format!("cannot create {path}: {error}"),
        Failure::CannotWait { error } => format!("cannot wait for the process: {error}"),
        Failure::Exited { exit_code } => format!("the process exited with code {exit_code}"),
        Failure::Killed { signal } => format!("{signal} ended the process"),
        Failure::TimedOut { seconds } => {
            format!("dlsoak ended the process because it ran longer than {} s", units::number(*seconds))
        }
        Failure::Stopped => "the library stopped the process".to_owned(),
        Failure::UnexpectedStops { expected, seen } => {
            format!("the process stopped {seen} times instead of {expected}")
        }
        Failure::Incomplete => "the library ended the process before its last cycle".to_owned(),
        Failure::NoProgress => "the process did not report its progress".to_owned(),
        Failure::NoCycles => "no cycle was measured".to_owned(),
        Failure::CannotRead { path, error } => format!("cannot read {path}: {error}"),
        Failure::NoField { field } => format!("/proc/PID/status has no readable {field}"),
        Failure::UnknownLine { line } => format!("cannot parse a line: {line}"),
        Failure::NoReport => "it wrote no report, because the process did not load it".to_owned(),
        Failure::SeveralReports { reports } => {
            format!("{reports} processes wrote a report, because the library starts other processes")
        }
        Failure::ReportCut => "its report is cut off".to_owned(),
        Failure::ReportBroken { error } => format!("cannot parse its report: {error}"),
        Failure::ReportForeign => "its report is not from memcheck".to_owned(),
        Failure::ReportWithoutFigures => "its report has a leak without bytes or blocks".to_owned(),
        Failure::ReportTooLong { most } => {
            format!("its report has more than {} leaks", units::count(*most))
        }
        Failure::ReportWithoutControls => {
            "its report lacks the blocks that dlsoak leaks on purpose, so it may lack others".to_owned()
        }
        Failure::Refused { reason } => format!("it refused to run: {reason}"),
        Failure::NoCollections => {
            "Go's runtime wrote no line of gctrace: it collected nothing, or the library closed standard error"
                .to_owned()
        }
        Failure::UnreadableTrace { unreadable, readable } => {
            format!("cannot parse {unreadable} of {} lines of gctrace", unreadable + readable)
        }
        Failure::Internal => "a thread of dlsoak ended unexpectedly".to_owned(),
    }
}

/// What to do about a failure.
fn help(failure: &Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::TimedOut { .. } => "allow more time with --timeout",
        Failure::ReportTooLong { .. } => "run fewer cycles with --memcheck-cycles",
        _ => return None,
    })
}

fn subject(subject: Subject) -> &'static str {
    match subject {
        Subject::CHeap => "C heap",
        Subject::LostBlocks => "lost blocks",
        Subject::ResidentMemory => "resident memory",
        Subject::AnonymousMemory => "anonymous memory",
        Subject::AddressSpace => "address space",
    }
}

fn observation(found: &Verification, instrument: Instrument) -> Option<&Observation> {
    found.observations.iter().find(|seen| seen.instrument == instrument && seen.state == State::Observed)
}

fn figure(found: &Verification, source: Source) -> Option<&Figure> {
    observation(found, source.instrument)?.figure(source.quantity)
}

/// What the two instruments of a cross-check found.
fn facts(found: &Verification, check: &CrossCheck) -> String {
    let [a, b] = check.between.map(|source| name(source.instrument));
    let [Some(ours), Some(theirs)] = check.between.map(|source| figure(found, source)) else {
        return format!("{a} and {b} have no figures");
    };
    if ours.trend == Trend::Flat && theirs.trend == Trend::Flat {
        return format!("neither {a} nor {b} found growth");
    }
    let text = |name: &str, figure: &Figure| match figure.trend {
        Trend::Growing => {
            let chunks = figure.chunks.filter(|_| check.subject == Subject::CHeap);
            let with_headers = chunks.map_or_else(
                || bytes(figure.per_cycle),
                |chunks| {
                    format!("{} with headers, {} without", bytes(chunks.likely), bytes(figure.per_cycle))
                },
            );
            format!("{name} found {with_headers}")
        }
        Trend::Flat => format!("{name} found no growth"),
        Trend::Decaying | Trend::Unclear => format!("{name} was inconclusive"),
    };
    let mut facts = vec![format!("{}, {}", text(a, ours), text(b, theirs))];
    if let Some(difference) = check.difference {
        facts.push(format!("{} % apart", units::number(difference * 100.0)));
    }
    if check.subject == Subject::CHeap {
        match (ours.trend, theirs.trend, theirs.chunks) {
            (Trend::Growing, Trend::Growing, Some(chunks)) if check.agreement == Agreement::Inconclusive => {
                facts.push(format!(
                    "headers and rounding explain {} to {}",
                    bytes(chunks.least),
                    bytes(chunks.most)
                ));
            }
            (Trend::Growing, Trend::Flat, _) | (Trend::Flat, Trend::Growing, _) => {
                let span = observation(found, Instrument::Memcheck).and_then(|seen| seen.cycles);
                let cycles = span.map_or(0, |span| span.to - span.after);
                facts.push(format!("valgrind ran {} cycles", units::count(cycles)));
            }
            _ => {}
        }
        if (ours.trend, theirs.trend) == (Trend::Flat, Trend::Growing) {
            facts
                .push("a cache that is still filling looks like this, so raise --memcheck-cycles".to_owned());
        }
    }
    facts.join("; ")
}

fn place(place: &Place) -> String {
    let location = match place.kind {
        PlaceKind::CHeap => "the C heap",
        PlaceKind::GoHeap => "the Go heap",
        PlaceKind::Mappings => "mappings",
        PlaceKind::KernelSide => "the kernel",
        PlaceKind::Unattributed => "unattributed memory",
    };
    let content = match place.content {
        Content::MallocBlocks => "malloc blocks, with their headers",
        Content::Fragmentation => {
            "malloc's heap grows beyond the blocks in use, because no later request fits into the freed ones"
        }
        Content::GoObjects => "objects that Go's collector keeps alive",
        Content::GoRuntime => {
            "Go's runtime outside its heap, for example goroutine stacks, or newly touched pages of an earlier mapping"
        }
        Content::GoUnobserved => {
            "Go's heap, or newly touched pages of an earlier mapping; gctrace failed, so dlsoak cannot distinguish the two"
        }
        Content::AnonymousMappings => "mapped by mmap, not by malloc, and not unmapped",
        Content::OtherMappings => {
            "mapped and not unmapped; most of it is not resident, or belongs to files or shared memory"
        }
        Content::ThreadStacks => "address space, including the stacks of threads that stay",
        Content::TouchedMemory => {
            "newly touched pages of an earlier mapping, for example of a custom allocator or a large array"
        }
        Content::TouchedFiles => "newly touched pages of files or shared memory that were mapped earlier",
        Content::Threads => "threads that stay",
        Content::Descriptors => "descriptors that stay open, with what they hold",
        Content::PageTables => "page tables",
    };
    let by: Vec<_> = place.seen_by.iter().map(|instrument| name(*instrument)).collect();
    format!(
        "growth of {} in {location}: {content} (seen by {})",
        amount(place.unit, place.per_cycle),
        by.join(" and ")
    )
}

fn doubt(doubt: &Doubt) -> String {
    match doubt {
        Doubt::SoakInconclusive => "dlsoak's soak is inconclusive (help: run more cycles with -n)".to_owned(),
        Doubt::NotExcluded { source, high } => format!(
            "{} cannot exclude that {} grows by up to {} (help: run more cycles with -n)",
            name(source.instrument),
            label(source.quantity),
            bytes(*high)
        ),
        Doubt::SeenElsewhere { source, per_cycle } => format!(
            "{} found growth of {} ({}), and dlsoak's soak found none",
            name(source.instrument),
            bytes(*per_cycle),
            label(source.quantity)
        ),
        Doubt::Disagreement => "two instruments disagree".to_owned(),
    }
}

/// What follows: the growth first, then which instruments agree on it.
fn conclusion(found: &Verification) -> Vec<String> {
    let mut lines = Vec::new();
    let own =
        |metric| figure(found, Source { instrument: Instrument::Dlsoak, quantity: Quantity::Metric(metric) });
    match found.answer {
        Answer::EndedEarly => {
            let why = found.observations.iter().find_map(|seen| seen.failure.as_ref());
            let why = why.map_or_else(String::new, |why| format!(": {}", failure(why)));
            return vec![format!("the soak ended early, so dlsoak ran no other instrument{why}")];
        }
        Answer::Interrupted => {
            lines.push("interrupted before every instrument had run".to_owned());
        }
        Answer::Grows | Answer::NothingGrows | Answer::Undecided => {}
    }
    lines.extend(found.places.iter().map(place));
    let grows = |kind| found.places.iter().any(|place| place.kind == kind);
    if grows(PlaceKind::Mappings)
        && !grows(PlaceKind::CHeap)
        && observation(found, Instrument::Memcheck).is_some()
    {
        lines.push("valgrind cannot see it, because it counts malloc blocks and this is mmap".to_owned());
    }
    let go = figure(found, Source { instrument: Instrument::Gctrace, quantity: Quantity::GoHeap });
    if let Some(figure) = go.filter(|figure| figure.trend == Trend::Flat) {
        lines.push(format!("the Go heap does not grow (gctrace would detect {})", bytes(figure.detectable)));
    }
    if grows(PlaceKind::GoHeap) && own(Metric::Heap).is_some_and(|figure| figure.trend == Trend::Flat) {
        lines.push("the C heap does not grow".to_owned());
    }
    if found.answer == Answer::NothingGrows {
        let ran = found.observations.iter().filter(|seen| seen.state == State::Observed);
        let ran: Vec<_> = ran.map(|seen| name(seen.instrument)).collect();
        lines.push(match ran.as_slice() {
            [one] => format!("{one} found no growth, and no other instrument ran"),
            _ => format!("no instrument found growth: {}", ran.join(", ")),
        });
        if let (Some(heap), Some(anon)) = (own(Metric::Heap), own(Metric::Anon)) {
            lines.push(format!(
                "growth below {} in the C heap, or below {} in anonymous memory, would go undetected (help: run more cycles \
                 with -n)",
                bytes(heap.detectable),
                bytes(anon.detectable)
            ));
        }
    }
    lines.extend(found.doubts.iter().map(doubt));
    let disagree = |check: &&CrossCheck| check.agreement == Agreement::Disagree;
    let heap = |check: &&CrossCheck| check.subject == Subject::CHeap && !disagree(check);
    let checks = &found.cross_checks;
    for check in checks.iter().filter(disagree).chain(checks.iter().filter(heap)) {
        let verb = match check.agreement {
            Agreement::Agree => "agree",
            Agreement::Disagree => "disagree",
            Agreement::Inconclusive => "cannot be compared",
        };
        let [a, b] = check.between.map(|source| name(source.instrument));
        lines.push(format!(
            "for the {}, {a} and {b} {verb}: {}",
            subject(check.subject),
            facts(found, check)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dlsoak_record::verification::{Chunks, Collections, SCHEMA, Span};
    use dlsoak_record::{Language, Outcome, Tool, Verdict};

    use super::*;

    fn figure(quantity: Quantity, per_cycle: f64, trend: Trend) -> Figure {
        let blocks = matches!(quantity, Quantity::NotFreed | Quantity::Lost);
        Figure {
            quantity,
            unit: Unit::Bytes,
            per_cycle,
            low: per_cycle - 1.0,
            high: per_cycle + 1.0,
            trend,
            detectable: 0.178,
            blocks_per_cycle: blocks.then_some(1.0),
            chunks: blocks.then_some(Chunks {
                likely: per_cycle + 12.0,
                least: per_cycle + 8.0,
                most: per_cycle + 24.0,
            }),
        }
    }

    fn observed(instrument: Instrument, figures: Vec<Figure>) -> Observation {
        Observation {
            instrument,
            state: State::Observed,
            failure: None,
            said: None,
            cycles: Some(Span { after: 500, to: 10_500 }),
            figures,
            stack: Vec::new(),
            collections: None,
            errors: BTreeMap::new(),
        }
    }

    fn failed(instrument: Instrument, failure: Failure, said: Option<&str>) -> Observation {
        Observation {
            state: State::Failed,
            failure: Some(failure),
            said: said.map(str::to_owned),
            ..observed(instrument, Vec::new())
        }
    }

    fn check(subject: Subject, agreement: Agreement, between: [(Instrument, Quantity); 2]) -> CrossCheck {
        let between = between.map(|(instrument, quantity)| Source { instrument, quantity });
        CrossCheck { subject, between, agreement, difference: None }
    }

    const OWN_HEAP: (Instrument, Quantity) = (Instrument::Dlsoak, Quantity::Metric(Metric::Heap));
    const NOT_FREED: (Instrument, Quantity) = (Instrument::Memcheck, Quantity::NotFreed);

    fn verification(answer: Answer, observations: Vec<Observation>) -> Verification {
        Verification {
            schema: SCHEMA.to_owned(),
            tool: Tool { version: "1".to_owned() },
            started_at: String::new(),
            path: "./libc-leak-call.so".to_owned(),
            language: Language::C,
            calls: vec!["fibonacci(20)".to_owned()],
            verdict: Verdict::Leak,
            observations,
            places: Vec::new(),
            cross_checks: Vec::new(),
            doubts: Vec::new(),
            answer,
        }
    }

    #[test]
    fn a_leak_that_all_see() {
        let own = [(Metric::Heap, 112.0), (Metric::Anon, 112.4)]
            .map(|(metric, rate)| figure(Quantity::Metric(metric), rate, Trend::Growing));
        let frames = [
            Frame {
                function: Some("fibonacci".to_owned()),
                file: Some("leak-call.c".to_owned()),
                line: Some(7),
                ..Frame::default()
            },
            Frame { object: Some("/lib/libx.so.1".to_owned()), ..Frame::default() },
            Frame::default(),
        ];
        let memcheck = Observation {
            stack: frames.to_vec(),
            errors: [("InvalidRead".to_owned(), 1)].into(),
            ..observed(Instrument::Memcheck, vec![figure(Quantity::NotFreed, 100.0, Trend::Growing)])
        };
        let lsan = observed(Instrument::Lsan, vec![figure(Quantity::Lost, 0.5, Trend::Unclear)]);
        let mut found =
            verification(Answer::Grows, vec![observed(Instrument::Dlsoak, own.to_vec()), memcheck, lsan]);
        found.places = vec![Place {
            kind: PlaceKind::CHeap,
            content: Content::MallocBlocks,
            per_cycle: 112.0,
            unit: Unit::Bytes,
            seen_by: vec![Instrument::Dlsoak, Instrument::Memcheck],
        }];
        found.cross_checks = vec![CrossCheck {
            difference: Some(0.0),
            ..check(Subject::CHeap, Agreement::Agree, [OWN_HEAP, NOT_FREED])
        }];
        insta::assert_snapshot!(render(&found, 100, false, false));
    }

    #[test]
    fn a_cache_that_only_valgrind_sees() {
        let own =
            [Metric::Heap, Metric::Threads].map(|metric| figure(Quantity::Metric(metric), 0.0, Trend::Flat));
        let memcheck = observed(Instrument::Memcheck, vec![figure(Quantity::NotFreed, 64.0, Trend::Growing)]);
        let missing = Observation { state: State::Missing, ..observed(Instrument::Lsan, Vec::new()) };
        let timed_out = failed(Instrument::Status, Failure::TimedOut { seconds: 120.0 }, None);
        let own = observed(Instrument::Dlsoak, own.to_vec());
        let mut found = verification(Answer::Undecided, vec![own, memcheck, missing, timed_out]);
        let source = Source { instrument: NOT_FREED.0, quantity: NOT_FREED.1 };
        found.doubts = vec![
            Doubt::SoakInconclusive,
            Doubt::NotExcluded { source: Source { instrument: OWN_HEAP.0, quantity: OWN_HEAP.1 }, high: 3.0 },
            Doubt::SeenElsewhere { source, per_cycle: 64.0 },
            Doubt::Disagreement,
        ];
        found.cross_checks = vec![check(Subject::CHeap, Agreement::Disagree, [OWN_HEAP, NOT_FREED])];
        insta::assert_snapshot!(render(&found, 100, false, true));
    }

    #[test]
    fn a_go_library_that_is_clean() {
        let own = [
            figure(Quantity::Metric(Metric::Heap), 0.0, Trend::Flat),
            figure(Quantity::Metric(Metric::Anon), 0.0, Trend::Decaying),
        ];
        let gctrace = Observation {
            collections: Some(Collections {
                gogc: 5,
                total: 10,
                measured: 9,
                live_before: 1 << 20,
                live_halfway: 2 << 20,
                live_after: 3 << 20,
            }),
            ..observed(Instrument::Gctrace, vec![figure(Quantity::GoHeap, 0.0, Trend::Flat)])
        };
        let memcheck = observed(Instrument::Memcheck, vec![figure(Quantity::NotFreed, 1.5, Trend::Unclear)]);
        let own = observed(Instrument::Dlsoak, own.to_vec());
        let mut found = verification(Answer::NothingGrows, vec![own, memcheck, gctrace]);
        found.language = Language::Go;
        found.cross_checks = vec![check(Subject::CHeap, Agreement::Inconclusive, [OWN_HEAP, NOT_FREED])];
        insta::assert_snapshot!(render(&found, 100, false, false));
        // With dlsoak alone.
        found.observations.truncate(1);
        found.cross_checks.clear();
        let text = render(&found, 200, false, false);
        assert!(text.contains("- dlsoak found no growth, and no other instrument ran\n"), "{text}");
    }

    #[test]
    fn a_library_that_ends_the_soak() {
        let outcome = Box::new(Outcome {
            kind: dlsoak_record::OutcomeKind::Crashed,
            signal: Some("SIGSEGV".to_owned()),
            ..Outcome::default()
        });
        let own = failed(Instrument::Dlsoak, Failure::EndedEarly { outcome }, None);
        insta::assert_snapshot!(render(&verification(Answer::EndedEarly, vec![own]), 100, false, false));
    }

    #[test]
    fn every_failure_and_every_place_has_a_sentence() {
        let text = || "TEXT".to_owned();
        let failures = [
            Failure::Interrupted,
            Failure::CannotStart { program: text(), error: text() },
            Failure::CannotMake { path: text(), error: text() },
            Failure::CannotWait { error: text() },
            Failure::Exited { exit_code: 1 },
            Failure::Killed { signal: "SIGKILL".to_owned() },
            Failure::TimedOut { seconds: 1.5 },
            Failure::Stopped,
            Failure::UnexpectedStops { expected: 31, seen: 30 },
            Failure::Incomplete,
            Failure::NoProgress,
            Failure::NoCycles,
            Failure::CannotRead { path: text(), error: text() },
            Failure::NoField { field: "VmRSS".to_owned() },
            Failure::UnknownLine { line: text() },
            Failure::NoReport,
            Failure::SeveralReports { reports: 2 },
            Failure::ReportCut,
            Failure::ReportBroken { error: text() },
            Failure::ReportForeign,
            Failure::ReportWithoutFigures,
            Failure::ReportTooLong { most: 200_000 },
            Failure::ReportWithoutControls,
            Failure::Refused { reason: text() },
            Failure::NoCollections,
            Failure::UnreadableTrace { unreadable: 3, readable: 4 },
            Failure::Internal,
        ];
        let contents = [
            (PlaceKind::CHeap, Content::MallocBlocks),
            (PlaceKind::GoHeap, Content::GoObjects),
            (PlaceKind::Mappings, Content::AnonymousMappings),
            (PlaceKind::Mappings, Content::OtherMappings),
            (PlaceKind::Mappings, Content::ThreadStacks),
            (PlaceKind::KernelSide, Content::Threads),
            (PlaceKind::KernelSide, Content::Descriptors),
            (PlaceKind::KernelSide, Content::PageTables),
            (PlaceKind::Unattributed, Content::Fragmentation),
            (PlaceKind::Unattributed, Content::GoRuntime),
            (PlaceKind::Unattributed, Content::GoUnobserved),
            (PlaceKind::Unattributed, Content::TouchedMemory),
            (PlaceKind::Unattributed, Content::TouchedFiles),
        ];
        let places = contents.map(|(kind, content)| {
            place(&Place {
                kind,
                content,
                per_cycle: 2.0,
                unit: if kind == PlaceKind::KernelSide { Unit::Count } else { Unit::Bytes },
                seen_by: vec![Instrument::Dlsoak, Instrument::Status],
            })
        });
        let failures = failures.map(|each| failure(&each));
        insta::assert_snapshot!(failures.iter().chain(&places).cloned().collect::<Vec<_>>().join("\n"));
    }
}
