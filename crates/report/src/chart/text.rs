//! The charts' font: its bytes, its name in SVG, and how wide a text is. Labels are laid out from these widths,
//! so they must hold in the PNG and nearly hold in a browser that has another font.

use plotters::style::{FontDesc, FontFamily, FontStyle, register_font};

use super::super::Error;

/// What the SVG asks for. Verdana has the widths of DejaVu Sans, so a browser without the latter still fits.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, Geneva, sans-serif";
/// The regular cut.
pub(super) const REGULAR: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans.subset.ttf");
/// The bold cut.
pub(super) const BOLD: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans-Bold.subset.ttf");

/// plotters divides the size of a font by this before it writes it into SVG.
pub(super) const PLOTTERS_EM: f64 = 1.24;

/// Makes the font known to plotters. Called before each chart: nothing is set up in a process that draws none.
pub(super) fn register() -> Result<(), Error> {
    for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)] {
        register_font(FAMILY, style, bytes)
            .map_err(|_| Error::Chart("the embedded font can't be read".to_owned()))?;
    }
    Ok(())
}

/// A weight of the font.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// Regular.
    Regular,
    /// Bold.
    Bold,
}

impl Weight {
    /// The style plotters knows it by.
    pub(super) fn style(self) -> FontStyle {
        match self {
            Weight::Regular => FontStyle::Normal,
            Weight::Bold => FontStyle::Bold,
        }
    }
}

/// Width of `text` in pixels at `size` pixels, a little on the wide side. [`register`] comes first.
pub(super) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    // Measured large, because plotters rounds to whole pixels.
    const AT: f64 = 200.0;
    // A character that the font lacks comes from some other font: assume a full square.
    let known: String = text.chars().map(|c| if in_font(c) { c } else { 'W' }).collect();
    let font = FontDesc::new(FontFamily::Name(FAMILY), AT * PLOTTERS_EM, weight.style());
    let measured =
        font.box_size(&known).map_or(known.chars().count() as f64 * AT * 0.8, |(w, _)| f64::from(w));
    measured * size / AT
}

/// The text, cut in its middle until it is at most `max` pixels wide.
pub(super) fn fit(text: &str, max: f64, size: f64, weight: Weight) -> String {
    if width(text, size, weight) <= max {
        return text.to_owned();
    }
    // Nothing of so many characters fits; starting below keeps the search short for absurd names.
    let mut keep = text.chars().count().min(1 + (max / size * 4.0).max(1.0) as usize);
    while keep > 1 {
        keep -= 1;
        let cut = super::super::units::elide(text, keep);
        if width(&cut, size, weight) <= max {
            return cut;
        }
    }
    "\u{2026}".to_owned()
}

/// Whether the embedded subset has this character. The ranges are those of `assets/fonts/README.md`.
fn in_font(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{17f}' | '\u{2010}'..='\u{2015}' | '\u{2018}'..='\u{201e}'
        | '\u{2022}' | '\u{2026}' | '\u{2190}'..='\u{2193}' | '\u{2212}' | '\u{2264}' | '\u{2265}' | '\u{fffd}')
}
