//! Pure: brings the looks together: where something grows, whether those who can see the same thing say the same, and what follows.

use super::trend::Trend;
use super::{Accord, Agreement, Answer, Figure, Instrument, Look, Place, PlaceKind, State, words};
use crate::record::{Language, OutcomeKind, Soak, Unit, Verdict};
use crate::settings::units;

/// How far apart two exact figures may be that are the same.
const SAME: f64 = 0.01;
/// Bytes by which malloc takes memory from the kernel at a time: `M_TOP_PAD` and what is in hand.
const STEP_OF_BRK: f64 = 264.0 * 1024.0;
/// Bytes by which Go takes address space at a time.
const STEP_OF_GO: f64 = 64.0 * 1024.0 * 1024.0;
/// Page tables take 8 bytes of each 4,096 that are used; twice that is no growth of their own.
const TABLES: f64 = 0.004;

/// What the looks say together.
#[derive(Debug, Clone)]
pub(super) struct Together {
    pub(super) places: Vec<Place>,
    pub(super) agreements: Vec<Agreement>,
    pub(super) answer: Answer,
    pub(super) conclusion: Vec<String>,
}

/// The looks, to be asked for figures.
pub(super) struct Looks<'a>(pub(super) &'a [Look]);

impl<'a> Looks<'a> {
    pub(super) fn of(&self, instrument: Instrument) -> Option<&'a Look> {
        self.0.iter().find(|look| look.instrument == instrument && look.state == State::Looked)
    }

    pub(super) fn figure(&self, instrument: Instrument, what: &str) -> Option<&'a Figure> {
        self.of(instrument)?.figure(what)
    }

    /// The figure, where it grows.
    fn growing(&self, instrument: Instrument, what: &str) -> Option<&'a Figure> {
        self.figure(instrument, what).filter(|figure| figure.trend == Trend::Growing)
    }

    fn cycles(&self, instrument: Instrument) -> f64 {
        let span = self.of(instrument).and_then(|look| look.cycles);
        span.map_or(1.0, |(from, to)| to.saturating_sub(from).max(1) as f64)
    }
}

/// Brings them together.
pub(super) fn reconcile(soak: &Soak, looks: &[Look], interrupted: bool) -> Together {
    let looks = Looks(looks);
    let places = places(&looks);
    let agreements: Vec<Agreement> = [
        heap(&looks),
        lost(&looks),
        of_kernel(&looks, "rss", "VmRSS"),
        of_kernel(&looks, "anon", "RssAnon"),
        of_kernel(&looks, "virtual", "VmSize"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let doubts = doubts(soak, &looks, &agreements);
    let answer = match soak.outcome.kind {
        _ if interrupted => Answer::Interrupted,
        OutcomeKind::Interrupted => Answer::Interrupted,
        OutcomeKind::Completed if !places.is_empty() => Answer::Grows,
        OutcomeKind::Completed if !doubts.is_empty() => Answer::Undecided,
        OutcomeKind::Completed => Answer::NothingGrows,
        _ => Answer::EndedEarly,
    };
    let conclusion = words::conclusion(answer, soak, &looks, &places, &agreements, doubts);
    Together { places, agreements, answer, conclusion }
}

fn places(looks: &Looks<'_>) -> Vec<Place> {
    use Instrument::{Dlsoak, Gctrace, Memcheck, Status};
    let own = |what: &str| looks.growing(Dlsoak, what);
    let cycles = looks.cycles(Dlsoak);
    let mut places = Vec::new();
    let mut found = |place, per_cycle, unit, seen_by: Vec<Instrument>, detail: &str| {
        places.push(Place { place, per_cycle, unit, seen_by, detail: detail.to_owned() });
    };
    let also = |also: bool, who: Instrument| also.then_some(who);
    let heap = own("heap");
    if let Some(figure) = heap {
        let valgrind = also(looks.growing(Memcheck, "not freed").is_some(), Memcheck);
        let by = [Dlsoak].into_iter().chain(valgrind).collect();
        found(PlaceKind::CHeap, figure.per_cycle, Unit::Bytes, by, "blocks from malloc, with their headers");
    }
    let go = looks.growing(Gctrace, "live Go heap");
    if let Some(figure) = go {
        let detail = "what Go's own collector keeps alive";
        found(PlaceKind::GoHeap, figure.per_cycle, Unit::Bytes, vec![Gctrace], detail);
    }
    // What is explained already, and how much of it there may be besides.
    let heap_is = heap.map_or(0.0, |figure| figure.per_cycle);
    let heap_high = heap.map_or(0.0, |figure| figure.high.max(figure.per_cycle));
    let go_high = go.map_or(0.0, |figure| figure.high);
    let mut left = 0.0;
    if let Some(figure) = own("virtual") {
        let beyond = figure.low - 1.1 * heap_high - 4.0 * go_high;
        let steps = (STEP_OF_BRK + if go.is_some() { STEP_OF_GO } else { 0.0 }) / cycles;
        if beyond > steps.min(figure.per_cycle / 2.0).max(figure.smallest) {
            left = figure.per_cycle - heap_is - go.map_or(0.0, |figure| figure.per_cycle);
            let brk = looks.growing(Status, "[heap]").map_or(0.0, |brk| brk.per_cycle);
            let by = vec![Dlsoak]
                .into_iter()
                .chain(also(looks.growing(Status, "VmSize").is_some(), Status))
                .collect();
            if brk - heap_is > left / 2.0 {
                let detail =
                    "malloc's heap grows beyond what is in use: freed blocks that no later request fits in";
                found(PlaceKind::NoBooks, left, Unit::Bytes, by, detail);
            } else {
                let detail = match own("threads") {
                    Some(_) => "address space; the stacks of the threads that stay are in it",
                    None if own("anon").is_some_and(|anon| anon.low > heap_high + left / 10.0) => {
                        "mapped and not unmapped, by mmap and not by malloc"
                    }
                    None => {
                        "mapped and not unmapped; for the most part not resident, or no memory of its own (files, shared)"
                    }
                };
                found(PlaceKind::Mappings, left, Unit::Bytes, by, detail);
            }
        }
    }
    for (what, detail) in
        [("threads", "threads that stay"), ("fds", "descriptors that stay open, with what they hold")]
    {
        if let Some(figure) = own(what) {
            found(PlaceKind::KernelSide, figure.per_cycle, Unit::Count, vec![Dlsoak], detail);
        }
    }
    if let Some(figure) = own("page_tables") {
        let space = own("virtual").map_or(0.0, |figure| figure.high).max(own("anon").map_or(0.0, |f| f.high));
        // Tables come by the page, each for 2 MiB of addresses.
        if figure.low > TABLES * space.max(heap_high + go_high) + 2.0 * 4096.0 / cycles {
            found(PlaceKind::KernelSide, figure.per_cycle, Unit::Bytes, vec![Dlsoak], "page tables");
        }
    }
    let explained = 1.1 * heap_high + 2.5 * go_high + left;
    for (what, theirs, detail) in [
        (
            "anon",
            "RssAnon",
            "memory that was mapped before is being touched, by an allocator of its own or a large array",
        ),
        ("rss", "VmRSS", "pages of files or shared memory that were mapped before are being touched"),
    ] {
        let detail = match looks.0.iter().find(|look| look.instrument == Gctrace) {
            None => detail,
            Some(_) if what == "rss" => detail,
            Some(look) if look.state == State::Looked => {
                "Go's runtime beside its heap (stacks of goroutines, for one), or memory that was mapped before is touched"
            }
            Some(_) => "Go's heap, or memory that was mapped before is touched: gctrace did not look",
        };
        let Some(figure) = own(what).filter(|figure| figure.low - explained > figure.smallest.max(0.0))
        else {
            continue;
        };
        let by =
            vec![Dlsoak].into_iter().chain(also(looks.growing(Status, theirs).is_some(), Status)).collect();
        found(PlaceKind::NoBooks, figure.per_cycle - heap_is - left, Unit::Bytes, by, detail);
        break;
    }
    places
}

fn apart(a: f64, b: f64) -> f64 {
    (a - b).abs() / a.abs().max(b.abs()).max(f64::MIN_POSITIVE)
}

pub(super) fn bytes(x: f64) -> String {
    format!("{}/cycle", units::bytes(x))
}

/// Our heap against valgrind's blocks, with the headers that malloc gives them.
fn heap(looks: &Looks<'_>) -> Option<Agreement> {
    let between = [Instrument::Dlsoak, Instrument::Memcheck];
    let ours = looks.figure(Instrument::Dlsoak, "heap")?;
    let theirs = looks.figure(Instrument::Memcheck, "not freed")?;
    let (likely, least, most) = theirs.in_chunks?;
    let cycles = looks.cycles(Instrument::Memcheck);
    let (accord, detail) = match (ours.trend, theirs.trend) {
        (Trend::Flat, Trend::Flat) => (Accord::Agree, "neither sees growth".to_owned()),
        (Trend::Growing, Trend::Growing) => {
            let difference = apart(ours.per_cycle, likely);
            let figures = format!(
                "{} against {} ({} as asked for)",
                bytes(ours.per_cycle),
                bytes(likely),
                bytes(theirs.per_cycle)
            );
            if difference <= SAME {
                (Accord::Agree, format!("{figures}, {} % apart", units::number(difference * 100.0)))
            } else if (least..=most).contains(&ours.per_cycle) {
                let range = format!("between {} and {}", bytes(least), bytes(most));
                (Accord::CannotTell, format!("{figures}; with headers and rounding it is {range}"))
            } else {
                (Accord::Disagree, format!("{figures}, {} % apart", units::number(difference * 100.0)))
            }
        }
        (Trend::Growing, Trend::Flat) => {
            // A leak in few cycles need not fall into these.
            let rare = ours.per_cycle * cycles < 128.0;
            let accord = if rare { Accord::CannotTell } else { Accord::Disagree };
            (accord, format!("{} against nothing in {cycles} cycles of valgrind", bytes(ours.per_cycle)))
        }
        (Trend::Flat, Trend::Growing) => {
            let hidden = likely < ours.smallest;
            let accord = if hidden { Accord::CannotTell } else { Accord::Disagree };
            let more = "a cache that fills looks so in few cycles: give --memcheck-cycles more";
            (accord, format!("no growth against {} in {cycles} cycles of valgrind; {more}", bytes(likely)))
        }
        _ => {
            let (ours, theirs) = (told(ours), told(theirs));
            (Accord::CannotTell, format!("{ours} against {theirs}"))
        }
    };
    Some(Agreement { about: "C heap", between, accord, detail })
}

/// A figure in words.
fn told(figure: &Figure) -> String {
    match figure.trend {
        Trend::Growing => bytes(figure.per_cycle),
        Trend::Flat => "no growth".to_owned(),
        Trend::Unclear => "nothing certain".to_owned(),
    }
}

/// What nothing points to, by those who follow pointers.
fn lost(looks: &Looks<'_>) -> Option<Agreement> {
    let between = [Instrument::Memcheck, Instrument::Lsan];
    let valgrind = looks.figure(Instrument::Memcheck, "lost")?;
    let lsan = looks.figure(Instrument::Lsan, "lost")?;
    let figures = format!("{} against {}", told(valgrind), told(lsan));
    // What is pointed to from inside only, such as what glibc keeps for a thread, need not be lost for both.
    let certain = ["definitely lost", "indirectly lost"].map(|what| looks.figure(Instrument::Memcheck, what));
    let certain: f64 = certain.into_iter().flatten().map(|figure| figure.per_cycle).sum();
    let accord = match (valgrind.trend, lsan.trend) {
        (Trend::Flat, Trend::Flat) => {
            return Some(Agreement {
                about: "lost blocks",
                between,
                accord: Accord::Agree,
                detail: "neither finds any that grow".to_owned(),
            });
        }
        (Trend::Growing, Trend::Growing)
            if [valgrind.per_cycle, certain].iter().any(|theirs| apart(*theirs, lsan.per_cycle) <= SAME) =>
        {
            Accord::Agree
        }
        (Trend::Growing, Trend::Flat) if certain <= 0.0 => Accord::CannotTell,
        // An address left on a stack hides a few; what is reachable for one need not be so for the other.
        (Trend::Unclear, _) | (_, Trend::Unclear) => Accord::CannotTell,
        (Trend::Flat, Trend::Growing) if looks.growing(Instrument::Memcheck, "still reachable").is_some() => {
            Accord::CannotTell
        }
        _ => Accord::Disagree,
    };
    Some(Agreement { about: "lost blocks", between, accord, detail: figures })
}

/// Our sampling against a plain reading of the same counters, in another process.
fn of_kernel(looks: &Looks<'_>, what: &'static str, field: &'static str) -> Option<Agreement> {
    let between = [Instrument::Dlsoak, Instrument::Status];
    let ours = looks.figure(Instrument::Dlsoak, what)?;
    let theirs = looks.figure(Instrument::Status, field)?;
    let figures = format!("{} against {}", told(ours), told(theirs));
    let blind = |grows: &Figure, other: &Figure| {
        if grows.per_cycle <= other.smallest { Accord::CannotTell } else { Accord::Disagree }
    };
    let accord = match (ours.trend, theirs.trend) {
        (Trend::Flat, Trend::Flat) => Accord::Agree,
        (Trend::Growing, Trend::Growing) => {
            let off = (theirs.high - theirs.low) / 2.0 + (ours.high - ours.low) / 2.0;
            let difference = (ours.per_cycle - theirs.per_cycle).abs();
            if difference <= off || apart(ours.per_cycle, theirs.per_cycle) <= SAME {
                Accord::Agree
            } else if apart(ours.per_cycle, theirs.per_cycle) <= 0.5 {
                // Two processes: caches, collectors and the kernel's own batches need not do the same.
                Accord::CannotTell
            } else {
                Accord::Disagree
            }
        }
        (Trend::Growing, Trend::Flat) => blind(ours, theirs),
        (Trend::Flat, Trend::Growing) => blind(theirs, ours),
        _ => Accord::CannotTell,
    };
    let about = match what {
        "rss" => "resident memory",
        "anon" => "anonymous memory",
        _ => "address space",
    };
    let detail = match accord {
        Accord::Agree if ours.trend == Trend::Flat => "neither sees growth".to_owned(),
        _ => figures,
    };
    Some(Agreement { about, between, accord, detail })
}

/// What speaks against "nothing grows".
fn doubts(soak: &Soak, looks: &Looks<'_>, agreements: &[Agreement]) -> Vec<String> {
    let mut doubts: Vec<String> = Vec::new();
    if matches!(soak.verdict, Verdict::Inconclusive) {
        doubts.push("our own soak is undecided: give it more cycles (-n)".to_owned());
    } else if let Some(figure) =
        looks.figure(Instrument::Dlsoak, "heap").filter(|f| f.trend == Trend::Unclear)
    {
        doubts.push(format!("our own soak can't exclude growth of the C heap up to {}", bytes(figure.high)));
    }
    for (instrument, what) in [
        (Instrument::Memcheck, "not freed"),
        (Instrument::Memcheck, "lost"),
        (Instrument::Lsan, "lost"),
        (Instrument::Status, "RssAnon"),
        (Instrument::Status, "VmSize"),
    ] {
        if let Some(figure) = looks.growing(instrument, what) {
            doubts.push(format!(
                "{}: {what} grows by {}, and our own soak saw no growth",
                instrument.name(),
                bytes(figure.per_cycle)
            ));
        }
    }
    if doubts.is_empty() && agreements.iter().any(|agreement| agreement.accord == Accord::Disagree) {
        doubts.push("instruments contradict each other".to_owned());
    }
    if soak.language == Language::Go
        && let Some(figure) =
            looks.figure(Instrument::Gctrace, "live Go heap").filter(|f| f.trend == Trend::Unclear)
    {
        doubts.push(format!(
            "gctrace does not exclude growth of Go's heap up to {}: give it more cycles (-n)",
            bytes(figure.high)
        ));
    }
    doubts
}
