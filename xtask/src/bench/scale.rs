//! Time and memory against size: cycles, threads, mappings of the worker, libraries of a suite; and the law they grow by.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::bare::{Bench, CALL};
use super::chart::{Line, Panel};
use super::process;
use super::table::{exponent, markdown};
use crate::command;

/// Fixtures that are cycled.
pub(super) const LIBRARIES: [&str; 2] = ["c-clean", "go-clean"];

/// One measured size.
#[derive(Debug, Clone, Copy)]
struct Point {
    size: f64,
    seconds: f64,
    /// Most resident memory of the supervisor, of the worker, and what no other process has a part in of the worker's, in MiB.
    supervisor: f64,
    worker: f64,
    record: f64,
}

/// What came of a series of sizes.
#[derive(Debug)]
struct Series {
    what: &'static str,
    along: &'static str,
    points: Vec<Point>,
}

/// One thing that is measured of a size.
type Figure = fn(&Point) -> f64;

/// Everything that is measured of a size, with its name and unit.
const FIGURES: [(&str, Figure); 4] = [
    ("time, s", |point| point.seconds),
    ("supervisor, MiB", |point| point.supervisor),
    ("worker, MiB", |point| point.worker),
    ("record, MiB", |point| point.record),
];

/// Measures all series; each size `rounds` times, of which the quickest counts. The text, the figures, the chart.
pub(super) fn measure(bench: &Bench, rounds: u32) -> Result<(String, Value, Vec<Panel>)> {
    let [c, go] = LIBRARIES.map(|name| bench.subject(name));
    let (c, go) = (c?.path, go?.path);
    let preload = preload(bench)?;
    let preload = preload.to_string_lossy();
    let run = |library: &Path, arguments: &[&str]| {
        let mut command = bench.dlsoak();
        command.arg(library).args(["-c", CALL]).args(arguments);
        best(bench, &mut command, rounds)
    };
    let mut all = Vec::new();
    for (what, library, sizes) in [
        ("cycles of a small C library", &c, &[1_000_u64, 10_000, 100_000, 1_000_000, 10_000_000][..]),
        ("cycles of a Go library, which stays loaded", &go, &[1_000, 10_000, 100_000, 1_000_000, 10_000_000]),
    ] {
        let of = |size: &u64| Ok((*size as f64, run(library, &["-n", &size.to_string()])?));
        all.push(series(what, "cycles", sizes, of)?);
    }
    let of = |size: &u64| Ok((*size as f64, run(&c, &["-n", "20000", "-t", &size.to_string()])?));
    all.push(series("threads, 20,000 cycles in all", "threads", &[1, 2, 4, 8, 16, 32, 64], of)?);
    let of = |size: &u64| {
        let (preload, mappings) = (format!("LD_PRELOAD={preload}"), format!("MAPPINGS={size}"));
        Ok((*size as f64, run(&c, &["-n", "5000", "--env", &preload, "--env", &mappings])?))
    };
    all.push(series("mappings of the worker, 5,000 cycles", "mappings", &[30, 100, 300, 1_000, 3_000], of)?);
    let of = |size: &u64| {
        let mut command = bench.dlsoak();
        command.args(["-c", CALL, "-n", "500"]).args(copies(bench, &c, *size)?);
        Ok((*size as f64, best(bench, &mut command, rounds)?))
    };
    all.push(series("libraries of a suite, 500 cycles each", "libraries", &[1, 10, 50, 200], of)?);
    let panels = all.iter().map(Series::panel).collect();
    let text = all.iter().map(Series::to_markdown).collect::<Vec<_>>().join("\n\n");
    Ok((text, all.iter().map(Series::to_json).collect(), panels))
}

fn series(
    what: &'static str,
    along: &'static str,
    sizes: &[u64],
    of: impl Fn(&u64) -> Result<(f64, Point)>,
) -> Result<Series> {
    let mut points = Vec::new();
    for size in sizes {
        eprintln!("{what}: {size}");
        let (size, point) = of(size).with_context(|| format!("{what}: {size}"))?;
        points.push(Point { size, ..point });
    }
    Ok(Series { what, along, points })
}

/// What takes longer than this is measured once: noise is a small part of it.
const LONG: Duration = Duration::from_secs(60);

/// The quickest of several runs, with the memory of the largest.
fn best(bench: &Bench, command: &mut Command, rounds: u32) -> Result<Point> {
    let out = bench.scratch.path().join("scale");
    command.arg("-o").arg(&out);
    let mut best: Option<Point> = None;
    for _ in 0..rounds.max(1) {
        let ran = process::followed(command)?.context("the release build is gone")?;
        let record = out.join("record.json");
        let length = std::fs::metadata(&record)
            .with_context(|| format!("`{}` left no record: {}", command::spelt(command), ran.stderr.trim()))?
            .len();
        let point = Point {
            size: 0.0,
            seconds: ran.wall.as_secs_f64(),
            supervisor: ran.peak_kb as f64 / 1024.0,
            worker: ran.peak_below_kb as f64 / 1024.0,
            record: length as f64 / f64::from(1 << 20),
        };
        let last = best.unwrap_or(point);
        best = Some(Point {
            seconds: last.seconds.min(point.seconds),
            supervisor: last.supervisor.max(point.supervisor),
            worker: last.worker.max(point.worker),
            ..point
        });
        std::fs::remove_dir_all(&out)?;
        if ran.wall > LONG {
            break;
        }
    }
    best.context("no round was asked for")
}

/// The library that gives the worker its mappings.
fn preload(bench: &Bench) -> Result<std::path::PathBuf> {
    let file = bench.scratch.path().join("libmappings.so");
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-O2", "-Wall", "-shared", "-fPIC", "-o"]).arg(&file).arg(bench.root.join("benches/mappings.c"));
    command::quietly(&mut cc, "install a C compiler (Debian, Ubuntu: apt install gcc)")?;
    Ok(file)
}

/// So many copies of a library, each with a name of its own.
fn copies(bench: &Bench, library: &Path, count: u64) -> Result<Vec<std::path::PathBuf>> {
    let directory = bench.scratch.path().join("suite");
    std::fs::create_dir_all(&directory)?;
    let copy = |number: u64| {
        let file = directory.join(format!("lib{number}.so"));
        std::fs::copy(library, &file)?;
        Ok(file)
    };
    (0..count).map(copy).collect()
}

impl Series {
    /// How a figure grows over the larger half of the sizes, where what is fixed weighs least.
    fn exponent(&self, figure: Figure) -> Option<f64> {
        let from = self.points.len() / 2 - usize::from(self.points.len() > 3);
        let points: Vec<(f64, f64)> =
            self.points.iter().skip(from).map(|point| (point.size, figure(point))).collect();
        exponent(&points)
    }

    fn to_markdown(&self) -> String {
        let mut header = vec![self.what.to_owned()];
        header.extend(FIGURES.map(|(name, _)| name.to_owned()));
        let row = |point: &Point| {
            let figures = FIGURES.iter().map(|(_, figure)| format!("{:.3}", figure(point)));
            std::iter::once(format!("{}", point.size)).chain(figures).collect()
        };
        let mut rows: Vec<Vec<String>> = self.points.iter().map(row).collect();
        let law = |figure| self.exponent(figure).map_or("-".to_owned(), |power| format!("n^{power:.2}"));
        let laws = FIGURES.map(|(_, figure)| law(figure));
        rows.push(std::iter::once("grows as, larger half".to_owned()).chain(laws).collect());
        markdown(&header, &rows)
    }

    fn to_json(&self) -> Value {
        let point = |point: &Point| {
            let figures = FIGURES.map(|(name, figure)| (name.to_owned(), json!(figure(point))));
            let mut all: serde_json::Map<String, Value> = figures.into_iter().collect();
            all.insert("size".to_owned(), json!(point.size));
            Value::Object(all)
        };
        let laws = FIGURES.map(|(name, figure)| (name.to_owned(), json!(self.exponent(figure))));
        json!({
            "what": self.what, "points": self.points.iter().map(point).collect::<Value>(),
            "exponents": laws.into_iter().collect::<serde_json::Map<_, _>>(),
        })
    }

    fn panel(&self) -> Panel {
        let line = |(name, figure): &(&str, Figure)| Line {
            name: format!("{name}, n^{:.2}", self.exponent(*figure).unwrap_or(f64::NAN)),
            points: self.points.iter().map(|point| (point.size, figure(point))).collect(),
        };
        Panel {
            title: self.what.to_owned(),
            along: self.along.to_owned(),
            upwards: "seconds, MiB".to_owned(),
            lines: FIGURES.iter().map(line).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_is_that_of_the_larger_half() {
        let point = |size: f64| Point {
            size,
            // What is fixed hides the growth of small sizes.
            seconds: size.max(100.0),
            supervisor: 5.0,
            worker: size.sqrt(),
            record: 1.0,
        };
        let points = [1.0, 10.0, 100.0, 1_000.0, 10_000.0].map(point).to_vec();
        let series = Series { what: "sizes", along: "n", points };
        assert!((series.exponent(|point| point.worker).unwrap() - 0.5).abs() < 1e-9);
        assert!(series.exponent(|point| point.seconds).unwrap() > 0.6);
        let text = series.to_markdown();
        assert!(text.contains("n^0.00") && text.contains("n^0.50"), "{text}");
        assert_eq!(series.to_json()["points"][4]["size"], 10_000.0);
        assert_eq!(series.panel().lines.len(), 4);
    }
}
