//! Critical values of the self-normalised slope. No formula is known for them, so they are simulated.
//!
//! The table has quantiles of the statistic |b| L / A of [`super::line::Line`] over 400,000 driftless Gaussian random walks of m points
//! each.

/// The two-sided error probability of each column.
const ALPHA: [f64; 9] = [0.1, 0.05, 0.025, 0.01, 0.005, 0.0025, 0.001, 0.0005, 0.0001];

/// Number of points, and the quantile for each of [`ALPHA`].
const TABLE: [(usize, [f64; 9]); 12] = [
    (8, [5.20, 7.65, 10.95, 17.49, 24.48, 34.54, 53.07, 73.19, 157.62]),
    (10, [5.07, 7.48, 10.81, 17.20, 24.06, 34.84, 55.80, 77.03, 193.65]),
    (12, [5.41, 7.97, 11.53, 18.39, 26.42, 38.11, 59.71, 85.24, 167.66]),
    (16, [3.97, 5.41, 7.15, 10.04, 12.97, 16.51, 22.96, 28.32, 50.65]),
    (20, [3.38, 4.45, 5.64, 7.51, 9.13, 11.09, 14.28, 17.72, 25.94]),
    (24, [1.86, 2.38, 2.92, 3.73, 4.38, 5.08, 6.13, 7.00, 9.85]),
    (30, [1.87, 2.40, 2.95, 3.74, 4.40, 5.13, 6.20, 7.12, 9.57]),
    (36, [2.17, 2.75, 3.34, 4.19, 4.88, 5.64, 6.80, 7.75, 10.35]),
    (48, [2.19, 2.76, 3.36, 4.21, 4.86, 5.57, 6.65, 7.59, 9.84]),
    (60, [2.35, 2.94, 3.55, 4.40, 5.08, 5.80, 6.92, 7.93, 10.77]),
    (100, [2.37, 2.98, 3.60, 4.47, 5.21, 5.98, 7.08, 8.02, 10.81]),
    (200, [2.39, 2.99, 3.61, 4.51, 5.23, 6.01, 7.13, 8.20, 10.79]),
];

/// The value that |b| L / A exceeds with probability `alpha` without drift, for a line through `points` points. Between two entries,
/// the smaller number of points and the smaller alpha apply, which errs on the wide side. Fewer than eight points have no value.
pub(super) fn critical(points: usize, alpha: f64) -> Option<f64> {
    let (_, row) = TABLE.iter().rev().find(|(tabulated, _)| *tabulated <= points)?;
    let column = ALPHA.iter().position(|tabulated| *tabulated <= alpha).unwrap_or(ALPHA.len() - 1);
    row.get(column).copied()
}

#[cfg(test)]
mod tests {
    use super::super::line::{Line, Point};
    use super::super::schedule::SplitMix;
    use super::{ALPHA, TABLE, critical};

    /// Quantiles of |b| L / A over driftless Gaussian random walks of `points` points.
    fn simulate(points: usize, walks: usize, random: &mut SplitMix) -> [f64; 9] {
        let mut statistics: Vec<f64> = (0..walks)
            .map(|_| {
                let mut at = 0.0;
                let walk: Vec<Point> = (0..points)
                    .map(|x| {
                        at += random.normal();
                        (x as f64, at)
                    })
                    .collect();
                let line = Line::through(&walk).unwrap();
                line.slope.abs() * line.length / line.range
            })
            .collect();
        statistics.sort_by(f64::total_cmp);
        ALPHA.map(|alpha| statistics[((1.0 - alpha) * walks as f64) as usize])
    }

    /// Prints the table: `cargo test --release -p dlsoak-judge --lib critical -- --ignored --nocapture`.
    #[test]
    #[ignore = "400,000 walks for each row take a minute"]
    fn print_the_table() {
        for (points, _) in TABLE {
            let row = simulate(points, 400_000, &mut SplitMix(points as u64));
            println!("    ({points}, {:.2?}),", row);
        }
    }

    #[test]
    fn the_table_errs_on_the_wide_side() {
        let (points, row) = TABLE[3];
        assert_eq!(critical(points, 0.05), Some(row[1]));
        assert_eq!(critical(points + 1, 0.049), Some(row[2]));
        assert_eq!(critical(7, 0.5), None);
        assert_eq!(critical(usize::MAX, 1e-9), TABLE.last().map(|(_, row)| row[8]));
    }
}
