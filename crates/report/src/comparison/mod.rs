//! A comparison of runs for people: a table with what changed, the same as Markdown, and charts.

mod markdown;
mod terminal;
mod words;

use super::{Error, Rendered, chart, units};
use dlsoak_judge::compare::{
    Against, Change, Comparison, GrowthChange, Language, LatencyChange, LatencyOutcome, LibraryChange,
    SoakChange,
};
use dlsoak_record::{Measured, Metric, Phase, Run, Soak};

pub use markdown::render as markdown;
pub use terminal::render;
pub use words::of_merged;

/// Soaks that one latency chart can show.
const IN_ONE_CHART: usize = 8;

/// The charts, the table and the data.
///
/// # Errors
/// When a chart can't be drawn.
pub fn files(comparison: &Comparison, runs: &[(String, Run)]) -> Result<Vec<Rendered>, Error> {
    let file = |name: &str, contents: Vec<u8>| Rendered { name: name.to_owned(), contents };
    let mut files = vec![
        file("compare.json", serde_json::to_vec_pretty(comparison)?),
        file("compare.md", markdown(comparison).into_bytes()),
    ];
    let Some((_, first)) = runs.first() else { return Ok(files) };
    // The charts are of soaks.
    if first.soaks.is_empty() && first.watch.is_some() {
        return Ok(files);
    }
    let labels: Vec<&str> = runs.iter().map(|(label, _)| label.as_str()).collect();
    let mut charts = vec![
        ("memory", chart::overlay(&labels, &overlaid(comparison, runs))?),
        ("latency", chart::latency(&laid_over(comparison, first, runs))?),
    ];
    if !comparison.languages.is_empty() {
        charts.push(("languages", chart::languages(&comparison.languages, runs.len() > 1)?));
    }
    for (name, svg) in charts {
        let png = chart::png(&svg)?;
        files.push(file(&format!("{name}.svg"), svg.into_bytes()));
        files.push(file(&format!("{name}.png"), png));
    }
    Ok(files)
}

/// Each library of the first run with its soaks in all runs that have it, those that changed first.
fn overlaid<'a>(comparison: &'a Comparison, runs: &'a [(String, Run)]) -> Vec<chart::Overlaid<'a>> {
    let Some((_, base)) = runs.first() else { return Vec::new() };
    let mut libraries: Vec<chart::Overlaid<'a>> = base
        .soaks
        .iter()
        .map(|soak| {
            let others = comparison.others.iter().zip(runs.iter().skip(1)).enumerate();
            let matched = others.filter_map(|(index, (against, (_, run)))| {
                let change = against.soaks.iter().find(|change| change.name == soak.name)?;
                let name = change.other_name.as_ref().unwrap_or(&change.name);
                Some((index + 1, run.soaks.iter().find(|other| other.name == *name)?))
            });
            (soak.name.as_str(), std::iter::once((0, soak)).chain(matched).collect::<Vec<_>>())
        })
        .filter(|(_, soaks)| soaks.len() > 1)
        .collect();
    let changed = |name: &str| comparison.others.iter().flat_map(Against::changed).any(|c| c.name == name);
    libraries.sort_by_key(|(name, _)| !changed(name));
    libraries
}

/// One run with the soaks of all runs, named by library and run, so that one chart shows them.
fn laid_over(comparison: &Comparison, first: &Run, runs: &[(String, Run)]) -> Run {
    let soaks: Vec<Soak> = overlaid(comparison, runs)
        .into_iter()
        .take((IN_ONE_CHART / runs.len().max(1)).max(1))
        .flat_map(|(_, soaks)| soaks)
        .map(|(run, soak)| Measured {
            name: format!("{}, {}", soak.name, runs.get(run).map_or("", |(label, _)| label)),
            latency_ns: soak.latency_ns.clone(),
            cycles: soak.cycles.clone(),
            ..Measured::default()
        })
        .map(|measured| Soak { measured, ..Soak::default() })
        .collect();
    Run { soaks, ..first.clone() }
}

/// The cells of one library, as text: name, verdict, growth of the heap, medians of open, call and close, what changed.
fn cells(soak: &SoakChange) -> [String; 7] {
    let (before, after) = soak.verdict;
    let (verdict, heap) = (verdicts(before.name(), after.name()), heap(&soak.growth));
    let name = match &soak.other_name {
        Some(other) => format!("{} / {other}", soak.name),
        None => soak.name.clone(),
    };
    let kinds = kinds(&soak.changes);
    let phase = |wanted: Phase| latency(soak.latency.iter().find(|phase| phase.phase == wanted));
    [
        units::printable(&name),
        verdict,
        heap,
        phase(Phase::Open),
        phase(Phase::Call),
        phase(Phase::Close),
        kinds,
    ]
}

/// The cells of a library of a watched host, as text: name, verdict, growth of the heap, what changed.
fn library(library: &LibraryChange) -> [String; 4] {
    let (before, after) = library.verdict;
    let verdict = verdicts(before.name(), after.name());
    [units::printable(&library.name), verdict, heap(&library.growth), kinds(&library.changes)]
}

fn verdicts(before: &str, after: &str) -> String {
    if before == after { after.to_owned() } else { format!("{before} -> {after}") }
}

/// Growth of the heap, before and after where that changed.
fn heap(growth: &[GrowthChange]) -> String {
    let heap = growth.iter().find(|growth| growth.metric == Metric::Heap);
    heap.map_or_else(
        || units::NONE.to_owned(),
        |growth| match (units::number(growth.base), units::number(growth.other)) {
            (a, b) if a == b || !growth.changed => b,
            (a, b) => format!("{a} -> {b}"),
        },
    )
}

fn kinds(changes: &[Change]) -> String {
    let mut kinds: Vec<&str> = changes.iter().map(words::kind).collect();
    kinds.dedup();
    if kinds.is_empty() { "no change".to_owned() } else { kinds.join(", ") }
}

/// Titles of [`library`].
const WATCHED: [&str; 4] = ["library", "verdict", "heap B/load", "what changed"];

/// The cells of one language that did the same work, as text: language, name, medians of a cycle and a call, growth of heap and
/// resident memory, verdict.
fn language(soak: &Language) -> [String; 7] {
    let nanos = |ns: Option<u64>| ns.map_or_else(|| units::NONE.to_owned(), |ns| units::nanos(ns as f64));
    let rate = |bytes: Option<f64>| bytes.map_or_else(|| units::NONE.to_owned(), units::number);
    [
        super::summary::language_word(soak.language).to_owned(),
        units::printable(&soak.name),
        nanos(soak.cycle_p50_ns),
        nanos(soak.call_p50_ns),
        rate(soak.heap_per_cycle),
        rate(soak.rss_per_cycle),
        soak.verdict.to_string(),
    ]
}

/// The median after, with its change.
fn latency(phase: Option<&LatencyChange>) -> String {
    let Some(phase) = phase else { return units::NONE.to_owned() };
    let change = format!("{:+.0} %", (phase.p50_ratio - 1.0) * 100.0);
    let mark = match phase.outcome {
        LatencyOutcome::Same | LatencyOutcome::SameAsPace => "",
        LatencyOutcome::Slower | LatencyOutcome::Faster => " !",
        LatencyOutcome::TailSlower | LatencyOutcome::TailFaster => " ~",
    };
    format!("{} {change}{mark}", units::nanos(phase.other.p50 as f64))
}

/// Titles of [`cells`].
const TITLES: [&str; 7] =
    ["library", "verdict", "heap B/cycle", "open p50", "call p50", "close p50", "what changed"];

/// The last line of a comparison with one run.
fn closing(against: &Against) -> String {
    let libraries = against.changed_libraries().map(|library| library.name.as_str());
    let changed: Vec<&str> = against.changed().map(|soak| soak.name.as_str()).chain(libraries).collect();
    match (changed.len(), against.soaks.len() + against.libraries.len()) {
        (_, 0) => "the runs have no library in common".to_owned(),
        (0, 1) => "the one library did not change".to_owned(),
        (0, all) => format!("none of {all} libraries changed"),
        (_, all) => format!("changed: {} ({} of {all})", changed.join(", "), changed.len()),
    }
}

/// The lines below a table: what changed in each library, and which libraries are in one run alone.
fn findings(against: &Against) -> Vec<String> {
    let soaks = against.changed().map(|soak| (&soak.name, &soak.changes, "cycle"));
    let libraries = against.changed_libraries().map(|library| (&library.name, &library.changes, "load"));
    let mut lines: Vec<String> = soaks
        .chain(libraries)
        .flat_map(|(name, changes, per)| {
            changes.iter().map(move |change| {
                let sign = match change.worse {
                    Some(true) => "worse",
                    Some(false) => "better",
                    None => "changed",
                };
                format!("{name} ({sign}): {}", words::change(change, per))
            })
        })
        .collect();
    for (names, whose) in [(&against.only_in_base, "the first run"), (&against.only_here, "this run")] {
        if !names.is_empty() {
            lines.push(format!("only in {whose}: {}", names.join(", ")));
        }
    }
    lines
}
