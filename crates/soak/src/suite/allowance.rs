//! What a soak may use before it is ended: the limits that a person has set, as the plan carries them.

use std::time::Duration;

use super::settings::Settings;

/// Limits that were set; `None` leaves it to the default, which depends on the machine (`docs/limits.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Wall time of the whole soak.
    pub timeout: Option<Duration>,
    /// Resident memory of the worker in bytes.
    pub memory: Option<u64>,
    /// Open descriptors of the worker.
    pub fds: Option<u64>,
    /// Threads of the worker, and processes that descend from it, together.
    pub processes: Option<u64>,
    /// Bytes written to standard output and standard error, and bytes of any one file.
    pub output: Option<u64>,
}

impl Allowance {
    /// What is allowed once this much time is spent.
    #[must_use]
    pub fn after(self, spent: Duration) -> Self {
        let timeout = self.timeout.map(|timeout| timeout.saturating_sub(spent).max(Duration::from_millis(1)));
        Self { timeout, ..self }
    }
}

impl Settings {
    /// The part that is about what a soak may use.
    pub(super) fn allowance(&self) -> Allowance {
        Allowance {
            timeout: self.timeout,
            memory: self.memory_limit,
            fds: self.fd_limit,
            processes: self.process_limit,
            output: self.output_limit,
        }
    }
}
