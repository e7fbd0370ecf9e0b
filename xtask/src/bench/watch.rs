//! What `dlsoak watch` costs the host: the time of a load in a C program that does nothing else, and the CPU of a Python program that
//! allocates much. Both say themselves what they took, so that neither the start nor what dlsoak does beside the host counts. The C program
//! alone has as many mappings as watched.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::bare::{self, Bench, Build};
use super::process;
use super::table::{ends, markdown, median};
use crate::command;

/// The library that both hosts load.
pub(super) const LIBRARY: &str = "c-clean";

/// Loads of the C host in a turn, and steps of the Python host.
const LOADS: u64 = 100_000;
const STEPS: &str = "20";

/// Ways to note the heap, and the most that each may take: per load of the C host, and of the CPU of the Python host.
const HEAPS: [(&str, Option<f64>, Option<f64>); 3] =
    [("off", Some(1.05), None), ("groups", None, Some(1.2)), ("all", None, Some(2.1))];

/// A turn of a host, watched with its heap noted in this way or, to compare with that, alone: what it took.
type Host<'a> = &'a dyn Fn(usize, bool) -> Result<f64>;

/// Measures all in turns: the table, the figures, and whether each limit is met.
pub(super) fn measure(bench: &Bench, rounds: u32) -> Result<(String, Value, bool)> {
    let library = &bench.subject(LIBRARY)?.path;
    let mut padding = [0; HEAPS.len()];
    for ((heap, ..), padding) in HEAPS.into_iter().zip(&mut padding) {
        *padding = self::padding(bench, library, heap)?;
    }
    let hosts: [(&str, Host<'_>); 2] = [
        ("C, time of a load", &|heap, is_watched| {
            let (heap, padding) = if is_watched { (Some(HEAPS[heap].0), 0) } else { (None, padding[heap]) };
            Ok(1e9 / in_c(bench, library, heap, LOADS, padding)?.rate)
        }),
        ("Python, CPU", &|heap, is_watched| in_python(bench, library, is_watched.then_some(HEAPS[heap].0))),
    ];
    let header = ["host", "--heap", "times the host alone", "limit", ""].map(str::to_owned);
    let (mut rows, mut figures, mut good) = (Vec::new(), Vec::new(), true);
    for (place, (name, host)) in hosts.into_iter().enumerate() {
        let mut alone = HEAPS.map(|_| Vec::new());
        let mut ratios = HEAPS.map(|_| Vec::new());
        for round in 1..=rounds {
            eprintln!("{name}, round {round} of {rounds}");
            for (heap, (alone, ratios)) in alone.iter_mut().zip(&mut ratios).enumerate() {
                let by_itself = host(heap, false)?;
                alone.push(by_itself);
                ratios.push(host(heap, true)? / by_itself);
            }
        }
        for (((heap, per_load, cpu), ratios), alone) in HEAPS.into_iter().zip(&ratios).zip(&alone) {
            let limit = [per_load, cpu][place];
            let (measured, (least, most)) = (median(ratios), ends(ratios));
            let met = limit.is_none_or(|limit| measured <= limit);
            good &= met;
            rows.push(vec![
                name.to_owned(),
                heap.to_owned(),
                format!("{measured:.2} ({least:.2} to {most:.2})"),
                limit.map_or("-".to_owned(), |limit| format!("at most {limit}")),
                if limit.is_none() {
                    ""
                } else if met {
                    "met"
                } else {
                    "missed"
                }
                .to_owned(),
            ]);
            figures.push(json!({
                "host": name, "heap": heap, "ratios": ratios, "alone": alone, "limit": limit, "met": met,
            }));
        }
    }
    Ok((markdown(&header, &rows), Value::Array(figures), good))
}

/// A command, or the same watched.
fn watched(bench: &Bench, heap: Option<&str>, host: &Command) -> Command {
    let mut command = match heap {
        None => Command::new(host.get_program()),
        Some(heap) => {
            let mut command = Command::new(&bench.dlsoak);
            command.args(["watch", "-q", "--force", "--heap", heap, "--every", "100ms", "-o"]);
            command.arg(bench.scratch.path().join("watch")).arg("--").arg(host.get_program());
            command
        }
    };
    command.args(host.get_args()).current_dir(bench.scratch.path()).env_remove("GLIBC_TUNABLES");
    command
}

/// What the C host says of itself after this many loads. `padding` gives it mappings.
fn in_c(bench: &Bench, library: &Path, heap: Option<&str>, loads: u64, padding: u64) -> Result<bare::Told> {
    let host = bench.command(Build::Plain, &[], library, loads, "none", 1)?;
    let mut command = watched(bench, heap, &host);
    command.env(bare::PADDING, padding.to_string());
    let ran = process::run(&mut command)?.context("the host is gone")?;
    bare::told(&ran).with_context(|| command::spelt(&command))
}

/// What gives the C host as many mappings alone as it has while it is watched: where the kernel has to split a node of its tree of them, a
/// load takes up to 9 % longer, which happens to a host of 30 mappings and not to one of 20 (empty libraries preloaded, medians of nine).
fn padding(bench: &Bench, library: &Path, heap: &str) -> Result<u64> {
    let wanted = in_c(bench, library, Some(heap), bare::FEW, 0)?.mappings as usize;
    let (padding, mappings) = bench.padding_to(library, 1, wanted)?;
    if mappings.padded < wanted {
        bail!("the host has {wanted} mappings while it is watched, and can't be given as many alone");
    }
    Ok(padding)
}

/// Seconds of CPU.
fn in_python(bench: &Bench, library: &Path, heap: Option<&str>) -> Result<f64> {
    let mut host = Command::new("/usr/bin/python3");
    host.arg(bench.root.join("benches/watched.py")).arg(library).arg(STEPS);
    let mut command = watched(bench, heap, &host);
    // Python's own allocator would hide most of what it allocates.
    command.env("PYTHONMALLOC", "malloc");
    let ran = process::run(&mut command)?
        .context("there is no /usr/bin/python3 (Debian, Ubuntu: apt install python3)")?;
    let line = ran.stdout.lines().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let seconds = line.as_ref().and_then(|line| line["cpu_seconds"].as_f64());
    seconds.with_context(|| format!("{} said no CPU time: {}", command::spelt(&command), ran.stderr.trim()))
}
