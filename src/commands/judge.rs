//! `dlsoak judge`: judges a saved record again, with other limits.

use anyhow::bail;

use super::{print, records};
use crate::analysis;
use crate::cli::{Global, JudgeArgs};
use crate::record::Run;
use crate::settings::Settings;
use crate::{exit_code, publish, report};

/// Carries out `dlsoak judge` and returns the exit code, which is that of a run with these limits.
///
/// # Errors
/// When the record can't be read, or the judged one can't be written.
pub fn judge(args: &JudgeArgs, global: Global) -> anyhow::Result<u8> {
    let mut run = records::read(&args.record)?;
    if let Some(soak) = run.soaks.iter().find(|soak| soak.measured.shortened) {
        bail!(
            "{}: the record was made with --no-report and has too few checkpoints of {} for another verdict; soak again without it",
            args.record.display(),
            soak.measured.name
        );
    }
    for soak in &mut run.soaks {
        let asked = &mut soak.measured.asked;
        *asked = Settings::from(args.limits.clone()).over(std::mem::take(asked));
    }
    if let (Some(watch), Some(rate)) = (&mut run.watch, &args.limits.max_leak_rate) {
        watch.asked.max_leak_rate = Some(rate.clone());
    }
    let run: Run = analysis::judge_run(run);
    if let Some(out) = &args.out {
        publish::write_record(&run, out)?;
    }
    if args.json {
        let files = report::Format::Json.render(&run)?;
        files.iter().for_each(|file| print(&String::from_utf8_lossy(&file.contents)));
    } else {
        print(&super::result(&run, false, global));
    }
    Ok(exit_code::of(&run))
}
