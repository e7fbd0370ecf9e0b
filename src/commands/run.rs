//! `dlsoak run`: what is to be soaked, from the command line or a suite; and when it is over, the table, the charts, and
//! the exit code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context as _, bail};
use glob::Pattern;
use serde_json::json;

use super::libraries::{find, named};
use super::out::Out;
use super::save::Saver;
use super::soaks::{Soaks, event};
use super::{baselines, ci, print, records, resume};
use crate::cli::{Global, MessageFormat, RunArgs};
use crate::elf::read_at_most;
use crate::record::{self, Run};
use crate::settings::{Companion, Settings};
use crate::suite::plan::Plan;
use crate::{conduct, exit_code, report};

/// The suite file that is read when no library is named.
pub(super) const SUITE_FILE: &str = "dlsoak.toml";

/// Most bytes of a suite file: some hundred thousand libraries.
const LARGEST_SUITE: u64 = 16 << 20;

/// Carries out `dlsoak run` and returns the exit code.
///
/// # Errors
/// When the plan is wrong or the output directory can't be written.
pub fn run(args: &RunArgs, global: Global) -> anyhow::Result<u8> {
    let (plan, partition) = plan(args, global)?;
    let started = jiff::Timestamp::now();
    // Found out before the run, and not after it.
    let baseline = args.baseline.as_deref().map(|name| baselines::read(name, &args.baselines)).transpose()?;
    baselines::check(args, &plan, baseline.as_ref())?;
    let held = Out::prepare(args.out.as_deref(), args.force, &plan.name, started)?;
    let out = held.path();
    let interrupted = super::interruptible()?;
    // A file that may not grow any more is an error like a full disk, and no reason to die.
    let too_large = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(libc::SIGXFSZ, too_large).context("cannot install the handler of SIGXFSZ")?;
    let json = args.message_format == MessageFormat::Json;
    let mut run = Run { partition, ..conduct::begin(started, plan.soaks.first()) };
    let kept = if args.resume { resume::keep(&mut run, out, &plan)? } else { BTreeMap::new() };
    if args.resume && !global.quiet {
        super::note(&format!(
            "{} of {} soaks are complete in {}",
            kept.len(),
            plan.soaks.len(),
            out.display()
        ));
    }
    let lines = if args.no_report { report::json::Lines::Soaks } else { report::json::Lines::Rows };
    let mut saver = Saver::new(out, &plan.name, lines);
    let soaks = Soaks {
        args,
        plan: &plan,
        baseline: baseline.as_ref(),
        interrupted: &interrupted,
        quiet: global.quiet,
        events: json,
    };
    let refused = soaks.carry_out(kept, &mut run, &mut saver)?;
    let formats = if args.no_report { &[][..] } else { &report::Format::OF_A_RUN[1..] };
    let charts = crate::publish::write(&run, out, formats);
    let code = match saver.record() {
        Err(_) => exit_code::USAGE,
        Ok(_) if interrupted.load(Relaxed) => exit_code::INTERRUPTED,
        Ok(_) if !refused.is_empty() => exit_code::USAGE,
        Ok(_) => exit_code::of(&run),
    };
    if json {
        event(
            &json!({"event": "end", "passed": run.passed, "exit_code": code, "out": out.to_string_lossy()}),
        );
    } else {
        let result = super::result(&run, args.summary, global);
        match saver.record() {
            Err(_) => print(&result),
            Ok(_) if args.summary => {
                print(&format!("{}; the record is in {}\n", result.trim_end(), out.display()));
            }
            Ok(_) => {
                let what = if args.no_report { "record" } else { "record and report" };
                print(&format!("{result}{what} written to {}\n", out.display()));
            }
        }
    }
    if let Some(name) = &args.save_baseline {
        baselines::save(&run, name, &args.baselines, plan.soaks.len(), json)?;
    }
    ci::tell(&run, json);
    let interrupted = code == exit_code::INTERRUPTED;
    if let (true, Ok(record)) = (interrupted, saver.record()) {
        super::note(&format!("interrupted; the results so far are in {}", record.display()));
    }
    for fault in refused {
        super::note(&format!("not soaked: {fault}"));
    }
    let record = saver.record()?;
    charts?;
    super::printed(Some(&record))?;
    Ok(code)
}

/// The plan: libraries from the command line, or a suite file, with the flags over it; and which share it is.
pub(super) fn plan(args: &RunArgs, global: Global) -> anyhow::Result<(Plan, Option<record::Partition>)> {
    let mut settings = args.settings.clone();
    let together = settings.together.take();
    let is_suite = |path: &PathBuf| path.extension().is_some_and(|e| e == "toml");
    let suite = match args.libraries.as_slice() {
        [] if together.is_none() => Some(PathBuf::from(SUITE_FILE)),
        [one] if is_suite(one) => Some(one.clone()),
        more if more.iter().any(is_suite) => {
            bail!("name either one suite file (.toml) or libraries, not both")
        }
        _ => None,
    };
    let mut plan = match (suite, together) {
        (None, None) => Plan::from_paths(&named(&args.libraries, &args.without.exclude)?, &settings)?,
        (None, Some(more)) => {
            let more = more.iter().map(|companion| companion.path().to_owned());
            let all: Vec<PathBuf> = args.libraries.iter().cloned().chain(more).collect();
            in_one_process(&named(&all, &args.without.exclude)?, settings)?
        }
        (Some(_), Some(_)) => {
            bail!("--together is for libraries that you name; set `together` of a library in the suite")
        }
        (Some(file), None) => {
            let text = read_suite(&file).with_context(|| {
                let hint = if args.libraries.is_empty() {
                    "; name a library to soak, or write a suite file"
                } else {
                    ""
                };
                format!("cannot read the suite file {}{hint}", file.display())
            })?;
            let find = |directory: &Path, path: &Path, exclude: &[String]| {
                let pattern = |text: &String| {
                    Pattern::new(text)
                        .map_err(|error| format!("`{text}` in exclude is no pattern: {}", error.msg))
                };
                let mut all = exclude.iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
                all.extend(args.without.exclude.iter().cloned());
                find(directory, path, &all)
            };
            Plan::from_suite(&text, &file, &settings, &find)?
        }
    };
    let (early, of) = (plan.decide_if_many(), plan.soaks.len());
    if early > 0 && !global.quiet {
        super::note(&format!(
            "{early} of {of} soaks end as soon as their verdict is certain (--until-decided); set --cycles \
             or --duration to end them otherwise"
        ));
    }
    let (mut plan, partition) = match &args.partition {
        None => (plan, None),
        Some(share) => {
            let set = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
            let share = share.resolve(&set)?;
            let weights = args.weights.as_deref();
            let earlier = weights.map(records::read).transpose()?;
            let split = share
                .of_plan(&plan, earlier.as_ref())
                .with_context(|| format!("--weights {}", weights.unwrap_or(Path::new("")).display()))?;
            (plan.partition(&split), Some(split))
        }
    };
    // Found out before anything is written.
    dlsoak_soak::fault::check(&mut plan)?;
    Ok((plan, partition))
}

/// The plan of one soak that opens all these libraries, each in its turn.
fn in_one_process(libraries: &[PathBuf], mut settings: Settings) -> anyhow::Result<Plan> {
    let Some((first, others)) = libraries.split_first() else {
        bail!("--together names no library; name at least two, or set `together` in a suite")
    };
    let companion = |path: &PathBuf| {
        Companion::new(path).with_context(|| format!("{}: the path is not valid UTF-8", path.display()))
    };
    settings.together = Some(others.iter().map(companion).collect::<Result<_, _>>()?);
    Ok(Plan::from_paths(std::slice::from_ref(first), &settings)?)
}

/// The text of a suite file.
fn read_suite(file: &Path) -> std::io::Result<String> {
    let bytes = read_at_most(file, LARGEST_SUITE)?;
    String::from_utf8(bytes).map_err(|_| std::io::Error::other("the file is not valid UTF-8"))
}
