//! Lines that lie on each other are drawn once. Which those are is decided in pixels, because that is what covers.

/// Pixels between two lines that are one to the eye.
const WITHIN: f64 = 1.5;
/// Places at which two lines are compared.
const PLACES: usize = 48;

/// For each line, the one that covers it: itself, or a line that is as long and never farther away than the eye sees. Points go from
/// left to right.
pub(super) fn leaders(lines: &[Vec<(f64, f64)>]) -> Vec<usize> {
    let reach = |line: &[(f64, f64)]| line.last().map_or(f64::NEG_INFINITY, |point| point.0);
    let mut order: Vec<usize> = (0..lines.len()).collect();
    // The longest come first; of equals the one that would lie on top.
    order.sort_by(|a, b| reach(&lines[*b]).total_cmp(&reach(&lines[*a])).then(b.cmp(a)));
    let mut of: Vec<usize> = (0..lines.len()).collect();
    let mut leading: Vec<usize> = Vec::new();
    for index in order {
        match leading.iter().find(|leader| covers(&lines[**leader], &lines[index])) {
            Some(leader) => of[index] = *leader,
            None => leading.push(index),
        }
    }
    of
}

fn covers(long: &[(f64, f64)], short: &[(f64, f64)]) -> bool {
    let (Some(first), Some(last)) = (short.first(), short.last()) else { return true };
    let starts = long.first().is_some_and(|start| start.0 <= first.0 + WITHIN);
    let near = |at: f64| (height(long, at) - height(short, at)).abs() <= WITHIN;
    let place = |i: usize| first.0 + (last.0 - first.0) * i as f64 / (PLACES - 1) as f64;
    // No spike of either is between two places.
    let along = long.iter().filter(|point| (first.0..=last.0).contains(&point.0));
    starts && (0..PLACES).all(|i| near(place(i))) && short.iter().chain(along).all(|point| near(point.0))
}

/// The height of a line at this place; beyond its ends, that of the end.
fn height(line: &[(f64, f64)], at: f64) -> f64 {
    let next = line.partition_point(|point| point.0 < at);
    match (next.checked_sub(1).and_then(|before| line.get(before)), line.get(next)) {
        (Some(a), Some(b)) if b.0 > a.0 => a.1 + (b.1 - a.1) * (at - a.0) / (b.0 - a.0),
        (Some(one), _) | (None, Some(one)) => one.1,
        (None, None) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_covered_by_a_longer_one_along_it() {
        let line = |to: f64, slope: f64| vec![(0.0, 0.0), (to, slope * to)];
        assert_eq!(leaders(&[line(50.0, 1.0), line(100.0, 1.0), line(100.0, 0.0)]), [1, 1, 2]);
        assert_eq!(leaders(&[line(9.0, 2.0), line(9.0, 2.0)]), [1, 1]);
        let mut spike = vec![(0.0, 0.0), (49.0, 0.0), (50.0, 30.0), (51.0, 0.0), (100.0, 0.0)];
        assert_eq!(leaders(&[line(100.0, 0.0), spike.clone()]), [0, 1]);
        spike[2].1 = 1.0;
        assert_eq!(leaders(&[line(100.0, 0.0), spike]), [1, 1]);
        assert_eq!(leaders(&[Vec::new()]), [0]);
    }
}
