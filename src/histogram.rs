//! Reads the histograms that a record holds as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use crate::record::Latency;

/// The histogram of a latency in nanoseconds; `None` where nothing was recorded or it can't be read.
pub(crate) fn decode(latency: &Latency) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(latency.hdr.trim()).ok()?;
    let histogram = Deserializer::new().deserialize::<u64, _>(&mut bytes.as_slice()).ok()?;
    (!histogram.is_empty()).then_some(histogram)
}
