//! What a trace costs: a cycle that is traced against the same cycle in a bare C loop, alone, under heaptrack and under
//! valgrind, all in turns; and whether a trace's memory stays flat over 100,000 cycles.
//!
//! `cargo xtask bench --bench trace`, and with `-- --memory` the memory alone. A library with a function of an integer by
//! `DLSOAK_BENCH_LIBRARY` and `DLSOAK_BENCH_FUNCTION`.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dlsoak::record::{Run, Trace};

const DLSOAK: &str = env!("CARGO_BIN_EXE_dlsoak");
/// Turns of each.
const ROUNDS: usize = 7;
/// Cycles of a turn, and of one under valgrind, where each takes that much longer.
const CYCLES: u64 = 10_000;
const FEW: u64 = 200;

/// One way to make cycles: its name, and nanoseconds per cycle; `None` where it can't be had.
type Peer<'a> = (&'static str, Box<dyn Fn() -> Result<Option<f64>> + 'a>);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--test") {
        return Ok(());
    }
    if !has("--memory") {
        cost()?;
    }
    memory()
}

/// A built fixture.
fn fixture(name: &str) -> PathBuf {
    let root = xtask::fixtures::root();
    xtask::fixtures::directory(&root).join(format!("lib{name}.so"))
}

/// Runs a command in a directory of its own and gives what it wrote on stdout; `None` where there is no such program.
fn output(command: &mut Command) -> Result<Option<Output>> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{command:?}")),
    }
}

/// Nanoseconds per cycle of the bare loop, run by `by`.
fn loop_of(by: &[&str], bare: &Path, library: &Path, function: &str, cycles: u64) -> Result<Option<f64>> {
    let directory = tempfile::tempdir()?;
    let mut words = by.iter().map(std::ffi::OsStr::new).chain([bare.as_os_str()]);
    let mut command = Command::new(words.next().unwrap_or_default());
    command
        .args(words)
        .args([function, &cycles.to_string(), "none"])
        .arg(library)
        .current_dir(directory.path());
    let Some(output) = output(&mut command)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&output.stdout);
    // heaptrack writes lines of its own around it.
    let told = text.lines().find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let Some(nanoseconds) = told.and_then(|told| told["ns"].as_f64()) else {
        bail!("{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    };
    Ok(Some(nanoseconds / cycles as f64))
}

/// The trace of so many cycles, by `watch` over the process that makes it.
fn traced(
    library: &Path,
    function: &str,
    cycles: u64,
    extra: &[&str],
    watch: impl FnOnce(u32),
) -> Result<(Trace, u64)> {
    let directory = tempfile::tempdir()?;
    let mut command = Command::new(DLSOAK);
    command.arg("trace").arg(library).args(["-c", &format!("{function}(20)"), "-n", &cycles.to_string()]);
    command.args(extra).arg("-o").arg(directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    watch(child.id());
    let status = child.wait()?;
    if !matches!(status.code(), Some(0 | 1)) {
        bail!("{command:?}: {status}");
    }
    let text = std::fs::read(directory.path().join("record.json"))?;
    let run: Run = serde_json::from_slice(&text)?;
    let trace = run
        .soaks
        .into_iter()
        .next()
        .and_then(|soak| soak.measured.trace)
        .context("no trace in the record")?;
    Ok((trace, text.len() as u64))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn cost() -> Result<()> {
    let source = xtask::fixtures::root().join("benches/bare-loop.c");
    let built = tempfile::tempdir()?;
    let bare = built.path().join("bare-loop");
    let status = Command::new("cc")
        .args(["-O2", "-Wall", "-pthread", "-o"])
        .arg(&bare)
        .arg(&source)
        .arg("-ldl")
        .status();
    if !status.context("cc, to build the bare loop")?.success() {
        bail!("{} does not compile", source.display());
    }
    let function = std::env::var("DLSOAK_BENCH_FUNCTION").unwrap_or_else(|_| "fibonacci".to_owned());
    let libraries = match std::env::var_os("DLSOAK_BENCH_LIBRARY") {
        Some(library) => vec![PathBuf::from(library)],
        None => vec![fixture("c-clean"), fixture("c-leak-constructor")],
    };
    println!(
        "{ROUNDS} turns of each; the loop's own clock, for `dlsoak trace` the active time of the traced cycles"
    );
    for library in &libraries {
        let alone = |by: &'static [&'static str], cycles| -> Box<dyn Fn() -> Result<Option<f64>> + '_> {
            let (bare, function) = (&bare, &function);
            Box::new(move || loop_of(by, bare, library, function, cycles))
        };
        let peers: [Peer<'_>; 4] = [
            ("bare loop", alone(&["env"], CYCLES)),
            (
                "dlsoak trace",
                Box::new(|| Ok(Some(traced(library, &function, CYCLES, &[], |_| ())?.0.ns_per_cycle))),
            ),
            ("heaptrack", alone(&["heaptrack"], CYCLES)),
            ("valgrind memcheck", alone(&["valgrind", "--leak-check=full"], FEW)),
        ];
        let mut figures = peers.each_ref().map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (figures, (_, peer)) in figures.iter_mut().zip(&peers) {
                figures.extend(peer()?);
            }
        }
        println!("\n{}", library.display());
        println!("  {:<20}{:>14}{:>8}{:>14}{:>8}", "", "median", "ratio", "least", "ratio");
        let base = figures.first().map(|of| (median(of), least(of))).unwrap_or_default();
        for ((name, _), of) in peers.iter().zip(&figures) {
            if of.is_empty() {
                println!("  {name:<20}{:>14}", "not installed");
                continue;
            }
            let (middle, low) = (median(of), least(of));
            println!(
                "  {name:<20}{:>11.2} us{:>8.2}{:>11.2} us{:>8.2}",
                middle / 1e3,
                middle / base.0,
                low / 1e3,
                low / base.1
            );
        }
    }
    Ok(())
}

/// The largest resident size that a process ever had, in kilobytes.
fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// The last child of a process.
fn child(process: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    children.split_whitespace().filter_map(|word| word.parse().ok()).max()
}

/// The largest sizes of a supervisor and of the last worker that it had, which is the child of its keeper.
fn follow(supervisor: u32) -> (u64, u64) {
    let mut last = (0, 0);
    // A process that has ended and is not waited for has no size.
    while let Some(own) = peak(supervisor) {
        last.0 = own;
        last.1 = child(supervisor).and_then(child).and_then(peak).unwrap_or(last.1);
        std::thread::sleep(Duration::from_millis(2));
    }
    last
}

fn memory() -> Result<()> {
    let library = fixture("c-clean");
    println!("\nlargest resident memory of a trace of {}", library.display());
    println!("  {:<26}{:>14}{:>14}{:>14}{:>14}", "", "worker", "supervisor", "notes", "record");
    for (cycles, threads) in [(10_000, "1"), (100_000, "1"), (10_000, "8"), (100_000, "8")] {
        let mut sizes = (0, 0);
        let (trace, record) =
            traced(&library, "fibonacci", cycles, &["-t", threads], |process| sizes = follow(process))?;
        let (own, worker) = sizes;
        println!(
            "  {:<26}{worker:>11} kB{own:>11} kB{:>11} kB{:>11} kB   lost {}",
            format!("{} cycles, {threads} thread(s)", trace.cycles),
            trace.notes_bytes / 1024,
            record / 1024,
            trace.lost
        );
    }
    Ok(())
}
