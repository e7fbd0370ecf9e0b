//! Stdio streams: those left open, and those whose buffer or `FILE` is in memory that is gone.

use super::crash::consequence;
use super::snapshot::Stream;
use super::{Case, Found, Kind, count};

/// Finds streams that were not there before, and buffers that are no longer there.
pub(super) fn find(case: &Case<'_>) -> Vec<(Kind, Found)> {
    let (Some(before), Some(after)) = (&case.before.streams, &case.after.streams) else { return Vec::new() };
    let mut found = Vec::new();
    let name = |stream: &Stream| match (stream.name, stream.descriptor) {
        ("", Some(descriptor)) => format!("a stream on descriptor {descriptor}"),
        ("", None) => "a stream".to_owned(),
        (name, _) => name.to_owned(),
    };
    let gone = |address: u64| address != 0 && case.after.mapping_at(address).is_none();
    let mut dangling = 0;
    for stream in after {
        let what = if stream.descriptor.is_none() {
            "its FILE"
        } else if gone(stream.buffer) {
            "its buffer"
        } else {
            continue;
        };
        dangling += 1;
        found.push((
            Kind::Stdio,
            Found::once(format!(
                "{} has {what} in memory that is no longer mapped: {}; before the library is unloaded call \
                 fflush and setvbuf(stream, NULL, _IONBF, 0)",
                name(stream),
                consequence(Kind::Stdio, "the next output, or the flush at exit,")
            )),
        ));
    }
    for standard in ["stdin", "stdout", "stderr"] {
        let has = |streams: &[Stream]| streams.iter().any(|stream| stream.name == standard);
        if has(before) && !has(after) && dangling == 0 {
            found.push((
                Kind::Stdio,
                Found::once(format!("{standard} names another stream than before, or none; put it back")),
            ));
        }
    }
    let new = |stream: &&Stream| !before.iter().any(|old| old.address == stream.address);
    let left = after.iter().filter(new).filter(|stream| stream.descriptor.is_some()).count();
    if left > 0 && !case.context.is_held() {
        found.push((
            Kind::Stdio,
            Found {
                detail: format!(
                    "{} left open (fopen, popen or fdopen without fclose)",
                    count(left, "stream was", "streams were")
                ),
                per_cycle: case.per_cycle(|s| s.streams.as_ref().map_or(0, |streams| streams.len() as u64)),
            },
        ));
    }
    found
}
