//! The chart of loads: how often each library was opened, and how often the loader really loaded it. A library that stays is two lines
//! that part.

use dlsoak_record::{Run, Soak};

use super::super::loads::Loads;
use super::super::{Error, groups};
use super::axis;
use super::canvas::{Anchor, Canvas, Frame, LABEL, NOTE, TITLE, picture};
use super::cover;
use super::labels::{self, GAP, LEADER};
use super::palette::{AXIS, GRID, INK, look};
use super::plot::Plot;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 66.0;
const PLOT: f64 = 240.0;
/// Below the plot: tick labels, and what the axis counts.
const FOOT: f64 = 46.0;
/// A line of text for what has no line in the plot.
const LINE: f64 = 22.0;
const LABEL_MAX: f64 = 330.0;
/// Names beside the plot.
const MOST: usize = 24;

/// Opens and loads of every library: a line of the opens, and one for each library that was loaded less often.
///
/// # Errors
///
/// When plotters refuses to draw, which no data should cause.
pub fn draw(run: &Run) -> Result<String, Error> {
    let known = run.soaks.iter().enumerate().map(|(index, soak)| (index, soak, Loads::of(soak)));
    let (mut parted, mut each, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (index, soak, loads) in known {
        match loads {
            Some(loads) if loads.is_each() => each.push(soak),
            Some(loads) => parted.push((index, soak, loads)),
            None => unknown.push(soak),
        }
    }
    let lines = [("loaded each time", each), ("no data", unknown)];
    let lines = lines.into_iter().filter(|(_, soaks)| !soaks.is_empty());
    let mut lines: Vec<String> = lines.map(|(what, soaks)| groups::named(what, &soaks)).collect();
    if run.soaks.is_empty() {
        lines.push("no data".to_owned());
    }
    let rows = parted.len().min(MOST + 1) + 1;
    let plot = PLOT.max(rows as f64 * GAP + 8.0);
    let panel = if parted.is_empty() { 0.0 } else { plot + FOOT };
    let height = TOP + panel + LINE * lines.len() as f64;
    picture(WIDTH, height, "Opens and loads of each library", |canvas| {
        canvas.text("Opened, and really loaded", (LEFT, 28.0), Anchor::Start, TITLE)?;
        let note = "a library that is loaded less often than it is opened was not unloaded: the open only raised a reference count";
        canvas.text(&NOTE.fit(note, WIDTH - LEFT - RIGHT), (LEFT, 47.0), Anchor::Start, NOTE)?;
        if !parted.is_empty() {
            draw_plot(canvas, &parted, plot)?;
        }
        for (i, line) in lines.iter().enumerate() {
            let at = (LEFT, TOP + panel + LINE * i as f64 + 8.0);
            canvas.text(&LABEL.fit(line, WIDTH - LEFT - RIGHT), at, Anchor::Start, LABEL)?;
        }
        Ok(())
    })
}

/// The line of opens, and those of libraries that were loaded less often.
fn draw_plot(canvas: &Canvas<'_>, parted: &[(usize, &Soak, Loads)], height: f64) -> Result<(), Error> {
    let name = |(_, soak, loads): &(usize, &Soak, Loads)| {
        LABEL.fit(&format!("{}: {}", soak.name, loads.loaded()), LABEL_MAX)
    };
    let room = parted
        .iter()
        .take(MOST)
        .map(|of| LABEL.width(&name(of)))
        .fold(LABEL.width("and 9,999 more"), f64::max);
    let frame = Frame { left: LEFT, right: WIDTH - RIGHT - room - LEADER, top: TOP, bottom: TOP + height };
    let most = parted.iter().flat_map(|(.., loads)| &loads.points).map(|point| point.0).fold(1.0, f64::max);
    let (x, mut y) = (axis::cycles(most, 6), axis::cycles(most, 5));
    // A line along the bottom is not the axis.
    (y.low, y.high) = (-most * 0.03, most * 1.03);
    let plot = Plot { canvas, frame: &frame, x: &x, y: &y };
    for (at, label) in &y.ticks {
        let (_, v) = plot.at((0.0, *at));
        canvas.line(&[(frame.left, v), (frame.right, v)], GRID, 1.0)?;
        canvas.text(label, (frame.left - 8.0, v + 4.5), Anchor::End, NOTE)?;
    }
    canvas.text("opens", (frame.left - 8.0, frame.bottom + 17.0), Anchor::End, NOTE)?;
    for (at, label) in &x.ticks {
        let (h, _) = plot.at((*at, 0.0));
        canvas.line(&[(h, frame.bottom), (h, frame.bottom + 4.0)], AXIS, 1.0)?;
        canvas.text(label, (h, frame.bottom + 17.0), Anchor::Middle, NOTE)?;
    }
    canvas.sides(&frame)?;
    plot.line(&[(0.0, 0.0), (most, most)], INK, 2.0)?;
    let paths: Vec<Vec<(f64, f64)>> =
        parted.iter().map(|(.., loads)| loads.points.iter().map(|point| plot.at(*point)).collect()).collect();
    let leaders = cover::leaders(&paths);
    for (i, path) in paths.iter().enumerate().filter(|(i, _)| leaders[*i] == *i) {
        let (color, shape) = look(parted[i].0);
        canvas.line(path, color, 2.2)?;
        if let Some(middle) = path.get(path.len() / 2) {
            canvas.marker(*middle, shape, 4.0, color)?;
        }
    }
    let opened =
        labels::Name { text: "opened".to_owned(), color: INK, shape: None, end: plot.at((most, most)) };
    let named = parted.iter().zip(&leaders).take(MOST).map(|(of, leader)| {
        let (color, shape) = look(parted[*leader].0);
        let end = paths[*leader].last().copied().unwrap_or_default();
        labels::Name { text: name(of), color, shape: Some(shape), end }
    });
    let names: Vec<labels::Name> = std::iter::once(opened).chain(named).collect();
    let hidden = parted.len().saturating_sub(MOST);
    let lowest = labels::draw(canvas, &frame, &names, if hidden > 0 { GAP } else { 0.0 })?;
    if hidden > 0 {
        let text = format!("and {} more", super::super::units::count(hidden as u64));
        canvas.text(&text, (frame.right + LEADER, lowest + GAP + 4.5), Anchor::Start, NOTE)?;
    }
    Ok(())
}
