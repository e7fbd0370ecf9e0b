//! What the instruments really wrote, whole, cut and damaged; and what follows from looks that agree, and from looks that do not.

use dlsoak_agent::bare;

use super::blocks::{blocks, top};
use super::gctrace::{self, Collection, Line};
use super::memcheck::{self, LossKind, MemcheckError};
use super::reconcile::reconcile;
use super::status::{self, Reading};
use super::trend::{Trend, trend};
use super::{Accord, Answer, Figure, Frame, Instrument, Leaked, Look, PlaceKind, State, lsan};
use crate::record::{Language, OutcomeKind, Soak, Unit, Verdict};

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
    assert_eq!(definite[1].to_string(), "main (list.c:6)");
    assert!(definite.len() >= 2 && definite[0].object.as_deref().unwrap().contains("vgpreload"));
    assert_eq!(found.blocks_of(500), 1);
    // The stack of where a block was freed is none of who asked for it.
    assert_eq!(found.blocks_of(17), 0);
}

#[test]
fn a_frame_without_a_name_says_so() {
    let found = memcheck::parse(UNLOADED.as_bytes()).unwrap();
    let leak = found.leaked(&[LossKind::Definitely]).into_iter().find(|leak| leak.bytes % 16 == 0).unwrap();
    assert_eq!((leak.bytes, leak.blocks), (48, 3));
    assert_eq!(leak.stack[1].to_string(), "??? (code that was unloaded)");
    assert_eq!(leak.stack[2].function.as_deref(), Some("call_init"));
    let object = Frame { object: Some("/lib/libx.so.1".to_owned()), ..Frame::default() };
    assert_eq!(object.to_string(), "??? in libx.so.1");
}

#[test]
fn a_report_of_memcheck_that_is_cut_is_none() {
    assert_eq!(memcheck::parse(FATAL.as_bytes()), Err(MemcheckError::Fatal("SIGSEGV".to_owned())));
    let whole = LIST.trim_end();
    for end in 0..whole.len() {
        assert!(memcheck::parse(&whole.as_bytes()[..end]).is_err(), "{end}");
    }
    for broken in ["", "no xml", "<valgrindoutput></valgrindoutput>", "<a><b></a>", "\u{0}\u{ff}"] {
        assert!(memcheck::parse(broken.as_bytes()).is_err(), "{broken}");
    }
    // Another tool's, and a leak without its figures.
    assert!(
        memcheck::parse(LIST.replace("<protocoltool>memcheck", "<protocoltool>helgrind").as_bytes()).is_err()
    );
    assert!(memcheck::parse(LIST.replace("<leakedbytes>75", "<leakedbytes>many").as_bytes()).is_err());
}

#[test]
fn lsan_is_read_and_must_add_up() {
    let leaks = lsan::parse(LSAN_LIST).unwrap();
    let sum: u64 = leaks.iter().map(|leak| leak.bytes).sum();
    assert_eq!((leaks.len(), sum, leaks[0].blocks), (3, 832, 5));
    assert_eq!(leaks[0].stack[1].to_string(), "main (list.c:6)");
    let unloaded = lsan::parse(LSAN_UNLOADED).unwrap();
    assert_eq!((unloaded[0].bytes, unloaded[0].blocks), (1600, 100));
    assert_eq!(unloaded[0].stack[1], Frame::default());
    assert_eq!(unloaded[0].stack[2].to_string(), "call_init (dl-init.c:74)");
    let module = lsan::parse(
        "==1==ERROR: LeakSanitizer: detected memory leaks\nDirect leak of 8 byte(s) in 1 object(s) allocated from:\n    \
        #0 0x7f in fn(int, char*) (/lib/libx.so+0x1a)\nSUMMARY: LeakSanitizer: 8 byte(s) leaked in 1 allocation(s).\n",
    );
    assert_eq!(module.unwrap()[0].stack[0].to_string(), "fn(int, char*) in libx.so");
}

#[test]
fn a_report_of_lsan_that_is_cut_is_none() {
    // Before the announcement there is nothing that tells of leaks; from there on all of it must be there.
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
    let fatal = lsan::parse(traced).unwrap_err().to_string();
    assert!(fatal.contains("does not work under ptrace"), "{fatal}");
}

#[test]
fn the_loop_is_known_by_its_names_and_its_controls_count_for_nothing() {
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
            let figure = blocks("lost", short, &long, 4);
            (figure.per_cycle, figure.blocks_per_cycle, figure.trend)
        };
        assert_eq!(of_cycles(&short), (100.0, Some(1.0), Trend::Growing));
        // A control that one of the reports does not have is no growth.
        let hidden: Vec<Leaked> = long.iter().filter(|leak| !is_control(leak)).cloned().collect();
        assert_eq!(of_cycles(&hidden), (0.0, Some(0.0), Trend::Flat));
        // Where the loop begins, what is shown ends.
        let shown = top(&short, &long);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].function.as_deref().is_none_or(|name| name == "fibonacci"), "{shown:?}");
    }
}

#[test]
fn each_version_of_go_is_read() {
    for text in GO {
        let collections: Vec<_> = text.lines().map(gctrace::line).collect();
        assert!(
            collections.len() > 3 && collections.iter().all(|l| matches!(l, Some(Line::Collection(_)))),
            "{text}"
        );
        let Some(Some(Line::Collection(last))) = collections.last() else { panic!("{text}") };
        assert!(last.live >= 3 && last.goal >= 3, "{last:?}");
    }
    let of = |text: &str| gctrace::line(text);
    let whole = "gc 5 @0.108s 0%: 0.009+0.22+0.008 ms clock, 0.018+0.018/0.16/0.014+0.016 ms cpu, 4->5->3 MB, 6 MB goal";
    let collection = Line::Collection(Collection { number: 5, before: 4, after: 5, live: 3, goal: 6 });
    // Before Go 1.18 it ended so; a library's own words may stand before it; the runtime may have been told to.
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
fn live_heap_grows_only_where_it_goes_on() {
    let points = |collections: &dyn Fn(u64) -> Vec<Line>| -> Vec<Line> {
        (0..=10_u64).flat_map(|p| [vec![Line::At(500 + p * 1000)], collections(p)].concat()).collect()
    };
    let grows = gctrace::growth(&points(&|p| vec![gc(p, p + 1)])).unwrap();
    assert_eq!(grows.trend, Trend::Growing);
    let (low, per_cycle, high) = grows.per_cycle;
    let mib = gctrace::STEP as f64;
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
        assert_eq!(gctrace::growth(&lines).unwrap().trend, trend, "{what}");
    }
    assert!(gctrace::growth(&points(&|_| vec![])).unwrap_err().contains("no line of gctrace"));
    assert!(gctrace::growth(&[gc(1, 2)]).is_err() && gctrace::growth(&[]).is_err());
    assert!(gctrace::growth(&points(&|_| vec![gc(1, 2), Line::Unreadable])).is_err());
}

#[test]
fn a_coarse_series_goes_up_only_where_all_of_its_end_is_above_all_of_its_beginning() {
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
fn status_is_read_or_says_what_is_missing() {
    let status =
        "Name:\tdlsoak\nVmSize:\t   12345 kB\nVmRSS:\t    2048 kB\nRssAnon:\t     512 kB\nThreads:\t3\n";
    let maps = "55d0-55e0 r-xp 00000000 08:01 1 /usr/bin/x\n56000000-56021000 rw-p 00000000 00:00 0 [heap]\n";
    let reading = status::reading(status, maps).unwrap();
    let expected = Reading { rss: 2048 << 10, anon: 512 << 10, size: 12345 << 10, heap: 0x21000, threads: 3 };
    assert_eq!(reading, expected);
    for field in ["VmSize", "VmRSS", "RssAnon", "Threads"] {
        let problem = status::reading(&status.replace(field, "Other"), maps).unwrap_err();
        assert!(problem.contains(field), "{problem}");
    }
    assert!(status::reading(&status.replace("2048 kB", "x kB"), maps).is_err());
    assert!(status::reading(status, "zz [heap]").is_err());
    let points = [(500, reading), (1500, Reading { anon: reading.anon + 4096 * 1000, ..reading })];
    let change = status::change(&points, |reading| reading.anon, 8192.0).unwrap();
    assert_eq!((change.per_cycle.1, change.trend), (4096.0, Trend::Growing));
    assert!(status::change(&points[..1], |reading| reading.anon, 1.0).is_none());
}

fn figure(what: &'static str, per_cycle: f64, trend: Trend) -> Figure {
    let (low, high, smallest) = (per_cycle, per_cycle, 0.5);
    let chunks = per_cycle + 16.0 * f64::from(u8::from(per_cycle > 0.0));
    Figure {
        what,
        unit: Unit::Bytes,
        per_cycle,
        low,
        high,
        trend,
        smallest,
        blocks_per_cycle: None,
        in_chunks: Some((chunks, chunks - 8.0, chunks + 16.0)),
    }
}

fn flat(what: &'static str) -> Figure {
    figure(what, 0.0, Trend::Flat)
}

fn grows(what: &'static str, per_cycle: f64) -> Figure {
    figure(what, per_cycle, Trend::Growing)
}

fn soak() -> Soak {
    let mut soak = Soak { verdict: Verdict::Clean, language: Language::C, ..Soak::default() };
    soak.outcome.kind = OutcomeKind::Completed;
    soak
}

fn looks(own: Vec<Figure>, memcheck: Vec<Figure>) -> Vec<Look> {
    vec![
        Look::looked(Instrument::Dlsoak, (500, 10_500), own),
        Look::looked(Instrument::Memcheck, (100, 300), memcheck),
    ]
}

#[test]
fn agreeing_is_within_one_percent_and_nothing_else() {
    for (ours, asked_for, accord) in [
        (32.0, 16.0, Accord::Agree),
        (32.3, 16.0, Accord::Agree),
        (32.4, 16.0, Accord::CannotTell),
        (49.0, 16.0, Accord::Disagree),
        (20.0, 16.0, Accord::Disagree),
    ] {
        let together = reconcile(
            &soak(),
            &looks(vec![grows("heap", ours)], vec![grows("not freed", asked_for), grows("lost", asked_for)]),
            false,
        );
        assert_eq!(together.agreements[0].accord, accord, "{ours} {:?}", together.agreements);
        assert_eq!((together.answer, together.places[0].place), (Answer::Grows, PlaceKind::CHeap));
    }
}

#[test]
fn what_only_another_instrument_sees_is_not_clean() {
    let memcheck = vec![grows("not freed", 64.0), grows("lost", 64.0)];
    let together = reconcile(&soak(), &looks(vec![flat("heap")], memcheck), false);
    assert_eq!(together.answer, Answer::Undecided);
    assert_eq!(together.agreements[0].accord, Accord::Disagree);
    let mut seen = looks(vec![flat("heap"), flat("anon")], vec![flat("not freed"), flat("lost")]);
    assert_eq!(reconcile(&soak(), &seen, false).answer, Answer::NothingGrows);
    seen.push(Look::looked(Instrument::Lsan, (100, 300), vec![grows("lost", 16.0)]));
    assert_eq!(reconcile(&soak(), &seen, false).answer, Answer::Undecided);
    seen.pop();
    seen.push(Look::looked(Instrument::Status, (500, 10_500), vec![grows("RssAnon", 4096.0)]));
    assert_eq!(reconcile(&soak(), &seen, false).answer, Answer::Undecided);
    let undecided = Soak { verdict: Verdict::Inconclusive, ..soak() };
    assert_eq!(reconcile(&undecided, &looks(vec![flat("heap")], vec![]), false).answer, Answer::Undecided);
    let mut crashed = soak();
    crashed.outcome.kind = OutcomeKind::Crashed;
    assert_eq!(reconcile(&crashed, &looks(vec![], vec![]), false).answer, Answer::EndedEarly);
    assert_eq!(reconcile(&soak(), &seen, true).answer, Answer::Interrupted);
}

#[test]
fn lost_blocks_are_held_together_by_what_is_certain() {
    let accord = |figures: Vec<Figure>, lsan: Figure| {
        let mut seen = looks(vec![grows("heap", 32.0)], figures);
        seen.push(Look::looked(Instrument::Lsan, (100, 300), vec![lsan]));
        reconcile(&soak(), &seen, false)
            .agreements
            .into_iter()
            .find(|a| a.about == "lost blocks")
            .unwrap()
            .accord
    };
    let possibly = || vec![grows("lost", 288.0), flat("definitely lost"), grows("possibly lost", 288.0)];
    assert_eq!(accord(possibly(), flat("lost")), Accord::CannotTell);
    let both = || vec![grows("lost", 304.0), grows("definitely lost", 16.0), grows("possibly lost", 288.0)];
    assert_eq!(accord(both(), grows("lost", 16.0)), Accord::Agree);
    assert_eq!(accord(both(), grows("lost", 304.0)), Accord::Agree);
    assert_eq!(accord(both(), grows("lost", 100.0)), Accord::Disagree);
    assert_eq!(accord(both(), flat("lost")), Accord::Disagree);
    assert_eq!(accord(vec![flat("lost")], grows("lost", 16.0)), Accord::Disagree);
    assert_eq!(
        accord(vec![flat("lost"), grows("still reachable", 16.0)], grows("lost", 16.0)),
        Accord::CannotTell
    );
}

#[test]
fn growth_is_put_where_it_is() {
    let place = |own: Vec<Figure>, more: Option<Look>| {
        let mut looks = looks(own, vec![flat("not freed"), flat("lost")]);
        looks.extend(more);
        let places = reconcile(&soak(), &looks, false).places;
        places.into_iter().map(|place| (place.place, place.per_cycle)).collect::<Vec<_>>()
    };
    let mapped = place(vec![flat("heap"), grows("virtual", 4096.0), grows("anon", 4096.0)], None);
    assert_eq!(mapped, [(PlaceKind::Mappings, 4096.0)]);
    // The heap's own growth brings address space and resident memory with it.
    let heap = place(vec![grows("heap", 1008.0), grows("virtual", 1020.0), grows("anon", 1010.0)], None);
    assert_eq!(heap, [(PlaceKind::CHeap, 1008.0)]);
    let touched = place(vec![flat("heap"), flat("virtual"), grows("anon", 1024.0)], None);
    assert_eq!(touched, [(PlaceKind::NoBooks, 1024.0)]);
    let brk = Look::looked(Instrument::Status, (500, 10_500), vec![grows("[heap]", 4090.0)]);
    let holes = place(vec![flat("heap"), grows("virtual", 4096.0), grows("anon", 4096.0)], Some(brk));
    assert_eq!(holes, [(PlaceKind::NoBooks, 4096.0)]);
    let go = Look::looked(Instrument::Gctrace, (500, 10_500), vec![grows("live Go heap", 944.0)]);
    let own = vec![flat("heap"), flat("virtual"), grows("anon", 1136.0)];
    assert_eq!(place(own, Some(go)), [(PlaceKind::GoHeap, 944.0)]);
    let tables = place(vec![grows("page_tables", 4104.0)], None);
    assert_eq!(tables, [(PlaceKind::KernelSide, 4104.0)]);
    let own = vec![grows("virtual", 4096.0), grows("anon", 4096.0), grows("page_tables", 8.0)];
    assert_eq!(place(own, None), [(PlaceKind::Mappings, 4096.0)]);
}

#[test]
fn a_missing_instrument_changes_nothing_but_its_line() {
    let mut seen = looks(vec![flat("heap")], vec![]);
    seen[1] = Look::without(Instrument::Memcheck, State::Missing, Some("not installed".to_owned()));
    let together = reconcile(&soak(), &seen, false);
    assert!(together.answer == Answer::NothingGrows && together.agreements.is_empty());
    assert!(together.conclusion.iter().any(|line| line.contains("only dlsoak")), "{:?}", together.conclusion);
}
