//! The cycles that would decide what a soak left open. Where no honest number exists there is none.

use super::growth::{Answer, Bounds};
use super::quantile;

/// Events that show whether a staircase is a leak.
const EVENTS: f64 = 100.0;
/// Growth that keeps more than this part of the octave before may fade, or may not: there is no number for when it has.
const FADES: f64 = 0.6;
/// The half-width of a line under stationary noise falls with the cycles to the power of 1.5.
const NARROWS: f64 = 1.5;
/// The half-width is an estimate itself.
const RESERVE: f64 = 1.5;
/// The few events that were seen may be more than there usually are, with this probability.
const UNLUCKY: f64 = 0.1;
/// What is farther away than this many times the run can't be foreseen.
const MOST: f64 = 100.0;
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
    /// Slope and half-width under stationary noise.
    pub noise: Option<(f64, f64)>,
    /// Half-width that a leak must clear.
    pub leak: f64,
    /// Events per cycle, in an exact count that never falls.
    pub frequency: Option<f64>,
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
        Answer::Fading => match open.rates {
            [now, before, ..] if *now > 0.0 && *now < FADES * before => {
                let octaves = (open.bounds.clean_below / now).ln() / (now / before).ln();
                open.cycles * 2.0_f64.powf(1.0 + octaves.max(0.0))
            }
            _ => return None,
        },
        Answer::Undecided if open.flat => excludes,
        Answer::Undecided => match (open.frequency, open.noise) {
            (Some(frequency), _) if frequency * open.cycles < EVENTS => {
                let events = frequency * open.cycles;
                EVENTS * open.cycles / quantile::gamma(events, UNLUCKY)
            }
            (_, Some((slope, half))) => {
                let factor = if slope <= half || slope <= open.bounds.clean_below / 2.0 {
                    (2.0 * half / open.bounds.clean_below).powf(1.0 / NARROWS)
                } else {
                    // It may well be a leak. The range of such noise does not grow, so the interval of a line narrows with the cycles.
                    open.leak / (slope - open.bounds.leak_above).max(0.0)
                };
                RESERVE * open.cycles * factor.max(2.0)
            }
            _ => return None,
        },
    };
    let cycles = cycles.max(excludes);
    if !(open.cycles.max(1.0)..MOST * open.cycles).contains(&cycles) {
        return None;
    }
    let digit = 10.0_f64.powf(cycles.log10().floor() - 1.0);
    Some(((cycles / digit).ceil() * digit).round() as u64)
}
