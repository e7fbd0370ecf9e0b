//! One worker under orders: run to a target, wait for the quiet point, and notice whatever else happens instead.
//! Nothing read from the shared memory is trusted.

mod bounds;
mod goal;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

pub(super) use bounds::{Bounds, End};
use goal::Goal;
pub(super) use worker::{Outside, Worker};

use super::answers::Answers;
use super::failure;
use super::latency::Histograms;
use super::limits::Watch;
use super::loads::Loads;
use super::sandbox::Confinement;
use super::shares::shares;
use super::stall::Stall;
use super::{Context, Progress};
use crate::channel::{Channel, Clock, Failure, Look, Phase, read_bytes};
use crate::record::LimitReached;
use crate::sys::clock::Calibration;

/// How often a waiting supervisor looks around.
const TICK: Duration = Duration::from_millis(20);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// How long a worker may take to reach a quiet point once it is told to stop.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// A worker under orders.
pub(super) struct Session<'a, W = Worker> {
    pub(super) channel: Channel,
    pub(super) worker: W,
    /// What the worker was told to enter.
    pub(super) confinement: Option<Confinement>,
    /// Where the library was, cycle by cycle.
    pub(super) loads: Loads,
    /// Which build was opened in each, where two take turns.
    pub(super) answers: Option<Answers>,
    /// How long a tick of the worker's clock is.
    calibration: Calibration,
    bounds: Bounds,
    context: &'a Context<'a>,
    order: u32,
    /// Cycles each thread had completed at the last quiet point.
    completed: Vec<u64>,
    /// Whether the worker was asked for its state with the last order.
    has_state: bool,
    /// When progress was last told.
    told: Instant,
    watch: Watch,
    /// The limit that was reached.
    reached: Option<LimitReached>,
}

/// Why a worker was told to stop.
#[derive(Debug, Clone, Copy)]
enum Stop {
    Interrupted,
    TimeUp,
    Timeout(LimitReached),
}

impl<'a, W: Outside> Session<'a, W> {
    pub(super) fn new(
        channel: Channel,
        worker: W,
        confinement: Option<Confinement>,
        bounds: Bounds,
        context: &'a Context<'a>,
    ) -> Self {
        let completed = vec![0; channel.slots().len()];
        let now = worker.now();
        let watch = Watch::new(bounds.limits, now);
        let calibration = Calibration::new(Clock::from_u32(channel.header().clock.load(Relaxed)));
        Self {
            channel,
            worker,
            confinement,
            loads: Loads::default(),
            answers: None,
            calibration,
            bounds,
            context,
            order: 0,
            completed,
            has_state: false,
            told: now,
            watch,
            reached: None,
        }
    }

    /// The clock that the worker times phases by.
    pub(super) fn clock(&self) -> Clock {
        self.calibration.clock()
    }

    /// What the supervisor was told by its caller.
    pub(super) fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// Cycles completed at the last quiet point, all threads together.
    pub(super) fn completed(&self) -> u64 {
        self.completed.iter().sum()
    }

    /// Waits until the worker is set up and parked, with nothing opened yet.
    pub(super) fn ready(&mut self) -> Result<(), End> {
        self.carry_out(&Goal::of(vec![0; self.completed.len()]), &mut None)
    }

    /// Runs `cycles` more cycles on the first thread alone.
    pub(super) fn probe(&mut self, cycles: u64, histograms: &mut Histograms) -> Result<(), End> {
        let mut targets = self.completed.clone();
        if let Some(first) = targets.first_mut() {
            *first += cycles;
        }
        self.carry_out(&Goal::of(targets), &mut Some(histograms))
    }

    /// Has the first thread open and close one of several libraries, which is no cycle.
    pub(super) fn visit(&mut self, library: usize) -> Result<(), End> {
        let word = u32::try_from(library).map_or(u32::MAX, |library| library.saturating_add(1));
        self.channel.header().visit.store(word, Relaxed);
        let visited = self.carry_out(&Goal::of(self.completed.clone()), &mut None);
        self.channel.header().visit.store(0, Relaxed);
        visited
    }

    /// Has the worker write down its state at each quiet point from now on, or no more. Whoever takes a snapshot asks for it before the
    /// quiet point that it is of.
    pub(super) fn want_state(&self, wanted: bool) {
        self.channel.header().observe.store(u32::from(wanted), Relaxed);
    }

    /// Has the worker's one thread stay awake for the order that follows the next one, or no more. The kernel does not show
    /// where a thread that is awake has its stack, so nothing that depends on that can be read then.
    pub(super) fn want_awake(&self, wanted: bool) {
        let wanted = wanted && self.completed.len() == 1;
        self.channel.header().awake.store(u32::from(wanted), Relaxed);
    }

    /// Makes sure that the state that the worker has written down is of the present quiet point: has it do so once more, without a
    /// cycle, where it was not asked to.
    pub(super) fn ensure_state(&mut self) {
        if self.has_state {
            return;
        }
        self.want_state(true);
        // What else may be said of this moment was said already: it was a quiet point.
        let _ = self.carry_out(&Goal::of(self.completed.clone()), &mut None);
        self.want_state(false);
    }

    /// Has the worker ask the loader whether the files are there; how many are. No cycle runs.
    pub(super) fn look(&mut self, look: Look) -> Result<u32, End> {
        self.channel.header().look.store(look as u32, Relaxed);
        let goal = Goal::of(self.completed.clone());
        let looked = self.carry_out(&goal, &mut None);
        let header = self.channel.header();
        header.look.store(Look::None as u32, Relaxed);
        looked.map(|()| header.there.load(Relaxed))
    }

    /// Runs until `total` cycles are completed, shared evenly by the threads, and the worker is quiet.
    pub(super) fn advance(&mut self, total: u64, histograms: &mut Histograms) -> Result<(), End> {
        loop {
            // Anew each time: who took how many of those that are shared is not known before.
            let goals = shares(total, &self.completed);
            let targets: Vec<u64> = self
                .completed
                .iter()
                .zip(&goals)
                .map(|(done, goal)| (*goal).min(done.saturating_add(self.bounds.stride)).max(*done))
                .collect();
            if targets == self.completed {
                return Ok(());
            }
            self.carry_out(&Goal::shared(&self.completed, &targets), &mut Some(&mut *histograms))?;
        }
    }

    /// Lets the worker end by itself; `None` when it does not.
    pub(super) fn finish(&mut self) -> Option<std::process::ExitStatus> {
        // A soak that is over in a moment is looked at once as well.
        let mut first = Watch::new(self.bounds.limits, self.worker.now());
        if let Some(excess) = self.worker.look(&mut first) {
            self.exceeded(excess, false);
            return None;
        }
        let header = self.channel.header();
        header.exit.store(1, Release);
        self.worker.give(header, self.order.wrapping_add(1), false);
        let mut stall = Stall::new(self.worker.now());
        loop {
            let ended = self.worker.ended(TICK);
            if ended.is_some() {
                return ended;
            }
            let now = self.worker.now();
            let excess = self.watch.timeout(now).or_else(|| self.worker.look(&mut self.watch));
            if let Some(excess) = excess {
                self.exceeded(excess, false);
                return None;
            }
            if stall.look(now, 0) >= self.bounds.stall {
                return None;
            }
        }
    }

    /// The limit that was reached, if one was.
    pub(super) fn reached(&self) -> Option<LimitReached> {
        self.reached
    }

    /// The limits as the record has them.
    pub(super) fn limits(&self) -> Vec<crate::record::Limit> {
        self.watch.limits().to_record(self.reached.as_ref())
    }

    /// How the end of the process is to be told.
    pub(super) fn died(&mut self, status: std::process::ExitStatus) -> End {
        match self.watch.ended_for(status) {
            Some(excess) => self.exceeded(excess, false),
            None => End::Died(status),
        }
    }

    fn exceeded(&mut self, reached: LimitReached, quiet: bool) -> End {
        self.reached = Some(reached);
        if !quiet {
            // At once: what grows does not stop to grow.
            self.worker.kill();
        }
        End::Limit { reached, quiet }
    }

    /// Where the worker was when it stopped answering: cycle and phase of the thread that is inside a library.
    pub(super) fn position(&self) -> (u64, Phase) {
        let all = self.cycling();
        let inside = all.iter().find(|(.., phase)| *phase != Phase::Between).or(all.first());
        inside.map_or((0, Phase::Between), |(_, cycle, phase)| (*cycle, *phase))
    }

    /// Each cycling thread: its number, as the process itself has it, its cycle and phase.
    pub(super) fn cycling(&self) -> Vec<(i32, u64, Phase)> {
        let of = |slot: &crate::channel::Slot| {
            let thread = i32::try_from(slot.thread.load(Relaxed)).unwrap_or(0);
            (thread, slot.completed.load(Acquire), Phase::from_u32(slot.phase.load(Relaxed)))
        };
        self.channel.slots().iter().map(of).collect()
    }

    /// Position of one thread.
    pub(super) fn position_of(&self, thread: usize) -> (u64, Phase) {
        self.cycling().get(thread).map_or((0, Phase::Between), |(_, cycle, phase)| (*cycle, *phase))
    }

    fn carry_out(&mut self, goal: &Goal, histograms: &mut Option<&mut Histograms>) -> Result<(), End> {
        let header = self.channel.header();
        for (slot, target) in self.channel.slots().iter().zip(&goal.targets) {
            slot.target.store(*target, Relaxed);
        }
        header.shared.store(goal.shared, Relaxed);
        self.has_state = header.observe.load(Relaxed) != 0;
        self.order = self.order.wrapping_add(1);
        let active = header.active_ns.load(Relaxed);
        self.worker.give(header, self.order, histograms.is_some());
        let end = self.wait_done(goal);
        let stopped = u64::try_from(self.worker.leave_alone().as_nanos()).unwrap_or(u64::MAX);
        if stopped > 0 {
            // The worker, which alone adds to it otherwise, is parked or gone.
            let header = self.channel.header();
            let ran = header.active_ns.load(Relaxed).saturating_sub(active).saturating_sub(stopped);
            header.active_ns.store(active.saturating_add(ran), Relaxed);
        }
        // Also after a crash: what was measured up to it is in the rings.
        self.collect(histograms);
        let failed = self.failure();
        match (end, failed) {
            (Ok(()) | Err(End::TimeUp), Some((failed, _))) => Err(failed),
            // It ends when it can't begin, and when it calls a function of its real host.
            (Err(End::Died(_)), Some((failed, true))) => Err(failed),
            // It parks when all is done or says why not.
            (Ok(()), None) if !goal.is_reached(&self.completed) => Err(End::Scribbled),
            (end, _) => end,
        }
    }

    fn wait_done(&mut self, goal: &Goal) -> Result<(), End> {
        let header = self.channel.header();
        let mut stall = Stall::new(self.worker.now());
        let mut stopping: Option<(Instant, Stop)> = None;
        loop {
            let done = header.done.load(Acquire);
            if done == self.order {
                return match stopping {
                    None => match self.worker.look(&mut self.watch) {
                        Some(excess) => Err(self.exceeded(excess, true)),
                        None => Ok(()),
                    },
                    Some((_, Stop::Interrupted)) => Err(End::Interrupted { quiet: true }),
                    Some((_, Stop::TimeUp)) => Err(End::TimeUp),
                    Some((_, Stop::Timeout(excess))) => Err(self.exceeded(excess, true)),
                };
            }
            if let Some(status) = self.worker.ended(Duration::ZERO) {
                return Err(self.died(status));
            }
            // Nobody but us has stopped it then, so that time does not count as a stall.
            let held = self.worker.disturb(&|| header.done.load(Acquire) == self.order);
            stall.excuse(held);
            let now = self.worker.now();
            // No thread makes more cycles than its own and all that are shared; a count that says so is not the worker's.
            let counts = self.channel.slots().iter().zip(&goal.targets);
            let sum = counts
                .map(|(slot, target)| slot.completed.load(Relaxed).min(target.saturating_add(goal.shared)))
                .fold(0, u64::saturating_add);
            if stall.look(now, sum) >= self.bounds.stall {
                return Err(End::Hung);
            }
            match stopping {
                None => {
                    if let Some(why) = self.to_stop(now) {
                        header.stop.store(1, Relaxed);
                        stopping = Some((now, why));
                    }
                }
                Some((since, why)) if now.saturating_duration_since(since) > STOP_GRACE => match why {
                    Stop::Interrupted => return Err(End::Interrupted { quiet: false }),
                    Stop::Timeout(excess) => return Err(self.exceeded(excess, false)),
                    Stop::TimeUp => {}
                },
                Some(_) => {}
            }
            if let Some(excess) = self.worker.look(&mut self.watch) {
                return Err(self.exceeded(excess, false));
            }
            if now.saturating_duration_since(self.told) >= TELL_EVERY {
                self.told = now;
                let resident = self.worker.resident();
                (self.context.progress)(Progress::Cycles { completed: sum, resident });
            }
            self.worker.wait(&header.done, done);
        }
    }

    /// Why the worker is to stop at its next quiet point, if it is.
    fn to_stop(&self, now: Instant) -> Option<Stop> {
        if self.context.interrupted.load(Relaxed) {
            return Some(Stop::Interrupted);
        }
        let time_up = self.bounds.deadline.filter(|deadline| now >= *deadline).map(|_| Stop::TimeUp);
        self.watch.timeout(now).map(Stop::Timeout).or(time_up)
    }

    /// Takes what the rings hold since the last quiet point.
    fn collect(&mut self, histograms: &mut Option<&mut Histograms>) {
        let ns_per_tick = self.calibration.ns_per_tick();
        for (thread, (slot, before)) in self.channel.slots().iter().zip(&mut self.completed).enumerate() {
            let ring = self.channel.ring(thread);
            let now = slot.completed.load(Acquire);
            let first = *before;
            let count = usize::try_from(now.saturating_sub(*before)).unwrap_or(usize::MAX).min(ring.len());
            self.loads.add(thread, first, &ring[..count]);
            if let Some(answers) = &mut self.answers {
                answers.add(first, &ring[..count]);
            }
            if let Some(histograms) = histograms {
                histograms.add(&ring[..count], ns_per_tick);
            }
            *before += count as u64;
        }
        if let Some(histograms) = histograms {
            histograms.quiet();
        }
    }

    /// The function of its real host that the library called, and on which of the cycling threads, where that ended the process.
    pub(super) fn host_call(&self) -> Option<(usize, String)> {
        match self.failure() {
            Some((End::NeedsHost { thread, called }, _)) => Some((thread, called)),
            _ => None,
        }
    }

    /// Why a thread can't go on, if one can't, and whether the process ends for that reason.
    fn failure(&self) -> Option<(End, bool)> {
        if self.channel.header().failed.load(Acquire) == 0 {
            return None;
        }
        let slots = self.channel.slots().iter().enumerate();
        let failed =
            slots.filter_map(|(t, s)| Some((t, s, Failure::from_u32(s.failure.load(Acquire))?))).next();
        // A thread that fails says why.
        let Some((thread, slot, why)) = failed else { return Some((End::Scribbled, false)) };
        let said = read_bytes(self.channel.error(thread), slot.error_len.load(Relaxed) as usize);
        if why == Failure::NeedsHost {
            let called = String::from_utf8_lossy(&said).into_owned();
            return Some((End::NeedsHost { thread, called }, true));
        }
        let (number, returned) = (slot.failure_number.load(Relaxed), slot.returned.load(Relaxed));
        let failure = failure::read(why, number, returned, &String::from_utf8_lossy(&said));
        Some((End::Failed { thread, failure: Box::new(failure) }, why.is_before_the_first_cycle()))
    }
}
