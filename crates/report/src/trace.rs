//! A trace for people: the table of places with their stacks, folded stacks for other tools, and a flame graph.

use std::collections::BTreeMap;

use super::words::{counted, file_name};
use super::{Error, units, words};
use dlsoak_record::{Metric, PlaceKind, PlaceTrend, Soak, Trace, TraceFrame, TracePlace, Unit};

/// Places that are told unless more is asked for.
const PLACES: usize = 10;
/// Frames of a stack that are told unless more is asked for.
const FRAMES: usize = 12;
/// What differs by less than this part is the same.
const SAME: f64 = 0.01;

/// The table, and what it does not explain.
pub fn render(soak: &Soak, trace: &Trace, all: bool) -> String {
    let mut out = format!(
        "{}: {} cycles traced, {} each\n",
        units::printable(&soak.name),
        units::count(trace.cycles),
        units::nanos(trace.ns_per_cycle)
    );
    let kept: Vec<&TracePlace> =
        trace.places.iter().filter(|place| place.trend != PlaceTrend::Growing).collect();
    let growing: Vec<&TracePlace> = growing(trace).collect();
    if growing.is_empty() {
        out.push_str("nothing grows\n");
    } else {
        out.push_str("what grows, per cycle:\n");
        table(&mut out, &growing, all, |place| {
            (bytes(place, units::number(place.bytes_per_cycle)), units::number(place.count_per_cycle))
        });
    }
    if all && !kept.is_empty() {
        out.push_str("kept, but not growing, totals:\n");
        table(&mut out, &kept, all, |place| {
            (bytes(place, units::bytes(place.bytes as f64)), place.count.to_string())
        });
    } else if !kept.is_empty() {
        out.push_str(&format!(
            "{} more kept something that does not grow (-v lists them)\n",
            counted(kept.len() as u64, "place")
        ));
    }
    for remark in remarks(trace) {
        out.push_str(&remark);
        out.push('\n');
    }
    out
}

/// What is to be said besides the table: what was measured against what was noted, and whether it is all.
pub(super) fn remarks(trace: &Trace) -> Vec<String> {
    let mut remarks = explained(trace);
    if trace.lost > 0 {
        let lost = units::count(trace.lost);
        remarks.push(format!("dlsoak had no room to record {lost} resources. help: trace fewer cycles"));
    }
    remarks.extend(
        trace
            .ended
            .as_ref()
            .map(|ended| format!("the trace ended early: {}", units::printable(&words::early(ended)))),
    );
    remarks
}

/// A figure for bytes, of what has bytes.
pub(super) fn bytes(place: &TracePlace, figure: String) -> String {
    match place.kind {
        PlaceKind::Heap | PlaceKind::Mapping => figure,
        PlaceKind::Fd | PlaceKind::Thread | PlaceKind::Key => units::NONE.to_owned(),
    }
}

fn table(
    out: &mut String,
    rows: &[&TracePlace],
    all: bool,
    figures: impl Fn(&TracePlace) -> (String, String),
) {
    let shown = if all { rows.len() } else { PLACES };
    let mut lines = vec![["bytes", "count", "kind", "phase", "place"].map(str::to_owned)];
    lines.extend(rows.iter().take(shown).map(|place| {
        let (bytes, count) = figures(place);
        [bytes, count, place.kind.to_string(), place.phase.to_string(), title(place)]
    }));
    let width = |column: usize| lines.iter().map(|line| units::columns(&line[column])).max().unwrap_or(0);
    let widths: [usize; 4] = std::array::from_fn(width);
    for (number, [bytes, count, kind, phase, place]) in lines.iter().enumerate() {
        let [b, c, k, p] = widths;
        out.push_str(&format!("  {bytes:>b$}  {count:>c$}  {kind:<k$}  {phase:<p$}  {place}\n"));
        let Some(stack) = number.checked_sub(1).and_then(|row| rows[row].stacks.first()) else { continue };
        let indent = b + c + 8;
        // The innermost frame may be the place itself.
        let frames = if all { stack.frames.len() } else { FRAMES };
        for frame in stack.frames.iter().take(frames) {
            out.push_str(&format!("{:indent$}{}\n", "", units::printable(&line(frame))));
        }
        if stack.frames.len() > frames {
            out.push_str(&format!("{:indent$}... and {} more\n", "", stack.frames.len() - frames));
        }
    }
    if rows.len() > shown {
        out.push_str(&format!("  and {} more (-v)\n", counted((rows.len() - shown) as u64, "place")));
    }
}

fn explained(trace: &Trace) -> Vec<String> {
    let mut out = Vec::new();
    for row in &trace.explained {
        let figure = |value: f64| match row.metric.unit() {
            Unit::Bytes => units::bytes(value),
            Unit::Count => units::number(value),
        };
        let rest = row.measured - row.noted;
        let what = match row.metric {
            // Pages are shared by what lies on them; only what is beyond all places is worth a word.
            Metric::Anon if rest <= row.noted * 0.5 + 64.0 => continue,
            Metric::PageTables if row.measured < 1.0 => continue,
            Metric::Anon => "resident anonymous memory",
            Metric::PageTables => "the kernel's page tables",
            metric => metric.name(),
        };
        let whole = rest.abs() <= row.measured.abs() * SAME;
        let hint = match row.metric {
            _ if whole => String::new(),
            Metric::Anon => format!(
                "; {} come neither from malloc nor from mmap, but for example from a custom allocator, thread stacks, or \
                 pages that are not full",
                figure(rest)
            ),
            Metric::PageTables => "; the kernel needs them for address space that is in use".to_owned(),
            _ if rest < 0.0 => format!("; {} more than grew", figure(-rest)),
            _ => format!("; {} unattributed", figure(rest)),
        };
        out.push(format!(
            "{what} grew by {} per cycle, and the recorded resources add up to {}{hint}",
            figure(row.measured),
            figure(row.noted)
        ));
    }
    out
}

/// A place by its function, file and line.
pub(super) fn title(place: &TracePlace) -> String {
    let frame = TraceFrame {
        function: place.function.clone(),
        file: place.file.clone(),
        line: place.line,
        module: place.module.clone(),
        offset: place.offset,
        // The stack below has it.
        distance: place.stacks.first().and_then(|stack| {
            stack.frames.iter().find(|f| f.offset == place.offset && f.function == place.function)?.distance
        }),
        inlined: false,
    };
    units::printable(&line(&frame))
}

/// A function with where it is, as far as that is known.
pub(super) fn line(frame: &TraceFrame) -> String {
    let module = file_name(&frame.module);
    let name = match (&frame.function, frame.distance) {
        (Some(function), Some(distance)) => format!("{function}+0x{distance:x}"),
        (Some(function), None) => function.clone(),
        (None, _) => return format!("{module}+0x{:x}", frame.offset),
    };
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{name} ({}:{line})", file_name(file)),
        _ => format!("{name} [{module}]"),
    }
}

pub(super) fn growing(trace: &Trace) -> impl Iterator<Item = &TracePlace> {
    trace.places.iter().filter(|place| place.trend == PlaceTrend::Growing)
}

/// Whether anything that grows has bytes; descriptors, threads and keys have none.
fn has_bytes(trace: &Trace) -> bool {
    growing(trace).any(|place| place.bytes_per_cycle > 0.0)
}

/// Stacks as `a;b;c N`, outermost first, N the bytes that stay behind in a thousand cycles; where nothing that grows has
/// bytes, the number of things.
pub fn folded(trace: &Trace) -> String {
    let has_bytes = has_bytes(trace);
    let mut stacks: BTreeMap<String, f64> = BTreeMap::new();
    for place in growing(trace) {
        for stack in &place.stacks {
            let amount = if has_bytes { stack.bytes_per_cycle } else { stack.count_per_cycle };
            let mut names = vec![place.kind.to_string()];
            names.extend(stack.frames.iter().rev().map(|frame| match &frame.function {
                Some(function) => units::printable(function).replace(';', ":"),
                None => format!("{}+0x{:x}", file_name(&frame.module), frame.offset),
            }));
            *stacks.entry(names.join(";")).or_default() += amount * 1_000.0;
        }
    }
    let whole = stacks.into_iter().map(|(names, amount)| (names, amount.round() as u64));
    whole.filter(|(_, amount)| *amount > 0).map(|(names, amount)| format!("{names} {amount}\n")).collect()
}

/// The same as a picture; `None` where nothing grows.
///
/// # Errors
/// When it can't be drawn.
pub fn flame(trace: &Trace, name: &str) -> Result<Option<String>, Error> {
    draw(trace, &format!("{name}: left behind per 1,000 cycles"), WIDTH)
}

/// The frames of that picture alone, for a page: what is inside of an `svg` element, and the `viewBox` that they fill.
///
/// # Errors
/// As [`flame`].
pub(super) fn frames(trace: &Trace) -> Result<Option<(String, String)>, Error> {
    const WIDTH: usize = 900;
    // inferno leaves 10 pixels on each side; frames are placed in percents of what is between.
    const SIDES: usize = 20;
    let Some(svg) = draw(trace, "", WIDTH)? else { return Ok(None) };
    let frames = svg.split_once("<svg id=\"frames\"").and_then(|(_, rest)| rest.split_once('>'));
    let inside = frames.and_then(|(_, rest)| rest.split_once("</svg>")).map(|(inside, _)| inside);
    let inside = inside.ok_or_else(|| Error::Chart("the flame graph has no frames".to_owned()))?;
    let tops = inside.split("<rect ").skip(1).filter_map(|rect| rect.split(" y=\"").nth(1));
    let tops: Vec<usize> = tops.filter_map(|rest| rest.split('"').next()?.parse().ok()).collect();
    let top = tops.iter().min().copied().unwrap_or_default();
    let height = tops.iter().max().copied().unwrap_or_default() + FRAME_HEIGHT - top;
    Ok(Some((inside.to_owned(), format!("0 {top} {} {height}", WIDTH - SIDES))))
}

/// Width of the picture, and height of a frame, in pixels.
const WIDTH: usize = 1200;
const FRAME_HEIGHT: usize = 16;

fn draw(trace: &Trace, title: &str, width: usize) -> Result<Option<String>, Error> {
    use inferno::flamegraph::Palette;
    use inferno::flamegraph::color::BasicPalette;
    let folded = folded(trace);
    if folded.is_empty() {
        return Ok(None);
    }
    let mut options = inferno::flamegraph::Options::default();
    options.title = title.to_owned();
    options.count_name = if has_bytes(trace) { "bytes" } else { "things" }.to_owned();
    options.image_width = Some(width);
    options.frame_height = FRAME_HEIGHT;
    // Dark text can be read on each of its shades, and the same function has the same one each time.
    options.colors = Palette::Basic(BasicPalette::Aqua);
    options.hash = true;
    options.no_javascript = true;
    let mut svg = Vec::new();
    inferno::flamegraph::from_lines(&mut options, folded.lines(), &mut svg)
        .map_err(|e| Error::Chart(e.to_string()))?;
    let svg = String::from_utf8(svg).map_err(|e| Error::Chart(e.to_string()))?;
    Ok(Some(without_scripts(&svg)))
}

/// The picture without what only a script would make use of, so that it may be shown anywhere.
fn without_scripts(svg: &str) -> String {
    const PARTS: [(&str, &str); 7] = [
        (" fg:x=\"", "\""),
        (" fg:w=\"", "\""),
        ("<script", "</script>"),
        (" onload=\"", "\""),
        ("<text id=\"unzoom\"", "</text>"),
        ("<text id=\"search\"", "</text>"),
        ("<text id=\"matched\"", "</text>"),
    ];
    let mut svg = svg.to_owned();
    for (begin, end) in PARTS {
        while let Some(from) = svg.find(begin) {
            let inside = from + begin.len();
            let Some(len) = svg[inside..].find(end) else { break };
            svg.replace_range(from..inside + len + end.len(), "");
        }
    }
    svg
}
