//! The one estimator of `analysis`: a straight line through the lower envelope of a stretch of the series, and
//! the range of what it leaves over, which is the yardstick of its uncertainty.

use super::critical::critical;

/// Blocks that a stretch is cut into: enough for a stable range, few enough that each holds several checkpoints.
const BLOCKS: usize = 20;
/// Checkpoints per block, where there are enough: the lowest of them is what every sawtooth comes back to.
const PER_BLOCK: usize = 3;

/// One point of a series: exposure (cycles or loads) and value.
pub(super) type Point = (f64, f64);

/// A least-squares line through the lower envelope of a stretch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// Growth per unit of exposure.
    pub slope: f64,
    /// Value at exposure 0.
    pub intercept: f64,
    /// Largest less smallest residual.
    pub range: f64,
    /// Exposure from the first to the last point of the envelope.
    pub length: f64,
    /// Number of points of the envelope.
    pub points: usize,
    /// First and last exposure of the stretch.
    pub span: (f64, f64),
    /// True when the stretch carries no noise: flat, or exactly on one line.
    pub exact: bool,
}

impl Line {
    /// The line through `points`, which must be in ascending order of exposure. `None` where there are too few,
    /// or where they span nothing.
    pub(super) fn through(points: &[Point]) -> Option<Self> {
        let span = (points.first()?.0, points.last()?.0);
        let envelope = lower_envelope(points);
        let (slope, intercept) = least_squares(&envelope)?;
        let range = residual_range(&envelope, slope, intercept);
        let length = envelope.last()?.0 - envelope.first()?.0;
        let raw_range = match least_squares(points) {
            Some((slope, intercept)) => residual_range(points, slope, intercept),
            None => f64::INFINITY,
        };
        // Sums of squares of large exposures cost a few of the 53 bits; a tenth of a byte is below any metric.
        let exact = points.len() >= 8 && raw_range < 0.1;
        Some(Self { slope, intercept, range, length, points: envelope.len(), span, exact })
    }

    /// Half the width of the interval at two-sided error `alpha`, where the range is taken as at least `floor`.
    /// Infinite where there are too few points to say.
    pub(super) fn half_width(&self, alpha: f64, floor: f64) -> f64 {
        match critical(self.points, alpha) {
            Some(c) if self.length > 0.0 => c * self.range.max(floor) / self.length,
            _ => f64::INFINITY,
        }
    }
}

/// Mean exposure and lowest value of each block. Blocks are equally wide in exposure, so that a steady growth
/// lowers each by the same amount and leaves the slope alone.
fn lower_envelope(points: &[Point]) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let width = last.0 - first.0;
    let blocks = (points.len() / PER_BLOCK).clamp(1, BLOCKS);
    if width <= 0.0 || !width.is_finite() {
        return Vec::new();
    }
    let block_of = |x: f64| (((x - first.0) / width * blocks as f64) as usize).min(blocks - 1);
    points
        .chunk_by(|a, b| block_of(a.0) == block_of(b.0))
        .map(|block| {
            let mean = block.iter().map(|point| point.0).sum::<f64>() / block.len() as f64;
            let lowest = block.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
            (mean, lowest)
        })
        .collect()
}

/// Slope and intercept; `None` for fewer than two distinct exposures.
fn least_squares(points: &[Point]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let (mut xx, mut xy) = (0.0, 0.0);
    for (x, y) in points {
        xx += (x - mean_x) * (x - mean_x);
        xy += (x - mean_x) * (y - mean_y);
    }
    let slope = xy / xx;
    (xx > 0.0 && slope.is_finite()).then_some((slope, mean_y - slope * mean_x))
}

/// Largest less smallest residual of `points` about a line.
fn residual_range(points: &[Point], slope: f64, intercept: f64) -> f64 {
    let (low, high) = points
        .iter()
        .map(|(x, y)| y - intercept - slope * x)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), r| (low.min(r), high.max(r)));
    (high - low).max(0.0)
}
