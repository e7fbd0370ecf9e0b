//! Pure functions from a measured series to growth, verdict and gate. `docs/method.md` describes the method, its
//! sources and its measured error rates.

pub mod compare;
mod critical;
mod gate;
mod growth;
mod line;
pub mod merge;
pub mod schedule;
mod series;
mod shares;
mod verdict;
pub(crate) mod words;

use dlsoak_record::Limits;
use dlsoak_record::{Gate, Growth, Leak, Soak, UnloadState, Verdict};

use growth::{Errors, Finding};

pub use shares::{is_all_of_it, shares};

/// What a soak is held against: [`Limits`], as the suite gives them.
pub type Policy = Limits;

/// What was made of one soak: the fields of the record that are derived from the measured ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Growth of every metric that was measured.
    pub growth: Vec<Growth>,
    /// The leak of memory, where one is proven.
    pub leak: Option<Leak>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, most important first.
    pub reasons: Vec<String>,
    /// What the gate made of it.
    pub gate: Gate,
}

/// Judges a soak in which everything measured is filled in. `growth`, `leak`, `verdict`, `reasons` and `gate` of
/// the soak are not read.
pub fn judge(soak: &Soak, policy: &Policy) -> Judgement {
    verdict::judge(soak, policy)
}

/// What a look during a soak says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// No growth at or above the limit: the soak may stop.
    Clean,
    /// A leak that more cycles would not make go away: the soak may stop.
    Leak,
    /// Not decided.
    GoOn,
}

/// Looks at a soak that is under way; `look_index` counts the looks from 0. Look when the cycles have doubled, not
/// more often: each look spends half of the error probability that is left.
pub fn look(soak: &Soak, policy: &Policy, look_index: u32) -> Look {
    looked(soak, policy, look_index).0
}

/// What a look says, and the growth that it saw.
fn looked(soak: &Soak, policy: &Policy, look_index: u32) -> (Look, Vec<Growth>) {
    let exposure = series::Exposure::of(soak);
    let bounds = verdict::bounds(soak, policy);
    let evidence = growth::evidence(soak, &exposure, Errors::at_look(look_index), bounds);
    let look = if verdict::has(&evidence, Finding::Leak) {
        // What stays loaded may hold a cache that is not full yet.
        let nothing_stays = soak.unload.state == UnloadState::Unloaded && soak.unload.objects_left.is_empty();
        if nothing_stays { Look::Leak } else { Look::GoOn }
    } else if verdict::is_undecided(&evidence) {
        Look::GoOn
    } else {
        Look::Clean
    };
    (look, evidence.into_iter().map(|found| found.growth).collect())
}
