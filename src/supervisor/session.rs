//! One worker under orders: run to a target, wait for the quiet point, and notice whatever else happens instead.
//! Nothing read from the shared memory is trusted.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::latency::Histograms;
use super::loads::Loads;
use super::process::WorkerProcess;
use super::{Context, Progress};
use crate::channel::{Channel, Look, Phase, read_bytes};
use crate::observer::{Capture, Observer, Seen};
use crate::sampling::Sampler;
use crate::sys::futex;

/// How often a waiting supervisor looks around.
const TICK: Duration = Duration::from_millis(20);
/// How often memory is looked at and progress told.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a worker may take to reach a quiet point once it is told to stop.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Longest that a look at the worker's threads may take.
const LOOK_WITHIN: Duration = Duration::from_secs(3);

/// Why a session went no further.
#[derive(Debug)]
pub(super) enum End {
    /// A thread reported an error.
    Failed { thread: usize, message: String },
    /// The process ended.
    Died(std::process::ExitStatus),
    /// No cycle finished within the stall timeout.
    Hung,
    /// The person interrupted; the flag says whether the worker reached a quiet point.
    Interrupted { quiet: bool },
    /// The time given to the soak is over; the worker is at a quiet point.
    TimeUp,
    /// More resident memory than allowed, both in bytes.
    Memory { resident: u64, limit: u64 },
}

/// What bounds a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// No cycle finished for this long: hung.
    pub(super) stall: Duration,
    /// Resident memory in bytes.
    pub(super) memory: Option<u64>,
    /// When to stop, completed or not.
    pub(super) deadline: Option<Instant>,
    /// Most cycles of a thread between two quiet points.
    pub(super) stride: u64,
}

/// A worker under orders.
pub(super) struct Session<'a> {
    pub(super) channel: Channel,
    pub(super) process: WorkerProcess,
    pub(super) sampler: Sampler,
    /// Where the library was, cycle by cycle.
    pub(super) loads: Loads,
    /// Watches the worker's threads, where that is wanted and allowed.
    observer: Option<Observer>,
    bounds: Bounds,
    context: &'a Context<'a>,
    order: u32,
    /// Cycles each thread had completed at the last quiet point.
    completed: Vec<u64>,
    /// When memory was last looked at and progress told.
    looked: Instant,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        channel: Channel,
        process: WorkerProcess,
        sampler: Sampler,
        bounds: Bounds,
        context: &'a Context<'a>,
    ) -> Self {
        let completed = vec![0; channel.slots().len()];
        Self {
            channel,
            process,
            sampler,
            loads: Loads::default(),
            observer: None,
            bounds,
            context,
            order: 0,
            completed,
            looked: Instant::now(),
        }
    }

    /// Watches the worker's threads from now on. To be asked while they are parked and nothing was opened yet.
    ///
    /// # Errors
    /// Why that can't be done.
    pub(super) fn observe(&mut self) -> Result<(), Errno> {
        self.observer = Some(Observer::start(self.process.pid())?);
        Ok(())
    }

    /// Makes sure that being watched does not show in what is counted next.
    pub(super) fn settle(&self) {
        if let Some(observer) = &self.observer {
            observer.settle(LOOK_WITHIN);
        }
    }

    /// What was seen of the worker's end, or up to now.
    pub(super) fn seen(&mut self) -> Seen {
        match (&mut self.observer, self.process.ended()) {
            (None, _) => Seen::default(),
            (Some(observer), None) => observer.seen(),
            (Some(observer), Some(_)) => observer.end(),
        }
    }

    /// Where all threads of the worker are; `None` where that can't be seen.
    pub(super) fn look_at_threads(&self) -> Option<Capture> {
        self.observer.as_ref()?.look(LOOK_WITHIN)
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
        self.carry_out(&vec![0; self.completed.len()], &mut None)
    }

    /// Runs `cycles` more cycles on the first thread alone.
    pub(super) fn probe(&mut self, cycles: u64, histograms: &mut Histograms) -> Result<(), End> {
        let mut targets = self.completed.clone();
        if let Some(first) = targets.first_mut() {
            *first += cycles;
        }
        self.carry_out(&targets, &mut Some(histograms))
    }

    /// Has the worker ask the loader whether the files are there; how many are. No cycle runs.
    pub(super) fn look(&mut self, look: Look) -> Result<u32, End> {
        self.channel.header().look.store(look as u32, Relaxed);
        let targets = self.completed.clone();
        let looked = self.carry_out(&targets, &mut None);
        let header = self.channel.header();
        header.look.store(Look::None as u32, Relaxed);
        looked.map(|()| header.there.load(Relaxed))
    }

    /// Runs until `total` cycles are completed, shared evenly by the threads, and the worker is quiet.
    pub(super) fn advance(&mut self, total: u64, histograms: &mut Histograms) -> Result<(), End> {
        let goals = shares(total, &self.completed);
        loop {
            let targets: Vec<u64> = self
                .completed
                .iter()
                .zip(&goals)
                .map(|(done, goal)| (*goal).min(done.saturating_add(self.bounds.stride)).max(*done))
                .collect();
            if targets == self.completed {
                return Ok(());
            }
            self.carry_out(&targets, &mut Some(&mut *histograms))?;
        }
    }

    /// Lets the worker end by itself; `None` when it does not.
    pub(super) fn finish(&mut self) -> Option<std::process::ExitStatus> {
        let header = self.channel.header();
        header.exit.store(1, Release);
        header.order.store(self.order.wrapping_add(1), Release);
        futex::wake_all(&header.order);
        self.process.wait(self.bounds.stall)
    }

    /// Where the worker was when it stopped answering: cycle and phase of the thread that is inside a library.
    pub(super) fn position(&self) -> (u64, Phase) {
        let slots = self.channel.slots();
        let at =
            |s: &crate::channel::Slot| (s.completed.load(Acquire), Phase::from_u32(s.phase.load(Relaxed)));
        let inside = slots.iter().map(at).find(|(_, phase)| *phase != Phase::Between);
        inside.or_else(|| slots.first().map(at)).unwrap_or((0, Phase::Between))
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
        self.channel.slots().get(thread).map_or((0, Phase::Between), |slot| {
            (slot.completed.load(Acquire), Phase::from_u32(slot.phase.load(Relaxed)))
        })
    }

    fn carry_out(&mut self, targets: &[u64], histograms: &mut Option<&mut Histograms>) -> Result<(), End> {
        let header = self.channel.header();
        for (slot, target) in self.channel.slots().iter().zip(targets) {
            slot.target.store(*target, Relaxed);
        }
        self.order = self.order.wrapping_add(1);
        header.order.store(self.order, Release);
        futex::wake_all(&header.order);
        let end = self.wait_done();
        // Also after a crash: what was measured up to it is in the rings.
        self.collect(histograms);
        let failed = self.failure();
        match (end, failed) {
            (Ok(()) | Err(End::TimeUp), Some(failed)) => Err(failed),
            (end, _) => end,
        }
    }

    fn wait_done(&mut self) -> Result<(), End> {
        let header = self.channel.header();
        let mut last_sum = u64::MAX;
        let mut last_move = Instant::now();
        let mut stopping: Option<(Instant, bool)> = None;
        loop {
            let done = header.done.load(Acquire);
            if done == self.order {
                return match stopping {
                    None => Ok(()),
                    Some((_, true)) => Err(End::Interrupted { quiet: true }),
                    Some((_, false)) => Err(End::TimeUp),
                };
            }
            if let Some(status) = self.process.ended() {
                return Err(End::Died(status));
            }
            let sum: u64 =
                self.channel.slots().iter().map(|s| s.completed.load(Relaxed)).fold(0, u64::saturating_add);
            if sum != last_sum {
                (last_sum, last_move) = (sum, Instant::now());
            } else if last_move.elapsed() >= self.bounds.stall {
                return Err(End::Hung);
            }
            let interrupted = self.context.interrupted.load(Relaxed);
            let time_up = self.bounds.deadline.is_some_and(|d| Instant::now() >= d);
            match stopping {
                None if interrupted || time_up => {
                    header.stop.store(1, Relaxed);
                    stopping = Some((Instant::now(), interrupted));
                }
                Some((since, true)) if since.elapsed() > STOP_GRACE => {
                    return Err(End::Interrupted { quiet: false });
                }
                _ => {}
            }
            if self.looked.elapsed() >= LOOK_EVERY {
                self.looked = Instant::now();
                let resident = self.sampler.resident();
                if let (Some(limit), Some(resident)) = (self.bounds.memory, resident)
                    && resident > limit
                {
                    return Err(End::Memory { resident, limit });
                }
                (self.context.progress)(Progress::Cycles { completed: sum, resident });
            }
            futex::wait(&header.done, done, Some(TICK));
        }
    }

    /// Takes what the rings hold since the last quiet point.
    fn collect(&mut self, histograms: &mut Option<&mut Histograms>) {
        for (thread, (slot, before)) in self.channel.slots().iter().zip(&mut self.completed).enumerate() {
            let ring = self.channel.ring(thread);
            let now = slot.completed.load(Acquire);
            let first = *before;
            let count = usize::try_from(now.saturating_sub(*before)).unwrap_or(usize::MAX).min(ring.len());
            self.loads.add(thread, first, &ring[..count]);
            if let Some(histograms) = histograms {
                histograms.add(&ring[..count]);
            }
            *before += count as u64;
        }
        if let Some(histograms) = histograms {
            histograms.quiet();
        }
    }

    fn failure(&self) -> Option<End> {
        if self.channel.header().failed.load(Acquire) == 0 {
            return None;
        }
        let slots = self.channel.slots().iter().enumerate();
        let failed = slots.map(|(t, s)| (t, s.error_len.load(Acquire))).find(|(_, len)| *len > 0);
        let (thread, len) = failed.unwrap_or((0, 0));
        let message = read_bytes(self.channel.error(thread), len as usize);
        Some(End::Failed { thread, message: String::from_utf8_lossy(&message).into_owned() })
    }
}

/// Splits `total` cycles so that all threads end up with the same count, give or take one, but none with less than
/// it has completed.
fn shares(total: u64, completed: &[u64]) -> Vec<u64> {
    let mut shares = completed.to_vec();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|i| completed[*i]);
    let mut left = total.saturating_sub(completed.iter().sum());
    // Raise the lowest to the level of the next, as far as the cycles go; then spread what is left.
    for lowest in 1..=order.len() {
        let level = completed[order[lowest - 1]];
        let next = order.get(lowest).map_or(u64::MAX, |i| completed[*i]);
        let room = (next - level).saturating_mul(lowest as u64);
        let spent = left.min(room);
        let (each, extra) = (spent / lowest as u64, spent % lowest as u64);
        for (position, thread) in order.iter().take(lowest).enumerate() {
            shares[*thread] += each + u64::from((position as u64) < extra);
        }
        left -= spent;
        if left == 0 {
            break;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_shared_evenly() {
        assert_eq!(shares(100, &[0]), [100]);
        assert_eq!(shares(10, &[0, 0, 0, 0]), [3, 3, 2, 2]);
        assert_eq!(shares(10, &[2, 0, 0, 0]), [2, 3, 3, 2]);
        assert_eq!(shares(3, &[2, 0]), [2, 1]);
        assert_eq!(shares(1, &[2, 0]), [2, 0]);
        assert_eq!(shares(100, &[5, 5]), [50, 50]);
    }

    #[test]
    fn shares_always_add_up() {
        for total in 0..60 {
            for completed in [[0, 0, 0], [7, 0, 1], [3, 3, 2], [20, 1, 0]] {
                let shares = shares(total, &completed);
                let sum: u64 = shares.iter().sum();
                assert_eq!(sum, total.max(completed.iter().sum()), "{total} {completed:?}");
                assert!(shares.iter().zip(completed).all(|(s, c)| *s >= c));
            }
        }
    }
}
