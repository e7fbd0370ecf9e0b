//! Stdio streams: those left open, and those whose buffer or `FILE` is in memory that is gone.

use super::Case;
use super::snapshot::Stream;
use crate::record::{self, Evidence, Residue, StreamChange};

/// Finds streams that were not there before, and buffers that are no longer there.
pub(super) fn find(case: &Case<'_>) -> Vec<Residue> {
    let (Some(before), Some(after)) = (&case.before.streams, &case.after.streams) else { return Vec::new() };
    let mut found = Vec::new();
    let mut once = |change| found.push(Residue::once(Evidence::Stdio(change)));
    let gone = |address: u64| address != 0 && case.after.mapping_at(address).is_none();
    let mut dangling = 0;
    for lost in after {
        let name = (!lost.name.is_empty()).then(|| lost.name.to_owned());
        let stream = record::Stream { name, descriptor: lost.descriptor };
        let change = if lost.descriptor.is_none() {
            StreamChange::FileGone { stream }
        } else if gone(lost.buffer) {
            StreamChange::BufferGone { stream }
        } else {
            continue;
        };
        dangling += 1;
        once(change);
    }
    for standard in ["stdin", "stdout", "stderr"] {
        let has = |streams: &[Stream]| streams.iter().any(|stream| stream.name == standard);
        if has(before) && !has(after) && dangling == 0 {
            let stream = record::Stream { name: Some(standard.to_owned()), descriptor: None };
            once(StreamChange::Replaced { stream });
        }
    }
    let new = |stream: &&Stream| !before.iter().any(|old| old.address == stream.address);
    let left = after.iter().filter(new).filter(|stream| stream.descriptor.is_some()).count() as u64;
    if left > 0 && !case.context.is_held() {
        found.push(Residue::new(
            Evidence::Stdio(StreamChange::Open { count: left }),
            case.per_cycle(|s| s.streams.as_ref().map_or(0, |streams| streams.len() as u64)),
        ));
    }
    found
}
