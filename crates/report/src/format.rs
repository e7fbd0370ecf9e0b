//! The formats of the files that a record can be rendered to.

use std::thread::Scope;

use dlsoak_record::Run;

use super::{Error, bencher, chart, costs, csv, hgrm, hlog, html, json, junit, markdown, sarif};

/// A format that a record can be rendered to. A new format is one file beside this one, one variant, and one arm
/// below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `record.json`.
    Json,
    /// `report.html`.
    Html,
    /// The charts as SVG.
    Svg,
    /// The charts as PNG.
    Png,
    /// `report.md`.
    Markdown,
    /// `junit.xml`.
    Junit,
    /// `dlsoak.sarif`.
    Sarif,
    /// `bencher.json`.
    Bencher,
    /// `checkpoints.csv`.
    Csv,
    /// A `.hgrm` file for each phase of each soak.
    Hgrm,
    /// `latency.hlog`.
    Hlog,
    /// `costs.md`, `costs.svg` and `costs.png`.
    Costs,
}

impl Format {
    /// What a run leaves in its output directory. The record comes first: it is the one that must not be lost. Pictures of pixels
    /// are drawn when they are asked for, because drawing them takes as long as a thousand cycles of a small library.
    pub const OF_A_RUN: [Format; 3] = [Format::Json, Format::Html, Format::Svg];

    /// What a watch leaves there: its charts are in the page.
    pub const OF_A_WATCH: [Format; 2] = [Format::Json, Format::Html];

    /// Whether it consists of what soaks alone have: cycles, with their checkpoints and latencies.
    pub fn is_of_soaks(self) -> bool {
        matches!(self, Self::Svg | Self::Png | Self::Csv | Self::Hgrm | Self::Hlog | Self::Costs)
    }

    /// The files this format consists of.
    ///
    /// # Errors
    ///
    /// When it can't be rendered; no record of odd data should cause that.
    pub fn render(self, run: &Run) -> Result<Vec<Rendered>, Error> {
        let file = |name: &str, contents| Rendered { name: name.to_owned(), contents };
        Ok(match self {
            Format::Json => vec![file("record.json", json::render(run, json::Lines::Rows)?)],
            Format::Html => vec![file("report.html", html::render(run)?.into_bytes())],
            Format::Markdown => vec![file("report.md", markdown::render(run).into_bytes())],
            Format::Junit => vec![file("junit.xml", junit::render(run)?)],
            Format::Sarif => vec![file("dlsoak.sarif", sarif::render(run)?)],
            Format::Bencher => vec![file("bencher.json", bencher::render(run)?)],
            Format::Csv => vec![file("checkpoints.csv", csv::render(run)?)],
            Format::Hgrm => {
                hgrm::render(run).into_iter().map(|(name, text)| file(&name, text.into_bytes())).collect()
            }
            Format::Hlog => vec![file("latency.hlog", hlog::render(run)?)],
            Format::Costs => {
                let svg = chart::costs(&costs::rows(run))?;
                let png = chart::png(&svg)?;
                vec![
                    file("costs.md", costs::markdown(run).into_bytes()),
                    file("costs.svg", svg.into_bytes()),
                    file("costs.png", png),
                ]
            }
            Format::Svg => vec![
                file("latency.svg", chart::latency(run)?.into_bytes()),
                file("loads.svg", chart::loads(run)?.into_bytes()),
                file("memory.svg", chart::memory(run)?.into_bytes()),
            ],
            Format::Png => std::thread::scope(|scope| {
                // Side by side: pixels are what a report takes its time for.
                let memory = beside(scope, || chart::png(&chart::memory(run)?));
                let latency = chart::png(&chart::latency(run)?)?;
                let loads = chart::png(&chart::loads(run)?)?;
                let files = vec![file("latency.png", latency), file("loads.png", loads)];
                Ok::<_, Error>(files.into_iter().chain([file("memory.png", memory()?)]).collect())
            })?,
        })
    }
}

/// One file of a format, not yet written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Name of the file within the output directory.
    pub name: String,
    /// What is in it.
    pub contents: Vec<u8>,
}

/// Begins to render on a thread of its own; what is returned waits for it. Where no thread can be had, because a library has used up
/// those of the user, it renders then.
fn beside<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    render: impl Fn() -> Result<T, Error> + Copy + Send + 'scope,
) -> impl FnOnce() -> Result<T, Error> + 'scope {
    let thread = std::thread::Builder::new().spawn_scoped(scope, render);
    move || {
        let panicked = |_| Err(Error::Chart("the thread that drew it panicked".to_owned()));
        thread.map_or_else(|_| render(), |thread| thread.join().unwrap_or_else(panicked))
    }
}

/// Renders `formats` side by side, in their order, so that a chart that fails can't cost the record.
pub fn render(run: &Run, formats: &[Format], mut keep: impl FnMut(Result<Vec<Rendered>, Error>)) {
    std::thread::scope(|scope| {
        let begun: Vec<_> = formats.iter().map(|format| beside(scope, move || format.render(run))).collect();
        begun.into_iter().for_each(|rendered| keep(rendered()));
    });
}
