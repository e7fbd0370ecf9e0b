//! `dlsoak judge`: judges a saved record again, with other limits.

use super::{print, records};
use crate::analysis;
use crate::cli::{Global, JudgeArgs};
use crate::record::{Limits, Run};
use crate::{exit_code, publish, report};

/// Carries out `dlsoak judge` and returns the exit code, which is that of a run with these limits.
///
/// # Errors
/// When the record can't be read, or the judged one can't be written.
pub fn judge(args: &JudgeArgs, global: Global) -> anyhow::Result<u8> {
    let mut run = records::read(&args.record)?;
    for soak in &mut run.soaks {
        apply(args, &mut soak.measured.asked.limits);
    }
    let run: Run = analysis::judge_run(run);
    if let Some(out) = &args.out {
        publish::write_record(&run, out)?;
    }
    if args.json {
        let files = report::Format::Json.render(&run)?;
        files.iter().for_each(|file| print(&String::from_utf8_lossy(&file.contents)));
    } else {
        print(&report::terminal::detailed(&run, super::width(), global.color, global.verbose > 0));
    }
    Ok(exit_code::of(&run))
}

/// Puts the limits that were given over those of the record.
fn apply(args: &JudgeArgs, limits: &mut Limits) {
    let given = args;
    if given.max_leak_rate.is_some() {
        limits.max_leak_rate.clone_from(&given.max_leak_rate);
    }
    if let Some(counts) = &given.max_growth {
        limits.max_growth = counts.clone();
    }
    if given.max_leak_increase.is_some() {
        limits.max_leak_increase.clone_from(&given.max_leak_increase);
    }
    if given.max_p99_increase.is_some() {
        limits.max_p99_increase.clone_from(&given.max_p99_increase);
    }
    if given.allow_pinned {
        limits.allow_pinned.get_or_insert_with(|| "allowed on the command line".to_owned());
    }
    limits.allow_residue.extend(
        given
            .allow_residue
            .iter()
            .filter(|kind| !limits.allow_residue.contains(kind))
            .copied()
            .collect::<Vec<_>>(),
    );
}
