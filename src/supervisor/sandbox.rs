//! `--sandbox`: what keeps a worker from writing files and from the network, and what it was kept from, in words.
//!
//! The Landlock ruleset (`landlock(7)`) is made here, through its crate, and handed to the worker, which enters it before it loads
//! anything.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};

use crate::channel::{Header, confined};
use crate::record::Sandbox;

/// Versions of Landlock that are known here, each restricts more than the one before. Later ones would restrict what would then
/// have to be told.
const KNOWN: [ABI; 6] = [ABI::V6, ABI::V5, ABI::V4, ABI::V3, ABI::V2, ABI::V1];

/// What may be written besides the private directories: devices that hold nothing. The worker adds its own folder in `/proc`, for
/// what a process says of itself, such as the names of its threads.
const OPEN_TO_ALL: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// What a worker is to enter.
#[derive(Debug)]
pub(super) struct Confinement {
    /// The ruleset, and its version; `None` where the kernel has no Landlock.
    landlock: Option<(OwnedFd, ABI)>,
}

impl Confinement {
    /// Writing is refused but for `writable` and a few devices; reading is not.
    ///
    /// # Errors
    /// When the kernel has Landlock and refuses the ruleset.
    pub(super) fn new(writable: &[PathBuf]) -> Result<Self, String> {
        let Some(abi) =
            KNOWN.into_iter().find(|abi| ruleset(*abi, CompatLevel::HardRequirement, &[]).is_ok())
        else {
            return Ok(Self { landlock: None });
        };
        let ruleset =
            ruleset(abi, CompatLevel::BestEffort, writable).map_err(|e| format!("--sandbox: {e}"))?;
        Ok(Self { landlock: ruleset.map(|fd| (fd, abi)) })
    }

    /// Descriptor of the ruleset.
    pub(super) fn ruleset(&self) -> Option<i32> {
        self.landlock.as_ref().map(|(fd, _)| fd.as_raw_fd())
    }

    /// Rights that the worker is to have in its own folder in `/proc`, as the kernel numbers them.
    pub(super) fn own_proc(&self) -> u64 {
        self.landlock.as_ref().map_or(0, |(_, abi)| AccessFs::from_write(*abi).bits())
    }

    /// What the worker was kept from, by what it wrote down; to be read once it has reached its first quiet point.
    pub(super) fn to_record(&self, header: &Header) -> Sandbox {
        let errno = nix::errno::Errno::from_raw(header.network_refused.load(Relaxed).cast_signed());
        let entered = header.confined.load(Relaxed);
        let since = |version: ABI, what: u32| {
            let is_restricted = entered & confined::NO_WRITING != 0;
            let has = self.landlock.as_ref().is_some_and(|(_, abi)| is_restricted && *abi >= version);
            if has { what } else { 0 }
        };
        let applied = entered
            | since(ABI::V3, confined::NO_TRUNCATING)
            | since(ABI::V4, confined::NO_TCP)
            | since(ABI::V6, confined::NO_SIGNALS);
        sandbox(applied, errno.desc())
    }
}

/// The descriptor is there unless the kernel has no Landlock.
fn ruleset(abi: ABI, level: CompatLevel, writable: &[PathBuf]) -> Result<Option<OwnedFd>, RulesetError> {
    let writing = AccessFs::from_write(abi);
    let mut ruleset = Ruleset::default().set_compatibility(level).handle_access(writing)?;
    if abi >= ABI::V4 {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
    }
    if abi >= ABI::V6 {
        ruleset = ruleset.scope(Scope::from_all(abi))?;
    }
    let places = OPEN_TO_ALL.iter().map(Path::new).chain(writable.iter().map(PathBuf::as_path));
    let created = ruleset.create()?.set_compatibility(CompatLevel::BestEffort);
    Ok(created.add_rules(path_beneath_rules(places, writing))?.into())
}

/// What a reader of the record should know of it.
pub(super) fn notes(sandbox: &Sandbox) -> Vec<String> {
    let told =
        |what: &str, list: &[String]| (!list.is_empty()).then(|| format!("{what}: {}", list.join("; ")));
    [told("--sandbox", &sandbox.applied), told("--sandbox could not", &sandbox.missing)]
        .into_iter()
        .flatten()
        .collect()
}

fn sandbox(applied: u32, network_refused: &str) -> Sandbox {
    let has = |what: u32| applied & what != 0;
    let mut told = Sandbox::default();
    let mut tell = |is_applied: bool, yes: &str, no: &str| {
        if is_applied {
            told.applied.push(yes.to_owned());
        } else {
            told.missing.push(no.to_owned());
        }
    };
    tell(
        has(confined::NO_WRITING),
        "no file is written, made or removed outside the soak's private directory (Landlock)",
        "files can be written: this kernel has no Landlock (Linux 5.13, enabled at boot)",
    );
    if has(confined::NO_WRITING) {
        tell(
            has(confined::NO_TRUNCATING),
            "no file is truncated there either (Landlock)",
            "files can be truncated: that takes Landlock's version 3 (Linux 6.2)",
        );
    }
    let no_namespace = format!(
        "no network namespace: {network_refused}; it takes CAP_SYS_ADMIN. UDP and other sockets reach the network"
    );
    tell(has(confined::NO_NETWORK), "no network, not even the loopback (network namespace)", &no_namespace);
    if has(confined::NO_NETWORK) {
        // Nothing is left that TCP could reach.
    } else {
        tell(
            has(confined::NO_TCP),
            "no TCP, neither connecting nor listening (Landlock)",
            "TCP can be used: keeping from it takes Landlock's version 4 (Linux 6.7)",
        );
    }
    tell(
        has(confined::NO_SIGNALS),
        "no signals to processes outside, nor abstract Unix sockets of theirs (Landlock)",
        "processes outside can be sent signals: keeping from it takes Landlock's version 6 (Linux 6.12)",
    );
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_applied_is_told_as_missing() {
        let all = confined::NO_WRITING
            | confined::NO_TRUNCATING
            | confined::NO_NETWORK
            | confined::NO_TCP
            | confined::NO_SIGNALS;
        assert_eq!(sandbox(all, "").missing, [""; 0]);
        let old = sandbox(confined::NO_WRITING, "Operation not permitted");
        assert_eq!((old.applied.len(), old.missing.len()), (1, 4), "{old:?}");
        assert!(old.missing[1].contains("Operation not permitted; it takes CAP_SYS_ADMIN"));
        let without = sandbox(confined::NO_NETWORK, "");
        assert_eq!((without.applied.len(), without.missing.len()), (1, 2), "{without:?}");
    }
}
