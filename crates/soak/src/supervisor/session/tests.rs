//! What a session decides, in a time of its own: a played worker carries out orders over the channel, as the real one does,
//! until its script has something happen to it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU32};

use super::*;
use crate::channel::{Header, Parts, Slot, write_bytes};
use crate::record::{Excess, LoadCause};
use crate::settings::Settings;
use crate::suite::plan::Plan;
use crate::supervisor::limits::Limits;

/// How long a worker may stand still.
const STALL: Duration = Duration::from_secs(10);
/// When most things happen: this long after the beginning, in the middle of the cycles.
const THEN: Duration = Duration::from_millis(500);
/// Cycles that a session is to run where nothing happens, in one second.
const CYCLES: u64 = 1000;
/// Entries of a ring.
const RING: usize = 128;

/// What happens to a worker.
type Event = fn(&mut Played<'_>);

/// What the worker and its supervisor's caller have in common.
#[derive(Default)]
struct Stage {
    interrupted: AtomicBool,
    /// The cycles that were told as progress.
    told: RefCell<Vec<u64>>,
}

/// A worker that is played. Time passes only while a session waits for it, and while it is disturbed.
struct Played<'a> {
    stage: &'a Stage,
    /// The same memory as the session has.
    channel: Parts,
    began: Instant,
    now: Instant,
    /// What happens, and how long after the beginning.
    script: VecDeque<(Duration, Event)>,
    /// Time that a cycle takes, which each thread makes at once; `None` where it stands still.
    cycle: Option<Duration>,
    /// Time that was not spent on a cycle yet.
    rest: Duration,
    /// It does not park before it is done, nor end.
    deaf: bool,
    /// The first thread makes its own cycles and no others.
    lazy: bool,
    ended: Option<ExitStatus>,
    killed: bool,
    /// The limit that it goes beyond.
    exceeds: Option<LimitReached>,
    /// For how long each disturbance stops it.
    held: Duration,
    /// For how long it was stopped since the last order.
    stopped: Duration,
    /// When the last order was given, and how many cycles each thread had made before.
    given: (Instant, Vec<u64>),
    /// How many cycles each order was for.
    orders: Vec<u64>,
}

impl Played<'_> {
    /// Time since the beginning.
    fn passed(&self) -> Duration {
        self.now - self.began
    }

    fn counts(&self) -> Vec<u64> {
        self.channel.slots().iter().map(|slot| slot.completed.load(Relaxed)).collect()
    }

    fn is_parked(&self) -> bool {
        let header = self.channel.header();
        header.done.load(Relaxed) == header.order.load(Relaxed)
    }

    fn park(&self) {
        let header = self.channel.header();
        header.active_ns.fetch_add((self.now - self.given.0).as_nanos() as u64, Relaxed);
        header.done.store(header.order.load(Relaxed), Relaxed);
    }

    /// Has the worker run for this time, and what the script has for it happen.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        while let Some((_, event)) = self.script.pop_front_if(|(at, _)| self.began + *at <= self.now) {
            event(self);
        }
        let header = self.channel.header();
        if self.ended.is_some() || self.is_parked() {
            return;
        }
        if header.exit.load(Relaxed) != 0 && !self.deaf {
            self.ended = Some(ExitStatus::default());
        }
        let stop = header.stop.load(Relaxed) != 0 && !self.deaf;
        self.rest += time;
        while let Some(cycle) = self.cycle.filter(|cycle| *cycle <= self.rest && !stop) {
            self.rest -= cycle;
            (0..self.given.1.len()).for_each(|thread| self.make(thread));
        }
        let reached = |slot: &Slot| slot.completed.load(Relaxed) >= slot.target.load(Relaxed);
        if stop
            || (self.cycle.is_some()
                && self.channel.slots().iter().all(reached)
                && header.shared.load(Relaxed) == 0)
        {
            self.park();
        }
    }

    /// Makes one cycle on a thread, if there is one to make: its own first, then of those that are for any.
    fn make(&self, thread: usize) {
        let slot = &self.channel.slots()[thread];
        let done = slot.completed.load(Relaxed);
        let others = || (thread > 0 || !self.lazy) && self.channel.header().take_shared(1) == 1;
        if done < slot.target.load(Relaxed) || others() {
            // Rings begin anew with each order.
            self.channel.ring(thread)[(done - self.given.1[thread]) as usize].open.store(7, Relaxed);
            slot.completed.store(done + 1, Relaxed);
        }
    }

    /// Writes down that a thread can't go on.
    fn fail(&self, thread: usize, why: Failure, number: i32, said: &str) {
        let slot = &self.channel.slots()[thread];
        slot.error_len.store(write_bytes(self.channel.error(thread), said.as_bytes()) as u32, Relaxed);
        slot.failure_number.store(number, Relaxed);
        slot.failure.store(why as u32, Relaxed);
        self.channel.header().failed.store(1, Relaxed);
    }
}

impl Outside for Played<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn give(&mut self, header: &Header, order: u32, _: bool) {
        let counts = self.counts();
        let targets = self.channel.slots().iter().map(|slot| slot.target.load(Relaxed));
        let asked = targets.sum::<u64>() + header.shared.load(Relaxed);
        self.orders.push(asked.saturating_sub(counts.iter().sum()));
        self.given = (self.now, counts);
        self.rest = Duration::ZERO;
        header.order.store(order, Relaxed);
    }

    fn wait(&mut self, done: &AtomicU32, seen: u32) {
        assert_eq!(done.load(Relaxed), seen, "it parks only while time passes");
        self.pass(TICK);
    }

    fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        if !within.is_zero() {
            self.pass(within);
        }
        self.ended
    }

    fn kill(&mut self) {
        self.killed = true;
    }

    fn disturb(&mut self, is_parked: &dyn Fn() -> bool) -> Duration {
        assert!(!is_parked());
        self.now += self.held;
        self.stopped += self.held;
        self.held
    }

    fn leave_alone(&mut self) -> Duration {
        std::mem::take(&mut self.stopped)
    }

    fn look(&self, _: &mut Watch) -> Option<LimitReached> {
        self.exceeds
    }

    fn resident(&self) -> Option<u64> {
        None
    }
}

/// What a session is given, and how its worker is.
#[derive(Clone, Copy)]
struct Given {
    threads: usize,
    cycle: Option<Duration>,
    stride: u64,
    timeout: Option<&'static str>,
    /// When the time is up.
    deadline: Option<Duration>,
}

const USUAL: Given = Given {
    threads: 1,
    cycle: Some(Duration::from_millis(1)),
    stride: RING as u64,
    timeout: None,
    deadline: None,
};

/// What becomes of a session that someone leads, whose worker has this script.
fn play<T>(
    given: Given,
    script: &[(Duration, Event)],
    lead: impl FnOnce(&mut Session<'_, Played<'_>>, &mut Histograms) -> T,
) -> T {
    let settings =
        Settings { timeout: given.timeout.map(|time| time.parse().unwrap()), ..Settings::default() };
    let plan = Plan::from_paths(&[PathBuf::from("a.so")], &settings).unwrap();
    let stage = Stage::default();
    let progress = |progress: Progress<'_>| match progress {
        Progress::Cycles { completed, .. } => stage.told.borrow_mut().push(completed),
        _ => panic!("{progress:?}"),
    };
    let context = Context { interrupted: &stage.interrupted, progress: &progress };
    let channel = Channel::create((given.threads, 1), RING, b"", false).unwrap();
    let began = Instant::now();
    let worker = Played {
        stage: &stage,
        channel: *channel,
        began,
        now: began,
        script: script.iter().copied().collect(),
        cycle: given.cycle,
        rest: Duration::ZERO,
        deaf: false,
        lazy: false,
        ended: None,
        killed: false,
        exceeds: None,
        held: Duration::ZERO,
        stopped: Duration::ZERO,
        given: (began, vec![0; given.threads]),
        orders: Vec::new(),
    };
    let deadline = given.deadline.map(|deadline| began + deadline);
    let limits = Limits::of(&plan.soaks[0]);
    let bounds = Bounds { stall: STALL, limits, deadline, stride: given.stride };
    let mut session = Session::new(channel, worker, None, bounds, &context);
    lead(&mut session, &mut Histograms::new().unwrap())
}

/// An end of a session, and how things stood then.
#[derive(Debug)]
struct Ended {
    end: Result<(), End>,
    completed: u64,
    passed: Duration,
    killed: bool,
}

impl Ended {
    /// Whether so long has passed, to a few ticks.
    fn took(&self, time: Duration) -> bool {
        self.passed.abs_diff(time) <= 4 * TICK
    }
}

/// How the cycles of a worker with this script end.
fn ended(given: Given, script: &[(Duration, Event)]) -> Ended {
    play(given, script, |session, histograms| {
        let end = session.ready().and_then(|()| session.advance(CYCLES, histograms));
        let timed = histograms.to_record().open.map_or(0, |open| open.count);
        assert_eq!(timed, session.completed(), "each cycle that was made is timed");
        let (passed, killed) = (session.worker.passed(), session.worker.killed);
        Ended { end, completed: session.completed(), passed, killed }
    })
}

fn interrupt(worker: &mut Played<'_>) {
    worker.stage.interrupted.store(true, Relaxed);
}

/// It stands still, whatever it is told.
fn hang(worker: &mut Played<'_>) {
    (worker.cycle, worker.deaf) = (None, true);
}

fn exceed(worker: &mut Played<'_>) {
    let reached = LimitReached { excess: Excess::Fds, used: 8, allowed: 7, given: true };
    worker.exceeds = Some(reached);
}

#[test]
fn cycles_run_to_their_end_and_the_worker_ends_by_itself() {
    play(USUAL, &[], |session, histograms| {
        session.ready().unwrap();
        session.probe(1, histograms).unwrap();
        session.advance(CYCLES, histograms).unwrap();
        assert_eq!(session.completed(), CYCLES);
        assert_eq!(histograms.to_record().open.unwrap().count, CYCLES);
        // Nothing is asked for that is done already.
        let orders = session.worker.orders.len();
        session.advance(CYCLES, histograms).unwrap();
        assert_eq!(session.worker.orders.len(), orders);
        let told = session.worker.stage.told.borrow().clone();
        assert!((10..=12).contains(&told.len()) && told.is_sorted(), "ten times a second: {told:?}");
        assert!(session.finish().unwrap().success());
        assert!(!session.worker.killed && session.reached().is_none());
    });
}

#[test]
fn threads_share_the_cycles_and_meet_as_often_as_they_are_told_to() {
    let given = Given { threads: 3, stride: 40, ..USUAL };
    for lazy in [false, true] {
        play(given, &[], |session, histograms| {
            session.worker.lazy = lazy;
            session.ready().unwrap();
            session.probe(2, histograms).unwrap();
            assert_eq!(session.worker.counts(), [2, 0, 0], "the first thread alone");
            session.advance(CYCLES, histograms).unwrap();
            let orders = &session.worker.orders;
            assert_eq!(orders.iter().sum::<u64>(), CYCLES, "{orders:?}");
            assert!(orders.len() > 9 && orders.iter().all(|asked| *asked <= 3 * 40), "{orders:?}");
            let counts = session.worker.counts();
            assert_eq!((session.completed(), counts.iter().sum()), (CYCLES, CYCLES));
            let even = counts.iter().all(|count| count.abs_diff(CYCLES / 3) < 4);
            assert!(if lazy { counts[0] < 333 && counts[0] > 200 } else { even }, "{counts:?}");
        });
    }
}

#[test]
fn a_look_asks_for_no_cycle_and_the_state_for_an_order_only_where_it_is_not_there() {
    play(USUAL, &[], |session, histograms| {
        session.ready().unwrap();
        session.worker.channel.header().there.store(1, Relaxed);
        assert_eq!(session.look(Look::Presence).unwrap(), 1);
        session.want_state(true);
        session.advance(3, histograms).unwrap();
        session.want_state(false);
        session.ensure_state();
        assert_eq!(session.worker.orders, [0, 0, 3], "it was asked for with the last order");
        session.advance(5, histograms).unwrap();
        session.ensure_state();
        assert_eq!(session.worker.orders, [0, 0, 3, 2, 0]);
    });
}

#[test]
fn a_person_who_interrupts_waits_for_a_quiet_point_and_not_for_long() {
    let Ended { end, completed, passed, .. } = ended(USUAL, &[(THEN, interrupt)]);
    assert!(matches!(end, Err(End::Interrupted { quiet: true })), "{end:?}");
    assert!((1..CYCLES).contains(&completed) && passed < STOP_GRACE, "{completed} {passed:?}");
    // A worker that does not listen gets its grace, and is not killed: where it is is still to be seen.
    let deaf = ended(USUAL, &[(THEN, hang), (THEN, interrupt)]);
    assert!(matches!(deaf.end, Err(End::Interrupted { quiet: false })), "{deaf:?}");
    assert!(deaf.took(THEN + STOP_GRACE) && !deaf.killed && deaf.completed > 0, "{deaf:?}");
}

#[test]
fn when_the_time_is_up_the_cycle_under_way_is_waited_for() {
    let given = Given { deadline: Some(THEN), ..USUAL };
    let quiet = ended(given, &[]);
    assert!(matches!(quiet.end, Err(End::TimeUp)) && quiet.took(THEN), "{quiet:?}");
    assert!((1..CYCLES).contains(&quiet.completed), "{quiet:?}");
    // However long it takes, but for a worker that stands still.
    let late = ended(
        given,
        &[(THEN, |worker| worker.deaf = true), (THEN, |worker| worker.cycle = None), {
            (THEN + STALL - 9 * TICK, |worker| worker.deaf = false)
        }],
    );
    assert!(matches!(late.end, Err(End::TimeUp)) && late.passed > THEN + STOP_GRACE, "{late:?}");
    let never = ended(given, &[(THEN, hang)]);
    assert!(matches!(never.end, Err(End::Hung)) && never.took(THEN + STALL), "{never:?}");
}

#[test]
fn the_limit_of_time_ends_a_worker_that_does_not_listen() {
    let given = Given { timeout: Some("500ms"), ..USUAL };
    let quiet = ended(given, &[]);
    let Err(End::Limit { reached, quiet: true }) = quiet.end else { panic!("{quiet:?}") };
    assert_eq!((reached.excess, reached.allowed, reached.given), (Excess::Time, 500, true));
    assert!(reached.used >= 500 && quiet.took(THEN) && !quiet.killed, "{quiet:?}");
    let deaf = ended(given, &[(THEN, hang)]);
    assert!(matches!(deaf.end, Err(End::Limit { quiet: false, .. })) && deaf.killed, "{deaf:?}");
    assert!(deaf.took(THEN + STOP_GRACE), "{deaf:?}");
}

#[test]
fn of_several_reasons_to_stop_a_persons_comes_first_and_then_the_limit() {
    let given = Given { timeout: Some("500ms"), deadline: Some(THEN), ..USUAL };
    let ended = |script| ended(given, script).end;
    assert!(matches!(ended(&[(THEN, interrupt)]), Err(End::Interrupted { .. })));
    assert!(matches!(ended(&[]), Err(End::Limit { .. })));
}

#[test]
fn what_goes_beyond_a_limit_is_killed_unless_it_is_parked() {
    let running = ended(USUAL, &[(THEN, exceed)]);
    let Err(End::Limit { reached, quiet: false }) = running.end else { panic!("{running:?}") };
    assert!(reached.excess == Excess::Fds && running.killed && running.took(THEN), "{running:?}");
    let script: [(Duration, Event); 1] = [(Duration::ZERO, |worker| {
        exceed(worker);
        worker.park();
    })];
    let parked = ended(USUAL, &script);
    assert!(matches!(parked.end, Err(End::Limit { quiet: true, .. })) && !parked.killed, "{parked:?}");
}

#[test]
fn a_worker_that_stands_still_hangs_and_a_slow_one_does_not() {
    let hung = ended(USUAL, &[(THEN, hang)]);
    assert!(matches!(hung.end, Err(End::Hung)) && hung.took(THEN + STALL), "{hung:?}");
    assert!(hung.completed > 0 && !hung.killed, "where it stands is still to be seen: {hung:?}");
    let slow = |cycle| {
        play(Given { cycle: Some(cycle), ..USUAL }, &[], |session, histograms| {
            session.ready().and_then(|()| session.advance(4, histograms))
        })
    };
    assert!(slow(STALL - 2 * TICK).is_ok());
    assert!(matches!(slow(STALL + 2 * TICK), Err(End::Hung)));
    // A machine that was suspended, and a supervisor that was stopped.
    let away = ended(USUAL, &[(THEN, |worker| worker.now += 360 * STALL)]);
    assert!(away.end.is_ok() && away.passed > 360 * STALL, "{away:?}");
}

#[test]
fn time_in_which_a_worker_is_held_is_neither_a_stall_nor_active() {
    let cycle = STALL - 2 * TICK;
    play(Given { cycle: Some(cycle), ..USUAL }, &[], |session, histograms| {
        session.ready().unwrap();
        let header = session.channel.header();
        let before = header.active_ns.load(Relaxed);
        session.worker.held = 4 * TICK;
        session.advance(2, histograms).unwrap();
        let active = u128::from(session.channel.header().active_ns.load(Relaxed) - before);
        assert_eq!(active, (2 * cycle).as_nanos());
        assert!(session.worker.passed() > 4 * STALL);
        session.worker.cycle = None;
        assert!(matches!(session.advance(3, histograms), Err(End::Hung)));
    });
}

#[test]
fn a_death_in_the_middle_keeps_what_was_measured() {
    let dead = ended(USUAL, &[(THEN, |worker| worker.ended = Some(ExitStatus::from_raw(libc::SIGSEGV)))]);
    let Err(End::Died(status)) = dead.end else { panic!("{dead:?}") };
    assert_eq!((status.signal(), dead.killed), (Some(libc::SIGSEGV), false));
    assert!((1..CYCLES).contains(&dead.completed) && dead.took(THEN), "{dead:?}");
    // The kernel ends what writes a file that is too long.
    let long = ended(USUAL, &[(THEN, |worker| worker.ended = Some(ExitStatus::from_raw(libc::SIGXFSZ)))]);
    let Err(End::Limit { reached, quiet: false }) = long.end else { panic!("{long:?}") };
    assert_eq!(reached.excess, Excess::File);
}

#[test]
fn a_failure_is_told_unless_something_worse_came_after_it() {
    fn refuse(worker: &mut Played<'_>) {
        worker.fail(1, Failure::Driver, 5, "");
    }
    fn park(worker: &mut Played<'_>) {
        worker.park();
    }
    fn die(worker: &mut Played<'_>) {
        worker.ended = Some(ExitStatus::from_raw(1 << 8));
    }
    let given = Given { threads: 2, ..USUAL };
    let failed = ended(given, &[(THEN, refuse), (THEN, park)]);
    let Err(End::Failed { thread: 1, failure }) = failed.end else { panic!("{failed:?}") };
    assert_eq!(failure.cause, LoadCause::ExerciseFailed { returned: 5 });
    assert!(failed.completed > 0);
    let late = Given { deadline: Some(THEN), ..given };
    let failed = ended(late, &[(THEN, refuse)]);
    assert!(matches!(failed.end, Err(End::Failed { .. })), "{failed:?}");
    let interrupted = ended(given, &[(THEN, refuse), (THEN, interrupt)]);
    assert!(matches!(interrupted.end, Err(End::Interrupted { quiet: true })), "{interrupted:?}");
    let died = ended(given, &[(THEN, refuse), (THEN, die)]);
    assert!(matches!(died.end, Err(End::Died(_))), "{died:?}");
    // A worker that can't begin says why and ends.
    let unborn = ended(given, &[(Duration::ZERO, |w| w.fail(0, Failure::Sandbox, 1, "")), (THEN, die)]);
    assert!(matches!(unborn.end, Err(End::Failed { thread: 0, .. })), "{unborn:?}");
    assert_eq!(unborn.completed, 0);
}

#[test]
fn counters_that_cannot_be_are_not_believed() {
    /// Back and forth with each tick.
    fn flip(worker: &mut Played<'_>) {
        hang(worker);
        worker.channel.slots()[0].completed.fetch_xor(u64::MAX, Relaxed);
        worker.script.push_front((worker.passed() + TICK, flip));
    }
    /// On and on, for longer than a worker may stand still.
    fn climb(worker: &mut Played<'_>) {
        hang(worker);
        worker.channel.slots()[0].completed.fetch_add(1 << 32, Relaxed);
        if worker.passed() < THEN + 2 * STALL {
            worker.script.push_front((worker.passed() + TICK, climb));
        }
    }
    let scribbles: [Event; 3] = [
        |worker| worker.channel.slots()[0].completed.store(u64::MAX, Relaxed),
        |worker| worker.channel.slots()[0].completed.store(0, Relaxed),
        |worker| worker.channel.header().failed.store(1, Relaxed),
    ];
    for scribble in scribbles {
        let scribbled =
            play(USUAL, &[(THEN, scribble), (THEN, |worker| worker.park())], |session, histograms| {
                session.ready().and_then(|()| session.advance(CYCLES, histograms))
            });
        assert!(matches!(scribbled, Err(End::Scribbled)), "{scribbled:?}");
    }
    for scribble in [flip, climb] {
        let hung = ended(USUAL, &[(THEN, scribble)]);
        assert!(matches!(hung.end, Err(End::Hung)) && hung.took(THEN + STALL), "{hung:?}");
    }
}

#[test]
fn a_worker_that_does_not_end_by_itself_is_given_up() {
    let finished = |given, deaf: bool, event: Option<Event>| {
        play(given, &[], |session, _| {
            session.ready().unwrap();
            session.worker.deaf = deaf;
            if let Some(event) = event {
                event(&mut session.worker);
            }
            let before = session.worker.passed();
            assert!(session.finish().is_none());
            (session.reached().map(|reached| reached.excess), session.worker.passed() - before)
        })
    };
    let (reached, passed) = finished(USUAL, true, None);
    assert!(reached.is_none() && passed >= STALL && passed < STALL + 4 * TICK, "{passed:?}");
    let (reached, passed) = finished(USUAL, false, Some(exceed));
    assert_eq!((reached, passed), (Some(Excess::Fds), Duration::ZERO), "counted at once");
    let given = Given { timeout: Some("500ms"), ..USUAL };
    let (reached, passed) = finished(given, true, None);
    assert!(reached == Some(Excess::Time) && passed < STALL, "{passed:?}");
}
