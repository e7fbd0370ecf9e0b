//! The charts: latency by percentile and memory against cycles. Drawn with plotters into SVG; a PNG is that same
//! SVG turned into pixels with the embedded font, so the two never differ and no machine needs fonts.

mod axis;
mod canvas;
mod costs;
mod gained;
mod labels;
mod languages;
mod latency;
mod memory;
mod overlay;
pub(super) mod palette;
mod plot;
mod png;
pub(super) mod small;
mod text;

#[cfg(test)]
mod tests;

use dlsoak_judge::compare::Work;
use dlsoak_record::Run;

use super::Error;
use super::costs::Row;

pub(super) use overlay::Overlaid;

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

/// Memory of several runs laid over each other; `labels` are what people call the runs.
///
/// # Errors
///
/// As [`latency`].
pub(super) fn overlay(labels: &[&str], libraries: &[Overlaid<'_>]) -> Result<String, Error> {
    overlay::draw(labels, libraries)
}

/// The languages on the same work, as bars.
///
/// # Errors
///
/// As [`latency`].
pub(super) fn languages(work: &[Work], several_runs: bool) -> Result<String, Error> {
    languages::draw(work, several_runs)
}

/// What libraries cost their host, as bars.
///
/// # Errors
///
/// As [`latency`].
pub(super) fn costs(rows: &[Row<'_>]) -> Result<String, Error> {
    costs::draw(rows)
}

/// A chart of this module as a PNG, at most 1600 pixels wide.
///
/// # Errors
///
/// When the SVG isn't one of this module's.
pub fn png(svg: &str) -> Result<Vec<u8>, Error> {
    png::render(svg)
}
