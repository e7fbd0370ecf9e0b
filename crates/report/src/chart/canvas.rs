//! A sheet to draw on: plotters' SVG backend behind pixels with fractions. plotters counts in whole units, so the
//! sheet has several units to the pixel and lines come out smooth at any scale.

use std::fmt::Display;

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, RGBColor, ShapeStyle, TextStyle};

use super::super::{Error, units};
use super::palette::{AXIS, GROUND, INK, MUTED, Shape};
use super::text::{self, Weight};

/// Units to the pixel.
const UNITS: f64 = 2.0;
/// The part of a text's size that stands above its baseline, as plotters writes it into `dy`.
const ASCENT: f64 = 0.76;

/// Where a panel's plot lies.
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Frame {
    /// The place at this share of the width, from the left.
    pub(super) fn across(&self, share: f64) -> f64 {
        self.left + (self.right - self.left) * share
    }

    /// The place at this share of the height, from the bottom.
    pub(super) fn up(&self, share: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * share
    }
}

/// Where a text stands against its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Font {
    /// Size in pixels.
    pub(super) size: f64,
    /// Weight.
    pub(super) weight: Weight,
    /// Colour.
    pub(super) color: RGBColor,
}

/// The title of a picture, the heading of a panel, what stands beside a plot, and the name of what is drawn.
pub(super) const TITLE: Font = Font { size: 18.0, weight: Weight::Bold, color: INK };
pub(super) const PANEL: Font = Font { size: 14.0, weight: Weight::Bold, color: INK };
pub(super) const NOTE: Font = Font { size: 13.0, weight: Weight::Regular, color: MUTED };
pub(super) const LABEL: Font = Font { size: 13.0, weight: Weight::Regular, color: INK };

impl Font {
    /// The width of `text` in this font.
    pub(super) fn width(&self, text: &str) -> f64 {
        text::width(text, self.size, self.weight)
    }

    /// `text` cut to `max` pixels.
    pub(super) fn fit(&self, text: &str, max: f64) -> String {
        text::fit(&units::printable(text), max, self.size, self.weight)
    }
}

/// The sheet.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws a picture of `width` by `height` pixels and returns its SVG. `title` is what a screen reader says.
pub(super) fn picture(
    width: f64,
    height: f64,
    title: &str,
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), Error>,
) -> Result<String, Error> {
    text::register()?;
    let mut svg = String::new();
    {
        let size = (whole(width).unsigned_abs(), whole(height).unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&GROUND).map_err(refused)?;
        let canvas = Canvas { area };
        draw(&canvas)?;
        canvas.area.present().map_err(refused)?;
    }
    // plotters' own opening tag states the size in units; here pixels stand outside and units inside.
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {} {}\" \
         role=\"img\">\n<title>{}</title>{body}",
        whole(width),
        whole(height),
        escape(title),
    ))
}

impl Canvas<'_> {
    /// A line through `points`.
    pub(super) fn line(&self, points: &[(f64, f64)], color: RGBColor, width: f64) -> Result<(), Error> {
        let points: Vec<_> = points.iter().map(|&p| place(p)).collect();
        let style = ShapeStyle { color: color.to_rgba(), filled: false, stroke_width: stroke(width) };
        self.area.draw(&PathElement::new(points, style)).map_err(refused)
    }

    /// The left and the lower side of a plot.
    pub(super) fn sides(&self, frame: &Frame) -> Result<(), Error> {
        let corner = [(frame.left, frame.top), (frame.left, frame.bottom), (frame.right, frame.bottom)];
        self.line(&corner, AXIS, 1.0)
    }

    /// A filled rectangle between two corners.
    pub(super) fn fill(&self, from: (f64, f64), to: (f64, f64), color: RGBColor) -> Result<(), Error> {
        self.area.draw(&Rectangle::new([place(from), place(to)], color.filled())).map_err(refused)
    }

    /// A filled area with these corners.
    pub(super) fn polygon(&self, corners: &[(f64, f64)], color: RGBColor) -> Result<(), Error> {
        let corners: Vec<_> = corners.iter().map(|&p| place(p)).collect();
        self.area.draw(&Polygon::new(corners, color.filled())).map_err(refused)
    }

    /// A text whose baseline is at `at`.
    pub(super) fn text(&self, text: &str, at: (f64, f64), anchor: Anchor, font: Font) -> Result<(), Error> {
        let desc = FontDesc::new(
            FontFamily::Name(text::FAMILY),
            font.size * UNITS * text::PLOTTERS_EM,
            font.weight.style(),
        );
        let h_pos = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        // Anchored at the top: that is the one vertical position that all renderers agree on.
        let style = TextStyle::from(desc).color(&font.color).pos(Pos::new(h_pos, VPos::Top));
        let top = (at.0, at.1 - ASCENT * font.size);
        self.area.draw(&Text::new(units::printable(text), place(top), style)).map_err(refused)
    }

    /// A marker with `radius` around `at`, set off from what is below it.
    pub(super) fn marker(
        &self,
        at: (f64, f64),
        shape: Shape,
        radius: f64,
        color: RGBColor,
    ) -> Result<(), Error> {
        let (x, y) = at;
        let around = |points: &[(f64, f64)], scale: f64| -> Vec<(i32, i32)> {
            points.iter().map(|(dx, dy)| place((x + dx * scale, y + dy * scale))).collect()
        };
        let polygon = |points: &[(f64, f64)]| -> Result<(), Error> {
            let halo = around(points, radius + 1.2);
            self.area.draw(&Polygon::new(halo, GROUND.filled())).map_err(refused)?;
            self.area.draw(&Polygon::new(around(points, radius), color.filled())).map_err(refused)
        };
        let circle = |radius: f64, style: ShapeStyle| {
            self.area.draw(&Circle::new(place(at), whole(radius), style)).map_err(refused)
        };
        let outline = ShapeStyle { color: color.to_rgba(), filled: false, stroke_width: stroke(1.6) };
        match shape {
            Shape::Disc => {
                circle(radius + 1.0, GROUND.filled())?;
                circle(radius, color.filled())
            }
            Shape::Ring => {
                circle(radius, GROUND.filled())?;
                circle(radius, outline)
            }
            Shape::Square => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
            Shape::Up => polygon(&[(0.0, -1.25), (1.15, 0.85), (-1.15, 0.85)]),
            Shape::Down => polygon(&[(0.0, 1.25), (1.15, -0.85), (-1.15, -0.85)]),
            Shape::Diamond => polygon(&[(0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)]),
            Shape::Frame => {
                let corners = [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9), (-0.9, -0.9)];
                self.area
                    .draw(&Polygon::new(around(&corners[..4], radius), GROUND.filled()))
                    .map_err(refused)?;
                self.area.draw(&PathElement::new(around(&corners, radius), outline)).map_err(refused)
            }
            Shape::Cross => {
                for stroke in [[(-1.0, -1.0), (1.0, 1.0)], [(-1.0, 1.0), (1.0, -1.0)]] {
                    self.area.draw(&PathElement::new(around(&stroke, radius), outline)).map_err(refused)?;
                }
                Ok(())
            }
        }
    }

    /// A small dot, as one of many.
    pub(super) fn dot(&self, at: (f64, f64), radius: f64, color: RGBColor) -> Result<(), Error> {
        self.area.draw(&Circle::new(place(at), whole(radius).max(1), color.filled())).map_err(refused)
    }
}

/// Pixels to units. Far outside is cut off: plotters counts in 32 bits.
fn whole(pixels: f64) -> i32 {
    (pixels * UNITS).round().clamp(-1e6, 1e6) as i32
}

/// A point in units.
fn place((x, y): (f64, f64)) -> (i32, i32) {
    (whole(x), whole(y))
}

/// A width of a stroke in units.
fn stroke(pixels: f64) -> u32 {
    whole(pixels).unsigned_abs().max(1)
}

/// An error of plotters in words.
fn refused(error: impl Display) -> Error {
    Error::Chart(error.to_string())
}

/// Text made safe for XML.
pub(super) fn escape(text: &str) -> String {
    units::printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
