//! A plot: a frame on the canvas with the scales of its two axes. Everything that draws data takes one, whatever the
//! data belongs to, so that several libraries or several records can share a plot.

use plotters::style::RGBColor;

use super::super::Error;
use super::axis::Scale;
use super::canvas::{Canvas, Frame};
use super::palette::{Shape, faint};

/// Points drawn per series, those that stand out not counted: more can't be told apart.
const POINTS: usize = 100;

/// A frame with its scales.
pub(super) struct Plot<'p, 'a> {
    pub(super) canvas: &'p Canvas<'a>,
    pub(super) frame: &'p Frame,
    pub(super) x: &'p Scale,
    pub(super) y: &'p Scale,
}

impl Plot<'_, '_> {
    /// Place of a point of the data; what is outside the scales is at their end.
    pub(super) fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.frame.across(self.x.share(x)), self.frame.up(self.y.share(y)))
    }

    /// A line through points of the data.
    pub(super) fn line(&self, points: &[(f64, f64)], color: RGBColor, width: f64) -> Result<(), Error> {
        let points: Vec<_> = points.iter().map(|point| self.at(*point)).collect();
        self.canvas.line(&points, color, width)
    }

    /// The area between two lines, both from left to right.
    pub(super) fn area(&self, low: &[(f64, f64)], high: &[(f64, f64)], color: RGBColor) -> Result<(), Error> {
        let points: Vec<_> = high.iter().chain(low.iter().rev()).map(|point| self.at(*point)).collect();
        self.canvas.polygon(&points, color)
    }

    /// The ground between two values of the x axis, at least `least` pixels wide.
    pub(super) fn ground(&self, from: f64, to: f64, least: f64, color: RGBColor) -> Result<(), Error> {
        let h = |x: f64| self.frame.across(self.x.share(x));
        let left = h(from).min(self.frame.right - least);
        self.canvas.fill((left, self.frame.top), (h(to).max(left + least), self.frame.bottom), color)
    }

    /// Many points, thinned, each as a faint dot or square.
    pub(super) fn points(&self, points: &[(f64, f64)], shape: Shape, color: RGBColor) -> Result<(), Error> {
        let color = faint(color, 0.6);
        for &point in &thin(points, self.y.high - self.y.low, POINTS) {
            let at = self.at(point);
            match shape {
                Shape::Disc => self.canvas.dot(at, 2.0, color)?,
                _ => self.canvas.fill((at.0 - 1.7, at.1 - 1.7), (at.0 + 1.7, at.1 + 1.7), color)?,
            }
        }
        Ok(())
    }

    /// A few markers on a line that goes through `points`.
    pub(super) fn markers(&self, points: &[(f64, f64)], shape: Shape, color: RGBColor) -> Result<(), Error> {
        let last = points.len().saturating_sub(1);
        let mut next = 0.0;
        for (i, &point) in points.iter().enumerate() {
            let share = self.x.share(point.0);
            if share >= next || i == last {
                self.canvas.marker(self.at(point), shape, 3.4, color)?;
                next = share + 0.24;
            }
        }
        Ok(())
    }
}

/// About `most` of the points, evenly taken, and besides them every one that stands out: no spike is lost. `span` is
/// the height of the plot in the same measure.
pub(super) fn thin(points: &[(f64, f64)], span: f64, most: usize) -> Vec<(f64, f64)> {
    let stretch = points.len().div_ceil(most.max(1));
    let mut kept = Vec::with_capacity(points.len().min(2 * most));
    for chunk in points.chunks(stretch.max(1)) {
        let Some(first) = chunk.first() else { continue };
        let by = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let extremes = [chunk.iter().min_by(by), chunk.iter().max_by(by)];
        let mut taken: Vec<(f64, f64)> = std::iter::once(*first)
            .chain(
                extremes
                    .into_iter()
                    .flatten()
                    .filter(|point| (point.1 - first.1).abs() > span * 0.03)
                    .copied(),
            )
            .collect();
        taken.sort_by(|a, b| a.0.total_cmp(&b.0));
        kept.extend(taken);
    }
    // A line ends where its points end.
    if let Some(last) = points.last().filter(|last| kept.last() != Some(*last)) {
        kept.push(*last);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_spikes_and_order() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), 0.0)).collect();
        points[7_777].1 = 50.0;
        points[8_888].1 = -50.0;
        let kept = thin(&points, 100.0, POINTS);
        assert!(kept.len() <= POINTS + 3, "{}", kept.len());
        assert!(kept.contains(&(7_777.0, 50.0)) && kept.contains(&(8_888.0, -50.0)));
        assert!(kept.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert!(thin(&[], 1.0, POINTS).is_empty());
        assert_eq!(thin(&points[..3], 1.0, POINTS).len(), 3);
    }
}
