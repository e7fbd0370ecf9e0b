//! What a metric gained since the first checkpoint, with the line that was fitted to it: what every chart of memory
//! draws.

use super::super::summary;
use dlsoak_record::{Growth, Metric, Soak, Trend};

/// The ends of a fitted line.
pub(super) type Ends = [(f64, f64); 2];

/// One series.
pub(super) struct Gained<'a> {
    /// The level at the first checkpoint.
    start: f64,
    /// (cycle, gain).
    pub(super) points: Vec<(f64, f64)>,
    /// What the analysis made of it.
    pub(super) growth: Option<&'a Growth>,
}

impl<'a> Gained<'a> {
    /// The series of a metric; none where it has no checkpoint.
    pub(super) fn of(soak: &'a Soak, metric: Metric) -> Option<Self> {
        let mut points = summary::series(soak, metric);
        let start = points.first()?.1;
        for point in &mut points {
            point.1 -= start;
        }
        Some(Gained { start, points, growth: summary::growth_of(soak, metric) })
    }

    /// The fitted line, over the cycles it was fitted on.
    pub(super) fn fitted(&self) -> Option<Ends> {
        let (growth, fit) = self.growth.and_then(|g| Some((g, g.fit.as_ref()?)))?;
        let value = |cycle: f64| fit.intercept - self.start + growth.per_cycle * cycle;
        let (from, to) = (fit.from_cycle as f64, fit.to_cycle as f64);
        let sound = value(from).is_finite() && value(to).is_finite() && from < to;
        sound.then(|| [(from, value(from)), (to, value(to))])
    }
}

/// The cycles that the lines of some series were fitted on.
pub(super) fn window<'a>(series: impl Iterator<Item = &'a Gained<'a>> + Clone) -> Option<(f64, f64)> {
    let fits = || series.clone().filter_map(|s| s.growth?.fit.as_ref());
    let from = fits().map(|fit| fit.from_cycle as f64).fold(f64::INFINITY, f64::min);
    let to = fits().map(|fit| fit.to_cycle as f64).fold(0.0, f64::max);
    (from < to).then_some((from, to))
}

/// A slope with its interval, and whether it grows.
pub(super) fn slope(growth: &Growth, per: &str) -> String {
    let trend = match growth.trend {
        Trend::Growing => ", growing",
        Trend::Flat => "",
        Trend::Decaying => ", fading",
        Trend::Unclear => ", unclear",
    };
    format!("{}{trend}", summary::slope(growth, per))
}
