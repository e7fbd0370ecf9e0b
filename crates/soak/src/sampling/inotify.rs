//! Counts the instances of inotify among a worker's descriptors. Only the links in `/proc/PID/fd` distinguish them, so a descriptor is
//! looked at once, when its number is new.

use std::collections::HashMap;
use std::ffi::OsString;

use crate::record::why::Descriptor;

/// With more descriptors than this, they are listed again only when their number has changed by a part of [`PART`].
const MANY: u64 = 4096;
const PART: u64 = 16;

/// The descriptors as they were last listed.
#[derive(Debug, Default)]
pub(super) struct Inotify {
    /// How many were open.
    open: u64,
    /// Each by its number, and whether it is of inotify.
    known: HashMap<OsString, bool>,
}

impl Inotify {
    /// How many a process has that has this many descriptors `open`.
    pub(super) fn count(&mut self, pid: i32, open: u64) -> u64 {
        let least = if open > MANY { open / PART } else { 1 };
        if open.abs_diff(self.open) >= least {
            let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let known = entries.map(|entry| {
                let number = entry.file_name();
                let is = self.known.get(&number).copied().unwrap_or_else(|| {
                    let link = std::fs::read_link(entry.path());
                    link.is_ok_and(|to| Descriptor::of_link(&to.to_string_lossy()) == Descriptor::Inotify)
                });
                (number, is)
            });
            (self.known, self.open) = (known.collect(), open);
        }
        self.known.values().filter(|is| **is).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::inotify::{InitFlags, Inotify as Instance};

    use super::*;

    #[test]
    fn instances_of_inotify_are_told_from_other_descriptors() {
        let pid = std::process::id().cast_signed();
        let mut kept = Inotify::default();
        let before = kept.count(pid, 1);
        // Refused where other processes of this user have all there may be.
        let Ok(held) = Instance::init(InitFlags::IN_CLOEXEC) else { return };
        // They are listed anew when there are more, or fewer.
        assert_eq!(kept.count(pid, 1), before);
        // Other tests may open descriptors and close them, with numbers that are known here.
        assert_eq!(Inotify::default().count(pid, 2), before + 1);
        drop(held);
        assert_eq!(Inotify::default().count(pid, 2), before);
    }
}
