//! What else did it leave behind? Snapshots of a process's state, before the first open and at later quiet points,
//! are compared here by pure functions; `docs/residue.md` says what each kind means and how to mend it.

mod crash;
mod environment;
mod held;
mod memory;
mod settings;
mod signals;
pub mod snapshot;
mod stdio;
#[cfg(test)]
mod tests;

pub use crate::settings::{ResidueKind as Kind, UnknownKind};

use crate::record::is_runtime;
use crate::record::{Counted, Evidence, Residue, Tally, UnloadState};
use snapshot::{Mapping, Snapshot};

/// What there is to know besides the snapshots.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Whether the library was unloaded.
    pub state: UnloadState,
    /// Paths of the objects that stayed.
    pub objects_left: &'a [String],
    /// Addresses that the library had when it was seen loaded: each time the first, and the first after them.
    pub library: &'a [(u64, u64)],
    /// Measured cycles that growth is judged by: after them something had run out.
    pub until: u64,
    /// In which cycle the loader refused a load for lack of static thread-local storage, and its words, where it did.
    pub refusal: Option<(u64, &'a str)>,
    /// Whether the library takes functions from elsewhere that make files in `/dev/shm`.
    pub makes_shared_files: bool,
    /// Bytes of a page.
    pub page: u64,
}

impl Context<'_> {
    /// Whether something still lives that may hold what is left: a library that is pinned, or one that it brought
    /// and that stays. What is alive owns a thread or a descriptor by right.
    fn is_held(&self) -> bool {
        // Runtimes are brought along everywhere, stay for reasons of their own, and keep nothing but memory: what a library left beside them
        // is its own.
        self.state == UnloadState::Pinned || !self.objects_left.iter().all(|path| is_runtime(path))
    }
}

/// The snapshots of one soak in order, and what there is to know besides.
struct Case<'a> {
    /// Before the first open.
    before: &'a Snapshot,
    /// At the last quiet point.
    after: &'a Snapshot,
    /// From the first measured checkpoint to the last.
    measured: &'a [Snapshot],
    context: Context<'a>,
}

/// Finds what was left behind. The first snapshot is from before the first open, the others are from checkpoints.
pub fn find(snapshots: &[Snapshot], context: Context<'_>) -> Vec<Residue> {
    let [before, measured @ ..] = snapshots else { return Vec::new() };
    let Some(after) = measured.last() else { return Vec::new() };
    let case = Case { before, after, measured, context };
    let mut found = Vec::new();
    found.extend(held::find(&case));
    found.extend(memory::find(&case));
    found.extend(signals::find(&case));
    found.extend(settings::find(&case));
    found.extend(environment::find(&case));
    found.extend(stdio::find(&case));
    found.extend(static_tls(&case));
    found.extend(exit_handlers(&case));
    found.sort_by_key(Residue::kind);
    found
}

/// Threads that were started later with code of what the host had before, which are the host's: by the file of that code.
pub fn of_host(snapshots: &[Snapshot], context: Context<'_>) -> Vec<(String, u64)> {
    let [before, measured @ ..] = snapshots else { return Vec::new() };
    let Some(after) = measured.last() else { return Vec::new() };
    let case = Case { before, after, measured, context };
    let left = tally(held::of_host(&case));
    left.items.into_iter().map(|item| (item.what, item.count)).collect()
}

impl Case<'_> {
    /// Whether a mapping is of a library that the host had before the first open, other than the C library and the loader.
    fn is_of_host(&self, mapping: &Mapping) -> bool {
        let name = mapping.name.rsplit('/').next().unwrap_or_default();
        let is_other = name.contains(".so") && !is_runtime(name);
        is_other && self.before.mappings.iter().any(|old| old.name == mapping.name)
    }

    /// Whether a mapping is of an object that came with the library and stays. The name that the loader lists for
    /// it may lead there through symbolic links, so it is told by having come, and not by its name.
    fn is_of_what_stays(&self, mapping: &Mapping) -> bool {
        !self.context.objects_left.is_empty()
            && mapping.name.starts_with('/')
            && mapping.name.contains(".so")
            && !self.before.mappings.iter().any(|old| old.name == mapping.name)
    }

    /// By how much a count grows per cycle; `None` where it does not grow steadily. It may not fall, and of the
    /// whole growth each half of the run has its part. Only cycles count before anything ran out.
    fn per_cycle(&self, count: impl Fn(&Snapshot) -> u64) -> Option<f64> {
        let measured = self.measured.iter().filter(|s| s.cycle <= self.context.until);
        let points: Vec<(u64, u64)> = measured.map(|s| (s.cycle, count(s))).collect();
        let (first, last) = (points.first()?, points.last()?);
        let (cycles, grown) = (last.0.checked_sub(first.0)?, last.1.checked_sub(first.1)?);
        let half = first.0 + cycles / 2;
        let until = |cycle: u64| points.iter().rev().find(|(at, _)| *at <= cycle).map_or(first.1, |p| p.1);
        let steady = points.windows(2).all(|pair| pair[0].1 <= pair[1].1);
        let fades = points.len() > 2 && last.1.saturating_sub(until(half)) < grown.div_ceil(4);
        (cycles > 0 && grown >= 2 && steady && !fades).then(|| grown as f64 / cycles as f64)
    }
}

/// A load that the loader refused because static thread-local storage had run out.
fn static_tls(case: &Case<'_>) -> Option<Residue> {
    // A library that is refused at the first load has left nothing behind.
    let refused = case.context.refusal.filter(|(cycle, _)| *cycle > 0);
    refused.map(|(loads, words)| Residue::once(Evidence::StaticTls { loads, message: words.to_owned() }))
}

/// Functions that the process will call when it ends, and whose code is gone.
fn exit_handlers(case: &Case<'_>) -> Option<Residue> {
    let (handlers, _) = &case.after.exit_handlers;
    let gone: Vec<u64> = handlers.iter().copied().filter(|at| !case.after.is_code(*at)).collect();
    let first = crash::at(*gone.first()?, case.after);
    Some(Residue::new(
        Evidence::Atexit { count: gone.len() as u64, first },
        case.per_cycle(|s| s.exit_handlers.1),
    ))
}

/// Counts things by what they are, most frequent first. A record keeps no more of them than fit a line.
fn tally<T: PartialEq>(things: impl IntoIterator<Item = T>) -> Tally<T> {
    const KEPT: usize = 8;
    let mut items: Vec<Counted<T>> = Vec::new();
    for what in things {
        match items.iter_mut().find(|known| known.what == what) {
            Some(known) => known.count += 1,
            None => items.push(Counted { what, count: 1 }),
        }
    }
    items.sort_by_key(|item| std::cmp::Reverse(item.count));
    let count = items.iter().map(|item| item.count).sum();
    let more = items.len().saturating_sub(KEPT) as u64;
    items.truncate(KEPT);
    Tally { count, items, more }
}
