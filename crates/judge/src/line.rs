//! A straight line through the lower envelope of a stretch of the series. The range of the
//! residuals measures its uncertainty.

use super::critical::critical;

/// Numbers of blocks that a stretch is cut into. The lowest checkpoint of a block is meaningful only if the block contains a return of
/// the sawtooth. The period is unknown, so the cut whose line fits best decides.
const BLOCKS: [usize; 3] = [20, 12, 8];
/// Weight of the range for each of [`BLOCKS`], because fewer points leave smaller residuals by chance. The weights are ratios of the
/// 99.9 % quantiles for that many points of a random walk.
const WEIGHTS: [f64; 3] = [1.0, 1.2, 1.55];
/// Fewest checkpoints per block.
const PER_BLOCK: usize = 3;
/// Fewest checkpoints for a line.
pub(super) const FEWEST: usize = 8;

/// One point of a series: exposure (cycles or loads) and value.
pub(super) type Point = (f64, f64);

/// A line through the lower envelope of a stretch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// Growth per unit of exposure.
    pub slope: f64,
    /// Value at exposure 0.
    pub intercept: f64,
    /// Largest less smallest residual of the envelope, weighted by the number of blocks.
    pub range: f64,
    /// Exposure from the first to the last point of the envelope.
    pub length: f64,
    /// Number of checkpoints.
    pub points: usize,
    /// First and last exposure of the stretch.
    pub span: (f64, f64),
    /// Lowest value of the stretch.
    pub lowest: f64,
    /// True if the stretch has no noise, because it is flat or lies exactly on one line.
    pub exact: bool,
}

impl Line {
    /// The line through `points`, which must be in ascending order of exposure. `None` if there are too few, or if they span nothing.
    ///
    /// The least-squares line comes first, then the lower envelope of its residuals. In this order, steady growth that is added to a
    /// series adds exactly its rate to the slope, and changes nothing else.
    pub(super) fn through(points: &[Point]) -> Option<Self> {
        if points.len() < FEWEST {
            return None;
        }
        let span = (points.first()?.0, points.last()?.0);
        let (trend, level) = least_squares(points)?;
        let residuals: Vec<Point> =
            points.iter().map(|(x, y)| (*x, y - level - trend * (x - span.0))).collect();
        let cuts = BLOCKS.iter().zip(WEIGHTS).filter(|(blocks, _)| **blocks * PER_BLOCK <= points.len());
        let few = (points.len() / PER_BLOCK).max(4);
        let lines = cuts.filter_map(|(blocks, weight)| Envelope::of(&residuals, *blocks, weight));
        let best = lines.chain(Envelope::of(&residuals, few, 1.0).filter(|_| few < 8));
        let best = best.min_by(|a, b| (a.range * b.length).total_cmp(&(b.range * a.length)))?;
        let slope = trend + best.slope;
        let intercept = level + best.intercept - slope * span.0 + best.slope * span.0;
        // Sums of squares of large numbers lose bits, so a part in 10^12 of the values is not noise.
        let size = points.iter().fold(0.0_f64, |size, (_, y)| size.max(y.abs()));
        let exact = range(residuals.iter().map(|(_, y)| *y)) < 0.1_f64.max(size * 1e-12);
        Some(Self {
            slope,
            intercept,
            range: best.range,
            length: best.length,
            points: points.len(),
            span,
            lowest: points.iter().map(|(_, y)| *y).fold(f64::INFINITY, f64::min),
            exact,
        })
    }

    /// Half the width of the interval at two-sided error `alpha`, with a range of at least `floor`. Infinite if there are too few points.
    pub(super) fn half_width(&self, alpha: f64, floor: f64) -> f64 {
        match critical(self.points, alpha) {
            Some(c) if self.length > 0.0 => c * self.range.max(floor) / self.length,
            _ => f64::INFINITY,
        }
    }
}

/// The least-squares line through the lower envelope of residuals.
struct Envelope {
    slope: f64,
    intercept: f64,
    range: f64,
    length: f64,
}

impl Envelope {
    /// Fits the mean exposure and the lowest value of each of `blocks` blocks of equal exposure.
    fn of(residuals: &[Point], blocks: usize, weight: f64) -> Option<Self> {
        let (first, last) = (residuals.first()?, residuals.last()?);
        let width = last.0 - first.0;
        if width <= 0.0 || !width.is_finite() {
            return None;
        }
        let block_of = |x: f64| (((x - first.0) / width * blocks as f64) as usize).min(blocks - 1);
        let lowest: Vec<Point> = residuals
            .chunk_by(|a, b| block_of(a.0) == block_of(b.0))
            .map(|block| {
                let mean = block.iter().map(|point| point.0).sum::<f64>() / block.len() as f64;
                (mean, block.iter().map(|point| point.1).fold(f64::INFINITY, f64::min))
            })
            .collect();
        // Checkpoints that cluster leave blocks empty, and few points leave little range: not to be believed.
        if lowest.len() * 4 < blocks * 3 {
            return None;
        }
        let (slope, level) = least_squares(&lowest)?;
        let origin = lowest.first()?.0;
        let left = range(lowest.iter().map(|(x, y)| y - level - slope * (x - origin)));
        let length = lowest.last()?.0 - origin;
        Some(Self { slope, intercept: level - slope * origin, range: left * weight, length })
    }
}

/// Slope, and value at the first exposure; `None` for fewer than two distinct exposures. Exposures are counted from
/// the first one and values from the first value, so that large counts keep their last bits.
pub(super) fn least_squares(points: &[Point]) -> Option<(f64, f64)> {
    let (x0, y0) = *points.first()?;
    let n = points.len() as f64;
    let (sum_x, sum_y) =
        points.iter().fold((0.0, 0.0), |(x, y), point| (x + (point.0 - x0), y + (point.1 - y0)));
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let (mut xx, mut xy) = (0.0, 0.0);
    for (x, y) in points {
        let dx = x - x0 - mean_x;
        xx += dx * dx;
        xy += dx * (y - y0 - mean_y);
    }
    let slope = xy / xx;
    (xx > 0.0 && slope.is_finite()).then_some((slope, y0 + mean_y - slope * mean_x))
}

/// Largest less smallest; 0 for none.
fn range(values: impl Iterator<Item = f64>) -> f64 {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    (high - low).max(0.0)
}
