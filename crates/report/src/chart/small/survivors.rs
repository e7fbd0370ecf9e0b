//! What is left of what cycles allocated, by their age: a bar for what is left at the end, and across it a line for what was left
//! half-way. A leak has bars of one height, a cache none where cycles are old.

use super::super::super::ages::{Age, ages};
use super::super::super::{Error, units};
use super::super::axis;
use super::super::canvas::{Anchor, Frame};
use super::super::palette::{GROUND, HEAP, INK};
use super::super::plot::Plot;
use super::{Drawing, Key, LEFT, Name, RIGHT, TICK, TOP, axes, sheet};
use dlsoak_record::{Alive, Soak};

const HEIGHT: f64 = 232.0;
const BOTTOM: f64 = 204.0;
/// Bytes per cycle that the chart is high at least.
const LEAST: f64 = 32.0;
/// The youngest ages, which the scale leaves out.
const YOUNG: usize = 2;
/// Pixels between a bar and the border of its cycles.
const GAP: f64 = 4.0;

pub(super) fn draw(soak: &Soak, _: usize, name: &Name<'_>) -> Result<Option<Drawing>, Error> {
    let Some(cohorts) = &soak.cohorts else { return Ok(None) };
    let ages = ages(cohorts);
    if ages.is_empty() {
        return Ok(None);
    }
    // What is young has had no time to go: a table of 2 MiB is 4,277 B per cycle of the last eighth, beside a leak of 33 B in the others.
    let old = &ages[..ages.len().saturating_sub(YOUNG)];
    let high = old.iter().map(|age| age.per_cycle(age.end)).fold(0.0, f64::max);
    let (x, y) = (axis::cycles(cohorts.cycles as f64, 5), axis::bytes(0.0, high, LEAST, 5));
    let frame = Frame { left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM };
    let svg = sheet(name, HEIGHT, |canvas| {
        let plot = Plot { canvas, frame: &frame, x: &x, y: &y };
        axes(&plot, "cycles")?;
        if ages.iter().all(|age| age.end.bytes == 0) {
            let middle = plot.at((cohorts.cycles as f64 / 2.0, y.high / 2.0));
            canvas.text("nothing is left", middle, Anchor::Middle, TICK)?;
        }
        for age in &ages {
            let (left, foot) = plot.at((age.from as f64, 0.0));
            let rate = age.per_cycle(age.end);
            let (right, top) = plot.at((age.to as f64, rate));
            if top < foot {
                canvas.fill((left + GAP, top), (right - GAP, foot), HEAP)?;
            }
            if rate > y.high {
                let gap = top + 3.0 * GAP;
                canvas.line(&[(left, gap + GAP), (right, gap - GAP)], GROUND, GAP)?;
            }
            if let Some(halfway) = age.halfway.filter(|halfway| age.per_cycle(*halfway) <= y.high) {
                let (_, at) = plot.at((0.0, age.per_cycle(halfway)));
                canvas.line(&[(left + 1.0, at), (right - 1.0, at)], INK, 2.0)?;
            }
        }
        Ok(())
    })?;
    let total = |of: &dyn Fn(&Age) -> Option<Alive>| {
        let (mut blocks, mut bytes) = (0_u64, 0.0);
        for alive in ages.iter().filter_map(of) {
            blocks = blocks.saturating_add(alive.blocks);
            bytes += alive.bytes as f64;
        }
        format!("{} blocks, {}", units::count(blocks), units::bytes(bytes))
    };
    let key = vec![
        Key { mark: "■", color: "heap", text: format!("left at the end: {}", total(&|age| Some(age.end))) },
        Key { mark: "―", color: "ink", text: format!("left half-way: {}", total(&|age| age.halfway)) },
    ];
    Ok(Some(Drawing { svg, key }))
}
