//! The charts: latency by percentile and memory against cycles. Drawn with plotters into SVG; a PNG is that same
//! SVG turned into pixels with the embedded font, so the two never differ and no machine needs fonts.

mod axis;
mod canvas;
mod gained;
mod labels;
mod latency;
mod memory;
pub(super) mod palette;
mod plot;
mod png;
pub(super) mod small;
mod text;

#[cfg(test)]
mod tests;

use crate::record::Run;

use super::Error;

/// Latency by percentile, as HdrHistogram plots it: a panel each for open, call and close, a line per library.
///
/// # Errors
///
/// When plotters refuses to draw, which no data should cause.
pub fn latency(run: &Run) -> Result<String, Error> {
    latency::draw(run)
}

/// Growth of heap and resident memory against cycles: a panel per library, with points, fitted line and slope.
///
/// # Errors
///
/// As [`latency`].
pub fn memory(run: &Run) -> Result<String, Error> {
    memory::draw(run)
}

/// A chart of this module as a PNG, at most 1600 pixels wide.
///
/// # Errors
///
/// When the SVG isn't one of this module's.
pub fn png(svg: &str) -> Result<Vec<u8>, Error> {
    png::render(svg)
}
