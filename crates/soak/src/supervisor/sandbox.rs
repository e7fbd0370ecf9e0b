//! `--sandbox`: what keeps a worker from writing files and from the network, and what it was kept from.
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
use crate::fault::Fault;
use crate::record::{Lack, Missing, Restriction, Sandbox};
use crate::settings::Sandboxing;

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
    /// When the kernel has Landlock and refuses the ruleset; where the sandbox is required, also when the kernel has no Landlock,
    /// or one that can't restrict all that this one should.
    pub(super) fn new(writable: &[PathBuf], wanted: Sandboxing) -> Result<Self, Fault> {
        let known = KNOWN.into_iter().find(|abi| ruleset(*abi, CompatLevel::HardRequirement, &[]).is_ok());
        if wanted == Sandboxing::Required && known != Some(KNOWN[0]) {
            let has =
                known.map_or("no Landlock".to_owned(), |abi| format!("Landlock of version {}", abi as u32));
            return Err(Fault::new(format!(
                "--sandbox: this kernel has {has}, and a complete sandbox needs version {}; accept less with \
                 --sandbox=best-effort, or run dlsoak in a container or a virtual machine",
                KNOWN[0] as u32
            )));
        }
        let Some(abi) = known else { return Ok(Self { landlock: None }) };
        let ruleset = ruleset(abi, CompatLevel::BestEffort, writable)
            .map_err(|e| Fault::new(format!("--sandbox: the kernel refused the ruleset: {e}")))?;
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
        let errno = header.network_refused.load(Relaxed).cast_signed();
        let entered = header.confined.load(Relaxed);
        let since = |version: ABI, what: u32| {
            let is_restricted = entered & confined::NO_WRITING != 0;
            let has = self.landlock.as_ref().is_some_and(|(_, abi)| is_restricted && *abi >= version);
            if has { what } else { 0 }
        };
        let applied =
            entered | LANDLOCK.iter().fold(0, |all, (_, what, version)| all | since(*version, *what));
        sandbox(applied, errno)
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

/// The version of Landlock that each of its restrictions needs.
const LANDLOCK: [(Restriction, u32, ABI); 4] = [
    (Restriction::Writing, confined::NO_WRITING, ABI::V1),
    (Restriction::Truncating, confined::NO_TRUNCATING, ABI::V3),
    (Restriction::Tcp, confined::NO_TCP, ABI::V4),
    (Restriction::Signals, confined::NO_SIGNALS, ABI::V6),
];

/// What came of each restriction; `errno` is how the kernel refused a network namespace.
fn sandbox(applied: u32, errno: i32) -> Sandbox {
    let has = |what: u32| applied & what != 0;
    let mut sandbox = Sandbox::default();
    for restriction in Restriction::ALL {
        let landlock = LANDLOCK.iter().find(|(of, ..)| *of == restriction);
        let (bit, lacks) = match landlock {
            Some((_, bit, abi)) => (*bit, Lack::Landlock { version: *abi as u32 }),
            None => (confined::NO_NETWORK, Lack::Namespace { errno }),
        };
        match restriction {
            // Who can write can truncate.
            Restriction::Truncating if !has(confined::NO_WRITING) => {}
            // Nothing is left that TCP could reach.
            Restriction::Tcp if has(confined::NO_NETWORK) => {}
            _ if has(bit) => sandbox.applied.push(restriction),
            _ => sandbox.missing.push(Missing { restriction, lacks }),
        }
    }
    sandbox
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_applied_is_missing() {
        let all = confined::NO_WRITING
            | confined::NO_TRUNCATING
            | confined::NO_NETWORK
            | confined::NO_TCP
            | confined::NO_SIGNALS;
        let applied =
            [Restriction::Writing, Restriction::Truncating, Restriction::Network, Restriction::Signals];
        assert_eq!(sandbox(all, 0), Sandbox { applied: applied.to_vec(), missing: Vec::new() });
        let missing = |restriction, lacks| Missing { restriction, lacks };
        let signals = missing(Restriction::Signals, Lack::Landlock { version: 6 });
        let old = Sandbox {
            applied: vec![Restriction::Writing],
            missing: vec![
                missing(Restriction::Truncating, Lack::Landlock { version: 3 }),
                missing(Restriction::Network, Lack::Namespace { errno: libc::EPERM }),
                missing(Restriction::Tcp, Lack::Landlock { version: 4 }),
                signals,
            ],
        };
        assert_eq!(sandbox(confined::NO_WRITING, libc::EPERM), old);
        let without = Sandbox {
            applied: vec![Restriction::Network],
            missing: vec![missing(Restriction::Writing, Lack::Landlock { version: 1 }), signals],
        };
        assert_eq!(sandbox(confined::NO_NETWORK, 0), without);
    }
}
