//! Reads recorded series of known truth, the format of `tests/data/series.csv`, into soaks as a supervisor would
//! hand them over.

use dlsoak::record::{
    Checkpoints, Cycles, Gate, Language, Latencies, Mode, Outcome, OutcomeKind, Soak, Unload, UnloadState,
    Verdict, Worker,
};

/// One recorded soak.
pub(crate) struct Recorded {
    /// What was soaked.
    pub(crate) case: String,
    /// Number of threads.
    pub(crate) threads: u32,
    /// Cycles asked for, all threads together.
    pub(crate) cycles: u64,
    /// Which repetition.
    pub(crate) run: u32,
    /// The soak, everything measured filled in.
    pub(crate) soak: Soak,
}

/// All soaks of a file.
pub(crate) fn parse(text: &str) -> Vec<Recorded> {
    let mut lines = text.lines();
    let columns: Vec<String> = lines
        .next()
        .unwrap_or_default()
        .split(',')
        .skip(4)
        .map(|name| if name == "live_threads" { "threads".to_owned() } else { name.to_owned() })
        .collect();
    let mut soaks: Vec<Recorded> = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let [case, threads, cycles, run, values @ ..] = fields.as_slice() else { continue };
        let values: Vec<i64> = values.iter().filter_map(|value| value.parse().ok()).collect();
        let (threads, cycles, run) = (number(threads) as u32, number(cycles), number(run) as u32);
        let same = |last: &Recorded| {
            (last.case.as_str(), last.threads, last.cycles, last.run) == (*case, threads, cycles, run)
        };
        if !soaks.last().is_some_and(same) {
            let soak = soak(case, threads, cycles, columns.clone());
            soaks.push(Recorded { case: (*case).to_owned(), threads, cycles, run, soak });
        }
        if let Some(last) = soaks.last_mut() {
            last.soak.cycles.completed = u64::try_from(values[0]).unwrap_or(0);
            last.soak.seconds = values[1] as f64 / 1e9;
            last.soak.checkpoints.rows.push(values);
        }
    }
    // The file has one row before the first open, and no warm-up apart: the first row is that one.
    soaks
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// A completed soak of a library that was unloaded each cycle, without checkpoints.
pub(crate) fn soak(name: &str, threads: u32, cycles: u64, columns: Vec<String>) -> Soak {
    Soak {
        name: name.to_owned(),
        path: format!("{name}.so"),
        build_id: None,
        language: Language::C,
        mode: Mode::Reopen,
        threads,
        share_path: false,
        calls: Vec::new(),
        env: Default::default(),
        cycles: Cycles { requested: cycles, completed: cycles, warmup: 0 },
        seconds: cycles as f64 * 45e-6,
        outcome: Outcome {
            kind: OutcomeKind::Completed,
            cycle: None,
            phase: None,
            signal: None,
            detail: None,
            stacks: None,
        },
        unload: Unload {
            state: UnloadState::Unloaded,
            loads_per_cycle: 1.0,
            unloads_per_cycle: 1.0,
            objects_per_load: 1,
            objects_left: Vec::new(),
            causes: Vec::new(),
        },
        growth: Vec::new(),
        leak: None,
        one_time: Vec::new(),
        residue: Vec::new(),
        latency_ns: Latencies::default(),
        warmup_latency_ns: Latencies::default(),
        verdict: Verdict::Inconclusive,
        reasons: Vec::new(),
        notes: Vec::new(),
        gate: Gate::default(),
        checkpoints: Checkpoints { columns, rows: Vec::new(), before_first_open: None },
        worker: Worker::default(),
    }
}
