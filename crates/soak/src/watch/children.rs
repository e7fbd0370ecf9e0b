//! Processes that a watched host forks. They are counted and not watched, but one of them may become the host, when that goes into the
//! background.

use std::collections::{BTreeMap, HashSet};

use dlsoak_wire::watch::Event;

use super::ledger::Ledger;

/// Children whose loader is followed, in case that one becomes the host.
const FOLLOWED: usize = 32;

/// Processes that the host forked, as far as their loader did anything.
#[derive(Debug, Default)]
pub(super) struct Children {
    seen: HashSet<u32>,
    loads: u64,
    /// What was there when they were forked, and what they did since; and their own loads.
    followed: BTreeMap<u32, (Ledger, u64)>,
}

impl Children {
    /// Takes note of an event of another process than the host; `host` is what that has loaded.
    pub(super) fn heard(&mut self, event: &Event, name: &str, host: &Ledger) {
        self.seen.insert(event.process);
        if !self.followed.contains_key(&event.process) && self.followed.len() >= FOLLOWED {
            self.followed.pop_first();
        }
        let (ledger, loads) = self.followed.entry(event.process).or_insert_with(|| (host.clone(), 0));
        let before = ledger.loads();
        ledger.heard(event, name);
        let more = ledger.loads().saturating_sub(before);
        *loads += more;
        self.loads += more;
    }

    /// What this process has loaded, if it was a child and is the host now.
    pub(super) fn became_host(&mut self, process: u32) -> Option<Ledger> {
        let (ledger, loads) = self.followed.remove(&process)?;
        self.seen.remove(&process);
        self.loads = self.loads.saturating_sub(loads);
        Some(ledger)
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Their loads.
    pub(super) fn loads(&self) -> u64 {
        self.loads
    }
}

#[cfg(test)]
mod tests {
    use dlsoak_wire::watch::Kind;

    use super::*;

    fn load(process: u32) -> [Event; 3] {
        let event =
            |kind, object| Event { kind, time_ns: 1, process, thread: process.into(), object, map: object };
        [event(Kind::Add, 0), event(Kind::Open, 10), event(Kind::Consistent, 0)]
    }

    #[test]
    fn what_children_load_is_theirs_unless_one_becomes_the_host() {
        let mut host = Ledger::default();
        host.heard(&Event { kind: Kind::Consistent, ..load(1)[0] }, "");
        load(1).iter().for_each(|event| host.heard(event, "/a/mod.so"));
        let mut children = Children::default();
        for child in 2..100 {
            load(child).iter().for_each(|event| children.heard(event, "/a/other.so", &host));
        }
        assert_eq!((children.count(), children.loads()), (98, 98));
        assert!(children.became_host(1).is_none());
        let ledger = children.became_host(99).unwrap();
        assert_eq!((ledger.libraries.len(), ledger.loads()), (2, 2));
        assert_eq!((children.count(), children.loads()), (97, 97));
    }
}
