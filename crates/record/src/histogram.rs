//! Histograms to and from the text that a record holds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

use crate::Latency;

/// The histogram of a latency in nanoseconds; `None` where nothing was recorded or it can't be read.
pub fn decode(latency: &Latency) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(latency.hdr.trim()).ok()?;
    let histogram = Deserializer::new().deserialize::<u64, _>(&mut bytes.as_slice()).ok()?;
    (!histogram.is_empty()).then_some(histogram)
}

/// What a record holds of a histogram in nanoseconds; `None` where nothing was recorded.
pub fn encode(histogram: &Histogram<u64>) -> Option<Latency> {
    if histogram.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).ok()?;
    let at = |quantile| histogram.value_at_quantile(quantile);
    Some(Latency {
        count: histogram.len(),
        min: histogram.min(),
        mean: histogram.mean(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: histogram.max(),
        hdr: STANDARD.encode(bytes),
    })
}
