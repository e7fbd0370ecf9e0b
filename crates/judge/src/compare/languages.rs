//! Compares languages that do the same work.

use serde::Serialize;

use dlsoak_record::{Mode, Run, UnloadState, Verdict};

/// Soaks that did the same work: the same calls, the same mode and the same number of threads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Work {
    /// The calls of a cycle.
    pub calls: Vec<String>,
    /// What a cycle opens.
    pub mode: Mode,
    /// Threads that cycled.
    pub threads: u32,
    /// One entry per soak.
    pub soaks: Vec<Language>,
}

/// One soak among those that did the same work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Language {
    /// Label of the run.
    pub run: String,
    /// Name of the soak.
    pub name: String,
    /// Its language.
    pub language: dlsoak_record::Language,
    /// Its verdict.
    pub verdict: Verdict,
    /// Whether it was unloaded. A library that stays is not loaded again in each cycle.
    pub unload: UnloadState,
    /// Median of a whole cycle in nanoseconds.
    pub cycle_p50_ns: Option<u64>,
    /// Median of the call in nanoseconds.
    pub call_p50_ns: Option<u64>,
    /// Growth of the C heap in bytes per cycle.
    pub heap_per_cycle: Option<f64>,
    /// Growth of resident memory in bytes per cycle.
    pub rss_per_cycle: Option<f64>,
}

/// Work that soaks of two or more languages did.
pub(super) fn languages(runs: &[(String, Run)]) -> Vec<Work> {
    use dlsoak_record::Language as L;
    let mut all: Vec<Work> = Vec::new();
    for (label, run) in runs {
        for soak in run.soaks.iter().filter(|soak| soak.language != L::Unknown) {
            let growth = |metric| soak.judged.growth.iter().find(|g| g.metric == metric).map(|g| g.per_cycle);
            let language = Language {
                run: label.clone(),
                name: soak.name.clone(),
                language: soak.language,
                verdict: soak.judged.verdict,
                unload: soak.unload.state,
                cycle_p50_ns: soak.latency_ns.cycle.as_ref().map(|latency| latency.p50),
                call_p50_ns: soak.latency_ns.call.as_ref().map(|latency| latency.p50),
                heap_per_cycle: growth(dlsoak_record::Metric::Heap),
                rss_per_cycle: growth(dlsoak_record::Metric::Rss),
            };
            let same = |w: &&mut Work| {
                w.calls == soak.calls() && w.mode == soak.mode() && w.threads == soak.threads()
            };
            match all.iter_mut().find(same) {
                Some(work) => work.soaks.push(language),
                None => all.push(Work {
                    calls: soak.calls(),
                    mode: soak.mode(),
                    threads: soak.threads(),
                    soaks: vec![language],
                }),
            }
        }
    }
    all.retain(|work| {
        work.soaks.iter().any(|soak| Some(soak.language) != work.soaks.first().map(|s| s.language))
    });
    for work in &mut all {
        work.soaks.sort_by_key(|soak| soak.language);
    }
    all
}
