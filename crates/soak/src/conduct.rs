//! A soak from its plan to its judged record: pass after pass, each where its condition holds. One planner ([`wanted`]) and one
//! conductor ([`soak`]), for the command line and for tests alike.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::analysis;
use crate::record::{
    CallFrom, Doubt, EndedEarly, Measured, Note, OutcomeKind, Pass, PassMade, Run, SCHEMA, Soak, Tool, Trace,
    Verdict, Why,
};
use crate::suite::plan::SoakPlan;
use crate::supervisor::{self, Context};

/// Most cycles of the short soak that leaves the calls out; not more than the soak itself took.
const WITHOUT_CALLS: u64 = 10_000;

/// Cycles of a trace where nobody said how many.
const TRACED: u64 = 2_000;

/// Cycles of each pattern: fewer than the 1,024 thread keys of a process would hide the most common difference.
const PATTERN: u64 = 2_000;

/// What measures: the supervisor with its processes, or in tests something that plays what was measured before.
pub trait Instrument {
    /// Soaks a library once, and says why the figures of its heap are to be doubted, where they are.
    fn measure(&self, plan: &SoakPlan, context: &Context<'_>) -> (Measured, Option<Doubt>);

    /// Traces a library that was soaked before, over this many cycles.
    ///
    /// # Errors
    /// Why nothing could be traced.
    fn trace(
        &self,
        plan: &SoakPlan,
        soak: &Measured,
        cycles: u64,
        context: &Context<'_>,
    ) -> Result<Trace, EndedEarly>;
}

/// What is known when the next pass is decided on.
#[derive(Debug)]
pub struct Known<'a> {
    /// How the soak ended.
    pub outcome: OutcomeKind,
    /// The verdict so far.
    pub verdict: Verdict,
    /// Why the figures of the heap are to be doubted, where they are.
    pub doubt: Option<&'a Doubt>,
}

/// Whether this pass follows what is known.
pub fn wanted(pass: Pass, plan: &SoakPlan, known: &Known<'_>) -> bool {
    let calls = !plan.calls.is_empty() || plan.exercise.is_some();
    let condition = match pass {
        Pass::Measure => return true,
        // Without it there would be no figures at all.
        Pass::Recheck => return known.doubt.is_some(),
        // Asked by the measurement itself, which knows the file; and what comes from an earlier run is none.
        Pass::Diagnose | Pass::Baseline => false,
        Pass::WithoutCalls => calls && matches!(known.verdict, Verdict::Leak | Verdict::Inconclusive),
        Pass::Trace => {
            let leaks = plan.trace_on_leak && known.verdict == Verdict::Leak;
            return (leaks || plan.passes.contains(pass)) && known.outcome != OutcomeKind::LoadFailed;
        }
        Pass::Patterns => true,
    };
    condition && plan.passes.contains(pass)
}

/// Soaks one library with all its passes, and judges the measurement.
pub fn soak(plan: &SoakPlan, context: &Context<'_>) -> Soak {
    with(&supervisor::Supervisor, plan, context)
}

/// The same with another instrument.
pub fn with(instrument: &dyn Instrument, plan: &SoakPlan, context: &Context<'_>) -> Soak {
    let mut conductor = Conductor { instrument, plan, context, began: Instant::now(), doubt: None };
    let mut soak = analysis::judged(conductor.measure(plan));
    for pass in Pass::ALL {
        let known = Known {
            outcome: soak.outcome.kind,
            verdict: soak.judged.verdict,
            doubt: conductor.doubt.as_ref(),
        };
        if pass != Pass::Measure && !context.interrupted.load(Relaxed) && wanted(pass, plan, &known) {
            soak = conductor.conduct(pass, soak);
        }
    }
    soak.measured.baseline.clone_from(&plan.baseline);
    analysis::judged(soak.measured)
}

/// What conducts the passes of one soak.
struct Conductor<'a> {
    instrument: &'a dyn Instrument,
    plan: &'a SoakPlan,
    context: &'a Context<'a>,
    began: Instant,
    doubt: Option<Doubt>,
}

impl Conductor<'_> {
    /// What was measured, with this pass.
    fn conduct(&mut self, pass: Pass, soak: Soak) -> Soak {
        let plan = self.plan;
        let mut measured = soak.measured;
        let mut made = std::mem::take(&mut measured.passes);
        let (began, mut cycles) = (Instant::now(), 0);
        match pass {
            Pass::Recheck => {
                let doubt = self.doubt.take();
                measured = self.measure(&self.rest(plan.plainly()));
                measured.notes.extend(doubt.map(Note::MeasuredAgain));
                made.append(&mut measured.passes);
                made.last_mut().into_iter().for_each(|made| made.pass = pass);
                measured.passes = made;
                return analysis::judged(measured);
            }
            Pass::WithoutCalls => {
                let leak = soak.judged.leak.as_ref().map(|leak| (leak.metric, leak.bytes_per_cycle));
                let most = measured.cycles.completed.clamp(1, WITHOUT_CALLS);
                let alone = self.aside(self.rest(plan.without_calls(most, leak)));
                cycles = alone.cycles.completed;
                if alone.outcome.kind == OutcomeKind::Completed {
                    measured.without_calls = Some(Box::new(alone));
                }
            }
            Pass::Trace => {
                let most = plan.asked.cycles.map_or(TRACED, |cycles| cycles.get());
                match self.instrument.trace(plan, &measured, plan.cycles.min(most), self.context) {
                    Ok(trace) => {
                        cycles = trace.cycles;
                        measured.trace = Some(trace);
                    }
                    Err(why) => measured.notes.push(Note::NotTraced { why }),
                }
            }
            Pass::Patterns => {
                let left = CallFrom::ALL.into_iter().take_while(|_| !self.context.interrupted.load(Relaxed));
                measured.pattern_soaks =
                    left.map(|from| self.aside(plan.called_from(from, PATTERN))).collect();
                cycles = measured.pattern_soaks.iter().map(|soak| soak.cycles.completed).sum();
            }
            Pass::Measure | Pass::Diagnose | Pass::Baseline => {}
        }
        let agent = measured.worker.agent;
        made.push(PassMade { pass, cycles, seconds: began.elapsed().as_secs_f64(), agent });
        measured.passes = made;
        analysis::judged(measured)
    }

    /// The same plan with what is left of the time.
    fn rest(&self, plan: SoakPlan) -> SoakPlan {
        SoakPlan { allowance: plan.allowance.after(self.began.elapsed()), ..plan }
    }

    /// The measurement itself.
    fn measure(&mut self, plan: &SoakPlan) -> Measured {
        let began = Instant::now();
        let (mut measured, doubt) = self.instrument.measure(plan, self.context);
        self.doubt = doubt;
        measured.replay = plan.replay();
        measured.passes = vec![PassMade {
            pass: Pass::Measure,
            cycles: measured.cycles.completed,
            seconds: began.elapsed().as_secs_f64(),
            agent: measured.worker.agent,
        }];
        measured
    }

    /// A short soak beside the one that was asked for; where its figures are to be doubted, once more with the plain agent.
    fn aside(&self, plan: SoakPlan) -> Measured {
        let (measured, doubt) = self.instrument.measure(&plan, self.context);
        match doubt {
            Some(_) => self.instrument.measure(&self.rest(plan.plainly()), self.context).0,
            None => measured,
        }
    }
}

/// What was measured so far of a soak that is under way, judged; it stands for the soak where the run is cut short.
pub fn so_far(measured: &Measured) -> Soak {
    let mut soak = measured.clone();
    soak.outcome.kind = OutcomeKind::Interrupted;
    soak.outcome.why = Some(Why::CutShort);
    analysis::judged(soak)
}

/// The record of a run that begins now, without a soak. What runs before it have left behind is cleaned away.
pub fn begin(now: jiff::Timestamp) -> Run {
    supervisor::clean_private();
    Run {
        schema: SCHEMA.to_owned(),
        tool: Tool { version: env!("CARGO_PKG_VERSION").to_owned() },
        started_at: now.to_string(),
        passed: false,
        host: supervisor::host(),
        partition: None,
        soaks: Vec::new(),
    }
}
