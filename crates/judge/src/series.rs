//! Converts the checkpoints of a soak to one series per metric, over the exposure that growth is measured against.

use super::line::Point;
use dlsoak_record::{Checkpoints, Column, Measured, Metric, UnloadState};

/// What growth is measured against.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exposure {
    /// Exposure at each usable row: cycles, or real loads if threads share one path.
    pub at: Vec<f64>,
    /// Index of each usable row.
    rows: Vec<usize>,
    /// Cycle of each usable row.
    pub cycles: Vec<f64>,
    /// Real loads per cycle if that is below one; `None` if each cycle loads once.
    pub loads_per_cycle: Option<f64>,
    /// Units of exposure per cycle: 1, or the loads per cycle if exposure is loads.
    pub per_cycle: f64,
}

impl Exposure {
    /// The exposure of `soak` up to a measured cycle, if not to the last, without rows that do not advance the cycle.
    pub(super) fn of(soak: &Measured, until: Option<u64>) -> Self {
        let points = &soak.checkpoints;
        let mut rows = Vec::new();
        let mut cycles: Vec<f64> = Vec::new();
        let until = until.map_or(f64::INFINITY, |until| until as f64);
        if let Some(index) = points.position(Column::Cycle) {
            for (row, values) in points.rows.iter().enumerate() {
                let Some(cycle) = values.get(index).map(|cycle| *cycle as f64) else { continue };
                if (0.0..=until).contains(&cycle) && cycles.last().is_none_or(|last| cycle > *last) {
                    rows.push(row);
                    cycles.push(cycle);
                }
            }
        }
        let loads_per_cycle = loads_per_cycle(soak);
        let loads = loads_per_cycle.filter(|_| soak.share_path).and_then(|_| loads_at(soak, &rows));
        let mut exposure = Self { at: cycles.clone(), rows, cycles, loads_per_cycle, per_cycle: 1.0 };
        if let Some(loads) = loads {
            let cycles = exposure.length();
            exposure.at = loads;
            exposure.per_cycle = exposure.length() / cycles;
        }
        exposure
    }

    /// The series of `metric` over this exposure; `None` if it was not measured.
    ///
    /// Memory of the process is without what malloc has from the kernel, where that is known. The heap is judged by itself, and what malloc
    /// holds free is no leak: in 1.6 million cycles of heavy fragmentation anonymous memory went from 4.0 to 5.0 MB, and what was outside of
    /// malloc stayed within 44 to 124 KB.
    pub(super) fn series(&self, points: &Checkpoints, metric: Metric) -> Option<Vec<Point>> {
        let index = points.position(metric)?;
        let value = |row: &usize| {
            let value = points.rows.get(*row)?.get(index)?;
            Some((value - of_malloc(points, metric, *row)) as f64)
        };
        let series: Vec<Point> =
            self.at.iter().zip(&self.rows).filter_map(|(x, row)| Some((*x, value(row)?))).collect();
        (!series.is_empty()).then_some(series)
    }

    /// What the series of a metric leaves out at one of its points.
    pub(super) fn left_out(&self, points: &Checkpoints, metric: Metric, point: usize) -> f64 {
        self.rows.get(point).map_or(0.0, |row| of_malloc(points, metric, *row) as f64)
    }

    /// Exposure from the first to the last row.
    pub(super) fn length(&self) -> f64 {
        self.at.last().unwrap_or(&0.0) - self.at.first().unwrap_or(&0.0)
    }
}

/// What malloc has from the kernel at a row, if that is a part of this metric and known.
fn of_malloc(points: &Checkpoints, metric: Metric, row: usize) -> i64 {
    let holds = matches!(metric, Metric::Rss | Metric::Anon | Metric::Virtual);
    let known = || points.rows.get(row)?.get(points.position(Column::Malloc)?).copied();
    if holds { known().unwrap_or(0) } else { 0 }
}

/// Real loads per cycle of a library that is unloaded, where they are clearly fewer than one.
fn loads_per_cycle(soak: &Measured) -> Option<f64> {
    if soak.unload.state == UnloadState::Pinned || soak.unload.objects_per_load == 0 {
        return None;
    }
    let loads = soak.unload.loads_per_cycle / soak.unload.objects_per_load as f64;
    (loads > 0.0 && loads < 0.99).then_some(loads)
}

/// Real loads since the first of `rows`, if they increase with every row. A stretch without a load can't distinguish growth per load
/// from growth by other causes, so such a series falls back to cycles.
fn loads_at(soak: &Measured, rows: &[usize]) -> Option<Vec<f64>> {
    let index = soak.checkpoints.position(Column::Loads)?;
    let per_load = soak.unload.objects_per_load as f64;
    let read = |row: &usize| soak.checkpoints.rows.get(*row)?.get(index).map(|loads| *loads as f64);
    let first = read(rows.first()?)?;
    let loads: Option<Vec<f64>> = rows.iter().map(|row| Some((read(row)? - first) / per_load)).collect();
    loads.filter(|loads| loads.windows(2).all(|pair| pair[1] > pair[0]))
}
