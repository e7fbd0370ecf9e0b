//! The cycles that would decide what a soak left open. Where no honest number exists there is none.

use super::bound::{ALPHA_RARE, Noise};
use super::growth::{ALPHA_LEAK, Answer, Bounds};
use super::quantile;
use super::staircase::{LEAST_SHAPE, Sparse};

/// Events that show whether a staircase is a leak.
const EVENTS: f64 = 100.0;
/// Growth that keeps more than this part of the octave before may fade, or may not: there is no number for when it has.
const FADES: f64 = 0.6;
/// The half-width of a line under stationary noise falls with the cycles to the power of 1.5.
const NARROWS: f64 = 1.5;
/// The half-width is an estimate itself.
const RESERVE: f64 = 1.5;
/// The rate of events that was seen may be higher or lower than the true one, each with this probability.
const UNLUCKY: f64 = 0.1;
/// The same of a slope under noise, where [`RESERVE`] makes up for it.
pub(super) const UNLUCKY_SLOPE: f64 = 0.2;
/// A slope that can't be distinguished from none is taken for none up to this part of the limit.
const NEARER: f64 = 0.75;
/// What is farther away than this many times the run can't be foreseen, unless nothing changed at all.
const MOST: f64 = 100.0;
/// Steps in which a number of cycles is sought.
const STEP: f64 = 1.05;
/// Cycles that the lines need.
const FEWEST: f64 = 64.0;

/// What a promise goes by. Rates are per cycle.
#[derive(Debug)]
pub(super) struct Open<'a> {
    pub answer: Answer,
    /// Cycles of the run.
    pub cycles: f64,
    /// Growth in the last octaves, newest first.
    pub rates: &'a [f64],
    /// The limits.
    pub bounds: Bounds,
    /// Nothing changed over the last octave.
    pub flat: bool,
    /// Growth that the run may hide.
    pub unseen: f64,
    /// What a line shows under stationary noise.
    pub noise: Option<Noise>,
    /// Half-width that a leak must clear.
    pub leak: f64,
    /// The events of an exact count that never falls.
    pub sparse: Option<Sparse>,
    /// Cycles by which a container that doubles shows that it does.
    pub next: Option<f64>,
    /// Cycles by which a collector must have run.
    pub fill: Option<f64>,
}

/// The number of cycles, rounded up to two digits, because it is no more certain than that.
pub(super) fn promise(open: &Open<'_>) -> Option<u64> {
    // A rare event may always be hidden in a short run.
    let excludes = open.cycles * open.unseen / open.bounds.clean_below;
    let cycles = match open.answer {
        Answer::Leak | Answer::Clean => return None,
        _ if open.rates.len() < 2 => FEWEST.max(2.0 * open.cycles).max(excludes),
        Answer::Late => 2.0 * open.cycles,
        Answer::Doubling => open.next?,
        Answer::Collected => open.fill?,
        // Events that are already rare enough may go on like this for ever.
        Answer::Fading if open.sparse.is_some() && open.rates[0] < open.bounds.clean_below => return None,
        Answer::Fading => match open.rates {
            [now, before, ..] if *now > 0.0 && *now < FADES * before => {
                let octaves = (open.bounds.clean_below / now).ln() / (now / before).ln();
                open.cycles * 2.0_f64.powf(1.0 + octaves.max(0.0))
            }
            _ => return None,
        },
        Answer::Undecided if open.flat => excludes,
        Answer::Undecided => match (&open.sparse, &open.noise) {
            (Some(sparse), _) => by_events(open, sparse)?,
            (None, Some(noise)) => RESERVE * open.cycles * by_noise(open, noise)?.max(2.0),
            (None, None) => return None,
        },
    };
    let cycles = cycles.max(excludes);
    let farthest = if open.flat { f64::INFINITY } else { MOST * open.cycles };
    if !(open.cycles.max(1.0)..farthest).contains(&cycles) {
        return None;
    }
    let digit = 10.0_f64.powf(cycles.log10().floor() - 1.0);
    Some(((cycles / digit).ceil() * digit).round() as u64)
}

/// The cycles by which the events are enough to find them to be a leak, or to exclude that; `None` where the rate may be on either side of
/// the limit, or where they become rarer.
fn by_events(open: &Open<'_>, sparse: &Sparse) -> Option<f64> {
    let Sparse { sum, event, length, shape } = *sparse;
    let (limit, event) = (open.bounds.leak_above, event);
    let low = quantile::rate_at_least(sum, event, length, UNLUCKY);
    let high = quantile::rate_at_most(sum, event, length, UNLUCKY);
    let excluded = |cycles: f64| {
        quantile::rate_at_most(high * cycles / 2.0, event, cycles / 2.0, ALPHA_RARE) < open.bounds.clean_below
    };
    let proven = |cycles: f64| {
        low * cycles / event >= EVENTS
            && quantile::rate_at_least(low * cycles / 4.0, event, cycles / 4.0, ALPHA_LEAK / 2.0) > limit
    };
    let first = |decides: &dyn Fn(f64) -> bool| {
        let all = std::iter::successors(Some(open.cycles), |cycles| Some(cycles * STEP));
        all.take_while(|cycles| *cycles < MOST * open.cycles).find(|cycles| decides(*cycles))
    };
    if high < limit {
        first(&excluded)
    } else if low > limit && shape.is_none_or(|shape| shape >= LEAST_SHAPE) {
        first(&proven)
    } else {
        None
    }
}

/// How many times as many cycles are needed under noise; `None` where the slope may be on either side of the limit.
fn by_noise(open: &Open<'_>, noise: &Noise) -> Option<f64> {
    let (low, high) = (noise.slope - noise.unlucky, noise.slope + noise.unlucky);
    let (limit, clean) = (open.bounds.leak_above, open.bounds.clean_below);
    if high < limit || noise.slope <= noise.half.min(NEARER * clean) {
        // It is below the limit, or can't be distinguished from none and is nearer to that.
        Some((2.0 * noise.widest / clean).powf(1.0 / NARROWS))
    } else if low > limit {
        // The range of such noise does not grow, so the interval of a line narrows with the cycles.
        Some(open.leak / (low - limit))
    } else {
        None
    }
}
