//! An SVG of this module as a PNG. Drawn in strips, so that the memory it takes does not grow with the picture.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::Arc;

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::super::Error;
use super::text;

/// The widest picture: twice what a README shows, so that it stays sharp there.
const MAX_WIDTH: f32 = 1600.0;
/// Rows drawn at once.
const STRIP: u32 = 96;

/// A chart of this module as a PNG, at most 1600 pixels wide.
///
/// # Errors
///
/// When the SVG isn't one of this module's.
pub fn render(svg: &str) -> Result<Vec<u8>, Error> {
    // Only the embedded font is known: what the machine has installed must not change a picture.
    let mut fonts = fontdb::Database::new();
    for bytes in [text::REGULAR, text::BOLD] {
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(bytes)));
    }
    let options = Options { fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(chart)?;

    let size = tree.size();
    let scale = MAX_WIDTH / size.width();
    let width = (size.width() * scale).round().max(1.0) as u32;
    let height = (size.height() * scale).round().max(1.0) as u32;

    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut header = encoder.write_header().map_err(chart)?;
    let mut writer = header.stream_writer().map_err(chart)?;
    let mut strip =
        Pixmap::new(width, STRIP.min(height)).ok_or_else(|| Error::Chart("no size".to_owned()))?;
    let mut row = vec![0; width as usize * 3];
    let mut top = 0;
    while top < height {
        strip.fill(Color::WHITE);
        let transform = Transform::from_scale(scale, scale).post_translate(0.0, -(top as f32));
        resvg::render(&tree, transform, &mut strip.as_mut());
        let rows = strip.height().min(height - top) as usize;
        for pixels in strip.data().chunks_exact(width as usize * 4).take(rows) {
            // The ground is opaque, so a premultiplied colour is the colour.
            for (rgb, rgba) in row.chunks_exact_mut(3).zip(pixels.chunks_exact(4)) {
                rgb.copy_from_slice(&rgba[..3]);
            }
            writer.write_all(&row).map_err(chart)?;
        }
        top += strip.height();
    }
    writer.finish().map_err(chart)?;
    header.finish().map_err(chart)?;
    Ok(out)
}

/// Any error of the libraries used, in words.
fn chart(error: impl Display) -> Error {
    Error::Chart(error.to_string())
}
