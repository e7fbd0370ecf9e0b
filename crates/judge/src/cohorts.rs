//! What the survivors of old cycles say about growth of the heap. The heap as a whole may hide a leak in noise: blocks live and die, a
//! cache fills, a generation is freed at once. Of the blocks that one stretch of cycles allocated, those that live later are counted
//! here, and noise does not touch them.
//!
//! The rate of survivors is bounded as that of a compound Poisson process. They are a leak if those of two windows in a row exceed the
//! limit, the newer one no less than the older, and if hardly any of those that lived half-way has died since.

use std::ops::Range;

use dlsoak_record::{Alive, Cohorts, Survivors};

use super::bound::ALPHA_RARE;
use super::growth::{Answer, Bounds};
use super::{quantile, staircase};

/// Windows of birth, in parts of 64 of the soak: an eighth to a quarter, a quarter to half, half to three quarters. The last quarter
/// has not had time to die.
const PARTS: usize = Cohorts::STRETCHES;
const OLD: Range<usize> = 8..16;
const MIDDLE: Range<usize> = 16..32;
const LATE: Range<usize> = 32..48;
/// Where a shape is fitted.
const SHAPED: Range<usize> = 4..48;
/// One-sided errors: of each of the three upper bounds for clean, and of each of the two lower bounds for a leak.
const ALPHA_CLEAN: f64 = 0.0125;
const ALPHA_LEAK: f64 = 0.0025;
/// Error of the interval that is reported, on each side.
const ALPHA_SHOWN: f64 = 0.025;
/// Assumed bytes of a block where none is alive.
const BLOCK: f64 = 1024.0;
/// With this many survivors in the two windows their ratio is known, and the newer one has at least [`LASTING`] of the older one's rate.
const MANY: u64 = 400;
const LASTING: f64 = 0.9;
/// Otherwise it has at least this part, and the shape is that of a leak: see [`staircase::shape`].
const RECENT: f64 = 0.6;
const LEAST_SHAPE: f64 = 0.85;
/// The part of the old survivors that may have died in the second half, with error [`ALPHA_DIED`].
const DIED: f64 = 0.1;
const ALPHA_DIED: f64 = 0.01;
/// Where there are too few of the old ones for that, none may have died, and there are at least this many of them, and of the others.
const FEWEST_OLD: u64 = 6;
const FEWEST: u64 = 25;

/// The answer that the survivors give, where they give one; `doubles` where the heap's series does, as a container does whose one block
/// is replaced by a larger one, so that no old block survives; `event` is the largest amount that the series shows to come at once.
pub(super) fn answer(
    cohorts: &Cohorts,
    bounds: Bounds,
    doubles: bool,
    event: f64,
) -> Option<(Answer, Survivors)> {
    if cohorts.stretches.len() != PARTS || cohorts.ended.is_some() || cohorts.lost > 0 {
        return None;
    }
    let window = |range: Range<usize>| Window::of(cohorts, range);
    let (middle, late, both) = (window(MIDDLE), window(LATE), window(MIDDLE.start..LATE.end));
    let high = |window: Window| window.high(ALPHA_CLEAN).max(window.unseen(event));
    let least =
        [window(OLD.start..MIDDLE.end), both, late].map(high).into_iter().fold(f64::INFINITY, f64::min);
    // A leak that began in the first half shows in the latest window.
    let excluded = late.rate() < bounds.clean_below && least < bounds.clean_below;
    let (answer, high) = if leaks(cohorts, &middle, &late, bounds.leak_above) {
        (Answer::Leak, both.high(ALPHA_SHOWN))
    } else if excluded && !doubles {
        (Answer::Clean, least)
    } else {
        return None;
    };
    let cycle = |part: usize| cohorts.cycles * part as u64 / PARTS as u64;
    let survivors = Survivors {
        cycles: cohorts.cycles,
        from: cycle(MIDDLE.start),
        to: cycle(LATE.end),
        blocks: both.alive.blocks,
        bytes: both.alive.bytes,
        per_cycle: both.rate(),
        low: both.low(ALPHA_SHOWN),
        high,
        leak: answer == Answer::Leak,
    };
    Some((answer, survivors))
}

/// What is left of a window of births.
#[derive(Debug, Clone, Copy)]
struct Window {
    alive: Alive,
    cycles: f64,
}

impl Window {
    fn of(cohorts: &Cohorts, range: Range<usize>) -> Self {
        let mut alive = Alive::default();
        for stretch in &cohorts.stretches[range.clone()] {
            alive += stretch.end;
        }
        Self { alive, cycles: cohorts.cycles as f64 * range.len() as f64 / PARTS as f64 }
    }

    /// Bytes of one event, those weighing more that weigh more.
    fn event(&self) -> f64 {
        if self.alive.bytes == 0 { BLOCK } else { self.alive.squares / self.alive.bytes as f64 }
    }

    /// Bytes per cycle.
    fn rate(&self) -> f64 {
        self.alive.bytes as f64 / self.cycles
    }

    /// The bound on events of this amount, if there was none.
    fn unseen(&self, event: f64) -> f64 {
        -ALPHA_RARE.ln() * event / self.cycles
    }

    fn low(&self, alpha: f64) -> f64 {
        quantile::rate_at_least(self.alive.bytes as f64, self.event(), self.cycles, alpha)
    }

    fn high(&self, alpha: f64) -> f64 {
        quantile::rate_at_most(self.alive.bytes as f64, self.event(), self.cycles, alpha)
    }
}

fn leaks(cohorts: &Cohorts, middle: &Window, late: &Window, limit: f64) -> bool {
    let grows = [middle, late].iter().all(|window| window.low(ALPHA_LEAK) > limit);
    grows && lasts(cohorts, middle, late) && live(cohorts, middle, late)
}

/// Whether the newer window has no fewer survivors than the older one.
fn lasts(cohorts: &Cohorts, middle: &Window, late: &Window) -> bool {
    let ratio = late.rate() / middle.rate();
    let steady = || {
        let events: Vec<(f64, f64)> = SHAPED
            .filter_map(|part| {
                let blocks = cohorts.stretches[part].end.blocks as f64;
                (blocks > 0.0).then(|| ((part as f64 + 0.5) / LATE.end as f64, blocks))
            })
            .collect();
        let from = SHAPED.start as f64 / LATE.end as f64;
        staircase::shape(&events, from).is_some_and(|shape| staircase::is_steady(shape, LEAST_SHAPE))
    };
    middle.alive.blocks + late.alive.blocks >= MANY && ratio >= LASTING || ratio >= RECENT && steady()
}

/// Whether hardly any of the old survivors has died since half-way.
fn live(cohorts: &Cohorts, middle: &Window, late: &Window) -> bool {
    let old = &cohorts.stretches[OLD];
    let before: u64 = old.iter().map(|stretch| stretch.halfway.blocks).sum();
    let after: u64 = old.iter().map(|stretch| stretch.end.blocks).sum();
    let died = before.saturating_sub(after);
    let few = died == 0 && before >= FEWEST_OLD && middle.alive.blocks + late.alive.blocks >= FEWEST;
    // Where so few would rarely die if the part were this large, fewer do (Clopper and Pearson 1934).
    few || quantile::binomial(died, before, DIED) < ALPHA_DIED
}
