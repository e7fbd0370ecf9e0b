//! What a running worker uses of what is limited, at a price that does not depend on how much it is.

use super::Sampler;

impl Sampler {
    /// Resident set size in bytes; cheap enough to be asked while cycles run.
    pub fn resident(&self) -> Option<u64> {
        Some(self.process.statm().ok()?.resident.saturating_mul(procfs::page_size()))
    }

    /// Threads, and the places in the table of descriptors: no more can be open than that.
    pub fn threads_and_places(&self) -> Option<(u64, u64)> {
        let status = self.process.status().ok()?;
        Some((status.threads, u64::from(status.fdsize)))
    }

    /// Open descriptors, counted up to one more than `most`.
    pub fn descriptors(&self, most: u64) -> Option<u64> {
        let directory = format!("/proc/{}/fd", self.process.pid());
        // Since Linux 6.2 this is the number of open descriptors; before, it is 0.
        match std::fs::metadata(&directory).ok()?.len() {
            0 => {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                Some(std::fs::read_dir(directory).ok()?.take(most.saturating_add(1)).count() as u64)
            }
            open => Some(open),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let sampler = Sampler::new(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(sampler.resident().unwrap() > 0);
        let (threads, places) = sampler.threads_and_places().unwrap();
        let open = sampler.descriptors(u64::MAX).unwrap();
        assert!(threads >= 1 && open >= 3 && places >= 3, "{threads} {places} {open}");
        let held: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        assert!(sampler.descriptors(u64::MAX).unwrap() >= 50, "{}", held.len());
    }
}
