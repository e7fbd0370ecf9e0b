//! What came of the turns: medians, ratios, and the table that shows them.

use std::collections::BTreeMap;

use dlsoak_judge::binomial;
use serde_json::{Value, json};

use super::chart::Line;

/// The middle of some figures, between the two in the middle where their number is even; not a number where there are none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(low), Some(high)) if sorted.len().is_multiple_of(2) => f64::midpoint(*low, *high),
        (_, Some(value)) => *value,
        _ => f64::NAN,
    }
}

/// The least and the largest.
pub(super) fn ends(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    (least, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// The ratio of two that took turns, turn by turn: what else the machine does differs from one turn to the next by 18 %, and meets
/// both of a turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    /// The median of the turns.
    pub(super) median: f64,
    /// Its interval of at least 95 %, from the least turns and the largest: see [`Ratio::of`].
    pub(super) interval: (f64, f64),
}

impl Ratio {
    /// The first of each turn by the second. Without any distribution assumed, the median lies between the `k`-th least and the `k`-th
    /// largest of `n` turns unless fewer than `k` are on one side of it, whose number is binomial with a half (Conover, "Practical
    /// Nonparametric Statistics", 3.2). With fewer than 6 turns it is all of them, and less than 95 %.
    pub(super) fn of(own: &[f64], other: &[f64]) -> Self {
        let mut ratios: Vec<f64> = own.iter().zip(other).map(|(own, other)| own / other).collect();
        ratios.sort_by(f64::total_cmp);
        let turns = ratios.len();
        let k = (0..turns).take_while(|k| binomial(*k as u64, turns as u64, 0.5) <= 0.025).count().max(1);
        let at = |index: usize| ratios.get(index).copied().unwrap_or(f64::NAN);
        Self { median: median(&ratios), interval: (at(k - 1), at(turns.wrapping_sub(k))) }
    }

    /// `0.981 (0.964 to 1.003)`.
    pub(super) fn shown(self) -> String {
        let (low, high) = self.interval;
        format!("{} ({} to {})", part(self.median), part(low), part(high))
    }
}

/// The exponent of the power law that fits best, by least squares of the logarithms: 1 where the one is proportional to
/// the other, 0 where it does not depend on it. `None` for fewer than two sizes.
pub(super) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> =
        points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0).map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) =
        (logs.iter().map(|(x, _)| x).sum::<f64>() / count, logs.iter().map(|(_, y)| y).sum::<f64>() / count);
    let spread: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let together: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (spread > 0.0).then(|| together / spread)
}

/// A number in few characters: `54.2k`, `4.61M`, `312`.
pub(super) fn short(value: f64) -> String {
    match value {
        v if !v.is_finite() => "-".to_owned(),
        v if v >= 1e7 => format!("{:.1}M", v / 1e6),
        v if v >= 1e6 => format!("{:.2}M", v / 1e6),
        v if v >= 1e3 => format!("{:.1}k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

/// Columns as wide as they must be, as Markdown and as well read as it is.
pub(super) fn markdown(header: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).chain(header.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let line = |row: &[String]| {
        let cells = row.iter().enumerate();
        let cells: Vec<String> = cells.map(|(column, cell)| format!("{cell:<0$}", width(column))).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<String> = (0..header.len()).map(|column| "-".repeat(width(column))).collect();
    line(header) + &line(&rule) + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// What all turns of a peer on one library at one number of threads came to.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// Cycles per second, turn by turn.
    pub(super) rates: Vec<f64>,
    /// Why there are none.
    pub(super) remark: Option<String>,
}

/// Cells by library, threads and row.
#[derive(Debug, Default)]
pub(super) struct Rates {
    cells: BTreeMap<(String, u32, String), Cell>,
    /// Rows in the order in which they first came, each with the one that it is held against.
    rows: Vec<(String, String)>,
    libraries: Vec<String>,
    threads: Vec<u32>,
}

impl Rates {
    /// The cell, made where it is not there yet.
    pub(super) fn cell(&mut self, library: &str, threads: u32, row: &str, against: &str) -> &mut Cell {
        if !self.rows.iter().any(|(known, _)| known == row) {
            self.rows.push((row.to_owned(), against.to_owned()));
        }
        if !self.libraries.iter().any(|known| known == library) {
            self.libraries.push(library.to_owned());
        }
        if !self.threads.contains(&threads) {
            self.threads.push(threads);
        }
        self.cells.entry((library.to_owned(), threads, row.to_owned())).or_default()
    }

    fn get(&self, library: &str, threads: u32, row: &str) -> Option<&Cell> {
        self.cells.get(&(library.to_owned(), threads, row.to_owned()))
    }

    /// The median of a row.
    pub(super) fn rate(&self, library: &str, threads: u32, row: &str) -> Option<f64> {
        Some(median(&self.get(library, threads, row)?.rates)).filter(|rate| rate.is_finite())
    }

    /// The median of a row as a part of that of the row that it is held against.
    pub(super) fn ratio(&self, library: &str, threads: u32, row: &str) -> Option<f64> {
        let (_, against) = self.rows.iter().find(|(known, _)| known == row)?;
        Some(self.rate(library, threads, row)? / self.rate(library, threads, against)?)
    }

    /// The same, turn by turn.
    pub(super) fn by_turn(&self, library: &str, threads: u32, row: &str) -> Option<Ratio> {
        let (_, against) = self.rows.iter().find(|(known, _)| known == row)?;
        let turns = |row: &str| Some(self.get(library, threads, row)?.rates.as_slice());
        Some(Ratio::of(turns(row)?, turns(against)?))
    }

    /// The same for the best turns: of what other processes take, least is in those.
    pub(super) fn best_ratio(&self, library: &str, threads: u32, row: &str) -> Option<f64> {
        let (_, against) = self.rows.iter().find(|(known, _)| known == row)?;
        let best =
            |row: &str| Some(ends(&self.get(library, threads, row)?.rates).1).filter(|rate| rate.is_finite());
        Some(best(row)? / best(against)?)
    }

    /// For each library the medians by number of threads, row by row.
    pub(super) fn panels(&self) -> Vec<(String, Vec<Line>)> {
        let line = |library: &String, row: &String| Line {
            name: row.clone(),
            points: (self.threads.iter())
                .filter_map(|threads| Some((f64::from(*threads), self.rate(library, *threads, row)?)))
                .collect(),
        };
        let lines = |library| self.rows.iter().map(|(row, _)| line(library, row)).collect();
        self.libraries.iter().map(|library| (library.clone(), lines(library))).collect()
    }

    /// One table for each library, and what is to be said of the rows that have no figures.
    pub(super) fn to_markdown(&self) -> String {
        let mut text = String::new();
        for library in &self.libraries {
            let mut header = vec![library.clone()];
            header.extend(self.threads.iter().map(|threads| format!("{threads} thread(s)")));
            let (mut rows, mut remarks) = (Vec::new(), Vec::new());
            for (row, _) in &self.rows {
                let mut cells = vec![row.clone()];
                for threads in &self.threads {
                    let remark = self.get(library, *threads, row).and_then(|cell| cell.remark.clone());
                    cells.push(match (self.rate(library, *threads, row), remark) {
                        (Some(rate), _) => {
                            let ratio = self.ratio(library, *threads, row).map(part);
                            let best = self.best_ratio(library, *threads, row).map(part);
                            let ratios = ratio.zip(best).map(|(ratio, best)| format!(" ({ratio}, {best})"));
                            short(rate) + &ratios.unwrap_or_default()
                        }
                        (None, Some(remark)) => {
                            let remark = format!("- {row}: {remark}\n");
                            if !remarks.contains(&remark) {
                                remarks.push(remark);
                            }
                            "none, see below".to_owned()
                        }
                        (None, None) => "-".to_owned(),
                    });
                }
                rows.push(cells);
            }
            text += &markdown(&header, &rows);
            text.push('\n');
            if !remarks.is_empty() {
                text += &remarks.concat();
                text.push('\n');
            }
        }
        text
    }

    /// All figures, turn by turn.
    pub(super) fn to_json(&self) -> Value {
        let cell = |((library, threads, row), cell): (&(String, u32, String), &Cell)| {
            let (least, most) = ends(&cell.rates);
            let against = self.rows.iter().find(|(known, _)| known == row).map(|(_, against)| against);
            json!({
                "library": library, "threads": threads, "peer": row, "cycles_per_second": self.rate(library, *threads, row),
                "least": finite(least), "most": finite(most), "against": against,
                "ratio": self.ratio(library, *threads, row), "best_ratio": self.best_ratio(library, *threads, row), "turns": cell.rates, "remark": cell.remark,
            })
        };
        self.cells.iter().map(cell).collect()
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// A ratio with as many digits as tell something.
pub(super) fn part(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
        assert_eq!(ends(&[2.0, 1.0, 5.0]), (1.0, 5.0));
    }

    #[test]
    fn a_ratio_is_that_of_the_turns_with_the_interval_of_their_median() {
        // The machine is half as fast in the last turn, which the ratio does not show.
        let ratio = Ratio::of(&[9.0, 8.0, 4.0], &[10.0, 10.0, 5.0]);
        assert_eq!((ratio.median, ratio.interval), (0.8, (0.8, 0.9)));
        assert_eq!(ratio.shown(), "0.800 (0.800 to 0.900)");
        let turns = |count: i32| (1..=count).map(f64::from).collect::<Vec<f64>>();
        let interval = |count| Ratio::of(&turns(count), &vec![1.0; count as usize]).interval;
        // As the tables of the binomial distribution have it.
        let expected = [(7, (1.0, 7.0)), (9, (2.0, 8.0)), (20, (6.0, 15.0)), (41, (14.0, 28.0))];
        for (count, ends) in expected {
            assert_eq!(interval(count), ends, "{count}");
        }
        assert!(Ratio::of(&[], &[]).median.is_nan());
    }

    #[test]
    fn a_power_law_is_known_by_its_exponent() {
        let points = |f: fn(f64) -> f64| [1.0, 10.0, 100.0].map(|x| (x, f(x)));
        let close = |of: Option<f64>, value: f64| (of.unwrap() - value).abs() < 1e-9;
        assert!(close(exponent(&points(|x| 3.0 * x)), 1.0));
        assert!(close(exponent(&points(|x| x * x)), 2.0));
        assert!(close(exponent(&points(|_| 5.0)), 0.0));
        assert!(exponent(&[(1.0, 1.0)]).is_none());
    }

    #[test]
    fn rows_are_held_against_the_one_that_is_said() {
        let mut rates = Rates::default();
        rates.cell("c", 1, "bare", "bare").rates = vec![100.0, 90.0, 110.0];
        rates.cell("c", 1, "run", "bare").rates = vec![97.0, 95.0, 99.0];
        rates.cell("c", 1, "none", "bare").remark = Some("missing: install it".to_owned());
        assert_eq!(rates.rate("c", 1, "run"), Some(97.0));
        assert_eq!(rates.ratio("c", 1, "run"), Some(0.97));
        assert_eq!(rates.ratio("c", 1, "none"), None);
        let text = rates.to_markdown();
        assert!(text.contains("97 (0.970, 0.900)") && text.contains("- none: missing: install it"), "{text}");
        assert_eq!(rates.to_json()[0]["turns"], json!([100.0, 90.0, 110.0]));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text =
            markdown(&["a".to_owned(), "bc".to_owned()], &[vec!["long one".to_owned(), "1".to_owned()]]);
        assert_eq!(text, "| a        | bc  |\n| -------- | --- |\n| long one | 1   |\n");
        assert_eq!([short(312.4), short(54_210.0), short(4_612_000.0)], ["312", "54.2k", "4.61M"]);
    }
}
