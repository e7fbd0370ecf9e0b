//! The languages on the same work, as bars: how long a cycle takes, and what it leaves behind.

use super::super::{Error, summary, units};
use super::canvas::{Anchor, Canvas, LABEL, NOTE, PANEL, TITLE, picture};
use super::palette::{AXIS, LINES};
use dlsoak_judge::compare::{Language, Work};
use dlsoak_record::UnloadState;

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 14.0;
const TOP: f64 = 62.0;
/// Height of the heading of a group, and of each bar with its gap.
const HEADING: f64 = 48.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
/// Where the two columns of bars begin, and how long the longest bar of each is.
const CYCLE: f64 = 300.0;
const GROWTH: f64 = 680.0;
const LONGEST: f64 = 230.0;

/// Draws the chart.
pub(in super::super) fn draw(work: &[Work], several_runs: bool) -> Result<String, Error> {
    let height: f64 = work.iter().map(|w| HEADING + ROW * w.soaks.len() as f64 + 14.0).sum();
    picture(WIDTH, TOP + height.max(40.0), "Languages on the same work", |canvas| {
        canvas.text("Languages on the same work", (MARGIN, 28.0), Anchor::Start, TITLE)?;
        let note = "each column has its own scale; a library that stays loaded is not reloaded in a cycle";
        canvas.text(note, (MARGIN, 47.0), Anchor::Start, NOTE)?;
        let mut top = TOP;
        for group in work {
            draw_group(canvas, group, top, several_runs)?;
            top += HEADING + ROW * group.soaks.len() as f64 + 14.0;
        }
        Ok(())
    })
}

/// Soaks that did the same work.
fn draw_group(canvas: &Canvas<'_>, group: &Work, top: f64, several_runs: bool) -> Result<(), Error> {
    let calls = if group.calls.is_empty() { "load and unload".to_owned() } else { group.calls.join(", ") };
    canvas.text(&PANEL.fit(&calls, CYCLE - 2.0 * MARGIN), (MARGIN, top + 18.0), Anchor::Start, PANEL)?;
    canvas.text("median cycle", (CYCLE, top + 18.0), Anchor::Start, NOTE)?;
    canvas.text("growth of the heap per cycle", (GROWTH, top + 18.0), Anchor::Start, NOTE)?;
    let time = |soak: &Language| soak.cycle_p50_ns.map(|ns| ns as f64);
    let slowest = group.soaks.iter().filter_map(time).fold(0.0, f64::max);
    let growth = |soak: &Language| soak.heap_per_cycle;
    let most = group.soaks.iter().filter_map(growth).fold(0.0, f64::max);
    for (index, soak) in group.soaks.iter().enumerate() {
        let y = top + HEADING - 14.0 + ROW * index as f64;
        let language = summary::language_word(soak.language);
        let run = if several_runs { format!(" ({})", soak.run) } else { String::new() };
        let pinned = if soak.unload == UnloadState::Unloaded { "" } else { ", stays" };
        let name = LABEL.fit(&format!("{language}: {}{run}{pinned}", soak.name), CYCLE - 2.0 * MARGIN);
        canvas.text(&name, (MARGIN, y + 13.0), Anchor::Start, LABEL)?;
        let color = LINES[soak.language as usize % LINES.len()];
        for (left, value, largest, text) in [
            (CYCLE, time(soak), slowest, time(soak).map(units::nanos)),
            (GROWTH, growth(soak), most, growth(soak).map(units::bytes)),
        ] {
            let share =
                value.map_or(0.0, |value| if largest > 0.0 { (value / largest).max(0.0) } else { 0.0 });
            let end = left + LONGEST * share;
            canvas.fill((left, y), (end.max(left + 1.0), y + BAR), color)?;
            let text = text.unwrap_or_else(|| units::NONE.to_owned());
            canvas.text(&text, (end + 7.0, y + 13.0), Anchor::Start, LABEL)?;
        }
    }
    let bottom = top + HEADING - 14.0 + ROW * group.soaks.len() as f64;
    for left in [CYCLE, GROWTH] {
        canvas.line(&[(left, top + HEADING - 18.0), (left, bottom)], AXIS, 1.0)?;
    }
    Ok(())
}
