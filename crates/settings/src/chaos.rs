//! What disturbs the worker during its cycles, as people write it: `signal:SIGUSR1@100Hz`, `stop`, `memory-pressure`,
//! `cold-cache`.

use std::fmt;
use std::str::FromStr;

use nix::sys::signal::Signal;

use crate::UnitError;
use crate::nearest;

/// A disturbance and how often it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chaos {
    /// What is done.
    pub kind: ChaosKind,
    /// Times a second, while cycles run.
    pub hertz: u32,
}

/// Kinds of disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChaosKind {
    /// This signal is sent to the worker process.
    Signal(Signal),
    /// SIGSTOP, and SIGCONT a moment later.
    Stop,
    /// The pages of the worker's mappings are reclaimed, as under memory pressure.
    MemoryPressure,
    /// The library's file is dropped from the page cache, as on a slow disk.
    ColdCache,
}

/// The kinds as they are written, how often they come where nobody says, and how often at most.
const KINDS: [(&str, u32, u32); 4] =
    [("signal", 100, 10_000), ("stop", 5, 20), ("memory-pressure", 10, 100), ("cold-cache", 10, 100)];

/// Signals that are not sent, and why.
const REFUSED: [(Signal, &str); 10] = [
    (Signal::SIGKILL, "nothing survives SIGKILL"),
    (Signal::SIGSTOP, "write `stop`, which sends SIGSTOP and then SIGCONT"),
    (Signal::SIGCONT, "write `stop`, which sends SIGSTOP and then SIGCONT"),
    (Signal::SIGSEGV, SYNCHRONOUS),
    (Signal::SIGBUS, SYNCHRONOUS),
    (Signal::SIGILL, SYNCHRONOUS),
    (Signal::SIGFPE, SYNCHRONOUS),
    (Signal::SIGTRAP, SYNCHRONOUS),
    (Signal::SIGSYS, SYNCHRONOUS),
    (Signal::SIGABRT, SYNCHRONOUS),
];

const SYNCHRONOUS: &str = "this signal reports a fault in the running code, so dlsoak does not send it";

impl ChaosKind {
    fn row(self) -> (&'static str, u32, u32) {
        let [signal, stop, memory, cache] = KINDS;
        match self {
            Self::Signal(_) => signal,
            Self::Stop => stop,
            Self::MemoryPressure => memory,
            Self::ColdCache => cache,
        }
    }
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.row().0)?;
        if let ChaosKind::Signal(signal) = self.kind {
            write!(f, ":{}", signal.as_str())?;
        }
        write!(f, "@{}Hz", self.hertz)
    }
}

impl FromStr for Chaos {
    type Err = UnitError;

    /// Parses a kind, with the signal's name after a colon where it is one, and perhaps `@` with a rate in hertz.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (what, rate) = match text.trim().split_once('@') {
            Some((what, rate)) => (what.trim(), Some(rate.trim())),
            None => (text.trim(), None),
        };
        let (name, of) = match what.split_once(':') {
            Some((name, of)) => (name.trim(), Some(of.trim())),
            None => (what, None),
        };
        let kind = match (name, of) {
            ("signal", Some(of)) if !of.is_empty() => ChaosKind::Signal(signal(of)?),
            ("signal", _) => {
                return Err(UnitError::new("which signal? write signal:SIGUSR1 or signal:SIGUSR1@100Hz"));
            }
            ("stop", None) => ChaosKind::Stop,
            ("memory-pressure", None) => ChaosKind::MemoryPressure,
            ("cold-cache", None) => ChaosKind::ColdCache,
            (_, Some(_)) if is_kind(name) => {
                return Err(UnitError::new(format!(
                    "`{name}` takes nothing after a colon; write a rate as `{name}@5Hz`"
                )));
            }
            _ => return Err(UnitError::new(unknown_kind(name))),
        };
        let (_, usual, most) = kind.row();
        let hertz = rate.map_or(Ok(usual), |rate| hertz(rate, most))?;
        Ok(Self { kind, hertz })
    }
}

fn is_kind(name: &str) -> bool {
    KINDS.iter().any(|(kind, ..)| *kind == name)
}

fn clip(text: &str) -> String {
    text.chars().take(20).collect()
}

fn unknown_kind(name: &str) -> String {
    // A signal alone is the likeliest slip.
    if let Ok(signal) = signal(name) {
        return format!("write signal:{}", signal.as_str());
    }
    match nearest(name, KINDS.iter().map(|(kind, ..)| *kind)) {
        Some(meant) => format!("unknown disturbance `{}`; did you mean `{meant}`?", clip(name)),
        None => "expected signal:SIGUSR1@100Hz, stop, memory-pressure or cold-cache".to_owned(),
    }
}

/// The signal of this name, with or without `SIG`, where it may be sent.
fn signal(name: &str) -> Result<Signal, UnitError> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let Ok(signal) = full.parse::<Signal>() else {
        let meant = nearest(&full, Signal::iterator().map(Signal::as_str));
        return Err(UnitError::new(match meant {
            Some(meant) => format!("there is no signal `{}`; did you mean `{meant}`?", clip(name)),
            None => {
                format!("there is no signal `{}`; use a name from signal(7), such as SIGUSR1", clip(name))
            }
        }));
    };
    match REFUSED.iter().find(|(refused, _)| *refused == signal) {
        Some((_, why)) => Err(UnitError::new(*why)),
        None => Ok(signal),
    }
}

/// A rate such as `100Hz` or `2kHz`, in hertz.
fn hertz(text: &str, most: u32) -> Result<u32, UnitError> {
    let lower = text.to_ascii_lowercase();
    let (number, factor) = match (lower.strip_suffix("khz"), lower.strip_suffix("hz")) {
        (Some(number), _) => (number, 1000),
        (None, Some(number)) => (number, 1),
        (None, None) => return Err(UnitError::new("a rate needs a unit, for example @100Hz")),
    };
    let number = number.trim().parse::<u32>();
    let number =
        number.map_err(|_| UnitError::new("a rate is a whole number with a unit, for example @100Hz"))?;
    match number.checked_mul(factor) {
        Some(rate) if (1..=most).contains(&rate) => Ok(rate),
        _ => Err(UnitError::new(format!("this rate is out of range; use a rate from 1Hz to {most}Hz"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_with_its_rate() {
        for (text, shown) in [
            ("signal:SIGUSR1@100Hz", "signal:SIGUSR1@100Hz"),
            (" signal : usr2 @ 2 kHz ", "signal:SIGUSR2@2000Hz"),
            ("signal:ALRM", "signal:SIGALRM@100Hz"),
            ("stop", "stop@5Hz"),
            ("memory-pressure@1hz", "memory-pressure@1Hz"),
            ("cold-cache@100Hz", "cold-cache@100Hz"),
        ] {
            let chaos: Chaos = text.parse().unwrap();
            assert_eq!(chaos.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(chaos));
        }
    }

    #[test]
    fn each_error_says_what_to_write() {
        for (text, part) in [
            ("", "expected signal:SIGUSR1@100Hz"),
            ("earthquake", "expected signal:SIGUSR1@100Hz"),
            ("stopp", "did you mean `stop`?"),
            ("memory-presure", "did you mean `memory-pressure`?"),
            ("SIGUSR1", "write signal:SIGUSR1"),
            ("signal", "which signal?"),
            ("signal:", "which signal?"),
            ("signal:SIGUSR3", "did you mean `SIGUSR1`?"),
            ("signal:9", "there is no signal `9`"),
            ("signal:SIGKILL", "nothing survives SIGKILL"),
            ("signal:SIGSTOP", "write `stop`"),
            ("signal:SIGCONT", "write `stop`"),
            ("signal:SEGV", "reports a fault"),
            ("stop:SIGUSR1", "takes nothing after a colon"),
            ("stop@", "needs a unit"),
            ("stop@5", "needs a unit"),
            ("stop@fiveHz", "whole number"),
            ("stop@0.5Hz", "whole number"),
            ("stop@-1Hz", "whole number"),
            ("stop@0Hz", "from 1Hz to 20Hz"),
            ("stop@21Hz", "from 1Hz to 20Hz"),
            ("signal:SIGUSR1@11kHz", "from 1Hz to 10000Hz"),
            ("signal:SIGUSR1@4294968kHz", "from 1Hz to 10000Hz"),
        ] {
            let error = text.parse::<Chaos>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
