//! Pure: from what was alive at each quiet point to what grows, what was kept once, and what did neither.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::record::PlaceTrend;
use dlsoak_wire::notes::{Memory, PLACES, WANT_STACK};

/// What is alive of a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Resources.
    pub count: i64,
    /// Their bytes.
    pub bytes: i64,
}

/// What is alive at a quiet point, by the number of the place; without those of which nothing is.
pub type Census = BTreeMap<u32, Amount>;

/// A place of which something was left behind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Left {
    /// Its number.
    pub place: u32,
    /// Resources per cycle; 0 where it does not grow.
    pub count_per_cycle: f64,
    /// Bytes per cycle; 0 where it does not grow.
    pub bytes_per_cycle: f64,
    /// What was alive at the end and not before the first open.
    pub kept: Amount,
    /// Which way it goes.
    pub trend: PlaceTrend,
}

/// Reads what is alive. The worker is parked.
pub fn census(memory: &Memory) -> Census {
    (0_u32..)
        .zip(&memory.places[..PLACES])
        .filter(|(_, place)| place.hash.load(Acquire) != 0)
        .map(|(number, place)| {
            (number, Amount { count: place.count.load(Relaxed), bytes: place.bytes.load(Relaxed) })
        })
        .filter(|(_, amount)| *amount != Amount::default())
        .collect()
}

/// Asks for stacks where more is alive at each of these quiet points than at the one before, and no longer where less is at the last one, if
/// there are more than two.
pub fn want_stacks(memory: &Memory, points: &[&Census]) {
    let sites = sites(memory, points.iter().copied());
    let mut totals: BTreeMap<u32, Vec<Amount>> = BTreeMap::new();
    for (at, point) in points.iter().enumerate() {
        for (number, amount) in *point {
            let site = sites.get(number).copied().unwrap_or(*number);
            let total = totals.entry(site).or_insert_with(|| vec![Amount::default(); points.len()]);
            total[at].count += amount.count;
            total[at].bytes += amount.bytes;
        }
    }
    let is_more = |old: &Amount, new: &Amount| new.count > old.count || new.bytes > old.bytes;
    for (site, total) in totals {
        let Some(place) = memory.places.get(site as usize) else { continue };
        if place.depth.load(Relaxed) != 1 {
            continue;
        }
        if total.windows(2).all(|pair| is_more(&pair[0], &pair[1])) {
            place.wanted.store(WANT_STACK, Relaxed);
        } else if let [_, .., old, new] = &total[..]
            && is_more(new, old)
        {
            place.wanted.store(0, Relaxed);
        }
    }
}

/// The place of one frame that each place of the censuses belongs to, or the place itself.
pub fn sites<'a>(memory: &Memory, censuses: impl Iterator<Item = &'a Census>) -> BTreeMap<u32, u32> {
    let numbers = censuses.flat_map(|census| census.keys().copied());
    numbers
        .map(|number| {
            let site = memory.places.get(number as usize).map_or(0, |place| place.site.load(Relaxed));
            (number, if site == 0 { number } else { site - 1 })
        })
        .collect()
}

/// What was left behind: `before` the first open, then at `points` of measured cycles, in order. Places that belong to
/// one site are looked at together first: what came before stacks were asked for is with the site, and what came after is
/// with the stacks, so that one may shrink while the others grow.
pub fn left(before: &Census, points: &[(u64, Census)], sites: &BTreeMap<u32, u32>) -> Vec<Left> {
    let (Some((from, first)), Some((to, last))) = (points.first(), points.last()) else { return Vec::new() };
    let cycles = to.saturating_sub(*from).max(1) as f64;
    let mut families: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (place, site) in sites {
        families.entry(*site).or_default().push(*place);
    }
    let at = |census: &Census, place: u32| census.get(&place).copied().unwrap_or_default();
    let mut found = Vec::new();
    for members in families.values() {
        let series = |places: &[u32]| -> Vec<i64> {
            points
                .iter()
                .map(|(_, census)| places.iter().map(|place| weight(at(census, *place))).sum())
                .collect()
        };
        let grows = trend(&series(members)) == Some(PlaceTrend::Growing);
        let mut own: Vec<Left> = members
            .iter()
            .map(|place| {
                let (old, start, end) = (at(before, *place), at(first, *place), at(last, *place));
                let growing = grows && trend(&series(&[*place])) == Some(PlaceTrend::Growing);
                let per_cycle = |difference: i64| if growing { difference as f64 / cycles } else { 0.0 };
                Left {
                    place: *place,
                    count_per_cycle: per_cycle(end.count - start.count),
                    bytes_per_cycle: per_cycle(end.bytes - start.bytes),
                    kept: Amount { count: end.count - old.count, bytes: end.bytes - old.bytes },
                    trend: if growing { PlaceTrend::Growing } else { PlaceTrend::Saturating },
                }
            })
            .collect();
        if grows {
            settle(&mut own, members, |place| {
                let (start, end) = (at(first, place), at(last, place));
                (end.count - start.count, end.bytes - start.bytes)
            });
            let total = own.iter().map(|left| left.bytes_per_cycle + left.count_per_cycle).sum::<f64>();
            if total == 0.0 {
                continue;
            }
        }
        found.extend(own.into_iter().filter(|left| {
            // What came before stacks were asked for is an early part of what grows.
            let early =
                grows && left.trend != PlaceTrend::Growing && sites.get(&left.place) == Some(&left.place);
            !early && (left.kept.count > 0 || left.bytes_per_cycle > 0.0)
        }));
    }
    found
}

/// Puts what a family's members that don't grow by themselves have gained or lost onto the largest that does, so that the
/// sum over members is that of the family.
fn settle(own: &mut [Left], members: &[u32], difference: impl Fn(u32) -> (i64, i64)) {
    let total =
        |part: fn((i64, i64)) -> i64| members.iter().map(|m| part(difference(*m))).sum::<i64>() as f64;
    let sum = (total(|d| d.0), total(|d| d.1));
    let cycles = own
        .iter()
        .find(|left| left.trend == PlaceTrend::Growing && left.count_per_cycle != 0.0)
        .map(|left| difference(left.place).0 as f64 / left.count_per_cycle);
    let told = own.iter().fold((0.0, 0.0), |t, l| (t.0 + l.count_per_cycle, t.1 + l.bytes_per_cycle));
    let largest = own
        .iter_mut()
        .filter(|left| left.trend == PlaceTrend::Growing)
        .max_by(|a, b| a.bytes_per_cycle.total_cmp(&b.bytes_per_cycle));
    if let (Some(cycles), Some(largest)) = (cycles, largest) {
        largest.count_per_cycle += sum.0 / cycles - told.0;
        largest.bytes_per_cycle += sum.1 / cycles - told.1;
    }
}

/// What growth is looked for in: bytes, where there are any.
fn weight(amount: Amount) -> i64 {
    if amount.bytes == 0 { amount.count } else { amount.bytes }
}

/// Which way a series goes; `None` where it never was above 0. What comes and goes between quiet points is no growth, so
/// what counts is the least of each quarter.
fn trend(values: &[i64]) -> Option<PlaceTrend> {
    /// A quarter that brings less than this part of the largest is the end of something that fills.
    const FADED: i64 = 8;
    /// So few may come at any time: a leak in one cycle of many.
    const RARE: usize = 4;
    if values.iter().all(|value| *value <= 0) {
        return None;
    }
    let quarter = |part: usize| {
        let (from, to) = (part * values.len() / 4, (part + 1) * values.len() / 4);
        values.get(from..to.max(from + 1)).and_then(|part| part.iter().min()).copied().unwrap_or(0)
    };
    let least = [quarter(0), quarter(1), quarter(2), quarter(3)];
    let late = least[3] - least[2];
    let steps = (least[1] - least[0]).max(least[2] - least[1]);
    let grew = values.windows(2).filter(|pair| pair[1] > pair[0]).count();
    let never_falls = values.windows(2).all(|pair| pair[1] >= pair[0]);
    let rare = never_falls
        && (1..=RARE).contains(&grew)
        && values.get(values.len() / 2).zip(values.last()).is_some_and(|(middle, end)| end > middle);
    if late > 0 && late * FADED >= steps || rare {
        Some(PlaceTrend::Growing)
    } else {
        Some(PlaceTrend::Saturating)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(entries: &[(u32, i64, i64)]) -> Census {
        entries
            .iter()
            .map(|(place, count, bytes)| (*place, Amount { count: *count, bytes: *bytes }))
            .collect()
    }

    fn points(of: impl Fn(i64) -> Vec<(u32, i64, i64)>) -> Vec<(u64, Census)> {
        (0..=40).map(|i| (i as u64 * 10, census(&of(i * 10)))).collect()
    }

    fn alone(places: &[u32]) -> BTreeMap<u32, u32> {
        places.iter().map(|place| (*place, *place)).collect()
    }

    #[test]
    fn a_leak_grows_and_a_cache_saturates() {
        let points = points(|cycle| vec![(1, cycle, cycle * 32), (2, cycle.min(60), cycle.min(60) * 48)]);
        let left = left(&Census::new(), &points, &alone(&[1, 2]));
        assert_eq!((left[0].place, left[0].trend, left[0].bytes_per_cycle), (1, PlaceTrend::Growing, 32.0));
        assert_eq!(
            (left[1].trend, left[1].kept.bytes, left[1].bytes_per_cycle),
            (PlaceTrend::Saturating, 2880, 0.0)
        );
    }

    #[test]
    fn what_comes_and_goes_is_no_growth() {
        let saw = points(|cycle| vec![(1, cycle % 70, cycle % 70 * 16)]);
        assert!(left(&Census::new(), &saw, &alone(&[1])).iter().all(|l| l.trend == PlaceTrend::Saturating));
        let level = points(|_| vec![(1, 5, 80)]);
        assert_eq!(left(&census(&[(1, 5, 80)]), &level, &alone(&[1])), []);
    }

    #[test]
    fn a_leak_in_one_cycle_of_many_grows() {
        let rare = points(|cycle| vec![(1, 1 + cycle / 190, (1 + cycle / 190) * 32)]);
        let left = left(&Census::new(), &rare, &alone(&[1]));
        assert_eq!(left[0].trend, PlaceTrend::Growing);
    }

    #[test]
    fn a_buffer_that_grows_is_seen_by_its_bytes() {
        let buffer = points(|cycle| vec![(1, 1, 64 + cycle * 8)]);
        let left = left(&Census::new(), &buffer, &alone(&[1]));
        assert_eq!(
            (left[0].trend, left[0].bytes_per_cycle, left[0].count_per_cycle),
            (PlaceTrend::Growing, 8.0, 0.0)
        );
    }

    #[test]
    fn a_family_is_looked_at_together() {
        // Stacks were asked for at cycle 200: before, all is with the site.
        let split = points(|c| {
            let (old, new) = (c.min(200), (c - 200).max(0));
            vec![(1, old, old * 32), (2, new, new * 32)]
        });
        let sites = BTreeMap::from([(1, 1), (2, 1)]);
        let leak: f64 = left(&Census::new(), &split, &sites).iter().map(|l| l.bytes_per_cycle).sum();
        assert_eq!(leak, 32.0);
        // A cache of 100 whose entries are replaced: the stacks' part grows, the site's shrinks, together they don't.
        let replaced = points(|c| {
            let new = (c - 200).clamp(0, 100);
            vec![(1, 100 - new, (100 - new) * 32), (2, new, new * 32)]
        });
        assert!(left(&Census::new(), &replaced, &sites).iter().all(|l| l.trend == PlaceTrend::Saturating));
    }
}
