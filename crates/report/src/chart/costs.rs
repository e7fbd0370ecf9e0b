//! What a library costs its host, as bars: each copy's memory and threads, and a call from each kind of thread.

use super::super::costs::{Row, call_text};
use super::super::{Error, units};
use super::canvas::{Anchor, Canvas, LABEL, NOTE, TITLE, picture};
use super::palette::{AXIS, INK, LINES};
use dlsoak_record::{CallFrom, Metric};

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 14.0;
const TOP: f64 = 62.0;
/// Height of the titles of the columns, and of each bar with its gap.
const HEADING: f64 = 26.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
/// Most room for the names of the rows; and right of a longest bar for its figure.
const NAMES: f64 = 340.0;
const FIGURE: f64 = 64.0;
/// Between columns.
const GUTTER: f64 = 14.0;

/// A column of bars.
struct Column {
    title: &'static str,
    value: fn(&Row<'_>) -> Option<f64>,
    text: fn(&Row<'_>) -> String,
}

const COLUMNS: [Column; 5] = [
    Column {
        title: "copy: resident",
        value: |row| row.copy(Metric::Rss),
        text: |row| row.copy_text(Metric::Rss),
    },
    Column {
        title: "copy: threads",
        value: |row| row.copy(Metric::Threads),
        text: |row| row.copy_text(Metric::Threads),
    },
    Column {
        title: "call: main",
        value: |row| called(row, CallFrom::Main),
        text: |row| call_text(row, CallFrom::Main),
    },
    Column {
        title: "call: worker",
        value: |row| called(row, CallFrom::Worker),
        text: |row| call_text(row, CallFrom::Worker),
    },
    Column {
        title: "call: short-lived",
        value: |row| called(row, CallFrom::ShortLived),
        text: |row| call_text(row, CallFrom::ShortLived),
    },
];

/// Draws the chart.
pub(in super::super) fn draw(rows: &[Row<'_>]) -> Result<String, Error> {
    let shown: Vec<&Column> =
        COLUMNS.iter().filter(|column| rows.iter().any(|row| (column.value)(row).is_some())).collect();
    let height = TOP + HEADING + ROW * rows.len() as f64 + MARGIN;
    let longest = rows.iter().map(|row| LABEL.width(&row.label())).fold(0.0, f64::max);
    let names = (longest + 2.0 * MARGIN).min(NAMES);
    picture(WIDTH, height.max(TOP + 40.0), "What a library costs its host", |canvas| {
        canvas.text("What it costs its host", (MARGIN, 28.0), Anchor::Start, TITLE)?;
        let note = "what each copy that stays takes, and the median of a call; each column has its own scale";
        canvas.text(note, (MARGIN, 47.0), Anchor::Start, NOTE)?;
        for (index, row) in rows.iter().enumerate() {
            let name = LABEL.fit(&row.label(), names - 2.0 * MARGIN + 1.0);
            canvas.text(&name, (MARGIN, TOP + HEADING + ROW * index as f64 + 13.0), Anchor::Start, LABEL)?;
        }
        let width = (WIDTH - MARGIN - names) / shown.len().max(1) as f64;
        for (index, column) in shown.iter().enumerate() {
            draw_column(canvas, column, rows, names + width * index as f64, width - GUTTER)?;
        }
        Ok(())
    })
}

/// One column of bars, as wide as it may be.
fn draw_column(
    canvas: &Canvas<'_>,
    column: &Column,
    rows: &[Row<'_>],
    left: f64,
    width: f64,
) -> Result<(), Error> {
    canvas.text(&NOTE.fit(column.title, width), (left, TOP + 14.0), Anchor::Start, NOTE)?;
    let most = rows.iter().filter_map(column.value).fold(0.0, f64::max);
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + HEADING + ROW * index as f64;
        let share =
            (column.value)(row).map_or(0.0, |value| if most > 0.0 { (value / most).max(0.0) } else { 0.0 });
        let end = left + (width - FIGURE) * share;
        let text = (column.text)(row);
        if text != units::NONE {
            // A row has its colour in every column.
            let color = LINES.get(index % LINES.len()).copied().unwrap_or(INK);
            canvas.fill((left, y), (end.max(left + 1.0), y + BAR), color)?;
            canvas.text(&text, (end + 6.0, y + 13.0), Anchor::Start, LABEL)?;
        }
    }
    let bottom = TOP + HEADING + ROW * rows.len() as f64;
    canvas.line(&[(left, TOP + HEADING - 4.0), (left, bottom)], AXIS, 1.0)
}

/// The median of a call, in nanoseconds.
fn called(row: &Row<'_>, from: CallFrom) -> Option<f64> {
    row.call(from).map(|ns| ns as f64)
}
