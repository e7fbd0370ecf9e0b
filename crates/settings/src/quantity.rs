//! Counts, durations and sizes as people write them: `100k`, `1h30m`, `2GiB`. Parsed exactly, in whole numbers,
//! with overflow checked and absurd values refused, for the command line and the suite file alike.

use std::time::Duration;

use thiserror::Error;

/// Most cycles of one soak: at 0.2 µs a cycle more than two days.
pub const MAX_CYCLES: u64 = 1_000_000_000_000;

/// Most threads of one soak.
pub const MAX_THREADS: u32 = 1024;

/// Most checkpoints of one soak; each is a row in the record.
pub const MAX_CHECKPOINTS: u32 = 10_000;

/// Largest limit of things counted: more descriptors or threads than any kernel gives.
pub const MAX_LIMIT: u64 = 1_000_000_000;

/// Longest duration that is taken: a year.
pub const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A value that could not be understood or is out of range. The text says what was expected and does not
/// repeat the value, because the code that shows it shows the value beside it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct UnitError(String);

impl UnitError {
    /// An error that says `problem`.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

type Result<T> = std::result::Result<T, UnitError>;

/// Parses a number of cycles: `20000`, `2_000`, `100k`, `1.5M`; from 1 to [`MAX_CYCLES`].
///
/// # Errors
///
/// [`UnitError`] when it is not a count, zero, or above the maximum.
pub fn parse_cycles(text: &str) -> Result<u64> {
    cycles(parse_count(text)?)
}

/// Parses a number of warm-up cycles: as [`parse_cycles`], and 0 is allowed.
///
/// # Errors
///
/// [`UnitError`] when it is not a count, or above [`MAX_CYCLES`].
pub fn parse_warmup(text: &str) -> Result<u64> {
    warmup(parse_count(text)?)
}

/// Parses a number of threads, from 1 to [`MAX_THREADS`].
///
/// # Errors
///
/// [`UnitError`] when it is not a count or out of range.
pub fn parse_threads(text: &str) -> Result<u32> {
    threads(parse_count(text)?)
}

/// Parses a number of soaks that run at the same time, from 1 to 64.
///
/// # Errors
///
/// [`UnitError`] when it is not a count or out of range.
pub fn parse_jobs(text: &str) -> Result<usize> {
    in_range(parse_count(text)?, 1, 64).map(|n| n as usize)
}

/// Parses a number of checkpoints, from 2 (a slope needs two points) to [`MAX_CHECKPOINTS`].
///
/// # Errors
///
/// [`UnitError`] when it is not a count or out of range.
pub fn parse_checkpoints(text: &str) -> Result<u32> {
    checkpoints(parse_count(text)?)
}

/// Parses a limit of things counted, such as descriptors, from 1 to [`MAX_LIMIT`].
///
/// # Errors
///
/// [`UnitError`] when it is not a count or out of range.
pub fn parse_limit(text: &str) -> Result<u64> {
    limit(parse_count(text)?)
}

/// A limit of things counted, from 1 to [`MAX_LIMIT`].
///
/// # Errors
/// [`UnitError`] when it is out of range.
pub fn limit(count: u64) -> Result<u64> {
    in_range(count, 1, MAX_LIMIT)
}

/// A number of cycles, from 1 to [`MAX_CYCLES`].
///
/// # Errors
/// [`UnitError`] when it is out of range.
pub fn cycles(count: u64) -> Result<u64> {
    in_range(count, 1, MAX_CYCLES)
}

/// A number of warm-up cycles, from 0 to [`MAX_CYCLES`].
///
/// # Errors
/// [`UnitError`] when it is out of range.
pub fn warmup(count: u64) -> Result<u64> {
    in_range(count, 0, MAX_CYCLES)
}

/// A number of threads, from 1 to [`MAX_THREADS`].
///
/// # Errors
/// [`UnitError`] when it is out of range.
pub fn threads(count: u64) -> Result<u32> {
    in_range(count, 1, u64::from(MAX_THREADS)).map(|n| n as u32)
}

/// A number of checkpoints, from 2 to [`MAX_CHECKPOINTS`].
///
/// # Errors
/// [`UnitError`] when it is out of range.
pub fn checkpoints(count: u64) -> Result<u32> {
    in_range(count, 2, u64::from(MAX_CHECKPOINTS)).map(|n| n as u32)
}

fn in_range(count: u64, least: u64, most: u64) -> Result<u64> {
    if (least..=most).contains(&count) {
        Ok(count)
    } else {
        Err(UnitError(format!("{count} is out of range: from {least} to {most}")))
    }
}

fn parse_count(text: &str) -> Result<u64> {
    let (number, suffix) = split(text.trim())?;
    let factor = match suffix {
        "" => 1,
        "k" | "K" => 1_000,
        "m" | "M" => 1_000_000,
        "g" | "G" => 1_000_000_000,
        _ => return Err(UnitError(format!("unknown suffix `{}`: use k, M or G", clip(suffix)))),
    };
    number.times(factor)
}

/// Parses a duration: one or more numbers with a unit, largest unit first: `90m`, `1h30m`, `10s`, `500ms`,
/// `1.5h`. Units are d, h, m, s, ms and us. More than zero, at most [`MAX_DURATION`].
///
/// # Errors
///
/// [`UnitError`] when it is not a duration, zero, or above the maximum.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut unit_before = u64::MAX;
    loop {
        let (number, tail) = split(rest)?;
        let end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(end);
        let nanoseconds = match unit {
            "d" => 86_400_000_000_000,
            "h" => 3_600_000_000_000,
            "m" | "min" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1_000,
            "" => return Err(UnitError("a duration needs a unit: d, h, m, s, ms or us".to_owned())),
            _ => {
                return Err(UnitError(format!("unknown unit `{}`: use d, h, m, s, ms or us", clip(unit))));
            }
        };
        if nanoseconds >= unit_before {
            return Err(UnitError(format!(
                "`{unit}` is out of order; write each unit once, the largest first"
            )));
        }
        unit_before = nanoseconds;
        total = number.times(nanoseconds)?.checked_add(total).ok_or_else(too_large)?;
        rest = after.trim_start();
        if rest.is_empty() {
            break;
        }
    }
    let total = Duration::from_nanos(total);
    if total.is_zero() {
        Err(UnitError("a duration must be more than zero".to_owned()))
    } else if total > MAX_DURATION {
        Err(UnitError("a duration is at most 365d".to_owned()))
    } else {
        Ok(total)
    }
}

/// Parses a size in bytes: `2GiB`, `500MB`, `4096B`. MB is 10^6 bytes, MiB is 2^20; letter case counts for
/// nothing. More than zero.
///
/// # Errors
///
/// [`UnitError`] when it is not a size, zero, above `u64::MAX`, or its unit could mean either.
pub fn parse_size(text: &str) -> Result<u64> {
    let (number, unit) = split(text.trim())?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "" => return Err(UnitError("a size needs a unit: B, kB, MB, GB, KiB, MiB or GiB".to_owned())),
        letter @ ("k" | "m" | "g" | "t") => {
            let letter = letter.to_ascii_uppercase();
            return Err(UnitError(format!(
                "`{unit}` is ambiguous; use {letter}B (powers of 1000) or {letter}iB (powers of 1024)"
            )));
        }
        _ => {
            return Err(UnitError(format!(
                "unknown unit `{}`: use B, kB, MB, GB, KiB, MiB or GiB",
                clip(unit)
            )));
        }
    };
    match number.times(factor)? {
        0 => Err(UnitError("a size must be more than zero".to_owned())),
        size => Ok(size),
    }
}

/// A decimal number that has not been rounded: `digits / 10^decimals`.
struct Decimal {
    digits: u64,
    decimals: u32,
}

impl Decimal {
    /// The number times `factor`, when that is a whole number that fits.
    fn times(&self, factor: u64) -> Result<u64> {
        // At most 2^64 times 2^64, so that u128 holds it.
        let product = u128::from(self.digits) * u128::from(factor);
        let divisor = 10_u128.checked_pow(self.decimals).ok_or_else(too_large)?;
        if product % divisor != 0 {
            return Err(UnitError("this is not a whole number".to_owned()));
        }
        u64::try_from(product / divisor).map_err(|_| too_large())
    }
}

fn too_large() -> UnitError {
    UnitError("this number is too large".to_owned())
}

/// Splits `1_000.5 kB` into the number and the suffix; spaces between them count for nothing.
fn split(text: &str) -> Result<(Decimal, &str)> {
    if text.starts_with('-') {
        return Err(UnitError("this can't be negative".to_owned()));
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_' && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    if !whole.starts_with(|c: char| c.is_ascii_digit()) || fraction.contains(['.', '_']) {
        return Err(UnitError("expected a number".to_owned()));
    }
    let mut digits: u64 = 0;
    for digit in whole.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit) {
        digits = digits
            .checked_mul(10)
            .and_then(|d| d.checked_add(u64::from(digit - b'0')))
            .ok_or_else(too_large)?;
    }
    // The loop above refused all that is longer than the 20 digits of a u64, leading zeros apart.
    let decimals = u32::try_from(fraction.len()).map_err(|_| too_large())?;
    Ok((Decimal { digits, decimals }, suffix.trim_start()))
}

/// Enough of a long suffix to recognise it.
fn clip(text: &str) -> String {
    text.chars().take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts() {
        for (text, count) in [
            ("1", 1),
            ("20000", 20_000),
            ("2_000", 2_000),
            ("100k", 100_000),
            ("100 K", 100_000),
            ("1M", 1_000_000),
            ("1.5M", 1_500_000),
            ("0.002k", 2),
            ("3.000", 3),
            (" 2G ", 2_000_000_000),
            ("1000G", MAX_CYCLES),
        ] {
            assert_eq!(parse_cycles(text), Ok(count), "{text}");
        }
    }

    #[test]
    fn ranges_hold_at_both_ends() {
        assert_eq!(parse_warmup("0"), Ok(0));
        assert!(parse_cycles("0").is_err());
        assert!(parse_cycles("1000000000001").is_err());
        assert_eq!(parse_threads("1024"), Ok(1024));
        assert!(parse_threads("0").is_err());
        assert_eq!(parse_threads("10k").unwrap_err().to_string(), "10000 is out of range: from 1 to 1024");
        assert_eq!(parse_checkpoints("2"), Ok(2));
        assert!(parse_checkpoints("1").is_err());
        assert!(parse_checkpoints("10001").is_err());
    }

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("10s", 10_000),
            ("500ms", 500),
            ("90m", 5_400_000),
            ("1h30m", 5_400_000),
            ("1h 30m 5s", 5_405_000),
            ("1.5h", 5_400_000),
            ("0.5s", 500),
            ("2d", 172_800_000),
            ("2000us", 2),
            ("365d", 31_536_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn sizes_distinguish_thousands_from_1024s() {
        for (text, bytes) in [
            ("2GiB", 2 << 30),
            ("500MB", 500_000_000),
            ("4096B", 4096),
            ("1.5 kib", 1536),
            ("1tb", 1_000_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn errors_say_what_to_write() {
        let mut all = String::new();
        for text in [
            "",
            "k",
            "12q",
            "-5",
            "1.0005k",
            ".5k",
            "1..5k",
            "1.2.3k",
            "99999999999999999999",
            "9e9",
            "1_",
            "_1",
        ] {
            all += &format!("count    {text:22} {}\n", outcome(parse_cycles(text)));
        }
        for text in
            ["", "10", "0s", "10x", "30m1h", "1m1m", "366d", "999999999999d", "-1s", "s", "1.00000001us"]
        {
            all += &format!("duration {text:22} {}\n", outcome(parse_duration(text)));
        }
        for text in ["", "2", "2G", "2m", "0B", "2GBit", "0.3B", "99999999TiB", "-2GiB"] {
            all += &format!("size     {text:22} {}\n", outcome(parse_size(text)));
        }
        insta::assert_snapshot!(all);
    }

    fn outcome<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.map_or_else(|error| error.to_string(), |value| format!("is {value:?}"))
    }

    proptest! {
        #[test]
        fn no_input_panics(text in "\\PC*", noise in "[0-9._]{0,40}[kKmMgGtTiIbBhsdu ]{0,4}[0-9.]{0,3}") {
            for text in [text, noise] {
                let _ = parse_cycles(&text);
                let _ = parse_duration(&text);
                let _ = parse_size(&text);
            }
        }

        #[test]
        fn whole_milliseconds_survive(ms in 1_u64..=31_536_000_000) {
            prop_assert_eq!(parse_duration(&format!("{ms}ms")), Ok(Duration::from_millis(ms)));
            let split = format!("{}s{}ms", ms / 1000, ms % 1000);
            prop_assert_eq!(parse_duration(&split), Ok(Duration::from_millis(ms)));
        }

        #[test]
        fn plain_counts_survive(count in 1_u64..=MAX_CYCLES) {
            prop_assert_eq!(parse_cycles(&count.to_string()), Ok(count));
        }
    }
}
