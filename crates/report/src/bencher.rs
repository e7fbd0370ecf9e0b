//! `bencher.json`, for continuous benchmarking: what each library grows by, how long its phases take and how often it was loaded, as metrics
//! with intervals (Bencher Metric Format, <https://bencher.dev/docs/reference/bencher-metric-format>).

use dlsoak_judge::interval_of_median;
use dlsoak_record::{Growth, Latencies, Run};
use serde_json::{Map, Value, json};

use super::Error;
use super::histogram::{decode, phases};

/// Renders the file: a benchmark for each soak and each library of a watch that has something measured.
///
/// # Errors
///
/// When JSON can't be written, which no record gives cause for.
pub(super) fn render(run: &Run) -> Result<Vec<u8>, Error> {
    let mut benchmarks = Map::new();
    for soak in &run.soaks {
        let mut measures = Map::new();
        // Where no cycle ran, there is no rate.
        if soak.cycles.completed > 0 {
            measures.extend(grown(&soak.judged.growth, "cycle"));
            measures.extend(timed(&soak.latency_ns));
            measures.extend(metric("loads-per-cycle".to_owned(), soak.unload.loads_per_cycle, None));
        }
        benchmarks.insert(soak.name.clone(), measures.into());
    }
    for library in run.watch.iter().flat_map(|watch| &watch.libraries) {
        let mut measures: Map<String, Value> = grown(&library.growth, "load").collect();
        measures.extend(metric("loads".to_owned(), library.loads as f64, None));
        benchmarks.insert(library.name().to_owned(), measures.into());
    }
    benchmarks.retain(|_, measures| measures.as_object().is_some_and(|measures| !measures.is_empty()));
    let mut text = serde_json::to_vec_pretty(&benchmarks)?;
    text.push(b'\n');
    Ok(text)
}

/// Growth of each metric, as `heap-growth-per-cycle`.
fn grown<'a>(growth: &'a [Growth], per: &'a str) -> impl Iterator<Item = (String, Value)> + 'a {
    growth.iter().filter_map(move |growth| {
        let name = format!("{}-growth-per-{per}", growth.metric.name());
        metric(name, growth.per_cycle, Some((growth.low, growth.high)))
    })
}

/// The median of each phase in nanoseconds, as `open-latency`. A phase in which nothing happened times only the clock.
fn timed(latencies: &Latencies) -> impl Iterator<Item = (String, Value)> + '_ {
    phases(latencies).filter_map(|(phase, latency)| {
        let histogram = decode(latency).filter(|histogram| histogram.max() > 0)?;
        let (low, high) = interval_of_median(&histogram);
        metric(format!("{phase}-latency"), latency.p50 as f64, Some((low as f64, high as f64)))
    })
}

/// One figure; `None` where it is not a number that JSON could have. A bound that is none is left out.
fn metric(name: String, value: f64, interval: Option<(f64, f64)>) -> Option<(String, Value)> {
    let mut metric = json!({ "value": value.is_finite().then_some(value)? });
    for (key, bound) in
        interval.into_iter().flat_map(|(low, high)| [("lower_value", low), ("upper_value", high)])
    {
        if bound.is_finite() {
            metric[key] = json!(bound);
        }
    }
    Some((name, metric))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;

    fn made(run: &Run) -> Value {
        serde_json::from_slice(&render(run).unwrap()).unwrap()
    }

    #[test]
    fn each_library_is_a_benchmark_with_intervals() {
        let mut run = sample::run(3);
        run.soaks.push(sample::load_failed());
        run.soaks[1].judged.growth[1].high = f64::INFINITY;
        let bencher = made(&run);
        let benchmarks = bencher.as_object().unwrap();
        // Of what was not loaded there is nothing.
        assert_eq!(benchmarks.len(), 3);
        let leak = &bencher[&run.soaks[1].name];
        let heap = &leak["heap-growth-per-cycle"];
        let growth = &run.soaks[1].judged.growth[0];
        assert_eq!(
            (heap["value"].as_f64(), heap["lower_value"].as_f64()),
            (Some(growth.per_cycle), Some(growth.low))
        );
        assert!(leak["rss-growth-per-cycle"].get("upper_value").is_none());
        assert_eq!(leak["loads-per-cycle"], json!({ "value": 1.0 }));
        let open = &leak["open-latency"];
        let [low, median, high] =
            ["lower_value", "value", "upper_value"].map(|key| open[key].as_f64().unwrap());
        assert!(low <= median && median <= high && low < high, "{open}");
    }

    #[test]
    fn a_watched_library_has_figures_per_load() {
        let bencher = made(&sample::watched());
        assert_eq!(bencher["leaking.so"]["heap-growth-per-load"]["value"], 1008.0);
        assert_eq!(bencher["leaking.so"]["loads"]["value"], 13.0);
    }

    #[test]
    fn names_are_short_enough_for_its_readers() {
        let bencher = made(&sample::run(8));
        let measures =
            bencher.as_object().unwrap().values().flat_map(|measures| measures.as_object().unwrap().keys());
        assert!(measures.into_iter().all(|name| name.len() <= 64));
    }
}
