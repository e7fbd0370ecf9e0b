//! What `--sandbox` kept a worker from, in words.

use std::sync::atomic::Ordering::Relaxed;

use crate::channel::{Header, confined};
use crate::record::Sandbox;

/// What the worker wrote down of it; to be read once it has reached its first quiet point.
pub(super) fn to_record(header: &Header) -> Sandbox {
    let errno = nix::errno::Errno::from_raw(header.network_refused.load(Relaxed).cast_signed());
    sandbox(header.confined.load(Relaxed), errno.desc())
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
