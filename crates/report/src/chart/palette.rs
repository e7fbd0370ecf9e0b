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

/// Resident memory, in every chart of memory.
pub(super) const RSS: RGBColor = LINES[0];
/// The C heap.
pub(super) const HEAP: RGBColor = LINES[1];
/// Anonymous memory.
pub(super) const ANON: RGBColor = LINES[2];
/// The band of the resident memory's line.
pub(super) const RSS_BAND: RGBColor = RGBColor(0xcc, 0xe3, 0xf0);
/// The band of the heap's line.
pub(super) const HEAP_BAND: RGBColor = RGBColor(0xf7, 0xdf, 0xcc);
/// The band of the anonymous memory's line.
pub(super) const ANON_BAND: RGBColor = RGBColor(0xcc, 0xec, 0xe3);
/// The warm-up.
pub(super) const WARMUP: RGBColor = RGBColor(0xd9, 0xcd, 0xea);
/// The gate's line.
pub(super) const LIMIT: RGBColor = RGBColor(0x88, 0x22, 0x56);
/// The line of a baseline.
pub(super) const OLDER: RGBColor = RGBColor(0x87, 0x90, 0x9a);
/// Kinds of mapping, in the order of the record's columns.
pub(super) const KINDS: [RGBColor; 6] = [
    HEAP,
    ANON,
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x88, 0x22, 0x55),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0xe6, 0x9f, 0x00),
];
/// Steps of the heatmap, from the lowest. Light to dark in one hue reads in grey, too.
pub(super) const HEAT: [RGBColor; 7] = [
    RGBColor(0xf1, 0xf5, 0xf9),
    RGBColor(0xd6, 0xe6, 0xf2),
    RGBColor(0xa6, 0xcc, 0xe4),
    RGBColor(0x6b, 0xaa, 0xd0),
    RGBColor(0x35, 0x80, 0xb4),
    RGBColor(0x12, 0x55, 0x8c),
    RGBColor(0x08, 0x2c, 0x57),
];

/// Each colour by the name it has in the page, and what it is on a dark ground. The charts are drawn in the light ones.
pub(in super::super) const THEME: [(&str, RGBColor, RGBColor); 29] = [
    ("ink", INK, RGBColor(0xe8, 0xec, 0xf1)),
    ("muted", MUTED, RGBColor(0xa3, 0xad, 0xb8)),
    ("grid", GRID, RGBColor(0x2b, 0x32, 0x3b)),
    ("axis", AXIS, RGBColor(0x5b, 0x66, 0x72)),
    ("ground", GROUND, RGBColor(0x12, 0x16, 0x1c)),
    ("window", WINDOW, RGBColor(0x1a, 0x20, 0x28)),
    ("good", GOOD, RGBColor(0x4f, 0xd1, 0xa5)),
    ("bad", BAD, RGBColor(0xff, 0x96, 0x66)),
    ("open", OPEN, RGBColor(0xe8, 0xc0, 0x4f)),
    ("warmup", WARMUP, RGBColor(0x4a, 0x3f, 0x66)),
    ("limit", LIMIT, RGBColor(0xf0, 0x8f, 0xc0)),
    ("older", OLDER, RGBColor(0x7d, 0x88, 0x94)),
    ("rss-band", RSS_BAND, RGBColor(0x1b, 0x36, 0x4a)),
    ("heap-band", HEAP_BAND, RGBColor(0x45, 0x2e, 0x1d)),
    ("anon-band", ANON_BAND, RGBColor(0x17, 0x3c, 0x33)),
    ("heap", HEAP, RGBColor(0xff, 0x8c, 0x3f)),
    ("anonymous", ANON, RGBColor(0x2f, 0xc7, 0x9b)),
    ("stacks", KINDS[2], RGBColor(0xe0, 0x9a, 0xc4)),
    ("library", KINDS[3], RGBColor(0xc8, 0x5a, 0x92)),
    ("other", KINDS[4], RGBColor(0x6f, 0xc3, 0xf2)),
    ("files", KINDS[5], RGBColor(0xf0, 0xb4, 0x2e)),
    ("rss", RSS, RGBColor(0x5f, 0xb0, 0xe6)),
    ("h0", HEAT[0], RGBColor(0x1b, 0x23, 0x2c)),
    ("h1", HEAT[1], RGBColor(0x1d, 0x35, 0x4a)),
    ("h2", HEAT[2], RGBColor(0x1f, 0x4f, 0x75)),
    ("h3", HEAT[3], RGBColor(0x2a, 0x72, 0xa6)),
    ("h4", HEAT[4], RGBColor(0x4c, 0x9a, 0xcf)),
    ("h5", HEAT[5], RGBColor(0x8f, 0xc6, 0xea)),
    ("h6", HEAT[6], RGBColor(0xdf, 0xf1, 0xfd)),
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

/// The page's name of a colour, as plotters writes it.
pub(super) fn name_of(hex: &str) -> Option<&'static str> {
    THEME.iter().find(|(_, light, _)| self::hex(*light).eq_ignore_ascii_case(hex)).map(|(name, ..)| *name)
}

/// A colour as HTML writes it.
pub(in super::super) fn hex(color: RGBColor) -> String {
    format!("#{:02x}{:02x}{:02x}", color.0, color.1, color.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, as WCAG 2.2 defines it.
    fn luminance(color: RGBColor) -> f64 {
        let channel = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(color.0) + 0.7152 * channel(color.1) + 0.0722 * channel(color.2)
    }

    /// Contrast of two colours, as WCAG 2.2 defines it.
    fn contrast(a: RGBColor, b: RGBColor) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn themed(name: &str) -> (RGBColor, RGBColor) {
        THEME.iter().find(|(n, ..)| *n == name).map(|(_, light, dark)| (*light, *dark)).unwrap()
    }

    #[test]
    fn text_can_be_read_on_every_ground_it_stands_on() {
        for text in ["ink", "muted", "good", "bad", "open", "limit"] {
            for ground in ["ground", "window"] {
                let ((light, dark), (on_light, on_dark)) = (themed(text), themed(ground));
                assert!(
                    contrast(light, on_light) >= 4.5,
                    "{text} on {ground}: {}",
                    contrast(light, on_light)
                );
                assert!(
                    contrast(dark, on_dark) >= 4.5,
                    "dark {text} on {ground}: {}",
                    contrast(dark, on_dark)
                );
            }
        }
    }

    #[test]
    fn lines_stand_out_from_the_ground() {
        for line in ["rss", "heap", "anonymous", "library", "limit", "older"] {
            let ((light, dark), (on_light, on_dark)) = (themed(line), themed("ground"));
            assert!(contrast(light, on_light) >= 3.0, "{line}: {}", contrast(light, on_light));
            assert!(contrast(dark, on_dark) >= 3.0, "dark {line}: {}", contrast(dark, on_dark));
        }
    }

    #[test]
    fn every_colour_has_one_name() {
        let mut colors: Vec<String> = THEME.iter().map(|(_, light, _)| hex(*light)).collect();
        colors.sort();
        colors.dedup();
        assert_eq!(colors.len(), THEME.len());
        assert_eq!(name_of("#1F2328"), Some("ink"));
        // Each step of the heatmap is darker than the one before it, or lighter on a dark ground.
        let steps: Vec<_> = (0..HEAT.len()).map(|i| themed(&format!("h{i}"))).collect();
        assert!(steps.windows(2).all(|w| luminance(w[0].0) > luminance(w[1].0)));
        assert!(steps.windows(2).all(|w| luminance(w[0].1) < luminance(w[1].1)));
    }
}
