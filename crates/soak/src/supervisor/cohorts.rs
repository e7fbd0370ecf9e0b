//! The soak of the pass `cohorts`: whether blocks that old cycles allocated are still there, which noise on the heap can't hide.

use std::sync::atomic::Ordering::Relaxed;

use super::Context;
use super::noted::{Noted, Noting, is_full};
use super::session::End;
use crate::record::{Alive, Cohorts, EndedEarly, Measured, Stretch};
use crate::suite::plan::SoakPlan;
use crate::trace::cohorts::{alive, places};
use dlsoak_wire::notes::Memory;

const STRETCHES: u32 = Cohorts::STRETCHES as u32;
/// The stretches whose survivors are named: from a quarter of the cycles to three quarters.
const NAMED: std::ops::Range<u32> = STRETCHES / 4 + 1..STRETCHES * 3 / 4 + 1;
/// Most places that are named.
const PLACES: usize = 16;

/// Soaks `cycles` cycles of a library that was soaked before, as it was soaked.
///
/// # Errors
/// Why no notes could be taken. What happens while it runs is in the record's `ended`.
pub(super) fn cohorts(
    plan: &SoakPlan,
    soak: &Measured,
    cycles: u64,
    context: &Context<'_>,
) -> Result<Cohorts, EndedEarly> {
    let (mut halfway, mut end, mut named) = (Vec::new(), Vec::new(), Vec::new());
    let noted = Noted::soak(plan, soak, cycles, context, |noting, warmup| {
        run(noting, (warmup, cycles), |memory, stretch| {
            if stretch == STRETCHES / 2 {
                halfway = alive(memory, stretch);
            } else if stretch == STRETCHES {
                end = alive(memory, stretch);
                named = places(memory, NAMED, cycles / 2, PLACES);
            }
        })
    })?;
    let at = |part: &[Alive], index: usize| part.get(index).copied().unwrap_or_default();
    let stretches =
        (0..end.len()).map(|index| Stretch { halfway: at(&halfway, index), end: at(&end, index) });
    Ok(Cohorts {
        cycles,
        stretches: stretches.collect(),
        places: noted.places(&named),
        lost: noted.memory().lost.load(Relaxed),
        ended: noted.ended.clone(),
    })
}

/// Cycles stretch by stretch, with a look after each; why it ended before the last one, where it did.
fn run(
    noting: &mut Noting<'_, '_>,
    (warmup, cycles): (u64, u64),
    mut look: impl FnMut(&Memory, u32),
) -> Result<Option<EndedEarly>, End> {
    let memory = noting.memory;
    noting.advance(warmup)?;
    for stretch in 1..=STRETCHES {
        memory.stretch.store(stretch, Relaxed);
        let done = u128::from(cycles) * u128::from(stretch) / u128::from(STRETCHES);
        let done = u64::try_from(done).unwrap_or(cycles);
        noting.advance(warmup + done)?;
        let now = noting.look();
        look(memory, stretch);
        if is_full(&now) && stretch < STRETCHES {
            return Ok(Some(EndedEarly::NotesFull { cycles: done }));
        }
    }
    Ok(None)
}
