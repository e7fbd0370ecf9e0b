//! Keeps the worker from what a library has no business with in a soak: writing files, and the network. Applied before
//! the first library is loaded, and for good: what the worker starts inherits it.
//!
//! Landlock (`landlock(7)`) through its crate; a network namespace of its own (`network_namespaces(7)`) where that is
//! permitted. A user namespace would permit it to everyone, but in one the library sees files of all other users as
//! owned by nobody, and can't change its user or groups as in a host.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, LandlockStatus, RestrictionStatus,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};
use nix::sched::{CloneFlags, unshare};

use crate::channel::{Header, confined};

/// What is known of Landlock here; later versions restrict more, which would have to be told.
const KNOWN: ABI = ABI::V6;

/// What may be written besides the private directories: devices that hold nothing, and what a process says of itself,
/// such as the names of its threads.
const OPEN_TO_ALL: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/proc/self"];

/// Applies what can be applied, and writes down what that was.
///
/// # Errors
/// When nothing at all could be applied.
pub(super) fn enter(header: &Header, writable: &[PathBuf]) -> Result<(), String> {
    let mut applied = 0;
    // First: a process under Landlock may still do this, but not with a kernel that counts it as a change of its view.
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => applied |= confined::NO_NETWORK,
        Err(errno) => header.network_refused.store(errno as u32, Relaxed),
    }
    let landlock = restrict(writable);
    if let Ok(status) = &landlock {
        applied |= words_of(status);
    }
    header.confined.store(applied, Relaxed);
    if applied != 0 {
        return Ok(());
    }
    let why =
        landlock.err().map_or_else(|| "the kernel has no Landlock".to_owned(), |error| error.to_string());
    Err(format!(
        "--sandbox: nothing could be applied: {why}, and a network namespace is not permitted; run without it in a \
         container or a virtual machine"
    ))
}

/// Writing is refused but for `writable` and a few devices; reading is not.
fn restrict(writable: &[PathBuf]) -> Result<RestrictionStatus, RulesetError> {
    let writing = AccessFs::from_write(KNOWN);
    let places = OPEN_TO_ALL.iter().map(Path::new).chain(writable.iter().map(PathBuf::as_path));
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing)?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(places, writing))?
        .restrict_self()
}

/// What this version of Landlock has restricted.
fn words_of(status: &RestrictionStatus) -> u32 {
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else { return 0 };
    if status.ruleset == RulesetStatus::NotEnforced {
        return 0;
    }
    let since = |version: ABI, what: u32| if effective_abi >= version { what } else { 0 };
    confined::NO_WRITING
        | since(ABI::V3, confined::NO_TRUNCATING)
        | since(ABI::V4, confined::NO_TCP)
        | since(ABI::V6, confined::NO_SIGNALS)
}
