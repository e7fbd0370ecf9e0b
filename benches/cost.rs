//! What the parts of a soak cost: clock reads, a latency's record, a checkpoint against a raw read of the same files, growth
//! estimated from so many checkpoints, and a record written and read.
//!
//! `cargo xtask bench --bench cost`, and `-- checkpoint` for one part. Needs a C compiler for the process with many mappings.

use std::fs;
use std::hint::black_box;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dlsoak::analysis;
use dlsoak::record::{Checkpoints, Column, Cycles, Measured, Run, SCHEMA, Tool, read};
use dlsoak::sampling::Sampler;
use dlsoak::settings::Limits;
use dlsoak::sys::glibc::monotonic_ns;
use hdrhistogram::Histogram;
use tempfile::TempDir;

/// Files of `/proc/PID` that a checkpoint needs, besides the count of `fd`.
const CHECKPOINT: [&str; 3] = ["smaps_rollup", "status", "maps"];
/// Mappings of a host with many libraries.
const MANY: u32 = 3_000;

fn clocks(c: &mut Criterion) {
    let mut group = c.benchmark_group("clock read");
    group.bench_function("Instant::now", |b| b.iter(Instant::now));
    group.bench_function("the soak's own, CLOCK_MONOTONIC", |b| b.iter(monotonic_ns));
    let raw = || {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the argument is a timespec that lives through the call.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_RAW, &raw mut time) };
        time.tv_nsec
    };
    group.bench_function("CLOCK_MONOTONIC_RAW", |b| b.iter(raw));
    let quanta = quanta::Clock::new();
    group.bench_function("quanta, raw", |b| b.iter(|| quanta.raw()));
    group.bench_function("quanta, scaled", |b| b.iter(|| quanta.now()));
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__rdtscp, _mm_lfence, _rdtsc};
        // SAFETY: every processor of this architecture has these instructions, which read a counter and wait.
        group.bench_function("rdtsc", |b| b.iter(|| unsafe { _rdtsc() }));
        // SAFETY: as above; it writes to a number of ours.
        group.bench_function("rdtscp", |b| b.iter(|| unsafe { __rdtscp(&mut 0) }));
        let fenced = || {
            // SAFETY: as above.
            unsafe {
                _mm_lfence();
                _rdtsc()
            }
        };
        group.bench_function("lfence and rdtsc", |b| b.iter(fenced));
    }
    group.finish();
}

/// As one latency of a cycle is recorded: three digits, up to a minute.
fn histogram(c: &mut Criterion) {
    let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3) else { return };
    // Around 20 us, so that not always the same bucket is hit; the same sequence each time.
    let mut state = 1_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        15_000 + (state >> 50)
    };
    let mut group = c.benchmark_group("histogram");
    group.bench_function("one value", |b| b.iter(|| histogram.saturating_record(next())));
    group.finish();
}

/// A process that sleeps, with so many mappings more than it has of itself; it ends with this value.
struct Sleeper(Child);

impl Sleeper {
    fn new(preload: &Path, mappings: u32) -> Self {
        let mut command = Command::new("sleep");
        command.arg("3600").env("LD_PRELOAD", preload).env("MAPPINGS", mappings.to_string());
        let child = command.stdin(Stdio::null()).spawn();
        let Ok(child) = child else { unreachable!("`sleep` is part of any system") };
        // Until it has made its mappings and sleeps.
        std::thread::sleep(Duration::from_millis(200));
        Self(child)
    }

    fn directory(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.0.id()))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The library that makes mappings, in a directory of its own.
fn preload() -> (TempDir, PathBuf) {
    let Ok(directory) = tempfile::tempdir() else { unreachable!("a temporary directory can be made") };
    let file = directory.path().join("libmappings.so");
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&file)
        .arg(xtask::fixtures::root().join("benches/mappings.c"));
    assert!(cc.status().is_ok_and(|status| status.success()), "cc is needed: apt install gcc");
    (directory, file)
}

/// Reads files of a process whole, into one kept buffer, and counts its descriptors; how many bytes there were.
fn read_raw(process: &Path, files: &[&str], buffer: &mut Vec<u8>) -> usize {
    let mut bytes = 0;
    for name in files {
        buffer.clear();
        if let Ok(mut file) = fs::File::open(process.join(name)) {
            bytes += file.read_to_end(buffer).unwrap_or(0);
        }
    }
    bytes + fs::read_dir(process.join("fd")).map_or(0, Iterator::count)
}

fn checkpoint(c: &mut Criterion) {
    let (_directory, preload) = preload();
    for mappings in [0, MANY] {
        let sleeper = Sleeper::new(&preload, mappings);
        let Ok(sampler) = Sampler::new(sleeper.0.id().cast_signed()) else { return };
        let there = sampler.ranges().len();
        let mut group = c.benchmark_group(format!("checkpoint, {there} mappings"));
        let (process, mut buffer) = (sleeper.directory(), Vec::new());
        group.bench_function("raw reads", |b| b.iter(|| read_raw(&process, &CHECKPOINT, &mut buffer)));
        group.bench_function("sample", |b| b.iter(|| black_box(sampler.sample().is_ok())));
        group.bench_function("raw read of smaps", |b| b.iter(|| read_raw(&process, &["smaps"], &mut buffer)));
        group.bench_function("resident memory by kind", |b| {
            b.iter(|| black_box(sampler.kinds(|_| false).is_ok()));
        });
        group.finish();
    }
}

/// A soak with so many checkpoints, of which the heap grows by 32 bytes a cycle and the rest is as a process's is.
fn soak(checkpoints: u64) -> Measured {
    const EACH: u64 = 500;
    let row = |at: u64| {
        let cycle = (at * EACH).cast_signed();
        // Pages that come and go, the same each time.
        let pages = 4096 * (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60).cast_signed();
        let grown = cycle * 32;
        let memory = 8_000_000 + grown + pages;
        vec![
            cycle,
            cycle * 20_000,
            cycle,
            cycle,
            500_000 + grown,
            memory,
            memory,
            memory,
            memory,
            40_000_000,
            100_000,
            60,
            1,
            9,
            2,
            0,
        ]
    };
    let cycles = checkpoints * EACH;
    Measured {
        name: "soak".to_owned(),
        cycles: Cycles { requested: cycles, completed: cycles, warmup: 500 },
        seconds: cycles as f64 * 20e-6,
        checkpoints: Checkpoints {
            columns: Column::all().collect(),
            rows: (0..=checkpoints).map(row).collect(),
            before_first_open: None,
        },
        ..Measured::default()
    }
}

fn growth(c: &mut Criterion) {
    let mut group = c.benchmark_group("growth of all metrics");
    for checkpoints in [200, 2_000, 20_000] {
        let soak = soak(checkpoints);
        let limits = Limits::default();
        group.throughput(Throughput::Elements(checkpoints));
        group.bench_function(BenchmarkId::from_parameter(checkpoints), |b| {
            b.iter(|| analysis::judge(black_box(&soak), &limits));
        });
    }
    group.finish();
}

fn record(c: &mut Criterion) {
    for checkpoints in [200, 20_000] {
        let run = Run {
            schema: SCHEMA.to_owned(),
            tool: Tool { version: "0".to_owned() },
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            passed: true,
            host: dlsoak::supervisor::host(dlsoak::settings::Libc::Glibc),
            partition: None,
            soaks: vec![dlsoak::analysis::judged(soak(checkpoints))],
            watch: None,
        };
        let bytes = serde_json::to_vec_pretty(&run).unwrap_or_default();
        let mut group = c.benchmark_group(format!("record, {checkpoints} checkpoints"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("written", |b| b.iter(|| serde_json::to_vec_pretty(black_box(&run))));
        group.bench_function("read", |b| b.iter(|| read(black_box(&bytes))));
        group.finish();
    }
}

criterion_group!(benches, clocks, histogram, checkpoint, growth, record);
criterion_main!(benches);
