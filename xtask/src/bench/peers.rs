//! Cycles per second of the bare loop, of dlsoak, and of what else finds leaks, all in turns: the same library, the same call,
//! the same number of threads.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::bare::{Bench, Build, FUNCTION, Subject, told};
use super::process;
use super::table::Rates;
use super::{psleak, soak};

/// Those that can be asked for, by the names they are asked for.
pub(super) const NAMES: [&str; 9] =
    ["bare", "run", "trace", "heaptrack", "valgrind", "lsan", "shell", "psleak", "clocks"];

/// How often the shell loop looks, in seconds: often enough to see a leak in the short time that it has.
pub(super) const SHELL_PAUSE: &str = "0.05";

/// The shell loop: runs what it is given and reads its `/proc/PID/status` until it ends. What it sees goes to stderr.
pub(super) const SHELL: &str = "\"$@\" & pid=$!; while kill -0 $pid 2>/dev/null; do \
     grep VmRSS: /proc/$pid/status >&2; sleep \"$PAUSE\"; done; wait $pid";

/// Fewer cycles than psleak makes where it measures memory, and not only threads and descriptors.
const PSLEAK_CYCLES: f64 = 100.0;

/// What a peer is held against.
pub(super) const BARE: &str = "bare loop";
const BARE_UNCACHED: &str = "bare loop, thread cache off";
const BARE_MEDIAN: &str = "bare loop, by its median cycle";
/// dlsoak's cycles, which are to be as many as the bare loop's.
pub(super) const RUN: &str = "dlsoak run, while cycling";
/// The same in a way that does not depend on what else the machine does.
pub(super) const RUN_MEDIAN: &str = "dlsoak run, by its median cycle";
/// The cycles of `dlsoak trace` that it traces.
pub(super) const TRACE: &str = "dlsoak trace";

/// One turn of a peer.
pub(super) enum Turn {
    /// Rows with their cycles per second, each with the row that it is held against.
    Rates(Vec<(&'static str, &'static str, f64)>),
    /// Why it has none; it gets no other turn.
    None(&'static str, String),
}

/// All turns of all peers that are asked for.
pub(super) fn measure(
    bench: &Bench,
    only: &[String],
    libraries: &[String],
    threads: &[u32],
    rounds: u32,
) -> Result<Rates> {
    let mut rates = Rates::default();
    for library in libraries {
        let subject = bench.subject(library)?;
        for &threads in threads {
            let mut taking_part: Vec<&str> = NAMES.into_iter().filter(|name| wants(only, name)).collect();
            for round in 1..=rounds {
                eprintln!("{library}, {threads} thread(s), round {round} of {rounds}");
                taking_part.retain(|name| {
                    // A peer that fails says so in the table, and the others go on.
                    let taken = turn(bench, name, &subject, threads)
                        .unwrap_or_else(|error| Turn::None(title(name), format!("{error:#}")));
                    match taken {
                        Turn::Rates(rows) => {
                            for (row, against, rate) in rows {
                                rates.cell(library, threads, row, against).rates.push(rate);
                            }
                            true
                        }
                        Turn::None(row, why) => {
                            rates.cell(library, threads, row, BARE).remark = Some(why);
                            false
                        }
                    }
                });
                // Each begins once: what follows a slow one finds another machine than what follows a quick one.
                let first = taking_part.len().min(1);
                taking_part.rotate_left(first);
            }
        }
    }
    Ok(rates)
}

/// Whether a peer is asked for; the clocks are no peer, and are only there where they are named.
pub(super) fn wants(only: &[String], name: &str) -> bool {
    if only.is_empty() { name != "clocks" } else { only.iter().any(|wanted| wanted == name) }
}

/// The name of a row that stands for the whole peer.
pub(super) fn title(name: &str) -> &'static str {
    match name {
        "run" => "dlsoak run",
        "trace" => TRACE,
        "heaptrack" => "heaptrack",
        "valgrind" => "valgrind memcheck",
        "lsan" => "LeakSanitizer",
        "shell" => "shell loop over /proc/PID/status",
        "psleak" => "psleak",
        "clocks" => "bare loop, 4 clock reads",
        _ => BARE,
    }
}

/// One that is not there, with how to get it.
pub(super) fn missing(name: &str) -> String {
    let install = match name {
        "heaptrack" => "Debian, Ubuntu: apt install heaptrack",
        "valgrind" => "Debian, Ubuntu: apt install valgrind",
        "lsan" => "Debian, Ubuntu: apt install gcc, which has liblsan",
        "psleak" => "python3 with venv and pip, and a network to fetch it",
        _ => "it is part of any system",
    };
    format!("not installed: {install}")
}

fn turn(bench: &Bench, name: &str, subject: &Subject, threads: u32) -> Result<Turn> {
    let alone = |build, clock, cache| {
        Ok::<_, anyhow::Error>(bench.alone(build, subject, threads, clock, cache)?.rate)
    };
    Ok(match name {
        "bare" => {
            let mut rows = vec![
                (BARE, BARE, alone(Build::Plain, "none", true)?),
                (BARE_UNCACHED, BARE, alone(Build::Plain, "none", false)?),
            ];
            if threads == 1 {
                let median = bench.alone(Build::Plain, subject, threads, "each", true)?.median_ns;
                rows.push((BARE_MEDIAN, BARE, 1e9 / median));
            }
            Turn::Rates(rows)
        }
        "clocks" => Turn::Rates(clocks(&alone)?),
        "run" => {
            let (n, t) = (subject.cycles.to_string(), threads.to_string());
            let soaked = soak::soak(bench, "run", &subject.path, &["-n", &n, "-t", &t], false)?;
            let mut rows =
                vec![(RUN, BARE, soaked.rate()?), ("dlsoak run, whole process", BARE, soaked.wall_rate()?)];
            if threads == 1 {
                // With several threads, the latencies also contain the time that a thread waited for a processor.
                rows.push((RUN_MEDIAN, BARE_MEDIAN, 1e9 / soaked.median_ns()?));
            }
            Turn::Rates(rows)
        }
        "trace" => {
            let (n, t) = (subject.cycles.to_string(), threads.to_string());
            let traced = soak::soak(bench, "trace", &subject.path, &["-n", &n, "-t", &t], false)?;
            Turn::Rates(vec![(title(name), BARE_UNCACHED, traced.traced_rate()?)])
        }
        "psleak" => python(bench, subject, threads)?,
        _ => by_another(bench, name, subject, threads)?,
    })
}

/// The loop with a clock read after each phase: what timing costs at the least.
fn clocks(
    alone: &impl Fn(Build, &'static str, bool) -> Result<f64>,
) -> Result<Vec<(&'static str, &'static str, f64)>> {
    let mut kinds =
        vec![("4 reads of CLOCK_MONOTONIC", "monotonic"), ("4 reads of CLOCK_MONOTONIC_RAW", "raw")];
    if cfg!(target_arch = "x86_64") {
        kinds.extend([("4 rdtsc", "tsc"), ("4 rdtscp", "tscp"), ("4 lfence and rdtsc", "lfence-tsc")]);
    }
    let mut rows = vec![(BARE, BARE, alone(Build::Plain, "none", true)?)];
    for (row, clock) in kinds {
        rows.push((row, BARE, alone(Build::Plain, clock, true)?));
    }
    Ok(rows)
}

/// The bare loop, run by another program; the loop tells how long its cycles took.
fn by_another(bench: &Bench, name: &str, subject: &Subject, threads: u32) -> Result<Turn> {
    let (by, build, cycles): (&[&str], _, _) = match name {
        "heaptrack" => (&["heaptrack", "-o", "heaptrack"], Build::Plain, subject.cycles),
        "valgrind" => (&["valgrind", "--leak-check=full"], Build::Plain, subject.few),
        "shell" => (&["sh", "-c", SHELL, "sh"], Build::Plain, subject.cycles),
        _ => (&[], Build::LeakSanitizer, subject.cycles),
    };
    if name == "lsan"
        && let Err(error) = bench.compile(build)
    {
        return Ok(Turn::None(title(name), format!("{} ({error:#})", missing(name))));
    }
    let mut command = bench.command(build, by, &subject.path, cycles, "none", threads)?;
    command.env("PAUSE", SHELL_PAUSE);
    let Some(ran) = process::run(&mut command)? else { return Ok(Turn::None(title(name), missing(name))) };
    Ok(Turn::Rates(vec![(title(name), BARE, told(&ran)?.rate)]))
}

/// psleak, which has the one thread that Python has.
fn python(bench: &Bench, subject: &Subject, threads: u32) -> Result<Turn> {
    if threads > 1 {
        return Ok(Turn::None(
            title("psleak"),
            "on more than one thread: it calls a function on one".to_owned(),
        ));
    }
    let Some((ran, said)) = psleak_says(bench, subject)? else {
        return Ok(Turn::None(title("psleak"), missing("psleak")));
    };
    let number = |name: &str| said[name].as_f64().with_context(|| ran.stderr.clone());
    if number("cycles")? < PSLEAK_CYCLES {
        let why =
            said["error"].as_str().and_then(|error| error.lines().next()).unwrap_or("it gave no reason");
        return Ok(Turn::None(
            title("psleak"),
            format!("it went no further than {} cycle(s): {why}", said["cycles"]),
        ));
    }
    Ok(Turn::Rates(vec![(title("psleak"), BARE, number("cycles")? * 1e9 / number("ns")?)]))
}

/// What psleak says of a library; `None` where it can't be had.
pub(super) fn psleak_says(bench: &Bench, subject: &Subject) -> Result<Option<(process::Ran, Value)>> {
    let python = match psleak::python(&bench.root) {
        Ok(python) => python,
        Err(error) => {
            eprintln!("psleak: {error:#}");
            return Ok(None);
        }
    };
    let mut command = Command::new(python);
    command.arg(bench.root.join("benches/psleak-cycle.py")).arg(&subject.path).arg(FUNCTION);
    // It refuses to measure without.
    command.env("PYTHONMALLOC", "malloc").env_remove("GLIBC_TUNABLES").current_dir(bench.scratch.path());
    let ran = process::run(&mut command)?.context("its Python is gone")?;
    let line = ran.stdout.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let said =
        serde_json::from_str(line).with_context(|| format!("psleak said: {}{}", ran.stdout, ran.stderr))?;
    Ok(Some((ran, said)))
}
