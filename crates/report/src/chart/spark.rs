//! Growth at a glance: a line of the size of a word, for a row of a table. It stands beside the figure, so it says nothing to a screen
//! reader.

use std::fmt::Write as _;

use super::super::summary::{self, Mark};
use super::gained::{Gained, LEAST, LEAST_OF_HEAP};
use super::plot::thin;
use dlsoak_record::{Metric, Soak};

const WIDTH: f64 = 72.0;
const HEIGHT: f64 = 18.0;
const POINTS: usize = 24;

/// What the metric of the table's figure gained over the cycles; empty where nothing was measured.
pub(in super::super) fn draw(soak: &Soak) -> String {
    let gained = summary::headline(soak).and_then(|headline| Gained::of(soak, headline.metric));
    let Some(Gained { metric, points, .. }) = gained.filter(|gained| gained.points.len() > 1) else {
        return String::new();
    };
    let ends = |of: fn(&(f64, f64)) -> f64| points.iter().map(of);
    let cycles = ends(|point| point.0).fold(1.0, f64::max);
    let (low, high) = (ends(|point| point.1).fold(0.0, f64::min), ends(|point| point.1).fold(0.0, f64::max));
    // What a page more or less is does not look like a mountain here either.
    let span = (high - low).max(if metric == Metric::Heap { LEAST_OF_HEAP } else { LEAST });
    let mut path = String::new();
    let mut before = None;
    for (cycle, gain) in thin(&points, span, POINTS) {
        let x = (cycle / cycles * WIDTH).round().clamp(0.0, WIDTH) as u32;
        let y = (HEIGHT - 1.5 - (gain - low) / span * (HEIGHT - 3.0)).clamp(0.0, HEIGHT);
        let point = (x, (y * 2.0).round() / 2.0);
        if before != Some(point) {
            let _ = write!(path, "{}{x} {}", if path.is_empty() { 'M' } else { 'L' }, point.1);
        }
        before = Some(point);
    }
    let class = Mark::of(soak).class();
    format!(
        "<svg class=\"spark s-{class}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-hidden=\"true\"><path d=\"{path}\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;

    #[test]
    fn what_grows_rises_and_what_does_not_is_flat() {
        let run = sample::run(8);
        let path = |soak: &Soak| draw(soak).split('"').nth(7).unwrap().to_owned();
        assert_eq!(draw(&sample::load_failed()), "");
        let heights = |soak: &Soak| -> Vec<f64> {
            let path = path(soak);
            let points = path.trim_start_matches('M').split('L');
            points.map(|point| point.split(' ').nth(1).unwrap().parse().unwrap()).collect()
        };
        assert!(heights(&run.soaks[0]).iter().all(|height| *height == 16.5), "{}", draw(&run.soaks[0]));
        let rising = heights(&run.soaks[1]);
        assert_eq!((rising[0], rising[rising.len() - 1]), (16.5, 1.5));
        assert!(rising.windows(2).all(|pair| pair[0] >= pair[1]), "{rising:?}");
    }
}
