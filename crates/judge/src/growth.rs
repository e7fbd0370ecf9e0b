//! Growth of one metric: the lines of the last octaves, their intervals, and whether growth is proven, excluded,
//! fading or none of these.

use super::line::{Line, Point};
use super::series::Exposure;
use dlsoak_record::{Fit, Growth, Metric, Soak, Trend, Unit};

/// Error probability of the interval that a leak's newest octave must clear. With [`ALPHA_CONFIRM`] for the octave
/// before, each on one side, and nine metrics that may call it: 0.005 * 0.025 * 9 = 0.1 % where nothing leaks.
const ALPHA_LEAK: f64 = 0.0025;
/// Error probability of the intervals that are reported, and of what confirms a leak in the octave before.
const ALPHA_CONFIRM: f64 = 0.05;
/// Error probability of the interval that must stay below the limit for a pass, over all looks.
const ALPHA_CLEAN: f64 = 0.05;
/// Octaves that are looked at: N/2..N, N/4..N/2, N/8..N/4.
const OCTAVES: usize = 3;
/// Growth that stays above this share of the octave before it does not fade. A logarithm keeps 0.5, a square
/// root 0.71.
const LASTING: f64 = 0.8;
/// The same for the two halves of the last octave: a logarithm keeps 0.71, a square root 0.84.
const LASTING_WITHIN: f64 = 0.9;
/// Share of a steady growth by which the lowest value of an octave must be above that of the octave before.
const RISING: f64 = 0.5;
/// Growth that falls below this share of the octave before it is a cache that fills,
const FADING: f64 = 0.6;
/// if it also falls below this share within the last octave.
const FADING_WITHIN: f64 = 0.75;
/// Bytes of heap that one event of a rare leak is taken to leave.
const HEAP_EVENT: f64 = 1024.0;
/// Bytes of a page: what one event leaves of a metric that is counted in pages.
const PAGE: f64 = 4096.0;

/// Bytes per cycle above which growth is a leak, where no limit is given.
pub(super) const LEAK_ABOVE: f64 = 0.1;
/// Bytes per cycle below which growth is excluded, where no limit is given: half the smallest chunk of glibc.
pub(super) const CLEAN_BELOW: f64 = 16.0;
/// Things per cycle below which growth of a count is excluded, where no larger limit is given.
pub(super) const COUNT_CLEAN_BELOW: f64 = 0.01;

/// How the error probabilities are shared out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errors {
    leak: f64,
    clean: f64,
}

impl Errors {
    /// For the one judgement at the end.
    pub(super) fn at_the_end() -> Self {
        Self { leak: ALPHA_LEAK, clean: ALPHA_CLEAN }
    }

    /// For look number `index`, from 0, of any number: half of what is left is spent at each.
    pub(super) fn at_look(index: u32) -> Self {
        let share = 0.5_f64.powi(index.min(60) as i32 + 1);
        Self { leak: ALPHA_LEAK * share, clean: ALPHA_CLEAN * share }
    }
}

/// The limits that one metric is held against, per cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    /// Proven growth above this is a leak.
    pub leak_above: f64,
    /// Growth whose upper bound is below this is none.
    pub clean_below: f64,
}

/// What the series says about one metric.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    /// For the record.
    pub growth: Growth,
    /// What it was held against.
    pub bounds: Bounds,
    /// The answer.
    pub finding: Finding,
    /// Growth per cycle in the last octaves, newest first.
    pub rates: Vec<f64>,
    /// How many cycles would tell, as far as can be said, where these did not.
    pub cycles_needed: Option<u64>,
}

/// The answer for one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Growth above the limit, in two octaves, not fading.
    Leak,
    /// No growth at or above the limit.
    Clean,
    /// Growth that fades: a cache, perhaps.
    Fading,
    /// Growth in the last octave only.
    Late,
    /// The interval straddles the limit.
    Undecided,
}

/// Evidence on every metric that was measured.
pub(super) fn evidence(
    soak: &Soak,
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
    soak: &Soak,
    exposure: &Exposure,
    errors: Errors,
    bounds: Bounds,
) -> Evidence {
    let unit = metric.unit();
    let floor = floor(metric, soak.threads);
    let to_cycle = exposure.per_cycle;
    let lines = Lines::of(series);
    let rates: Vec<f64> =
        lines.octaves.iter().map_while(|line| line.map(|line| line.slope * to_cycle)).collect();
    let newest = lines.octaves.first().copied().flatten();
    let unseen = Unseen::of(metric, soak.threads, series);
    let shown_unseen = unseen.rate(ALPHA_CONFIRM);

    // A table that doubles jumps once in an octave, and a jump is noise to a line. Growth that is proven without the
    // largest jump of each octave is proven: an upward jump that is left out only lowers it. That the growth lasts
    // must show in the series as it is.
    let steady = Lines::of(&without_jumps(series));
    let look = |bounds: Bounds| {
        let finding = find(&lines, errors, bounds, floor, unseen, to_cycle);
        let settled = matches!(finding, Finding::Leak | Finding::Clean);
        let proven = || find(&steady, errors, bounds, floor, unseen, to_cycle) == Finding::Leak;
        if !settled && lines.growth_lasts() && proven() { (Finding::Leak, true) } else { (finding, false) }
    };
    let (finding, by_steady) = look(bounds);
    // Growth that a limit lets pass is growth all the same.
    let natural = Bounds { leak_above: default_leak_above(metric).min(bounds.leak_above), ..bounds };
    let trend = match look(natural).0 {
        Finding::Leak => Trend::Growing,
        Finding::Clean => Trend::Flat,
        Finding::Fading => Trend::Decaying,
        Finding::Late | Finding::Undecided => Trend::Unclear,
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
    let cycles_needed = cycles_needed(finding, &growth, &rates, bounds, soak.cycles.completed);
    Evidence { growth, bounds, finding, rates, cycles_needed }
}

/// The series without the largest jump upwards of each octave.
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

/// How many cycles would tell. The width of an interval falls with the cycles, for noise that does not grow; growth
/// that fades is taken to go on fading as it did over the last octaves.
fn cycles_needed(
    finding: Finding,
    growth: &Growth,
    rates: &[f64],
    bounds: Bounds,
    cycles: u64,
) -> Option<u64> {
    let factor = match finding {
        Finding::Leak | Finding::Clean => return None,
        Finding::Late => 2.0,
        Finding::Fading => match rates {
            [now, before, ..] if *now > 0.0 && now < before => {
                2.0 * 2.0_f64.powf(((bounds.clean_below / now).ln() / (now / before).ln()).clamp(0.0, 10.0))
            }
            _ => 2.0,
        },
        Finding::Undecided => {
            let room = bounds.clean_below - growth.per_cycle;
            let width = growth.high - growth.per_cycle;
            if room > width / 20.0 { (width / room).max(2.0) } else { 2.0 }
        }
    };
    let cycles = cycles as f64 * factor;
    if !(1.0..1e15).contains(&cycles) {
        return None;
    }
    // Rounded up to two digits: more would look like knowledge.
    let digit = 10.0_f64.powf(cycles.log10().floor() - 1.0);
    Some(((cycles / digit).ceil() * digit).round() as u64)
}

/// Growth per cycle above which growth is called that, limit or not.
fn default_leak_above(metric: Metric) -> f64 {
    if is_memory(metric) { LEAK_ABOVE } else { 0.0 }
}

/// The lines that a series is judged by.
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
    /// Whether the growth of the newest octave is that of the one before, or nearly.
    fn growth_lasts(&self) -> bool {
        match self.octaves.as_slice() {
            [Some(newest), Some(before), ..] => newest.slope >= LASTING * before.slope,
            _ => false,
        }
    }

    /// Whether the octave before the newest did not grow faster than the one before it: what goes up and down does
    /// not fade.
    fn growth_faded_before(&self) -> bool {
        match self.octaves.as_slice() {
            [_, Some(before), Some(earlier), ..] => before.slope <= earlier.slope,
            _ => true,
        }
    }
}

/// The smallest range that is believed when growth is to be proven: a few steps of the metric look like a line.
fn floor(metric: Metric, threads: u32) -> f64 {
    match metric {
        Metric::Heap => 64.0,
        Metric::Mappings | Metric::Threads | Metric::Fds => 1.0,
        _ => PAGE * f64::from(threads.max(1)),
    }
}

/// What may grow without having been seen.
#[derive(Debug, Clone, Copy)]
struct Unseen {
    /// What one event of a rare leak adds.
    event: f64,
    /// What may always hide: the part of a page that each thread may have filled.
    hidden: f64,
    /// Exposure since the last change, or the last octave where that is longer.
    exposure: f64,
    /// True when nothing moved over the last octave.
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

    /// Growth per unit of exposure that went unseen with probability `alpha`. Where no event of a Poisson process
    /// fell into the exposure, -ln(alpha) of them may have been due: 3.0 at 5 %, the rule of three.
    fn rate(&self, alpha: f64) -> f64 {
        let due = (-alpha.ln() * self.event).max(self.hidden);
        if self.exposure > 0.0 { due / self.exposure } else { f64::INFINITY }
    }
}

/// The finding on one metric.
fn find(lines: &Lines, errors: Errors, bounds: Bounds, floor: f64, unseen: Unseen, to_cycle: f64) -> Finding {
    let [Some(newest), Some(before)] = [0, 1].map(|index| lines.octaves.get(index).copied().flatten()) else {
        return Finding::Undecided;
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
    // A sawtooth of which the run holds but one or two returns has a slope in each octave; what a leak left never
    // comes back, though.
    let steady_rise = newest.slope.min(before.slope) * (newest.span.0 - before.span.0);
    let comes_back = newest.lowest - before.lowest < RISING * steady_rise;
    // Growth that shows in both octaves, but not clearly enough to be proven, is no reason to pass. A look asks for
    // no more here than the end does, so that what it passes passes at the end.
    let suspect = grows(&newest, ALPHA_LEAK) || grows(&newest, ALPHA_CONFIRM) && grew_before && !comes_back;
    let fading = newest.slope < FADING * before.slope && fading_within;
    if grows_now && grew_before && !comes_back && (lasting || lasting_within) {
        Finding::Leak
    } else if high < bounds.clean_below && (!suspect || fading) {
        Finding::Clean
    } else if !lasting && low(&before, ALPHA_CONFIRM) > 0.0 && lines.growth_faded_before() {
        Finding::Fading
    } else if grows_now && !grew_before {
        Finding::Late
    } else {
        Finding::Undecided
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

/// True for the metrics that are bytes.
pub(super) fn is_memory(metric: Metric) -> bool {
    metric.unit() == Unit::Bytes
}
