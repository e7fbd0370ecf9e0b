//! From the evidence on each metric, how the soak ended and what was unloaded, to findings and one verdict.

use dlsoak_record::Evidence as Left;
use dlsoak_record::{
    Agent, AllowedPointer, Blame, Cause, CauseFacts, Code, Collection, Dependency, Ended, Exhausted, Facts,
    Finding, Judged, Leak, LeakFacts, Limits, Measured, Metric, MetricRate, Note, OddLimit, OneTime,
    OpenGrowth, OutcomeKind, Pass, Pattern, PatternVerdict, PlaceTrend, Problem, RanOut, Replaced, Residue,
    ResidueKind, Resource, Run, Severity, Share, SourcePlace, Trend, Undiagnosed, UnloadState, Unsettled,
    Verdict,
};

use super::growth::{
    Answer, Bounds, CLEAN_BELOW, COUNT_CLEAN_BELOW, Errors, Evidence, LEAK_ABOVE, evidence, is_memory,
};
use super::series::Exposure;
use super::{compare, exhausted, free, gate, lost, others, shares, together};

/// Judges a soak; see [`super::judge`].
pub(super) fn judge(soak: &Measured, limits: &Limits) -> Judged {
    let exhausted = exhausted::exhausted(soak);
    let until = exhausted::judged_until(soak, &exhausted);
    let exposure = Exposure::of(soak, until);
    let evidence = evidence(soak, &exposure, Errors::at_the_end(), bounds(soak, limits));
    let problems = others::problems_in(soak, &evidence);
    let blamed: Vec<Dependency> =
        problems.iter().filter_map(|problem| others::dependency(soak, &evidence, *problem, limits)).collect();
    let mut leak = leak(&evidence, seconds_per_cycle(soak));
    if let Some(leak) = &mut leak {
        let parts = together::growers(soak, leak.metric, leak.bytes_per_cycle);
        leak.object =
            together::sole(&parts).or_else(|| at_fault(&blamed, Problem::Grows { metric: leak.metric }));
    }
    let leaking = leak.as_ref().and_then(|leak| leaking_builds(soak, leak));
    if let Some(leak) = &mut leak
        && let Some([build]) = leaking.map(at_fault_of).as_deref()
    {
        leak.object.get_or_insert_with(|| build.clone());
    }
    let residue: Vec<&Residue> = soak
        .residue
        .iter()
        .filter(|found| !is_allowed(limits, found) && !is_counted(found, &evidence))
        .collect();
    let undecided = is_undecided(&evidence) || is_heap_unseen(soak);
    let left = !residue.is_empty() || !exhausted.is_empty();
    let verdict = verdict(soak, limits, &evidence, left, undecided);
    let mut gate = gate::gate(soak, limits, &evidence, leak.as_ref(), &residue, verdict);
    let pointers = residue.iter().any(|found| found.kind() == ResidueKind::DanglingPointer);
    if limits.blame == Some(Blame::Library)
        && blamed.len() == problems.len()
        && problems.iter().all(|problem| others::is_all_gone(soak, *problem, limits))
        && !blamed.is_empty()
        && !pointers
        && ran(soak)
        && exhausted.iter().all(|one| is_excused(one, &blamed))
    {
        // Memory that a dependency leaks shows in each metric of memory, and leaves those with noise open.
        let leaks = leak.is_some();
        let open: Vec<Evidence> =
            evidence.iter().filter(|e| !(leaks && is_memory(e.growth.metric))).cloned().collect();
        let undecided = is_undecided(&open) || is_heap_unseen(soak) || soak.is_cut_short();
        gate::excuse(&mut gate, &blamed, undecided);
    }
    // What did not run to its end is judged by that; its figures would only say more of the same.
    if ran(soak) {
        let rules = compare::rules(soak, &evidence_growth(&evidence), limits);
        gate.passed = compare::passed(gate.passed, &rules);
        gate.rules.extend(rules);
    }
    let patterns: Vec<Pattern> = soak.pattern_soaks.iter().map(|soak| pattern(soak, limits)).collect();
    let mut case = Case { soak, limits, evidence: &evidence, exhausted: &exhausted, findings: Vec::new() };
    case.exhausted();
    case.ended(gate.passed);
    case.leaks(leak.as_ref());
    case.decided();
    case.residue(&residue);
    case.replaced(leak.as_ref(), leaking);
    case.unload();
    case.blame(&blamed);
    case.open(verdict);
    case.rest(verdict, &patterns, &gate.rules);
    let findings = case.findings;
    let growth = evidence_growth(&evidence);
    Judged { verdict, findings, gate, leak, growth, exhausted, patterns }
}

/// The object that is alone at fault for this.
fn at_fault(blamed: &[Dependency], problem: Problem) -> Option<String> {
    let dependency = blamed.iter().find(|dependency| dependency.problem == problem)?;
    others::sole(dependency.objects.clone())
}

/// The two builds that replace each other, where what some cycles of each left accounts for the leak.
fn leaking_builds<'a>(soak: &'a Measured, leak: &Leak) -> Option<&'a Replaced> {
    let replaced = soak.replaced.as_ref().filter(|_| leak.metric == Metric::Heap)?;
    let opens: u64 = replaced.builds.iter().map(|build| build.answered).sum();
    let mut expected = 0.0;
    for build in replaced.builds.iter().filter(|build| build.answered > 0) {
        expected += build.heap_per_load? as f64 * build.answered as f64 / opens as f64;
    }
    // Half a byte per cycle: the number of cycles may be odd.
    (leak.low - 0.5..=leak.high + 0.5).contains(&expected).then_some(replaced)
}

/// The file names of the builds that leak.
fn at_fault_of(replaced: &Replaced) -> Vec<String> {
    let leak = replaced.builds.iter().filter(|build| build.heap_per_load.is_some_and(|bytes| bytes > 0));
    leak.map(|build| build.path.rsplit('/').next().unwrap_or(&build.path).to_owned()).collect()
}

/// Whether what ran out is what a dependency leaves.
fn is_excused(exhausted: &Exhausted, blamed: &[Dependency]) -> bool {
    let keys = Problem::Left { residue: ResidueKind::TlsKeys };
    exhausted.resource == Resource::TlsKeys && blamed.iter().any(|dependency| dependency.problem == keys)
}

/// The verdict: the first that holds, in the order of `docs/findings.md`.
fn verdict(soak: &Measured, limits: &Limits, evidence: &[Evidence], left: bool, undecided: bool) -> Verdict {
    let pinned = soak.unload.state == UnloadState::Pinned || is_stale(soak);
    match soak.outcome.kind {
        OutcomeKind::LoadFailed => Verdict::LoadFailed,
        OutcomeKind::NeedsHost => Verdict::NeedsHost,
        OutcomeKind::Crashed => Verdict::Crashed,
        OutcomeKind::Hung => Verdict::Hung,
        OutcomeKind::Exited => Verdict::Exited,
        OutcomeKind::CallFailed => Verdict::CallFailed,
        _ if has(evidence, Answer::Leak) => Verdict::Leak,
        _ if left => Verdict::Residue,
        OutcomeKind::Limit => Verdict::Limit,
        _ if pinned && (!may_stay(soak, limits) || !undecided) => Verdict::Pinned,
        // The rest of it, or a pass that did not run, might have found something.
        _ if undecided || soak.is_cut_short() => Verdict::Inconclusive,
        OutcomeKind::Completed | OutcomeKind::Interrupted => Verdict::Clean,
    }
}

/// Whether a library answered for the build that replaced it. So it was not unloaded, whatever the witnesses saw.
fn is_stale(soak: &Measured) -> bool {
    soak.replaced.as_ref().is_some_and(|replaced| replaced.stale > 0)
}

/// Whether the library may stay: because that is allowed, or because nothing that it does could get it unloaded.
pub(super) fn may_stay(soak: &Measured, limits: &Limits) -> bool {
    limits.allow_pinned.is_some() || soak.never_unloads().is_some() && !is_stale(soak)
}

/// Whether a soak ran until it was to end.
fn ran(soak: &Measured) -> bool {
    matches!(soak.outcome.kind, OutcomeKind::Completed | OutcomeKind::Interrupted)
}

fn evidence_growth(evidence: &[Evidence]) -> Vec<dlsoak_record::Growth> {
    evidence.iter().map(|e| e.growth.clone()).collect()
}

/// What of a short soak is worth comparing.
fn pattern(soak: &Measured, limits: &Limits) -> Pattern {
    let judged = judge(soak, limits);
    let heap = judged.growth.iter().find(|growth| growth.metric == Metric::Heap);
    Pattern {
        call_from: soak.call_from(),
        cycles: soak.cycles.completed,
        end: soak.outcome.kind,
        state: soak.unload.state,
        loads_per_cycle: soak.unload.loads_per_cycle,
        heap_per_cycle: heap.map(|growth| growth.per_cycle),
        cycle_p50_ns: soak.latency_ns.cycle.as_ref().map(|latency| latency.p50),
        verdict: judged.verdict,
    }
}

/// A soak under judgement, and what is concluded from it, most important first.
struct Case<'a> {
    soak: &'a Measured,
    limits: &'a Limits,
    evidence: &'a [Evidence],
    exhausted: &'a [Exhausted],
    findings: Vec<Finding>,
}

impl Case<'_> {
    fn add(&mut self, severity: Severity, facts: Facts) {
        self.findings.push(Finding::new(severity, facts));
    }

    /// What ran out, before all that may come of it. What the soak ended for want of is in how it ended.
    fn exhausted(&mut self) {
        let named = exhausted::by_the_end(self.soak).map(|end| end.resource);
        let ended = Some(self.soak.outcome.kind).filter(|_| !ran(self.soak));
        for what in self.exhausted.iter().filter(|one| Some(one.resource) != named) {
            self.add(Severity::Fail, Facts::Exhausted(RanOut { what: *what, ended }));
        }
    }

    /// Measured cycles that growth is judged by.
    fn judged_cycles(&self) -> u64 {
        let until = exhausted::judged_until(self.soak, self.exhausted);
        until.map_or(self.soak.cycles.completed, |until| until.min(self.soak.cycles.completed))
    }

    /// How it ended, where it did not complete or some of its passes are missing, and what the gate makes of it.
    fn ended(&mut self, passed: Option<bool>) {
        let severity = match self.soak.outcome.kind {
            OutcomeKind::Completed if !self.soak.interrupted => return,
            OutcomeKind::Completed | OutcomeKind::Interrupted if passed.is_none() => Severity::Undecided,
            OutcomeKind::Completed | OutcomeKind::Interrupted => Severity::Note,
            _ => Severity::Fail,
        };
        let outcome = dlsoak_record::Outcome { stacks: None, ..self.soak.outcome.clone() };
        let ended = Ended { outcome, measured: self.soak.cycles.completed };
        let object = together::at_fault(&ended.outcome);
        let finding = Finding::new(severity, Facts::Ended(Box::new(ended)));
        self.findings.push(Finding { object, ..finding });
    }

    /// Growth that is proven, who grows it, and from where.
    fn leaks(&mut self, leak: Option<&Leak>) {
        let evidence = self.evidence;
        let proven = |e: &&Evidence| decides(e) && e.answer == Answer::Leak;
        let with_threads =
            evidence.iter().any(|e| e.growth.metric == Metric::Threads && e.answer == Answer::Leak);
        let also = |stated: Metric| -> Vec<MetricRate> {
            let others = evidence
                .iter()
                .filter(proven)
                .filter(|e| is_memory(e.growth.metric) && e.growth.metric != stated);
            others.map(|e| MetricRate { metric: e.growth.metric, per_cycle: e.growth.per_cycle }).collect()
        };
        let cycles = self.judged_cycles();
        let stated = leak.and_then(|leak| evidence.iter().find(|e| e.growth.metric == leak.metric));
        if let Some(stated) = stated {
            let also = also(stated.growth.metric);
            self.leak(LeakFacts {
                growth: stated.growth.clone(),
                also,
                with_threads,
                cycles,
                by: Vec::new(),
            });
        }
        if stated.is_some() {
            self.shared(leak);
        }
        self.traced();
        for e in evidence.iter().filter(proven).filter(|e| !is_memory(e.growth.metric)) {
            let (growth, also) = (e.growth.clone(), Vec::new());
            self.leak(LeakFacts { growth, also, with_threads: false, cycles, by: Vec::new() });
            // What is left says what it is that grows.
            let left =
                self.soak.residue.iter().find(|found| metric_of(found.kind()) == Some(e.growth.metric));
            self.findings.extend(left.map(|left| Finding {
                object: left.object.clone().filter(|_| !left.by.is_empty()),
                ..Finding::new(Severity::Fail, Facts::Left(left.clone()))
            }));
        }
    }

    /// Growth that is proven, with the libraries that have a part in it.
    fn leak(&mut self, facts: LeakFacts) {
        let by = together::growers(self.soak, facts.growth.metric, facts.growth.per_cycle);
        let object = together::sole(&by);
        let finding = Finding::new(Severity::Fail, Facts::Leak(LeakFacts { by, ..facts }));
        self.findings.push(Finding { object, ..finding });
    }

    /// Whether loading grows it, or calling.
    fn shared(&mut self, leak: Option<&Leak>) {
        let Some(alone) = &self.soak.without_calls else { return };
        let instances = self.soak.driver.as_ref().map(|driven| driven.instances);
        let share = shares::shares(&evidence_growth(self.evidence), leak, alone, self.limits);
        if let Some(share) = share.map(|share| Share { instances, ..share }) {
            self.findings.push(Finding::new(Severity::Note, Facts::Share(share)).of_pass(Pass::WithoutCalls));
        }
    }

    /// What decided growth of the heap that was open or might have been a cache's, or of memory that a collector frees.
    fn decided(&mut self) {
        let note = |facts, pass| Finding::new(Severity::Note, facts).of_pass(pass);
        let survivors = self.evidence.iter().find_map(|e| e.survivors.clone());
        self.findings.extend(survivors.map(|survivors| note(Facts::Survivors(survivors), Pass::Cohorts)));
        let lost = lost::growth(self.soak, self.evidence);
        self.findings.extend(lost.map(|lost| note(Facts::Lost(lost), Pass::Lost)));
        let of = |metric| self.evidence.iter().find(|e| e.collected && e.growth.metric == metric);
        let collected = of(Metric::Anon).or_else(|| self.evidence.iter().find(|e| decides(e) && e.collected));
        let found = collected.and_then(|e| {
            let exposure = Exposure::of(self.soak, None);
            let series = exposure.series(&self.soak.checkpoints, e.growth.metric)?;
            let (first, last) = (series.first()?, series.last()?);
            let without = (last.1 - first.1) / (last.0 - first.0).max(1.0) * exposure.per_cycle;
            let collections = self.soak.collected.as_ref().and_then(|collected| collected.collections);
            Some(Collection { metric: e.growth.metric, without, with: e.growth.clone(), collections })
        });
        self.findings.extend(found.map(|found| note(Facts::Collected(found), Pass::Collected)));
    }

    /// The place that most of what grows comes from.
    fn traced(&mut self) {
        let traced = self.soak.trace.as_ref().map(|trace| (&trace.places, Pass::Trace));
        let leaks =
            self.evidence.iter().any(|e| e.survivors.as_ref().is_some_and(|survivors| survivors.leak));
        let noted =
            self.soak.cohorts.as_ref().filter(|_| leaks).map(|cohorts| (&cohorts.places, Pass::Cohorts));
        let Some((places, pass)) = traced.or(noted) else { return };
        let Some(place) = places.iter().find(|place| place.trend == PlaceTrend::Growing) else {
            return;
        };
        let facts = Facts::Leaker {
            bytes_per_cycle: place.bytes_per_cycle,
            count_per_cycle: place.count_per_cycle,
            kind: place.kind,
            phase: place.phase,
            module: place.module.clone(),
            offset: place.offset,
        };
        let source =
            SourcePlace { function: place.function.clone(), file: place.file.clone(), line: place.line };
        let finding = Finding { place: Some(source), ..Finding::new(Severity::Note, facts).of_pass(pass) };
        self.findings.push(finding);
    }

    /// What the process was left with; what a limit allows, or a metric counts already, is a note.
    fn residue(&mut self, residue: &[&Residue]) {
        for found in residue {
            self.left(Severity::Fail, found);
        }
        let stated: Vec<Facts> = self.findings.iter().map(|finding| finding.facts.clone()).collect();
        let allowed = |found: &&Residue| {
            let facts = Facts::Left((*found).clone());
            is_allowed(self.limits, found) && !stated.contains(&facts)
        };
        let allowed: Vec<Residue> = self.soak.residue.iter().filter(allowed).cloned().collect();
        for found in &allowed {
            self.left(Severity::Note, found);
        }
    }

    fn left(&mut self, severity: Severity, found: &Residue) {
        let pass = if found.kind() == ResidueKind::DanglingPointer { Pass::Pointers } else { Pass::Measure };
        let finding = Finding::new(severity, Facts::Left(found.clone())).of_pass(pass);
        let allowed = exception(self.limits, found).map(|exception| exception.reason.clone());
        let object = found.object.clone().filter(|_| !found.by.is_empty());
        self.findings.push(Finding { allowed, object, ..finding });
    }

    /// Which build answered, and which one leaks, where two took turns at one path.
    fn replaced(&mut self, leak: Option<&Leak>, leaking: Option<&Replaced>) {
        let Some(replaced) = &self.soak.replaced else { return };
        if let Some(leaking) = leaking {
            let is_leak = |finding: &&mut Finding| finding.code == Code::LeakHeap;
            if let Some(finding) = self.findings.iter_mut().find(is_leak) {
                finding.object = leak.and_then(|leak| leak.object.clone());
            }
            self.add(Severity::Note, Facts::BuildsLeak(leaking.clone()));
        }
        let severity = match &self.limits.allow_pinned {
            None if replaced.stale > 0 => Severity::Fail,
            _ => Severity::Note,
        };
        if replaced.stale > 0 || ran(self.soak) {
            self.add(severity, Facts::Replaced(replaced.clone()));
        }
    }

    /// Whether the library was unloaded, and why not.
    fn unload(&mut self) {
        let unload = &self.soak.unload;
        let severity = match unload.state {
            UnloadState::Unloaded => return,
            UnloadState::Pinned if !may_stay(self.soak, self.limits) => Severity::Fail,
            UnloadState::Pinned => Severity::Note,
            UnloadState::Partial => {
                self.add(Severity::Note, Facts::DependenciesStay { objects: unload.objects_left.clone() });
                Severity::Note
            }
        };
        for cause in &unload.causes {
            self.stays(severity, cause);
        }
        if unload.causes.is_empty() && unload.state == UnloadState::Pinned {
            // A soak that was cut short has no diagnosis.
            let cause = self.soak.never_unloads();
            let cause = cause.unwrap_or(CauseFacts::Unknown(Undiagnosed::NotMade));
            self.stays(severity, &Cause::of_library(cause));
        }
    }

    /// Whose fault it is, as other hosts show.
    fn blame(&mut self, blamed: &[Dependency]) {
        for finding in &mut self.findings {
            let problem = match &finding.facts {
                Facts::Leak(leak) => Problem::Grows { metric: leak.growth.metric },
                Facts::Left(found) => Problem::Left { residue: found.kind() },
                Facts::Stays(_) => Problem::Stays,
                Facts::Ended(_) => Problem::Crashes,
                _ => continue,
            };
            if !blamed.iter().any(|dependency| dependency.problem == problem) {
                continue;
            }
            if self.limits.blame == Some(Blame::Library) && problem != Problem::Crashes {
                finding.severity = Severity::Note;
            }
            if finding.object.is_none() {
                finding.object = at_fault(blamed, problem);
            }
        }
        let note = |facts| Finding::new(Severity::Note, facts).of_pass(Pass::OtherHost);
        for dependency in blamed {
            let object = others::sole(dependency.objects.clone());
            let finding = note(Facts::DependencyAtFault(dependency.clone()));
            self.findings.push(Finding { object, ..finding });
        }
        let differ = others::hosts_differ(self.soak, self.evidence, self.limits);
        self.findings.extend(differ.map(note));
    }

    fn stays(&mut self, severity: Severity, cause: &Cause) {
        let finding = Finding::new(severity, Facts::Stays(cause.clone()));
        let object = cause.library.clone().or_else(|| cause.object.clone());
        self.findings.push(Finding { object, ..finding });
    }

    /// Why the verdict is not certain.
    fn open(&mut self, verdict: Verdict) {
        if !matches!(verdict, Verdict::Inconclusive | Verdict::Pinned | Verdict::Limit) {
            return;
        }
        let severity = if verdict == Verdict::Inconclusive { Severity::Undecided } else { Severity::Note };
        for answer in Answer::OPEN {
            let alike: Vec<&Evidence> =
                self.evidence.iter().filter(|e| decides(e) && e.answer == answer).collect();
            if !alike.is_empty() {
                self.add(severity, Facts::Unsettled(unsettled(&alike)));
            }
        }
        let heap = self.evidence.iter().find(|e| e.growth.metric == Metric::Heap);
        let open = |e: &&Evidence| e.answer.is_open();
        if verdict == Verdict::Inconclusive && heap.filter(open).is_some() {
            self.shared(None);
        }
        if self.evidence.is_empty() && self.soak.outcome.kind == OutcomeKind::Completed {
            self.add(severity, Facts::NothingMeasured {});
        } else if is_heap_unseen(self.soak) {
            self.add(severity, Facts::HeapNotMeasured {});
        }
    }

    /// What passes, and what a reader of the figures should know.
    fn rest(&mut self, verdict: Verdict, patterns: &[Pattern], rules: &[dlsoak_record::Rule]) {
        let passing =
            |e: &&Evidence| e.answer == Answer::Clean && e.growth.trend == Trend::Growing && decides(e);
        for e in self.evidence.iter().filter(passing) {
            let facts = Facts::WithinLimit { growth: e.growth.clone(), limit: e.bounds.leak_above };
            self.add(Severity::Note, facts);
        }
        for facts in compare::findings(self.soak, rules) {
            self.findings.push(facts);
        }
        if let Some(odd) = gate::odd_limit(self.soak, self.limits, self.evidence) {
            let severity = if odd.why == OddLimit::AllowsChunk || verdict != Verdict::Inconclusive {
                Severity::Note
            } else {
                Severity::Undecided
            };
            self.add(severity, Facts::Limit(odd));
        }
        if verdict == Verdict::Clean {
            let memory = |e: &&Evidence| is_memory(e.growth.metric) && decides(e);
            let detectable = self.evidence.iter().filter(memory).map(|e| e.growth.high).fold(0.0, f64::max);
            self.add(Severity::Note, Facts::NoGrowth { cycles: self.soak.cycles.completed, detectable });
        }
        self.kept_once();
        let held = free::held(self.soak);
        self.findings.extend(held.map(|held| Finding::new(Severity::Note, Facts::MallocHoldsFree(held))));
        self.fewer_cycles(verdict);
        if patterns.iter().any(|one| {
            let of = |pattern: &Pattern| (pattern.end, pattern.state, pattern.verdict);
            patterns.first().is_some_and(|first| of(first) != of(one))
        }) {
            let each =
                patterns.iter().map(|one| PatternVerdict { call_from: one.call_from, verdict: one.verdict });
            let finding = Finding::new(Severity::Note, Facts::PatternsDiffer(each.collect()));
            self.findings.push(finding.of_pass(Pass::Patterns));
        }
        self.surroundings();
    }

    /// What the first loads kept and no later one did: what the warm-up kept, less what it grew by as the cycles after it did. The
    /// metrics that are left out say the same of other parts of memory.
    fn kept_once(&mut self) {
        let stated = [Metric::Heap, Metric::Rss, Metric::Virtual];
        let warmup = self.soak.cycles.warmup as f64;
        let grown = |metric: Metric| {
            let growth = self.evidence.iter().map(|e| &e.growth).find(|growth| growth.metric == metric);
            growth.filter(|growth| growth.low > 0.0).map_or(0.0, |growth| growth.per_cycle * warmup).round()
        };
        let once = |kept: &OneTime| OneTime {
            amount: kept.amount.saturating_sub(grown(kept.metric) as i64),
            ..*kept
        };
        let of_stated = self.soak.one_time.iter().filter(|kept| stated.contains(&kept.metric));
        let kept: Vec<OneTime> = of_stated.map(once).filter(|kept| kept.amount > 0).collect();
        if !kept.is_empty() {
            self.add(Severity::Note, Facts::KeptOnce(kept));
        }
    }

    fn fewer_cycles(&mut self, verdict: Verdict) {
        let (completed, requested) = (self.soak.cycles.completed, self.soak.cycles.requested);
        // An end that was asked for, by time or by certainty, is part of the outcome.
        let asked_for = self.soak.outcome.kind == OutcomeKind::Completed && self.soak.outcome.why.is_some();
        if verdict != Verdict::LoadFailed && completed < requested && !asked_for {
            self.add(Severity::Note, Facts::FewerCycles { completed, requested });
        }
    }

    /// How it was measured.
    fn surroundings(&mut self) {
        let soak = self.soak;
        for note in &soak.notes {
            self.add(Severity::Note, Facts::Note(note.clone()));
        }
        if soak.beside > 0 {
            self.add(Severity::Note, Facts::Note(Note::Contended { others: soak.beside }));
        }
        let done: Vec<_> = soak.chaos.iter().filter(|one| one.times > 0).cloned().collect();
        if !done.is_empty() {
            self.add(Severity::Note, Facts::Disturbed(done));
        }
        for refused in soak.chaos.iter().filter(|one| one.refused.is_some()) {
            self.add(Severity::Note, Facts::DisturbanceRefused(refused.clone()));
        }
        if let Some(sandbox) = soak.sandbox.as_ref().filter(|sandbox| !sandbox.applied.is_empty()) {
            self.add(Severity::Note, Facts::Sandboxed(sandbox.clone()));
        }
        if let Some(sandbox) = soak.sandbox.as_ref().filter(|sandbox| !sandbox.missing.is_empty()) {
            self.add(Severity::Note, Facts::SandboxIncomplete(sandbox.clone()));
        }
        // A user who sets the size of the cache gets what was set.
        let uncached =
            soak.env.get("GLIBC_TUNABLES").is_some_and(|set| set.contains("malloc.tcache_count=0"));
        if soak.worker.agent == Agent::Plain && uncached && soak.latency_ns.cycle.is_some() {
            self.add(Severity::Note, Facts::LatenciesUncached {});
        }
    }
}

/// The facts of the metrics that are open in one way. What would decide the first must decide the others, too.
fn unsettled(alike: &[&Evidence]) -> Unsettled {
    let evidence = alike[0];
    let why = match evidence.answer {
        _ if evidence.growth.high > UNBOUNDED => OpenGrowth::TooFewCheckpoints,
        Answer::Late => OpenGrowth::Late,
        Answer::Fading => OpenGrowth::Fading,
        Answer::Doubling => OpenGrowth::Doubling,
        Answer::Collected => OpenGrowth::Collected,
        Answer::Undecided | Answer::Leak | Answer::Clean => OpenGrowth::Straddles,
    };
    let needed: Option<Vec<u64>> = alike.iter().map(|e| e.cycles_needed).collect();
    Unsettled {
        why,
        growth: evidence.growth.clone(),
        rates: evidence.rates.iter().rev().copied().collect(),
        clean_below: evidence.bounds.clean_below,
        cycles_needed: needed.and_then(|needed| needed.into_iter().max()),
        also: alike.iter().skip(1).map(|e| e.growth.metric).collect(),
    }
}

/// Bounds beyond this are none: the largest numbers there are stand for them.
pub(super) const UNBOUNDED: f64 = 1e300;

/// Whether nothing could tell the heap, so that no one can say that it does not grow.
fn is_heap_unseen(soak: &Measured) -> bool {
    !soak.checkpoints.columns.is_empty() && soak.checkpoints.position(Metric::Heap).is_none()
}

/// The metric that counts what a kind of residue is about.
fn metric_of(kind: ResidueKind) -> Option<Metric> {
    match kind {
        ResidueKind::Threads => Some(Metric::Threads),
        ResidueKind::Fds => Some(Metric::Fds),
        ResidueKind::Mappings => Some(Metric::Mappings),
        ResidueKind::Allocator => Some(Metric::Virtual),
        _ => None,
    }
}

/// Whether this may be left behind.
fn is_allowed(limits: &Limits, found: &Residue) -> bool {
    limits.allows(found.kind()) || exception(limits, found).is_some()
}

/// The exception that a pointer falls under.
fn exception<'a>(limits: &'a Limits, found: &Residue) -> Option<&'a AllowedPointer> {
    limits.allow_pointer.iter().flatten().find(|one| excuses(one, found))
}

/// Whether this is a pointer that an exception is about.
fn excuses(exception: &AllowedPointer, found: &Residue) -> bool {
    let Left::DanglingPointer(pointer) = &found.evidence else { return false };
    let holder = pointer.holder.as_ref();
    holder.is_some_and(|holder| exception.is(holder.object.as_deref(), holder.symbol.as_deref()))
}

/// The exceptions of a run that no pointer falls under, where pointers were looked for. A part of a suite can't say so, because other
/// parts may have the pointer.
pub fn unused_exceptions(run: &Run) -> Vec<AllowedPointer> {
    let mut unused: Vec<AllowedPointer> = Vec::new();
    let mut used: Vec<AllowedPointer> = Vec::new();
    for soak in &run.soaks {
        let looked = soak.passes.iter().any(|made| made.pass == Pass::Pointers);
        for one in soak.asked.allow_pointer.iter().flatten().filter(|_| looked && run.partition.is_none()) {
            let is_used = soak.residue.iter().any(|found| excuses(one, found));
            let list = if is_used { &mut used } else { &mut unused };
            if !list.contains(one) {
                list.push(one.clone());
            }
        }
    }
    unused.retain(|one| !used.contains(one));
    unused
}

/// Whether residue that grows is what a metric was judged by already: as a leak, or as growth that a limit allows.
fn is_counted(found: &Residue, evidence: &[Evidence]) -> bool {
    let (Some(metric), Some(rate)) = (metric_of(found.kind()), found.per_cycle) else { return false };
    let of_metric = evidence.iter().find(|e| e.growth.metric == metric);
    of_metric.is_some_and(|e| match e.answer {
        Answer::Leak => true,
        Answer::Clean => rate <= e.bounds.leak_above,
        _ => false,
    })
}

/// Active time of a cycle in seconds; 0 where it is not known.
pub(super) fn seconds_per_cycle(soak: &Measured) -> f64 {
    let seconds = soak.seconds / soak.cycles.completed as f64;
    if seconds.is_finite() && seconds > 0.0 { seconds } else { 0.0 }
}

/// The bounds on each metric, per cycle.
pub(super) fn bounds(soak: &Measured, policy: &Limits) -> impl Fn(Metric) -> Bounds {
    let rate = policy.max_leak_rate.as_ref().map(|limit| limit.bytes_per_cycle(seconds_per_cycle(soak)));
    let counts = policy.max_growth.clone().unwrap_or_default();
    move |metric| {
        if is_memory(metric) {
            Bounds { leak_above: rate.unwrap_or(LEAK_ABOVE), clean_below: rate.unwrap_or(CLEAN_BELOW) }
        } else {
            let limit = counts.per_cycle(metric).unwrap_or(0.0);
            Bounds { leak_above: limit, clean_below: limit.max(COUNT_CLEAN_BELOW) }
        }
    }
}

/// Whether the evidence takes part in the verdict.
pub(super) fn decides(evidence: &Evidence) -> bool {
    evidence.decides
}

/// Whether a metric that decides has that finding.
pub(super) fn has(evidence: &[Evidence], answer: Answer) -> bool {
    evidence.iter().any(|e| decides(e) && e.answer == answer)
}

/// Whether any metric that decides is neither clean nor a leak, or nothing was measured.
pub(super) fn is_undecided(evidence: &[Evidence]) -> bool {
    evidence.is_empty() || Answer::OPEN.into_iter().any(|answer| has(evidence, answer))
}

/// The growth of memory that is proven, in the metric that says most about its kind: the narrowest that accounts for at least half of what
/// the next wider one grows by.
pub(super) fn stated(evidence: &[Evidence]) -> Option<&dlsoak_record::Growth> {
    let is_proven = |e: &&Evidence| decides(e) && e.answer == Answer::Leak;
    let proven = |metric| evidence.iter().filter(is_proven).find(|e| e.growth.metric == metric);
    let resident = [Metric::Heap, Metric::Anon, Metric::Rss].map(proven);
    let resident: Vec<&Evidence> = resident.into_iter().flatten().collect();
    let most = resident.iter().map(|e| e.growth.per_cycle).fold(0.0, f64::max);
    let stated = resident.into_iter().find(|e| e.growth.per_cycle >= most / 2.0);
    stated.or_else(|| proven(Metric::PageTables)).or_else(|| proven(Metric::Virtual)).map(|e| &e.growth)
}

fn leak(evidence: &[Evidence], seconds_per_cycle: f64) -> Option<Leak> {
    let growth = stated(evidence)?;
    let per_second = if seconds_per_cycle > 0.0 { growth.per_cycle / seconds_per_cycle } else { 0.0 };
    Some(leak_of(growth, per_second))
}

/// A leak of what grows like this, of nobody yet.
pub(super) fn leak_of(growth: &dlsoak_record::Growth, per_second: f64) -> Leak {
    Leak {
        metric: growth.metric,
        bytes_per_cycle: growth.per_cycle,
        low: growth.low,
        high: growth.high,
        mb_per_second: per_second / 1e6,
        bytes_per_load: growth.per_load,
        object: None,
    }
}
