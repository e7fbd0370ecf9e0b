//! The worker beside the channel: its process, what it uses, what disturbs and watches it, and the time. A session reaches it only
//! through the trait [`Outside`], so that a test plays a worker in a time of its own.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering::Release};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::TICK;
use crate::channel::Header;
use crate::elf::stubs;
use crate::observer::{Capture, Observer, Seen};
use crate::record::LimitReached;
use crate::sampling::{Sample, Sampler};
use crate::supervisor::chaos::Disturber;
use crate::supervisor::image;
use crate::supervisor::limits::Watch;
use crate::supervisor::private::PrivateDirectory;
use crate::supervisor::process::WorkerProcess;
use crate::sys::futex;

/// Longest that a look at the worker's threads may take.
const LOOK_WITHIN: Duration = Duration::from_secs(3);

/// How long to stay awake for an answer before sleeping until it comes. Waking a sleeper on another CPU of a virtual machine took 0.04 ms here,
/// which is as long as a cycle of a small library. Where the answer before took longer, this one is not waited for awake: 66 checkpoints in
/// the last 50,000 cycles are 7 ms apart, and four threads on two CPUs had a fifteenth less of them.
const AWAKE: Duration = Duration::from_millis(1);

/// What a session needs besides the channel.
pub(in crate::supervisor) trait Outside {
    fn now(&self) -> Instant;
    /// Gives the order with this number; what disturbs the worker begins where `cycles` run.
    fn give(&mut self, header: &Header, order: u32, cycles: bool);
    /// Waits while `done` is `seen`, but not beyond the next moment to look around.
    fn wait(&mut self, done: &AtomicU32, seen: u32);
    /// How the worker ended, if it ends within this time.
    fn ended(&mut self, within: Duration) -> Option<ExitStatus>;
    fn kill(&mut self);
    /// Disturbs the worker as is due; returns for how long it was stopped. `is_parked` tells whether it is at its quiet point.
    fn disturb(&mut self, is_parked: &dyn Fn() -> bool) -> Duration;
    /// Disturbs the worker no more, which is parked or gone; returns for how long it was stopped within its cycles.
    fn leave_alone(&mut self) -> Duration;
    /// Looks at what is due to be looked at: the first limit that is exceeded, if one is.
    fn look(&self, watch: &mut Watch) -> Option<LimitReached>;
    fn resident(&self) -> Option<u64>;
}

/// A worker in a process of its own.
pub(in crate::supervisor) struct Worker {
    pub(in crate::supervisor) process: WorkerProcess,
    pub(in crate::supervisor) sampler: Sampler,
    /// Disturbs the worker while cycles run; not at all unless asked to.
    pub(in crate::supervisor) disturber: Disturber,
    /// Links to libraries that the loader opens as the worker starts.
    #[expect(dead_code, reason = "they are there as long as the worker is")]
    links: Option<PrivateDirectory>,
    /// The library that stands in for what the real host exports.
    stubs: Option<OwnedFd>,
    /// Watches the worker's threads, where that is wanted and allowed.
    observer: Option<Observer>,
    /// Threads of the worker before the first open.
    own_threads: Option<u64>,
    /// Whether there is a CPU for each thread that cycles, and one more.
    has_spare_cpu: bool,
    given: Given,
}

/// The order under way, and whether to stay awake for the next ones.
#[derive(Debug)]
struct Given {
    at: Instant,
    /// Whether cycles run by it, which takes another time than an order without any.
    cycles: bool,
    /// Whether the last order without cycles, and the last with some, were carried out in a moment.
    quick: [bool; 2],
}

impl Outside for Worker {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn give(&mut self, header: &Header, order: u32, cycles: bool) {
        if cycles {
            self.disturber.begin();
        }
        (self.given.at, self.given.cycles) = (Instant::now(), cycles);
        header.order.store(order, Release);
        futex::wake_all(&header.order);
    }

    fn wait(&mut self, done: &AtomicU32, seen: u32) {
        let next = self.disturber.next();
        let pause = next.map_or(TICK, |next| next.min(TICK));
        // A disturbance that is due does not wait for an answer.
        let stays_awake =
            next.is_none() && self.has_spare_cpu && self.given.quick[usize::from(self.given.cycles)];
        if !stays_awake || futex::look_for_a_while(done, seen, AWAKE) {
            futex::wait(done, seen, Some(pause));
        }
    }

    fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        self.process.ended_within(within)
    }

    fn kill(&mut self) {
        self.process.kill();
    }

    fn disturb(&mut self, is_parked: &dyn Fn() -> bool) -> Duration {
        self.disturber.act(&self.sampler, is_parked)
    }

    fn leave_alone(&mut self) -> Duration {
        self.given.quick[usize::from(self.given.cycles)] = self.given.at.elapsed() < AWAKE;
        self.disturber.end()
    }

    fn look(&self, watch: &mut Watch) -> Option<LimitReached> {
        watch.look(&self.sampler, &self.process)
    }

    fn resident(&self) -> Option<u64> {
        self.sampler.resident()
    }
}

impl Worker {
    pub(in crate::supervisor) fn new(
        process: WorkerProcess,
        sampler: Sampler,
        (links, stubs): (Option<PrivateDirectory>, Option<OwnedFd>),
        threads: usize,
    ) -> Self {
        let disturber = Disturber::default();
        let given = Given { at: Instant::now(), cycles: false, quick: [true; 2] };
        let has_spare_cpu = available_parallelism().is_ok_and(|cpus| cpus.get() > threads);
        let (observer, own_threads) = (None, None);
        Self { process, sampler, disturber, links, stubs, observer, own_threads, has_spare_cpu, given }
    }

    /// Whether there is a CPU for each thread that cycles, and one more.
    pub(in crate::supervisor) fn has_spare_cpu(&self) -> bool {
        self.has_spare_cpu
    }

    /// Objects by the names that the loader has for them, but for what stands in for the real host: that has no name of its own.
    pub(in crate::supervisor) fn named(&self, objects: &[String]) -> Vec<String> {
        let stubs = self.stubs.as_ref().map(image::path);
        let name = |object: &String| match &stubs {
            Some(path) if path.as_path() == Path::new(object) => stubs::NAME.to_owned(),
            _ => object.clone(),
        };
        objects.iter().map(name).collect()
    }

    /// Watches the worker's threads from now on. To be asked while they are parked and nothing was opened yet.
    ///
    /// # Errors
    /// Why that can't be done.
    pub(in crate::supervisor) fn observe(&mut self) -> Result<(), Errno> {
        self.observer = Some(Observer::start(self.process.pid())?);
        Ok(())
    }

    /// Makes sure that being watched does not show in what is counted next.
    pub(in crate::supervisor) fn settle(&self) {
        if let Some(observer) = &self.observer {
            observer.settle(LOOK_WITHIN);
        }
    }

    /// What `/proc` says of the parked worker, without what is there only because it is watched: a thread that has ended
    /// is listed until its tracer has seen that. To be asked for the first time before anything is opened.
    pub(in crate::supervisor) fn sample(&mut self) -> procfs::ProcResult<Sample> {
        let sample = self.sampler.sample()?;
        let own = *self.own_threads.get_or_insert(sample.threads);
        if sample.threads <= own {
            return Ok(sample);
        }
        // Two changes of context: too much for each checkpoint of a library that starts no thread.
        self.settle();
        self.sampler.sample()
    }

    /// What was seen of the worker's end, or up to now.
    pub(in crate::supervisor) fn seen(&mut self) -> Seen {
        match (&mut self.observer, self.process.ended()) {
            (None, _) => Seen::default(),
            (Some(observer), None) => observer.seen(),
            (Some(observer), Some(_)) => observer.end(),
        }
    }

    /// Whether nothing has begun to end the worker. What `/proc` says of one that ends is half gone: its descriptors, its environment.
    pub(in crate::supervisor) fn is_whole(&mut self) -> bool {
        self.process.ended().is_none() && !self.observer.as_ref().is_some_and(Observer::sees_end)
    }

    /// Where all threads of the worker are; `None` where that can't be seen.
    pub(in crate::supervisor) fn look_at_threads(&self) -> Option<Capture> {
        self.observer.as_ref()?.look(LOOK_WITHIN)
    }
}
