//! Pure: compares the observations. Finds where something grows, whether instruments that see the same thing agree, and the answer.

use crate::record::verification::{
    Agreement, Answer, Chunks, Content, CrossCheck, Doubt, Figure, Instrument, Observation, Place, PlaceKind,
    Quantity, Source, State, Subject,
};
use crate::record::{Language, Metric, OutcomeKind, Soak, Trend, Unit, Verdict};

/// Figures that differ by at most this share agree.
const SAME: f64 = 0.01;
/// Bytes that malloc takes from the kernel at a time: `M_TOP_PAD`, and the request itself.
const STEP_OF_BRK: f64 = 264.0 * 1024.0;
/// Bytes of address space that Go takes at a time.
const STEP_OF_GO: f64 = 64.0 * 1024.0 * 1024.0;
/// Page tables take 8 bytes for each 4,096 bytes in use. Twice that share is not growth of their own.
const TABLES: f64 = 0.004;
/// Two processes whose figures differ by at most this share do not contradict each other: their caches, their collectors and the
/// kernel's batches may differ.
const COMPATIBLE: f64 = 0.5;
/// A leak of fewer bytes than this in valgrind's cycles may be one that no cycle of these hits.
const RARE: f64 = 128.0;

/// What follows from all observations.
#[derive(Debug, Clone)]
pub(super) struct Reconciled {
    pub(super) places: Vec<Place>,
    pub(super) cross_checks: Vec<CrossCheck>,
    pub(super) doubts: Vec<Doubt>,
    pub(super) answer: Answer,
}

/// The observations, by instrument.
struct Observations<'a>(&'a [Observation]);

impl<'a> Observations<'a> {
    fn of(&self, instrument: Instrument) -> Option<&'a Observation> {
        self.0.iter().find(|found| found.instrument == instrument && found.state == State::Observed)
    }

    fn figure(&self, instrument: Instrument, quantity: Quantity) -> Option<&'a Figure> {
        self.of(instrument)?.figure(quantity)
    }

    /// The figure, if it grows.
    fn growing(&self, instrument: Instrument, quantity: Quantity) -> Option<&'a Figure> {
        self.figure(instrument, quantity).filter(|figure| figure.trend == Trend::Growing)
    }

    /// The figure, if it neither grows nor is flat.
    fn uncertain(&self, instrument: Instrument, quantity: Quantity) -> Option<&'a Figure> {
        let certain = |figure: &&Figure| matches!(figure.trend, Trend::Growing | Trend::Flat);
        self.figure(instrument, quantity).filter(|figure| !certain(figure))
    }

    fn cycles(&self, instrument: Instrument) -> f64 {
        let span = self.of(instrument).and_then(|found| found.cycles);
        span.map_or(1.0, |span| span.to.saturating_sub(span.after).max(1) as f64)
    }
}

/// Compares the observations.
pub(super) fn reconcile(soak: &Soak, observations: &[Observation], interrupted: bool) -> Reconciled {
    let all = Observations(observations);
    let places = places(&all);
    let cross_checks: Vec<CrossCheck> = [
        heap(&all),
        lost(&all),
        kernel(&all, Subject::ResidentMemory, Metric::Rss, Quantity::VmRss),
        kernel(&all, Subject::AnonymousMemory, Metric::Anon, Quantity::RssAnon),
        kernel(&all, Subject::AddressSpace, Metric::Virtual, Quantity::VmSize),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut doubts = doubts(soak, &all, &cross_checks);
    let answer = match soak.outcome.kind {
        _ if interrupted => Answer::Interrupted,
        OutcomeKind::Interrupted => Answer::Interrupted,
        OutcomeKind::Completed if !places.is_empty() => Answer::Grows,
        OutcomeKind::Completed if !doubts.is_empty() => Answer::Undecided,
        OutcomeKind::Completed => Answer::NothingGrows,
        _ => Answer::EndedEarly,
    };
    if answer != Answer::Undecided {
        doubts.clear();
    }
    Reconciled { places, cross_checks, doubts, answer }
}

fn places(all: &Observations<'_>) -> Vec<Place> {
    use Instrument::{Dlsoak, Gctrace, Memcheck, Status};
    let own = |metric| all.growing(Dlsoak, Quantity::Metric(metric));
    let own_and = |instrument: Instrument, quantity: Quantity| -> Vec<Instrument> {
        let also = all.growing(instrument, quantity).map(|_| instrument);
        [Dlsoak].into_iter().chain(also).collect()
    };
    let cycles = all.cycles(Dlsoak);
    let mut places = Vec::new();
    let mut found = |kind, content, per_cycle, unit, seen_by: Vec<Instrument>| {
        places.push(Place { kind, content, per_cycle, unit, seen_by });
    };
    let heap = own(Metric::Heap);
    if let Some(figure) = heap {
        let by = own_and(Memcheck, Quantity::NotFreed);
        found(PlaceKind::CHeap, Content::MallocBlocks, figure.per_cycle, Unit::Bytes, by);
    }
    let go = all.growing(Gctrace, Quantity::GoHeap);
    if let Some(figure) = go {
        found(PlaceKind::GoHeap, Content::GoObjects, figure.per_cycle, Unit::Bytes, vec![Gctrace]);
    }
    // What the heaps explain, and the most that they may explain.
    let heap_is = heap.map_or(0.0, |figure| figure.per_cycle);
    let heap_high = heap.map_or(0.0, |figure| figure.high.max(figure.per_cycle));
    let go_high = go.map_or(0.0, |figure| figure.high);
    let mut mapped = 0.0;
    if let Some(figure) = own(Metric::Virtual) {
        let beyond = figure.low - 1.1 * heap_high - 4.0 * go_high;
        let steps = (STEP_OF_BRK + if go.is_some() { STEP_OF_GO } else { 0.0 }) / cycles;
        if beyond > steps.min(figure.per_cycle / 2.0).max(figure.detectable) {
            mapped = figure.per_cycle - heap_is - go.map_or(0.0, |figure| figure.per_cycle);
            let brk = all.growing(Status, Quantity::Brk).map_or(0.0, |brk| brk.per_cycle);
            let by = own_and(Status, Quantity::VmSize);
            let (kind, content) = if brk - heap_is > mapped / 2.0 {
                (PlaceKind::Unattributed, Content::Fragmentation)
            } else if own(Metric::Threads).is_some() {
                (PlaceKind::Mappings, Content::ThreadStacks)
            } else if own(Metric::Anon).is_some_and(|anon| anon.low > heap_high + mapped / 10.0) {
                (PlaceKind::Mappings, Content::AnonymousMappings)
            } else {
                (PlaceKind::Mappings, Content::OtherMappings)
            };
            found(kind, content, mapped, Unit::Bytes, by);
        }
    }
    for (metric, content) in [(Metric::Threads, Content::Threads), (Metric::Fds, Content::Descriptors)] {
        if let Some(figure) = own(metric) {
            found(PlaceKind::KernelSide, content, figure.per_cycle, Unit::Count, vec![Dlsoak]);
        }
    }
    if let Some(figure) = own(Metric::PageTables) {
        let high = |metric| own(metric).map_or(0.0, |figure| figure.high);
        let space = high(Metric::Virtual).max(high(Metric::Anon));
        // The kernel allocates tables by the page, each for 2 MiB of addresses.
        if figure.low > TABLES * space.max(heap_high + go_high) + 2.0 * 4096.0 / cycles {
            let by = vec![Dlsoak];
            found(PlaceKind::KernelSide, Content::PageTables, figure.per_cycle, Unit::Bytes, by);
        }
    }
    let explained = 1.1 * heap_high + 2.5 * go_high + mapped;
    let touched = match all.0.iter().find(|found| found.instrument == Gctrace) {
        None => Content::TouchedMemory,
        Some(found) if found.state == State::Observed => Content::GoRuntime,
        Some(_) => Content::GoUnobserved,
    };
    for (metric, theirs, content) in
        [(Metric::Anon, Quantity::RssAnon, touched), (Metric::Rss, Quantity::VmRss, Content::TouchedFiles)]
    {
        let beyond = |figure: &&Figure| figure.low - explained > figure.detectable.max(0.0);
        let Some(figure) = own(metric).filter(beyond) else { continue };
        let per_cycle = figure.per_cycle - heap_is - mapped;
        found(PlaceKind::Unattributed, content, per_cycle, Unit::Bytes, own_and(Status, theirs));
        break;
    }
    places
}

fn apart(a: f64, b: f64) -> f64 {
    (a - b).abs() / a.abs().max(b.abs()).max(f64::MIN_POSITIVE)
}

/// The difference of two figures that both grow.
fn difference(ours: &Figure, theirs: &Figure, comparable: f64) -> Option<f64> {
    let both = ours.trend == Trend::Growing && theirs.trend == Trend::Growing;
    both.then(|| apart(ours.per_cycle, comparable))
}

/// dlsoak's heap and valgrind's blocks, with the headers that malloc gives them.
fn heap(all: &Observations<'_>) -> Option<CrossCheck> {
    let between = [
        Source { instrument: Instrument::Dlsoak, quantity: Quantity::Metric(Metric::Heap) },
        Source { instrument: Instrument::Memcheck, quantity: Quantity::NotFreed },
    ];
    let [ours, theirs] = figures(all, between)?;
    let Chunks { likely, least, most } = theirs.chunks?;
    let difference = difference(ours, theirs, likely);
    let agreement = match (ours.trend, theirs.trend) {
        (Trend::Flat, Trend::Flat) => Agreement::Agree,
        (Trend::Growing, Trend::Growing) if difference.is_some_and(|difference| difference <= SAME) => {
            Agreement::Agree
        }
        (Trend::Growing, Trend::Growing) if (least..=most).contains(&ours.per_cycle) => {
            Agreement::Inconclusive
        }
        (Trend::Growing, Trend::Flat) if ours.per_cycle * all.cycles(Instrument::Memcheck) < RARE => {
            Agreement::Inconclusive
        }
        (Trend::Flat, Trend::Growing) if likely < ours.detectable => Agreement::Inconclusive,
        (Trend::Growing | Trend::Flat, Trend::Growing | Trend::Flat) => Agreement::Disagree,
        _ => Agreement::Inconclusive,
    };
    Some(CrossCheck { subject: Subject::CHeap, between, agreement, difference })
}

fn figures<'a>(all: &Observations<'a>, [a, b]: [Source; 2]) -> Option<[&'a Figure; 2]> {
    Some([all.figure(a.instrument, a.quantity)?, all.figure(b.instrument, b.quantity)?])
}

/// Blocks that nothing points to, as seen by the two instruments that follow pointers.
fn lost(all: &Observations<'_>) -> Option<CrossCheck> {
    let between = [Instrument::Memcheck, Instrument::Lsan]
        .map(|instrument| Source { instrument, quantity: Quantity::Lost });
    let [valgrind, lsan] = figures(all, between)?;
    // What only inner pointers reach, such as what glibc keeps for a thread, need not be lost for both.
    let certain = [Quantity::DefinitelyLost, Quantity::IndirectlyLost];
    let certain = certain.map(|quantity| all.figure(Instrument::Memcheck, quantity));
    let certain: f64 = certain.into_iter().flatten().map(|figure| figure.per_cycle).sum();
    let agreement = match (valgrind.trend, lsan.trend) {
        (Trend::Flat, Trend::Flat) => Agreement::Agree,
        (Trend::Growing, Trend::Growing)
            if [valgrind.per_cycle, certain].iter().any(|theirs| apart(*theirs, lsan.per_cycle) <= SAME) =>
        {
            Agreement::Agree
        }
        (Trend::Growing, Trend::Flat) if certain <= 0.0 => Agreement::Inconclusive,
        // The two instruments need not find the same blocks reachable.
        (Trend::Flat, Trend::Growing)
            if all.growing(Instrument::Memcheck, Quantity::StillReachable).is_some() =>
        {
            Agreement::Inconclusive
        }
        (Trend::Growing | Trend::Flat, Trend::Growing | Trend::Flat) => Agreement::Disagree,
        // An address left on a stack hides a few blocks.
        _ => Agreement::Inconclusive,
    };
    let difference = difference(valgrind, lsan, lsan.per_cycle);
    Some(CrossCheck { subject: Subject::LostBlocks, between, agreement, difference })
}

/// dlsoak's samples and a plain reading of the same counters, in another process.
fn kernel(all: &Observations<'_>, subject: Subject, metric: Metric, field: Quantity) -> Option<CrossCheck> {
    let between = [
        Source { instrument: Instrument::Dlsoak, quantity: Quantity::Metric(metric) },
        Source { instrument: Instrument::Status, quantity: field },
    ];
    let [ours, theirs] = figures(all, between)?;
    let difference = difference(ours, theirs, theirs.per_cycle);
    let blind = |grows: &Figure, other: &Figure| {
        if grows.per_cycle <= other.detectable { Agreement::Inconclusive } else { Agreement::Disagree }
    };
    let agreement = match (ours.trend, theirs.trend, difference) {
        (Trend::Flat, Trend::Flat, _) => Agreement::Agree,
        (Trend::Growing, Trend::Growing, Some(apart)) => {
            let error = (theirs.high - theirs.low) / 2.0 + (ours.high - ours.low) / 2.0;
            if (ours.per_cycle - theirs.per_cycle).abs() <= error || apart <= SAME {
                Agreement::Agree
            } else if apart <= COMPATIBLE {
                Agreement::Inconclusive
            } else {
                Agreement::Disagree
            }
        }
        (Trend::Growing, Trend::Flat, _) => blind(ours, theirs),
        (Trend::Flat, Trend::Growing, _) => blind(theirs, ours),
        _ => Agreement::Inconclusive,
    };
    Some(CrossCheck { subject, between, agreement, difference })
}

/// Reasons not to answer "nothing grows".
fn doubts(soak: &Soak, all: &Observations<'_>, cross_checks: &[CrossCheck]) -> Vec<Doubt> {
    let mut doubts: Vec<Doubt> = Vec::new();
    let not_excluded = |instrument, quantity| {
        let figure = all.uncertain(instrument, quantity)?;
        Some(Doubt::NotExcluded { source: Source { instrument, quantity }, high: figure.high })
    };
    if soak.judged.verdict == Verdict::Inconclusive {
        doubts.push(Doubt::SoakInconclusive);
    } else {
        doubts.extend(not_excluded(Instrument::Dlsoak, Quantity::Metric(Metric::Heap)));
    }
    for (instrument, quantity) in [
        (Instrument::Memcheck, Quantity::NotFreed),
        (Instrument::Memcheck, Quantity::Lost),
        (Instrument::Lsan, Quantity::Lost),
        (Instrument::Status, Quantity::RssAnon),
        (Instrument::Status, Quantity::VmSize),
    ] {
        if let Some(figure) = all.growing(instrument, quantity) {
            let source = Source { instrument, quantity };
            doubts.push(Doubt::SeenElsewhere { source, per_cycle: figure.per_cycle });
        }
    }
    if doubts.is_empty() && cross_checks.iter().any(|check| check.agreement == Agreement::Disagree) {
        doubts.push(Doubt::Disagreement);
    }
    if soak.language == Language::Go {
        doubts.extend(not_excluded(Instrument::Gctrace, Quantity::GoHeap));
    }
    doubts
}
