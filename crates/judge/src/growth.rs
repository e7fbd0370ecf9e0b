//! Growth of one metric: fits lines to the last octaves and decides from their intervals whether growth is proven, excluded, fading,
//! or none of these.

use super::line::{Line, Point};
use super::series::Exposure;
use dlsoak_record::{Fit, Growth, Measured, Metric, Trend, Unit};

/// Error probability of the interval that a leak must clear in the newest octave. Together with [`ALPHA_CONFIRM`] for the octave before,
/// each on one side, eight metrics report a false leak with probability 0.00125 * 0.025 * 8 = 0.025 %.
const ALPHA_LEAK: f64 = 0.0025;
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
/// Assumed bytes of heap that one event of a rare leak leaves.
const HEAP_EVENT: f64 = 1024.0;
/// Bytes of a page, which one event leaves in a metric that is counted in pages.
const PAGE: f64 = 4096.0;

/// Bytes per cycle above which growth is a leak, if no limit is set.
pub(super) const LEAK_ABOVE: f64 = 0.1;
/// Bytes per cycle below which growth is excluded, if no limit is set: half the smallest chunk of glibc.
pub(super) const CLEAN_BELOW: f64 = 16.0;
/// Count per cycle below which growth of a count is excluded, if no larger limit is set.
pub(super) const COUNT_CLEAN_BELOW: f64 = 0.01;

/// Error probabilities of one judgement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errors {
    leak: f64,
    clean: f64,
}

impl Errors {
    /// For the final judgement.
    pub(super) fn at_the_end() -> Self {
        Self { leak: ALPHA_LEAK, clean: ALPHA_CLEAN }
    }

    /// For interim judgement number `index`, from 0, of any number. Each spends half of the error probability that is left.
    pub(super) fn at_look(index: u32) -> Self {
        let share = 0.5_f64.powi(index.min(60) as i32 + 1);
        Self { leak: ALPHA_LEAK * share, clean: ALPHA_CLEAN * share }
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
    /// The interval straddles the limit.
    Undecided,
}

/// Evidence on every metric that was measured.
pub(super) fn evidence(
    soak: &Measured,
    exposure: &Exposure,
    errors: Errors,
    bounds: impl Fn(Metric) -> Bounds,
) -> Vec<Evidence> {
    Metric::ALL
        .into_iter()
        .filter_map(|metric| {
            let series = exposure.series(&soak.checkpoints, metric)?;
            Some(assess(metric, &series, soak, exposure, errors, bounds(metric)))
        })
        .collect()
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
    let unit = metric.unit();
    let floor = floor(metric, soak.threads());
    let to_cycle = exposure.per_cycle;
    let lines = Lines::of(series);
    let rates: Vec<f64> =
        lines.octaves.iter().map_while(|line| line.map(|line| line.slope * to_cycle)).collect();
    let newest = lines.octaves.first().copied().flatten();
    let unseen = Unseen::of(metric, soak.threads(), series);
    let shown_unseen = unseen.rate(ALPHA_CONFIRM);

    // A table that doubles jumps once per octave, and a line takes a jump for noise. Growth that is proven without the largest
    // jump of each octave is proven, because leaving out an upward jump only lowers the growth. The series with its jumps
    // must still show that the growth lasts.
    let steady = Lines::of(&without_jumps(series));
    let look = |bounds: Bounds| {
        let answer = find(&lines, errors, bounds, floor, unseen, to_cycle);
        let settled = matches!(answer, Answer::Leak | Answer::Clean);
        let proven = || find(&steady, errors, bounds, floor, unseen, to_cycle) == Answer::Leak;
        if !settled && lines.growth_lasts() && proven() { (Answer::Leak, true) } else { (answer, false) }
    };
    let (answer, by_steady) = look(bounds);
    // The trend does not depend on whether a limit lets the growth pass.
    let natural = Bounds { leak_above: default_leak_above(metric).min(bounds.leak_above), ..bounds };
    let trend = match look(natural).0 {
        Answer::Leak => Trend::Growing,
        Answer::Clean => Trend::Flat,
        Answer::Fading => Trend::Decaying,
        Answer::Late | Answer::Undecided => Trend::Unclear,
    };
    let (per_cycle, low, high, exact) = match newest {
        Some(line) => {
            let rate = line.slope * to_cycle;
            let half = line.half_width(ALPHA_CONFIRM, if line.exact { 0.0 } else { floor }) * to_cycle;
            let high =
                rate + if line.exact && !unseen.flat { half } else { half.max(shown_unseen * to_cycle) };
            let steady = steady.octaves.first().copied().flatten().filter(|_| by_steady);
            let proven = steady.map_or(f64::NEG_INFINITY, |line| {
                (line.slope - line.half_width(ALPHA_CONFIRM, floor)) * to_cycle
            });
            (rate, (rate - half).max(proven.min(rate)), high, line.exact)
        }
        None => (0.0, f64::MIN, f64::MAX, false),
    };
    let detectable = lines
        .octaves
        .iter()
        .zip([errors.leak, ALPHA_CONFIRM])
        .map(|(line, alpha)| line.map_or(f64::MAX, |line| line.half_width(alpha, floor) * to_cycle))
        .fold(0.0, f64::max)
        + bounds.leak_above;
    let seconds = if soak.cycles.completed > 0 { soak.seconds / soak.cycles.completed as f64 } else { 0.0 };
    let growth = Growth {
        metric,
        unit,
        per_cycle,
        low,
        high,
        per_second: if seconds > 0.0 { per_cycle / seconds } else { 0.0 },
        per_load: exposure.loads_per_cycle.map(|loads| per_cycle / loads),
        detectable,
        trend,
        exact,
        fit: newest.and_then(|line| fit(&line, exposure)),
    };
    let cycles_needed = cycles_needed(answer, &growth, &rates, bounds, soak.cycles.completed);
    Evidence { growth, bounds, answer, rates, cycles_needed }
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

/// Estimates the cycles that would decide. If the noise does not grow, an interval becomes narrower with more cycles. Fading growth is
/// assumed to fade on as it did over the last octaves.
fn cycles_needed(answer: Answer, growth: &Growth, rates: &[f64], bounds: Bounds, cycles: u64) -> Option<u64> {
    let factor = match answer {
        Answer::Leak | Answer::Clean => return None,
        Answer::Late => 2.0,
        Answer::Fading => match rates {
            [now, before, ..] if *now > 0.0 && now < before => {
                2.0 * 2.0_f64.powf(((bounds.clean_below / now).ln() / (now / before).ln()).clamp(0.0, 10.0))
            }
            _ => 2.0,
        },
        Answer::Undecided => {
            let room = bounds.clean_below - growth.per_cycle;
            let width = growth.high - growth.per_cycle;
            if room > width / 20.0 { (width / room).max(2.0) } else { 2.0 }
        }
    };
    let cycles = cycles as f64 * factor;
    if !(1.0..1e15).contains(&cycles) {
        return None;
    }
    // Rounded up to two digits, because the estimate has no more.
    let digit = 10.0_f64.powf(cycles.log10().floor() - 1.0);
    Some(((cycles / digit).ceil() * digit).round() as u64)
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

/// The smallest range to assume when proving growth, because a few steps of the metric look like a line.
fn floor(metric: Metric, threads: u32) -> f64 {
    match metric {
        Metric::Heap => 64.0,
        Metric::Mappings | Metric::Threads | Metric::Fds => 1.0,
        _ => PAGE * f64::from(threads.max(1)),
    }
}

/// Growth that the series may hide.
#[derive(Debug, Clone, Copy)]
struct Unseen {
    /// Amount that one event of a rare leak adds.
    event: f64,
    /// Amount that may always be hidden: the part of a page that each thread may have filled.
    hidden: f64,
    /// Exposure since the last change, or the last octave if that is longer.
    exposure: f64,
    /// True if nothing changed over the last octave.
    flat: bool,
}

impl Unseen {
    fn of(metric: Metric, threads: u32, series: &[Point]) -> Self {
        let (event, hidden) = match metric {
            Metric::Heap => (HEAP_EVENT, 0.0),
            Metric::Mappings | Metric::Threads | Metric::Fds => (1.0, 0.0),
            _ => (PAGE, PAGE * f64::from(threads)),
        };
        let (first, last) =
            (series.first().copied().unwrap_or_default(), series.last().copied().unwrap_or_default());
        let moved = series.iter().rev().find(|point| point.1 != last.1);
        let flat_for = last.0 - moved.map_or(first.0, |point| point.0);
        let octave = (last.0 - first.0) / 2.0;
        Self { event, hidden, exposure: flat_for.max(octave), flat: flat_for >= octave }
    }

    /// Growth per unit of exposure that is unseen with probability `alpha`. If no event of a Poisson process falls into the exposure,
    /// up to -ln(alpha) of them may have been expected: 3.0 at 5 %, the rule of three.
    fn rate(&self, alpha: f64) -> f64 {
        let due = (-alpha.ln() * self.event).max(self.hidden);
        if self.exposure > 0.0 { due / self.exposure } else { f64::INFINITY }
    }
}

/// The answer on one metric.
fn find(lines: &Lines, errors: Errors, bounds: Bounds, floor: f64, unseen: Unseen, to_cycle: f64) -> Answer {
    let [Some(newest), Some(before)] = [0, 1].map(|index| lines.octaves.get(index).copied().flatten()) else {
        return Answer::Undecided;
    };
    let low = |line: &Line, alpha: f64| (line.slope - line.half_width(alpha, floor)) * to_cycle;
    let grows = |line: &Line, alpha: f64| low(line, alpha) > bounds.leak_above;
    let width = newest.half_width(errors.clean, 0.0).max(unseen.rate(errors.clean));
    let high = (newest.slope + width) * to_cycle;
    let grows_now = grows(&newest, errors.leak);
    let grew_before = grows(&before, ALPHA_CONFIRM);
    let lasting = lines.growth_lasts();
    let (lasting_within, fading_within) = match lines.halves {
        [Some(later), Some(earlier)] => (
            later.slope >= LASTING_WITHIN * earlier.slope
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
    let suspect = grows(&newest, ALPHA_LEAK) || grows(&newest, ALPHA_CONFIRM) && grew_before && !comes_back;
    let fading = newest.slope < FADING * before.slope && fading_within;
    if grows_now && grew_before && !comes_back && (lasting || lasting_within) {
        Answer::Leak
    } else if high < bounds.clean_below && (!suspect || fading) {
        Answer::Clean
    } else if !lasting && low(&before, ALPHA_CONFIRM) > 0.0 && lines.growth_faded_before() {
        Answer::Fading
    } else if grows_now && !grew_before {
        Answer::Late
    } else {
        Answer::Undecided
    }
}

/// The line in cycles, for charts.
fn fit(line: &Line, exposure: &Exposure) -> Option<Fit> {
    let index = exposure.at.partition_point(|at| *at < line.span.0);
    let from = *exposure.cycles.get(index)?;
    let to = *exposure.cycles.last()?;
    let value = line.intercept + line.slope * line.span.0;
    let per_cycle = line.slope * exposure.per_cycle;
    Some(Fit { intercept: value - per_cycle * from, from_cycle: from as u64, to_cycle: to as u64 })
}

/// True for metrics in bytes.
pub(super) fn is_memory(metric: Metric) -> bool {
    metric.unit() == Unit::Bytes
}
