//! `dlsoak verify`: soaks the library, has other instruments look at the same cycles, and says whether they agree.

use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context as _, bail};

use super::progress::Reporter;
use super::{note, print, run};
use crate::cli::{Global, VerifyArgs};
use crate::files::write_atomic;
use crate::record::{OutcomeKind, Run};
use crate::supervisor::{self, Context};
use crate::verify::{self, Answer, Asked};
use crate::{conduct, exit_code};

/// Carries out `dlsoak verify` and returns the exit code.
///
/// # Errors
/// When the plan is wrong, the library can't be loaded, or a file can't be written.
pub fn verify(args: &VerifyArgs, global: Global) -> anyhow::Result<u8> {
    let (plan, _) = run::plan(&args.as_run())?;
    let [soak_plan] = plan.soaks.as_slice() else { bail!("name one library to verify, not a suite") };
    if soak_plan.threads > 1 {
        bail!("--threads: the other instruments look at one thread that cycles; leave it out");
    }
    if let Some(out) = &args.out {
        run::prepare_out(out)?;
    }
    // Before the soak, which would be in vain without it.
    let room = verify::Room::new().map_err(anyhow::Error::msg)?;
    let interrupted = super::interruptible()?;
    let started = jiff::Timestamp::now();
    let begun = conduct::begin(started);
    let reporter = Reporter::new(global.quiet);
    let show = |progress: supervisor::Progress<'_>| reporter.show(progress);
    let context = Context { interrupted: &interrupted, progress: &show };
    let soak = conduct::judged(soak_plan, &context);
    if soak.outcome.kind == OutcomeKind::LoadFailed {
        bail!("{}", soak.outcome.detail.unwrap_or_else(|| "it could not be loaded".to_owned()));
    }
    let asked = Asked {
        plan: soak_plan,
        soak: &soak,
        room: &room,
        started_at: begun.started_at.clone(),
        few: args.memcheck_cycles,
        timeout: args.timeout,
        interrupted: &interrupted,
    };
    let begin = |name: &str| {
        if !global.quiet {
            note(&format!("{name} looks"));
        }
    };
    let found = verify::verify(&asked, &begin).map_err(anyhow::Error::msg)?;
    let json = serde_json::to_string_pretty(&found)? + "\n";
    if args.json {
        print(&json);
    } else {
        print(&crate::rooms::verify::render(&found, super::width(), global.color, global.verbose > 0));
    }
    if let Some(out) = &args.out {
        let path = out.join("verify.json");
        write_atomic(&path, json.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        let run = Run { passed: soak.gate.passed == Some(true), soaks: vec![soak], ..begun };
        crate::publish::write(&run, out, &[crate::report::Format::Json])?;
        if !args.json {
            print(&format!("verify.json and record.json: {}\n", out.display()));
        }
    }
    Ok(match found.answer {
        _ if interrupted.load(Relaxed) => exit_code::INTERRUPTED,
        Answer::Interrupted => exit_code::INTERRUPTED,
        Answer::NothingGrows => exit_code::PASSED,
        Answer::Grows | Answer::EndedEarly => exit_code::FAILED,
        Answer::Undecided => exit_code::UNDECIDED,
    })
}
