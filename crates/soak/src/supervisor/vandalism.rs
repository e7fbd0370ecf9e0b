//! What the supervisor makes of a channel that a library has written over: whatever is in there, it comes to an end,
//! takes no more memory than it would anyway, and what it writes down can be read again. All of this file is tests.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::latency::Histograms;
use super::limits::Limits;
use super::series::{self, Series};
use super::session::{Bounds, End};
use super::{Context, causes, instances, start};
use crate::analysis;
use crate::channel::{Channel, Look};
use crate::record::{Measured, Soak};
use crate::residue;
use crate::sampling::Sampler;
use crate::settings::Settings;
use crate::suite::plan::{Plan, SoakPlan};

/// Numbers that look like none; xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Writes over every byte that a worker can write to: with chance, with all ones, or with a few bits here and there.
fn scribble(room: &[AtomicU8], random: &mut Random, kind: u64) {
    for cell in room {
        match kind % 4 {
            0 => cell.store(random.next() as u8, Relaxed),
            1 => cell.store(0xff, Relaxed),
            2 if random.next().is_multiple_of(64) => cell.store(1 << (random.next() % 8), Relaxed),
            3 if random.next().is_multiple_of(1024) => cell.store(random.next() as u8, Relaxed),
            _ => {}
        }
    }
}

fn plan(settings: &Settings) -> SoakPlan {
    // Any library; that the process has it already is no hindrance.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc =
        maps.lines().find_map(|line| line.split_whitespace().last().filter(|p| p.contains("/libc.so")));
    Plan::from_paths(&[PathBuf::from(libc.unwrap())], settings).unwrap().soaks.remove(0)
}

#[test]
fn whatever_is_in_the_channel_makes_a_record() {
    let sampler = Sampler::new(i32::try_from(std::process::id()).unwrap()).unwrap();
    let mut random = Random(0x0d15_0a4b);
    for seed in 0..24 {
        let channel = Channel::create((3, 1), 128, b"{}", false).unwrap();
        let mut series = Series::new(true);
        let mut histograms = Histograms::new().unwrap();
        let mut snapshots = Vec::new();
        for cycle in 0..4 {
            scribble(channel.writable(), &mut random, seed);
            if cycle == 0 {
                series.before_first_open(&channel, &sampler.sample().unwrap());
            }
            series.take(cycle * 100, &channel, &sampler.sample().unwrap());
            assert!(series::objects(&channel).len() <= 16 * 1024);
            (0..4).for_each(|thread| histograms.add(channel.ring(thread), 1.0));
            histograms.quiet();
            snapshots.push(sampler.state(&channel, cycle * 100).unwrap());
        }
        let mut soak = Measured {
            asked: Settings { threads: "3".parse().ok(), ..Settings::default() },
            ..Measured::default()
        };
        let totals = series.totals();
        soak.cycles.completed = 300;
        soak.seconds = totals.active_ns as f64 / 1e9;
        soak.checkpoints = series.checkpoints.clone();
        soak.one_time = series::one_time(&soak.checkpoints);
        soak.instances = instances::instances(&soak.checkpoints);
        soak.latency_ns = histograms.to_record();
        soak.latency_over_time = histograms.over_time();
        soak.residue = residue::find(
            &snapshots,
            residue::Context {
                state: soak.unload.state,
                objects_left: &[],
                library: &[(0, u64::MAX)],
                until: u64::MAX,
                refusal: None,
                makes_shared_files: true,
                page: 4096,
            },
        );
        let soak = analysis::judged(soak);
        let text = serde_json::to_vec(&soak).unwrap();
        let back: Soak = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(back, soak);
    }
}

#[test]
fn a_session_over_a_channel_that_is_written_over_comes_to_an_end() {
    const STALL: Duration = Duration::from_millis(400);
    let plan = plan(&Settings { threads: "3".parse().ok(), ..Settings::default() });
    let never = AtomicBool::new(false);
    let context = Context { interrupted: &never, progress: &|_| {} };
    // A step that never ends would hold up this test for good.
    let (alive, end) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if end.recv_timeout(Duration::from_secs(600)) == Err(RecvTimeoutError::Timeout) {
            std::process::abort();
        }
    });
    for seed in 0..8 {
        let bounds = Bounds { stall: STALL, limits: Limits::of(&plan), deadline: None, stride: 64 };
        let files = vec![plan.path.clone(); 3];
        let mut session = start(&plan, (&files, None), &plan.env, bounds, &context).unwrap();
        session.ready().unwrap();
        // The same memory as the library has.
        let theirs: crate::channel::Parts = *session.channel;
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random(0x5eed + seed);
                while !done.load(Relaxed) {
                    scribble(theirs.writable(), &mut random, seed);
                }
            });
            let mut histograms = Histograms::new().unwrap();
            let mut end = Ok(());
            // Each step may look well by chance; there are few of them.
            for step in 1..20 {
                end = session.advance(step * 50, &mut histograms);
                let _ = (causes::pending(&session), session.position(), session.completed());
                if end.is_err() {
                    break;
                }
                end = session.look(Look::Presence).map(drop);
            }
            done.store(true, Relaxed);
            if let Err(End::Failed { failure, .. }) = &end {
                let said = failure.said.as_ref().map_or(0, String::len);
                assert!(said <= 3 * crate::channel::ERROR_LEN);
            }
        });
        session.worker.process.kill();
    }
    // Each step came to its end, however it went.
    drop(alive);
    watchdog.join().unwrap();
}
