//! Who left what behind, in the page: a table of places, their stacks, a flame graph, and what no note explains.

use super::super::words;
use super::super::{Error, trace, units};
use super::Detail;
use super::figures::Table;
use dlsoak_record::{Code, PlaceTrend, Soak, Trace, TracePlace};

/// Places whose stacks are shown.
const STACKED: usize = 20;

/// The part of a section that tells of a trace.
pub(super) struct Traced {
    /// How much was traced.
    pub(super) lead: String,
    pub(super) table: Option<Table>,
    /// Of each place that grows, its name and its stacks.
    pub(super) stacks: Vec<(String, Vec<String>)>,
    pub(super) remarks: Vec<String>,
    pub(super) flame: Option<Flame>,
}

/// A flame graph in the page.
pub(super) struct Flame {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) says: String,
    pub(super) view: String,
    pub(super) frames: String,
}

/// What a soak's trace tells, where it has one.
///
/// # Errors
/// When the flame graph can't be drawn.
pub(super) fn traced(soak: &Soak, anchor: &str, detail: Detail) -> Result<Option<Traced>, Error> {
    let Some(told) = &soak.trace else { return Ok(None) };
    let growing = trace::growing(told).count();
    let grows = match growing {
        0 => "nothing grows".to_owned(),
        1 => "1 place leaves something behind in each cycle, or in some".to_owned(),
        _ => format!("{growing} places leave something behind in each cycle, or in some"),
    };
    let each = units::nanos(told.ns_per_cycle);
    Ok(Some(Traced {
        lead: format!("{} cycles were traced, {each} each: {grows}.", units::count(told.cycles)),
        table: (!told.places.is_empty()).then(|| table(told, detail.rows)),
        stacks: trace::growing(told).take(STACKED).map(stacks).collect(),
        remarks: trace::remarks(told),
        flame: flame(soak, told, anchor)?,
    }))
}

fn table(told: &Trace, most: usize) -> Table {
    let row = |place: &TracePlace| {
        let grows = place.trend == PlaceTrend::Growing;
        vec![
            trace::title(place),
            place.kind.to_string(),
            place.phase.to_string(),
            trace::bytes(place, units::number(place.bytes_per_cycle)),
            units::number(place.count_per_cycle),
            if grows { "grows" } else { "kept, does not grow" }.to_owned(),
            trace::bytes(place, units::bytes(place.bytes as f64)),
            units::number(place.count as f64),
        ]
    };
    let (shown, all) = (told.places.len().min(most), told.places.len());
    let caption = "What stays behind, by the function that obtained it";
    Table {
        caption: if shown == all {
            caption.to_owned()
        } else {
            format!("{caption}: {shown} of {all}; all are in record.json")
        },
        head: [
            "place",
            "kind",
            "phase",
            "bytes/cycle",
            "count/cycle",
            "trend",
            "bytes in all",
            "count in all",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: told.places.iter().take(shown).map(row).collect(),
    }
}

/// The name of a place, and each way to it, innermost function first.
pub(super) fn stacks(place: &TracePlace) -> (String, Vec<String>) {
    let stack = |stack: &dlsoak_record::TraceStack| {
        let frames = stack.frames.iter().map(|frame| units::printable(&trace::line(frame)));
        frames.collect::<Vec<_>>().join("\n")
    };
    (trace::title(place), place.stacks.iter().map(stack).collect())
}

fn flame(soak: &Soak, told: &Trace, anchor: &str) -> Result<Option<Flame>, Error> {
    let Some((frames, view)) = trace::frames(told)? else { return Ok(None) };
    let leaker = soak.judged.findings.iter().find(|finding| finding.code == Code::Leaker);
    let leaker = leaker.map(|finding| words::finding(finding).fact).unwrap_or_default();
    Ok(Some(Flame {
        id: format!("{anchor}-flame"),
        title: format!("Stacks of what stays behind: {}", units::printable(&soak.name)),
        says: format!(
            "A flame graph: each bar is a function. Its width is what it and the functions that it calls leave behind. These \
             are above it. {}; the table and the stacks give the figures.",
            units::printable(&leaker)
        ),
        view,
        frames,
    }))
}
