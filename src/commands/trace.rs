//! `dlsoak trace`: soaks the library shortly, then once more while notes are taken, and says who left what behind.

use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context as _, bail};

use super::out::Out;
use super::progress::Reporter;
use super::{print, run};
use crate::cli::{Global, TraceArgs};
use crate::files::write_atomic;
use crate::record::{Note, OutcomeKind, PlaceTrend, Run, Soak, Verdict};
use crate::settings::Libc;
use crate::supervisor::{self, Context};
use crate::{conduct, exit_code, host, report};

/// Carries out `dlsoak trace` and returns the exit code.
///
/// # Errors
/// When the plan is wrong, nothing could be traced, or the output directory can't be written.
pub fn trace(args: &TraceArgs, global: Global) -> anyhow::Result<u8> {
    let (plan, _) = run::plan(&args.as_run(), global)?;
    let [soak_plan] = plan.soaks.as_slice() else { bail!("trace takes one library; name one") };
    if host::c_library(soak_plan)? == Libc::Musl {
        bail!("tracing needs glibc: trace a build of the library for it");
    }
    let started = jiff::Timestamp::now();
    let held = Out::prepare(args.out.as_deref(), args.force, &format!("trace-{}", plan.name), started)?;
    let out = held.path();
    let interrupted = super::interruptible()?;
    let reporter = Reporter::new(global.quiet);
    let show = |progress: supervisor::Progress<'_>| reporter.show(progress);
    let context = Context { interrupted: &interrupted, progress: &show };
    let soak = conduct::soak(soak_plan, &context)?;
    let passed = soak.judged.gate.passed == Some(true);
    let run = Run { passed, soaks: vec![soak], ..conduct::begin(started, Some(soak_plan)) };
    crate::publish::write(&run, out, &[report::Format::Json, report::Format::Html])?;
    let Some(soak) = run.soaks.first() else { bail!("nothing was soaked") };
    if let Some(why) = untraced(soak) {
        bail!("{why}");
    }
    if let Some(trace) = &soak.trace {
        let folded = report::trace::folded(trace);
        let path = out.join("trace.folded");
        write_atomic(&path, folded.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        let path = out.join("trace-flame.svg");
        if let Some(svg) = report::trace::flame(trace, &soak.name)? {
            write_atomic(&path, svg.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        print(&report::trace::render(soak, trace, global.verbose > 0));
    }
    print(&format!("record, report and stacks written to {}\n", out.display()));
    super::printed(Some(&out.join("record.json")))?;
    Ok(if interrupted.load(Relaxed) { exit_code::INTERRUPTED } else { code(soak) })
}

/// 1 when something grows; what nobody could name does, too.
fn code(soak: &Soak) -> u8 {
    let Some(trace) = &soak.trace else { return exit_code::USAGE };
    let grows = trace.places.iter().any(|place| place.trend == PlaceTrend::Growing);
    if grows || soak.judged.verdict == Verdict::Leak {
        exit_code::FAILED
    } else if trace.ended.is_some() {
        exit_code::UNDECIDED
    } else {
        exit_code::PASSED
    }
}

/// Why nothing could be traced, where that is not because a person interrupted it.
fn untraced(soak: &Soak) -> Option<String> {
    if soak.outcome.kind == OutcomeKind::LoadFailed {
        return Some(report::words::outcome(&soak.outcome, soak.cycles.completed).line());
    }
    soak.notes.iter().find_map(|note| match note {
        Note::NotTraced { why } => Some(report::words::early(why)),
        _ => None,
    })
}
