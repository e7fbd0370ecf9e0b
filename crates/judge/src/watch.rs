//! Judges a watched host: growth of each library over its own loads, and whether the host lets it go.
//!
//! A host loads rarely, and what the code of one library allocates is counted to the byte, without the noise of the process. So a few loads
//! are judged by a rule of their own; more than 512 are judged as the cycles of a soak.

use dlsoak_record::{
    Cause, CauseFacts, Certainty, Checkpoints, Column, Cycles, Facts, Finding, Growth, Leak, LeakFacts,
    LeakRate, Limits, Measured, Metric, OpenGrowth, PlaceKind, Severity, TracePlace, Trend, Undiagnosed,
    Unsettled, Verdict, Watch, WatchVerdict, WatchedLibrary,
};

use super::growth::is_memory;
use super::kind::Kind;
use super::line::Point;
use super::verdict::leak_of;

/// Growth per load that is excluded where no limit is set. After eight loads without any growth, a leak of 1,024 bytes may still come in
/// every second load (the rule of three on six loads).
const CLEAN_BELOW: f64 = 1024.0;
/// Loads from which a library is judged.
const FEWEST: f64 = 8.0;
/// Loads from which it is judged as a soak is: enough to exclude the usual limit of a soak.
const MANY: f64 = 512.0;
/// The smallest of the increments must be this share of the largest. A cache that fills, and a container that doubles, are far from it.
const STEADY: f64 = 0.8;
/// The same for blocks that are small on average. malloc gives a chunk of 48 bytes where 32 suffice if it can't divide the one that it has,
/// so a leak of one such block per load grows by 32 to 48 bytes. In a Python that allocates meanwhile, 12 of 24 watches of a leak of
/// 32 bytes were undecided at 0.8, and none at two thirds.
const STEADY_IF_SMALL: f64 = 2.0 / 3.0;
/// Bytes below which the chunks of a leak are small: with 16 more, the smallest that are not still are 0.8 of the largest.
const SMALL: f64 = 64.0;
/// What is counted; each has a column.
const METRICS: [Metric; 4] = [Metric::Heap, Metric::Virtual, Metric::Fds, Metric::Threads];

/// Judges all libraries of a watched host, and the host itself.
pub fn watch(watch: Watch) -> Watch {
    let seconds = watch.seconds;
    let (rate, allow) = (watch.asked.max_leak_rate.clone(), watch.asked.allow.clone());
    let libraries = watch.libraries.into_iter().map(|library| {
        let is_it = |name: &str| name == library.path || name == library.name();
        let must_go = watch.asked.require_unload.iter().any(|name| is_it(name));
        let allowed = allow.iter().find(|allowed| is_it(&allowed.name)).map(|allowed| allowed.reason.clone());
        let mut library = judged(library, rate.as_ref(), must_go, seconds);
        if let (Some(reason), WatchVerdict::Leak) = (allowed, library.verdict) {
            for finding in &mut library.findings {
                (finding.severity, finding.allowed) = (Severity::Note, Some(reason.clone()));
            }
        }
        library
    });
    let mut libraries: Vec<WatchedLibrary> = libraries.collect();
    libraries.sort_by_key(|library| (library.verdict as u8, std::cmp::Reverse(library.loads)));
    let host = Measured { checkpoints: watch.checkpoints.clone(), seconds, ..measured(watch.steps) };
    let growth = super::judge(&host, &Limits::default()).growth;
    Watch { libraries, growth, ..watch }
}

/// Whether a watch passes: `None` where that is open.
pub fn passed(watch: &Watch) -> Option<bool> {
    let has = |severity| {
        let mut findings = watch.libraries.iter().flat_map(|library| &library.findings);
        findings.any(|finding| finding.severity == severity)
    };
    if has(Severity::Fail) {
        return Some(false);
    }
    (watch.is_whole() && !has(Severity::Undecided)).then_some(true)
}

/// A soak of this many cycles.
fn measured(cycles: u64) -> Measured {
    Measured { cycles: Cycles { requested: cycles, completed: cycles, warmup: 0 }, ..Measured::default() }
}

fn judged(library: WatchedLibrary, rate: Option<&LeakRate>, must_go: bool, seconds: f64) -> WatchedLibrary {
    let grown = growth(&library.checkpoints, steady(&library.places), rate, seconds);
    let once = library.loads == 1 && library.overlaps > 0;
    let stays = library.unloads == 0 || library.unloads + 1 < library.loads || once;
    let (verdict, findings) = if grown.verdict == WatchVerdict::Leak {
        (WatchVerdict::Leak, grown.findings)
    } else if stays {
        let severity = if must_go { Severity::Fail } else { Severity::Note };
        let (verdict, facts) = why_it_stays(&library);
        (verdict, facts.into_iter().map(|facts| Finding::new(severity, facts)).collect())
    } else {
        (grown.verdict, grown.findings)
    };
    WatchedLibrary { verdict, leak: grown.leak, growth: grown.growth, findings, ..library }
}

/// What the series of a library show.
struct Grown {
    verdict: WatchVerdict,
    leak: Option<Leak>,
    growth: Vec<Growth>,
    findings: Vec<Finding>,
}

/// How near the smallest increment of the heap must be to the largest, by the blocks that it grows by.
fn steady(places: &[TracePlace]) -> f64 {
    let heap = places.iter().filter(|place| place.kind == PlaceKind::Heap);
    let (bytes, count) = heap.fold((0.0, 0.0), |(bytes, count), place| {
        (bytes + place.bytes_per_cycle, count + place.count_per_cycle)
    });
    if count > 0.0 && bytes / count < SMALL { STEADY_IF_SMALL } else { STEADY }
}

fn growth(points: &Checkpoints, steady: f64, rate: Option<&LeakRate>, seconds: f64) -> Grown {
    let loads: Vec<f64> =
        points.rows.iter().filter_map(|row| row.first()).map(|loads| *loads as f64).collect();
    let length = loads.last().unwrap_or(&0.0) - loads.first().unwrap_or(&0.0);
    if length >= MANY && points.rows.len() >= 2 * FEWEST as usize {
        return as_a_soak(points, rate, length, seconds);
    }
    let per_load = if length > 0.0 { seconds / length } else { 0.0 };
    let limit = rate.map(|rate| rate.bytes_per_cycle(per_load));
    let growth: Vec<Growth> = METRICS
        .into_iter()
        .filter_map(|metric| {
            let at = points.position(Column::Metric(metric))?;
            let values = points.rows.iter().map(|row| row.get(at).copied().unwrap_or(0) as f64);
            let series: Vec<Point> = loads.iter().copied().zip(values).collect();
            let limit = limit.filter(|_| is_memory(metric));
            let steady = if metric == Metric::Heap { steady } else { STEADY };
            Some(short(metric, &series, steady, limit, per_load))
        })
        .collect();
    let leaking = growth.iter().filter(|growth| growth.trend == Trend::Growing);
    let findings: Vec<Finding> = leaking.clone().map(|growth| leaks(growth, length)).collect();
    // Counts of things have no bytes.
    let leak = leaking.clone().find(|growth| is_memory(growth.metric));
    let leak = leak.map(|growth| leak_of(growth, growth.per_second));
    if !findings.is_empty() {
        return Grown { verdict: WatchVerdict::Leak, leak, growth, findings };
    }
    let (verdict, severity, facts) = match why_open(points, &growth, length, limit) {
        Some(facts) => (WatchVerdict::Inconclusive, Severity::Undecided, facts),
        None => {
            let detectable = growth.iter().map(|growth| growth.detectable).fold(0.0, f64::max);
            let facts = Facts::NoGrowth { cycles: length as u64, detectable };
            (WatchVerdict::Clean, Severity::Note, facts)
        }
    };
    Grown { verdict, leak: None, growth, findings: vec![Finding::new(severity, facts)] }
}

/// Why growth that is not proven is not excluded either.
fn why_open(points: &Checkpoints, growth: &[Growth], loads: f64, limit: Option<f64>) -> Option<Facts> {
    if growth.is_empty() || points.rows.is_empty() {
        return Some(Facts::NothingMeasured {});
    }
    if points.position(Column::Metric(Metric::Heap)).is_none() {
        return Some(Facts::HeapNotMeasured {});
    }
    let open = growth.iter().find(|growth| growth.trend == Trend::Unclear)?;
    let few = loads < FEWEST;
    Some(Facts::Unsettled(Unsettled {
        why: if few { OpenGrowth::TooFewCheckpoints } else { OpenGrowth::Straddles },
        growth: open.clone(),
        rates: Vec::new(),
        clean_below: limit.unwrap_or(CLEAN_BELOW),
        cycles_needed: few.then_some(FEWEST as u64),
        also: Vec::new(),
    }))
}

fn leaks(growth: &Growth, loads: f64) -> Finding {
    let facts = LeakFacts {
        growth: growth.clone(),
        also: Vec::new(),
        with_threads: false,
        cycles: loads as u64,
        by: Vec::new(),
    };
    Finding::new(Severity::Fail, Facts::Leak(facts))
}

/// Judges a series of few loads. The first quarter may be warm-up. It is a leak if each increment of the rest is above the limit and the
/// smallest is near the largest, and clean if it ends no higher than it began.
fn short(metric: Metric, series: &[Point], steady: f64, limit: Option<f64>, per_load: f64) -> Growth {
    let ends =
        |of: &[Point]| (of.first().copied().unwrap_or_default(), of.last().copied().unwrap_or_default());
    let ((first, _), (last, _)) = ends(series);
    let length = last - first;
    let rest: Vec<Point> = series.iter().copied().filter(|point| point.0 >= first + length / 4.0).collect();
    let rates: Vec<f64> =
        rest.windows(2).map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)).collect();
    let low = rates.iter().copied().fold(f64::MAX, f64::min);
    let high = rates.iter().copied().fold(f64::MIN, f64::max);
    let (begin, end) = ends(&rest);
    let (spanned, grown) = (end.0 - begin.0, end.1 - begin.1);
    // The rule of three (Hanley and Lippman-Hand 1983), for a leak of this much that has not come yet. Mappings are noted to the byte, too.
    let one = if is_memory(metric) { Kind::Bytes } else { Kind::Things }.event();
    let unseen = if spanned > 0.0 { 3.0 * one / spanned } else { f64::MAX };
    // Nothing is known of the growth of one point.
    let bounds = if rates.is_empty() { (f64::MIN, f64::MAX) } else { (low, high) };
    let clean_below = limit.unwrap_or(if is_memory(metric) { CLEAN_BELOW } else { one });
    let few = length < FEWEST || rates.len() < 4;
    let trend = if few {
        Trend::Unclear
    } else if low > limit.unwrap_or(0.0) && low >= steady * high {
        Trend::Growing
    } else if grown <= 0.0 && unseen <= clean_below || high <= limit.unwrap_or(0.0) {
        Trend::Flat
    } else {
        Trend::Unclear
    };
    let per_cycle = if spanned > 0.0 { grown / spanned } else { 0.0 };
    Growth {
        metric,
        unit: metric.unit(),
        per_cycle,
        low: bounds.0,
        high: bounds.1,
        per_second: if per_load > 0.0 { per_cycle / per_load } else { 0.0 },
        per_load: None,
        detectable: unseen,
        trend,
        exact: bounds.0 == bounds.1,
        fit: None,
    }
}

/// Judges a series of many loads by the method of soaks.
fn as_a_soak(points: &Checkpoints, rate: Option<&LeakRate>, length: f64, seconds: f64) -> Grown {
    let limits = Limits { max_leak_rate: rate.cloned(), ..Limits::default() };
    let soak = Measured { checkpoints: points.clone(), seconds, ..measured(length as u64) };
    let grown = super::judge(&soak, &limits);
    let (verdict, severity) = match grown.verdict {
        Verdict::Leak => (WatchVerdict::Leak, Severity::Fail),
        Verdict::Clean => (WatchVerdict::Clean, Severity::Note),
        _ => (WatchVerdict::Inconclusive, Severity::Undecided),
    };
    let findings = grown.findings.into_iter().filter(|finding| finding.severity == severity).collect();
    Grown { verdict, leak: grown.leak, growth: grown.growth, findings }
}

/// Why a library stays.
fn why_it_stays(library: &WatchedLibrary) -> (WatchVerdict, Vec<Facts>) {
    let (opens, closes) = (library.opens, library.closes);
    if opens > 1 && library.loads == 1 && library.overlaps + 1 == opens {
        return (WatchVerdict::NeverReloaded, vec![Facts::NeverReloaded { opens, closes }]);
    }
    // With every handle closed it was still there when it was opened again. What another library brought was there without a load of its own.
    let stayed = opens.saturating_sub(library.overlaps) > library.loads.max(1);
    if (opens > closes && !stayed) || opens == 0 {
        return (WatchVerdict::Held, vec![Facts::Held { opens, closes, by: library.opened_by.clone() }]);
    }
    let certain = library.stays.iter().filter(|why| why.certainty != Certainty::Possible);
    let mut why: Vec<Facts> = certain.map(|why| Facts::Stays(why.cause.clone())).collect();
    why.extend(library.causes.iter().cloned().map(Facts::Stays));
    if why.is_empty() {
        why.push(Facts::Stays(Cause::of_library(CauseFacts::Unknown(Undiagnosed::NotMade))));
    }
    (WatchVerdict::Pinned, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(loads: i64, heap: impl Fn(i64) -> i64) -> WatchedLibrary {
        let row = |load| vec![load, heap(load), 0, 3, 1];
        let columns = std::iter::once(Column::Cycle).chain(METRICS.map(Column::Metric)).collect();
        WatchedLibrary {
            loads: loads.unsigned_abs(),
            unloads: loads.unsigned_abs() - 1,
            opens: loads.unsigned_abs(),
            closes: loads.unsigned_abs() - 1,
            checkpoints: Checkpoints {
                columns,
                rows: (1..=loads).map(row).collect(),
                before_first_open: None,
            },
            ..WatchedLibrary::default()
        }
    }

    fn verdict(loads: i64, heap: impl Fn(i64) -> i64) -> WatchVerdict {
        judged(library(loads, heap), None, false, 10.0).verdict
    }

    #[test]
    fn a_few_loads_tell_a_leak_from_none() {
        for loads in [9, 13, 40, 400, 1000] {
            assert_eq!(verdict(loads, |load| load * 32), WatchVerdict::Leak, "{loads}");
            assert_eq!(verdict(loads, |load| load * 118_354 + load % 3 * 8), WatchVerdict::Leak, "{loads}");
            assert_eq!(verdict(loads, |_| 5000), WatchVerdict::Clean, "{loads}");
        }
        assert_eq!(verdict(4, |load| load * 32), WatchVerdict::Inconclusive);
        assert_eq!(verdict(4, |_| 5000), WatchVerdict::Inconclusive);
    }

    #[test]
    fn small_blocks_may_be_in_larger_chunks() {
        // Of 15 steps of 20 loads, each leaves 20 blocks of 32 B, or some of 48 B.
        let larger = [0, 0, 7, 0, 12, 20, 1, 0, 16, 3, 0, 9, 20, 0, 5, 0];
        let heap = |step: i64| (0..=step).map(|step| 20 * 32 + larger[step as usize] * 16).sum();
        let seen = |bytes: f64, heap: &dyn Fn(i64) -> i64| {
            let mut seen = library(15, heap);
            seen.checkpoints.rows.iter_mut().for_each(|row| row[0] *= 20);
            let kind = PlaceKind::Heap;
            seen.places = vec![TracePlace {
                kind,
                count_per_cycle: 1.0,
                bytes_per_cycle: bytes,
                ..TracePlace::default()
            }];
            judged(seen, None, false, 10.0).verdict
        };
        assert_eq!(seen(37.0, &heap), WatchVerdict::Leak);
        // Larger ones don't vary by this much, and a cache of small ones that fills varies by more.
        assert_eq!(seen(1008.0, &heap), WatchVerdict::Inconclusive);
        let fills = |step: i64| 10_000 - (10_000.0 * 0.95_f64.powi(step as i32)) as i64;
        assert_eq!(seen(37.0, &fills), WatchVerdict::Inconclusive);
        let root = |step: i64| ((step as f64).sqrt() * 10_000.0) as i64;
        assert_eq!(seen(37.0, &root), WatchVerdict::Inconclusive);
    }

    #[test]
    fn what_fills_or_comes_and_goes_is_no_leak() {
        for loads in [13, 40] {
            // A cache that is full early, one that fills, a container that doubles, garbage, and a square root.
            assert_eq!(verdict(loads, |load| load.min(3) * 4000), WatchVerdict::Clean);
            let cache = |load: i64| (load.min(loads * 6 / 10)) * 4000;
            assert_eq!(verdict(loads, cache), WatchVerdict::Inconclusive);
            let doubles = |load: i64| 64 << (load.ilog2());
            assert_eq!(verdict(loads, doubles), WatchVerdict::Inconclusive);
            assert_ne!(verdict(loads, |load| load * 7919 % 4001), WatchVerdict::Leak);
            assert_ne!(verdict(loads, |load| ((load as f64).sqrt() * 1000.0) as i64), WatchVerdict::Leak);
        }
    }

    #[test]
    fn every_figure_can_be_saved() {
        for loads in [1, 2, 9, 600] {
            let growth = judged(library(loads, |load| load * 32), None, false, 0.0).growth;
            let figures = |of: &Growth| [of.per_cycle, of.low, of.high, of.per_second, of.detectable];
            assert!(growth.iter().flat_map(figures).all(f64::is_finite), "{loads}: {growth:?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_clean() {
        let mut seen = library(40, |_| 5000);
        seen.checkpoints.columns[1] = Column::Metric(Metric::Rss);
        assert_eq!(judged(seen, None, false, 10.0).findings[0].facts, Facts::HeapNotMeasured {});
        let mut seen = library(40, |_| 5000);
        seen.checkpoints = Checkpoints::default();
        assert_eq!(judged(seen, None, false, 10.0).verdict, WatchVerdict::Inconclusive);
    }

    #[test]
    fn what_stays_is_told_by_its_handles() {
        let stays = |loads, opens, closes| {
            let overlaps = if closes < opens { opens - 1 } else { 0 };
            let seen = WatchedLibrary { loads, unloads: 0, opens, closes, overlaps, ..library(1, |_| 0) };
            judged(seen, None, false, 1.0).verdict
        };
        assert_eq!(stays(1, 3, 2), WatchVerdict::NeverReloaded);
        assert_eq!(stays(1, 1, 0), WatchVerdict::Held);
        assert_eq!(stays(1, 0, 0), WatchVerdict::Held);
        assert_eq!(stays(0, 1, 0), WatchVerdict::Held);
        assert_eq!(stays(0, 2, 2), WatchVerdict::Pinned);
        assert_eq!(stays(1, 3, 3), WatchVerdict::Pinned);
        let reopened = WatchedLibrary { loads: 1, unloads: 0, opens: 10, closes: 9, ..library(1, |_| 0) };
        assert_eq!(judged(reopened, None, false, 1.0).verdict, WatchVerdict::Pinned);
    }

    #[test]
    fn a_leak_that_is_allowed_passes_and_stays_a_leak() {
        let leaks = WatchedLibrary { path: "/a/mod.so".to_owned(), ..library(13, |load| load * 32) };
        let mut seen = Watch { libraries: vec![leaks], seconds: 1.0, ..Watch::default() };
        seen.checkpoints.rows = vec![vec![0]];
        let of = |name: &str| vec![name.parse().unwrap()];
        seen.asked.allow = of("other.so=known");
        assert_eq!(passed(&watch(seen.clone())), Some(false));
        seen.asked.allow = of("mod.so=known");
        let judged = watch(seen);
        assert_eq!((passed(&judged), judged.libraries[0].verdict), (Some(true), WatchVerdict::Leak));
        let reason = judged.libraries[0].findings[0].allowed.as_ref().map(ToString::to_string);
        assert_eq!(reason.as_deref(), Some("known"));
    }

    #[test]
    fn a_library_that_must_go_fails_the_watch() {
        let path = "/a/mod.so".to_owned();
        let held = WatchedLibrary { path, loads: 1, unloads: 0, opens: 1, closes: 0, ..library(1, |_| 0) };
        assert_eq!(passed(&watch(Watch::default())), None);
        let mut seen = Watch { libraries: vec![held], ..Watch::default() };
        assert_eq!(passed(&watch(seen.clone())), None);
        seen.checkpoints.rows = vec![vec![0]];
        assert_eq!(passed(&watch(seen.clone())), Some(true));
        assert_eq!(passed(&watch(Watch { lost: 1, ..seen.clone() })), None);
        assert_eq!(passed(&watch(Watch { unseen: true, ..seen.clone() })), None);
        seen.asked.require_unload = vec!["mod.so".to_owned()];
        assert_eq!(passed(&watch(seen)), Some(false));
    }
}
