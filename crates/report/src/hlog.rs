//! `latency.hlog`: the histograms of all soaks as an HdrHistogram interval log, one tagged line for each phase, which
//! HistogramLogAnalyzer and its like read. The tag is `SOAK:PHASE`, the interval the active time of the soak; values
//! are nanoseconds.

use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use dlsoak_record::Run;

use super::Error;
use super::histogram::{decode, phases, plain_names};

/// Renders the log.
///
/// # Errors
///
/// When a histogram can't be written, which none that was read has cause for.
pub(super) fn render(run: &Run) -> Result<Vec<u8>, Error> {
    let failed = |error: String| Error::Export(error);
    let started = run.started_at.parse::<jiff::Timestamp>().map_or(SystemTime::UNIX_EPOCH, SystemTime::from);
    let mut out = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    // Of the maximum that stands in clear text beside each histogram; 1 leaves nanoseconds.
    builder.with_start_time(started).with_base_time(started).with_max_value_divisor(1.0);
    builder.add_comment("[Latency of each phase in nanoseconds, written by dlsoak]");
    let mut log = builder.begin_log_with(&mut out, &mut serializer).map_err(|e| failed(e.to_string()))?;
    let mut from = Duration::ZERO;
    for (soak, name) in run.soaks.iter().zip(plain_names(&run.soaks)) {
        let length = Duration::try_from_secs_f64(soak.seconds.max(0.0)).unwrap_or_default();
        for (phase, latency) in phases(&soak.latency_ns) {
            let Some(histogram) = decode(latency) else { continue };
            let tag = format!("{name}:{phase}");
            log.write_histogram(&histogram, from, length, Tag::new(&tag))
                .map_err(|e| failed(format!("{e:?}")))?;
        }
        // Soaks run one after the other, and a reader wants its intervals in order.
        from += length;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use base64::Engine as _;
    use dlsoak_record::sample;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;

    #[test]
    fn a_parser_reads_back_what_was_recorded() {
        let mut run = sample::run(3);
        run.soaks.push(sample::load_failed());
        run.soaks[2].name = "a, b c".to_owned();
        let log = render(&run).unwrap();
        let mut tags = Vec::new();
        for entry in IntervalLogIterator::new(&log) {
            let LogEntry::Interval(interval) = entry.unwrap() else { continue };
            let bytes =
                base64::engine::general_purpose::STANDARD.decode(interval.encoded_histogram()).unwrap();
            let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            if tags.is_empty() {
                let open = run.soaks[0].latency_ns.open.as_ref().unwrap();
                assert_eq!((histogram.len(), histogram.max()), (open.count, open.max));
                assert_eq!(histogram.value_at_quantile(0.99), open.p99);
            }
            tags.push(interval.tag().unwrap().as_str().to_owned());
        }
        assert_eq!(tags.len(), 15);
        assert_eq!((tags[0].as_str(), tags[14].as_str()), ("c-clean:open", "a__b_c:cycle"));
    }
}
