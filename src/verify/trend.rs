//! Pure: the trend of a coarse series, whose figures are rounded or have a known error. The test is cruder than the analysis of a
//! soak, and shares no code with it, so that the two stay independent.

use crate::record::Trend;

/// The trend of `(cycle, value)` pairs in the order of their cycles, up to the cycle `to`. `noise` is the most by which two readings
/// of one value differ.
///
/// A series grows if every value of its last third exceeds every value of its first, if it rises by the noise in all, and by a
/// quarter of that rise in its second half. It is flat if it moves by less than the noise.
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
