//! How many cycles each thread is to make, so that all come out even.

/// Splits `total` cycles so that all threads end up with the same count, give or take one, but none with less than
/// it has completed.
pub(super) fn shares(total: u64, completed: &[u64]) -> Vec<u64> {
    let mut shares = completed.to_vec();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|i| completed[*i]);
    let mut left = total.saturating_sub(completed.iter().sum());
    // Raise the lowest to the level of the next, as far as the cycles go; then spread what is left.
    for lowest in 1..=order.len() {
        let level = completed[order[lowest - 1]];
        let next = order.get(lowest).map_or(u64::MAX, |i| completed[*i]);
        let room = (next - level).saturating_mul(lowest as u64);
        let spent = left.min(room);
        let (each, extra) = (spent / lowest as u64, spent % lowest as u64);
        for (position, thread) in order.iter().take(lowest).enumerate() {
            shares[*thread] += each + u64::from((position as u64) < extra);
        }
        left -= spent;
        if left == 0 {
            break;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_shared_evenly() {
        assert_eq!(shares(100, &[0]), [100]);
        assert_eq!(shares(10, &[0, 0, 0, 0]), [3, 3, 2, 2]);
        assert_eq!(shares(10, &[2, 0, 0, 0]), [2, 3, 3, 2]);
        assert_eq!(shares(3, &[2, 0]), [2, 1]);
        assert_eq!(shares(1, &[2, 0]), [2, 0]);
        assert_eq!(shares(100, &[5, 5]), [50, 50]);
    }

    #[test]
    fn shares_always_add_up() {
        for total in 0..60 {
            for completed in [[0, 0, 0], [7, 0, 1], [3, 3, 2], [20, 1, 0]] {
                let shares = shares(total, &completed);
                let sum: u64 = shares.iter().sum();
                assert_eq!(sum, total.max(completed.iter().sum()), "{total} {completed:?}");
                assert!(shares.iter().zip(completed).all(|(s, c)| *s >= c));
            }
        }
    }
}
