//! Pure: which way a coarse series goes: one that is rounded, or whose figures are off by a known amount. Cruder than the analysis of
//! a soak, and on purpose nothing of it: this is another look.

use serde::Serialize;

/// Which way a figure goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trend {
    /// It grows, and did so in the last third of the cycles.
    Growing,
    /// It does not, as far as this instrument can see.
    Flat,
    /// It moves, and not steadily upwards.
    Unclear,
}

/// Looks at `(cycle, value)` pairs in the order of their cycles, up to the cycle `to`. `noise` is by how much two values may differ
/// that are the same.
///
/// Growing is what has every value of the last third above every one of the first, by the noise from beginning to end, and
/// by some of it in the second half. Flat is what moves by less than the noise.
pub fn trend(series: &[(u64, f64)], to: u64, noise: f64) -> Trend {
    let (Some((from, first)), Some((_, last))) = (series.first(), series.last()) else {
        return Trend::Unclear;
    };
    let third = to.saturating_sub(*from) / 3;
    let early = series.iter().filter(|(at, _)| *at <= from + third).map(|(_, value)| *value);
    let late = series.iter().filter(|(at, _)| *at >= to.saturating_sub(third)).map(|(_, value)| *value);
    let half = from + to.saturating_sub(*from) / 2;
    let middle = series.iter().take_while(|(at, _)| *at <= half).last().map_or(*first, |(_, value)| *value);
    let (low, high) = series
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), (_, value)| (low.min(*value), high.max(*value)));
    if high - low < noise {
        return Trend::Flat;
    }
    // Where nothing was seen in the last third, the very last value is what there is.
    let lowest_late = late.fold(*last, f64::min);
    let highest_early = early.fold(*first, f64::max);
    let still = last - middle >= (last - first) / 4.0;
    if last - first >= noise && lowest_late > highest_early && still {
        return Trend::Growing;
    }
    Trend::Unclear
}
