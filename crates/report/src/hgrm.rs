//! `.hgrm`: the percentile distribution of each phase as text, in the form of HdrHistogram's
//! `outputPercentileDistribution`, which its plotters read. Values are nanoseconds.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use dlsoak_record::Run;

use super::histogram::{decode, phases, plain_names};

/// Steps for each halving of the distance to 100 %, as the Java implementation has by default.
const TICKS: u32 = 5;

/// A file for each phase of each soak: its name and text.
pub(super) fn render(run: &Run) -> Vec<(String, String)> {
    let names = plain_names(&run.soaks);
    let of_soak = |(soak, name): (&dlsoak_record::Soak, String)| {
        let files = phases(&soak.latency_ns)
            .filter_map(|(phase, latency)| Some((format!("{name}.{phase}.hgrm"), text(&decode(latency)?))));
        files.collect::<Vec<_>>()
    };
    run.soaks.iter().zip(names).flat_map(of_soak).collect()
}

/// One distribution.
fn text(histogram: &Histogram<u64>) -> String {
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut seen = 0;
    for step in histogram.iter_quantiles(TICKS) {
        seen += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to() as f64, step.quantile_iterated_to());
        let _ = write!(out, "{value:>12.3} {quantile:>14.12} {seen:>10}");
        // The last one has no finite figure here, and the original leaves it out.
        let _ =
            if quantile < 1.0 { writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile)) } else { writeln!(out) };
    }
    let sub_buckets = 2_u64 * 10_u64.pow(u32::from(histogram.sigfig()));
    let sub_buckets = sub_buckets.next_power_of_two();
    let (mut reach, mut buckets) = (sub_buckets, 1);
    while reach <= histogram.high() {
        (reach, buckets) = (reach.saturating_mul(2), buckets + 1);
    }
    let _ = writeln!(
        out,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        histogram.mean(),
        histogram.stdev()
    );
    let _ = writeln!(
        out,
        "#[Max     = {:>12.3}, Total count    = {:>12}]",
        histogram.max() as f64,
        histogram.len()
    );
    let _ = writeln!(out, "#[Buckets = {buckets:>12}, SubBuckets     = {sub_buckets:>12}]");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_that_of_the_original() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        for value in [1_000, 2_000, 2_000, 50_000] {
            histogram.record(value).unwrap();
        }
        insta::assert_snapshot!(text(&histogram));
    }
}
