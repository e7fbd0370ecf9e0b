//! Will this library load here: what `inspect` finds in the file and in those that it needs, as checks.

use std::path::Path;

use super::{Checks, headers};
use crate::inspect::{self, InspectError};
use crate::record::checkup::{Check, Found, Group, Name};
use crate::record::inspection::StaticTls;

/// Problems that are listed one by one.
const MOST: usize = 20;

/// Everything about one library.
pub(super) fn checks(path: &Path) -> Result<Vec<Check>, InspectError> {
    let mut checks = Checks::new(Group::Library);
    let found = inspect::inspect(path)?;
    let file = found.file;
    if found.problems.is_empty() {
        checks.ok(Name::LoadsHere, Found::Loads { machine: file.machine, libc: file.libc.clone() });
    }
    let more = found.problems.len().saturating_sub(MOST) as u64;
    for problem in found.problems.into_iter().take(MOST) {
        checks.fail(Name::LoadsHere, Found::DoesNotLoad { problem });
    }
    if more > 0 {
        checks.fail(Name::LoadsHere, Found::MoreProblems { count: more });
    }
    if let Some(StaticTls { bytes, room, at_most }) = found.static_tls {
        checks.warn(Name::StaticTls, Found::StaticTls { bytes, room, at_most });
    }
    if file.executable_stack {
        checks.warn(Name::Stack, Found::ExecutableStack);
    }
    if file.text_relocations {
        checks.warn(Name::TextRelocations, Found::TextRelocations);
    }
    headers::check(&mut checks, path, &file);
    Ok(checks.all)
}
