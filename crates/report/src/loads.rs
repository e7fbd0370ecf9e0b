//! How often a library was opened, and how often the loader really loaded it: the question that a reference count hides.

use dlsoak_record::{Column, Soak};

use super::words;

/// Opens and loads of a soak over its measured cycles.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Loads {
    /// (opens, loads) at each checkpoint.
    pub(super) points: Vec<(f64, f64)>,
}

impl Loads {
    /// Of a soak whose record has them.
    pub(super) fn of(soak: &Soak) -> Option<Self> {
        let points = &soak.checkpoints;
        let (x, y) = (points.position(Column::Cycle)?, points.position(Column::Loads)?);
        let read = |row: &Vec<i64>| Some((*row.get(x)? as f64, *row.get(y)? as f64));
        let rows: Vec<(f64, f64)> = points.rows.iter().filter_map(read).collect();
        let (_, start) = *rows.first()?;
        // One load adds the library and what it brings. Where nothing is loaded again, the one load was before the first checkpoint.
        let each = soak.unload.objects_per_load as f64;
        let loads = |objects: f64| {
            if each > 0.0 { ((objects - start) / each).round() } else { 1.0 + objects - start }
        };
        let points = rows.into_iter().map(|(opens, objects)| (opens, loads(objects))).collect();
        Some(Loads { points })
    }

    fn last(&self) -> (f64, f64) {
        self.points.last().copied().unwrap_or_default()
    }

    /// Whether each open was a load.
    pub(super) fn is_each(&self) -> bool {
        let (opens, loads) = self.last();
        loads >= opens
    }

    /// `opened 100,000 times`.
    pub(super) fn opened(&self) -> String {
        format!("opened {}", times(self.last().0))
    }

    /// `loaded once`.
    pub(super) fn loaded(&self) -> String {
        format!("loaded {}", times(self.last().1))
    }

    /// `opened 100,000 times, loaded once`.
    pub(super) fn words(&self) -> String {
        let (opens, loads) = self.last();
        if loads == opens {
            return format!("opened and loaded {}", times(opens));
        }
        format!("{}, {}", self.opened(), self.loaded())
    }
}

fn times(count: f64) -> String {
    match count {
        1.0 => "once".to_owned(),
        count => words::counted(count.max(0.0) as u64, "time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;

    #[test]
    fn a_library_that_stays_was_loaded_once() {
        let run = sample::run(8);
        let of = |index: usize| Loads::of(&run.soaks[index]).unwrap();
        assert_eq!(of(3).words(), "opened 100,000 times, loaded once");
        assert!(!of(3).is_each());
        // A load of a Rust library adds two objects.
        for index in [0, 4] {
            assert_eq!(of(index).words(), "opened and loaded 100,000 times");
            assert!(of(index).is_each());
        }
        assert_eq!(Loads::of(&sample::load_failed()), None);
    }
}
