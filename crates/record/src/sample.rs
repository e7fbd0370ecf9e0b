//! Records for the tests of all formats, made up but shaped as real runs are: latencies with tails, heaps counted
//! without noise, resident memory that moves in pages. The same seed gives the same record.
#![allow(clippy::unwrap_used, reason = "its numbers are constants: a test would show one that is wrong")]

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use crate::*;

/// A small generator of numbers, good enough for pictures and free of dependencies.
#[derive(Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator that begins at `seed`.
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Uniform in 0..1.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normal, near enough, by the sum of three.
    fn normal(&mut self) -> f64 {
        (self.unit() + self.unit() + self.unit() - 1.5) * 2.0
    }
}

/// Latencies around `median` with a log-normal body and now and then a scheduler's tick.
pub fn latency(median: f64, count: u64, rng: &mut Rng) -> Latency {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
    for _ in 0..count {
        let mut ns = median * (0.12 * rng.normal()).exp();
        let u = rng.unit();
        if u > 0.99 {
            ns += 4_000.0 * (0.5 * rng.normal()).exp();
        }
        if u > 0.9995 {
            ns += 400_000.0 * (0.9 * rng.normal()).exp();
        }
        histogram.record(ns.max(1.0) as u64).unwrap();
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&histogram, &mut bytes).unwrap();
    Latency {
        count: histogram.len(),
        min: histogram.min(),
        mean: histogram.mean(),
        p50: histogram.value_at_quantile(0.5),
        p90: histogram.value_at_quantile(0.9),
        p99: histogram.value_at_quantile(0.99),
        p999: histogram.value_at_quantile(0.999),
        max: histogram.max(),
        hdr: base64::engine::general_purpose::STANDARD.encode(bytes),
    }
}

/// What makes one soak of the sample differ from another.
struct Shape {
    name: &'static str,
    language: Language,
    open_ns: f64,
    call_ns: f64,
    leak: f64,
    pinned: Option<fn() -> CauseFacts>,
}

const SHAPES: [Shape; 8] = [
    shape("c-clean", Language::C, 31e3, 92.0, 0.0, None),
    shape("c-leak-constructor", Language::C, 32e3, 95.0, 32.0, None),
    shape("cpp-clean", Language::Cpp, 118e3, 90.0, 0.0, None),
    shape(
        "cpp-unique",
        Language::Cpp,
        240.0,
        88.0,
        0.0,
        Some(|| CauseFacts::Unique { symbol: Some("Counter<int>::value".to_owned()), count: 1 }),
    ),
    shape("rust-clean", Language::Rust, 142e3, 61.0, 0.0, None),
    shape(
        "rust-tls-destructor",
        Language::Rust,
        260.0,
        74.0,
        0.0,
        Some(|| CauseFacts::TlsDestructor { count: 1, threads: 1, language: Language::Rust }),
    ),
    shape(
        "go-clean",
        Language::Go,
        270.0,
        1_350.0,
        0.0,
        Some(|| CauseFacts::Nodelete { language: Language::Go }),
    ),
    shape("libz.so.1", Language::Unknown, 45e3, 410.0, 0.4, None),
];

const fn shape(
    name: &'static str,
    language: Language,
    open_ns: f64,
    call_ns: f64,
    leak: f64,
    pinned: Option<fn() -> CauseFacts>,
) -> Shape {
    Shape { name, language, open_ns, call_ns, leak, pinned }
}

/// The findings of a soak that fails because this object stays.
pub fn stays(object: impl Into<String>) -> Vec<Finding> {
    let objects = vec![object.into()];
    vec![Finding::new(Severity::Fail, Facts::DependenciesStay { objects })]
}

/// A run of `n` soaks. Beyond eight the shapes repeat under numbered names with other medians.
pub fn run(n: usize) -> Run {
    let soaks: Vec<Soak> = (0..n).map(|i| soak(&SHAPES[i % SHAPES.len()], i / SHAPES.len())).collect();
    Run {
        schema: SCHEMA.to_owned(),
        tool: Tool { version: "0.1.0".to_owned() },
        started_at: "2026-05-04T10:15:00Z".to_owned(),
        passed: soaks.iter().all(|soak| soak.judged.gate.passed == Some(true)),
        host: Host {
            kernel: "6.12.9".to_owned(),
            libc: "glibc 2.36".to_owned(),
            machine: "x86_64".to_owned(),
            cpus: 2,
            page_size: 4096,
            thp: "madvise".to_owned(),
        },
        partition: None,
        soaks,
        watch: None,
    }
}

/// One soak of a shape; `round` varies it.
fn soak(shape: &Shape, round: usize) -> Soak {
    // Rounds differ in how far their lines reach, too.
    let samples = 20_000 / (1 + 5 * round as u64);
    let mut rng = Rng::new((shape.open_ns + shape.call_ns) as u64 + 7919 * round as u64);
    let factor = 1.0 + 0.35 * round as f64;
    let cycles = 100_000u64;
    let seconds = cycles as f64 * (shape.open_ns * 1.4 + shape.call_ns) * factor / 1e9;
    let per_cycle = shape.leak * factor;
    let loads = if shape.pinned.is_some() { 0.0 } else { 1.0 + f64::from(shape.language == Language::Rust) };
    let rows = rows(per_cycle, cycles, loads as i64, &mut rng);
    let growing = per_cycle > 1.0;
    let verdict = match shape.pinned {
        Some(_) => Verdict::Pinned,
        None if growing => Verdict::Leak,
        None if per_cycle > 0.0 => Verdict::Inconclusive,
        None => Verdict::Clean,
    };
    let state = if shape.pinned.is_some() { UnloadState::Pinned } else { UnloadState::Unloaded };
    let grow = |metric, column: usize, exact, noise: f64, trend| {
        let (slope, intercept) = fit(&rows[rows.len() / 2..], column);
        Growth {
            metric,
            unit: Unit::Bytes,
            per_cycle: slope,
            low: slope - noise,
            high: slope + noise,
            per_second: slope * cycles as f64 / seconds,
            per_load: None,
            detectable: noise,
            trend,
            exact,
            fit: Some(Fit { intercept, from_cycle: cycles / 2, to_cycle: cycles }),
        }
    };
    let trend = match verdict {
        Verdict::Leak => Trend::Growing,
        Verdict::Inconclusive => Trend::Unclear,
        _ => Trend::Flat,
    };
    // A Rust library brings others along, so even its heap is measured and not counted.
    let noise = match (trend, shape.language) {
        (Trend::Unclear, _) => 0.9,
        (_, Language::Rust) => 0.02,
        _ => 0.0,
    };
    let growth =
        vec![grow(Metric::Heap, 2, noise == 0.0, noise, trend), grow(Metric::Rss, 3, false, 1.6, trend)];
    let rate = growth[0].per_second / 1e6;
    let causes: Vec<Cause> = shape.pinned.iter().map(|evidence| Cause::of_library(evidence())).collect();
    let findings = match verdict {
        Verdict::Pinned => {
            causes.iter().map(|cause| Finding::new(Severity::Fail, Facts::Stays(cause.clone()))).collect()
        }
        Verdict::Leak => {
            let facts = LeakFacts {
                growth: growth[0].clone(),
                also: Vec::new(),
                with_threads: false,
                cycles,
                by: Vec::new(),
            };
            vec![Finding::new(Severity::Fail, Facts::Leak(facts))]
        }
        Verdict::Inconclusive => {
            let open = Unsettled {
                why: OpenGrowth::Straddles,
                growth: growth[0].clone(),
                rates: vec![per_cycle],
                clean_below: 1.0,
                cycles_needed: Some(200_000),
                also: Vec::new(),
            };
            vec![Finding::new(Severity::Undecided, Facts::Unsettled(open))]
        }
        _ => vec![Finding::new(Severity::Note, Facts::NoGrowth { cycles, detectable: 1.6 })],
    };
    let judged = Judged {
        verdict,
        findings,
        gate: Gate {
            passed: match verdict {
                Verdict::Clean => Some(true),
                Verdict::Inconclusive => None,
                _ => Some(false),
            },
            rules: Vec::new(),
        },
        growth,
        exhausted: Vec::new(),
        leak: growing.then_some(Leak {
            object: None,
            metric: Metric::Heap,
            bytes_per_cycle: per_cycle,
            low: per_cycle,
            high: per_cycle,
            mb_per_second: rate,
            bytes_per_load: None,
        }),
        patterns: Vec::new(),
    };
    let measured = Measured {
        name: if round == 0 { shape.name.to_owned() } else { format!("{}-{}", shape.name, round + 1) },
        path: format!("target/fixtures/lib{}.so", shape.name),
        language: shape.language,
        asked: Settings { call: "fibonacci(20)".parse().ok().map(|call| vec![call]), ..Settings::default() },
        cycles: Cycles { requested: cycles, completed: cycles, warmup: 500 },
        seconds,
        outcome: completed(),
        unload: Unload {
            state,
            loads_per_cycle: loads,
            unloads_per_cycle: loads,
            objects_per_load: loads as u64,
            objects_left: Vec::new(),
            causes,
        },
        latency_ns: Latencies {
            open: Some(latency(shape.open_ns * factor, samples, &mut rng)),
            symbol: Some(latency(110.0 * factor, 2_000, &mut rng)),
            call: Some(latency(shape.call_ns * factor, samples, &mut rng)),
            close: Some(latency(shape.open_ns * 0.4 * factor, samples, &mut rng)),
            cycle: Some(latency((shape.open_ns * 1.4 + shape.call_ns) * factor, 2_000, &mut rng)),
        },
        checkpoints: Checkpoints {
            columns: vec![
                Column::Cycle,
                Column::ActiveNs,
                Column::Metric(Metric::Heap),
                Column::Metric(Metric::Rss),
                Column::Metric(Metric::Anon),
                Column::Metric(Metric::Mappings),
                Column::Metric(Metric::Threads),
                Column::Metric(Metric::Fds),
                Column::Loads,
            ],
            rows,
            before_first_open: None,
        },
        latency_over_time: Some(latency_over_time(shape.open_ns, &mut rng)),
        resident_by_kind: Some(by_kind(per_cycle, cycles)),
        ..Measured::default()
    };
    Soak { measured, judged }
}

/// Twenty-five intervals, one of them disturbed.
fn latency_over_time(open_ns: f64, rng: &mut Rng) -> OverTime {
    let row = |interval: i64| {
        let factor = if interval == 17 { 6.0 } else { 1.0 };
        let figures =
            (0..15).map(|i| (open_ns * factor * (1.0 + f64::from(i % 3)) * (1.0 + 0.1 * rng.unit())) as i64);
        std::iter::once(4_000 * interval).chain(figures).collect()
    };
    OverTime {
        columns: std::iter::once(OverTimeColumn::Cycle).chain(OverTimeColumn::LATENCIES).collect(),
        rows: (1..=25).map(row).collect(),
    }
}

/// Fifty checkpoints by kind of mapping.
fn by_kind(per_cycle: f64, cycles: u64) -> OverTime {
    let columns = std::iter::once(OverTimeColumn::Cycle).chain(OverTimeColumn::KINDS).collect();
    let row = |i: u64| {
        let cycle = (cycles * i / 50) as i64;
        vec![cycle, 28_672 + (per_cycle * cycle as f64) as i64, 36_864, 24_576, 0, 12_804_096, 675_840]
    };
    OverTime { columns, rows: (0..=50).map(row).collect() }
}

/// Two hundred checkpoints: an exact heap, and resident memory that creeps in pages and jitters.
fn rows(per_cycle: f64, cycles: u64, loads: i64, rng: &mut Rng) -> Vec<Vec<i64>> {
    let mut creep = 0.0;
    (0..=200u64)
        .map(|i| {
            let cycle = cycles * i / 200;
            let grown = (per_cycle * cycle as f64) as i64;
            if rng.unit() > 0.93 && creep < 120_000.0 {
                creep += 4096.0 * (1.0 + 3.0 * rng.unit()).floor();
            }
            let jitter = 4096 * (rng.unit() * 3.0) as i64;
            let rss = 3_200_000 + (grown / 4096) * 4096 + creep as i64 + jitter;
            let objects = 5 + loads * (500 + cycle as i64);
            vec![
                cycle as i64,
                (cycle * 46_000) as i64,
                71_680 + grown,
                rss,
                rss - 2_000_000,
                36,
                1,
                5,
                objects,
            ]
        })
        .collect()
}

/// Least squares through one column: slope and intercept.
fn fit(rows: &[Vec<i64>], column: usize) -> (f64, f64) {
    let n = rows.len() as f64;
    let mean = |i: usize| rows.iter().map(|row| row[i] as f64).sum::<f64>() / n;
    let (x, y) = (mean(0), mean(column));
    let both: f64 = rows.iter().map(|row| (row[0] as f64 - x) * (row[column] as f64 - y)).sum();
    let slope = both / rows.iter().map(|row| (row[0] as f64 - x).powi(2)).sum::<f64>();
    (slope, y - slope * x)
}

/// The outcome of a soak that ran to its end.
fn completed() -> Outcome {
    Outcome::default()
}

/// A trace with two ways to one place that grows, and a place that does not.
pub fn trace() -> Trace {
    let frame = |function: &str, line: u32| TraceFrame {
        function: Some(function.to_owned()),
        file: Some("src/leak.c".to_owned()),
        line: Some(line),
        module: "target/fixtures/libc-leak-constructor.so".to_owned(),
        ..TraceFrame::default()
    };
    let stack = |bytes: f64, caller: &str| TraceStack {
        count_per_cycle: bytes / 32.0,
        bytes_per_cycle: bytes,
        frames: vec![frame("keep", 9), frame(caller, 30), frame("load", 41)],
    };
    let grows = TracePlace {
        function: Some("keep".to_owned()),
        file: Some("src/leak.c".to_owned()),
        line: Some(9),
        module: "target/fixtures/libc-leak-constructor.so".to_owned(),
        phase: Phase::Open,
        count_per_cycle: 4.0,
        bytes_per_cycle: 128.0,
        count: 8_000,
        bytes: 256_000,
        stacks: vec![stack(96.0, "table"), stack(32.0, "names")],
        ..TracePlace::default()
    };
    let kept = TracePlace {
        function: Some("fill".to_owned()),
        trend: PlaceTrend::Saturating,
        stacks: Vec::new(),
        count_per_cycle: 0.0,
        bytes_per_cycle: 0.0,
        ..grows.clone()
    };
    Trace {
        cycles: 2_000,
        ns_per_cycle: 24_500.0,
        places: vec![grows, kept],
        explained: vec![Explained { metric: Metric::Heap, measured: 160.0, noted: 128.0 }],
        unexplained_bytes_per_cycle: 32.0,
        ..Trace::default()
    }
}

/// Survivors of a leak of 32 B per cycle beside a cache that holds what the last 1,000 of 4,000 cycles allocated.
pub fn cohorts() -> Cohorts {
    let cycles = 4_000;
    let each = cycles / Cohorts::STRETCHES as u64;
    let alive = |from: u64, now: u64| {
        let cached = now > from && from + 1_000 >= now;
        let (blocks, bytes) = if cached { (2 * each, each * (32 + 96)) } else { (each, each * 32) };
        if now > from { Alive { blocks, bytes, squares: (bytes * 64) as f64 } } else { Alive::default() }
    };
    let at = |from: u64| Stretch { halfway: alive(from, cycles / 2), end: alive(from, cycles) };
    let stretches =
        (0..Cohorts::STRETCHES as u64).map(|index| at(cycles * index / Cohorts::STRETCHES as u64));
    let places = trace().places;
    Cohorts { cycles, stretches: stretches.collect(), places, lost: 0, ended: None }
}

/// A soak of which nothing was measured.
pub fn load_failed() -> Soak {
    let mut soak = soak(&SHAPES[0], 0);
    let measured = &mut soak.measured;
    measured.name = "not-there".to_owned();
    measured.outcome.kind = OutcomeKind::LoadFailed;
    measured.outcome.why = Some(Why::LoadFailed(LoadFailure {
        said: Some("libmissing.so.3: cannot open shared object file: No such file or directory".to_owned()),
        ..LoadFailure::new(LoadCause::MissingLibrary)
    }));
    measured.cycles.completed = 0;
    measured.seconds = 0.0;
    measured.checkpoints = Checkpoints::default();
    (measured.latency_over_time, measured.resident_by_kind) = (None, None);
    measured.latency_ns = Latencies::default();
    let ended = Ended { outcome: measured.outcome.clone(), measured: 0 };
    soak.judged = Judged {
        verdict: Verdict::LoadFailed,
        findings: vec![Finding::new(Severity::Fail, Facts::Ended(Box::new(ended)))],
        gate: Gate { passed: Some(false), rules: Vec::new() },
        ..Judged::default()
    };
    soak
}

/// A watched host with a library that leaks, one that is clean, and one of too few loads.
pub fn watch() -> Watch {
    let growth = |per_cycle: f64, trend| Growth {
        metric: Metric::Heap,
        unit: Unit::Bytes,
        per_cycle,
        low: per_cycle,
        high: per_cycle,
        per_second: per_cycle * 2.0,
        per_load: None,
        detectable: 1.0,
        trend,
        exact: true,
        fit: None,
    };
    let rows = |loads: i64, each: i64| (1..=loads).map(|load| vec![load, 5_000 + load * each]).collect();
    let library = |name: &str, loads: u64, each: i64, verdict, finding| WatchedLibrary {
        path: format!("/usr/lib/host/{name}"),
        opens: loads,
        closes: loads - 1,
        loads,
        unloads: loads - 1,
        checkpoints: Checkpoints {
            columns: vec![Column::Cycle, Column::Metric(Metric::Heap)],
            rows: rows(loads.cast_signed(), each),
            before_first_open: None,
        },
        verdict,
        findings: vec![finding],
        ..WatchedLibrary::default()
    };
    let leak = growth(1_008.0, Trend::Growing);
    let facts =
        LeakFacts { growth: leak.clone(), also: Vec::new(), with_threads: false, cycles: 12, by: Vec::new() };
    let unsettled = Unsettled {
        why: OpenGrowth::TooFewCheckpoints,
        growth: growth(0.0, Trend::Unclear),
        rates: Vec::new(),
        clean_below: 1_024.0,
        cycles_needed: Some(8),
        also: Vec::new(),
    };
    let leaks = Finding::new(Severity::Fail, Facts::Leak(facts));
    let is_clean = Finding::new(Severity::Note, Facts::NoGrowth { cycles: 12, detectable: 1.0 });
    let is_open = Finding::new(Severity::Undecided, Facts::Unsettled(unsettled));
    let libraries = vec![
        WatchedLibrary {
            leak: Some(Leak {
                object: None,
                metric: Metric::Heap,
                bytes_per_cycle: 1_008.0,
                low: 1_008.0,
                high: 1_008.0,
                mb_per_second: 0.002,
                bytes_per_load: None,
            }),
            growth: vec![leak],
            places: trace().places,
            ..library("leaking.so", 13, 1_008, WatchVerdict::Leak, leaks)
        },
        library("rare.so", 3, 0, WatchVerdict::Inconclusive, is_open),
        library("clean.so", 13, 0, WatchVerdict::Clean, is_clean),
    ];
    let step = |step: i64| vec![step, step * 500_000_000, 9_000_000 + step * 4_096, 40, 1, 7];
    let metrics = [Metric::Anon, Metric::Mappings, Metric::Threads, Metric::Fds].map(Column::Metric);
    Watch {
        host: WatchedHost {
            command: vec!["/usr/sbin/host".to_owned(), "--foreground".to_owned()],
            pid: 4711,
            end: HostEnd::Stopped,
        },
        seconds: 6.0,
        steps: 12,
        libraries,
        checkpoints: Checkpoints {
            columns: [Column::Cycle, Column::ActiveNs].into_iter().chain(metrics).collect(),
            rows: (0..=12).map(step).collect(),
            before_first_open: None,
        },
        growth: vec![Growth { metric: Metric::Anon, ..growth(4_096.0, Trend::Growing) }],
        ..Watch::default()
    }
}

/// A run that watched this host, and soaked nothing.
pub fn watched() -> Run {
    Run { passed: false, watch: Some(watch()), ..run(0) }
}
