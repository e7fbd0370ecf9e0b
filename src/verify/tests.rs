//! Real reports of the instruments, whole, cut off and damaged, and what follows from observations that agree or disagree.

use dlsoak_agent::bare;

use super::blocks::{blocks, top};
use super::gctrace::growth;
use super::instruments::{observed, without};
use super::memcheck::{self, LossKind};
use super::peer::PeerError;
use super::reconcile::{Reconciled, reconcile};
use super::status::{self, Reading};
use super::trend::trend;
use super::{Leaked, lsan};
use crate::gctrace::{Collection, Line, STEP, line};
use crate::record::verification::{
    Agreement, Answer, Chunks, Content, Doubt, Failure, Figure, Frame, Instrument, Observation, PlaceKind,
    Quantity, Source, Span, State, Subject,
};
use crate::record::{Language, Metric, OutcomeKind, Soak, Trend, Unit, Verdict};

const LIST: &str = include_str!("../../tests/data/verify/memcheck-list.xml");
const UNLOADED: &str = include_str!("../../tests/data/verify/memcheck-unloaded.xml");
const FATAL: &str = include_str!("../../tests/data/verify/memcheck-fatal.xml");
const LSAN_LIST: &str = include_str!("../../tests/data/verify/lsan-list.txt");
const LSAN_UNLOADED: &str = include_str!("../../tests/data/verify/lsan-unloaded.txt");
/// The loop with the fixture c-leak-call, for 2 and for 6 cycles.
const MEMCHECK_LOOP: [&str; 2] = [
    include_str!("../../tests/data/verify/memcheck-loop-2.xml"),
    include_str!("../../tests/data/verify/memcheck-loop-6.xml"),
];
const LSAN_LOOP: [&str; 2] = [
    include_str!("../../tests/data/verify/lsan-loop-2.txt"),
    include_str!("../../tests/data/verify/lsan-loop-6.txt"),
];
const GO: [&str; 3] = [
    include_str!("../../tests/data/verify/gctrace-1.21.13.txt"),
    include_str!("../../tests/data/verify/gctrace-1.24.11.txt"),
    include_str!("../../tests/data/verify/gctrace-1.27.3.txt"),
];

/// Function, file and line.
fn place(frame: &Frame) -> (Option<&str>, Option<&str>, Option<u32>) {
    (frame.function.as_deref(), frame.file.as_deref(), frame.line)
}

#[test]
fn memcheck_is_read_by_kind_and_nothing_counts_twice() {
    let found = memcheck::parse(LIST.as_bytes()).unwrap();
    let sum = |kind| {
        let leaks = found.leaked(&[kind]);
        leaks.iter().fold((0, 0), |(bytes, blocks), leak| (bytes + leak.bytes, blocks + leak.blocks))
    };
    assert_eq!(sum(LossKind::Definitely), (240, 5));
    assert_eq!(sum(LossKind::Indirectly), (740, 10));
    assert_eq!(sum(LossKind::Possibly), (500, 1));
    assert_eq!(sum(LossKind::Reachable), (75, 6));
    assert_eq!(found.errors.get("InvalidRead"), Some(&1));
    let definite = &found.leaked(&[LossKind::Definitely])[0].stack;
    assert_eq!(place(&definite[1]), (Some("main"), Some("list.c"), Some(6)));
    assert!(definite.len() >= 2 && definite[0].object.as_deref().unwrap().contains("vgpreload"));
    assert_eq!(found.blocks_of(500), 1);
    // The stack that freed a block is not the stack that requested it.
    assert_eq!(found.blocks_of(17), 0);
}

#[test]
fn a_frame_of_code_that_was_unloaded_is_empty() {
    let found = memcheck::parse(UNLOADED.as_bytes()).unwrap();
    let leak = found.leaked(&[LossKind::Definitely]).into_iter().find(|leak| leak.bytes % 16 == 0).unwrap();
    assert_eq!((leak.bytes, leak.blocks), (48, 3));
    assert_eq!(leak.stack[1], Frame::default());
    assert_eq!(leak.stack[2].function.as_deref(), Some("call_init"));
}

#[test]
fn a_report_of_memcheck_that_is_cut_off_is_refused() {
    assert_eq!(memcheck::parse(FATAL.as_bytes()), Err(Failure::Killed { signal: "SIGSEGV".to_owned() }));
    let whole = LIST.trim_end();
    for end in 0..whole.len() {
        assert!(memcheck::parse(&whole.as_bytes()[..end]).is_err(), "{end}");
    }
    for broken in ["", "no xml", "<valgrindoutput></valgrindoutput>", "<a><b></a>", "\u{0}\u{ff}"] {
        assert!(memcheck::parse(broken.as_bytes()).is_err(), "{broken}");
    }
    let changed = |from: &str, to: &str| memcheck::parse(LIST.replace(from, to).as_bytes());
    assert_eq!(changed("<protocoltool>memcheck", "<protocoltool>helgrind"), Err(Failure::ReportForeign));
    assert_eq!(changed("<leakedbytes>75", "<leakedbytes>many"), Err(Failure::ReportWithoutFigures));
}

#[test]
fn lsan_is_read_and_must_add_up() {
    let leaks = lsan::parse(LSAN_LIST).unwrap();
    let sum: u64 = leaks.iter().map(|leak| leak.bytes).sum();
    assert_eq!((leaks.len(), sum, leaks[0].blocks), (3, 832, 5));
    assert_eq!(place(&leaks[0].stack[1]), (Some("main"), Some("list.c"), Some(6)));
    let unloaded = lsan::parse(LSAN_UNLOADED).unwrap();
    assert_eq!((unloaded[0].bytes, unloaded[0].blocks), (1600, 100));
    assert_eq!(unloaded[0].stack[1], Frame::default());
    assert_eq!(place(&unloaded[0].stack[2]), (Some("call_init"), Some("dl-init.c"), Some(74)));
    let module = lsan::parse(
        "==1==ERROR: LeakSanitizer: detected memory leaks\nDirect leak of 8 byte(s) in 1 object(s) allocated from:\n    \
        #0 0x7f in fn(int, char*) (/lib/libx.so+0x1a)\nSUMMARY: LeakSanitizer: 8 byte(s) leaked in 1 allocation(s).\n",
    );
    let frame = &module.unwrap()[0].stack[0];
    assert_eq!(frame.function.as_deref(), Some("fn(int, char*)"));
    assert_eq!(frame.object.as_deref(), Some("/lib/libx.so"));
}

#[test]
fn a_report_of_lsan_that_is_cut_off_is_refused() {
    // Nothing before the announcement mentions leaks. From there on the report must be complete.
    let from = LSAN_LIST.find("detected memory leaks").unwrap() + "detected memory leaks".len();
    let last = LSAN_LIST.find("allocation(s)").unwrap();
    for end in from..last {
        assert!(lsan::parse(&LSAN_LIST[..end]).is_err(), "{end}");
    }
    assert!(lsan::parse(&LSAN_LIST.replace("Direct leak of 240", "Direct leak of 241")).is_err());
    assert!(lsan::parse(&LSAN_LIST.replace("leak of 240", "leak of x")).is_err());
    assert_eq!(lsan::parse("==7==Registered root region at 0x7f of size 80\n"), Ok(Vec::new()));
    let traced = "==7==LeakSanitizer has encountered a fatal error.\n==7==HINT: For debugging, try setting LSAN_OPTIONS\n\
        ==7==HINT: LeakSanitizer does not work under ptrace (strace, gdb, etc)\n";
    let reason = "LeakSanitizer does not work under ptrace (strace, gdb, etc)".to_owned();
    assert_eq!(lsan::parse(traced), Err(Failure::Refused { reason }));
}

#[test]
fn the_loop_is_recognised_and_its_controls_do_not_count() {
    const LOST: [LossKind; 3] = [LossKind::Definitely, LossKind::Indirectly, LossKind::Possibly];
    let memcheck = MEMCHECK_LOOP.map(|text| memcheck::parse(text.as_bytes()).unwrap());
    let lsan = LSAN_LOOP.map(|text| lsan::parse(text).unwrap());
    let is_control = |leak: &Leaked| {
        leak.stack.iter().any(|frame| frame.function.as_deref() == Some(bare::CONTROLS_FUNCTION))
    };
    for [short, long] in [memcheck.map(|found| found.leaked(&LOST)), lsan] {
        for leaks in [&short, &long] {
            let controls: Vec<_> = leaks.iter().filter(|leak| is_control(leak)).collect();
            assert_eq!(controls.iter().map(|leak| leak.blocks).sum::<u64>(), 8);
            assert!(controls.iter().all(|leak| leak.bytes == leak.blocks * bare::CONTROL_SIZE));
        }
        let of_cycles = |short: &[Leaked]| {
            let figure = blocks(Quantity::Lost, short, &long, 4);
            (figure.per_cycle, figure.blocks_per_cycle, figure.trend)
        };
        assert_eq!(of_cycles(&short), (100.0, Some(1.0), Trend::Growing));
        // A control that one of the reports lacks is not growth.
        let hidden: Vec<Leaked> = long.iter().filter(|leak| !is_control(leak)).cloned().collect();
        assert_eq!(of_cycles(&hidden), (0.0, Some(0.0), Trend::Flat));
        // The stack ends where the loop begins.
        let shown = top(&short, &long);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].function.as_deref().is_none_or(|name| name == "fibonacci"), "{shown:?}");
    }
}

#[test]
fn each_version_of_go_is_read() {
    for text in GO {
        let collections: Vec<_> = text.lines().map(line).collect();
        assert!(
            collections.len() > 3 && collections.iter().all(|l| matches!(l, Some(Line::Collection(_)))),
            "{text}"
        );
        let Some(Some(Line::Collection(last))) = collections.last() else { panic!("{text}") };
        assert!(last.live >= 3 && last.goal >= 3, "{last:?}");
    }
    let of = |text: &str| line(text);
    let whole = "gc 5 @0.108s 0%: 0.009+0.22+0.008 ms clock, 0.018+0.018/0.16/0.014+0.016 ms cpu, 4->5->3 MB, 6 MB goal";
    let collection = Line::Collection(Collection { number: 5, before: 4, after: 5, live: 3, goal: 6 });
    // Lines before Go 1.18 end here. The library's own text may precede a line, and a collection may be forced.
    assert_eq!(of(&format!("{whole}, 2 P")), Some(collection));
    assert_eq!(
        of(&format!("progress: gc done {whole}, 0 MB stacks, 0 MB globals, 2 P (forced)")),
        Some(collection)
    );
    for end in 6..whole.len() {
        let cut = of(&whole[..end]);
        assert!(cut.is_none() || cut == Some(Line::Unreadable), "{}: {cut:?}", &whole[..end]);
    }
    for other in ["", "gc", "gc x @1", "scvg: 0 MB released", "gcc 5 @home", "pacer: assist ratio=+1.0"] {
        assert_eq!(of(other), None, "{other}");
    }
    assert_eq!(of("dlsoak-bare 300"), Some(Line::At(300)));
    assert_eq!(of("gc 1 @0.1s 2%: 1->2 MB, 3 MB goal"), Some(Line::Unreadable));
}

fn gc(live: u64, goal: u64) -> Line {
    Line::Collection(Collection { number: 1, before: live, after: live, live, goal })
}

#[test]
fn live_heap_grows_only_if_it_keeps_growing() {
    let points = |collections: &dyn Fn(u64) -> Vec<Line>| -> Vec<Line> {
        (0..=10_u64).flat_map(|p| [vec![Line::At(500 + p * 1000)], collections(p)].concat()).collect()
    };
    let grows = growth(&points(&|p| vec![gc(p, p + 1)])).unwrap();
    assert_eq!(grows.trend, Trend::Growing);
    let (low, per_cycle, high) = grows.per_cycle;
    let mib = STEP as f64;
    assert!((per_cycle - 10.0 * mib / 10_000.0).abs() < 1.0 && low < per_cycle && per_cycle < high);
    for (what, lines, trend) in [
        ("flat", points(&|_| vec![gc(3, 4)]), Trend::Flat),
        ("one step", points(&|p| vec![gc(3 + p / 6, 5)]), Trend::Flat),
        ("none since the start", [vec![gc(0, 0)], points(&|_| vec![])].concat(), Trend::Flat),
        ("filled early", points(&|p| vec![gc(p.min(3) * 4, 13)]), Trend::Unclear),
        ("up and down", points(&|p| vec![gc(2 + (p % 3) * 3, 9)]), Trend::Unclear),
        (
            "collects so late that nothing is known",
            [vec![gc(1, 90)], points(&|_| vec![])].concat(),
            Trend::Unclear,
        ),
    ] {
        assert_eq!(growth(&lines).unwrap().trend, trend, "{what}");
    }
    assert_eq!(growth(&points(&|_| vec![])), Err(Failure::NoCollections));
    assert_eq!(growth(&[gc(1, 2)]), Err(Failure::NoProgress));
    assert_eq!(
        growth(&points(&|_| vec![gc(1, 2), Line::Unreadable])),
        Err(Failure::UnreadableTrace { unreadable: 11, readable: 11 })
    );
}

#[test]
fn a_coarse_series_grows_only_if_its_whole_end_exceeds_its_whole_beginning() {
    let of = |values: &[f64]| {
        let series: Vec<_> = values.iter().enumerate().map(|(at, value)| (at as u64 * 100, *value)).collect();
        trend(&series, (values.len() as u64 - 1) * 100, 10.0)
    };
    assert_eq!(of(&[0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]), Trend::Growing);
    assert_eq!(of(&[0.0, 9.0, 1.0, 8.0, 2.0, 9.0, 3.0]), Trend::Flat);
    assert_eq!(of(&[0.0, 30.0, 1.0, 31.0, 2.0, 32.0, 33.0]), Trend::Unclear);
    assert_eq!(of(&[0.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0]), Trend::Unclear);
    assert_eq!(trend(&[], 0, 1.0), Trend::Unclear);
}

#[test]
fn status_is_read_or_the_missing_field_is_named() {
    let status =
        "Name:\tdlsoak\nVmSize:\t   12345 kB\nVmRSS:\t    2048 kB\nRssAnon:\t     512 kB\nThreads:\t3\n";
    let maps = "55d0-55e0 r-xp 00000000 08:01 1 /usr/bin/x\n56000000-56021000 rw-p 00000000 00:00 0 [heap]\n";
    let reading = status::reading(status, maps).unwrap();
    let expected = Reading { rss: 2048 << 10, anon: 512 << 10, size: 12345 << 10, heap: 0x21000, threads: 3 };
    assert_eq!(reading, expected);
    for field in ["VmSize", "VmRSS", "RssAnon", "Threads"] {
        let problem = status::reading(&status.replace(field, "Other"), maps).unwrap_err();
        assert_eq!(problem, Failure::NoField { field: field.to_owned() });
    }
    assert!(status::reading(&status.replace("2048 kB", "x kB"), maps).is_err());
    assert!(status::reading(status, "zz [heap]").is_err());
    let points = [(500, reading), (1500, Reading { anon: reading.anon + 4096 * 1000, ..reading })];
    let change = status::change(&points, |reading| reading.anon, 8192.0).unwrap();
    assert_eq!((change.per_cycle.1, change.trend), (4096.0, Trend::Growing));
    assert!(status::change(&points[..1], |reading| reading.anon, 1.0).is_none());
}

const HEAP: Quantity = Quantity::Metric(Metric::Heap);
const ANON: Quantity = Quantity::Metric(Metric::Anon);
const VIRTUAL: Quantity = Quantity::Metric(Metric::Virtual);
const PAGE_TABLES: Quantity = Quantity::Metric(Metric::PageTables);

fn figure(quantity: Quantity, per_cycle: f64, trend: Trend) -> Figure {
    let likely = per_cycle + 16.0 * f64::from(u8::from(per_cycle > 0.0));
    Figure {
        quantity,
        unit: Unit::Bytes,
        per_cycle,
        low: per_cycle,
        high: per_cycle,
        trend,
        detectable: 0.5,
        blocks_per_cycle: None,
        chunks: Some(Chunks { likely, least: likely - 8.0, most: likely + 16.0 }),
    }
}

fn flat(quantity: Quantity) -> Figure {
    figure(quantity, 0.0, Trend::Flat)
}

fn grows(quantity: Quantity, per_cycle: f64) -> Figure {
    figure(quantity, per_cycle, Trend::Growing)
}

fn soak() -> Soak {
    let mut soak = Soak::default();
    soak.judged.verdict = Verdict::Clean;
    soak.language = Language::C;
    soak.outcome.kind = OutcomeKind::Completed;
    soak
}

fn few(instrument: Instrument, figures: Vec<Figure>) -> Observation {
    observed(instrument, Span { after: 100, to: 300 }, figures)
}

fn many(instrument: Instrument, figures: Vec<Figure>) -> Observation {
    observed(instrument, Span { after: 500, to: 10_500 }, figures)
}

fn observations(own: Vec<Figure>, memcheck: Vec<Figure>) -> Vec<Observation> {
    vec![many(Instrument::Dlsoak, own), few(Instrument::Memcheck, memcheck)]
}

fn reconciled(seen: &[Observation]) -> Reconciled {
    reconcile(&soak(), seen, false)
}

#[test]
fn figures_within_one_percent_agree() {
    for (ours, requested, agreement) in [
        (32.0, 16.0, Agreement::Agree),
        (32.3, 16.0, Agreement::Agree),
        (32.4, 16.0, Agreement::Inconclusive),
        (49.0, 16.0, Agreement::Disagree),
        (20.0, 16.0, Agreement::Disagree),
    ] {
        let memcheck = vec![grows(Quantity::NotFreed, requested), grows(Quantity::Lost, requested)];
        let result = reconciled(&observations(vec![grows(HEAP, ours)], memcheck));
        let check = &result.cross_checks[0];
        assert_eq!((check.subject, check.agreement), (Subject::CHeap, agreement), "{ours} {check:?}");
        assert_eq!((result.answer, result.places[0].kind), (Answer::Grows, PlaceKind::CHeap));
        assert_eq!(result.places[0].seen_by, [Instrument::Dlsoak, Instrument::Memcheck]);
    }
}

#[test]
fn growth_that_only_another_instrument_sees_is_undecided() {
    let memcheck = vec![grows(Quantity::NotFreed, 64.0), grows(Quantity::Lost, 64.0)];
    let result = reconciled(&observations(vec![flat(HEAP)], memcheck));
    assert_eq!(result.answer, Answer::Undecided);
    let source = Source { instrument: Instrument::Memcheck, quantity: Quantity::NotFreed };
    assert_eq!(result.doubts[0], Doubt::SeenElsewhere { source, per_cycle: 64.0 });
    assert_eq!(result.cross_checks[0].agreement, Agreement::Disagree);
    let own = vec![flat(HEAP), flat(ANON)];
    let mut seen = observations(own, vec![flat(Quantity::NotFreed), flat(Quantity::Lost)]);
    let result = reconciled(&seen);
    assert!(result.answer == Answer::NothingGrows && result.doubts.is_empty(), "{result:?}");
    seen.push(few(Instrument::Lsan, vec![grows(Quantity::Lost, 16.0)]));
    assert_eq!(reconciled(&seen).answer, Answer::Undecided);
    seen.pop();
    seen.push(many(Instrument::Status, vec![grows(Quantity::RssAnon, 4096.0)]));
    assert_eq!(reconciled(&seen).answer, Answer::Undecided);
    for trend in [Trend::Unclear, Trend::Decaying] {
        let own = vec![figure(HEAP, 3.0, trend)];
        let source = Source { instrument: Instrument::Dlsoak, quantity: HEAP };
        assert_eq!(reconciled(&observations(own, vec![])).doubts, [Doubt::NotExcluded { source, high: 3.0 }]);
    }
    let mut undecided = soak();
    undecided.judged.verdict = Verdict::Inconclusive;
    let result = reconcile(&undecided, &observations(vec![flat(HEAP)], vec![]), false);
    assert_eq!((result.answer, result.doubts), (Answer::Undecided, vec![Doubt::SoakInconclusive]));
    let mut crashed = soak();
    crashed.outcome.kind = OutcomeKind::Crashed;
    assert_eq!(reconcile(&crashed, &observations(vec![], vec![]), false).answer, Answer::EndedEarly);
    assert_eq!(reconcile(&soak(), &seen, true).answer, Answer::Interrupted);
}

#[test]
fn lost_blocks_are_compared_by_what_is_certain() {
    use Quantity::{DefinitelyLost, Lost, PossiblyLost, StillReachable};
    let agreement = |figures: Vec<Figure>, lsan: Figure| {
        let mut seen = observations(vec![grows(HEAP, 32.0)], figures);
        seen.push(few(Instrument::Lsan, vec![lsan]));
        let checks = reconciled(&seen).cross_checks;
        checks.into_iter().find(|check| check.subject == Subject::LostBlocks).unwrap().agreement
    };
    let possibly = || vec![grows(Lost, 288.0), flat(DefinitelyLost), grows(PossiblyLost, 288.0)];
    assert_eq!(agreement(possibly(), flat(Lost)), Agreement::Inconclusive);
    let both = || vec![grows(Lost, 304.0), grows(DefinitelyLost, 16.0), grows(PossiblyLost, 288.0)];
    assert_eq!(agreement(both(), grows(Lost, 16.0)), Agreement::Agree);
    assert_eq!(agreement(both(), grows(Lost, 304.0)), Agreement::Agree);
    assert_eq!(agreement(both(), grows(Lost, 100.0)), Agreement::Disagree);
    assert_eq!(agreement(both(), flat(Lost)), Agreement::Disagree);
    assert_eq!(agreement(vec![flat(Lost)], grows(Lost, 16.0)), Agreement::Disagree);
    assert_eq!(
        agreement(vec![flat(Lost), grows(StillReachable, 16.0)], grows(Lost, 16.0)),
        Agreement::Inconclusive
    );
}

#[test]
fn growth_is_attributed_to_its_place() {
    let place = |own: Vec<Figure>, more: Option<Observation>| {
        let mut seen = observations(own, vec![flat(Quantity::NotFreed), flat(Quantity::Lost)]);
        seen.extend(more);
        let places = reconciled(&seen).places;
        places.into_iter().map(|place| (place.kind, place.content, place.per_cycle)).collect::<Vec<_>>()
    };
    let own = vec![flat(HEAP), grows(VIRTUAL, 4096.0), grows(ANON, 4096.0)];
    assert_eq!(place(own, None), [(PlaceKind::Mappings, Content::AnonymousMappings, 4096.0)]);
    // Growth of the heap causes growth of address space and resident memory.
    let own = vec![grows(HEAP, 1008.0), grows(VIRTUAL, 1020.0), grows(ANON, 1010.0)];
    assert_eq!(place(own, None), [(PlaceKind::CHeap, Content::MallocBlocks, 1008.0)]);
    let own = vec![flat(HEAP), flat(VIRTUAL), grows(ANON, 1024.0)];
    assert_eq!(place(own, None), [(PlaceKind::Unattributed, Content::TouchedMemory, 1024.0)]);
    let brk = many(Instrument::Status, vec![grows(Quantity::Brk, 4090.0)]);
    let own = vec![flat(HEAP), grows(VIRTUAL, 4096.0), grows(ANON, 4096.0)];
    assert_eq!(place(own, Some(brk)), [(PlaceKind::Unattributed, Content::Fragmentation, 4096.0)]);
    let go = many(Instrument::Gctrace, vec![grows(Quantity::GoHeap, 944.0)]);
    let own = vec![flat(HEAP), flat(VIRTUAL), grows(ANON, 1136.0)];
    assert_eq!(place(own, Some(go)), [(PlaceKind::GoHeap, Content::GoObjects, 944.0)]);
    let go = without(Instrument::Gctrace, Failure::NoCollections.into());
    let own = vec![flat(HEAP), flat(VIRTUAL), grows(ANON, 1136.0)];
    assert_eq!(place(own, Some(go)), [(PlaceKind::Unattributed, Content::GoUnobserved, 1136.0)]);
    let own = vec![grows(PAGE_TABLES, 4104.0)];
    assert_eq!(place(own, None), [(PlaceKind::KernelSide, Content::PageTables, 4104.0)]);
    let own = vec![grows(VIRTUAL, 4096.0), grows(ANON, 4096.0), grows(PAGE_TABLES, 8.0)];
    assert_eq!(place(own, None), [(PlaceKind::Mappings, Content::AnonymousMappings, 4096.0)]);
}

#[test]
fn a_missing_instrument_does_not_change_the_answer() {
    let mut seen = observations(vec![flat(HEAP)], vec![]);
    seen[1] = without(Instrument::Memcheck, PeerError::NotInstalled);
    assert_eq!(seen[1].state, State::Missing);
    let result = reconciled(&seen);
    assert!(result.answer == Answer::NothingGrows && result.cross_checks.is_empty(), "{result:?}");
}
