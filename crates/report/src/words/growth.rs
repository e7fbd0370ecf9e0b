//! Growth in sentences: leaks, what is open, and what does not grow.

use dlsoak_record::verification::Collections;
use dlsoak_record::{
    Collection, Growth, HeldFree, LeakFacts, LostGrowth, Metric, OneTime, OpenGrowth, Part, Phase, PlaceKind,
    Share, Sharer, SourcePlace, Survivors, Trend, Unit, Unsettled, units,
};

use super::{Text, listed};

/// What people call the metric.
pub fn metric(metric: Metric) -> &'static str {
    match metric {
        Metric::Heap => "heap",
        Metric::Rss => "resident memory",
        Metric::Anon => "anonymous memory",
        Metric::PrivateDirty => "private dirty memory",
        Metric::Pss => "proportional set size",
        Metric::Virtual => "address space",
        Metric::PageTables => "page table memory",
        Metric::Mappings => "the number of mappings",
        Metric::Threads => "the number of threads",
        Metric::Fds => "the number of open file descriptors",
    }
}

/// A rate per cycle with its unit.
pub(crate) fn rate(metric: Metric, per_cycle: f64) -> String {
    format!("{} per cycle", amount(metric, per_cycle))
}

/// A value with its unit.
pub(crate) fn amount(metric: Metric, value: f64) -> String {
    match metric.unit() {
        Unit::Bytes => format!("{} B", units::number(value)),
        Unit::Count => units::number(value),
    }
}

/// A rate to be shown, per cycle: 0 where it is nothing beside its interval, because digits of it would say more than was measured.
pub(crate) fn estimate(per_cycle: f64, bounds: Option<(f64, f64)>) -> f64 {
    const NOTHING: f64 = 1e-3;
    match bounds {
        Some((low, high)) if per_cycle.abs() < NOTHING * (high - low) => 0.0,
        _ => per_cycle,
    }
}

/// A rate with its interval.
pub(super) fn interval(growth: &Growth) -> String {
    bounded(growth.metric, growth.per_cycle, Some((growth.low, growth.high)), growth.exact)
}

/// A rate with its bounds, where there are any.
pub(super) fn bounded(metric: Metric, per_cycle: f64, bounds: Option<(f64, f64)>, exact: bool) -> String {
    let per_cycle = estimate(per_cycle, bounds);
    match bounds {
        Some((low, high)) if exact && low == high => format!("exactly {}", rate(metric, per_cycle)),
        Some((low, high)) if low > -1e300 && high < 1e300 => {
            format!("{} (95 %: {} to {})", rate(metric, per_cycle), units::number(low), units::number(high))
        }
        _ => "an unknown rate, because there are too few checkpoints".to_owned(),
    }
}

pub(super) fn leak(leak: &LeakFacts) -> Text {
    let growth = &leak.growth;
    let mut more = Vec::new();
    if growth.unit == Unit::Bytes && growth.per_second != 0.0 {
        more.push(units::mb_per_second(growth.per_second));
    }
    if let Some(per_load) = growth.per_load {
        let unit = if growth.unit == Unit::Bytes { " B" } else { "" };
        more.push(format!("{}{unit} per real load", units::number(per_load)));
    }
    let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
    let fact = format!("{} grows by {}{more}", metric(growth.metric), interval(growth));
    let mut text = Text::fact(fact);
    let mut means = by(growth.metric, &leak.by);
    means.push(format!(
        "it grows at the same rate in the last half of {} cycles and in the quarter before",
        units::count(leak.cycles)
    ));
    means.extend(kind(leak).map(str::to_owned));
    if !leak.also.is_empty() {
        let also: Vec<String> = leak
            .also
            .iter()
            .map(|one| format!("{} by {}", metric(one.metric), rate(one.metric, one.per_cycle)))
            .collect();
        means.push(format!("it also shows in {}", also.join(", ")));
    }
    if growth.unit == Unit::Bytes {
        let cache = units::bytes(growth.per_cycle * leak.cycles as f64);
        means.push(format!("a bounded cache would need more than {cache} to produce the same growth"));
    }
    text = text.means(means.join("; "));
    match growth.metric {
        Metric::Heap => text.help("run `dlsoak trace` on it to see which function allocates the memory"),
        Metric::Threads => text.help("end and join each thread before the library is unloaded"),
        Metric::Fds => text.help("close each descriptor, in a destructor at the latest"),
        Metric::Mappings | Metric::Virtual => {
            text.help("call munmap for each mmap; `dlsoak trace` shows who maps")
        }
        _ => text.help("run `dlsoak trace` on it to see where it comes from"),
    }
}

/// Who grows it, of several libraries that were soaked together.
fn by(metric: Metric, parts: &[Part]) -> Vec<String> {
    let of = |part: &Part| format!("{} by {}", part.object, rate(metric, part.per_cycle));
    let parts: Vec<String> = parts.iter().map(of).collect();
    match parts.as_slice() {
        [] => Vec::new(),
        [one] => vec![format!("it grows after the visit of {one}")],
        several => vec![format!("it grows after the visits of {}", listed(several))],
    }
}

/// Which resource a leak of memory is, from the metric that it is stated in.
fn kind(leak: &LeakFacts) -> Option<&'static str> {
    if leak.with_threads {
        return Some("the memory belongs to threads that the library starts and that do not end");
    }
    match leak.growth.metric {
        Metric::Heap => Some("the memory comes from malloc and is not freed"),
        Metric::Anon => {
            Some("the heap does not account for it, so it is a custom allocator, or mmap without munmap")
        }
        // What one process alone maps shared and writes counts as its private dirty memory.
        Metric::PrivateDirty | Metric::Rss | Metric::Pss => Some(
            "it is neither heap nor anonymous memory, so it is a shared mapping, a memfd, or a mapped file",
        ),
        Metric::PageTables => Some("address space is touched in scattered places, or mapped far apart"),
        Metric::Virtual => Some("address space is mapped and not written to"),
        Metric::Mappings | Metric::Threads | Metric::Fds => None,
    }
}

pub(super) fn share(share: &Share) -> Text {
    let name = metric(share.metric);
    let per = |value: f64| rate(share.metric, value);
    // What is left out: calls, or all that a driver makes of the plugin's instances.
    let (calling, calls) = match share.instances {
        None => ("calling", "the calls"),
        Some(_) => ("using it", "its instances"),
    };
    // Where several instances live in a cycle, how many, and by how much of an amount each of them grows it.
    let of_each = |total: f64| {
        let several = share.instances.filter(|instances| *instances > 1);
        several.map(|instances| (instances, amount(share.metric, total / f64::from(instances))))
    };
    match share.by {
        Sharer::Load => Text::fact(format!(
            "loading leaks, {calling} does not: without {calls} {name} grows by {} as well",
            per(share.without)
        )),
        Sharer::Both => {
            let of_calls = share.with - share.without;
            let each = of_each(of_calls)
                .map_or_else(String::new, |(count, each)| format!(", which is {each} for each of {count}"));
            Text::fact(format!(
                "loading grows {name} by {}, and {calls} by {}{each}",
                per(share.without),
                per(of_calls)
            ))
        }
        Sharer::Call => {
            let most = share.high.map_or_else(String::new, |high| format!(" (at most {})", per(high)));
            let who =
                if share.proven { format!("{calling} leaks, loading does not: ") } else { String::new() };
            let each = of_each(share.with).map_or_else(String::new, |(count, each)| {
                format!("; with {count} instances it grows by {each} for each")
            });
            Text::fact(format!("{who}without {calls} {name} does not grow{most}{each}"))
        }
        Sharer::Undecided => match (share.low, share.high) {
            (Some(low), Some(high)) => Text::fact(format!(
                "whether loading or {calling} leaks is undecided: without {calls} {name} grows by {} (95 %: {} to {})",
                per(share.without),
                units::number(low),
                units::number(high)
            )),
            _ => Text::fact(format!(
                "whether loading or {calling} leaks is undecided, because the short soak without {calls} had too few checkpoints"
            )),
        },
    }
}

pub(super) fn unsettled(open: &Unsettled) -> Text {
    let growth = &open.growth;
    let name = metric(growth.metric);
    let also: Vec<&str> = open.also.iter().map(|one| metric(*one)).collect();
    let also =
        if also.is_empty() { String::new() } else { format!(" (the same holds for {})", also.join(", ")) };
    let rates = |count: usize| {
        let from = open.rates.len().saturating_sub(count);
        open.rates[from..].iter().map(|rate| units::number(*rate)).collect::<Vec<_>>().join(", ")
    };
    let unit = if growth.unit == Unit::Bytes { " B" } else { "" };
    let text = match open.why {
        OpenGrowth::TooFewCheckpoints => {
            Text::fact(format!("{name} is undecided, because the run has too few checkpoints{also}"))
        }
        OpenGrowth::Fading => Text::fact(format!(
            "growth of {name} slows down: {}{unit} per cycle, over twice as many cycles each time{also}",
            rates(open.rates.len().min(3))
        ))
        .means("a cache that fills behaves like this, and so does a leak that becomes rarer"),
        OpenGrowth::Late => {
            let last = open.rates.last().copied().unwrap_or(0.0);
            let before = open.rates.iter().rev().nth(1).copied().unwrap_or(0.0);
            Text::fact(format!(
                "{name} grows only in the last half of the run, by {}{unit} per cycle instead of {}{unit} before{also}",
                units::number(last),
                units::number(before)
            ))
        }
        OpenGrowth::Doubling => Text::fact(format!(
            "{name} grows in jumps that become larger and rarer: {}{unit} per cycle, over twice as many cycles each time{also}",
            rates(open.rates.len().min(3))
        ))
        .means("a container that doubles behaves like this as long as it grows"),
        OpenGrowth::Collected => Text::fact(format!(
            "{name} grows by {}, which may be garbage that the collector has not freed yet{also}",
            interval(growth)
        )),
        OpenGrowth::Straddles => {
            Text::fact(format!("{name} is undecided: it grows by {}{also}", interval(growth))).means(format!(
                "dlsoak calls it clean when the interval lies below {}",
                rate(growth.metric, open.clean_below)
            ))
        }
    };
    match open.cycles_needed {
        Some(cycles) if open.why == OpenGrowth::Doubling => text.help(format!(
            "run about {} cycles (-n): by then it has doubled again if it grows, or has stopped",
            units::count(cycles)
        )),
        // More often than in the pass `collected`, the collector does not run.
        Some(cycles) if open.why == OpenGrowth::Collected => {
            text.help(format!("run about {} cycles (-n)", units::count(cycles)))
        }
        Some(cycles) => {
            text.help(format!("run about {} cycles (-n), or --until-decided", units::count(cycles)))
        }
        None => text.help("run more cycles (-n), or --until-decided"),
    }
}

pub(super) fn within_limit(growth: &Growth, limit: f64) -> Text {
    Text::fact(format!(
        "{} grows by {}, within the limit of {}",
        metric(growth.metric),
        interval(growth),
        rate(growth.metric, limit)
    ))
}

pub(super) fn none(cycles: u64, detectable: f64) -> Text {
    Text::fact(format!(
        "no growth in {} cycles, which would have shown a leak of more than {} B per cycle",
        units::count(cycles),
        units::number(detectable)
    ))
}

pub(super) fn kept_once(kept: &[OneTime]) -> Text {
    let kept: Vec<String> = kept
        .iter()
        .map(|one| format!("{} of {}", units::bytes(one.amount as f64), metric(one.metric)))
        .collect();
    Text::fact(format!("one-time cost of the first loads: {}", kept.join(", ")))
}

/// What malloc holds free.
pub(super) fn malloc_holds_free(held: &HeldFree) -> Text {
    let bytes = |bytes: u64| units::bytes(bytes as f64);
    Text::fact(format!(
        "malloc holds {} free at the end ({} half-way), which is no leak",
        bytes(held.end),
        bytes(held.halfway)
    ))
    .means("malloc gives memory back to the kernel only from the end of an arena, so a block in use above it keeps it resident")
}

/// What old cycles allocated is still there, or is not.
pub(super) fn survivors(of: &Survivors) -> Text {
    let cycles = format!("cycles {} to {}", units::count(of.from), units::count(of.to));
    let blocks = super::counted(of.blocks, "block");
    let bytes = units::bytes(of.bytes as f64);
    let fact = if of.blocks == 0 {
        format!("of what {cycles} allocated, nothing is left")
    } else {
        format!(
            "of what {cycles} allocated, {blocks} ({bytes}) {} left",
            if of.blocks == 1 { "is" } else { "are" }
        )
    };
    let after = format!("after {} cycles with notes of each allocation", units::count(of.cycles));
    let means = if of.leak {
        format!("{after}; nothing frees them, so they are a leak and not a cache or noise")
    } else {
        format!(
            "{after}; at most {} survive, so the heap moves and does not grow",
            rate(Metric::Heap, of.high)
        )
    };
    Text::fact(fact).means(means)
}

/// Nothing points to the memory that grows.
pub(super) fn lost(of: &LostGrowth) -> Text {
    let lost = super::counted(of.lost_blocks.unsigned_abs(), "block");
    let of_all = if of.lost_blocks < of.blocks {
        format!(" of the {}", units::count(of.blocks.unsigned_abs()))
    } else {
        String::new()
    };
    let (from, to) = (units::count(of.from), units::count(of.cycles));
    let fact = format!(
        "nothing in the process points to {lost}{of_all} that cycles {from} to {to} left on the heap"
    );
    let cache = if of.stays { "no cache of what stays loaded" } else { "no cache" };
    Text::fact(fact).means(format!("nobody can use or free this memory, so it is a leak and {cache}"))
}

/// How memory grows where the collector runs often.
pub(super) fn collected(of: &Collection) -> Text {
    let (name, with) = (metric(of.metric), interval(&of.with));
    let fact = if of.with.trend == Trend::Growing {
        format!("{name} also grows where Go's collector runs often (GOGC=10): by {with}")
    } else {
        format!("{name} moves by {with} where Go's collector runs often (GOGC=10)")
    };
    let without = rate(of.metric, of.without);
    let means = match of.with.trend {
        Trend::Growing => "something in the library keeps the memory".to_owned(),
        Trend::Flat => {
            format!("the growth by {without} of the soak is garbage that its collector had not freed yet")
        }
        Trend::Decaying | Trend::Unclear => {
            format!("whether the growth by {without} of the soak is garbage is undecided")
        }
    };
    let ran = of.collections.map(|collections| format!("{}; ", ran(&collections)));
    Text::fact(fact).means(ran.unwrap_or_default() + &means)
}

/// How often a collector ran, and what it left.
fn ran(of: &Collections) -> String {
    // Go's runtime tells whole MiB, rounded down.
    let live = |bytes: u64| match bytes >> 20 {
        0 => "less than 1 MiB".to_owned(),
        mib => format!("{} MiB", units::count(mib)),
    };
    let times = match of.measured {
        0 => "Go's collector did not run".to_owned(),
        1 => "Go's collector ran once".to_owned(),
        times => format!("Go's collector ran {} times", units::count(times)),
    };
    let (halfway, end) = (live(of.live_halfway), live(of.live_after));
    let alive =
        if halfway == end { format!("{end} half-way and") } else { format!("{halfway} half-way and {end}") };
    format!("{times}, and its live heap was {alive} at the end")
}

pub(super) fn leaker(
    (kind, phase): (PlaceKind, Phase),
    bytes: f64,
    count: f64,
    module: &str,
    offset: u64,
    place: Option<&SourcePlace>,
) -> Text {
    let counted = |one: &str| match units::number(count).as_str() {
        "1" => format!("1 {one} per cycle comes"),
        more => format!("{more} {one}s per cycle come"),
    };
    let what = match kind {
        PlaceKind::Heap | PlaceKind::Mapping => format!("{} B per cycle come", units::number(bytes)),
        PlaceKind::Fd => counted("descriptor"),
        PlaceKind::Thread => counted("thread"),
        PlaceKind::Key => counted("thread-specific key"),
    };
    let function =
        place.and_then(|place| place.function.clone()).unwrap_or_else(|| format!("{module}+{offset:#x}"));
    let at = place.and_then(|place| Some((place.file.as_ref()?, place.line?)));
    let at = at.map_or_else(String::new, |(file, line)| format!(" at {file}:{line}"));
    let when = match phase {
        Phase::Open => ", while the library is loaded (a constructor)",
        Phase::Symbol => ", while a symbol is looked up",
        Phase::Call => ", called by the cycle",
        Phase::Close => ", while the library is unloaded (a destructor)",
        Phase::After => ", called after the library is unloaded",
        Phase::OtherThread => ", on a thread that runs no cycles",
        Phase::Between | Phase::Exit => "",
    };
    Text::fact(format!("{what} from {function}{at}{when}"))
}
