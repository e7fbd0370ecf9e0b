//! The limits that a gate applies to a soak: how much may leak, per second or per cycle, what else may grow,
//! and which exceptions were granted. Parsed once, kept as given for display.

use std::fmt;
use std::str::FromStr;

use crate::Metric;

/// A rate of growth of memory, such as `0.03MB/s` or `16B/cycle`.
///
/// MB, KB and GB are powers of 1000; MiB, KiB and GiB powers of 1024.
#[derive(Debug, Clone, PartialEq)]
pub struct LeakRate {
    text: String,
    bytes: f64,
    per: Per,
}

/// What a [`LeakRate`] is counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// A second of active time.
    Second,
    /// A cycle.
    Cycle,
}

impl LeakRate {
    /// Bytes per [`LeakRate::per`].
    pub fn bytes(&self) -> f64 {
        self.bytes
    }

    /// Whether the rate is given by time or by cycle.
    pub fn per(&self) -> Per {
        self.per
    }

    /// The rate in bytes per cycle for a cycle that takes `seconds_per_cycle` of active time. A speed that is
    /// unknown (zero, negative or not a number) turns a rate per second into 0: nothing may leak.
    pub fn bytes_per_cycle(&self, seconds_per_cycle: f64) -> f64 {
        match self.per {
            Per::Cycle => self.bytes,
            Per::Second if seconds_per_cycle.is_finite() && seconds_per_cycle > 0.0 => {
                self.bytes * seconds_per_cycle
            }
            Per::Second => 0.0,
        }
    }
}

impl fmt::Display for LeakRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for LeakRate {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let text = text.trim();
        let (amount, per) = text.split_once('/').ok_or_else(|| LimitError::NoPer(text.to_owned()))?;
        let per = match per.trim() {
            "s" | "sec" | "second" => Per::Second,
            "cycle" => Per::Cycle,
            other => return Err(LimitError::UnknownPer(text.to_owned(), other.to_owned())),
        };
        let amount = amount.trim();
        let unit_at = amount.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(amount.len());
        // An exponent (`1e3B/s`) begins with a letter too; nobody writes one, and reading it as a unit says so.
        let (number, unit) = amount.split_at(unit_at);
        let factor = match unit {
            "B" => 1.0,
            "KB" | "kB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            other => return Err(LimitError::UnknownUnit(text.to_owned(), other.to_owned())),
        };
        let bytes = parse_amount(number, text)? * factor;
        Ok(Self { text: text.to_owned(), bytes, per })
    }
}

/// An increase in per cent of what was before, such as `20%`.
#[derive(Debug, Clone, PartialEq)]
pub struct Increase {
    text: String,
    share: f64,
}

impl Increase {
    /// As a share: 0.2 for `20%`.
    pub fn share(&self) -> f64 {
        self.share
    }
}

impl fmt::Display for Increase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Increase {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let text = text.trim();
        let number = text.strip_suffix('%').ok_or_else(|| LimitError::NoPerCent(text.to_owned()))?;
        Ok(Self { text: text.to_owned(), share: parse_amount(number, text)? / 100.0 })
    }
}

/// Limits on the growth of things that are counted, each in things per cycle; `None` where none was given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CountLimits {
    text: String,
    limits: Vec<(Metric, f64)>,
}

impl CountLimits {
    /// Whether no limit was given.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// The limit on `metric` in things per cycle, where one was given.
    pub fn per_cycle(&self, metric: Metric) -> Option<f64> {
        self.limits.iter().find(|(named, _)| *named == metric).map(|(_, limit)| *limit)
    }
}

impl fmt::Display for CountLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for CountLimits {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let text = text.trim();
        let mut limits = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, limit) = part.split_once('=').ok_or_else(|| LimitError::NoEquals(part.to_owned()))?;
            let metric = match name.trim() {
                "threads" => Metric::Threads,
                "fds" => Metric::Fds,
                "mappings" => Metric::Mappings,
                other => return Err(LimitError::UnknownCount(other.to_owned())),
            };
            if limits.iter().any(|(named, _)| *named == metric) {
                return Err(LimitError::Twice(name.trim().to_owned()));
            }
            let limit = limit.trim();
            let (number, per_cycle) = match limit.strip_suffix("/cycle") {
                Some(number) => (number, true),
                None => (limit, false),
            };
            let amount = parse_amount(number, part)?;
            // A bare 0 means the same over a cycle and over a run; any other number does not.
            if !per_cycle && amount != 0.0 {
                return Err(LimitError::CountWithoutPer(part.to_owned()));
            }
            limits.push((metric, amount));
        }
        Ok(Self { text: text.to_owned(), limits })
    }
}

/// Why a limit could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// The `/s` or `/cycle` is missing.
    #[error("`{0}` is not a rate; write `{0}/s` or `{0}/cycle`")]
    NoPer(String),
    /// Neither `/s` nor `/cycle`.
    #[error("`{0}`: unknown unit of time `/{1}`; a rate is per second (`/s`) or per cycle (`/cycle`)")]
    UnknownPer(String, String),
    /// The unit is none of those known.
    #[error(
        "`{0}`: unknown unit `{1}`; use B, KB, MB, GB (powers of 1000) or KiB, MiB, GiB (powers of 1024)"
    )]
    UnknownUnit(String, String),
    /// The number is not one, or is negative.
    #[error("`{0}`: `{1}` is not a number of zero or more")]
    NotANumber(String, String),
    /// No `=` in a limit on a count.
    #[error("`{0}` is not a limit; write for example `fds=0` or `mappings=0.01/cycle`")]
    NoEquals(String),
    /// A count that is not measured.
    #[error("`{0}` is not a count; set limits on threads, fds or mappings")]
    UnknownCount(String),
    /// One count has two limits.
    #[error("`{0}` has two limits")]
    Twice(String),
    /// An increase without `%`.
    #[error("`{0}` is not a percentage; write for example `20%`")]
    NoPerCent(String),
    /// A count other than 0 without `/cycle`.
    #[error("`{0}` is not a rate; write `{0}/cycle`")]
    CountWithoutPer(String),
}

/// A finite number of zero or more; `whole` is what the error shows around it.
fn parse_amount(number: &str, whole: &str) -> Result<f64, LimitError> {
    let number = number.trim();
    match number.parse::<f64>() {
        Ok(amount) if amount.is_finite() && amount >= 0.0 => Ok(amount),
        _ => Err(LimitError::NotANumber(whole.to_owned(), number.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> LeakRate {
        text.parse().unwrap()
    }

    #[test]
    fn rates_are_read_in_all_units_and_shown_as_given() {
        for (text, bytes, per) in [
            ("0.03MB/s", 30_000.0, Per::Second),
            ("1MiB/s", 1_048_576.0, Per::Second),
            ("10KB/s", 10_000.0, Per::Second),
            ("2kB/s", 2_000.0, Per::Second),
            ("1KiB/s", 1024.0, Per::Second),
            ("500B/s", 500.0, Per::Second),
            ("16B/cycle", 16.0, Per::Cycle),
            ("8 B/cycle", 8.0, Per::Cycle),
            (" .5 KB / cycle ", 500.0, Per::Cycle),
            ("0B/s", 0.0, Per::Second),
        ] {
            let parsed = rate(text);
            assert_eq!((parsed.bytes(), parsed.per()), (bytes, per), "{text}");
            assert_eq!(parsed.to_string(), text.trim());
        }
    }

    #[test]
    fn a_rate_that_cannot_be_read_says_why() {
        for (text, message) in [
            ("30", "is not a rate"),
            ("30MB", "`30MB/s` or `30MB/cycle`"),
            ("30MB/min", "per second (`/s`) or per cycle"),
            ("30mb/s", "unknown unit `mb`"),
            ("30/s", "unknown unit ``"),
            ("-1B/s", "is not a number of zero or more"),
            ("B/s", "is not a number of zero or more"),
            ("1.2.3B/s", "`1.2.3` is not a number"),
            ("", "is not a rate"),
        ] {
            let error = text.parse::<LeakRate>().unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_rate_per_second_becomes_bytes_per_cycle_at_the_measured_speed() {
        assert!((rate("0.03MB/s").bytes_per_cycle(46e-6) - 1.38).abs() < 1e-9);
        assert_eq!(rate("16B/cycle").bytes_per_cycle(46e-6), 16.0);
        assert_eq!(rate("0.03MB/s").bytes_per_cycle(0.0), 0.0);
        assert_eq!(rate("0.03MB/s").bytes_per_cycle(f64::NAN), 0.0);
    }

    #[test]
    fn counts_have_limits_per_cycle() {
        let limits: CountLimits = "threads=0, fds=0,mappings=0.01/cycle".parse().unwrap();
        assert_eq!(limits.per_cycle(Metric::Threads), Some(0.0));
        assert_eq!(limits.per_cycle(Metric::Mappings), Some(0.01));
        assert_eq!(limits.per_cycle(Metric::Heap), None);
        assert_eq!("".parse::<CountLimits>().unwrap().per_cycle(Metric::Fds), None);
        for (text, message) in [
            ("fds", "write for example `fds=0`"),
            ("fds=2", "`fds=2/cycle`"),
            ("heap=0", "`heap` is not a count"),
            ("fds=0,fds=0", "two limits"),
            ("fds=x", "`x` is not a number"),
        ] {
            let error = text.parse::<CountLimits>().unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn increases_are_in_per_cent() {
        let increase: Increase = " 20 %".parse().unwrap();
        assert_eq!((increase.share(), increase.to_string().as_str()), (0.2, "20 %"));
        for (text, message) in
            [("20", "write for example `20%`"), ("-1%", "zero or more"), ("%", "zero or more")]
        {
            let error = text.parse::<Increase>().unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
