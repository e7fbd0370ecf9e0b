//! Runs each instrument on a process that only cycles, and turns what it wrote into figures per cycle. An instrument that is not
//! there or can't look is a line that says so; the others go on.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use dlsoak_agent::bare;

use super::blocks::{blocks, top};
use super::gctrace::{self, GoHeap};
use super::memcheck::{self, LossKind, Losses};
use super::peer::{Peer, Run, Trouble};
use super::room::Room;
use super::status::{self, Reading};
use super::trend::Trend;
use super::{Figure, Instrument, Leaked, Look, SCHEMA, State, Verification, lsan, reconcile};
use crate::doctor::process;
use crate::files::read_at_most;
use crate::record::{self, Language, Soak, Tool, Unit};
use crate::suite::plan::SoakPlan;

/// Points at which `/proc` is read and Go's trace is split.
const POINTS: u64 = 30;
/// Most bytes of a report.
const LARGEST_REPORT: u64 = 1 << 30;
/// Where a LeakSanitizer is that no compiler tells of: the name that gcc 12 has.
const LSAN: &str = "liblsan.so.0";
const LSAN_PLACES: [&str; 4] =
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];

/// What is looked at, and how long.
#[derive(Debug)]
pub struct Asked<'a> {
    /// What was soaked; on one thread.
    pub plan: &'a SoakPlan,
    /// Our own soak of it, judged.
    pub soak: &'a Soak,
    /// Where the loop is.
    pub room: &'a Room,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// Cycles under valgrind and LeakSanitizer, a run of half as many more before them not included.
    pub few: u64,
    /// How long one run of another instrument may take.
    pub timeout: Duration,
    /// Set when somebody wants it all to end.
    pub interrupted: &'a AtomicBool,
}

/// Takes all the other looks, and brings them together with our own. `begin` is told the name of each that begins.
///
/// # Errors
/// When the library's path can't be made absolute.
pub fn verify(asked: &Asked<'_>, begin: &dyn Fn(&str)) -> Result<Verification, String> {
    let soak = asked.soak;
    let mut looks = vec![own(soak)];
    if soak.outcome.kind == record::OutcomeKind::Completed {
        let peer = peer(asked)?;
        type Taken<'a> = dyn Fn() -> Result<Look, Trouble> + 'a;
        let memcheck = || by_memcheck(&peer, asked);
        let lsan = || by_lsan(&peer, asked);
        let gctrace = || by_gctrace(&peer, asked);
        let status = || by_status(&peer, asked);
        let mut order: Vec<(Instrument, &Taken<'_>)> =
            vec![(Instrument::Memcheck, &memcheck), (Instrument::Lsan, &lsan)];
        if soak.language == Language::Go {
            order.push((Instrument::Gctrace, &gctrace));
        }
        order.push((Instrument::Status, &status));
        for (instrument, look) in order {
            if asked.interrupted.load(Relaxed) {
                break;
            }
            begin(instrument.name());
            looks.push(look().unwrap_or_else(|trouble| failed(instrument, trouble)));
        }
    }
    let interrupted = asked.interrupted.load(Relaxed);
    let together = reconcile::reconcile(soak, &looks, interrupted);
    Ok(Verification {
        schema: SCHEMA,
        tool: Tool { version: env!("CARGO_PKG_VERSION").to_owned() },
        started_at: asked.started_at.clone(),
        path: soak.path.clone(),
        language: soak.language,
        calls: soak.calls.clone(),
        verdict: soak.verdict,
        looks,
        places: together.places,
        agreements: together.agreements,
        answer: together.answer,
        conclusion: together.conclusion,
    })
}

fn failed(instrument: Instrument, trouble: Trouble) -> Look {
    match trouble {
        Trouble::NotFound => {
            let install = match instrument {
                Instrument::Lsan => "apt install gcc, or liblsan0",
                _ => "apt install valgrind",
            };
            Look::without(instrument, State::Missing, Some(format!("not installed: {install}")))
        }
        Trouble::Failed(why) => Look::without(instrument, State::Failed, Some(why)),
        Trouble::Interrupted => Look::without(instrument, State::Failed, Some("interrupted".to_owned())),
    }
}

/// The same files, calls and surroundings as the soak had.
fn peer<'a>(asked: &Asked<'a>) -> Result<Peer<'a>, String> {
    let path = std::path::absolute(&asked.plan.path);
    let path = path.map_err(|e| format!("{}: {e}", asked.plan.path.display()))?;
    Ok(Peer {
        room: asked.room,
        plan: SoakPlan { path, ..asked.plan.clone() },
        env: asked.soak.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        timeout: asked.timeout,
        interrupted: asked.interrupted,
    })
}

/// What our own soak found.
fn own(soak: &Soak) -> Look {
    let trend = |trend| match trend {
        record::Trend::Growing => Trend::Growing,
        record::Trend::Flat => Trend::Flat,
        record::Trend::Decaying | record::Trend::Unclear => Trend::Unclear,
    };
    let figures = soak.growth.iter().map(|growth| Figure {
        what: growth.metric.name(),
        unit: growth.unit,
        per_cycle: growth.per_cycle,
        low: growth.low,
        high: growth.high,
        trend: trend(growth.trend),
        smallest: growth.detectable,
        blocks_per_cycle: None,
        in_chunks: None,
    });
    let from = soak.cycles.warmup;
    let mut look = Look::looked(Instrument::Dlsoak, (from, from + soak.cycles.completed), figures.collect());
    if soak.outcome.kind != record::OutcomeKind::Completed {
        look.state = State::Failed;
        look.detail = Some(soak.outcome.detail.clone().unwrap_or_else(|| "it did not complete".to_owned()));
    }
    look
}

/// The cycles after which the short and the long run of an instrument end.
fn short_and_long(asked: &Asked<'_>) -> (u64, u64) {
    let before = (asked.few / 2).max(2);
    (before, before + asked.few)
}

/// Runs an instrument twice, for fewer and for more cycles, at the same time; what both have in common is no growth.
fn twice<R: Send>(
    asked: &Asked<'_>,
    run: impl Fn(u64) -> Result<R, Trouble> + Sync,
) -> Result<(R, R), Trouble> {
    let (short, long) = short_and_long(asked);
    let (first, second) = std::thread::scope(|scope| {
        let short = scope.spawn(|| run(short));
        let long = run(long);
        let lost = || Err(Trouble::Failed("its thread ended".to_owned()));
        (short.join().unwrap_or_else(|_| lost()), long)
    });
    Ok((first?, second?))
}

fn by_memcheck(peer: &Peer<'_>, asked: &Asked<'_>) -> Result<Look, Trouble> {
    let report = |cycles: u64| -> Result<Losses, Trouble> {
        let file = peer.room.file("memcheck");
        let mut xml = OsString::from("--xml-file=");
        // valgrind takes a % for the beginning of a placeholder.
        xml.push(file.to_string_lossy().replace('%', "%%"));
        let words = [
            "valgrind",
            "--tool=memcheck",
            "--leak-check=full",
            "--show-leak-kinds=all",
            "--keep-debuginfo=yes",
            "--undef-value-errors=no",
            "--child-silent-after-fork=yes",
            "--vgdb=no",
            "--num-callers=16",
            "--xml=yes",
        ];
        let under = words.iter().map(OsString::from).chain([xml]).collect();
        peer.run(&Run { under, points: vec![cycles], ..Run::default() }, |_, _| Ok(()))?;
        let bytes = read_at_most(&file, LARGEST_REPORT)
            .map_err(|e| Trouble::Failed(format!("valgrind's report can't be read: {e}")))?;
        let losses = memcheck::parse(&bytes).map_err(|e| Trouble::Failed(e.to_string()))?;
        if losses.blocks_of(bare::CONTROL_SIZE) == 0 {
            return Err(Trouble::Failed(
                "its report does not have the blocks that the loop itself leaks".to_owned(),
            ));
        }
        Ok(losses)
    };
    let (short, long) = twice(asked, report)?;
    use LossKind::{Definitely, Indirectly, Possibly, Reachable};
    let figures = [
        ("not freed", &[Definitely, Indirectly, Possibly, Reachable][..]),
        ("lost", &[Definitely, Indirectly, Possibly]),
        ("definitely lost", &[Definitely]),
        ("indirectly lost", &[Indirectly]),
        ("possibly lost", &[Possibly]),
        ("still reachable", &[Reachable]),
    ];
    let cycles = short_and_long(asked);
    let figures =
        figures.map(|(what, kinds)| blocks(what, &short.leaked(kinds), &long.leaked(kinds), asked.few));
    let mut look = Look::looked(Instrument::Memcheck, cycles, figures.to_vec());
    let all = [Definitely, Indirectly, Possibly, Reachable];
    look.stack = top(&short.leaked(&all), &long.leaked(&all));
    if let Some(first) = look.stack.first().filter(|frame| frame.function.is_none()) {
        look.notes.push(format!("the place has no name that valgrind knows: {first}"));
    }
    for (kind, places) in &long.errors {
        let s = if *places == 1 { "" } else { "s" };
        look.notes.push(format!("valgrind found {kind} at {places} place{s}"));
    }
    Ok(look)
}

fn by_lsan(peer: &Peer<'_>, asked: &Asked<'_>) -> Result<Look, Trouble> {
    let library = find_lsan().ok_or(Trouble::NotFound)?;
    let report = |cycles: u64| -> Result<Vec<Leaked>, Trouble> {
        let file = peer.room.file("lsan");
        let preload = match std::env::var_os("LD_PRELOAD").filter(|own| !own.is_empty()) {
            None => library.clone().into_os_string(),
            Some(own) => [library.as_os_str(), own.as_os_str()].join(std::ffi::OsStr::new(" ")),
        };
        let mut options = OsString::from("exitcode=0:verbosity=1:detect_leaks=1:max_leaks=0:log_path=");
        options.push(&file);
        let env = vec![("LD_PRELOAD", preload), ("LSAN_OPTIONS", options)];
        peer.run(&Run { env, points: vec![cycles], ..Run::default() }, |_, _| Ok(()))?;
        let text = logs(&file).map_err(|e| Trouble::Failed(format!("LeakSanitizer wrote no report: {e}")))?;
        let leaks = lsan::parse(&text).map_err(|e| Trouble::Failed(e.to_string()))?;
        if !leaks.iter().any(|leak| Some(leak.bytes) == leak.blocks.checked_mul(bare::CONTROL_SIZE)) {
            let why = "its report does not have the blocks that the loop itself leaks";
            return Err(Trouble::Failed(why.to_owned()));
        }
        Ok(leaks)
    };
    let (short, long) = twice(asked, report)?;
    let figure = blocks("lost", &short, &long, asked.few);
    let mut look = Look::looked(Instrument::Lsan, short_and_long(asked), vec![figure]);
    look.stack = top(&short, &long);
    Ok(look)
}

/// The one file that LeakSanitizer wrote: the name that it was given, with a process ID.
fn logs(base: &Path) -> Result<String, String> {
    let name = base.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".";
    let entries = std::fs::read_dir(base.parent().unwrap_or(base)).map_err(|e| e.to_string())?;
    let is_one = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&name));
    let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_one).collect();
    match files.as_slice() {
        [] => Err("it was not loaded".to_owned()),
        [one] => {
            let bytes = read_at_most(one, LARGEST_REPORT).map_err(|e| e.to_string())?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        more => Err(format!("{} processes wrote one: the library starts others", more.len())),
    }
}

/// LeakSanitizer's library, by the compiler or from where distributions put it.
fn find_lsan() -> Option<PathBuf> {
    let asked = |compiler: &str| {
        let told = process::output(Path::new(compiler), &["-print-file-name=liblsan.so"]).ok()?;
        let path = PathBuf::from(told.trim());
        // Of what it does not find, it prints the name alone.
        (path.is_absolute() && path.exists()).then_some(path)
    };
    let placed = || LSAN_PLACES.iter().map(|place| Path::new(place).join(LSAN)).find(|path| path.exists());
    ["gcc", "cc", "clang"].iter().find_map(|compiler| asked(compiler)).or_else(placed)
}

fn points(asked: &Asked<'_>) -> Vec<u64> {
    let cycles = asked.soak.cycles.completed;
    let warmup = asked.soak.cycles.warmup.max(1);
    let mut points: Vec<u64> = (0..=POINTS).map(|point| warmup + cycles * point / POINTS).collect();
    points.dedup();
    points
}

fn by_gctrace(peer: &Peer<'_>, asked: &Asked<'_>) -> Result<Look, Trouble> {
    let own = asked.plan.env.get("GODEBUG").cloned().or_else(|| std::env::var("GODEBUG").ok());
    let godebug = match own.filter(|own| !own.is_empty()) {
        None => "gctrace=1".to_owned(),
        Some(own) => format!("{own},gctrace=1"),
    };
    let env = vec![("GODEBUG", OsString::from(godebug)), ("GOGC", OsString::from(gctrace::GOGC.to_string()))];
    let points = points(asked);
    let span = (points.first().copied().unwrap_or(0), points.last().copied().unwrap_or(0));
    let lines = peer.run(&Run { env, points, ..Run::default() }, |_, _| Ok(()))?;
    let heap: GoHeap = gctrace::growth(&lines).map_err(Trouble::Failed)?;
    let (low, per_cycle, high) = heap.per_cycle;
    let figure = Figure {
        what: "live Go heap",
        unit: Unit::Bytes,
        per_cycle,
        low,
        high,
        trend: heap.trend,
        smallest: heap.smallest,
        blocks_per_cycle: None,
        in_chunks: None,
    };
    let mut look = Look::looked(Instrument::Gctrace, span, vec![figure]);
    let (all, inside) = heap.collections;
    let (from, to) = (heap.live.0 / gctrace::STEP, heap.live.1 / gctrace::STEP);
    let s = if all == 1 { "" } else { "s" };
    look.notes.push(format!(
        "{all} collection{s} with GOGC={}, {inside} of them in these cycles: {from} -> {to} MiB alive",
        gctrace::GOGC
    ));
    Ok(look)
}

fn by_status(peer: &Peer<'_>, asked: &Asked<'_>) -> Result<Look, Trouble> {
    let points = points(asked);
    let span = (points.first().copied().unwrap_or(0), points.last().copied().unwrap_or(0));
    let mut readings: Vec<(u64, Reading)> = Vec::with_capacity(points.len());
    peer.run(&Run { points, stop: true, ..Run::default() }, |pid, at| {
        let read = |name: &str| {
            std::fs::read_to_string(format!("/proc/{pid}/{name}"))
                .map_err(|e| format!("/proc/{pid}/{name}: {e}"))
        };
        readings.push((at, status::reading(&read("status")?, &read("maps")?)?));
        Ok(())
    })?;
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    let threads = readings.iter().map(|(_, reading)| reading.threads).max().unwrap_or(1);
    let off = status::noise(cpus, threads, procfs::page_size());
    let exact = procfs::page_size() as f64;
    type Field = (&'static str, fn(&Reading) -> u64, f64);
    let fields: [Field; 4] = [
        ("VmRSS", |reading| reading.rss, 2.0 * off),
        ("RssAnon", |reading| reading.anon, off),
        ("VmSize", |reading| reading.size, exact),
        ("[heap]", |reading| reading.heap, exact),
    ];
    let figures = fields.iter().filter_map(|(what, of, noise)| {
        let change = status::change(&readings, *of, *noise)?;
        let (low, per_cycle, high) = change.per_cycle;
        let (trend, smallest) = (change.trend, change.smallest);
        let unit = Unit::Bytes;
        Some(Figure {
            what,
            unit,
            per_cycle,
            low,
            high,
            trend,
            smallest,
            blocks_per_cycle: None,
            in_chunks: None,
        })
    });
    Ok(Look::looked(Instrument::Status, span, figures.collect()))
}
