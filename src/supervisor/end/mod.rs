//! Puts the ends that a soak can come to into words: what happened, in which cycle and phase, who did it, and what to
//! do.

mod fault;
mod hang;
pub(super) mod load;
mod said;
mod stacks;

use std::process::ExitStatus;
use std::sync::atomic::Ordering::Relaxed;

use nix::errno::Errno;

use super::process::{self, signal_name};
use super::session::{End, Session};
use super::staging::Staging;
use crate::channel::Phase;
use crate::elf::Facts;
use crate::observer::{Capture, Caught, Seen};
use crate::record::{Mode, Outcome, OutcomeKind};
use crate::suite::plan::SoakPlan;
use fault::{Known, Last};
use stacks::{Frame, Teller, callee, culprit};

/// What is known of a soak that ends.
pub(super) struct Ending<'a, 's> {
    pub(super) session: &'a mut Session<'s>,
    pub(super) staging: &'a Staging,
    pub(super) facts: &'a Facts,
    pub(super) plan: &'a SoakPlan,
}

/// A plain outcome of this kind.
fn outcome_of(kind: OutcomeKind, detail: Option<String>) -> Outcome {
    Outcome { kind, detail, ..Outcome::default() }
}

/// The soak could not begin.
pub(super) fn failed_before_start(detail: String) -> Box<Outcome> {
    Box::new(outcome_of(OutcomeKind::LoadFailed, Some(detail)))
}

/// A note for a soak whose threads can't be watched.
pub(super) fn unwatched(error: Errno) -> String {
    let why = match error {
        Errno::EPERM | Errno::EACCES => {
            "something else traces it, or the system forbids it (kernel.yama.ptrace_scope, seccomp)"
                .to_owned()
        }
        error => error.desc().to_owned(),
    };
    format!("ends are told without stacks: the worker can't be watched with ptrace: {why}")
}

impl Ending<'_, '_> {
    /// All cycles ran; what became of the worker when it was told to end?
    pub(super) fn at_exit(&mut self, decided: bool) -> Outcome {
        let early = decided.then(|| "ended by --until-decided: the verdict was certain".to_owned());
        let told = match self.session.finish() {
            Some(status) if status.success() => return outcome_of(OutcomeKind::Completed, early),
            Some(status) => self.died(status),
            None => match self.session.reached() {
                Some(excess) => {
                    outcome_of(OutcomeKind::Limit, Some(format!("after the last cycle {}", excess.words())))
                }
                None => self.hung("after the last cycle the process did not end by itself when told to"),
            },
        };
        let detail = told.detail.as_deref().unwrap_or("no detail");
        let detail = match told.kind {
            OutcomeKind::Hung | OutcomeKind::Limit => detail.to_owned(),
            _ => format!(
                "after the last cycle the process could not end by itself: {detail}; what the library leaves behind \
                 (a handler, a thread, a destructor) breaks its host at exit"
            ),
        };
        Outcome { cycle: None, phase: Some("exit".to_owned()), detail: Some(detail), ..told }
    }

    /// What the record says of an end before the last cycle.
    pub(super) fn outcome(&mut self, end: End) -> Outcome {
        match end {
            End::Failed { thread, message } => self.failed(thread, &message),
            End::Died(status) => self.died(status),
            End::Hung => {
                let stall = self.plan.stall_timeout;
                self.hung(&format!("no cycle finished for {stall:?} (--stall-timeout)"))
            }
            End::Interrupted { quiet: true } => outcome_of(OutcomeKind::Interrupted, None),
            End::Interrupted { quiet: false } => {
                let hung =
                    self.hung("interrupted; the worker did not reach the end of its cycle and was killed");
                Outcome { kind: OutcomeKind::Interrupted, ..hung }
            }
            // Asked for with --duration: the soak is complete.
            End::TimeUp => outcome_of(OutcomeKind::Completed, Some("ended by --duration".to_owned())),
            End::Limit { excess, .. } => {
                let stacks = self.session.look_at_threads().map(|c| self.teller().stacks(&c));
                let outcome = Outcome { stacks, ..outcome_of(OutcomeKind::Limit, Some(excess.words())) };
                at(self.session.position(), outcome)
            }
            End::Scribbled => {
                let detail = "what the worker says of itself can't be: the library writes over memory that is not its \
                              own. In a host, it is the host's";
                at(self.session.position(), outcome_of(OutcomeKind::Crashed, Some(detail.to_owned())))
            }
        }
    }

    /// A thread of the worker could not go on.
    fn failed(&self, thread: usize, message: &str) -> Outcome {
        let position = self.session.position_of(thread);
        let mut message = self.staging.unstaged(message);
        // Instances that stay are counted later, and told with what the next one lacked.
        let counted = matches!(self.plan.mode, Mode::Copies | Mode::Namespace);
        if position.1 == Phase::Symbol
            && let Some(meant) = missing(self.plan, self.facts)
        {
            message.push_str(&meant);
        } else if position.0 > 0
            && !counted
            && let Some(meaning) = load::meaning(&message, self.session, self.staging)
        {
            message = format!("after {} cycles that went well: {message}; {meaning}", position.0);
        }
        at(position, outcome_of(OutcomeKind::LoadFailed, Some(message)))
    }

    /// The worker does not go on, and is still there.
    fn hung(&mut self, why: &str) -> Outcome {
        let capture = self.session.look_at_threads();
        let seen = self.session.seen();
        let position = self.session.position();
        let mut detail = why.to_owned();
        let mut stacks = None;
        let mut teller = self.teller();
        if let Some(mut capture) = capture {
            // The thread that is inside the library comes first.
            let inside = |teller: &Teller<'_>, capture: &Capture| {
                let in_cycle = |t| teller.cycle_of(t).is_some_and(|(_, _, phase)| phase != Phase::Between);
                capture.threads.iter().position(in_cycle)
            };
            if let Some(index) = inside(&teller, &capture) {
                let thread = capture.threads.remove(index);
                capture.threads.insert(0, thread);
            }
            if let Some(thread) = capture.threads.first()
                && seen.stopped.is_none()
            {
                detail = format!("{}; {detail}", hang::words(&mut teller, &capture, thread));
            }
            stacks = Some(teller.stacks(&capture));
        }
        if let Some(stopped) = &seen.stopped {
            detail = format!("{}; {detail}", stop_words(&mut teller, stopped));
        }
        if let Some(program) = &seen.became {
            detail = format!("the process has become another program, {program}; {detail}");
        }
        at(position, Outcome { stacks, ..outcome_of(OutcomeKind::Hung, Some(detail)) })
    }

    fn died(&mut self, status: ExitStatus) -> Outcome {
        let seen = self.session.seen();
        let output = self.session.process.output_tail();
        match signal_name(status) {
            Some(signal) if self.session.process.keeper_lost() => {
                let detail = Some(process::KEEPER_LOST.to_owned());
                let outcome = Outcome { signal: Some(signal), ..outcome_of(OutcomeKind::Crashed, detail) };
                at(self.session.position(), outcome)
            }
            Some(signal) => self.crashed(signal, &seen, &output),
            None => self.exited(status.code().unwrap_or(-1), &seen, &output),
        }
    }

    fn crashed(&mut self, signal: String, seen: &Seen, output: &str) -> Outcome {
        let mut outcome = outcome_of(OutcomeKind::Crashed, None);
        let mut position = self.session.position();
        let mut detail = format!("the worker was ended by {signal}");
        if let Some(caught) = &seen.fatal {
            let last = self.last();
            let extent = self.facts.extent;
            let known = Known { loads: &self.session.loads, last: &last, extent, staging: self.staging };
            outcome.fault = fault::fault(caught, &known);
            let what = match caught.info.signal {
                libc::SIGABRT => said::said(output).unwrap_or_else(|| "it aborted without a word".to_owned()),
                _ => fault::words(caught, outcome.fault.as_ref()),
            };
            let mut teller = self.teller();
            let frames = first_frames(&mut teller, &caught.capture);
            let called = callee(&frames).map(|callee| format!(" in {callee}")).unwrap_or_default();
            let by = match culprit(&frames) {
                Some(frame) if caught.info.signal == libc::SIGABRT => format!("; abort by {}", frame.words()),
                Some(frame) if called.is_empty() => {
                    let jump = outcome
                        .fault
                        .as_ref()
                        .is_some_and(|fault| fault.access.as_deref() == Some("execute"));
                    format!(", {} {}", if jump { "from" } else { "in" }, frame.words())
                }
                Some(frame) => format!("{called}, called from {}", frame.words()),
                None => called,
            };
            detail = format!("{what}{by}");
            let first = caught.capture.threads.first();
            let jumped =
                outcome.fault.as_ref().is_some_and(|fault| fault.access.as_deref() == Some("execute"));
            if let Some(thread) = first.filter(|_| jumped)
                && let Some(pc) = thread.frames.first()
                && let Some(whose) =
                    fault::returned(caught, *pc, &known).or_else(|| match caught.capture.mapping(*pc) {
                        None => fault::gone(*pc, &known),
                        Some(_) => None,
                    })
            {
                detail = format!(
                    "thread {} ({}) ran code of {whose}: a thread, handler or timer outlived the library",
                    thread.id, thread.name
                );
            }
            if let Some(at) = first.and_then(|thread| teller.cycle_of(thread)) {
                position = (at.1, at.2);
            }
            outcome.stacks = Some(teller.stacks(&caught.capture));
        }
        if let Some(handled) = &seen.handled {
            detail.push_str(&handled_words(handled, seen.handled_count));
        }
        outcome.detail = Some(detail);
        outcome.signal = Some(signal);
        at(position, outcome)
    }

    fn exited(&mut self, code: i32, seen: &Seen, output: &str) -> Outcome {
        let mut outcome = outcome_of(OutcomeKind::Exited, None);
        let mut position = self.session.position();
        let mut detail = format!("the library ended the process with exit({code}) or _exit({code})");
        if let Some((_, capture)) = &seen.exit {
            let mut teller = self.teller();
            let frames = first_frames(&mut teller, capture);
            let how = ["exit", "quick_exit", "_exit", "_Exit"];
            let how = how.into_iter().find(|name| frames.iter().any(|frame| frame.is(&[name])));
            let how = how.unwrap_or("exit_group");
            // What `main` called is gone from the stack; its own beginning is left.
            let unwound = frames.iter().filter(|frame| frame.is_own()).count() <= 1;
            detail = match culprit(&frames) {
                Some(frame) => format!("{} ended the process with {how}({code})", frame.words()),
                // glibc unwinds what `main` called, and calls exit in its place when no other thread is left.
                None if code == 0 && unwound => {
                    "the library ended the thread that runs main (pthread_exit, pthread_cancel); no other was left, and so the \
                     process ended with exit(0)"
                        .to_owned()
                }
                None => format!("the library ended the process with {how}({code})"),
            };
            if let Some(thread) = capture.threads.first() {
                match teller.cycle_of(thread) {
                    Some(at) => position = (at.1, at.2),
                    None => detail.push_str(&format!(", on thread {} ({})", thread.id, thread.name)),
                }
            }
            outcome.stacks = Some(teller.stacks(capture));
        }
        match code {
            0 => detail.push_str(", as if all were well: whoever asks its status alone sees a success"),
            _ => {
                if let Some(said) = said::said(output) {
                    detail.push_str(&format!(", and had printed: {said}"));
                }
            }
        }
        if let Some(program) = &seen.became {
            detail = format!("the process became another program, {program}, which ended with status {code}");
        }
        if let Some(handled) = &seen.handled {
            detail.push_str(&handled_words(handled, seen.handled_count));
        }
        outcome.detail = Some(detail);
        at(position, outcome)
    }

    fn teller<'t>(&self) -> Teller<'t>
    where
        Self: 't,
    {
        Teller::new(self.staging, self.session.cycling())
    }

    fn last(&self) -> Vec<Last> {
        let of = |slot: &crate::channel::Slot| Last {
            base: slot.base.load(Relaxed),
            cycle: slot.completed.load(Relaxed),
            opened: matches!(
                Phase::from_u32(slot.phase.load(Relaxed)),
                Phase::Symbol | Phase::Call | Phase::Close
            ),
        };
        self.session.channel.slots().iter().map(of).collect()
    }
}

fn at(position: (u64, Phase), outcome: Outcome) -> Outcome {
    Outcome { cycle: Some(position.0), phase: Some(position.1.name().to_owned()), ..outcome }
}

fn first_frames(teller: &mut Teller<'_>, capture: &Capture) -> Vec<Frame> {
    capture.threads.first().map(|thread| teller.frames(capture, thread)).unwrap_or_default()
}

/// Who stopped the process.
fn stop_words(teller: &mut Teller<'_>, stopped: &Caught) -> String {
    let signal = nix::sys::signal::Signal::try_from(stopped.info.signal).map_or("a signal", |s| s.as_str());
    let frames = first_frames(teller, &stopped.capture);
    let by = if stopped.info.sender == stopped.capture.process {
        match culprit(&frames) {
            Some(frame) => format!("sent by itself in {}", frame.words()),
            None => "sent by itself".to_owned(),
        }
    } else {
        format!("sent by process {}", stopped.info.sender)
    };
    format!("the process is stopped by {signal}, {by}")
}

/// What a handler of the library's took on itself before the end.
fn handled_words(handled: &Caught, count: u64) -> String {
    let signal = nix::sys::signal::Signal::try_from(handled.info.signal).map_or("fault", |s| s.as_str());
    let pc = handled.capture.threads.first().and_then(|thread| thread.frames.first());
    let pc = pc.map(|pc| format!(", the last one looked at on instruction {pc:#x}")).unwrap_or_default();
    format!("; before that a handler of the process took {count} faults on itself ({signal}{pc})")
}

/// For a symbol that the library does not export itself: the name that was probably meant.
fn missing(plan: &SoakPlan, facts: &Facts) -> Option<String> {
    let call = plan.calls.iter().find(|call| !facts.has_export(&call.symbol))?;
    Some(match facts.nearest_export(&call.symbol) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!("; the library exports {} symbols, none of a similar name", facts.export_count()),
    })
}
