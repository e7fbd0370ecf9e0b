//! Quantiles of the gamma distribution, of the beta distribution and of Student's t, where their distribution functions reach a probability.
//!
//! The functions are the usual series and continued fractions (Abramowitz and Stegun 1964, 6.1, 6.5 and 26.5).

use hdrhistogram::Histogram;

/// Steps of a search, of a series and of a continued fraction. 200 halvings exhaust the bits of any number.
const STEPS: usize = 200;
/// Stands for 0 in a denominator.
const TINY: f64 = 1e-300;

/// The `p` quantile of the gamma distribution of this shape and scale 1. Half the quantile of chi squared with `2 * shape` degrees of
/// freedom, and so the exact bound on the mean of a Poisson count (Garwood 1936).
pub(super) fn gamma(shape: f64, p: f64) -> f64 {
    if shape <= 0.0 {
        return 0.0;
    }
    let scale = ln_gamma(shape);
    reached(|x| lower_gamma(shape, scale, x), p, shape + 1.0)
}

/// Lower bound, with error `alpha`, on the rate of a compound Poisson process whose events add up to `sum` over `length`, each of them about
/// `event` (Garwood 1936).
pub(super) fn rate_at_least(sum: f64, event: f64, length: f64, alpha: f64) -> f64 {
    gamma(sum / event, alpha) * event / length
}

/// The upper bound on the same.
pub(super) fn rate_at_most(sum: f64, event: f64, length: f64, alpha: f64) -> f64 {
    gamma(sum / event + 1.0, 1.0 - alpha) * event / length
}

/// The `p` quantile of Student's t, for `p` from 0.5.
pub(super) fn student(freedom: f64, p: f64) -> f64 {
    let beta = Beta::new(freedom / 2.0, 0.5);
    reached(|t| 1.0 - beta.at(freedom / (freedom + t * t)) / 2.0, p, 4.0)
}

/// The probability that at most `part` of `all` are so, where each is with probability `p`.
pub fn binomial(part: u64, all: u64, p: f64) -> f64 {
    if part >= all { 1.0 } else { Beta::new((all - part) as f64, part as f64 + 1.0).at(1.0 - p) }
}

/// The 95 % interval of a probability, where `part` of `all` trials were so (Clopper and Pearson 1934): two-sided, but one-sided where none
/// or all were so.
pub fn share(part: u64, all: u64) -> (f64, f64) {
    let alpha = if part == 0 || part >= all { 0.05 } else { 0.025 };
    let at_most = |part: u64| {
        if part >= all { 1.0 } else { reached(|p| 1.0 - binomial(part, all, p), 1.0 - alpha, 1.0) }
    };
    (1.0 - at_most(all - part.min(all)), at_most(part))
}

/// The 95 % interval of the median of what a histogram has, from the ranks between which it lies, whatever the distribution. It covers
/// chance within a run, and not what two runs differ by.
pub fn of_median(histogram: &Histogram<u64>) -> (u64, u64) {
    let half_width = 1.96 * 0.5 / (histogram.len().max(1) as f64).sqrt();
    let at = |quantile: f64| histogram.value_at_quantile(quantile.clamp(0.0, 1.0));
    (at(0.5 - half_width), at(0.5 + half_width))
}

/// Where the distribution function, of values above 0, reaches `p`.
///
/// By inverse quadratic interpolation, and by halving where that would not converge (Chandrupatla 1997). A soak that looks until it can decide
/// asks for hundreds of quantiles: with halving alone, which needs 50 values of the function where this needs 10, they took 13 of 125 ms.
fn reached(distribution: impl Fn(f64) -> f64, p: f64, guess: f64) -> f64 {
    let at = |x: f64| (x, distribution(x) - p);
    // The root lies between `new` and `across`; `old` is the point before these.
    let (mut across, mut new) = (at(0.0), at(guess));
    while new.1 < 0.0 {
        if new.0 >= 1e12 {
            return new.0;
        }
        (across, new) = (new, at(2.0 * new.0));
    }
    let mut part = 0.5;
    for _ in 0..STEPS {
        let between = at(new.0 + part * (across.0 - new.0));
        let old = if (between.1 < 0.0) == (new.1 < 0.0) { new } else { std::mem::replace(&mut across, new) };
        new = between;
        let best = if new.1.abs() < across.1.abs() { new } else { across };
        // The part of the width that a number can resolve there.
        let least = 2.0 * f64::EPSILON * best.0 / (across.0 - new.0).abs();
        if least > 0.5 || best.1 == 0.0 {
            return best.0;
        }
        let (x, y) = ((new.0 - across.0) / (old.0 - across.0), (new.1 - across.1) / (old.1 - across.1));
        let converges = y * y < x && (1.0 - y) * (1.0 - y) < 1.0 - x;
        part = if converges {
            new.1 / (across.1 - new.1) * old.1 / (across.1 - old.1)
                + (old.0 - new.0) / (across.0 - new.0) * new.1 / (old.1 - new.1) * across.1
                    / (old.1 - across.1)
        } else {
            0.5
        };
        part = part.max(least).min(1.0 - least);
    }
    new.0
}

/// The regularised lower incomplete gamma function; `scale` is the logarithm of the gamma function of the shape.
fn lower_gamma(shape: f64, scale: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let factor = (shape * x.ln() - x - scale).exp();
    if x < shape + 1.0 {
        let (mut term, mut sum) = (1.0 / shape, 1.0 / shape);
        for step in 1..50 * STEPS {
            term *= x / (shape + step as f64);
            sum += term;
            if term < sum * f64::EPSILON {
                break;
            }
        }
        return factor * sum;
    }
    let part = |step: usize| {
        let step = step as f64;
        (-step * (step - shape), x + 2.0 * step + 1.0 - shape)
    };
    1.0 - factor / fraction(x + 1.0 - shape, part)
}

/// The regularised incomplete beta function with these parameters, which a search asks for many times.
struct Beta {
    a: f64,
    b: f64,
    /// The logarithm of the complete beta function.
    scale: f64,
}

impl Beta {
    fn new(a: f64, b: f64) -> Self {
        Self { a, b, scale: ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b) }
    }

    fn at(&self, x: f64) -> f64 {
        let &Self { a, b, scale } = self;
        if x <= 0.0 || x >= 1.0 {
            return x.clamp(0.0, 1.0);
        }
        if x > (a + 1.0) / (a + b + 2.0) {
            return 1.0 - Self { a: b, b: a, scale }.at(1.0 - x);
        }
        let factor = (a * x.ln() + b * (1.0 - x).ln() - scale).exp() / a;
        let part = |step: usize| {
            let (m, n) = ((step / 2) as f64, step as f64);
            let numerator = if step.is_multiple_of(2) { m * (b - m) } else { -(a + m) * (a + b + m) };
            (numerator * x / ((a + n - 1.0) * (a + n)), 1.0)
        };
        factor / fraction(1.0, part)
    }
}

/// b0 + a1 / (b1 + a2 / (b2 + ...)), with `part(n)` = (an, bn), by the method of Lentz (1976).
fn fraction(first: f64, part: impl Fn(usize) -> (f64, f64)) -> f64 {
    let apart = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut value = apart(first);
    let (mut c, mut d) = (value, 0.0);
    for step in 1..50 * STEPS {
        let (a, b) = part(step);
        d = 1.0 / apart(b + a * d);
        c = apart(b + a / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    value
}

/// The logarithm of the gamma function for values above 0: Stirling's series beyond 10, and the recurrence up to there.
fn ln_gamma(x: f64) -> f64 {
    // At most 10 factors below 10.
    let (mut x, mut factors) = (x, 1.0);
    while x < 10.0 {
        factors *= x;
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5))
        - 1.0 / (1680.0 * x.powi(7));
    (x - 0.5) * x.ln() - x + (2.0 * std::f64::consts::PI).ln() / 2.0 + series - factors.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_median_narrows_with_the_number_of_values() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        (1..=100).for_each(|value| histogram.record(value).unwrap());
        // The ranks of a binomial: 40 to 60 of 100.
        let (low, high) = of_median(&histogram);
        assert!((40..=41).contains(&low) && (60..=61).contains(&high), "{low} {high}");
        (0..99).for_each(|_| (1..=100).for_each(|value| histogram.record(value).unwrap()));
        let (low, high) = of_median(&histogram);
        assert!(low >= 49 && high <= 51, "{low} {high}");
        assert_eq!(of_median(&Histogram::new(3).unwrap()), (0, 0));
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let close = |value: f64, tabulated: f64| {
            assert!((value / tabulated - 1.0).abs() < 1e-4, "{value} {tabulated}")
        };
        // Chi squared (Abramowitz and Stegun 1964, table 26.8).
        for (freedom, p, tabulated) in
            [(2.0, 0.95, 5.99146), (2.0, 0.005, 0.0100251), (20.0, 0.995, 39.9968), (100.0, 0.005, 67.3276)]
        {
            close(2.0 * gamma(freedom / 2.0, p), tabulated);
        }
        close(gamma(1.0, 0.95), 20.0_f64.ln());
        close(gamma(10_000.0, 0.5), 9999.6667);
        // Student's t (table 26.10).
        for (freedom, p, tabulated) in
            [(1.0, 0.995, 63.657), (4.0, 0.995, 4.604), (10.0, 0.975, 2.228), (120.0, 0.9995, 3.373)]
        {
            assert!((student(freedom, p) - tabulated).abs() < 1e-3, "{freedom}");
        }
        assert_eq!(gamma(0.0, 0.9), 0.0);
    }

    #[test]
    fn quantiles_are_where_the_distribution_reaches_the_probability() {
        for shape in [0.3, 1.0, 1.5, 7.0, 33.0, 1e3, 1e5, 1e7] {
            for p in [1e-9, 1e-4, 0.025, 0.5, 0.975, 0.9999, 1.0 - 1e-9] {
                let (x, scale) = (gamma(shape, p), ln_gamma(shape));
                let around = [1.0 - 1e-9, 1.0 + 1e-9].map(|part| lower_gamma(shape, scale, part * x));
                assert!(around[0] <= p && p <= around[1], "{shape} {p} {x} {around:?}");
            }
        }
        for freedom in [1.0, 2.5, 10.0, 64.0, 1e4] {
            for p in [0.500_1, 0.9, 0.999_9, 1.0 - 1e-9] {
                let (t, beta) = (student(freedom, p), Beta::new(freedom / 2.0, 0.5));
                let around = [1.0 - 1e-6, 1.0 + 1e-6].map(|part: f64| {
                    let t = part * t;
                    1.0 - beta.at(freedom / (freedom + t * t)) / 2.0
                });
                assert!(around[0] <= p && p <= around[1], "{freedom} {p} {t} {around:?}");
            }
        }
        // No number in reach has this one.
        assert!(gamma(1.0, 1.0 + f64::EPSILON) >= 1e12);
    }

    #[test]
    fn few_values_of_a_distribution_are_needed() {
        let values = std::cell::Cell::new(0);
        let counted = |x: f64| {
            values.set(values.get() + 1);
            1.0 - (-x).exp()
        };
        for p in [0.025, 0.5, 0.999] {
            values.set(0);
            assert!((reached(counted, p, 2.0) / -(1.0 - p).ln() - 1.0).abs() < 1e-12);
            assert!(values.get() <= 16, "{p} {}", values.get());
        }
    }

    #[test]
    fn intervals_of_shares_are_those_of_the_tables() {
        // The rule of three is exact for none, and the others are in Clopper and Pearson's charts.
        for (part, all, low, high) in [
            (0, 100, 0.0, 1.0 - 0.05_f64.powf(0.01)),
            (100, 100, 0.05_f64.powf(0.01), 1.0),
            (1, 10, 0.00253, 0.44502),
            (10, 100, 0.04900, 0.17622),
            (0, 0, 0.0, 1.0),
        ] {
            let found = share(part, all);
            assert!((found.0 - low).abs() < 1e-4 && (found.1 - high).abs() < 1e-4, "{part} {all} {found:?}");
        }
        assert!((binomial(2, 10, 0.1) - 0.929_809).abs() < 1e-6);
    }
}
