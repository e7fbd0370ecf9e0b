//! Critical values of the self-normalised slope, simulated: no formula is known for them.
//!
//! 400,000 driftless Gaussian random walks of m points each, the
//! statistic |b| L / A of [`super::line::Line`] on each, and its quantiles.

/// The two-sided error probabilities that the columns stand for.
const ALPHA: [f64; 9] = [0.1, 0.05, 0.025, 0.01, 0.005, 0.0025, 0.001, 0.0005, 0.0001];

/// Number of points, and the quantile for each of [`ALPHA`].
const TABLE: [(usize, [f64; 9]); 10] = [
    (4, [4.56, 6.72, 9.73, 15.60, 22.21, 31.87, 49.98, 70.55, 160.64]),
    (5, [3.41, 4.61, 6.04, 8.41, 10.76, 13.90, 19.08, 23.96, 42.52]),
    (6, [2.97, 3.88, 4.90, 6.43, 7.87, 9.54, 12.30, 14.46, 23.07]),
    (8, [2.57, 3.25, 3.98, 5.01, 5.85, 6.76, 8.12, 9.29, 12.65]),
    (10, [2.38, 2.98, 3.60, 4.45, 5.09, 5.79, 6.80, 7.72, 9.78]),
    (12, [2.27, 2.83, 3.39, 4.15, 4.76, 5.35, 6.15, 6.78, 8.33]),
    (16, [2.14, 2.65, 3.15, 3.82, 4.31, 4.79, 5.47, 5.97, 7.31]),
    (20, [2.06, 2.54, 3.00, 3.62, 4.08, 4.53, 5.11, 5.56, 6.70]),
    (30, [1.95, 2.40, 2.82, 3.38, 3.78, 4.18, 4.73, 5.14, 6.14]),
    (40, [1.90, 2.32, 2.72, 3.24, 3.64, 4.04, 4.54, 4.91, 5.83]),
];

/// The value that |b| L / A exceeds with probability `alpha` where nothing drifts, for a line through `points`
/// points. The next smaller tabulated number of points and the next smaller alpha are taken, which errs on the
/// wide side; fewer than four points have none.
pub(super) fn critical(points: usize, alpha: f64) -> Option<f64> {
    let (_, row) = TABLE.iter().rev().find(|(tabulated, _)| *tabulated <= points)?;
    let column = ALPHA.iter().position(|tabulated| *tabulated <= alpha).unwrap_or(ALPHA.len() - 1);
    row.get(column).copied()
}

#[cfg(test)]
mod tests {
    use super::critical;

    #[test]
    fn the_table_errs_on_the_wide_side() {
        assert_eq!(critical(20, 0.05), Some(2.54));
        assert_eq!(critical(21, 0.049), Some(3.00));
        assert_eq!(critical(1000, 1e-9), Some(5.83));
        assert_eq!(critical(3, 0.5), None);
    }
}
