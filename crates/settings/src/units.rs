//! How quantities are written for people: bytes, rates, counts, times. The reasons of a verdict and every format take
//! them from here, so that one figure reads the same in the record, the terminal, a chart and a report.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands where there is no figure.
pub const NONE: &str = "-";

/// A whole number with thousands separated: `100,000`.
pub fn count(n: u64) -> String {
    group(&n.to_string())
}

/// A number for an axis or a tight place: `100k`, `1.5M`, `20`.
pub fn short_count(n: f64) -> String {
    let (divisor, suffix) = match n.abs() {
        a if a >= 1e9 => (1e9, "G"),
        a if a >= 1e6 => (1e6, "M"),
        a if a >= 1e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    format!("{}{suffix}", trim(&format!("{:.3}", n / divisor)))
}

/// A number with the digits that matter to a reader: `0.02`, `4.1`, `120`, `1,234`. What is whole stands without a
/// fraction, as a count does: `32`.
pub fn number(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() < 1e15 {
        format!("{}{}", if x < 0.0 { "-" } else { "" }, count(x.abs() as u64))
    } else {
        digits(x)
    }
}

/// A measured number, always with the same digits, so that a column of times reads evenly: `32.0`.
fn digits(x: f64) -> String {
    if !x.is_finite() {
        return NONE.to_owned();
    }
    let a = x.abs();
    match a {
        _ if a == 0.0 => "0".to_owned(),
        _ if !(1e-6..1e15).contains(&a) => format!("{x:.1e}"),
        _ if a >= 99.95 => {
            let digits = format!("{a:.0}");
            format!("{}{}", if x < 0.0 { "-" } else { "" }, group(&digits))
        }
        _ if a >= 0.995 => format!("{x:.1}"),
        // Three significant digits, without an exponent that would have to be read twice.
        _ => trim(&format!("{x:.*}", usize::try_from(2 - a.log10().floor() as i64).unwrap_or(2))),
    }
}

/// Bytes: plain below 10,000, binary multiples above: `32.0 B`, `1,040 B`, `6.2 MiB`.
pub fn bytes(x: f64) -> String {
    if !x.is_finite() {
        return NONE.to_owned();
    }
    let mut value = x;
    let mut unit = "B";
    if x.abs() >= 9_999.5 {
        for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
            value /= 1024.0;
            unit = next;
            if value.abs() < 1023.5 {
                break;
            }
        }
    }
    if unit == "B" { format!("{} B", number(value)) } else { format!("{} {unit}", digits(value)) }
}

/// Bytes per second, given in 10^6 bytes per second as leaks are quoted: `0.71 MB/s`.
pub fn mb_per_second(bytes_per_second: f64) -> String {
    format!("{} MB/s", megabytes(bytes_per_second))
}

/// Bytes in 10^6, without the unit, for a column that names it. Never more digits than a reader compares.
pub fn megabytes(bytes: f64) -> String {
    let mb = bytes / 1e6;
    if mb != 0.0 && mb.abs() < 0.001 {
        return if mb > 0.0 { "<0.001" } else { ">-0.001" }.to_owned();
    }
    if mb != 0.0 && mb.abs() < 0.1 { format!("{mb:.3}") } else { digits(mb) }
}

/// A time given in nanoseconds, in ASCII: `85 ns`, `45.2 us`, `1.3 ms`, `2.0 s`.
pub fn nanos(ns: f64) -> String {
    if !ns.is_finite() {
        return NONE.to_owned();
    }
    let mut value = ns;
    let mut unit = "ns";
    for next in ["us", "ms", "s"] {
        if value.abs() < 999.5 {
            break;
        }
        value /= 1e3;
        unit = next;
    }
    if unit == "ns" { format!("{value:.0} ns") } else { format!("{} {unit}", digits(value)) }
}

/// A round time on an axis, in the fewest characters and with the micro sign: `1 µs`, `500 ns`.
pub fn nanos_tick(ns: f64) -> String {
    nanos(ns).replace(".0 ", " ").replace(" us", " \u{b5}s")
}

/// An amount of memory on an axis, in a unit that the whole axis shares: `-64 KiB`, `1.5 MiB`, `0`.
pub fn bytes_tick(bytes: f64, divisor: f64, unit: &str) -> String {
    let value = bytes / divisor;
    if value == 0.0 { "0".to_owned() } else { format!("{} {unit}", trim(&format!("{value:.3}"))) }
}

/// How many columns of a terminal the text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The text cut in its middle to at most `max` columns, so that both ends, which distinguish names, stay.
pub fn elide(text: &str, max: usize) -> String {
    if columns(text) <= max {
        return text.to_owned();
    }
    let keep = max.saturating_sub(1);
    // Characters from one end, as many as have room there.
    let within = |chars: &mut dyn Iterator<Item = char>, room: usize| -> Vec<char> {
        let mut used = 0;
        chars
            .take_while(|c| {
                used += c.width().unwrap_or(0);
                used <= room
            })
            .collect()
    };
    let head = within(&mut text.chars(), keep - keep / 2);
    let tail = within(&mut text.chars().rev(), keep / 2);
    head.into_iter().chain(['\u{2026}']).chain(tail.into_iter().rev()).collect()
}

/// The text without characters that would move a terminal's cursor, break a line or break XML.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_whitespace() => ' ',
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => '\u{fffd}',
            // Marks that reorder or hide text: a name must read as what it is.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

/// Digits in groups of three.
fn group(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A decimal without trailing zeros, and without a minus before nothing.
fn trim(decimal: &str) -> String {
    let trimmed =
        if decimal.contains('.') { decimal.trim_end_matches('0').trim_end_matches('.') } else { decimal };
    if trimmed == "-0" { "0".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_these() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(100_000), "100,000");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(short_count(100_000.0), "100k");
        assert_eq!(short_count(1_500_000.0), "1.5M");
        assert_eq!(short_count(20.0), "20");
        for (x, text) in [
            (0.0, "0"),
            (32.0, "32"),
            (32.04, "32.0"),
            (-1234.0, "-1,234"),
            (99.96, "100"),
            (120.4, "120"),
            (-1234.4, "-1,234"),
            (0.71, "0.71"),
            (0.0204, "0.0204"),
            (0.1, "0.1"),
            (-0.5, "-0.5"),
            (1e300, "1.0e300"),
            (1e-12, "1.0e-12"),
            (f64::NAN, NONE),
        ] {
            assert_eq!(number(x), text);
        }
    }

    #[test]
    fn units_step_at_the_rounded_value() {
        assert_eq!(nanos(85.0), "85 ns");
        assert_eq!(nanos(999.4), "999 ns");
        assert_eq!(nanos(999.9), "1.0 us");
        assert_eq!(nanos(45_210.0), "45.2 us");
        assert_eq!(nanos(1_300_000.0), "1.3 ms");
        assert_eq!(nanos(6e10), "60.0 s");
        assert_eq!(nanos_tick(1_000.0), "1 \u{b5}s");
        assert_eq!(bytes(32.0), "32 B");
        assert_eq!(bytes(1040.0), "1,040 B");
        assert_eq!(bytes(10_240.0), "10.0 KiB");
        assert_eq!(bytes(1024.0 * 1024.0 - 1.0), "1.0 MiB");
        assert_eq!(bytes(-6.5e6), "-6.2 MiB");
        assert_eq!(mb_per_second(710_000.0), "0.71 MB/s");
        assert_eq!(megabytes(12.0), "<0.001");
        assert_eq!(bytes_tick(-65_536.0, 1024.0, "KiB"), "-64 KiB");
    }

    #[test]
    fn names_are_cut_in_the_middle_and_made_harmless() {
        assert_eq!(elide("short", 10), "short");
        assert_eq!(elide("abcdefghij", 5), "ab\u{2026}ij");
        assert_eq!(elide("\u{e9}\u{e9}\u{e9}\u{e9}", 1), "\u{2026}");
        assert_eq!(elide("abc", 0), "\u{2026}");
        assert_eq!(elide("\u{65e5}\u{672c}\u{8a9e}", 5), "\u{65e5}\u{2026}\u{8a9e}");
        assert_eq!(printable("a\nb\u{1b}[31m\u{202e}"), "a b\u{fffd}[31m\u{fffd}");
    }
}
