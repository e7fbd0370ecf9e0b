//! Reads recorded series of known truth into soaks as a supervisor would hand them over: from the recorder's CSV,
//! and from the compact form of it that `examples/pack_series.rs` makes. `tests/data/series.txt` holds series with even checkpoints, and
//! `tests/data/containers.txt` those of containers, caches, collected heaps and rare leaks with the checkpoints of a schedule.

// Two examples and the tests compile this file, and each uses a part of it.
#![allow(dead_code)]

use dlsoak::analysis::schedule::{DEFAULT_CHECKPOINTS, Schedule};
use dlsoak::record::quantity::Threads;
use dlsoak::record::{Checkpoints, Column, Cycles, Language, Measured, Settings, Unload};

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
    pub(crate) soak: Measured,
}

/// What is true of a recorded series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    /// Nothing leaks, and the run is long enough to tell.
    None,
    /// 32 bytes or more in each cycle, or an address space that grows.
    Leak,
    /// The same, under a cache that fills, a sawtooth or noise.
    Disturbed,
    /// Something leaks in one cycle of a hundred or a thousand: 0.32 bytes, an fd, a thread.
    Rare,
    /// A leak that begins in the middle of the run.
    Late,
    /// What leaks nothing in the long run and can't be told from a leak in a run this short: a cache of 5,000
    /// entries in each thread that is not full, a sawtooth that did not come back.
    TooShort,
    /// `real_rust_tls`: nothing by the file's account, but its heap doubles as a growing `Vec` does and resident
    /// memory grows by a byte a cycle. It is pinned, so that it never is `clean`.
    Doubling,
    /// A container that doubles as long as the library runs.
    Container,
    /// Growth like a square root or a logarithm, which is no leak and never ends.
    Slow,
}

/// Cycles per thread that fill what a case of `containers.txt` keeps.
fn fills_in(case: &str) -> u64 {
    let sizes = [("100k", 100_000), ("50k", 50_000), ("30k", 30_000), ("reset", 31_250), ("10k", 10_000)];
    sizes.iter().find(|(name, _)| case.contains(name)).map_or(1_000, |(_, cycles)| *cycles)
}

impl Recorded {
    /// What is true of it, by the cases that the file's authors describe.
    pub(crate) fn truth(&self) -> Truth {
        let per_thread = self.cycles / u64::from(self.threads);
        let at_least = |cycles| if per_thread >= cycles { Truth::None } else { Truth::TooShort };
        match self.case.as_str() {
            "real_libxml2" if self.threads > 1 => Truth::Leak,
            "real_rust_tls" => Truth::Doubling,
            "noisy" | "thp_noisy" => at_least(2_500),
            case if case.starts_with("sat_") => at_least(20_000),
            "saw1000" => at_least(2_000),
            "saw1337" => at_least(2_500),
            "saw30000" => at_least(90_000),
            "late_leak16" => Truth::Late,
            case if case.starts_with("dbl_") => Truth::Container,
            case if case.starts_with("slow_") => Truth::Slow,
            case if case.starts_with("rare_") => Truth::Rare,
            case if case.starts_with("ok_") => at_least(fills_in(case) * 5 / 2),
            "rare100" | "sparse100" | "fd100" | "thread1000" => Truth::Rare,
            case if case.starts_with("leak") || case.starts_with("mmap_") || case == "thp_leak16" => {
                Truth::Leak
            }
            case if case.ends_with("_leak16") => Truth::Disturbed,
            _ => Truth::None,
        }
    }
}

impl Recorded {
    /// Bytes of heap that each cycle leaves in the long run, where the run is long enough to show it and the case's
    /// memory is all heap.
    pub(crate) fn heap_rate(&self) -> Option<f64> {
        if self.cycles < 20_000 || self.case.starts_with("ok_") {
            return None;
        }
        match (self.truth(), self.case.as_str()) {
            (Truth::None, _) => Some(0.0),
            (Truth::Disturbed, _) | (_, "leak1" | "leak16" | "thp_leak16") => Some(32.0),
            (_, "leak64") => Some(80.0),
            (_, "leak256") => Some(272.0),
            (_, "leak4096") => Some(4112.0),
            (_, "rare100" | "sparse100") => Some(0.32),
            _ => None,
        }
    }

    /// What it was after this many cycles, with the checkpoints that it would have kept if it had ended there.
    pub(crate) fn until(&self, cycles: u64) -> Self {
        let mut soak = self.soak.clone();
        soak.checkpoints.rows.retain(|row| row[0] <= cycles.cast_signed());
        let at: Vec<u64> = soak.checkpoints.rows.iter().map(|row| row[0].cast_unsigned()).collect();
        let mut keep = Schedule::new(cycles, DEFAULT_CHECKPOINTS, 0).keep(&at).into_iter();
        soak.checkpoints.rows.retain(|_| keep.next().unwrap_or(true));
        soak.cycles.requested = cycles;
        soak.cycles.completed = cycles;
        soak.seconds *= cycles as f64 / self.cycles as f64;
        Self { case: self.case.clone(), cycles, soak, ..*self }
    }
}

/// All soaks of a file.
pub(crate) fn parse(text: &str) -> Vec<Recorded> {
    let mut lines = text.lines();
    let named = lines.next().unwrap_or_default().split(',').skip(4);
    let named = named.map(|name| if name == "live_threads" { "threads" } else { name });
    let known: Vec<Option<Column>> = named.map(Column::from_name).collect();
    let columns: Vec<Column> = known.iter().flatten().copied().collect();
    let mut soaks: Vec<Recorded> = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let [case, threads, cycles, run, values @ ..] = fields.as_slice() else { continue };
        let values = values.iter().zip(&known).filter(|(_, column)| column.is_some());
        let values: Vec<i64> = values.filter_map(|(value, _)| value.parse().ok()).collect();
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
    soaks
}

/// All soaks of a file in the compact form, each at all lengths that it is recorded for.
pub(crate) fn unpack(text: &str) -> Vec<Recorded> {
    let at_lengths = |(whole, lengths): (Recorded, Vec<u64>)| match lengths.as_slice() {
        [] | [_] => vec![whole],
        lengths => lengths.iter().map(|length| whole.until(*length)).collect(),
    };
    unpack_whole(text).into_iter().flat_map(at_lengths).collect()
}

/// The same as they were recorded, each with the lengths.
pub(crate) fn unpack_whole(text: &str) -> Vec<(Recorded, Vec<u64>)> {
    let mut kept: Vec<i64> = Vec::new();
    let mut soaks: Vec<(Recorded, Vec<u64>)> = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields.as_slice() {
            ["checkpoints", indices @ ..] => {
                kept = indices.iter().map(|index| number(index) as i64).collect()
            }
            ["=", case, threads, cycles, run, seconds] => {
                let lengths = cycles.split(',').map(number).collect();
                let cycles = cycles.rsplit(',').next().unwrap_or_default();
                let (threads, cycles, run) = (number(threads) as u32, number(cycles), number(run) as u32);
                let mut soak = soak(case, threads, cycles, vec![Column::Cycle]);
                soak.seconds = seconds.parse().unwrap_or(0.0);
                let last = kept.last().copied().unwrap_or(1);
                soak.checkpoints.rows = kept.iter().map(|index| vec![index * cycles as i64 / last]).collect();
                soaks.push((Recorded { case: (*case).to_owned(), threads, cycles, run, soak }, lengths));
            }
            [name, differences @ ..] => {
                let Some((last, _)) = soaks.last_mut() else { continue };
                let points = &mut last.soak.checkpoints;
                let (name, unit) = name.split_once('@').unwrap_or((name, "1"));
                let Some(column) = Column::from_name(name) else { continue };
                if column != Column::Cycle {
                    points.columns.push(column);
                }
                let runs = differences.iter().flat_map(|run| {
                    let (difference, times) = run.split_once('*').unwrap_or((run, "1"));
                    std::iter::repeat_n(difference.parse().unwrap_or(0), number(times) as usize)
                });
                let values = runs.scan(0_i64, |value, difference: i64| {
                    *value += difference;
                    Some(*value)
                });
                if column == Column::Cycle {
                    points.rows = values.map(|cycle| vec![cycle]).collect();
                    continue;
                }
                for (row, value) in points.rows.iter_mut().zip(values) {
                    row.push(value * number(unit) as i64);
                }
            }
            [] => {}
        }
    }
    soaks
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// A completed soak of a library that was unloaded each cycle, without checkpoints.
pub(crate) fn soak(name: &str, threads: u32, cycles: u64, columns: Vec<Column>) -> Measured {
    let collected = name.contains("_go_").then_some(Language::Go);
    let gogc = name.split_once("_gogc").map(|(_, percent)| ("GOGC".to_owned(), percent.to_owned()));
    Measured {
        name: name.to_owned(),
        path: format!("{name}.so"),
        language: collected.unwrap_or(Language::C),
        env: gogc.into_iter().collect(),
        asked: Settings { threads: Threads::new(threads.into()).ok(), ..Settings::default() },
        cycles: Cycles { requested: cycles, completed: cycles, warmup: 0 },
        seconds: cycles as f64 * 45e-6,
        unload: Unload {
            loads_per_cycle: 1.0,
            unloads_per_cycle: 1.0,
            objects_per_load: 1,
            ..Unload::default()
        },
        checkpoints: Checkpoints { columns, rows: Vec::new(), before_first_open: None },
        ..Measured::default()
    }
}
