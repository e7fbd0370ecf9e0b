//! Growth of one metric: fits lines to the last octaves and decides from their intervals whether growth is proven, excluded, fading,
//! or none of these.

use super::bound::{self, ALPHA_RARE, Bound, Noise};
use super::cohorts;
use super::kind::{Kind, is_collected, page_of};
use super::ladder::Ladder;
use super::line::{Line, Point};
use super::promise::{Open, promise};
use super::schedule::LEAK_LOOKS;
use super::series::Exposure;
use super::staircase::{self, Sparse, Staircase};
use dlsoak_record::{Cohorts, Fit, Growth, Language, Measured, Metric, Mode, Survivors, Trend, Unit};

/// Error probability of the interval that a leak must clear in the newest octave. Together with [`ALPHA_CONFIRM`] for the octave before,
/// each on one side, eight metrics report a false leak with probability 0.00125 * 0.025 * 8 = 0.025 %.
pub(super) const ALPHA_LEAK: f64 = 0.0025;
/// Error probability of the intervals in the record, and of the interval that confirms a leak in the octave before.
const ALPHA_CONFIRM: f64 = 0.05;
/// Error probability of the interval that must stay below the limit for a pass, over all interim judgements.
const ALPHA_CLEAN: f64 = 0.05;
/// Number of octaves: N/2..N, N/4..N/2, N/8..N/4.
const OCTAVES: usize = 3;
/// Growth that stays above this share of the octave before it does not fade. A logarithm keeps 0.5, a square
/// root 0.71.
const LASTING: f64 = 0.8;
/// The same for the two halves of the last octave: a logarithm keeps 0.71, a square root 0.84.
const LASTING_WITHIN: f64 = 0.9;
/// The lowest value of an octave must exceed that of the octave before by this share of the steady growth.
const RISING: f64 = 0.5;
/// Growth below this share of the octave before, and below [`FADING_WITHIN`], is that of a cache that fills.
const FADING: f64 = 0.6;
/// The same for the two halves of the last octave.
const FADING_WITHIN: f64 = 0.75;
/// Growth that keeps less than this of the octave before fades, even if the halves of the last octave are alike.
const LASTING_AT_ALL: f64 = 0.7;
/// Garbage that Go's collector lets pile up where GOGC is 100: twice the smallest goal of its heap, which is 4 MB.
const GARBAGE: f64 = 8e6;
/// The same at least, however small GOGC is: with 10, rings and maps that were full long ago settled at 2.1 to 2.6 MB.
const LEAST_GARBAGE: f64 = 4e6;

/// What one event of a rare leak is assumed to add at least where the limit is below [`CLEAN_BELOW`].
const LARGE_EVENT: f64 = 4096.0;
/// Error probabilities of what a run may hide are multiplied by this where the limit is below [`CLEAN_BELOW`], so that they are 1 %.
const STRICT: f64 = 0.2;

/// Bytes per cycle above which growth is a leak, if no limit is set.
pub(super) const LEAK_ABOVE: f64 = 0.1;
/// Bytes per cycle below which growth is excluded, if no limit is set: half the smallest chunk of glibc.
pub(super) const CLEAN_BELOW: f64 = 16.0;
/// Count per cycle below which growth of a count is excluded, if no larger limit is set.
pub(super) const COUNT_CLEAN_BELOW: f64 = 0.01;

/// Error probabilities of one judgement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errors {
    /// Part of the error probability of a leak that this judgement spends.
    leak: f64,
    /// The same of a clean result; `None` if this judgement finds leaks only.
    clean: Option<f64>,
    /// The last judgement, which may go by the shape of the whole run.
    last: bool,
}

impl Errors {
    /// For the final judgement.
    pub(super) fn at_the_end() -> Self {
        Self { leak: 1.0, clean: Some(1.0), last: true }
    }

    /// For interim judgement number `index`, from 0, of any number. Each spends half of the error probability that is left. The first
    /// ones come too early to exclude growth, so they spend nothing on it.
    pub(super) fn at_look(index: u32) -> Self {
        let share = |index: u32| 0.5_f64.powi(index.min(60) as i32 + 1);
        Self { leak: share(index), clean: index.checked_sub(LEAK_LOOKS).map(share), last: false }
    }
}

/// The limits of one metric, per cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    /// Proven growth above this is a leak.
    pub leak_above: f64,
    /// Growth with an upper bound below this is excluded.
    pub clean_below: f64,
}

/// What the series shows about one metric.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    /// For the record.
    pub growth: Growth,
    /// The limits that apply.
    pub bounds: Bounds,
    /// The answer.
    pub answer: Answer,
    /// Whether it takes part in the verdict.
    pub decides: bool,
    /// Whether it is judged where its collector runs often.
    pub collected: bool,
    /// What the survivors of old cycles show, where the answer is theirs.
    pub survivors: Option<Survivors>,
    /// Growth per cycle in the last octaves, newest first.
    pub rates: Vec<f64>,
    /// An estimate of the cycles that would decide, if these did not.
    pub cycles_needed: Option<u64>,
}

/// The result for one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Growth above the limit, in two octaves, not fading.
    Leak,
    /// No growth at or above the limit.
    Clean,
    /// Growth that fades, as that of a cache does.
    Fading,
    /// Growth in the last octave only.
    Late,
    /// Growth in jumps, as that of a container that doubles.
    Doubling,
    /// Growth of memory that a collector may not have collected yet.
    Collected,
    /// The interval straddles the limit.
    Undecided,
}

impl Answer {
    /// The answers that decide nothing, those that say most first.
    pub(super) const OPEN: [Self; 5] =
        [Self::Late, Self::Doubling, Self::Collected, Self::Fading, Self::Undecided];

    /// Whether it decides nothing.
    pub(super) fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }
}

/// What an answer goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Line,
    SteadyLine,
    Staircase,
    Ladder,
    Bound,
}

/// Evidence on every metric that was measured.
pub(super) fn evidence(
    soak: &Measured,
    exposure: &Exposure,
    errors: Errors,
    bounds: impl Fn(Metric) -> Bounds,
) -> Vec<Evidence> {
    let of_metric = |metric: Metric| {
        let series = exposure.series(&soak.checkpoints, metric)?;
        let mut found = assess(metric, &series, soak, exposure, errors, bounds(metric));
        if let (Metric::Heap, Some(cohorts), true) = (metric, &soak.cohorts, found.answer.is_open()) {
            found.decide_by(cohorts, soak, bound::event(&series));
        }
        if let (true, Some(collected)) =
            (is_collected(metric) && found.answer != Answer::Clean, &soak.collected)
        {
            let exposure = Exposure::of(collected, None);
            let series = exposure.series(&collected.checkpoints, metric)?;
            let there = assess(metric, &series, collected, &exposure, errors, bounds(metric));
            if found.answer.is_open() || !there.answer.is_open() {
                found = Evidence { collected: true, ..there };
            }
        }
        Some(found)
    };
    Metric::ALL.into_iter().filter_map(of_metric).collect()
}

impl Evidence {
    /// Decides growth of the heap by what is left of old cycles, if that is clear. Fewer cycles than the soak has had can't: a leak may begin
    /// later, and a cache may be full later. The heap shows events of up to `event` bytes.
    fn decide_by(&mut self, cohorts: &Cohorts, soak: &Measured, event: f64) {
        if cohorts.cycles < soak.cycles.completed {
            return;
        }
        let doubles = self.answer == Answer::Doubling;
        let Some((answer, survivors)) = cohorts::answer(cohorts, self.bounds, doubles, event) else { return };
        (self.answer, self.cycles_needed) = (answer, None);
        let growth = &mut self.growth;
        (growth.per_cycle, growth.low, growth.high) = (survivors.per_cycle, survivors.low, survivors.high);
        growth.per_second =
            growth.per_cycle * soak.cycles.completed as f64 / soak.seconds.max(f64::MIN_POSITIVE);
        growth.trend = if answer == Answer::Leak { Trend::Growing } else { Trend::Flat };
        self.survivors = Some(survivors);
    }
}

/// Judges one series.
fn assess(
    metric: Metric,
    series: &[Point],
    soak: &Measured,
    exposure: &Exposure,
    errors: Errors,
    bounds: Bounds,
) -> Evidence {
    let to_cycle = exposure.per_cycle;
    let seen = Seen::of(metric, series, soak, bounds, to_cycle);
    let (answer, way) = seen.answer(errors, bounds);
    // The trend does not depend on whether a limit lets the growth pass.
    let natural = Bounds { leak_above: default_leak_above(metric).min(bounds.leak_above), ..bounds };
    let by_itself = if natural == bounds { answer } else { seen.answer(errors, natural).0 };
    let trend = match by_itself {
        Answer::Leak => Trend::Growing,
        Answer::Clean => Trend::Flat,
        Answer::Fading => Trend::Decaying,
        Answer::Late | Answer::Doubling | Answer::Collected | Answer::Undecided => Trend::Unclear,
    };
    let newest = seen.lines.newest();
    let (per_cycle, low, high) = seen.estimate(answer, way, errors);
    let seconds = if soak.cycles.completed > 0 { soak.seconds / soak.cycles.completed as f64 } else { 0.0 };
    let growth = Growth {
        metric,
        unit: metric.unit(),
        per_cycle,
        low,
        high,
        per_second: if seconds > 0.0 { per_cycle / seconds } else { 0.0 },
        per_load: exposure.loads_per_cycle.map(|loads| per_cycle / loads),
        detectable: seen.half_width_of_leak(errors) + bounds.leak_above,
        trend,
        exact: newest.is_some_and(|line| line.exact),
        fit: newest.and_then(|line| fit(&line, metric, soak, exposure)),
    };
    let rates: Vec<f64> =
        seen.lines.octaves.iter().map_while(|line| line.map(|line| line.slope * to_cycle)).collect();
    // Nobody reads it while the soak goes on, and it takes longer than all else here.
    let is_read = errors.last && answer.is_open();
    let cycles_needed = is_read.then(|| seen.promise(answer, &rates, bounds, soak)).flatten();
    let decides = metric.takes_part() && !is_cost(metric, soak);
    Evidence { growth, bounds, answer, decides, collected: false, survivors: None, rates, cycles_needed }
}

/// Whether a metric grows by what each load costs, because the C library never unloads and each cycle loads another copy: the mappings of
/// the file, and what the loader and malloc keep for it. What the library itself allocates and never frees shows in the heap. So the other
/// metrics of memory would make a leak of every library there.
fn is_cost(metric: Metric, soak: &Measured) -> bool {
    let of_library = [Metric::Heap, Metric::Threads, Metric::Fds];
    soak.worker.never_unloads() && soak.mode() != Mode::Reopen && !of_library.contains(&metric)
}

/// All that a series shows.
struct Seen<'a> {
    series: &'a [Point],
    metric: Metric,
    kind: Kind,
    threads: u32,
    to_cycle: f64,
    lines: Lines,
    /// The lines without the largest jump of each octave. A table that doubles jumps once per octave, and a line takes a jump for
    /// noise. Growth that is proven without is proven, because leaving out an upward jump only lowers the growth. The series with its
    /// jumps must still show that the growth lasts.
    steady: Lines,
    staircase: Option<Staircase>,
    ladder: Option<Ladder>,
    unseen: Unseen,
    /// The largest amount of one event that the series shows, in an exact count of bytes, and 0 where it shows none.
    event: f64,
    /// Bytes of garbage that may pile up, where a collector frees this memory.
    garbage: Option<f64>,
}

impl<'a> Seen<'a> {
    fn of(metric: Metric, series: &'a [Point], soak: &Measured, bounds: Bounds, to_cycle: f64) -> Self {
        let (kind, threads) = (Kind::of(metric, page_of(soak)), soak.threads());
        Self {
            series,
            metric,
            kind,
            threads,
            to_cycle,
            lines: Lines::of(series),
            steady: Lines::of(&without_jumps(series)),
            staircase: Staircase::of(series),
            ladder: if may_double(metric) { Ladder::of(series) } else { None },
            unseen: Unseen::of(kind, threads, series, bounds),
            event: if kind == Kind::Bytes { bound::event(series) } else { 0.0 },
            garbage: if is_collected(metric) { garbage(soak) } else { None },
        }
    }

    /// The answer, and what it goes by.
    fn answer(&self, errors: Errors, bounds: Bounds) -> (Answer, Way) {
        let (answer, way, suspect) = self.counted(errors, bounds);
        let limit = bounds.leak_above / self.to_cycle;
        let outgrows = |garbage: f64| self.ladder.as_ref().is_some_and(|ladder| ladder.outgrows(garbage));
        let collected = self.garbage.is_some_and(|garbage| !outgrows(garbage));
        let climbs = |limit: f64| {
            errors.last && !collected && self.ladder.as_ref().is_some_and(|ladder| ladder.grows(limit))
        };
        let doubles = || self.ladder.as_ref().is_some_and(|ladder| ladder.doubles(limit));
        // In jumps that become larger, or in some other way.
        let jumps = || self.ladder.as_ref().is_some_and(|ladder| ladder.jumps(limit));
        let doubling = || if jumps() { Answer::Doubling } else { Answer::Undecided };
        match answer {
            Answer::Leak if collected => (Answer::Collected, way),
            Answer::Leak => (Answer::Leak, way),
            // To a line, what has just doubled is flat: in simulation, 42 of 53 undecided containers of factor 2. It found no growth at or
            // above the limit of a clean result, so the octaves must prove as much.
            Answer::Clean if doubles() && climbs(bounds.clean_below / self.to_cycle) => {
                (Answer::Leak, Way::Ladder)
            }
            Answer::Clean if doubles() => (doubling(), way),
            Answer::Clean => (Answer::Clean, way),
            _ if climbs(limit) => (Answer::Leak, Way::Ladder),
            _ if !suspect && !doubles() && self.is_bounded(errors, bounds) => (Answer::Clean, Way::Bound),
            _ if jumps() => (Answer::Doubling, way),
            _ => (answer, way),
        }
    }

    /// The answer by lines, or by events where they are sparse. True where growth shows that is not proven.
    fn counted(&self, errors: Errors, bounds: Bounds) -> (Answer, Way, bool) {
        let (answer, suspect) = self.lined(&self.lines, errors, bounds);
        if let Some(staircase) = &self.staircase
            && !self.lines.newest().is_some_and(|line| line.exact)
        {
            let limit = bounds.leak_above / self.to_cycle;
            let suspect = suspect || staircase.rises_by(limit, ALPHA_CONFIRM);
            return match answer {
                _ if staircase.leaks(limit, errors.leak * ALPHA_LEAK / 2.0) => {
                    (Answer::Leak, Way::Staircase, false)
                }
                Answer::Leak if !self.lines.growth_lasts() => (Answer::Fading, Way::Line, true),
                Answer::Leak => (Answer::Undecided, Way::Line, true),
                _ => (answer, Way::Line, suspect),
            };
        }
        let proven = || self.lined(&self.steady, errors, bounds).0 == Answer::Leak;
        // What the end will pass, an interim judgement leaves alone.
        let at_the_end = Errors { clean: Some(1.0), ..errors };
        let stays_open = || self.lined(&self.lines, at_the_end, bounds).0.is_open();
        if answer.is_open() && self.lines.growth_lasts() && proven() && stays_open() {
            return (Answer::Leak, Way::SteadyLine, false);
        }
        (answer, Way::Line, suspect)
    }

    /// Whether the least upper bound excludes growth.
    fn is_bounded(&self, errors: Errors, bounds: Bounds) -> bool {
        let Some(share) = errors.clean.filter(|_| is_memory(self.metric)) else { return false };
        self.bound(share) < bounds.clean_below
    }

    /// The most per unit of exposure that events which are rare may hide from a line; `None` where they can't.
    fn rare(&self, line: &Line, share: f64) -> Option<f64> {
        let recent = bound::since(self.series, 0.25);
        if self.kind != Kind::Bytes || staircase::is_smooth(recent) {
            None
        } else if !bound::falls(bound::since(self.series, 0.5)) {
            Some(bound::rare(self.series, self.event.max(self.kind.event()), share))
        } else {
            let excess = || bound::excess(line.slope, self.event, line.length, ALPHA_RARE * share);
            (self.event > 0.0).then(|| line.slope.max(0.0) + excess())
        }
    }

    /// The same of a series in which nothing changes, at the end of a soak.
    fn rare_while_flat(&self) -> Option<f64> {
        let line = self.lines.newest().filter(|_| self.unseen.flat)?;
        self.rare(&line, 1.0)
    }

    /// The least upper bound per cycle.
    fn bound(&self, share: f64) -> f64 {
        let bound = self.least_bound(share);
        bound.upper.max(self.unseen.rate(ALPHA_CLEAN * share)) * self.to_cycle
    }

    fn least_bound(&self, share: f64) -> Bound {
        Bound::of(self.series, self.kind, self.event.max(self.kind.event()), share)
    }

    /// Growth per cycle with the bounds of its 95 % interval.
    fn estimate(&self, answer: Answer, way: Way, errors: Errors) -> (f64, f64, f64) {
        let Some(line) = self.lines.newest() else { return (0.0, f64::MIN, f64::MAX) };
        let per_cycle = |rate: f64| rate * self.to_cycle;
        let floor = if line.exact { 0.0 } else { self.kind.floor(self.threads) };
        let half = line.half_width(ALPHA_CONFIRM, floor);
        let unseen = if line.exact && !self.unseen.flat { 0.0 } else { self.unseen.rate(ALPHA_CONFIRM) };
        let (rate, low, high) = (line.slope, line.slope - half, line.slope + half.max(unseen));
        let (rate, low, high) = match (way, &self.staircase, &self.ladder, self.steady.newest()) {
            (Way::Staircase, Some(staircase), ..) => staircase.rate(ALPHA_CONFIRM / 2.0),
            (Way::Ladder, _, Some(ladder), _) => ladder.rate(),
            (Way::SteadyLine, _, _, Some(steady)) => {
                let proven = steady.slope - steady.half_width(ALPHA_CONFIRM, self.kind.floor(self.threads));
                (rate, low.max(proven.min(rate)), high)
            }
            (Way::Bound, ..) => {
                let upper = self.bound(errors.clean.unwrap_or(1.0)) / self.to_cycle;
                (rate.min(upper), low.min(rate).min(upper), high.min(upper))
            }
            // What leaves a flat series undecided.
            _ if answer.is_open() => (rate, low, high.max(self.rare_while_flat().unwrap_or(high))),
            _ => (rate, low, high),
        };
        (per_cycle(rate), per_cycle(low), per_cycle(high))
    }

    /// The larger half-width of the two intervals that a leak must clear, per cycle.
    fn half_width_of_leak(&self, errors: Errors) -> f64 {
        let floor = self.kind.floor(self.threads);
        let alphas = [errors.leak * ALPHA_LEAK, ALPHA_CONFIRM];
        let octaves = self.lines.octaves.iter().zip(alphas);
        octaves
            .map(|(line, alpha)| line.map_or(f64::MAX, |line| line.half_width(alpha, floor) * self.to_cycle))
            .fold(0.0, f64::max)
    }

    /// The cycles that would decide what these did not.
    fn promise(&self, answer: Answer, rates: &[f64], bounds: Bounds, soak: &Measured) -> Option<u64> {
        let per_cycle = |rate: f64| rate * self.to_cycle;
        let noise = is_memory(self.metric).then(|| self.least_bound(1.0).noise).flatten();
        let rare = self.rare_while_flat().map_or(0.0, per_cycle);
        promise(&Open {
            answer,
            cycles: soak.cycles.completed as f64,
            rates,
            bounds,
            flat: self.unseen.flat,
            unseen: per_cycle(self.unseen.rate(ALPHA_CLEAN)).max(rare),
            noise: noise.map(|noise| Noise {
                slope: per_cycle(noise.slope),
                half: per_cycle(noise.half),
                unlucky: per_cycle(noise.unlucky),
                widest: per_cycle(noise.widest),
            }),
            leak: self.half_width_of_leak(Errors::at_the_end()),
            sparse: Sparse::of(self.series)
                .filter(|_| self.kind.is_exact())
                .map(|sparse| Sparse { length: sparse.length / self.to_cycle, ..sparse }),
            next: self.ladder.as_ref().map(|ladder| ladder.next() / self.to_cycle),
            fill: self
                .garbage
                .zip(self.ladder.as_ref())
                .map(|(garbage, ladder)| ladder.reaches(garbage) / self.to_cycle),
        })
    }

    /// The answer by the lines, and whether they show growth that they don't prove.
    fn lined(&self, lines: &Lines, errors: Errors, bounds: Bounds) -> (Answer, bool) {
        let (floor, to_cycle) = (self.kind.floor(self.threads), self.to_cycle);
        let [Some(newest), Some(before)] = [0, 1].map(|index| lines.octaves.get(index).copied().flatten())
        else {
            return (Answer::Undecided, false);
        };
        let low = |line: &Line, alpha: f64| (line.slope - line.half_width(alpha, floor)) * to_cycle;
        let grows = |line: &Line, alpha: f64| low(line, alpha) > bounds.leak_above;
        let is_below = |share: f64| {
            let alpha = ALPHA_CLEAN * share;
            let width = newest.half_width(alpha, 0.0).max(self.unseen.rate(alpha));
            (newest.slope + width) * to_cycle < bounds.clean_below
                && self.rare(&newest, share).is_none_or(|rare| rare * to_cycle < bounds.clean_below)
        };
        let grows_now = grows(&newest, errors.leak * ALPHA_LEAK);
        let grew_before = grows(&before, ALPHA_CONFIRM);
        let lasting = lines.growth_lasts();
        let (lasting_within, fading_within) = match lines.halves {
            [Some(later), Some(earlier)] => (
                later.slope >= LASTING_WITHIN * earlier.slope
                    && newest.slope >= LASTING_AT_ALL * before.slope
                    && grows(&later, ALPHA_CONFIRM)
                    && grows(&earlier, ALPHA_CONFIRM),
                later.slope < FADING_WITHIN * earlier.slope,
            ),
            _ => (false, false),
        };
        // A sawtooth that returns only once or twice in the run has a slope in each octave. Leaked memory never returns.
        let steady_rise = newest.slope.min(before.slope) * (newest.span.0 - before.span.0);
        let comes_back = newest.lowest - before.lowest < RISING * steady_rise;
        // Growth that both octaves show, but too weakly to prove, must not pass. An interim judgement requires no more here than the
        // final one, so that what it passes also passes at the end.
        let suspect =
            grows(&newest, ALPHA_LEAK) || grows(&newest, ALPHA_CONFIRM) && grew_before && !comes_back;
        let fading = newest.slope < FADING * before.slope && fading_within;
        let answer = if grows_now && grew_before && !comes_back && (lasting || lasting_within) {
            Answer::Leak
        } else if errors.clean.is_some_and(is_below) && (!suspect || fading) {
            Answer::Clean
        } else if !lasting && low(&before, ALPHA_CONFIRM) > 0.0 && lines.growth_faded_before() {
            Answer::Fading
        } else if grows_now && !grew_before {
            Answer::Late
        } else {
            Answer::Undecided
        };
        (answer, suspect)
    }
}

/// Whether a container that doubles shows in this metric. Address space and page tables move in steps of their own.
fn may_double(metric: Metric) -> bool {
    !matches!(metric, Metric::Virtual | Metric::PageTables) && is_memory(metric)
}

/// Whether the library has a runtime with a collector.
pub fn has_collector(soak: &Measured) -> bool {
    soak.language == Language::Go || soak.toolchain.go.is_some()
}

/// Garbage in percent of what is alive that Go's collector lets pile up, as Go reads `GOGC`: infinite where the collector is off, and 100
/// where the variable is not set or no number.
pub fn gogc(soak: &Measured) -> f64 {
    match soak.env.get("GOGC").map(|percent| (percent.as_str(), percent.parse::<i32>())) {
        Some(("off", _) | (_, Ok(..0))) => f64::INFINITY,
        Some((_, Ok(percent))) => f64::from(percent),
        Some((_, Err(_))) | None => 100.0,
    }
}

/// Bytes of garbage that a collector in this library lets pile up; `None` where there is none.
fn garbage(soak: &Measured) -> Option<f64> {
    // What instances take that stay is no garbage.
    if !has_collector(soak) || soak.instances.is_some() {
        return None;
    }
    // Each copy of the library brings a runtime with a heap of its own.
    let runtimes = if soak.share_path { 1 } else { soak.threads() };
    Some((GARBAGE * gogc(soak) / 100.0).max(LEAST_GARBAGE) * f64::from(runtimes))
}

/// The series without the largest upward jump of each octave.
fn without_jumps(series: &[Point]) -> Vec<Point> {
    let (Some(first), Some(last)) = (series.first(), series.last()) else { return Vec::new() };
    let octave = |x: f64| -((x - first.0) / (last.0 - first.0)).log2().clamp(-(OCTAVES as f64), 0.0).ceil();
    // By octave, newest first: the size of its largest jump, and the point it leads to.
    let mut jumps = [(0.0, 0_usize); OCTAVES + 1];
    for (index, pair) in series.windows(2).enumerate() {
        let [before, after] = pair else { continue };
        if let Some(largest) = jumps.get_mut(octave(after.0) as usize)
            && after.1 - before.1 > largest.0
        {
            *largest = (after.1 - before.1, index + 1);
        }
    }
    let lowered = |index: usize| jumps.iter().filter(|jump| jump.1 <= index).map(|jump| jump.0).sum::<f64>();
    series.iter().enumerate().map(|(index, (x, y))| (*x, y - lowered(index))).collect()
}

/// Growth per cycle above which a metric grows, independent of any limit.
fn default_leak_above(metric: Metric) -> f64 {
    if is_memory(metric) { LEAK_ABOVE } else { 0.0 }
}

/// The lines fitted to a series.
#[derive(Debug, Clone, PartialEq)]
struct Lines {
    /// Of the last octaves, newest first.
    octaves: Vec<Option<Line>>,
    /// Of the two halves of the last octave, the later first.
    halves: [Option<Line>; 2],
}

impl Lines {
    fn of(series: &[Point]) -> Self {
        let (Some(first), Some(last)) = (series.first(), series.last()) else {
            return Self { octaves: Vec::new(), halves: [None, None] };
        };
        let between = |from: f64, to: f64| {
            let at = |share: f64| first.0 + (last.0 - first.0) * share;
            let start = series.partition_point(|point| point.0 < at(from));
            let end = series.partition_point(|point| point.0 <= at(to));
            Line::through(series.get(start..end)?)
        };
        let octave = |index: usize| {
            let to = 0.5_f64.powi(index as i32);
            between(to / 2.0, to)
        };
        Self { octaves: (0..OCTAVES).map(octave).collect(), halves: [between(0.75, 1.0), between(0.5, 0.75)] }
    }
}

impl Lines {
    fn newest(&self) -> Option<Line> {
        self.octaves.first().copied().flatten()
    }

    /// Whether the newest octave grows as fast as the one before, or nearly.
    fn growth_lasts(&self) -> bool {
        match self.octaves.as_slice() {
            [Some(newest), Some(before), ..] => newest.slope >= LASTING * before.slope,
            _ => false,
        }
    }

    /// Whether the octave before the newest grew no faster than the one before it. Growth that rises and falls does not fade.
    fn growth_faded_before(&self) -> bool {
        match self.octaves.as_slice() {
            [_, Some(before), Some(earlier), ..] => before.slope <= earlier.slope,
            _ => true,
        }
    }
}

/// Growth that the series may hide.
#[derive(Debug, Clone, Copy)]
struct Unseen {
    /// Amount that one event of a rare leak adds.
    event: f64,
    /// What an error probability is multiplied by.
    strict: f64,
    /// Amount that may always be hidden: the part of a page that each thread may have filled.
    hidden: f64,
    /// Exposure since the last change, or the last octave if that is longer.
    exposure: f64,
    /// True if nothing changed over the last octave.
    flat: bool,
}

impl Unseen {
    fn of(kind: Kind, threads: u32, series: &[Point], bounds: Bounds) -> Self {
        // The lower the limit, the rarer and larger the events that reach it may be.
        let low = kind != Kind::Things && bounds.clean_below < CLEAN_BELOW;
        let (event, strict) = if low { (kind.event().max(LARGE_EVENT), STRICT) } else { (kind.event(), 1.0) };
        let (first, last) =
            (series.first().copied().unwrap_or_default(), series.last().copied().unwrap_or_default());
        let moved = series.iter().rev().find(|point| point.1 != last.1);
        let flat_for = last.0 - moved.map_or(first.0, |point| point.0);
        let octave = (last.0 - first.0) / 2.0;
        let (exposure, flat) = (flat_for.max(octave), flat_for >= octave);
        Self { event, strict, hidden: kind.hidden(threads), exposure, flat }
    }

    /// Growth per unit of exposure that is unseen with probability `alpha`. If no event of a Poisson process falls into the exposure,
    /// up to -ln(alpha) of them may have been expected: 3.0 at 5 %, the rule of three.
    fn rate(&self, alpha: f64) -> f64 {
        let due = (-(alpha * self.strict).ln() * self.event).max(self.hidden);
        if self.exposure > 0.0 { due / self.exposure } else { f64::INFINITY }
    }
}

/// The line in cycles, for charts.
fn fit(line: &Line, metric: Metric, soak: &Measured, exposure: &Exposure) -> Option<Fit> {
    let index = exposure.at.partition_point(|at| *at < line.span.0);
    let from = *exposure.cycles.get(index)?;
    let to = *exposure.cycles.last()?;
    let left_out = exposure.left_out(&soak.checkpoints, metric, index);
    let value = line.intercept + line.slope * line.span.0 + left_out;
    let per_cycle = line.slope * exposure.per_cycle;
    Some(Fit { intercept: value - per_cycle * from, from_cycle: from as u64, to_cycle: to as u64 })
}

/// True for metrics in bytes.
pub(super) fn is_memory(metric: Metric) -> bool {
    metric.unit() == Unit::Bytes
}
