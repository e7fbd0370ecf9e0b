//! The small charts of one library, for a page that is read on a phone as on a desk: one width, text that stays
//! legible when it is scaled, and colours by name, which the page sets for light and for dark.

mod counts;
mod heat;
mod kinds;
mod latency;
mod loads;
mod memory;
mod survivors;

use super::super::Error;
use super::axis::Scale;
use super::canvas::{Anchor, Canvas, Font, Frame, escape, picture};
use super::palette::{self, AXIS, GRID, INK, MUTED};
use super::plot::Plot;
use super::text::Weight;
use dlsoak_record::{OverTime, OverTimeColumn, Soak};

/// Width of every small chart in pixels.
const WIDTH: f64 = 400.0;
const LEFT: f64 = 68.0;
const RIGHT: f64 = 388.0;
const TOP: f64 = 10.0;

const TICK: Font = Font { size: 12.0, weight: Weight::Regular, color: MUTED };
const LABEL: Font = Font { size: 12.0, weight: Weight::Regular, color: INK };

/// A chart and what its marks mean.
pub(in super::super) struct Drawing {
    /// The SVG, with classes for colours.
    pub(in super::super) svg: String,
    /// The key, in the order of the marks.
    pub(in super::super) key: Vec<Key>,
}

/// One line of a key.
pub(in super::super) struct Key {
    /// The mark: told from the others by shape as well as by colour.
    pub(in super::super) mark: &'static str,
    /// Name of its colour in the page.
    pub(in super::super) color: &'static str,
    /// What it stands for.
    pub(in super::super) text: String,
}

/// What a chart is called: `id` is unique in the page, `title` and `description` are what a screen reader says.
pub(in super::super) struct Name<'n> {
    pub(in super::super) id: &'n str,
    pub(in super::super) title: &'n str,
    pub(in super::super) description: &'n str,
    /// What its x axis counts: a cycle, a load, a step.
    pub(in super::super) per: &'static str,
}

/// A small chart; `None` where the soak has nothing for it.
pub(in super::super) type Chart = fn(&Soak, usize, &Name<'_>) -> Result<Option<Drawing>, Error>;

/// Memory gained, with fitted lines, their bands, the warm-up and the gate's line. The number is how many points of a
/// series are drawn at most.
pub(in super::super) const MEMORY: Chart = memory::draw;
/// What grew, by kind of mapping.
pub(in super::super) const KINDS: Chart = kinds::draw;
/// What is left of what cycles allocated, by their age.
pub(in super::super) const SURVIVORS: Chart = survivors::draw;
/// Latency by percentile, a line per phase.
pub(in super::super) const LATENCY: Chart = latency::draw;
/// Latency over the cycles, as a heatmap.
pub(in super::super) const HEAT: Chart = heat::draw;
/// Opens, and real loads.
pub(in super::super) const LOADS: Chart = loads::draw;
/// Mappings, threads and descriptors over the cycles.
pub(in super::super) const COUNTS: Chart = counts::draw;

/// Draws a chart of this height and makes it fit for a page.
fn sheet(
    name: &Name<'_>,
    height: f64,
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), Error>,
) -> Result<String, Error> {
    Ok(themed(&picture(WIDTH, height, "", draw)?, name, height))
}

/// Ticks, grid and the two sides. `what` names the x axis.
fn axes(plot: &Plot<'_, '_>, what: &str) -> Result<(), Error> {
    let Plot { canvas, frame, .. } = *plot;
    for (at, label) in &plot.y.ticks {
        let (_, v) = plot.at((plot.x.low, *at));
        canvas.line(&[(frame.left, v), (frame.right, v)], if *at == 0.0 { AXIS } else { GRID }, 1.0)?;
        canvas.text(label, (frame.left - 6.0, v + 4.0), Anchor::End, TICK)?;
    }
    cycles(canvas, frame, plot.x, what)?;
    canvas.sides(frame)
}

/// The ticks of the x axis.
fn cycles(canvas: &Canvas<'_>, frame: &Frame, x: &Scale, what: &str) -> Result<(), Error> {
    let baseline = frame.bottom + 16.0;
    canvas.text(what, (frame.left - 12.0, baseline), Anchor::End, TICK)?;
    for (at, label) in &x.ticks {
        let h = frame.across(x.share(*at));
        canvas.line(&[(h, frame.bottom), (h, frame.bottom + 4.0)], AXIS, 1.0)?;
        let middle = h.min(WIDTH - 3.0 - TICK.width(label) / 2.0);
        canvas.text(label, (middle, baseline), Anchor::Middle, TICK)?;
    }
    Ok(())
}

/// The columns of a series by name, each with its cycle; rows that are cut short are left out.
fn column(series: &OverTime, column: OverTimeColumn) -> Vec<(f64, f64)> {
    let (Some(x), Some(y)) = (series.position(OverTimeColumn::Cycle), series.position(column)) else {
        return Vec::new();
    };
    series.rows.iter().filter_map(|row| Some((*row.get(x)? as f64, *row.get(y)? as f64))).collect()
}

/// The picture for a page: its size is the page's affair, its colours have names, and its font is the page's.
fn themed(svg: &str, name: &Name<'_>, height: f64) -> String {
    let body = svg.split_once("</title>").map_or("", |(_, body)| body);
    let id = escape(name.id).replace('"', "");
    let mut out = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
        WIDTH * 2.0,
        height * 2.0,
        escape(name.title),
        escape(name.description)
    );
    let plain = body
        .replace(" opacity=\"1\"", "")
        .replace(" stroke=\"none\" stroke-width=\"1\"", "")
        .replace(" stroke=\"none\"", "")
        .replace(&format!(" font-family=\"{}\"", super::text::FAMILY), "")
        .replace("26.000000000000004", "26")
        .replace(" \"/>", "\"/>")
        .replace('\n', "");
    let mut rest = plain.as_str();
    while let Some(at) = rest.find("=\"#") {
        let (before, after) = rest.split_at(at);
        let hex = after.get(2..9).unwrap_or_default();
        let end = after.get(10..).unwrap_or_default();
        let known = palette::name_of(hex);
        let (kept, class) = match (before.strip_suffix("fill"), before.strip_suffix("stroke")) {
            (Some(kept), _) => (kept, "f"),
            (_, Some(kept)) => (kept, "s"),
            _ => (before, ""),
        };
        match known.filter(|_| !class.is_empty()) {
            Some(color) => out.push_str(&format!("{kept}class=\"{class}-{color}\"")),
            None => out.push_str(&format!("{before}{}", after.get(..10).unwrap_or_default())),
        }
        rest = end;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::{Cohorts, sample};

    const ALL: [Chart; 7] = [MEMORY, KINDS, SURVIVORS, LATENCY, HEAT, LOADS, COUNTS];

    fn name() -> Name<'static> {
        Name { id: "a\"b", title: "<t>", description: "d & e", per: "cycle" }
    }

    #[test]
    fn every_colour_of_a_small_chart_has_a_name() {
        for mut soak in sample::run(8).soaks {
            soak.cohorts = Some(sample::cohorts());
            for chart in ALL {
                let drawing = chart(&soak, 60, &name()).unwrap().unwrap();
                let document = resvg::usvg::roxmltree::Document::parse(&drawing.svg);
                assert!(document.is_err() || !drawing.svg.contains("\"#"), "{}", drawing.svg);
                assert!(!drawing.svg.contains("\"#"), "{}", drawing.svg);
                assert!(drawing.svg.contains("<title id=\"ab-t\">&lt;t&gt;</title>"));
                assert!(!drawing.key.is_empty());
            }
        }
    }

    #[test]
    fn a_soak_without_figures_has_no_charts_and_odd_ones_do_no_harm() {
        for chart in ALL {
            assert!(chart(&sample::load_failed(), 60, &name()).unwrap().is_none());
            assert!(chart(&Soak::default(), 60, &name()).unwrap().is_none());
            let mut odd = sample::run(1).soaks.remove(0);
            odd.checkpoints.rows.truncate(2);
            odd.checkpoints.rows[1] = vec![i64::MAX; odd.checkpoints.columns.len()];
            let odd_cohorts = Cohorts { cycles: u64::MAX, ..sample::cohorts() };
            odd.cohorts = Some(odd_cohorts);
            let measured = &mut odd.measured;
            let series = [&mut measured.latency_over_time, &mut measured.resident_by_kind];
            for series in series.into_iter().flatten() {
                series.rows.truncate(2);
                series.rows[1] = vec![i64::MIN; 3];
            }
            for growth in &mut odd.judged.growth {
                (growth.low, growth.high) = (f64::NEG_INFINITY, f64::NAN);
            }
            chart(&odd, 60, &name()).unwrap();
        }
    }
}
