//! `dlsoak run`: soaks what the plan says, judges each soak, writes the record after every one, and prints the
//! table.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::progress::Reporter;
use super::{patterns, print};
use crate::cli::{Global, MessageFormat, Patterns, RunArgs};
use crate::record::{OutcomeKind, Run, SCHEMA, Soak, Tool, Verdict, WithoutCall};
use crate::suite::partition::Partition;
use crate::suite::plan::{Plan, SoakPlan};
use crate::suite::settings::Settings;
use crate::supervisor::{self, Context};
use crate::{analysis, exit_code, report};

/// The suite file that is read when no library is named.
const SUITE_FILE: &str = "dlsoak.toml";

/// Carries out `dlsoak run` and returns the exit code.
///
/// # Errors
/// When the plan is wrong or the output directory can't be written.
pub fn run(args: &RunArgs, global: Global) -> anyhow::Result<u8> {
    let plan = plan(args)?;
    let started = jiff::Timestamp::now();
    let out = args.out.clone().unwrap_or_else(|| default_out(&plan.name, started));
    // Found out before the run, and not after it.
    prepare_out(&out)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("cannot catch signals")?;
    }
    let reporter = Reporter::new(global.quiet);
    let show = |progress: supervisor::Progress<'_>| reporter.show(progress);
    let context = Context { interrupted: &interrupted, progress: &show };
    let json = args.message_format == MessageFormat::Json;
    let mut run = Run {
        schema: SCHEMA.to_owned(),
        tool: Tool { version: env!("CARGO_PKG_VERSION").to_owned() },
        started_at: started.to_string(),
        passed: false,
        host: supervisor::host(),
        soaks: Vec::with_capacity(plan.soaks.len()),
    };
    for (index, soak_plan) in plan.soaks.iter().enumerate() {
        if interrupted.load(Relaxed) {
            break;
        }
        reporter.position(index, plan.soaks.len());
        if json {
            event(&json!({"event": "begin", "name": soak_plan.name, "index": index, "of": plan.soaks.len()}));
        }
        let mut soak = soak(soak_plan, &context);
        if args.trace_on_leak && soak.verdict == Verdict::Leak {
            super::trace::on_leak(&mut soak, soak_plan, &context);
        }
        if args.patterns == Some(Patterns::All) {
            soak.patterns = patterns::all(soak_plan, &context);
            soak.notes.extend(patterns::difference(&soak.patterns));
        }
        if json {
            event(&soak_event(&soak));
        }
        run.soaks.push(soak);
        run.passed =
            run.soaks.len() == plan.soaks.len() && run.soaks.iter().all(|s| s.gate.passed == Some(true));
        // After every soak: whatever happens to the next one, this one is kept.
        report::write(&run, &out, &[report::Format::Json])?;
    }
    let charts = report::write(&run, &out, &[report::Format::Svg, report::Format::Png]);
    let code = if interrupted.load(Relaxed) { exit_code::INTERRUPTED } else { exit_code::of(&run) };
    if json {
        event(
            &json!({"event": "end", "passed": run.passed, "exit_code": code, "out": out.to_string_lossy()}),
        );
    } else {
        print(&report::terminal::render(&run, super::width(), global.color));
        print(&format!("record and charts: {}\n", out.display()));
    }
    if run.soaks.iter().any(|s| s.outcome.kind == OutcomeKind::Interrupted) || code == exit_code::INTERRUPTED
    {
        super::note(&format!("interrupted; what was measured is in {}", out.join("record.json").display()));
    }
    charts?;
    Ok(code)
}

/// Cycles of the short soak that leaves the calls out.
const WITHOUT_CALL_CYCLES: u64 = 10_000;

/// Most cycles of the pass that times latencies: enough for the 99.999th percentile to have a sample.
const LATENCY_CYCLES: u64 = 100_000;

/// Soaks one library and judges what was measured. Then times it as hosts run it, and where the calls may have a
/// share in what was found, soaks it shortly without them.
fn soak(plan: &SoakPlan, context: &Context<'_>) -> Soak {
    let mut soak = judged(plan, context);
    time(plan, context, &mut soak);
    let calls = !plan.calls.is_empty() || plan.exercise.is_some();
    if calls
        && matches!(soak.verdict, Verdict::Leak | Verdict::Inconclusive)
        && !context.interrupted.load(Relaxed)
    {
        let alone = judged(&plan.without_calls(WITHOUT_CALL_CYCLES), context);
        if alone.outcome.kind == OutcomeKind::Completed {
            let position = soak.reasons.len().min(1);
            soak.reasons.insert(position, analysis::shares(&soak, &alone));
            soak.without_call = Some(WithoutCall {
                cycles: alone.cycles.completed,
                verdict: alone.verdict,
                growth: alone.growth,
            });
        }
    }
    soak
}

/// Times the latencies in a pass of their own, with malloc's thread cache on. Without the cache heap counts are
/// exact, but a call that allocates much takes up to three times as long as in a host.
fn time(plan: &SoakPlan, context: &Context<'_>, soak: &mut Soak) {
    let cycles = soak.cycles.completed.min(LATENCY_CYCLES);
    let whole = soak.outcome.kind == OutcomeKind::Completed && !context.interrupted.load(Relaxed);
    if plan.keep_tcache || !whole || cycles < u64::from(plan.threads) {
        return;
    }
    let timed = supervisor::soak(&plan.for_latencies(cycles), context);
    if timed.outcome.kind == OutcomeKind::Completed && timed.cycles.completed == cycles {
        soak.latency_ns = timed.latency_ns;
        soak.warmup_latency_ns = timed.warmup_latency_ns;
        soak.notes.push(
            "latencies were timed in a pass of their own, with malloc's thread cache on as in any host"
                .to_owned(),
        );
    } else if timed.outcome.kind != OutcomeKind::Interrupted {
        let detail = timed.outcome.detail.unwrap_or_else(|| "it did not complete".to_owned());
        soak.notes.push(format!(
            "latencies are those with malloc's thread cache off; the pass with it on failed: {detail}"
        ));
    }
}

pub(super) fn judged(plan: &SoakPlan, context: &Context<'_>) -> Soak {
    let mut soak = supervisor::soak(plan, context);
    let judgement = analysis::judge(&soak, &plan.limits);
    soak.growth = judgement.growth;
    soak.leak = judgement.leak;
    soak.verdict = judgement.verdict;
    soak.reasons = judgement.reasons;
    soak.gate = judgement.gate;
    soak
}

/// The plan: libraries from the command line, or a suite file, with the flags over it.
pub(super) fn plan(args: &RunArgs) -> anyhow::Result<Plan> {
    let settings = settings(args)?;
    let is_suite = |path: &PathBuf| path.extension().is_some_and(|e| e == "toml");
    let suite = match args.libraries.as_slice() {
        [] => Some(PathBuf::from(SUITE_FILE)),
        [one] if is_suite(one) => Some(one.clone()),
        more if more.iter().any(is_suite) => bail!("name either one suite file or libraries, not both"),
        _ => None,
    };
    let plan = match suite {
        None => Plan::from_paths(&args.libraries, &settings)?,
        Some(file) => {
            let text = std::fs::read_to_string(&file).with_context(|| {
                let hint = if args.libraries.is_empty() {
                    "; name a library to soak, or write a suite file"
                } else {
                    ""
                };
                format!("cannot read the suite file {}{hint}", file.display())
            })?;
            Plan::from_suite(&text, &file, &settings)?
        }
    };
    Ok(match &args.partition {
        None => plan,
        Some(share) => plan.partition(share.parse::<Partition>().context("--partition")?),
    })
}

/// What the command line says, as the topmost layer of settings.
fn settings(args: &RunArgs) -> anyhow::Result<Settings> {
    let calls: Vec<_> = args
        .call
        .iter()
        .map(|text| text.parse().with_context(|| format!("--call '{text}'")))
        .collect::<Result<_, _>>()?;
    let some_if = |given: bool| given.then_some(true);
    Ok(Settings {
        call: (!calls.is_empty()).then_some(calls),
        exercise: parsed(args.exercise.as_deref(), "--exercise")?,
        mode: args.mode,
        call_from: args.call_from.as_deref().map(call_from).transpose()?,
        threads: args.threads,
        share_path: some_if(args.share_path),
        cycles: args.cycles,
        duration: args.duration,
        warmup: args.warmup,
        checkpoints: args.checkpoints,
        flags: parsed(args.flags.as_deref(), "--flags")?,
        env: args.env.iter().cloned().collect(),
        keep_tcache: some_if(args.keep_tcache),
        stall_timeout: args.stall_timeout,
        memory_limit: args.memory_limit,
        allow_pinned: args.allow_pinned.then(|| "allowed on the command line".to_owned()),
        allow_residue: (!args.allow_residue.is_empty()).then(|| args.allow_residue.clone()),
        max_leak_rate: parsed(args.max_leak_rate.as_deref(), "--max-leak-rate")?,
        max_growth: parsed(args.max_growth.as_deref(), "--max-growth")?,
        until_decided: some_if(args.until_decided),
        max_cycles: args.max_cycles,
    })
}

fn parsed<T>(text: Option<&str>, flag: &str) -> anyhow::Result<Option<T>>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.map(|text| text.parse().with_context(|| format!("{flag} {text}"))).transpose()
}

fn call_from(name: &str) -> anyhow::Result<crate::record::CallFrom> {
    serde_json::from_value(name.into())
        .map_err(|_| anyhow::anyhow!("--call-from {name}: expected main, worker or short-lived"))
}

pub(super) fn default_out(name: &str, started: jiff::Timestamp) -> PathBuf {
    Path::new("reports").join(format!("{name}-{}", started.strftime("%Y%m%dT%H%M%SZ")))
}

/// Makes the output directory and makes sure that files can be written there.
pub(super) fn prepare_out(out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| {
        format!("cannot make the output directory {}; choose another with --out", out.display())
    })?;
    tempfile::tempfile_in(out).map(drop).with_context(|| {
        format!("cannot write to the output directory {}; choose another with --out", out.display())
    })
}

fn event(value: &serde_json::Value) {
    print(&format!("{value}\n"));
}

/// A soak as an event: all of its record but the series, which are in record.json.
fn soak_event(soak: &Soak) -> serde_json::Value {
    let mut value = serde_json::to_value(soak).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("checkpoints");
        fields.insert("event".to_owned(), "soak".into());
    }
    value
}
