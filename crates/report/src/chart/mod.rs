//! The charts: latency by percentile, memory against cycles, and loads against opens. Drawn with plotters into SVG; a PNG is that same
//! SVG turned into pixels with the embedded font, so the two never differ and no machine needs fonts.

mod axis;
mod canvas;
mod costs;
mod cover;
pub(super) mod gained;
mod labels;
mod languages;
mod latency;
mod loads;
mod memory;
mod overlay;
pub(super) mod palette;
mod plot;
mod png;
pub(super) mod small;
mod spark;
mod text;

#[cfg(test)]
mod tests;

pub(super) use costs::draw as costs;
pub(super) use languages::draw as languages;
pub use latency::draw as latency;
pub use loads::draw as loads;
pub use memory::draw as memory;
pub(super) use overlay::{Overlaid, draw as overlay};
pub use png::render as png;
pub(super) use spark::draw as spark;
