//! Colours and marker shapes of the charts. A library is told apart by colour and shape together, so a reader who
//! sees no colours, or a print in grey, loses nothing.

use plotters::style::RGBColor;

/// Text.
pub(super) const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
/// Text that stands back.
pub(super) const MUTED: RGBColor = RGBColor(0x57, 0x60, 0x6a);
/// Grid lines.
pub(super) const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
/// Axes and the frames of panels.
pub(super) const AXIS: RGBColor = RGBColor(0xb3, 0xba, 0xc2);
/// The ground.
pub(super) const GROUND: RGBColor = RGBColor(0xff, 0xff, 0xff);
/// The ground of a plot's window in which the line was fitted.
pub(super) const WINDOW: RGBColor = RGBColor(0xf4, 0xf6, 0xf8);
/// A verdict that passed; dark enough to be read as text.
pub(super) const GOOD: RGBColor = RGBColor(0x00, 0x6b, 0x4e);
/// A verdict that did not.
pub(super) const BAD: RGBColor = RGBColor(0xa8, 0x32, 0x00);
/// A verdict that is open.
pub(super) const OPEN: RGBColor = RGBColor(0x7a, 0x5a, 0x00);

/// Okabe and Ito's colours. In place of their yellow, which can't be seen on white, stands a dark wine from Tol's.
pub(super) const LINES: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x00, 0x00, 0x00),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x88, 0x22, 0x55),
];

/// A marker's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A filled disc.
    Disc,
    /// A filled square.
    Square,
    /// A filled triangle that points up.
    Up,
    /// A filled diamond.
    Diamond,
    /// A ring.
    Ring,
    /// A filled triangle that points down.
    Down,
    /// A square that is not filled.
    Frame,
    /// A diagonal cross.
    Cross,
}

/// All shapes.
pub(super) const SHAPES: [Shape; 8] = [
    Shape::Disc,
    Shape::Square,
    Shape::Up,
    Shape::Diamond,
    Shape::Ring,
    Shape::Down,
    Shape::Frame,
    Shape::Cross,
];

/// The look of the library at `index` in the run, the same in every chart. Shapes move on by one with each round
/// of colours, so that 64 libraries differ before a pair comes again.
pub(super) fn look(index: usize) -> (RGBColor, Shape) {
    (LINES[index % LINES.len()], SHAPES[(index + index / LINES.len()) % SHAPES.len()])
}

/// A colour mixed with the ground. Real transparency would cost a layer for each element in the PNG.
pub(super) fn faint(color: RGBColor, share: f64) -> RGBColor {
    let mix = |c: u8| (255.0 + (f64::from(c) - 255.0) * share.clamp(0.0, 1.0)).round() as u8;
    RGBColor(mix(color.0), mix(color.1), mix(color.2))
}
