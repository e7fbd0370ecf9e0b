//! How often one library was opened and how often it was really loaded: two lines that part where it stays.

use super::super::super::Error;
use super::super::super::loads::Loads;
use super::super::axis;
use super::super::canvas::Frame;
use super::super::palette::{INK, RSS, Shape};
use super::super::plot::{Plot, thin};
use super::{Drawing, Key, LEFT, Name, RIGHT, TOP, axes, sheet};
use dlsoak_record::Soak;

const HEIGHT: f64 = 172.0;
const BOTTOM: f64 = 144.0;

pub(super) fn draw(soak: &Soak, most_points: usize, name: &Name<'_>) -> Result<Option<Drawing>, Error> {
    let Some(loads) = Loads::of(soak) else { return Ok(None) };
    let most = loads.points.iter().map(|point| point.0).fold(1.0, f64::max);
    let (x, mut y) = (axis::cycles(most, 5), axis::cycles(most, 4));
    // A line along the bottom is not the axis.
    (y.low, y.high) = (-most * 0.04, most * 1.04);
    let frame = Frame { left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM };
    let svg = sheet(name, HEIGHT, |canvas| {
        let plot = Plot { canvas, frame: &frame, x: &x, y: &y };
        axes(&plot, &format!("{}s", name.per))?;
        plot.line(&[(0.0, 0.0), (most, most)], INK, 2.0)?;
        let points = thin(&loads.points, most, most_points);
        plot.line(&points, RSS, 2.2)?;
        plot.markers(&points, Shape::Square, RSS)
    })?;
    let key = vec![
        Key { mark: "―", color: "ink", text: loads.opened() },
        Key { mark: "■", color: "rss", text: loads.loaded() },
    ];
    Ok(Some(Drawing { svg, key }))
}
