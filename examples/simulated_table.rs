//! Prints how simulated series of known truth are judged: `cargo run --release --example simulated_table -- CYCLES RUNS LIMIT KIND...`.
//! LIMIT is `-` for the default limits, and CYCLES `..131072` is `--until-decided` with at most so many. A kind is a sum of parts with a
//! parameter, for example `ar:1500+leak:2`; see [`add`]. The columns are the runs that are clean, leak or undecided, the 95 % intervals of
//! the shares that are clean and leak, then the undecided ones with a promise and the promises that the same run keeps, with the intervals
//! of both shares. The last row is the sum.

#![allow(clippy::print_stdout, reason = "printing the table is what this program is for")]

#[path = "../tests/it/reference.rs"]
mod reference;

use anyhow::{Context, bail};
use dlsoak::analysis::schedule::{DEFAULT_CHECKPOINTS, FIRST_LOOK, Schedule};
use dlsoak::analysis::{Look, interval_of_share, judge, look};
use dlsoak::record::{Column, Facts, Judged, Limits, Measured, Metric, Verdict};

/// Cycles before the first checkpoint, also with `--until-decided`.
const WARMUP: usize = 500;
const WARMUP_UNTIL_DECIDED: usize = 32;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cycles, runs, limit, kinds @ ..] = arguments.as_slice() else { bail!("CYCLES RUNS LIMIT KIND...") };
    let runs: u64 = runs.parse()?;
    let max_leak_rate = if limit == "-" { None } else { Some(limit.parse().context("LIMIT")?) };
    let limits = Limits { max_leak_rate, ..Limits::default() };
    if let Some(most) = cycles.strip_prefix("..") {
        return until_decided(kinds, most.parse()?, runs, &limits);
    }
    let cycles: u64 = cycles.parse()?;
    println!(
        "{:24} {:>8} {:>6} {:>6} {:>9} {:>12} {:>12} {:>8} {:>6} {:>12} {:>12}",
        "kind",
        "cycles",
        "clean",
        "leak",
        "undecided",
        "clean, 95 %",
        "leak, 95 %",
        "promised",
        "kept",
        "promised",
        "kept, 95 %"
    );
    let mut sum = Counts::default();
    for kind in kinds {
        let mut counts = Counts::default();
        for seed in 0..runs {
            counts += Counts::of(kind, cycles, seed, &limits)?;
        }
        counts.print(kind, cycles);
        sum += counts;
    }
    sum.print("all", cycles);
    Ok(())
}

/// What became of simulated runs.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    clean: u64,
    leak: u64,
    undecided: u64,
    promised: u64,
    kept: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.clean += other.clean;
        self.leak += other.leak;
        self.undecided += other.undecided;
        self.promised += other.promised;
        self.kept += other.kept;
    }
}

impl Counts {
    /// Of one run.
    fn of(kind: &str, cycles: u64, seed: u64, limits: &Limits) -> anyhow::Result<Self> {
        let judged = judge(&soak(kind, cycles, cycles, seed)?, limits);
        Ok(match judged.verdict {
            Verdict::Clean => Self { clean: 1, ..Self::default() },
            Verdict::Leak => Self { leak: 1, ..Self::default() },
            _ => {
                let Some(then) = promise(&judged) else {
                    return Ok(Self { undecided: 1, ..Self::default() });
                };
                let then = judge(&soak(kind, then, cycles, seed)?, limits).verdict;
                let kept = u64::from(matches!(then, Verdict::Clean | Verdict::Leak));
                Self { undecided: 1, promised: 1, kept, ..Self::default() }
            }
        })
    }

    fn print(self, kind: &str, cycles: u64) {
        let Self { clean, leak, undecided, promised, kept } = self;
        let runs = clean + leak + undecided;
        let (passed, found) = (share(clean, runs), share(leak, runs));
        let (made, held) = (share(promised, undecided), share(kept, promised));
        println!(
            "{kind:24} {cycles:8} {clean:6} {leak:6} {undecided:9} {passed:>12} {found:>12} {promised:8} {kept:6} {made:>12} {held:>12}"
        );
    }
}

/// The 95 % interval of a share, in percent.
fn share(part: u64, all: u64) -> String {
    let (low, high) = interval_of_share(part, all);
    format!("{:.1}-{:.1}", low * 100.0, high * 100.0)
}

/// The same with `--until-decided`, where nothing stays loaded. The last column is the median of the cycles after which a soak ends.
fn until_decided(kinds: &[String], most: u64, runs: u64, limits: &Limits) -> anyhow::Result<()> {
    println!(
        "{:24} {:>8} {:>6} {:>6} {:>9} {:>12} {:>12} {:>8}",
        "kind", "at most", "clean", "leak", "undecided", "clean, 95 %", "leak, 95 %", "median"
    );
    for kind in kinds {
        let (mut clean, mut leak, mut undecided, mut ends) = (0, 0, 0, Vec::new());
        for seed in 0..runs {
            let heap = heap(kind, most, most, WARMUP_UNTIL_DECIDED, seed)?;
            let mut cycles = FIRST_LOOK.min(most);
            let mut schedule = Schedule::until_decided(cycles, DEFAULT_CHECKPOINTS, seed);
            let mut taken: Vec<u64> = schedule.by_ref().collect();
            let mut looks = 0;
            let decided = loop {
                let soak = measured(&heap, cycles, &taken);
                let decided = look(&soak, limits, looks);
                match decided {
                    Look::Clean | Look::Leak => break decided,
                    // Something may point to the memory: the soak goes on.
                    Look::LeakOrCache | Look::GoOn if cycles < most => {}
                    Look::LeakOrCache | Look::GoOn => {
                        break match judge(&soak, limits).verdict {
                            Verdict::Clean => Look::Clean,
                            Verdict::Leak => Look::Leak,
                            _ => Look::GoOn,
                        };
                    }
                }
                (cycles, looks) = ((2 * cycles).min(most), looks + 1);
                let mut keep = schedule.keep(&taken).into_iter();
                taken.retain(|_| keep.next().unwrap_or(true));
                schedule.extend_to(cycles);
                taken.extend(schedule.by_ref());
            };
            match decided {
                Look::Clean => clean += 1,
                Look::Leak => leak += 1,
                Look::LeakOrCache | Look::GoOn => undecided += 1,
            }
            ends.push(cycles);
        }
        ends.sort_unstable();
        let median = ends.get(ends.len() / 2).context("no runs")?;
        let [passed, found] = [clean, leak].map(|part| share(part, runs));
        println!("{kind:24} {most:8} {clean:6} {leak:6} {undecided:9} {passed:>12} {found:>12} {median:8}");
    }
    Ok(())
}

/// The cycles that decide everything that is open.
fn promise(judged: &Judged) -> Option<u64> {
    let open = judged.findings.iter().filter_map(|finding| match &finding.facts {
        Facts::Unsettled(open) => Some(open.cycles_needed),
        _ => None,
    });
    open.collect::<Option<Vec<u64>>>()?.into_iter().max()
}

/// A soak whose heap is the sum of the parts of `kind`.
fn soak(kind: &str, cycles: u64, planned: u64, seed: u64) -> anyhow::Result<Measured> {
    let taken: Vec<u64> = Schedule::new(cycles, DEFAULT_CHECKPOINTS, seed).collect();
    Ok(measured(&heap(kind, cycles, planned, WARMUP, seed)?, cycles, &taken))
}

/// The heap after each cycle. `planned` are the cycles that the parameters of slow growth are about, so that a longer run begins as a
/// shorter one does.
fn heap(kind: &str, cycles: u64, planned: u64, warmup: usize, seed: u64) -> anyhow::Result<Vec<f64>> {
    let mut heap = vec![0.0; cycles as usize + 1];
    for (index, part) in kind.split('+').enumerate() {
        let mut random =
            Random((seed + 1_000_003 * index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995);
        let (name, parameter) = part.split_once(':').unwrap_or((part, "0"));
        let parameter = parameter.parse().context("a parameter")?;
        add(name, parameter, planned as f64, warmup, &mut heap, &mut random)?;
    }
    Ok(heap)
}

/// The first `cycles` cycles of a soak with this heap, with these checkpoints.
fn measured(heap: &[f64], cycles: u64, taken: &[u64]) -> Measured {
    let mut soak = reference::soak("simulated", 1, cycles, vec![Column::Cycle, Column::Metric(Metric::Heap)]);
    let row = |cycle: &u64| vec![*cycle as i64, 1_000_000 + heap[*cycle as usize] as i64];
    soak.checkpoints.rows = taken.iter().map(row).collect();
    soak
}

/// Adds one part to the heap after each cycle.
fn add(
    name: &str,
    parameter: f64,
    cycles: f64,
    warmup: usize,
    heap: &mut [f64],
    random: &mut Random,
) -> anyhow::Result<()> {
    let earlier = warmup as f64;
    let mut count = 0.0;
    let mut events = |heap: &mut [f64], bytes: f64, rate: &dyn Fn(f64) -> f64| {
        for (at, value) in heap.iter_mut().enumerate() {
            *value += bytes * count;
            count += f64::from(u8::from(random.uniform() < rate(at as f64)));
        }
    };
    match name {
        // Nothing.
        "flat" => {}
        // A leak of so many bytes per cycle in chunks of 32 B, regular and at random.
        "leak" => heap
            .iter_mut()
            .enumerate()
            .for_each(|(at, value)| *value += 32.0 * (parameter / 32.0 * at as f64).floor()),
        "random-leak" => events(heap, 32.0, &|_| parameter / 32.0),
        // 4,016 B in one cycle of so many.
        "rare" => events(heap, 4016.0, &|_| 1.0 / parameter),
        // 2 B per cycle in blocks of so many bytes, at random.
        "blocks" => events(heap, parameter, &|_| 2.0 / parameter),
        // So many blocks of 4,016 B, as a square root, t^0.6, and a logarithm.
        "root" => events(heap, 4016.0, &|at| 0.5 * parameter / ((at + earlier) * cycles).sqrt()),
        "power6" => {
            events(heap, 4016.0, &|at| 0.6 * parameter / ((at + earlier).powf(0.4) * cycles.powf(0.6)))
        }
        "log" => events(heap, 4016.0, &|at| parameter / (cycles / earlier).ln() / (at + earlier)),
        // A cache of 80 B entries that fills linearly, and with random keys.
        "cache" => {
            heap.iter_mut().enumerate().for_each(|(at, value)| *value += 80.0 * parameter.min(at as f64))
        }
        "random-cache" => {
            for value in heap.iter_mut() {
                *value += 80.0 * count;
                count += f64::from(u8::from(random.uniform() > count / parameter));
            }
        }
        // Noise of 50 KB with this correlation time.
        "ar" => {
            let keep = (-1.0 / parameter).exp();
            let mut noise = random.normal();
            for value in heap.iter_mut() {
                *value += 50e3 * noise;
                noise = keep * noise + (1.0 - keep * keep).sqrt() * random.normal();
            }
        }
        // Blocks of 32 to 512 B that live for so many cycles in the mean.
        "lifetimes" => {
            let mut changes = vec![0.0; heap.len() + warmup];
            for born in 0..changes.len() {
                let bytes = (32.0 + 480.0 * random.uniform()).floor();
                changes[born] += bytes;
                if let Some(change) =
                    changes.get_mut(born + (-random.uniform().ln() * parameter).ceil() as usize)
                {
                    *change -= bytes;
                }
            }
            let mut alive: f64 = changes[..warmup].iter().sum();
            for (value, change) in heap.iter_mut().zip(&changes[warmup..]) {
                alive += change;
                *value += alive;
            }
        }
        // A sawtooth of this period, one whose periods vary by half, and four at once that drift apart.
        "saw" | "uneven-saw" | "four-saws" => {
            let teeth = if name == "four-saws" { 4 } else { 1 };
            for _ in 0..teeth {
                let height = (200e3 + 200e3 * random.uniform()) / f64::from(teeth);
                let drift = if teeth > 1 { 0.97 + 0.06 * random.uniform() } else { 1.0 };
                let mut period = parameter * drift;
                let mut since = random.uniform() * period;
                for value in heap.iter_mut() {
                    *value += (since / parameter * height / 16.0).floor() * 16.0;
                    since += 1.0;
                    if since >= period {
                        since = 0.0;
                        if name == "uneven-saw" {
                            period = parameter * (0.5 + random.uniform());
                        }
                    }
                }
            }
        }
        // A container of 32 B entries, one per cycle, that grows by this factor.
        "container" => {
            let mut capacity = 4.0 + (12.0 * random.uniform()).floor();
            for (at, value) in heap.iter_mut().enumerate() {
                while at as f64 + earlier > capacity {
                    capacity = (capacity * parameter).ceil();
                }
                *value += 32.0 * capacity;
            }
        }
        _ => bail!("no kind `{name}`"),
    }
    Ok(())
}

/// The numbers of `SplitMix64`, as the schedule uses them.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((((bits ^ (bits >> 31)) >> 11) as f64) + 0.5) / (1_u64 << 53) as f64
    }

    /// By Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
