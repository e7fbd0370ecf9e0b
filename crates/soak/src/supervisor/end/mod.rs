//! The ends that a soak can come to: what happened, in which cycle and phase, and who did it. All as facts; the report has the
//! sentences.

mod fault;
mod hang;
mod load;
mod provider;
mod said;
pub(super) mod stacks;

use std::process::ExitStatus;
use std::sync::atomic::Ordering::Relaxed;

use dlsoak_wire::interface;

use super::measure::Library;
use super::process;
use super::session::{End, Session};
use super::staging::Staging;
use crate::channel::Phase;
use crate::elf::{Facts, qualified};
use crate::observer::{Capture, Caught, Seen};
use crate::record::why::{
    Access, Crash, CrashCause, Exit, ExitFunction, Handled, Hang, HangCause, Sender, Stopped, Unloaded,
};
use crate::record::{self, Exports, HostCall, LoadCause, LoadFailure, Mode, Outcome, OutcomeKind, Why};
use crate::settings::nearest;
use crate::suite::plan::SoakPlan;
use crate::sys::signal_name;
use fault::{Known, Last, Visited};
use stacks::{Named, Namer, callee, culprit, name_of_thread};

/// What is known of a soak that ends.
pub(super) struct Ending<'a, 's> {
    pub(super) session: &'a mut Session<'s>,
    pub(super) staging: &'a Staging,
    pub(super) libraries: &'a [Library],
    pub(super) plan: &'a SoakPlan,
}

/// A plain outcome of this kind.
fn outcome_of(kind: OutcomeKind, why: Option<Why>) -> Outcome {
    Outcome { kind, why, ..Outcome::default() }
}

/// The soak could not begin.
pub(super) fn failed_before_start(cause: LoadCause) -> Box<Outcome> {
    let why = Why::LoadFailed(LoadFailure::new(cause));
    Box::new(outcome_of(OutcomeKind::LoadFailed, Some(why)))
}

impl Ending<'_, '_> {
    /// All cycles ran; what became of the worker when it was told to end?
    pub(super) fn at_exit(&mut self, decided: bool) -> Outcome {
        let told = match self.session.finish() {
            Some(status) if status.success() => {
                return outcome_of(OutcomeKind::Completed, decided.then_some(Why::Decided));
            }
            // A library that stays is destroyed now, and a host does what that asks of it.
            Some(status) => match self.session.host_call() {
                Some((thread, called)) => self.needs_host(thread, called),
                None => self.died(status),
            },
            None => match self.session.reached() {
                Some(reached) => outcome_of(OutcomeKind::Limit, Some(Why::Limit(reached))),
                None => self.hung(HangCause::Exit),
            },
        };
        Outcome { cycle: None, phase: Some(record::Phase::Exit), ..told }
    }

    /// What the record says of an end before the last cycle.
    pub(super) fn outcome(&mut self, end: End) -> Outcome {
        let outcome = self.of_end(end);
        let library = self.library_at(outcome.cycle, outcome.phase);
        Outcome { library, ..outcome }
    }

    /// The library that a thread was busy with in this cycle and phase, where a cycle opens several.
    fn library_at(&self, cycle: Option<u64>, phase: Option<record::Phase>) -> Option<String> {
        let slots = self.session.channel.slots();
        let is_at = |slot: &&crate::channel::Slot| {
            let now = crate::channel::recorded(Phase::from_u32(slot.phase.load(Relaxed)));
            Some(slot.completed.load(Relaxed)) == cycle && Some(now) == phase
        };
        self.staging.busy_with(slots.iter().find(is_at)?)
    }

    fn of_end(&mut self, end: End) -> Outcome {
        match end {
            End::Failed { thread, failure } => self.failed(thread, *failure),
            End::NeedsHost { thread, called } => self.needs_host(thread, called),
            End::Died(status) => self.died(status),
            End::Hung => {
                let timeout = self.plan.stall_timeout.as_millis();
                self.hung(HangCause::Stall { timeout_ms: u64::try_from(timeout).unwrap_or(u64::MAX) })
            }
            End::Interrupted { quiet: true } => outcome_of(OutcomeKind::Interrupted, None),
            End::Interrupted { quiet: false } => {
                Outcome { kind: OutcomeKind::Interrupted, ..self.hung(HangCause::Interrupted) }
            }
            // Asked for with --duration: the soak is complete.
            End::TimeUp => outcome_of(OutcomeKind::Completed, Some(Why::Duration)),
            End::Limit { reached, .. } => {
                let mut outcome = outcome_of(OutcomeKind::Limit, Some(Why::Limit(reached)));
                if let Some(capture) = self.session.worker.look_at_threads() {
                    add_stacks(&mut outcome, &mut self.namer(), &capture);
                }
                at(self.session.position(), outcome)
            }
            End::FileChanged(change) => {
                at(self.session.position(), outcome_of(OutcomeKind::Exited, Some(Why::FileChanged(change))))
            }
            End::Scribbled => {
                at(self.session.position(), outcome_of(OutcomeKind::Crashed, Some(Why::SharedMemoryCorrupt)))
            }
        }
    }

    /// Which step of the driver's cycle failed, where a driver of a plugin interface made the calls.
    fn step_failed(&self, returned: i32) -> Option<Why> {
        let (interface, driven) = self.plan.driven.as_ref()?;
        let (step, item) = interface::failure(*interface, returned)?;
        let of = interface.facts().item;
        Some(Why::StepFailed {
            interface: driven.interface.clone(),
            step: step.to_owned(),
            item: (!of.is_empty()).then(|| format!("{of} {item}")),
        })
    }

    /// A thread of the worker could not go on.
    fn failed(&self, thread: usize, failure: LoadFailure) -> Outcome {
        let (cycle, phase) = self.session.position_of(thread);
        match failure.cause {
            LoadCause::ExerciseFailed { returned } => {
                let why = self.step_failed(returned).unwrap_or(Why::CallFailed { returned });
                return at((cycle, phase), outcome_of(OutcomeKind::CallFailed, Some(why)));
            }
            LoadCause::CheckFailed { call, check, returned, setup } => {
                let failed = outcome_of(
                    OutcomeKind::CallFailed,
                    Some(Why::CheckFailed { call, check, returned, setup }),
                );
                return if setup { failed } else { at((cycle, phase), failed) };
            }
            LoadCause::SetupReturned { returned } => {
                return outcome_of(OutcomeKind::CallFailed, Some(Why::SetupReturned { returned }));
            }
            _ => {}
        }
        let mut failure = self.staging.unstaged_failure(failure);
        let number = self.session.channel.slots().get(thread).map_or(0, |slot| slot.library.load(Relaxed));
        let library = self.libraries.get(number as usize).unwrap_or(&self.libraries[0]);
        let missing = (phase == Phase::Symbol).then(|| missing(self.plan, &library.facts)).flatten();
        if let Some(missing) = missing {
            failure.cause = missing;
        } else {
            // A copy does not depend on what becomes of the library's file.
            let is_copy = self.plan.mode == Mode::Copies || self.plan.replace.is_some();
            let cycles = if is_copy { 0 } else { cycle };
            failure.shortage = load::shortage(&failure, cycles, self.session, self.staging);
            if let (None, 0, LoadCause::MissingSymbol { symbol: Some(symbol), .. }) =
                (&failure.shortage, cycle, &failure.cause)
            {
                let path = self.plan.libraries().nth(number as usize).unwrap_or(&self.plan.path);
                failure.provider = provider::provider(symbol, path);
            }
        }
        at((cycle, phase), outcome_of(OutcomeKind::LoadFailed, Some(Why::LoadFailed(failure))))
    }

    /// The library called a function that only its real host has.
    fn needs_host(&mut self, thread: usize, called: String) -> Outcome {
        let mut outcome = outcome_of(OutcomeKind::NeedsHost, None);
        let mut position = self.session.position_of(thread);
        let mut call = HostCall { called, by: None, thread: None };
        let seen = self.session.worker.seen();
        if let Some((_, capture)) = &seen.exit {
            let mut namer = self.namer();
            call.by = culprit(&first_frames(&mut namer, capture));
            if let Some(thread) = capture.threads.first() {
                match namer.cycle_of(thread) {
                    Some(at) => position = (at.1, at.2),
                    None => call.thread = Some(name_of_thread(thread)),
                }
            }
            add_stacks(&mut outcome, &mut namer, capture);
        }
        outcome.why = Some(Why::NeedsHost(call));
        at(position, outcome)
    }

    /// The worker does not go on, and is still there.
    fn hung(&mut self, cause: HangCause) -> Outcome {
        let capture = self.session.worker.look_at_threads();
        let seen = self.session.worker.seen();
        let position = self.session.position();
        let mut namer = self.namer();
        let mut outcome = outcome_of(OutcomeKind::Hung, None);
        let mut hang = Hang { cause, doing: None, blocked: None, stopped: None, became: seen.became };
        if let Some(mut capture) = capture {
            // The thread that is inside the library comes first.
            let inside = |namer: &Namer<'_>, capture: &Capture| {
                let in_cycle = |t| namer.cycle_of(t).is_some_and(|(_, _, phase)| phase != Phase::Between);
                capture.threads.iter().position(in_cycle)
            };
            if let Some(index) = inside(&namer, &capture) {
                let thread = capture.threads.remove(index);
                capture.threads.insert(0, thread);
            }
            // A thread that is stopped waits for nothing.
            let first = capture.threads.first().filter(|_| seen.stopped.is_none());
            hang.doing = first.map(|thread| hang::doing(&mut namer, &capture, thread));
            hang.blocked = first.and_then(|thread| hang::blocked(&mut namer, &capture, thread)).map(Box::new);
            add_stacks(&mut outcome, &mut namer, &capture);
        }
        hang.stopped = seen.stopped.as_ref().map(|caught| stopped(&mut namer, caught));
        outcome.why = Some(Why::Hang(hang));
        at(position, outcome)
    }

    fn died(&mut self, status: ExitStatus) -> Outcome {
        let seen = self.session.worker.seen();
        let output = self.session.worker.process.output_tail();
        match process::signal_name(status) {
            Some(signal) if self.session.worker.process.keeper_lost() => {
                let outcome = outcome_of(OutcomeKind::Crashed, Some(Why::ParentKilled));
                at(self.session.position(), Outcome { signal: Some(signal), ..outcome })
            }
            Some(signal) => self.crashed(signal, &seen, &output),
            None => self.exited(status.code().unwrap_or(-1), &seen, &output),
        }
    }

    fn crashed(&mut self, signal: String, seen: &Seen, output: &str) -> Outcome {
        let mut outcome = Outcome { signal: Some(signal), ..outcome_of(OutcomeKind::Crashed, None) };
        let mut position = self.session.position();
        let handled = handled(seen);
        let mut crash = Crash { cause: CrashCause::Unseen, callee: None, by: None, handled };
        if let Some(caught) = &seen.fatal {
            let last = self.last();
            let extents = self.libraries.iter().map(|library| library.facts.extent);
            let libraries: Vec<(String, u64)> = self.staging.names().into_iter().zip(extents).collect();
            let (loads, visits) = (&self.session.loads, self.visits());
            let known =
                Known { loads, last: &last, libraries: &libraries, visits: &visits, staging: self.staging };
            outcome.fault = fault::fault(caught, &known);
            crash.cause = match fault::cause(caught, outcome.fault.as_ref()) {
                CrashCause::Abort { .. } => CrashCause::Abort { said: said::said(output) },
                cause => cause,
            };
            let mut namer = self.namer();
            let frames = first_frames(&mut namer, &caught.capture);
            crash.callee = callee(&frames).filter(|_| !matches!(crash.cause, CrashCause::Abort { .. }));
            crash.by = culprit(&frames);
            let first = caught.capture.threads.first();
            let jumped = outcome.fault.as_ref().is_some_and(|fault| fault.access == Some(Access::Execute));
            if let Some(thread) = first.filter(|_| jumped)
                && let Some(pc) = thread.frames.first()
                && let Some((object, unloaded)) = gone(caught, *pc, &known)
            {
                let thread = name_of_thread(thread);
                crash.cause = CrashCause::UnloadedCode { thread, object, unloaded };
            }
            if let Some(at) = first.and_then(|thread| namer.cycle_of(thread)) {
                position = (at.1, at.2);
            }
            add_stacks(&mut outcome, &mut namer, &caught.capture);
        }
        outcome.why = Some(Why::Crash(crash));
        at(position, outcome)
    }

    fn exited(&mut self, status: i32, seen: &Seen, output: &str) -> Outcome {
        let mut outcome = outcome_of(OutcomeKind::Exited, None);
        let mut position = self.session.position();
        let mut exit = Exit {
            status,
            function: None,
            by: None,
            thread: None,
            said: if status == 0 { None } else { said::said(output) },
            became: seen.became.clone(),
            handled: handled(seen),
        };
        if let Some((_, capture)) = &seen.exit {
            let mut namer = self.namer();
            let frames = first_frames(&mut namer, capture);
            let called = |function: &ExitFunction| frames.iter().any(|named| named.is(&[function.name()]));
            let function = ExitFunction::CALLED.into_iter().find(called).unwrap_or(ExitFunction::ExitGroup);
            exit.by = culprit(&frames);
            // What `main` called is gone from the stack; its own beginning is left.
            let unwound = frames.iter().filter(|named| named.is_own()).count() <= 1;
            // glibc unwinds what `main` called, and calls exit in its place when no other thread is left.
            let last_thread = exit.by.is_none() && status == 0 && unwound;
            exit.function = Some(if last_thread { ExitFunction::LastThread } else { function });
            if let Some(thread) = capture.threads.first() {
                match namer.cycle_of(thread) {
                    Some(at) => position = (at.1, at.2),
                    None => exit.thread = Some(name_of_thread(thread)),
                }
            }
            add_stacks(&mut outcome, &mut namer, capture);
        }
        outcome.why = Some(Why::Exit(exit));
        at(position, outcome)
    }

    fn namer<'t>(&self) -> Namer<'t>
    where
        Self: 't,
    {
        Namer::new(self.staging, self.session.cycling())
    }

    fn last(&self) -> Vec<Last> {
        let of = |slot: &crate::channel::Slot| Last {
            base: slot.base.load(Relaxed),
            cycle: slot.completed.load(Relaxed),
            opened: matches!(
                Phase::from_u32(slot.phase.load(Relaxed)),
                Phase::Symbol | Phase::Call | Phase::Close
            ),
            library: slot.library.load(Relaxed) as usize,
        };
        self.session.channel.slots().iter().map(of).collect()
    }

    /// The libraries that were closed, each where it was last.
    fn visits(&self) -> Vec<Visited> {
        let of = |(index, visit): (usize, &crate::channel::Visit)| Visited {
            library: index % self.libraries.len(),
            base: visit.base.load(Relaxed),
            cycle: visit.cycle.load(Relaxed),
            number: visit.number.load(Relaxed),
        };
        let all = self.session.channel.visits().iter().enumerate().map(of);
        all.filter(|visit| visit.number > 0).collect()
    }
}

fn at(position: (u64, Phase), outcome: Outcome) -> Outcome {
    Outcome { cycle: Some(position.0), phase: Some(crate::channel::recorded(position.1)), ..outcome }
}

fn add_stacks(outcome: &mut Outcome, namer: &mut Namer<'_>, capture: &Capture) {
    let (stacks, more) = namer.stacks(capture);
    outcome.stacks = Some(stacks);
    outcome.more_threads = more;
}

fn first_frames(namer: &mut Namer<'_>, capture: &Capture) -> Vec<Named> {
    capture.threads.first().map(|thread| namer.frames(capture, thread)).unwrap_or_default()
}

/// The library that was at an address that was run, and is gone or was.
fn gone(caught: &Caught, pc: u64, known: &Known<'_>) -> Option<(String, Unloaded)> {
    if let Some(object) = fault::returned(caught, pc, known) {
        return Some((object, Unloaded::LoadedAgain));
    }
    caught.capture.mapping(pc).is_none().then(|| fault::gone(&caught.capture, pc, known)).flatten()
}

/// Who stopped the process.
fn stopped(namer: &mut Namer<'_>, stopped: &Caught) -> Stopped {
    let sender = fault::sender(stopped);
    let frames = first_frames(namer, &stopped.capture);
    let by = if sender == Sender::Itself { culprit(&frames) } else { None };
    Stopped { signal: signal_name(stopped.info.signal), sender, by }
}

/// What a handler of the library's took on itself before the end.
fn handled(seen: &Seen) -> Option<Handled> {
    let last = seen.handled.last()?;
    let pc = last.capture.threads.first().and_then(|thread| thread.frames.first());
    Some(Handled {
        count: seen.handled_count,
        signal: Some(signal_name(last.info.signal)),
        instruction: pc.map(|pc| format!("{pc:#x}")),
    })
}

/// For a symbol that the library does not export itself: the name that was probably meant.
fn missing(plan: &SoakPlan, facts: &Facts) -> Option<LoadCause> {
    let call = plan.calls.iter().find(|call| !facts.has_export(&call.symbol))?;
    let nearest = if call.symbol.contains("::") {
        let names = qualified(&facts.exports);
        nearest(&call.symbol, names.iter().map(String::as_str)).map(str::to_owned)
    } else {
        facts.nearest_export(&call.symbol).map(str::to_owned)
    };
    let exports = Exports { count: facts.export_count() as u64, nearest };
    Some(LoadCause::MissingSymbol { symbol: Some(call.symbol.clone()), exports: Some(exports) })
}
