//! Charts of what was measured: lines over a size, both axes logarithmic, so that a power law is a straight line.

use std::fmt::Write as _;

/// Pixels of a panel, and of the space around its plot: for the title and the axis; for the names of the lines.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 340.0;
const AROUND: (f64, f64) = (58.0, 40.0);

/// As told apart also by those who see fewer colours (Okabe and Ito, 2008).
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"];

/// One line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Line {
    /// What it is.
    pub(super) name: String,
    /// Size and what was measured there; those that are not above 0 have no place.
    pub(super) points: Vec<(f64, f64)>,
}

/// One panel with its axes.
#[derive(Debug, Default)]
pub(super) struct Panel {
    /// What it shows.
    pub(super) title: String,
    /// What is along, and with which unit.
    pub(super) along: String,
    /// What is upwards, and with which unit.
    pub(super) upwards: String,
    /// The lines.
    pub(super) lines: Vec<Line>,
}

/// The panels below each other, as SVG.
pub(super) fn svg(panels: &[Panel]) -> String {
    let most = panels.iter().map(|panel| panel.lines.len()).max().unwrap_or(0) as f64;
    let each = HEIGHT.max(60.0 + most * 16.0);
    let (width, height) = (WIDTH + 380.0, each * panels.len() as f64);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        let _ = writeln!(text, "<g transform=\"translate(0 {})\">", each * index as f64);
        panel.draw(&mut text);
        text += "</g>\n";
    }
    text + "</svg>\n"
}

/// From a value to pixels, along powers of ten.
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| *value > 0.0).map(f64::log10) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // Whole decades make ticks of few digits; a value at one needs no further one.
        let low = (low + 1e-9).floor();
        Self { low, high: (high - 1e-9).ceil().max(low + 1.0), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value.log10() - self.low) / (self.high - self.low);
        self.from + part * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|power| 10_f64.powi(power))
    }
}

impl Panel {
    fn draw(&self, text: &mut String) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Scale::new(points().map(|point| point.0), AROUND.0, WIDTH);
        let y = Scale::new(points().map(|point| point.1), HEIGHT - AROUND.1, 34.0);
        let _ = writeln!(text, "<text x=\"8\" y=\"18\" font-size=\"14\">{}</text>", escaped(&self.title));
        for tick in x.ticks() {
            let at = x.place(tick);
            let _ = writeln!(
                text,
                "<path d=\"M{at:.1} {:.1}V{:.1}\" stroke=\"#ddd\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                y.from,
                y.to,
                y.from + 14.0,
                power(tick)
            );
        }
        for tick in y.ticks() {
            let at = y.place(tick);
            let _ = writeln!(
                text,
                "<path d=\"M{:.1} {at:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                x.from,
                x.to,
                x.from - 5.0,
                at + 4.0,
                power(tick)
            );
        }
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}; upwards: {}</text>",
            f64::midpoint(x.from, x.to),
            y.from + 30.0,
            escaped(&self.along),
            escaped(&self.upwards)
        );
        for (index, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            // A second round of colours is dashed.
            let dashes = if index < COLOURS.len() { "" } else { " stroke-dasharray=\"4 3\"" };
            let at: Vec<(f64, f64)> = (line.points.iter())
                .filter(|(size, value)| *size > 0.0 && *value > 0.0)
                .map(|(size, value)| (x.place(*size), y.place(*value)))
                .collect();
            let path: Vec<String> = at.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                text,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"{dashes}/>",
                path.join(" ")
            );
            for (x, y) in at {
                let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>");
            }
            let row = 40.0 + index as f64 * 16.0;
            let _ = writeln!(
                text,
                "<path d=\"M{} {row}h18\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/><text x=\"{}\" y=\"{}\">{}</text>",
                WIDTH + 14.0,
                WIDTH + 38.0,
                row + 4.0,
                escaped(&line.name)
            );
        }
    }
}

/// A power of ten in few characters.
fn power(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{}M", v / 1e6),
        v if v >= 1e3 => format!("{}k", v / 1e3),
        v => format!("{v}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_is_straight() {
        let scale = Scale::new([1.0, 10.0, 100.0].into_iter(), 0.0, 300.0);
        let [a, b, c] = [1.0, 10.0, 100.0].map(|value| scale.place(value));
        assert!((b - a - (c - b)).abs() < 1e-9 && c > a);
        assert!(scale.ticks().count() >= 3);
    }

    #[test]
    fn a_panel_has_its_lines_and_no_markup_of_names() {
        let line = Line { name: "a < b & c".to_owned(), points: vec![(1.0, 2.0), (10.0, 20.0), (0.0, 1.0)] };
        let text = svg(&[Panel { title: "t".to_owned(), lines: vec![line], ..Panel::default() }]);
        assert!(text.contains("a &lt; b &amp; c") && text.matches("<circle").count() == 2, "{text}");
        assert!(!text.contains("NaN") && !text.contains("inf"));
        // One without any point is empty, and no division by zero.
        assert!(!svg(&[Panel::default()]).contains("NaN"));
    }
}
