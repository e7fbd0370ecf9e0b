//! Counts, durations and sizes as people write them: `100k`, `1h30m`, `2GiB`. Parsed exactly, in whole numbers,
//! with overflow checked and absurd values refused, for the command line, the suite file, the record and the interface for tests
//! alike.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use thiserror::Error;

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

/// A whole number with a meaning: cycles, threads, nanoseconds, bytes. `K` says which, how it is written, and its range.
pub struct Quantity<K>(u64, PhantomData<K>);

/// What a [`Quantity`] counts.
pub trait Kind {
    /// Its name.
    const NAME: &'static str;
    /// What an error asks the author of a file to write.
    const EXPECTING: &'static str;
    /// Smallest and largest value.
    const RANGE: (u64, u64);
    /// Whether a bare number is understood, as for things that are counted.
    const BARE: bool = true;

    /// Reads the text form.
    ///
    /// # Errors
    /// [`UnitError`] when it is not such a quantity. The range is checked by [`Quantity::new`].
    fn read(text: &str) -> Result<u64> {
        count(text)
    }

    /// Writes the text form, which reads back to the same number.
    ///
    /// # Errors
    /// Those of the formatter.
    fn write(value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&value, f)
    }

    /// Checks the range.
    ///
    /// # Errors
    /// [`UnitError`] with the range.
    fn check(value: u64) -> Result<u64> {
        let (least, most) = Self::RANGE;
        if (least..=most).contains(&value) {
            Ok(value)
        } else {
            Err(UnitError(format!("{value} is out of range: from {least} to {most}")))
        }
    }
}

/// Things that are counted.
macro_rules! counts {
    ($($(#[doc = $doc:literal])* $kind:ident $name:ident $least:literal ..= $most:literal;)*) => {$(
        $(#[doc = $doc])*
        pub type $name = Quantity<$kind>;

        /// See the quantity of that name.
        #[derive(Debug)]
        pub enum $kind {}

        impl Kind for $kind {
            const NAME: &'static str = stringify!($name);
            const EXPECTING: &'static str = "a count such as 20000 or \"100k\"";
            const RANGE: (u64, u64) = ($least, $most);
        }
    )*};
}

counts! {
    /// Cycles of a soak: at 0.2 us a cycle, the most take more than two days.
    OfCycles Cycles 1..=1_000_000_000_000;
    /// Cycles before the measurement.
    OfWarmup Warmup 0..=1_000_000_000_000;
    /// Threads of a soak.
    OfThreads Threads 1..=1024;
    /// Instances of a plugin in a cycle: as many as its driver has room for.
    OfInstances Instances 1..=64;
    /// Checkpoints of a soak: a slope needs two points, and each is a row in the record.
    OfCheckpoints Checkpoints 2..=10_000;
    /// Loads of the search for stale pointers, which has room for as many and keeps the address space of each.
    OfLoads Loads 0..=1000;
    /// A limit of things counted, such as descriptors. The largest is more than any kernel gives.
    OfCount Count 1..=1_000_000_000;
    /// Soaks that run at the same time.
    OfJobs Jobs 1..=64;
}

/// A duration: one or more numbers with a unit, largest unit first: `90m`, `1h30m`, `10s`, `500ms`, `1.5h`. Units are d, h, m, s, ms
/// and us. More than zero, at most a year.
pub type Time = Quantity<OfTime>;

/// See [`Time`]; in nanoseconds.
#[derive(Debug)]
pub enum OfTime {}

/// Units of time, largest first, in nanoseconds.
const TIMES: [(&str, u64); 6] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
];

impl Kind for OfTime {
    const NAME: &'static str = "Time";
    const EXPECTING: &'static str = "a duration with a unit, such as \"90m\" or \"10s\"";
    const RANGE: (u64, u64) = (1_000, 365 * 86_400_000_000_000);
    const BARE: bool = false;

    fn read(text: &str) -> Result<u64> {
        let mut rest = text.trim();
        let mut total: u64 = 0;
        let mut unit_before = u64::MAX;
        loop {
            let (number, tail) = split(rest)?;
            let end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
            let (unit, after) = tail.split_at(end);
            let nanoseconds = match unit {
                "" => return Err(UnitError("a duration needs a unit: d, h, m, s, ms or us".to_owned())),
                "min" => 60_000_000_000,
                "µs" => 1_000,
                _ => match TIMES.iter().find(|(name, _)| *name == unit) {
                    Some((_, nanoseconds)) => *nanoseconds,
                    None => {
                        let problem = format!("unknown unit `{}`: use d, h, m, s, ms or us", clip(unit));
                        return Err(UnitError(problem));
                    }
                },
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
                return Ok(total);
            }
        }
    }

    fn write(value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = value;
        for (unit, nanoseconds) in TIMES {
            let count = rest / nanoseconds;
            rest %= nanoseconds;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }

    fn check(value: u64) -> Result<u64> {
        match value {
            0 => Err(UnitError("a duration must be more than zero".to_owned())),
            // What was computed is cut to what can be written.
            _ if value <= Self::RANGE.1 => Ok((value / 1_000).max(1) * 1_000),
            _ => Err(UnitError("a duration is at most 365d".to_owned())),
        }
    }
}

impl Time {
    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// A size in bytes: `2GiB`, `500MB`, `4096B`. MB is 10^6 bytes, MiB is 2^20; letter case counts for nothing. More than zero.
pub type Size = Quantity<OfSize>;

/// See [`Size`]; in bytes.
#[derive(Debug)]
pub enum OfSize {}

impl Kind for OfSize {
    const NAME: &'static str = "Size";
    const EXPECTING: &'static str = "a size with a unit, such as \"2GiB\" or \"500MB\"";
    const RANGE: (u64, u64) = (1, u64::MAX);
    const BARE: bool = false;

    fn read(text: &str) -> Result<u64> {
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
        number.times(factor)
    }

    fn write(value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.into_iter().find(|(_, bytes)| value.is_multiple_of(*bytes)) {
            Some((unit, bytes)) => write!(f, "{}{unit}", value / bytes),
            None => write!(f, "{value}B"),
        }
    }

    fn check(value: u64) -> Result<u64> {
        if value == 0 { Err(UnitError("a size must be more than zero".to_owned())) } else { Ok(value) }
    }
}

impl<K: Kind> Quantity<K> {
    /// The quantity of this value: a count, nanoseconds, or bytes.
    ///
    /// # Errors
    /// [`UnitError`] when it is out of range.
    pub fn new(value: u64) -> Result<Self> {
        K::check(value).map(|value| Self(value, PhantomData))
    }

    /// The quantity in range that is nearest to this value.
    pub fn nearest(value: u64) -> Self {
        Self(value.clamp(K::RANGE.0, K::RANGE.1), PhantomData)
    }

    /// Its value: a count, nanoseconds, or bytes.
    pub fn get(self) -> u64 {
        self.0
    }
}

// Written out, because derives would ask the same of `K`.
impl<K> Clone for Quantity<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Quantity<K> {}

impl<K> PartialEq for Quantity<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K> Eq for Quantity<K> {}

impl<K: Kind> fmt::Debug for Quantity<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        K::write(self.0, f)
    }
}

impl<K: Kind> fmt::Display for Quantity<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        K::write(self.0, f)
    }
}

impl<K: Kind> FromStr for Quantity<K> {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self> {
        K::read(text).and_then(Self::new)
    }
}

impl<K: Kind> Serialize for Quantity<K> {
    fn serialize<S: Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
        if K::BARE { out.serialize_u64(self.0) } else { out.collect_str(self) }
    }
}

impl<'de, K: Kind> Deserialize<'de> for Quantity<K> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> std::result::Result<Self, D::Error> {
        input.deserialize_any(Reader(PhantomData))
    }
}

impl<K: Kind> schemars::JsonSchema for Quantity<K> {
    fn inline_schema() -> bool {
        K::BARE
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        K::NAME.into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        if K::BARE {
            // In a suite it may be text as well, such as "100k".
            schemars::json_schema!({ "type": "integer", "minimum": K::RANGE.0, "maximum": K::RANGE.1 })
        } else {
            schemars::json_schema!({ "type": "string" })
        }
    }
}

/// Reads a quantity that is a number in TOML or JSON, or text.
struct Reader<K>(PhantomData<K>);

impl<K: Kind> Visitor<'_> for Reader<K> {
    type Value = Quantity<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(K::EXPECTING)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Self::Value, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> std::result::Result<Self::Value, E> {
        if K::BARE {
            Quantity::new(value).map_err(E::custom)
        } else {
            Err(E::invalid_type(de::Unexpected::Unsigned(value), &self))
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> std::result::Result<Self::Value, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) if K::BARE => Err(E::custom("this can't be negative")),
            Err(_) => Err(E::invalid_type(de::Unexpected::Signed(value), &self)),
        }
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> std::result::Result<Self::Value, E> {
        Err(E::custom(format_args!("`{value}` is not accepted here; expected {}", K::EXPECTING)))
    }
}

fn count(text: &str) -> Result<u64> {
    let (number, suffix) = split(text.trim())?;
    let factor = match suffix {
        "" => 1,
        "k" | "K" => 1_000,
        "m" | "M" => 1_000_000,
        "g" | "G" => 1_000_000_000,
        _ if suffix.starts_with(['e', 'E']) => {
            return Err(UnitError(
                "an exponent is not accepted: write 1M for 1e6, and 20k for 2e4".to_owned(),
            ));
        }
        _ => return Err(UnitError(format!("unknown suffix `{}`: use k, M or G", clip(suffix)))),
    };
    number.times(factor)
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

    fn value<K: Kind>(text: &str) -> Result<u64> {
        text.parse::<Quantity<K>>().map(Quantity::get)
    }

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
            ("1000G", 1_000_000_000_000),
        ] {
            assert_eq!(value::<OfCycles>(text), Ok(count), "{text}");
        }
    }

    #[test]
    fn an_exponent_is_refused_with_what_to_write() {
        for text in ["1e6", "2E4", "1.5e3"] {
            let refused = value::<OfCycles>(text).unwrap_err().to_string();
            assert_eq!(refused, "an exponent is not accepted: write 1M for 1e6, and 20k for 2e4");
        }
    }

    #[test]
    fn ranges_hold_at_both_ends() {
        assert_eq!(value::<OfWarmup>("0"), Ok(0));
        assert!(value::<OfCycles>("0").is_err());
        assert!(value::<OfCycles>("1000000000001").is_err());
        assert_eq!(value::<OfThreads>("1024"), Ok(1024));
        assert!(value::<OfThreads>("0").is_err());
        assert_eq!(
            value::<OfThreads>("10k").unwrap_err().to_string(),
            "10000 is out of range: from 1 to 1024"
        );
        assert_eq!(value::<OfCheckpoints>("2"), Ok(2));
        assert!(value::<OfCheckpoints>("1").is_err());
        assert!(value::<OfCheckpoints>("10001").is_err());
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
            assert_eq!(value::<OfTime>(text), Ok(milliseconds * 1_000_000), "{text}");
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
            assert_eq!(value::<OfSize>(text), Ok(bytes), "{text}");
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
            all += &format!("count    {text:22} {}\n", outcome(text.parse::<Cycles>()));
        }
        for text in
            ["", "10", "0s", "10x", "30m1h", "1m1m", "366d", "999999999999d", "-1s", "s", "1.00000001us"]
        {
            all += &format!("duration {text:22} {}\n", outcome(text.parse::<Time>()));
        }
        for text in ["", "2", "2G", "2m", "0B", "2GBit", "0.3B", "99999999TiB", "-2GiB"] {
            all += &format!("size     {text:22} {}\n", outcome(text.parse::<Size>()));
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
                let _ = text.parse::<Cycles>();
                let _ = text.parse::<Time>();
                let _ = text.parse::<Size>();
            }
        }

        #[test]
        fn what_is_displayed_reads_back(value in 1_u64..=31_536_000_000) {
            let time = Time::new(value * 1_000_000).unwrap();
            prop_assert_eq!(time.to_string().parse(), Ok(time));
            let split = format!("{}s{}ms", value / 1000, value % 1000);
            prop_assert_eq!(split.parse(), Ok(time));
            let size = Size::new(value).unwrap();
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            let cycles = Cycles::new(value).unwrap();
            prop_assert_eq!(cycles.to_string().parse(), Ok(cycles));
            let json = serde_json::to_string(&(time, size, cycles)).unwrap();
            prop_assert_eq!(serde_json::from_str::<(Time, Size, Cycles)>(&json).unwrap(), (time, size, cycles));
        }
    }
}
