//! `dlsoak verify`: soaks the library, runs the same cycles under other leak detectors, and compares the results.

use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context as _, bail};

use super::out::Out;
use super::progress::Reporter;
use super::{note, print, run};
use crate::cli::{Global, VerifyArgs};
use crate::files::write_atomic;
use crate::record::verification::Answer;
use crate::record::{OutcomeKind, Run};
use crate::report::verification;
use crate::settings::Libc;
use crate::supervisor::{self, Context};
use crate::verify::{self, Request};
use crate::{conduct, exit_code, host};

/// Carries out `dlsoak verify` and returns the exit code.
///
/// # Errors
/// When the plan is wrong, the library can't be loaded, or a file can't be written.
pub fn verify(args: &VerifyArgs, global: Global) -> anyhow::Result<u8> {
    let (plan, _) = run::plan(&args.as_run(), global)?;
    let [soak_plan] = plan.soaks.as_slice() else { bail!("verify takes one library; name one") };
    if soak_plan.threads > 1 {
        bail!("--threads: verify runs on one thread, because the other instruments do; remove the option");
    }
    if !soak_plan.together.is_empty() {
        bail!("--together: the other instruments open one library; verify each library alone");
    }
    if soak_plan.replace.is_some() {
        bail!("--replace: the other instruments open one file; verify each build alone");
    }
    if host::c_library(soak_plan)? == Libc::Musl {
        bail!(
            "the other instruments know glibc's malloc and loader; verify a build of the library for glibc"
        );
    }
    let started = jiff::Timestamp::now();
    let out = args.out.as_deref();
    let held = out.map(|out| Out::prepare(Some(out), args.force, &plan.name, started)).transpose()?;
    // Before the soak, which would be wasted if this failed.
    let workspace = verify::Workspace::new()?;
    let interrupted = super::interruptible()?;
    let begun = conduct::begin(started, Some(soak_plan));
    let reporter = Reporter::new(global.quiet);
    let show = |progress: supervisor::Progress<'_>| reporter.show(progress);
    let context = Context { interrupted: &interrupted, progress: &show };
    let soak = conduct::soak(soak_plan, &context)?;
    if soak.outcome.kind == OutcomeKind::LoadFailed {
        bail!("{}", crate::report::words::outcome(&soak.outcome, soak.cycles.completed).line());
    }
    let request = Request {
        plan: soak_plan,
        soak: &soak,
        workspace: &workspace,
        started_at: begun.started_at.clone(),
        few: args.memcheck_cycles.get(),
        timeout: args.instrument_timeout.duration(),
        interrupted: &interrupted,
    };
    let begin = |instrument| {
        if !global.quiet {
            note(&verification::running(instrument));
        }
    };
    let found = verify::verify(&request, &begin)?;
    let json = serde_json::to_string_pretty(&found)? + "\n";
    if args.json {
        print(&json);
    } else {
        print(&verification::render(&found, super::width(), global.color, global.verbose > 0));
    }
    if let Some(out) = held.as_ref().map(Out::path) {
        let path = out.join("verify.json");
        write_atomic(&path, json.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        let run = Run { passed: soak.judged.gate.passed == Some(true), soaks: vec![soak], ..begun };
        crate::publish::write(&run, out, &[crate::report::Format::Json])?;
        if !args.json {
            print(&format!("verify.json and record.json: {}\n", out.display()));
        }
        super::printed(Some(&out.join("record.json")))?;
    }
    Ok(match found.answer {
        _ if interrupted.load(Relaxed) => exit_code::INTERRUPTED,
        Answer::Interrupted => exit_code::INTERRUPTED,
        Answer::NothingGrows => exit_code::PASSED,
        Answer::Grows | Answer::EndedEarly => exit_code::FAILED,
        Answer::Undecided => exit_code::UNDECIDED,
    })
}
