//! A soak from its plan to its judged record: pass after pass, each where its condition holds. One planner (`wanted`) and one
//! conductor ([`soak`]), for the command line and for tests alike.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::analysis;
use crate::fault::Fault;
use crate::host;
use crate::record::why::CrashCause;
use crate::record::{
    CallFrom, Cohorts, DanglingPointer, Doubt, EndedEarly, Evidence, HostChange, Judged, Measured, Mode,
    Note, OtherHost, OutcomeKind, Pass, PassMade, Phase, Problem, Proof, Residue, Run, SCHEMA, Soak, Tool,
    Trace, Verdict, Why,
};
use crate::settings::{Hold, Libc, Sandboxing};
use crate::suite::plan::{Purpose, SoakPlan};
use crate::suite::variants::GOGC;
use crate::supervisor::{self, Context};
use crate::sys::c_library;

/// Most cycles of the short soak that leaves the calls out; not more than the soak itself took.
const WITHOUT_CALLS: u64 = 10_000;

/// Fewest beside a soak that ended because its verdict was certain. A leak that is lost is certain after 128 cycles, and as few can't show that
/// the load does not leak.
const WITHOUT_CALLS_DECIDED: u64 = 1_024;

/// Cycles of a trace where nobody said how many.
const TRACED: u64 = 2_000;

/// Fewest cycles of a soak whose allocations are noted where growth of the heap is undecided, and the longest it may have taken: all of its
/// cycles are made again. In fewer, a leak that begins later would not show, and a cache that is full later would look like one.
const FEWEST_COHORTS: u64 = 1_000;
const COHORTS_SECONDS: f64 = 600.0;

/// Soaks with `GOGC=10` at most, where each leaves growth open; how many times the cycles of the one before each has; and the seconds that it
/// may take by the time of that one.
const COLLECTED: u32 = 3;
const COLLECTED_MORE: u64 = 4;
const COLLECTED_SECONDS: f64 = 30.0;

/// Loads after which pointers are looked for where nobody said how many: at most, at least, and no more than take so many seconds, as
/// cycles took before.
const POINTERS: u64 = 32;
const FEWEST_POINTERS: u64 = 5;
const POINTERS_SECONDS: f64 = 10.0;
/// Seconds after the last load in which a use of what is gone is waited for, at least.
const LEAST_WAIT: f64 = 0.1;

/// Cycles in a host of the other kind, which shows whether what is wrong here is so there. Where nothing is, what it would find of its own,
/// that the library stays, crashes or leaves something there, takes few.
const OTHER_KIND: u64 = 256;
const FINE: u64 = 32;
/// Cycles in a host that links what the library needs: of a library that grows, and of one where what is wrong is seen at once, because it
/// stays, leaves something, or leaks a chunk in each cycle. The second of each is of those that search for the one at fault, which is then
/// looked at with the first.
const GROWS: u64 = 1_000;
const GROWS_PROBE: u64 = 64;
const STAYS: u64 = 64;
const STAYS_PROBE: u64 = 16;
/// A crash is a dependency's if a host that links it lives this many times the cycles. One that comes later than in this cycle is not
/// looked at.
const OUTLIVED: u64 = 8;
const LATEST_CRASH: u64 = 250;
/// Soaks that search, at most: 12 find one of 4,000 libraries.
const MOST_PROBES: usize = 12;
/// Seconds that one of them may take, by the time that a cycle took before, and the fewest cycles.
const OTHER_HOST_SECONDS: f64 = 5.0;
const FEWEST_ELSEWHERE: u64 = 16;

/// Cycles of each pattern: fewer than the 1,024 thread keys of a process would hide the most common difference.
const PATTERN: u64 = 2_000;

/// What measures: the supervisor with its processes, or in tests something that plays what was measured before.
pub trait Instrument: Sync {
    /// Soaks a library once, and says why the figures of its heap are to be doubted, where they are.
    ///
    /// # Errors
    /// When the machine lacks what the soak needs.
    fn measure(&self, plan: &SoakPlan, context: &Context<'_>) -> Result<(Measured, Option<Doubt>), Fault>;

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

    /// Soaks a library that was soaked before over this many cycles, and says what is left of the blocks that each stretch of them
    /// allocated.
    ///
    /// # Errors
    /// Why no notes could be taken.
    fn cohorts(
        &self,
        plan: &SoakPlan,
        soak: &Measured,
        cycles: u64,
        context: &Context<'_>,
    ) -> Result<Cohorts, EndedEarly>;

    /// Looks for pointers into a library that was soaked before, after each of the cycles of this plan, and then waits this long for
    /// what uses it by itself; where that is no time, it does not wait. The note says what of the search was left out, where something
    /// was.
    ///
    /// # Errors
    /// Why nothing could be looked at.
    fn pointers(
        &self,
        plan: &SoakPlan,
        soak: &Measured,
        wait: Duration,
        context: &Context<'_>,
    ) -> Result<(Vec<Residue>, Option<Note>), EndedEarly>;
}

/// Whether this pass follows what was measured so far; `doubted` where the figures of its heap are to be doubted.
fn wanted(pass: Pass, plan: &SoakPlan, soak: &Soak, doubted: bool) -> bool {
    let verdict = soak.judged.verdict;
    let calls = !plan.calls.is_empty() || plan.exercise.is_some();
    let condition = match pass {
        // Without it there would be no figures at all.
        Pass::Recheck => return doubted,
        // What all others follow; what the measurement itself asks, which knows the file; and what comes from an earlier run.
        Pass::Measure | Pass::Diagnose | Pass::Lost | Pass::Baseline => false,
        Pass::WithoutCalls => calls && matches!(verdict, Verdict::Leak | Verdict::Inconclusive),
        // What fewer cycles would show is warm-up.
        Pass::Cohorts => {
            plan.libc == Libc::Glibc
                && plan.replace.is_none()
                && soak.measured.cycles.completed >= FEWEST_COHORTS
                && soak.measured.seconds <= COHORTS_SECONDS
                && analysis::is_heap_open(&soak.measured)
        }
        Pass::Collected => {
            let may_show = analysis::gogc(&soak.measured) > f64::from(GOGC) && plan.mode != Mode::Namespace;
            may_show
                && soak.outcome.kind == OutcomeKind::Completed
                && analysis::may_be_garbage(&soak.measured)
        }
        Pass::Trace => {
            let leaks = plan.trace_on_leak && verdict == Verdict::Leak;
            return (leaks || plan.passes.contains(pass)) && soak.outcome.kind != OutcomeKind::LoadFailed;
        }
        // In a namespace each load has its own libc, and what is not unloaded leaves nothing to point to.
        Pass::Pointers => {
            let went = match soak.outcome.kind {
                OutcomeKind::Completed => soak.unload.unloads_per_cycle > 0.0,
                // What crashes before anything was closed has another cause.
                OutcomeKind::Crashed => {
                    let open = matches!(soak.outcome.phase, Some(Phase::Open | Phase::Symbol | Phase::Call));
                    let first = soak.outcome.cycle.is_none_or(|cycle| cycle == 0) && plan.together.is_empty();
                    !open || !first || plan.threads > 1
                }
                _ => false,
            };
            // Of two builds at one path, a place in memory does not say whose it is.
            went && plan.libc == Libc::Glibc
                && plan.mode != Mode::Namespace
                && plan.pointers != Some(0)
                && plan.replace.is_none()
        }
        Pass::OtherHost => {
            let may_show = match soak.outcome.kind {
                OutcomeKind::Completed => {
                    plan.needs_cxx || may_blame(plan) && !analysis::problems(soak).is_empty()
                }
                OutcomeKind::Crashed => {
                    may_blame(plan) && soak.outcome.cycle.is_some_and(|cycle| cycle < LATEST_CRASH)
                }
                _ => false,
            };
            may_show && plan.mode != Mode::Namespace
        }
        Pass::Patterns => true,
    };
    condition && plan.passes.contains(pass)
}

/// Whether something that the library needs can be at fault, as the host does not link it.
fn may_blame(plan: &SoakPlan) -> bool {
    let links_all = plan.asked.hold.iter().flatten().any(|hold| *hold == Hold::Dependencies);
    // What a host links runs its constructors before the sandbox, and what the library brings is no more trusted than the library.
    !plan.needed.is_empty() && !links_all && plan.sandbox == Sandboxing::Off
}

/// Whether the host has this library while the one that was soaked is closed.
fn is_there(soak: &Measured, file: &Path) -> bool {
    soak.worker.objects.iter().any(|object| same_name(object.as_ref(), file))
}

/// Adds what was found. A use of what is gone is why the soak crashed, if it did; otherwise a host will.
fn explain(measured: &mut Measured, found: Vec<Residue>) {
    let names: Vec<String> = measured.together.iter().map(|member| member.name().to_owned()).collect();
    for Residue { evidence, per_cycle, .. } in found {
        match (&mut measured.outcome.why, evidence) {
            (Some(Why::Crash(crash)), Evidence::DanglingPointer(pointer)) if pointer.proof == Proof::Used => {
                crash.cause = CrashCause::StalePointer(pointer);
            }
            (_, evidence) => {
                let of = match &evidence {
                    Evidence::DanglingPointer(pointer) => Some(pointer.target.object.clone()),
                    _ => None,
                };
                let by = of.into_iter().filter(|object| names.contains(object)).collect();
                measured.residue.push(Residue::new(evidence, per_cycle).left_by(by));
            }
        }
    }
}

/// Soaks one library with all its passes, and judges the measurement.
///
/// # Errors
/// When the machine lacks what the soak needs. What the library does is never an error.
pub fn soak(plan: &SoakPlan, context: &Context<'_>) -> Result<Soak, Fault> {
    with(&supervisor::Supervisor, plan, context)
}

/// The same with another instrument.
///
/// # Errors
/// As [`soak`].
pub fn with(instrument: &dyn Instrument, plan: &SoakPlan, context: &Context<'_>) -> Result<Soak, Fault> {
    let plan = &host::resolve(plan)?;
    let mut conductor =
        Conductor { instrument, plan, context, began: Instant::now(), doubt: None, alone: None };
    let mut soak = analysis::judged(conductor.measure(Pass::Measure, plan)?);
    for pass in Pass::RUN {
        if !context.interrupted.load(Relaxed) && wanted(pass, plan, &soak, conductor.doubt.is_some()) {
            soak = conductor.conduct(pass, soak)?;
        }
    }
    if context.interrupted.load(Relaxed) {
        soak.measured.interrupted = true;
        soak = analysis::judged(soak.measured);
    }
    Ok(soak)
}

/// What conducts the passes of one soak.
struct Conductor<'a> {
    instrument: &'a dyn Instrument,
    plan: &'a SoakPlan,
    context: &'a Context<'a>,
    began: Instant,
    doubt: Option<Doubt>,
    /// The soak without calls and its seconds, where it was made beside the search for pointers: one after the other they took 28 of the
    /// 83 ms of a leak that `--until-decided` proves, and each left a processor idle.
    alone: Option<(Measured, f64)>,
}

/// What a search for pointers finds.
type Found = Result<(Vec<Residue>, Option<Note>), EndedEarly>;

impl Conductor<'_> {
    /// What was measured, with this pass.
    fn conduct(&mut self, pass: Pass, soak: Soak) -> Result<Soak, Fault> {
        let plan = self.plan;
        // No pointer changes the verdict of a leak, so the pass after the search is known before it.
        let beside = pass == Pass::Pointers
            && soak.judged.verdict == Verdict::Leak
            && wanted(Pass::WithoutCalls, plan, &soak, false);
        let beside = beside.then(|| self.without_calls(&soak.measured, &soak.judged));
        let mut measured = soak.measured;
        let mut made = std::mem::take(&mut measured.passes);
        let (began, mut cycles, mut elsewhere) = (Instant::now(), 0, 0.0);
        match pass {
            Pass::Recheck => {
                let doubt = self.doubt.take();
                measured = self.measure(pass, &self.rest(plan.plainly()))?;
                measured.notes.extend(doubt.map(Note::MeasuredAgain));
                measured.passes.splice(..0, made);
                return Ok(analysis::judged(measured));
            }
            Pass::WithoutCalls => {
                let alone = if let Some((alone, taken)) = self.alone.take() {
                    elsewhere = taken;
                    alone
                } else {
                    self.aside(self.without_calls(&measured, &soak.judged))?
                };
                cycles = alone.cycles.completed;
                if alone.outcome.kind == OutcomeKind::Completed {
                    measured.without_calls = Some(Box::new(alone));
                }
            }
            Pass::Cohorts => {
                let asked = measured.cycles.completed;
                match self.instrument.cohorts(&self.rest(plan.clone()), &measured, asked, self.context) {
                    Ok(cohorts) => {
                        cycles = cohorts.cycles;
                        measured.cohorts = Some(cohorts);
                    }
                    Err(why) => measured.notes.push(Note::CohortsNotMade { why }),
                }
            }
            Pass::Collected => {
                let mut next = measured.cycles.completed;
                // Once more with four times the cycles where they leave it open, if that does not take too long.
                for _ in 0..COLLECTED {
                    let collected = self.aside(self.rest(plan.collected(next)))?;
                    cycles += collected.cycles.completed;
                    if collected.outcome.kind != OutcomeKind::Completed {
                        break;
                    }
                    next *= COLLECTED_MORE;
                    let is_long = collected.seconds * COLLECTED_MORE as f64 > COLLECTED_SECONDS;
                    measured.collected = Some(Box::new(collected));
                    if is_long || !analysis::is_garbage_open(&measured) {
                        break;
                    }
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
            Pass::Pointers => {
                let crashed = measured.outcome.kind == OutcomeKind::Crashed;
                let taken = made.last().map_or(0.0, |made| made.seconds);
                let each = match measured.cycles.completed {
                    0 => taken / (measured.outcome.cycle.unwrap_or(0) + 1) as f64,
                    completed => measured.seconds / completed as f64,
                };
                let usual = ((POINTERS_SECONDS / each) as u64).clamp(FEWEST_POINTERS, POINTERS);
                // Of several libraries each cycle loads each.
                let libraries = plan.together.len() as u64 + 1;
                let usual = usual.div_ceil(libraries).max(FEWEST_POINTERS);
                let loads = plan.pointers.unwrap_or(usual).min(plan.cycles);
                // What came by itself once will come again, after about as long.
                let wait = if crashed { 2.0 * taken + LEAST_WAIT } else { 0.0 };
                let wait = Duration::from_secs_f64(wait.min(POINTERS_SECONDS));
                let pass = self.rest(plan.for_pointers(loads));
                let (found, waited) = self.pointers(&pass, &measured, wait, beside)?;
                elsewhere = -waited;
                match found {
                    Ok((found, note)) => {
                        cycles = loads;
                        if found.is_empty() && !crashed && may_blame(plan) {
                            let held = self.pointers_if_held(&measured, loads);
                            measured.notes.extend(held);
                        }
                        explain(&mut measured, found);
                        measured.notes.extend(note);
                    }
                    // A library that crashes crashes here, too.
                    Err(_) if crashed => {}
                    Err(why) => measured.notes.push(Note::PointersNotSought { why }),
                }
            }
            Pass::OtherHost => {
                match self.other_hosts(&measured) {
                    Ok(hosts) => measured.other_hosts = hosts,
                    Err(why) => measured.notes.push(Note::OtherHostNotMade { why }),
                }
                cycles = measured.other_hosts.iter().map(|host| host.soak.cycles.completed).sum();
                for index in 0..measured.residue.len() {
                    let residue = measured.residue[index].kind();
                    measured.residue[index].object =
                        analysis::object_at_fault(&measured, Problem::Left { residue });
                }
            }
            Pass::Patterns => {
                let left = CallFrom::ALL.into_iter().take_while(|_| !self.context.interrupted.load(Relaxed));
                let soaks = left.map(|from| self.aside(plan.called_from(from, PATTERN)));
                measured.pattern_soaks = soaks.collect::<Result<_, _>>()?;
                cycles = measured.pattern_soaks.iter().map(|soak| soak.cycles.completed).sum();
            }
            Pass::Measure | Pass::Diagnose | Pass::Lost | Pass::Baseline => {}
        }
        let agent = measured.worker.agent;
        let seconds = began.elapsed().as_secs_f64() + elsewhere;
        made.push(PassMade { pass, cycles, seconds, agent });
        measured.passes = made;
        Ok(analysis::judged(measured))
    }

    /// A short soak without the calls of what was soaked and judged with them.
    fn without_calls(&self, soak: &Measured, judged: &Judged) -> SoakPlan {
        let leak = judged.leak.as_ref().map(|leak| (leak.metric, leak.bytes_per_cycle));
        let is_decided = soak.outcome.why == Some(Why::Decided);
        let least = if is_decided { WITHOUT_CALLS_DECIDED } else { 1 };
        let most = soak.cycles.completed.clamp(least, WITHOUT_CALLS);
        self.rest(self.plan.without_calls(most, leak, analysis::is_lost(soak)))
    }

    /// Searches for pointers, and makes the soak of `beside` at the same time. Returns what was found, and for how many seconds that soak
    /// went on after the search.
    fn pointers(
        &mut self,
        plan: &SoakPlan,
        soak: &Measured,
        wait: Duration,
        beside: Option<SoakPlan>,
    ) -> Result<(Found, f64), Fault> {
        let (instrument, interrupted) = (self.instrument, self.context.interrupted);
        let search = move |context: &Context<'_>| instrument.pointers(plan, soak, wait, context);
        let Some(beside) = beside else { return Ok((search(self.context), 0.0)) };
        let began = Instant::now();
        std::thread::scope(|scope| {
            let searches = move || timed(|| search(&Context { interrupted, progress: &|_| {} }));
            let Ok(searches) = std::thread::Builder::new().spawn_scoped(scope, searches) else {
                // Something has used up the user's threads. The other soak is made in its turn.
                return Ok((search(self.context), 0.0));
            };
            let (alone, taken) = timed(|| self.aside(beside));
            let (found, searched) = searches.join().unwrap_or_else(|panic| resume_unwind(panic));
            self.alone = Some((alone?, taken));
            Ok((found, began.elapsed().as_secs_f64() - searched))
        })
    }

    /// What points into the library in a host that links what it needs, where the plain host unloads both. A host that has a use for the
    /// same library, or another plugin that has one, keeps it.
    fn pointers_if_held(&self, soak: &Measured, loads: u64) -> Option<Note> {
        let mut brought = host::needed(self.plan);
        brought.retain(|(_, file)| !is_there(soak, file));
        if brought.is_empty() {
            return None;
        }
        let (objects, files): (Vec<String>, Vec<PathBuf>) = brought.into_iter().unzip();
        let has_malloc = host::brought(self.plan).1;
        let plan = self.rest(host::linking(self.plan, &files, has_malloc).for_pointers(loads));
        // What can't be linked is no fault of the run, which is complete without.
        let (found, _) = self.instrument.pointers(&plan, soak, Duration::ZERO, self.context).ok()?;
        let pointers = found.into_iter().filter_map(|residue| match residue.evidence {
            Evidence::DanglingPointer(pointer) => Some(*pointer),
            _ => None,
        });
        let pointers: Vec<DanglingPointer> = pointers.collect();
        (!pointers.is_empty()).then_some(Note::PointersIfHeld { objects, pointers })
    }

    /// Short soaks in other hosts: one of the other kind, and where something is wrong those that show whose fault it is.
    fn other_hosts(&self, soak: &Measured) -> Result<Vec<OtherHost>, EndedEarly> {
        let mut hosts = Vec::new();
        let crashed = soak.outcome.kind == OutcomeKind::Crashed;
        let mut problems = analysis::problems(soak);
        let at_once = !problems.is_empty() && analysis::are_seen_at_once(soak, &problems);
        if self.plan.needs_cxx && !crashed {
            let other = host::of_other_kind(self.plan);
            let change = HostChange::Kind { kind: other.kind };
            let most = if problems.is_empty() {
                FINE
            } else if at_once {
                STAYS
            } else {
                OTHER_KIND
            };
            let cycles = self.affordable(soak, most);
            let elsewhere = SoakPlan { purpose: Purpose::OtherHost, ..other.elsewhere(cycles) };
            hosts.push(OtherHost { change, soak: self.in_other_host(elsewhere)? });
        }
        problems.retain(|_| may_blame(self.plan));
        if problems.is_empty() {
            return Ok(hosts);
        }
        let (most, probe) = match soak.outcome.cycle {
            // What completes several times as many cycles does not crash as this did.
            Some(cycle) if crashed => {
                let enough = STAYS.max((cycle + 1) * OUTLIVED);
                (enough, enough)
            }
            _ if at_once => (self.affordable(soak, STAYS), self.affordable(soak, STAYS_PROBE)),
            _ => (self.affordable(soak, GROWS), self.affordable(soak, GROWS_PROBE)),
        };
        let (mut brought, has_malloc) = host::brought(self.plan);
        let linking = |files: &[(String, PathBuf)], cycles: u64| {
            let files: Vec<PathBuf> = files.iter().map(|(_, file)| file.clone()).collect();
            let elsewhere = host::linking(self.plan, &files, has_malloc).elsewhere(cycles);
            let cycles = if crashed { cycles } else { elsewhere.cycles };
            self.in_other_host(SoakPlan { cycles, ..elsewhere })
        };
        let links = |files: &[(String, PathBuf)], soak: Measured| {
            let objects = files.iter().map(|(name, _)| name.clone()).collect();
            OtherHost { change: HostChange::Links { objects }, soak }
        };
        brought.retain(|(_, file)| !is_there(soak, file));
        let needed = host::needed(self.plan);
        let all = links(&needed, linking(&needed, most)?);
        let mut probes: BTreeMap<usize, Measured> = BTreeMap::new();
        let mut alone: Vec<usize> = Vec::new();
        for problem in problems.iter().filter(|problem| analysis::is_gone(soak, **problem, &all.soak)) {
            // Each comes after all that it needs, so the first ones can be linked without the others. The problem goes with the one that
            // is at fault.
            let (mut with, mut without) = (brought.len(), 0);
            while with > without + 1 && !self.context.interrupted.load(Relaxed) {
                let middle = usize::midpoint(with, without);
                if !probes.contains_key(&middle) {
                    if probes.len() == MOST_PROBES {
                        break;
                    }
                    probes.insert(middle, linking(&brought[..middle], probe)?);
                }
                let gone = probes.get(&middle).is_some_and(|other| analysis::is_gone(soak, *problem, other));
                if gone { with = middle } else { without = middle }
            }
            if with == without + 1 && !alone.contains(&without) {
                alone.push(without);
            }
        }
        let mut last = Vec::new();
        for index in alone {
            let one = &brought[index..=index];
            if needed.len() > 1 || needed.first() != one.first() {
                last.push(links(one, linking(one, most)?));
            }
            // libgnutls leaks 118 kB where lua-curl initializes libcurl and does not clean up, and nothing by itself.
            if problems.iter().any(|problem| matches!(problem, Problem::Grows { .. })) {
                let (object, file) = &brought[index];
                let soak = self.in_other_host(self.plan.alone(file, most))?;
                last.push(OtherHost { change: HostChange::Alone { object: object.clone() }, soak });
            }
        }
        hosts.push(all);
        hosts.extend(last);
        Ok(hosts)
    }

    /// A soak in another host; what the machine lacks for it is no fault of the run.
    fn in_other_host(&self, plan: SoakPlan) -> Result<Measured, EndedEarly> {
        let soaked = self.aside(self.rest(plan));
        let mut soak = soaked.map_err(|fault| EndedEarly::NotStarted { problem: fault.to_string() })?;
        // Nobody asks for these of another host, and they are half of what it takes in the record.
        soak.worker.objects.clear();
        soak.one_time.clear();
        Ok(soak)
    }

    /// This many cycles, or as many as take no longer than another host is worth.
    fn affordable(&self, soak: &Measured, cycles: u64) -> u64 {
        let completed = soak.cycles.completed.max(1);
        let in_time = OTHER_HOST_SECONDS / (soak.seconds / completed as f64);
        cycles.min(completed).min((in_time as u64).max(FEWEST_ELSEWHERE)).max(u64::from(self.plan.threads))
    }

    /// The same plan with what is left of the time.
    fn rest(&self, plan: SoakPlan) -> SoakPlan {
        SoakPlan { allowance: plan.allowance.after(self.began.elapsed()), ..plan }
    }

    /// The measurement itself, or its repetition.
    fn measure(&mut self, pass: Pass, plan: &SoakPlan) -> Result<Measured, Fault> {
        let began = Instant::now();
        let (mut measured, doubt) = self.instrument.measure(plan, self.context)?;
        self.doubt = doubt;
        measured.replay = plan.replay();
        measured.baseline.clone_from(&plan.baseline);
        // Those that were made while this one waited.
        let beside: f64 = measured.passes.iter().map(|made| made.seconds).sum();
        let made = PassMade {
            pass,
            cycles: measured.cycles.completed,
            seconds: began.elapsed().as_secs_f64() - beside,
            agent: measured.worker.agent,
        };
        measured.passes.insert(0, made);
        Ok(measured)
    }

    /// A short soak beside the one that was asked for; where its figures are to be doubted, once more with the plain agent.
    fn aside(&self, plan: SoakPlan) -> Result<Measured, Fault> {
        let (measured, doubt) = self.instrument.measure(&plan, self.context)?;
        match doubt {
            Some(_) => Ok(self.instrument.measure(&self.rest(plan.plainly()), self.context)?.0),
            None => Ok(measured),
        }
    }
}

/// What something gives, and the seconds that it takes.
fn timed<T>(make: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    (make(), began.elapsed().as_secs_f64())
}

/// Whether a loaded object is the library in this file, by the name that the loader matches by.
fn same_name(object: &Path, file: &Path) -> bool {
    object.file_name().is_some() && object.file_name() == file.file_name()
}

/// What was measured so far of a soak that is under way, judged; it stands for the soak where the run is cut short.
pub fn so_far(measured: &Measured) -> Soak {
    let mut soak = measured.clone();
    soak.outcome.kind = OutcomeKind::Interrupted;
    soak.interrupted = true;
    soak.outcome.why = Some(Why::CutShort);
    analysis::judged(soak)
}

/// The record of a run that begins now, without a soak; `first` is the one that it begins with, if any. What runs before it have left
/// behind is cleaned away.
pub fn begin(now: jiff::Timestamp, first: Option<&SoakPlan>) -> Run {
    supervisor::clean_private();
    let libc = first.and_then(|plan| host::c_library(plan).ok());
    Run {
        schema: SCHEMA.to_owned(),
        tool: Tool { version: env!("CARGO_PKG_VERSION").to_owned() },
        started_at: now.to_string(),
        passed: false,
        host: supervisor::host(libc.unwrap_or_else(c_library::of_this_machine)),
        partition: None,
        soaks: Vec::new(),
        watch: None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::record::why::Crash;
    use crate::record::{
        Agent, At, Column, DanglingPointer, Metric, Outcome, Place, PointerTarget, Use, User, sample,
    };
    use crate::settings::Settings;
    use crate::suite::plan::Plan;

    type Made = Result<(Measured, Option<Doubt>), Fault>;

    /// Plays what was measured before, pass after pass, and notes what it was asked for.
    #[derive(Default)]
    struct Recorded {
        soaks: Mutex<Vec<Made>>,
        traces: Mutex<Vec<Result<Trace, EndedEarly>>>,
        pointers: Mutex<Vec<Result<Vec<Residue>, EndedEarly>>>,
        asked: Mutex<Vec<String>>,
    }

    impl Instrument for Recorded {
        fn measure(&self, plan: &SoakPlan, _: &Context<'_>) -> Result<(Measured, Option<Doubt>), Fault> {
            let agent = if plan.plain { "plain" } else { "counting" };
            let calls = if plan.calls.is_empty() { "without calls" } else { "with calls" };
            self.asked.lock().unwrap().push(format!("{} cycles, {agent}, {calls}", plan.cycles));
            self.soaks.lock().unwrap().remove(0)
        }

        fn trace(
            &self,
            _: &SoakPlan,
            _: &Measured,
            cycles: u64,
            _: &Context<'_>,
        ) -> Result<Trace, EndedEarly> {
            self.asked.lock().unwrap().push(format!("trace of {cycles} cycles"));
            self.traces.lock().unwrap().remove(0)
        }

        fn cohorts(
            &self,
            _: &SoakPlan,
            _: &Measured,
            cycles: u64,
            _: &Context<'_>,
        ) -> Result<Cohorts, EndedEarly> {
            self.asked.lock().unwrap().push(format!("cohorts of {cycles} cycles"));
            Ok(Cohorts { cycles, ..Cohorts::default() })
        }

        fn pointers(
            &self,
            plan: &SoakPlan,
            _: &Measured,
            _: Duration,
            _: &Context<'_>,
        ) -> Result<(Vec<Residue>, Option<Note>), EndedEarly> {
            self.asked.lock().unwrap().push(format!("pointers after {} loads", plan.cycles));
            self.pointers.lock().unwrap().remove(0).map(|found| (found, None))
        }
    }

    /// A completed soak that was judged so before, of a library that is not unloaded.
    fn recorded(verdict: Verdict) -> Measured {
        let soak = sample::run(8).soaks.into_iter().find(|soak| soak.judged.verdict == verdict);
        let mut measured = soak.unwrap().measured;
        (measured.without_calls, measured.trace) = (None, None);
        measured.unload.unloads_per_cycle = 0.0;
        measured
    }

    fn plan(settings: &[&str]) -> SoakPlan {
        let mut all = Settings { call: Some(vec!["f".parse().unwrap()]), ..Settings::default() };
        for setting in settings {
            match *setting {
                "trace-on-leak" => all.trace_on_leak = Some(true),
                "no calls" => all.call = None,
                "cycles 7" => all.cycles = "7".parse().ok(),
                "pointers 0" => all.pointers = "0".parse().ok(),
                "pointers 100" => all.pointers = "100".parse().ok(),
                passes => all.passes = Some(passes.parse().unwrap()),
            }
        }
        Plan::from_paths(&[PathBuf::from("a.so")], &all).unwrap().soaks.remove(0)
    }

    /// What is made of a plan, and what was asked of the instrument for it.
    fn conducted(
        settings: &[&str],
        soaks: Vec<Made>,
        traces: Vec<Result<Trace, EndedEarly>>,
    ) -> (Result<Soak, Fault>, Vec<String>) {
        let instrument = Recorded { soaks: soaks.into(), traces: traces.into(), ..Recorded::default() };
        let context = Context { interrupted: &AtomicBool::new(false), progress: &|_| {} };
        let soak = with(&instrument, &plan(settings), &context);
        assert!(instrument.soaks.lock().unwrap().is_empty() && instrument.traces.lock().unwrap().is_empty());
        (soak, instrument.asked.into_inner().unwrap())
    }

    fn passes(soak: &Soak) -> Vec<Pass> {
        soak.passes.iter().map(|made| made.pass).collect()
    }

    #[test]
    fn a_clean_library_is_measured_once() {
        let (soak, asked) = conducted(&[], vec![Ok((recorded(Verdict::Clean), None))], Vec::new());
        let soak = soak.unwrap();
        assert_eq!((passes(&soak), soak.judged.verdict), (vec![Pass::Measure], Verdict::Clean));
        assert_eq!(asked, ["100000 cycles, counting, with calls"]);
        assert_eq!(soak.replay.split(" --").skip(1).collect::<Vec<_>>(), ["call f"]);
    }

    #[test]
    fn a_leak_is_soaked_again_without_its_calls_and_traced_where_that_was_asked_for() {
        let leak = || Ok((recorded(Verdict::Leak), None));
        let most = recorded(Verdict::Leak).cycles.completed.min(WITHOUT_CALLS);
        let (soak, asked) = conducted(&["trace-on-leak"], vec![leak(), leak()], vec![Ok(Trace::default())]);
        let soak = soak.unwrap();
        assert_eq!(passes(&soak), [Pass::Measure, Pass::WithoutCalls, Pass::Trace]);
        assert!(soak.without_calls.is_some() && soak.trace.is_some());
        let again = format!("{most} cycles, counting, without calls");
        assert_eq!(asked[1..], [again, "trace of 2000 cycles".to_owned()]);
        // Without calls there is nothing to leave out, and what is not wanted is not made.
        for settings in [&["no calls"][..], &["-without-calls"], &["measure"]] {
            let (soak, _) = conducted(settings, vec![leak()], Vec::new());
            assert_eq!(passes(&soak.unwrap()), [Pass::Measure], "{settings:?}");
        }
    }

    #[test]
    fn what_is_unloaded_is_searched_for_pointers_once() {
        let unloads = || {
            let mut measured = recorded(Verdict::Clean);
            measured.unload.unloads_per_cycle = 1.0;
            measured
        };
        let one = Residue::once(Evidence::Atexit {
            count: 1,
            first: At { address: "0x1".to_owned(), place: Place::Unmapped },
        });
        let crashed = EndedEarly::Died { signal: Some("SIGSEGV".to_owned()), status: None };
        for (settings, cycles, found) in [
            (&[][..], 32, Ok(vec![one.clone()])),
            (&["pointers 100"], 100, Ok(vec![one.clone()])),
            (&["pointers 100", "cycles 7"], 7, Ok(vec![one.clone()])),
            (&["cycles 7"], 7, Err(crashed.clone())),
        ] {
            let instrument = Recorded {
                soaks: vec![Ok((unloads(), None))].into(),
                pointers: vec![found.clone()].into(),
                ..Recorded::default()
            };
            let context = Context { interrupted: &AtomicBool::new(false), progress: &|_| {} };
            let soak = with(&instrument, &plan(settings), &context).unwrap();
            assert_eq!(passes(&soak), [Pass::Measure, Pass::Pointers]);
            assert_eq!(instrument.asked.lock().unwrap()[1], format!("pointers after {cycles} loads"));
            match found {
                Ok(found) => {
                    assert_eq!((soak.residue.clone(), soak.judged.verdict), (found, Verdict::Residue));
                }
                Err(why) => assert_eq!(soak.notes, [Note::PointersNotSought { why }]),
            }
        }
        let (soak, _) = conducted(&["pointers 0"], vec![Ok((unloads(), None))], Vec::new());
        assert_eq!(passes(&soak.unwrap()), [Pass::Measure]);
    }

    #[test]
    fn a_leak_that_is_unloaded_is_searched_beside_the_soak_without_its_calls() {
        let leak = || {
            let mut measured = recorded(Verdict::Leak);
            measured.unload.unloads_per_cycle = 1.0;
            Ok((measured, None))
        };
        let first = At { address: "0x1".to_owned(), place: Place::Unmapped };
        let instrument = Recorded {
            soaks: vec![leak(), leak()].into(),
            pointers: vec![Ok(vec![Residue::once(Evidence::Atexit { count: 1, first })])].into(),
            ..Recorded::default()
        };
        let context = Context { interrupted: &AtomicBool::new(false), progress: &|_| {} };
        let soak = with(&instrument, &plan(&[]), &context).unwrap();
        assert_eq!(passes(&soak), [Pass::Measure, Pass::Pointers, Pass::WithoutCalls]);
        assert!(soak.without_calls.is_some() && soak.residue.len() == 1);
        // Which of the two begins is left to the machine.
        let mut asked = instrument.asked.into_inner().unwrap();
        asked[1..].sort();
        let most = leak().unwrap().0.cycles.completed.min(WITHOUT_CALLS);
        assert_eq!(
            asked[1..],
            [format!("{most} cycles, counting, without calls"), "pointers after 32 loads".to_owned()]
        );
    }

    #[test]
    fn a_crash_that_comes_from_an_earlier_load_is_explained_by_it() {
        let crash_in = |cycle, phase| {
            let mut measured = recorded(Verdict::Clean);
            let cause = CrashCause::DivisionByZero;
            let why = Some(Why::Crash(Crash { cause, callee: None, by: None, handled: None }));
            let kind = OutcomeKind::Crashed;
            measured.outcome =
                Outcome { kind, cycle: Some(cycle), phase: Some(phase), why, ..Outcome::default() };
            measured.cycles.completed = 0;
            measured
        };
        let object = "a.so".to_owned();
        let target = PointerTarget { object, code: true, symbol: None, offset: 1, file: None, line: None };
        let used = Some(Use { user: User::KeyDestructor, access: None, load: 0, during: None });
        let pointer = Box::new(DanglingPointer {
            proof: Proof::Used,
            holder: None,
            target,
            loads: 1,
            of: 2,
            pointers: 1,
            used,
        });
        let proved = Residue::once(Evidence::DanglingPointer(pointer.clone()));
        let kept = Residue::once(Evidence::DanglingPointer(Box::new(DanglingPointer {
            proof: Proof::Stays,
            ..*pointer.clone()
        })));
        let died = EndedEarly::Died { signal: None, status: Some(1) };
        let explained = Some(CrashCause::StalePointer(pointer));
        let plain = || Some(CrashCause::DivisionByZero);
        for (measured, found, cause, left) in [
            (crash_in(3, Phase::Open), Some(Ok(vec![proved.clone()])), explained.clone(), vec![]),
            (crash_in(0, Phase::Close), Some(Ok(vec![proved])), explained, vec![]),
            (crash_in(3, Phase::Open), Some(Ok(vec![kept.clone()])), plain(), vec![kept]),
            (crash_in(3, Phase::Open), Some(Err(died)), plain(), vec![]),
            // Nothing had been closed.
            (crash_in(0, Phase::Call), None, plain(), vec![]),
        ] {
            let instrument = Recorded {
                soaks: vec![Ok((measured, None))].into(),
                pointers: found.into_iter().collect::<Vec<_>>().into(),
                ..Recorded::default()
            };
            let context = Context { interrupted: &AtomicBool::new(false), progress: &|_| {} };
            let soak = with(&instrument, &plan(&[]), &context).unwrap();
            let Some(Why::Crash(crash)) = &soak.outcome.why else { panic!("{:?}", soak.outcome) };
            assert_eq!((Some(&crash.cause), &soak.residue), (cause.as_ref(), &left));
            assert!(soak.notes.is_empty() && instrument.pointers.lock().unwrap().is_empty());
        }
    }

    #[test]
    fn a_library_with_go_is_soaked_again_with_a_collector_that_runs_often() {
        let grows = |gogc: Option<&str>| {
            let mut measured = recorded(Verdict::Leak);
            measured.language = crate::record::Language::Go;
            // Four times as many would take too long.
            measured.seconds = 8.0;
            measured.env.extend(gogc.map(|percent| ("GOGC".to_owned(), percent.to_owned())));
            Ok((measured, None))
        };
        for gogc in [None, Some("100"), Some("off"), Some("11")] {
            let (soak, _) = conducted(&["no calls"], vec![grows(gogc), grows(Some("10"))], Vec::new());
            let soak = soak.unwrap();
            assert_eq!(passes(&soak), [Pass::Measure, Pass::Collected], "{gogc:?}");
            assert!(soak.collected.is_some());
        }
        // It ran so in the soak itself, whether that set the variable or inherited it.
        for gogc in ["10", "5"] {
            let (soak, _) = conducted(&["no calls"], vec![grows(Some(gogc))], Vec::new());
            assert_eq!(passes(&soak.unwrap()), [Pass::Measure], "{gogc}");
        }
    }

    #[test]
    fn what_a_collector_leaves_open_is_soaked_for_longer() {
        // 3.4 MB in all, which may be garbage at any length.
        let open = |seconds| {
            let mut measured = recorded(Verdict::Clean);
            measured.language = crate::record::Language::Go;
            measured.seconds = seconds;
            let anon = Column::Metric(Metric::Anon);
            let anon = measured.checkpoints.columns.iter().position(|column| *column == anon).unwrap();
            for row in &mut measured.checkpoints.rows {
                row[anon] += 34 * row[0];
            }
            Ok((measured, None))
        };
        for (seconds, cycles) in [(1.0, &[100_000, 400_000, 1_600_000][..]), (8.0, &[100_000])] {
            let soaks = (0..=cycles.len()).map(|_| open(seconds)).collect();
            let (soak, asked) = conducted(&["no calls"], soaks, Vec::new());
            assert_eq!(passes(&soak.unwrap()), [Pass::Measure, Pass::Collected]);
            let expected = cycles.iter().map(|cycles| format!("{cycles} cycles, counting, without calls"));
            assert_eq!(asked[1..], expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn figures_that_are_to_be_doubted_are_measured_again() {
        let doubt = Some(Doubt::Threads);
        let again = Measured {
            worker: crate::record::Worker { agent: Agent::Plain, ..Default::default() },
            ..recorded(Verdict::Clean)
        };
        let soaks = vec![Ok((recorded(Verdict::Leak), doubt)), Ok((again, None))];
        let (soak, asked) = conducted(&[], soaks, Vec::new());
        let soak = soak.unwrap();
        assert_eq!(
            (passes(&soak), soak.judged.verdict),
            (vec![Pass::Measure, Pass::Recheck], Verdict::Clean)
        );
        assert_eq!(asked[1], "100000 cycles, plain, with calls");
        assert!(soak.notes.contains(&Note::MeasuredAgain(Doubt::Threads)));
    }

    #[test]
    fn a_pass_that_a_measurement_makes_itself_is_not_in_its_time() {
        let agent = Agent::Counting;
        let lost = PassMade { pass: Pass::Lost, cycles: 128, seconds: 1e6, agent };
        let measured = Measured { passes: vec![lost.clone()], ..recorded(Verdict::Clean) };
        let (soak, _) = conducted(&[], vec![Ok((measured, None))], Vec::new());
        let [measure, second] = &soak.unwrap().passes[..] else { panic!() };
        assert_eq!((measure.pass, second), (Pass::Measure, &lost));
        assert!(measure.seconds < 0.0, "{measure:?}");
    }

    #[test]
    fn patterns_and_a_trace_run_where_they_are_asked_for() {
        let clean = || Ok((recorded(Verdict::Clean), None));
        let soaks = vec![clean(), clean(), clean(), clean()];
        let why = EndedEarly::NoNotes;
        let (soak, asked) = conducted(&["+patterns,+trace"], soaks, vec![Err(why.clone())]);
        let soak = soak.unwrap();
        assert_eq!(passes(&soak), [Pass::Measure, Pass::Trace, Pass::Patterns]);
        assert!(soak.pattern_soaks.len() == 3 && soak.notes.contains(&Note::NotTraced { why }));
        assert_eq!(asked[2..], ["2000 cycles, counting, with calls"; 3]);
    }

    #[test]
    fn a_fault_of_the_machine_is_no_verdict() {
        let fault = || Err(Fault::new("no room"));
        assert_eq!(conducted(&[], vec![fault()], Vec::new()).0, Err(Fault::new("no room")));
        let soaks = vec![Ok((recorded(Verdict::Leak), None)), fault()];
        assert_eq!(conducted(&[], soaks, Vec::new()).0, Err(Fault::new("no room")));
    }

    #[test]
    fn nothing_follows_once_a_person_interrupts() {
        let instrument = Recorded {
            soaks: vec![Ok((recorded(Verdict::Leak), Some(Doubt::Threads)))].into(),
            ..Recorded::default()
        };
        let context = Context { interrupted: &AtomicBool::new(true), progress: &|_| {} };
        let soak = with(&instrument, &plan(&["trace-on-leak", "+patterns"]), &context).unwrap();
        assert_eq!(passes(&soak), [Pass::Measure]);
    }
}
