//! Puts the ends that a soak can come to into words: what happened, in which cycle and phase, and what to do.

use std::process::ExitStatus;

use super::process::{self, signal_name};
use super::session::{End, Session};
use super::staging::Staging;
use crate::channel::Phase;
use crate::elf::Facts;
use crate::record::{Outcome, OutcomeKind};
use crate::suite::plan::SoakPlan;

/// A plain outcome of this kind.
fn outcome_of(kind: OutcomeKind, detail: Option<String>) -> Outcome {
    Outcome { kind, detail, ..Outcome::default() }
}

/// The soak could not begin.
pub(super) fn failed_before_start(detail: String) -> Box<Outcome> {
    Box::new(outcome_of(OutcomeKind::LoadFailed, Some(detail)))
}

/// All cycles ran; what became of the worker when it was told to end?
pub(super) fn at_exit(session: &mut Session<'_>, decided: bool) -> Outcome {
    let early = decided.then(|| "ended by --until-decided: the verdict was certain".to_owned());
    let done = outcome_of(OutcomeKind::Completed, early);
    match session.finish() {
        Some(status) if status.success() => done,
        Some(status) => {
            let signal = signal_name(status);
            let how = signal.clone().unwrap_or_else(|| status.to_string());
            Outcome {
                kind: if signal.is_some() { OutcomeKind::Crashed } else { OutcomeKind::Exited },
                phase: Some("exit".to_owned()),
                signal,
                detail: Some(format!(
                    "after the last cycle the process could not end by itself: {how}; what the library leaves \
                     behind (a handler, a thread, a destructor) breaks its host at exit"
                )),
                ..done
            }
        }
        None => {
            let (kind, detail) = match session.reached() {
                Some(excess) => (OutcomeKind::Limit, excess.words()),
                None => (OutcomeKind::Hung, "the process did not end by itself when told to".to_owned()),
            };
            let detail = Some(format!("after the last cycle {detail}"));
            Outcome { kind, phase: Some("exit".to_owned()), detail, ..done }
        }
    }
}

/// What the record says of an end before the last cycle.
pub(super) fn outcome(
    end: End,
    session: &mut Session<'_>,
    staging: &Staging,
    facts: &Facts,
    plan: &SoakPlan,
) -> Outcome {
    let at = |position: (u64, Phase), outcome: Outcome| Outcome {
        cycle: Some(position.0),
        phase: Some(position.1.name().to_owned()),
        ..outcome
    };
    match end {
        End::Failed { thread, message } => {
            let position = session.position_of(thread);
            let mut message = staging.unstaged(&message);
            if position.1 == Phase::Symbol
                && let Some(meant) = missing(plan, facts)
            {
                message.push_str(&meant);
            }
            at(position, outcome_of(OutcomeKind::LoadFailed, Some(message)))
        }
        End::Died(status) => at(session.position(), died(status, session)),
        End::Hung => {
            let detail = format!(
                "no cycle finished for {:?} (--stall-timeout); the worker was killed",
                plan.stall_timeout
            );
            at(session.position(), outcome_of(OutcomeKind::Hung, Some(detail)))
        }
        End::Interrupted { quiet: true } => outcome_of(OutcomeKind::Interrupted, None),
        End::Interrupted { quiet: false } => {
            let detail =
                "interrupted; the worker did not reach the end of its cycle and was killed".to_owned();
            at(session.position(), outcome_of(OutcomeKind::Interrupted, Some(detail)))
        }
        // Asked for with --duration: the soak is complete.
        End::TimeUp => outcome_of(OutcomeKind::Completed, Some("ended by --duration".to_owned())),
        End::Limit { excess, .. } => {
            at(session.position(), outcome_of(OutcomeKind::Limit, Some(excess.words())))
        }
        End::Scribbled => {
            let detail = "what the worker says of itself can't be: the library writes over memory that is not its \
                          own. In a host, it is the host's";
            at(session.position(), outcome_of(OutcomeKind::Crashed, Some(detail.to_owned())))
        }
    }
}

/// For a symbol that the library does not export itself: the name that was probably meant.
fn missing(plan: &SoakPlan, facts: &Facts) -> Option<String> {
    let call = plan.calls.iter().find(|call| !facts.has_export(&call.symbol))?;
    Some(match facts.nearest_export(&call.symbol) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!("; the library exports {} symbols, none of a similar name", facts.export_count()),
    })
}

fn died(status: ExitStatus, session: &mut Session<'_>) -> Outcome {
    if let Some(signal) = signal_name(status) {
        if session.process.keeper_lost() {
            let detail = process::KEEPER_LOST.to_owned();
            return Outcome { signal: Some(signal), ..outcome_of(OutcomeKind::Crashed, Some(detail)) };
        }
        let detail = format!("the worker was ended by {signal}");
        return Outcome { signal: Some(signal), ..outcome_of(OutcomeKind::Crashed, Some(detail)) };
    }
    let code = status.code().unwrap_or(-1);
    let tail = session.process.output_tail();
    let own = tail.lines().rev().find_map(|line| line.strip_prefix("dlsoak worker: "));
    if let (2, Some(own)) = (code, own) {
        return outcome_of(OutcomeKind::LoadFailed, Some(own.to_owned()));
    }
    outcome_of(
        OutcomeKind::Exited,
        Some(format!(
            "the library ended the process with exit({code}) or _exit({code}), as if all were well or not"
        )),
    )
}
