//! A soak in a process that takes notes of all that it obtains (`preload` of `dlsoak-agent`): what the passes `trace` and `cohorts` have in
//! common.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::latency::Histograms;
use super::limits::Limits;
use super::process;
use super::session::{Bounds, End, Session};
use super::staging::{Files, Staging};
use super::{Context, Progress, SHARED_STRIDE, WARMUP, start};
use crate::channel;
use crate::fault::Fault;
use crate::record::{Agent, EndedEarly, LoadCause, Measured, Mode, TracePlace};
use crate::suite::plan::SoakPlan;
use crate::trace::series::{Census, Left, census, want_stacks};
use crate::trace::{Shared, names};
use dlsoak_wire::notes::{LIVE, Memory};

/// Looks are taken until this part of the table of living resources is used: after that, some might find no room.
const ROOM: i64 = LIVE as i64 / 2;

/// Whether there may be no room for what comes next.
pub(super) fn is_full(now: &Census) -> bool {
    now.values().map(|amount| amount.count).sum::<i64>() > ROOM
}

/// A soak that was noted.
pub(super) struct Noted {
    shared: Shared,
    staging: Staging,
    /// Why it ended before its last cycle, where it did.
    pub(super) ended: Option<EndedEarly>,
}

/// A process that takes notes, before its first load.
pub(super) struct Noting<'a, 'b> {
    pub(super) session: &'a mut Session<'b>,
    pub(super) memory: &'a Memory,
    histograms: Histograms,
    /// What was alive at the last look.
    last: Option<Census>,
}

impl Noting<'_, '_> {
    /// Cycles up to this one.
    ///
    /// # Errors
    /// Why it ended before.
    pub(super) fn advance(&mut self, cycle: u64) -> Result<(), End> {
        self.session.advance(cycle, &mut self.histograms)
    }

    /// What is alive now. Stacks are asked for where that is more than at the last look: of what the first load keeps, they are not worth
    /// their price.
    pub(super) fn look(&mut self) -> Census {
        let now = census(self.memory);
        if let Some(before) = &self.last {
            want_stacks(self.memory, &[before, &now]);
        }
        self.last = Some(now.clone());
        now
    }
}

impl Noted {
    /// Soaks a library that was soaked before, as it was soaked. `run` makes the cycles after `warmup` of them.
    ///
    /// # Errors
    /// Why nothing could be noted.
    pub(super) fn soak(
        plan: &SoakPlan,
        soak: &Measured,
        cycles: u64,
        context: &Context<'_>,
        run: impl FnOnce(&mut Noting<'_, '_>, u64) -> Result<Option<EndedEarly>, End>,
    ) -> Result<Self, EndedEarly> {
        let not_started = |fault: Fault| EndedEarly::NotStarted { problem: fault.to_string() };
        let files = Files::of(plan.mode, plan.threads, soak.share_path);
        let staging = Staging::new(plan.libraries(), plan.threads, files).map_err(not_started)?;
        let shared =
            Shared::create(staging.directory(), plan.libc).map_err(|e| not_started(Fault::new(e)))?;
        let mut env = soak.env.clone();
        let inherited = || std::env::var("LD_PRELOAD").ok();
        env.extend(shared.environment(env.get("LD_PRELOAD").cloned().or_else(inherited)));
        let env = process::environment(&env, Agent::Plain, plan.libc);
        let bounds = Bounds {
            stall: plan.stall_timeout,
            limits: Limits::of(plan),
            deadline: plan.duration.and_then(|d| Instant::now().checked_add(d)),
            stride: if soak.share_path && plan.mode == Mode::Reopen { SHARED_STRIDE } else { u64::MAX },
        };
        let warmup = plan.warmup.unwrap_or(WARMUP.min(cycles)).max(2);
        (context.progress)(Progress::Begin { name: &plan.name, cycles: cycles.saturating_add(warmup) });
        let mut session = start(plan, (staging.paths(), None), &env, bounds, context).map_err(not_started)?;
        let end = noting(&mut session, shared.memory(), |noting| run(noting, warmup));
        (context.progress)(Progress::End);
        let ended = match end {
            Ok(ended) => ended,
            Err(End::Failed { failure, .. }) => {
                Some(EndedEarly::LoadFailed(Box::new(staging.unstaged_failure(*failure))))
            }
            Err(end) => Some(end.early()),
        };
        if shared.memory().ready.load(Relaxed) == 0 {
            return Err(ended.unwrap_or(EndedEarly::NoNotes));
        }
        Ok(Self { shared, staging, ended })
    }

    /// The notes.
    pub(super) fn memory(&self) -> &Memory {
        self.shared.memory()
    }

    /// Bytes of the notes.
    pub(super) fn bytes(&self) -> u64 {
        self.shared.used()
    }

    /// What was left, with the names of where it comes from.
    pub(super) fn places(&self, left: &[Left]) -> Vec<TracePlace> {
        let files = names::Files {
            library: self.staging.original(),
            preloaded: self.shared.preloaded(),
            program: PathBuf::from(OsStr::from_bytes(dlsoak_agent::HOST_NAME.to_bytes())),
        };
        names::places(self.memory(), left, &files)
    }
}

fn noting<'b>(
    session: &mut Session<'b>,
    memory: &Memory,
    run: impl FnOnce(&mut Noting<'_, 'b>) -> Result<Option<EndedEarly>, End>,
) -> Result<Option<EndedEarly>, End> {
    let histograms =
        Histograms::new().map_err(|_| End::of(LoadCause::SetupFailed { errno: libc::EINVAL }))?;
    session.ready()?;
    // As in a measured soak: what the loader allocates once for being asked is no growth.
    session.look(channel::Look::Presence)?;
    run(&mut Noting { session, memory, histograms, last: None })
}
