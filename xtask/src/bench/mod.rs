//! `cargo xtask bench`: the benchmarks; dlsoak among its peers; what it needs as its work grows; and whether it is as fast as it
//! is meant to be. Each figure in `docs/performance.md` comes from one of these.

mod answers;
mod bare;
mod chart;
mod peers;
mod process;
mod psleak;
mod scale;
mod soak;
mod table;
mod targets;
mod watch;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::{build, checks, command};
use bare::{Bench, Mappings};

/// Most turns of each size: sizes differ by much more than turns do.
const SCALE_ROUNDS: u32 = 3;

/// The fixture whose soak says how many mappings the bare loop gets.
const PADDED_FOR: &str = "c-clean";

/// What to measure. Without any of these, the benchmarks in `benches/` are run, and what else is given is passed on to cargo.
#[derive(Args)]
pub(crate) struct Options {
    /// dlsoak, the bare loop and other tools side by side: cycles per second, and the time to a right verdict
    #[arg(long)]
    peers: bool,
    /// Time and memory against cycles, threads, mappings and libraries
    #[arg(long)]
    scale: bool,
    /// What is meant to be reached, and whether it is
    #[arg(long)]
    targets: bool,
    /// What `dlsoak watch` costs a host
    #[arg(long)]
    watch: bool,
    /// Turns of each
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Only these: bare, run, trace, heaptrack, valgrind, lsan, shell, psleak, clocks, and verdicts for the second part
    #[arg(long, value_delimiter = ',', value_name = "PEER")]
    only: Vec<String>,
    /// Fixtures to cycle
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "c-clean,rust-clean,go-clean",
        value_name = "FIXTURE"
    )]
    library: Vec<String>,
    /// Numbers of threads
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8")]
    threads: Vec<u32>,
    /// Where tables, figures and charts go [default: reports/bench]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Passed on to `cargo bench`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CARGO ARGUMENT")]
    args: Vec<String>,
}

/// Measures what is asked for; false where a target that is given is missed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    if !options.peers && !options.scale && !options.targets && !options.watch {
        build::run(&build::Options::all_quietly())?;
        let mut cargo = command::cargo(&xtask::fixtures::root());
        return checks::check(cargo.args(["bench", "--locked", "--package", "dlsoak"]).args(&options.args));
    }
    if let Some(unknown) = options.only.iter().find(|name| !known(name)) {
        bail!("there is no peer `{unknown}`: {}, verdicts", peers::NAMES.join(", "));
    }
    if options.peers {
        compare(options)?;
    }
    if options.scale {
        let bench = Bench::new(&scale::LIBRARIES.map(str::to_owned))?;
        let (text, figures, panels) = scale::measure(&bench, options.rounds.min(SCALE_ROUNDS))?;
        keep(
            options,
            "scale",
            &format!("{}\n\n{text}", host_line()),
            &json!({ "host": host(), "series": figures }),
        )?;
        draw(options, "scale", &panels)?;
    }
    if options.watch {
        let bench = Bench::new(&[watch::LIBRARY.to_owned()])?;
        let (text, figures, met) = watch::measure(&bench, options.rounds)?;
        let text = format!(
            "{}\n\nMedians of {} turns, and the least and the most.\n\n{text}",
            host_line(),
            options.rounds
        );
        keep(options, "watch", &text, &json!({ "host": host(), "figures": figures }))?;
        if !met {
            return Ok(false);
        }
    }
    if options.targets {
        let mut bench = Bench { by_default: true, ..Bench::new(&targets::libraries())? };
        let mappings = bench.pad(&bench.subject(PADDED_FOR)?.path, &targets::THREADS)?;
        let (text, figures, met) = targets::measure(&bench, options.rounds)?;
        keep(
            options,
            "targets",
            &format!("{}\n\n{}\n\n{text}", host_line(), words(&mappings)),
            &json!({ "host": host(), "mappings": mappings.iter().map(|mappings| mappings.to_json()).collect::<Value>(), "figures": figures }),
        )?;
        return Ok(met);
    }
    Ok(true)
}

/// dlsoak among its peers.
fn compare(options: &Options) -> Result<()> {
    let asks = options.only.is_empty() || options.only.iter().any(|name| name == "verdicts");
    let measures = options.only != ["verdicts"];
    let mut needed = if measures { options.library.clone() } else { Vec::new() };
    if asks {
        needed.extend(answers::libraries());
    }
    needed.push(PADDED_FOR.to_owned());
    let mut bench = Bench::new(&needed)?;
    let (mut text, mut figures) = (host_line(), json!({ "host": host(), "rounds": options.rounds }));
    if measures {
        let mappings = bench.pad(&bench.subject(PADDED_FOR)?.path, &options.threads)?;
        text += &format!("\n\n{}", words(&mappings));
        figures["mappings"] = mappings.iter().map(|mappings| mappings.to_json()).collect::<Value>();
        let rates =
            peers::measure(&bench, &options.only, &options.library, &options.threads, options.rounds)?;
        text += &format!(
            "\n\nCycles per second, all threads together: medians of {} turns; in brackets as a part of the bare \
             loop's, and the best turn as a part of the bare loop's best.\n\n{}",
            options.rounds,
            rates.to_markdown()
        );
        figures["rates"] = rates.to_json();
        let panel = |(title, lines)| chart::Panel {
            title,
            along: "threads".to_owned(),
            upwards: "cycles per second".to_owned(),
            lines,
        };
        draw(options, "peers", &rates.panels().into_iter().map(panel).collect::<Vec<_>>())?;
    }
    if asks {
        let (table, answers) = answers::measure(&bench, &options.only, options.rounds)?;
        text += &format!("\n\nWhat each says, medians of {} turns.\n\n{table}", options.rounds);
        figures["answers"] = answers;
    }
    keep(options, "peers", &text, &figures)
}

/// What the text above a table says of mappings.
fn words(mappings: &[Mappings]) -> String {
    mappings.iter().map(|mappings| mappings.words()).collect::<Vec<_>>().join("\n")
}

fn known(name: &str) -> bool {
    name == "verdicts" || peers::NAMES.contains(&name)
}

/// Where all goes.
fn out(options: &Options) -> Result<PathBuf> {
    let out = match &options.out {
        Some(out) => out.clone(),
        None => xtask::fixtures::root().join("reports/bench"),
    };
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    Ok(out)
}

/// Writes a chart.
fn draw(options: &Options, name: &str, panels: &[chart::Panel]) -> Result<()> {
    let file = out(options)?.join(format!("{name}.svg"));
    std::fs::write(&file, chart::svg(panels)).with_context(|| format!("cannot write {}", file.display()))
}

/// Prints and writes the text and writes the figures it was made from.
fn keep(options: &Options, name: &str, text: &str, figures: &Value) -> Result<()> {
    println!("{text}");
    let out = out(options)?;
    let write = |file: PathBuf, text: &str| {
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    write(out.join(format!("{name}.md")), text)?;
    write(out.join(format!("{name}.json")), &serde_json::to_string_pretty(figures)?)?;
    println!("{}", out.join(format!("{name}.md")).display());
    Ok(())
}

/// The first value of a line such as `model name : ...`.
fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

/// The machine, as far as it matters for time.
fn host() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let flags = value_of(&cpu, "flags").unwrap_or_default();
    let has = |flag: &str| flags.split(' ').any(|word| word == flag);
    json!({
        "cpu": value_of(&cpu, "model name"),
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "clocksource": read("/sys/devices/system/clocksource/clocksource0/current_clocksource").trim(),
        "invariant_tsc": has("constant_tsc") && has("nonstop_tsc"),
        "load": read("/proc/loadavg").trim(),
    })
}

fn host_line() -> String {
    let host = host();
    let text = |name: &str| host[name].as_str().unwrap_or("unknown").to_owned();
    format!(
        "{}, {} CPUs, Linux {}, clock source {}, load {}",
        text("cpu"),
        host["cpus"],
        text("kernel"),
        text("clocksource"),
        text("load")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_names() {
        let text = "processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu tsc\n";
        assert_eq!(value_of(text, "model name"), Some("A CPU"));
        assert_eq!(value_of(text, "flags"), Some("fpu tsc"));
        assert_eq!(value_of(text, "none"), None);
    }
}
