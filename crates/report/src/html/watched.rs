//! A watched host in the page: the host itself, and each library as a section like that of a soak.

use super::super::summary::Mark;
use super::super::{Error, trace, units, watch as told, words};
use super::Detail;
use super::figures::{self, Course, Figure, Table};
use super::said::{Said, line};
use super::section::Section;
use super::traced::{Traced, stacks};
use dlsoak_record::{Growth, Soak, TracePlace, Trend, Watch, WatchedLibrary};

/// A watched host.
pub(super) struct Watched {
    pub(super) mark: &'static str,
    pub(super) command: String,
    /// How long it was watched, and how it ended.
    pub(super) course: String,
    pub(super) remarks: Vec<String>,
    /// What its process grows by.
    pub(super) growth: Option<Table>,
    pub(super) figures: Vec<Figure>,
    /// Each library, with its counts by name.
    pub(super) libraries: Vec<(Section, [(&'static str, String); 4])>,
}

/// Everything of a watch.
pub(super) fn watched(watch: &Watch, detail: Detail) -> Result<Watched, Error> {
    let soaks = watch.soaks();
    let libraries =
        watch.libraries.iter().zip(&soaks).enumerate().map(|(index, (library, soak))| {
            Ok((section(library, soak, index, detail)?, told::counts(library)))
        });
    Ok(Watched {
        mark: Mark::of_watch(watch).class(),
        command: told::command(watch),
        course: told::course(watch),
        remarks: told::remarks(watch),
        growth: (!watch.growth.is_empty()).then(|| growth(&watch.growth)),
        figures: figures::watched(&watch.host_soak(), "host", "step", detail)?,
        libraries: libraries.collect::<Result<_, Error>>()?,
    })
}

fn section(library: &WatchedLibrary, soak: &Soak, index: usize, detail: Detail) -> Result<Section, Error> {
    let mark = Mark::of_watched(library);
    let anchor = format!("library-{}", index + 1);
    let said = |reason: String| -> Said { reason.split("; ").map(line).collect() };
    let mut reasons = told::reasons(library).into_iter().map(said);
    let growth = told::rate(library);
    Ok(Section {
        name: units::printable(library.name()),
        mark: mark.class(),
        symbol: mark.sign(),
        word: super::section::word(mark),
        verdict: library.verdict.name(),
        path: units::printable(&library.path),
        open: detail.all_open || mark != Mark::Pass,
        why: reasons.next().unwrap_or_else(|| vec![line("no reason was recorded")]),
        further: reasons.collect(),
        facts: told::counts(library).into_iter().chain([("growth per load", growth.clone())]).collect(),
        growth,
        course: Course { figures: figures::watched(soak, &anchor, "load", detail)?, lines: Vec::new() },
        traced: (!library.places.is_empty()).then(|| traced(&library.places)),
        anchor,
        ..Section::default()
    })
}

/// Where what grows comes from.
fn traced(places: &[TracePlace]) -> Traced {
    let row = |place: &TracePlace| {
        vec![
            trace::title(place),
            place.kind.to_string(),
            trace::bytes(place, units::number(place.bytes_per_cycle)),
            units::number(place.count_per_cycle),
        ]
    };
    Traced {
        lead: "Each place has code of the library, or of what it brought, on its stack.".to_owned(),
        table: Some(Table {
            caption: "What stays behind, by the function that obtained it".to_owned(),
            head: ["place", "kind", "bytes/load", "count/load"].map(str::to_owned).to_vec(),
            rows: places.iter().map(row).collect(),
        }),
        stacks: places.iter().map(stacks).collect(),
        remarks: Vec::new(),
        flame: None,
    }
}

/// What the process grows by, in each step and in each minute.
fn growth(growth: &[Growth]) -> Table {
    let row = |of: &Growth| {
        let trend = match of.trend {
            Trend::Growing => "grows",
            Trend::Decaying => "fades",
            Trend::Unclear => "undecided",
            Trend::Flat => "does not grow",
        };
        let [step, minute] = told::rates(of);
        vec![words::metric(of.metric).to_owned(), step, minute, trend.to_owned()]
    };
    Table {
        caption: "Growth of the host's process".to_owned(),
        head: ["metric", "per step", "per minute", "trend"].map(str::to_owned).to_vec(),
        rows: growth.iter().map(row).collect(),
    }
}
