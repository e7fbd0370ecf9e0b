//! One soak over a session: each step of its course, and what was measured, put into the record, however the soak ended.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::allowances::Allowances;
use super::answers::Answers;
use super::causes::{self, Pending};
use super::course::{self, Steps};
use super::end;
use super::instances;
use super::kinds::Kinds;
use super::latency::Histograms;
use super::original::Original;
use super::pointers;
use super::residue;
use super::series::{self, Series};
use super::session::{End, Outside as _, Session};
use super::staging::Staging;
use super::together;
use super::unload::Watch;
use super::{Context, Progress, has_one_trace};
use crate::channel;
use crate::elf;
use crate::fault::Fault;
use crate::record::{
    Agent, Build, Doubt, LoadCause, Measured, Mode, Note, Pass, PassMade, Replaced, Residue,
};
use crate::suite::plan::{Purpose, SoakPlan};
use crate::suite::variants::GOGC;
use crate::sys::{c_library, clock};

/// How long after the last time what was measured is told again, at least and at most; in between, a tenth of the time
/// that the soak has taken.
const TOLD_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Cycles of each build that run alone, where two take turns.
const ALONE: u64 = 8;

/// Cycles of each thread's before the first look at what may run out, and then twice as many each time.
const FIRST_WARM: u64 = 4;
/// The warm-up is over when what it takes runs out within this many times the cycles that it has had: most of those before are to be
/// measured, and all that is judged comes from their last half.
const OUTLASTS: u64 = 16;

/// A library, as its file was when the soak began.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) facts: elf::Facts,
    pub(super) original: Original,
}

/// A soak under way.
pub(super) struct Measurement<'a> {
    plan: &'a SoakPlan,
    /// Cycles of the warm-up.
    warmup: u64,
    session: Session<'a>,
    staging: Staging,
    /// As many as a cycle opens.
    libraries: Vec<Library>,
    /// What each of them does, where there are several.
    together: Option<together::Watch>,
    /// Another build, where it replaces the one library.
    other: Option<Library>,
    /// What the heap grew by in each of some cycles that ran alone, and which build they opened.
    grown: Vec<(usize, i64)>,
    series: Series,
    /// How much the worker may have.
    allowances: Allowances,
    /// Memory by kind, where it is wanted.
    kinds: Option<Kinds>,
    unload: Watch,
    /// Thread-local destructors that were pending at the last look.
    pending: Vec<Pending>,
    /// What else is left behind.
    residue: residue::Watch,
    warm: Histograms,
    histograms: Histograms,
    /// Whether a thread at a checkpoint may stay awake: nothing that disturbs it sees whether it is parked.
    may_stay_awake: bool,
    began: Instant,
    /// When what was measured was last told.
    told: Instant,
}

impl<'a> Measurement<'a> {
    pub(super) fn new(
        plan: &'a SoakPlan,
        warmup: u64,
        session: Session<'a>,
        staging: Staging,
        libraries: Vec<Library>,
        other: Option<Library>,
    ) -> Result<Self, Fault> {
        let histograms = || Histograms::new().map_err(Fault::new);
        Ok(Self {
            plan,
            warmup,
            may_stay_awake: session.worker.has_spare_cpu() && plan.chaos.is_empty(),
            session,
            staging,
            series: Series::new(plan.mode != Mode::Namespace),
            allowances: Allowances::default(),
            kinds: (plan.purpose == Purpose::Everything).then(Kinds::default),
            unload: Watch::new(plan.mode),
            pending: Vec::new(),
            residue: residue::Watch::new(libraries.iter().chain(&other)),
            libraries,
            together: together::Watch::new(plan),
            other,
            grown: Vec::new(),
            warm: histograms()?,
            histograms: histograms()?,
            began: Instant::now(),
            told: Instant::now(),
        })
    }

    /// Runs the soak and fills in what was measured.
    ///
    /// Returns why the heap's figures are to be doubted.
    pub(super) fn carry_out(mut self, soak: &mut Measured) -> Option<Doubt> {
        let end = course::run(self.plan, self.warmup, &mut self, soak);
        // Whether a limit is seen at a quiet point of the warm-up or between two is chance, and between two there is no state to read. So what
        // was left is read in neither case: c-limit-threads was residue in three of four runs.
        let limited = matches!(end, Err(End::Limit { .. })) && self.measured() == 0;
        if end.as_ref().err().is_none_or(End::is_quiet) && !limited {
            self.session.ensure_state();
            let done = self.measured();
            self.residue.last(done, &mut self.session);
            if let Some(kinds) = &mut self.kinds {
                kinds.last(done, &self.session.worker.sampler, &self.staging);
            }
        }
        // What happens while the worker ends by itself is told only where all went well before.
        let extent = self.other.as_ref().map_or(0, |other| other.facts.extent);
        let facts = &mut self.libraries[0].facts;
        facts.extent = facts.extent.max(extent);
        let mut ending = end::Ending {
            session: &mut self.session,
            staging: &self.staging,
            libraries: &self.libraries,
            plan: self.plan,
        };
        soak.outcome = match end {
            Ok(decided) => ending.at_exit(decided),
            Err(end) => ending.outcome(end),
        };
        self.session.worker.process.kill();
        let doubt = self.series.check.doubt().filter(|_| soak.worker.agent == Agent::Counting);
        if doubt.is_some() {
            // It is made again; what follows here asks more of the machine than of these figures.
            return doubt;
        }
        soak.limits = self.session.limits();
        // What stays is the build that answered last.
        let stays = self.session.answers.as_ref().and_then(Answers::last);
        stays.into_iter().for_each(|build| self.staging.stays(build));
        self.fill(soak);
        if instances::may_stay(self.plan.mode) {
            soak.instances = instances::instances(&soak.checkpoints);
        }
        if let Some(instances) = &mut soak.instances {
            let facts = &self.libraries[0].facts;
            instances::explain(instances, &mut soak.outcome, facts, self.plan.mode);
        }
        if !matches!(self.plan.purpose, Purpose::Share { .. } | Purpose::Collected | Purpose::OtherHost) {
            soak.latency_ns = self.histograms.to_record();
            soak.warmup_latency_ns = self.warm.to_record();
            soak.latency_over_time = self.histograms.over_time();
        }
        soak.resident_by_kind = self.kinds.as_ref().and_then(Kinds::to_record);
        let (mut residue, of_host) = self.residue.find(soak);
        if let Some(together) = &self.together {
            let named = |found: Residue| {
                let by = together.left_by(&found);
                found.left_by(by)
            };
            residue = residue.into_iter().map(named).collect();
        }
        soak.residue = residue;
        for (path, count) in of_host {
            let object = path.rsplit('/').next().unwrap_or(&path).to_owned();
            soak.notes.push(Note::ThreadsOfHost { object, count });
        }
        let killed = self.session.worker.process.others();
        if killed > 0 {
            soak.notes.push(Note::ProcessesKilled { count: killed });
        }
        soak.worker.output_tail = self.session.worker.process.output_tail();
        if has_one_trace(self.plan, soak) {
            let tally = self.session.worker.process.collections();
            // Where it did not run, or its lines can't be read, there is nothing to tell.
            soak.collections = tally.and_then(|tally| tally.collections(GOGC.into()).ok());
        }
        soak.notes.extend(self.unload.notes(&self.staging));
        if matches!(self.plan.purpose, Purpose::Everything | Purpose::OtherHost) {
            let context = self.session.context();
            let other = self.other.as_ref().filter(|_| stays == Some(1));
            let libraries = other.map_or(&self.libraries[..], std::slice::from_ref);
            let (staging, unload, pending) = (&self.staging, &self.unload, &self.pending);
            causes::find(soak, self.plan, libraries, staging, unload, pending, context);
        }
        doubt
    }
}

impl Measurement<'_> {
    /// Runs some cycles alone, where two builds take turns, so that what each of them leaves on the heap is known.
    fn by_build(&mut self) -> Result<(), End> {
        if self.session.answers.is_none() {
            return Ok(());
        }
        let heap = |session: &Session<'_>| series::observation(&session.channel).heap;
        for _ in 0..2 * ALONE {
            let before = heap(&self.session);
            self.session.probe(1, &mut self.warm)?;
            let build = self.session.answers.as_ref().and_then(Answers::last);
            let grown = before.zip(heap(&self.session));
            let grown = grown.map(|(before, now)| now.cast_signed() - before.cast_signed());
            self.grown.extend(build.zip(grown));
        }
        Ok(())
    }

    /// Which build answered, where two take turns.
    fn replaced(&self, build_id: Option<&String>) -> Option<Replaced> {
        let answers = self.session.answers.as_ref()?;
        let other = self.plan.replace.as_ref()?.path();
        let of = |build: usize, path: &Path, build_id: Option<&String>| {
            let mut grown = self.grown.iter().filter(|(of, _)| *of == build).map(|(_, grown)| *grown);
            let first = grown.next();
            Build {
                path: path.to_string_lossy().into_owned(),
                build_id: build_id.cloned(),
                heap_per_load: first.filter(|first| grown.all(|other| other == *first)),
                answered: 0,
            }
        };
        let other_id = self.other.as_ref().and_then(|other| other.facts.build_id.as_ref());
        Some(answers.to_record([of(0, &self.plan.path, build_id), of(1, other, other_id)]))
    }
}

impl Steps for Measurement<'_> {
    fn begin(&mut self, soak: &mut Measured, alone: bool) -> Result<bool, End> {
        self.session.want_state(true);
        self.session.ready()?;
        if let Some(confinement) = &self.session.confinement {
            soak.sandbox = Some(confinement.to_record(self.session.channel.header()));
        }
        if self.plan.purpose == Purpose::Everything
            && let Err(error) = self.session.worker.observe()
        {
            soak.notes.push(Note::Unwatched { errno: error as i32 });
        }
        if self.plan.mode == Mode::Reopen {
            self.session.worker.sampler.watch(&self.staging.files());
        }
        self.unload.start(&self.session, &self.staging);
        let before = self.session.worker.sample().map_err(|error| gone(&mut self.session, &error))?;
        self.series.before_first_open(&self.session.channel, &before);
        let keys = self.session.channel.header().state.keys_most.load(Relaxed);
        self.allowances = Allowances::of(self.session.worker.process.pid(), keys, self.plan.allowance);
        // The answer is known; asked so that what the loader allocates for it once is not taken for growth.
        self.session.look(channel::Look::Presence)?;
        self.session.ensure_state();
        self.residue.start(&mut self.session);
        if let Some(together) = self.together.as_mut().filter(|_| self.plan.purpose == Purpose::Everything) {
            together.visit(&mut self.session, &self.series)?;
        }
        self.session.want_state(false);
        if alone {
            // Alone, so that what one load adds can be told even where threads share a path later.
            self.session.probe(1, &mut self.warm)?;
            self.residue.loaded(&self.session);
            self.unload.before_probe(&self.session);
            self.session.probe(1, &mut self.warm)?;
            self.unload.after_probe(&self.session);
        }
        Ok(instances::may_stay(self.plan.mode) && self.unload.stays())
    }

    fn warm_up(&mut self, cycles: u64) -> Result<Option<u64>, End> {
        let first = FIRST_WARM.saturating_mul(self.plan.threads.into());
        let looks = std::iter::successors(Some(first), |at| at.checked_mul(2));
        let mut before: Option<Vec<i64>> = None;
        let mut runs_out = None;
        for at in looks.take_while(|at| *at < cycles).chain([cycles]) {
            self.session.advance(at, &mut self.warm)?;
            let sample = self.session.worker.sample().map_err(|error| gone(&mut self.session, &error))?;
            let now = self.series.look(at, &self.session.channel, &sample);
            let points = &self.series.checkpoints;
            // One mapping more at the last look does not say what becomes of 65,530.
            let last = cycles.saturating_add(self.plan.cycles).min(at.saturating_mul(OUTLASTS));
            runs_out = before
                .and_then(|before| self.allowances.run_out(points, &before, &now))
                .filter(|total| *total <= last);
            before = Some(now);
            if self.plan.warmup.is_none() && runs_out.is_some() {
                break;
            }
        }
        if cycles > 0 {
            self.by_build()?;
        }
        self.warmup = self.session.completed();
        Ok(runs_out.map(|total: u64| total.saturating_sub(self.warmup)))
    }

    fn advance(&mut self, cycle: u64) -> Result<(), End> {
        let looks = self.residue.looks_next();
        let looks_at_threads = looks || self.kinds.as_ref().is_some_and(Kinds::may_look_next);
        self.session.want_state(looks);
        self.session.want_awake(!looks_at_threads && self.may_stay_awake);
        let reached = self.session.advance(self.warmup.saturating_add(cycle), &mut self.histograms);
        self.session.want_awake(false);
        self.session.want_state(false);
        // Before the checkpoint, which would be that of another file. Where a load failed, that is said with the failure.
        match &reached {
            Err(End::Failed { .. }) => reached,
            Err(end) if !end.is_quiet() => reached,
            _ => {
                let mut files = self.libraries.iter_mut().chain(&mut self.other);
                let change = files.find_map(|library| library.original.change());
                change.map_or(reached, |change| Err(End::FileChanged(change)))
            }
        }
    }

    fn measured(&self) -> u64 {
        self.session.completed().saturating_sub(self.warmup)
    }

    fn take(&mut self) -> Result<(), End> {
        let done = self.measured();
        let sample = self.session.worker.sample().map_err(|error| gone(&mut self.session, &error))?;
        self.series.take(done, &self.session.channel, &sample);
        self.session.worker.process.completed(done);
        self.allowances.checkpoint(self.session.worker.process.pid(), &sample);
        if let Some(kinds) = &mut self.kinds {
            kinds.checkpoint(done, sample.mappings, &self.session.worker.sampler, &self.staging);
        }
        self.unload.observe(&self.session, &sample, &self.staging);
        if self.residue.looks_next() {
            self.session.ensure_state();
        }
        self.residue.checkpoint(done, &mut self.session);
        if let Some(together) = &mut self.together {
            together.checkpoint(done, &self.session.channel);
        }
        Ok(())
    }

    fn series(&mut self) -> &mut Series {
        &mut self.series
    }

    fn look(&mut self) -> Result<(), End> {
        // The other modes open other files than those of the job, or open them in another namespace.
        if self.plan.mode == Mode::Reopen {
            self.pending = causes::pending(&self.session);
            let there = self.session.look(channel::Look::Presence)?;
            self.unload.looked(there);
        }
        Ok(())
    }

    fn seek_lost(&mut self, soak: &mut Measured, cycles: u64) {
        let began = Instant::now();
        let plan = self.plan.for_pointers(cycles);
        let plan = SoakPlan { allowance: plan.allowance.after(self.began.elapsed()), ..plan };
        // Its progress is not that of the soak.
        let context = Context { progress: &|_| {}, ..*self.session.context() };
        soak.lost = pointers::lost(&plan, soak, &context).ok();
        let cycles = soak.lost.as_ref().map_or(0, |lost| lost.cycles);
        let (seconds, agent) = (began.elapsed().as_secs_f64(), soak.worker.agent);
        soak.passes.push(PassMade { pass: Pass::Lost, cycles, seconds, agent });
    }

    fn tell(&mut self, soak: &mut Measured) {
        let (least, most) = TOLD_AGAIN;
        if self.told.elapsed() >= (self.began.elapsed() / 10).clamp(least, most) {
            self.fill(soak);
            soak.latency_ns = self.histograms.to_record();
            soak.warmup_latency_ns = self.warm.to_record();
            (self.session.context().progress)(Progress::Checkpoint(soak));
            self.told = Instant::now();
        }
    }

    fn fill(&self, soak: &mut Measured) {
        let totals = self.series.totals();
        let completed = self.session.completed();
        soak.cycles.warmup = completed.min(self.warmup);
        soak.cycles.completed = completed - soak.cycles.warmup;
        soak.seconds = totals.active_ns as f64 / 1e9;
        soak.checkpoints = self.series.checkpoints.clone();
        if !self.plan.chaos.is_empty() {
            soak.chaos = self.session.worker.disturber.to_record();
        }
        soak.allowances = self.allowances.to_record();
        soak.one_time = series::one_time(&soak.checkpoints);
        self.unload.finish(&totals, &soak.checkpoints, &self.staging, &mut soak.unload);
        if let Some(together) = &self.together {
            let stays = self.unload.stays_of_each(&self.staging);
            soak.together = together.to_record(self.plan, &self.libraries, &stays, soak.worker.agent);
        }
        soak.replaced = self.replaced(soak.build_id.as_ref());
        soak.worker.clock = Some(clock::recorded(self.session.clock()));
        soak.worker.objects = self.session.worker.named(self.unload.at_start());
        soak.worker.libc = c_library::version(self.plan.libc).to_owned();
        soak.worker.page_size = procfs::page_size();
    }
}

/// The worker died while it was parked, so that `/proc` could not be read.
pub(super) fn gone(session: &mut Session<'_>, error: &procfs::ProcError) -> End {
    match session.worker.ended(Duration::from_secs(1)) {
        Some(status) => session.died(status),
        // What makes a process unreadable to its user: PR_SET_DUMPABLE, another user, other capabilities.
        None => End::of(LoadCause::ProcessUnreadable { problem: error.to_string() }),
    }
}
