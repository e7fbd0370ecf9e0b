//! A load that fails: what has run out or changed meanwhile.

use std::collections::BTreeMap;

use crate::record::why::Descriptor;
use crate::record::{LoadFailure, OpenFds, Shortage};
use crate::suite::together::NAMESPACES;
use crate::supervisor::allowances::{limits, number};
use crate::supervisor::failure::Refusal;
use crate::supervisor::session::Session;
use crate::supervisor::staging::Staging;

/// Room for static thread-local storage to be asked for where it is not known how much is needed.
const TUNABLE: u64 = 8192;
/// Kinds of descriptors that are listed.
const LISTED: usize = 3;
/// Mappings that one more load takes.
const NEXT_LOAD: u64 = 16;

/// What has run out or changed when a load failed after `cycles` that went well.
pub(super) fn shortage(
    failure: &LoadFailure,
    cycles: u64,
    session: &Session<'_>,
    staging: &Staging,
) -> Option<Shortage> {
    if cycles > 0
        && let Some(change) = staging.change()
    {
        return Some(change);
    }
    match Refusal::of_failure(failure) {
        Refusal::StaticTls => Some(Shortage::StaticTls { each: None, tunable: TUNABLE }),
        Refusal::Descriptors => Some(descriptors(session)),
        Refusal::Memory => Some(memory(session)),
        Refusal::Namespaces => Some(Shortage::Namespaces { allowed: NAMESPACES }),
        Refusal::DiskFull => Some(Shortage::Disk),
        Refusal::MissingFile => (cycles > 0).then_some(Shortage::LibraryGone),
        Refusal::MissingSymbol(_) | Refusal::MissingVersion | Refusal::Other => None,
    }
}

/// What the descriptors are of.
fn descriptors(session: &Session<'_>) -> Shortage {
    let process = session.worker.process.pid();
    let mut kinds: BTreeMap<Descriptor, u64> = BTreeMap::new();
    let entries = std::fs::read_dir(format!("/proc/{process}/fd"));
    let links = entries.into_iter().flatten().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    for link in links {
        *kinds.entry(Descriptor::of_link(&link.to_string_lossy())).or_default() += 1;
    }
    let open = kinds.values().sum();
    let mut most: Vec<OpenFds> = kinds.into_iter().map(|(of, count)| OpenFds { of, count }).collect();
    most.sort_by_key(|of| std::cmp::Reverse(of.count));
    most.truncate(LISTED);
    let allowed = limits(process).and_then(|may| number(may.max_open_files.soft_limit));
    Shortage::Fds { open, allowed, most }
}

/// What memory may have run out.
fn memory(session: &Session<'_>) -> Shortage {
    let process = session.worker.process.pid();
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"));
    let mappings = maps.map_or(0, |maps| maps.lines().count() as u64);
    let most = procfs::sys::vm::max_map_count().ok();
    if let Some(allowed) = most.filter(|most| mappings + NEXT_LOAD > *most) {
        return Shortage::Mappings { mappings, allowed };
    }
    match limits(process).and_then(|may| number(may.max_address_space.soft_limit)) {
        Some(allowed) => Shortage::AddressSpace { mappings, allowed },
        None => Shortage::Memory { mappings },
    }
}
