//! Histograms as a record holds them, read back.

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use crate::record::{Latencies, Latency, Soak};

/// The histogram of a latency; none where nothing was recorded or it can't be read.
pub(super) fn decode(latency: &Latency) -> Option<Histogram<u64>> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(latency.hdr.trim()).ok()?;
    let histogram = Deserializer::new().deserialize::<u64, _>(&mut bytes.as_slice()).ok()?;
    (!histogram.is_empty()).then_some(histogram)
}

/// The phases that a record has, by name.
pub(super) fn phases(latencies: &Latencies) -> impl Iterator<Item = (&'static str, &Latency)> {
    let all = [
        ("open", &latencies.open),
        ("symbol", &latencies.symbol),
        ("call", &latencies.call),
        ("close", &latencies.close),
        ("cycle", &latencies.cycle),
    ];
    all.into_iter().filter_map(|(name, latency)| Some((name, latency.as_ref()?)))
}

/// Names of the soaks that can be parts of a file's name and tags of a log: letters, digits, dots, dashes and
/// underscores, and no two alike.
pub(super) fn plain_names(soaks: &[Soak]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(soaks.len());
    for (index, soak) in soaks.iter().enumerate() {
        let harmless = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let mut name: String = soak.name.chars().take(80).map(harmless).collect();
        if name.is_empty() || name.starts_with(['.', '-']) {
            name.insert(0, '_');
        }
        // Case does not tell files apart on every file system.
        if names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            name = format!("{name}-{}", index + 1);
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn names_are_harmless_and_differ() {
        let mut soaks = sample::run(5).soaks;
        for (soak, name) in soaks.iter_mut().zip(["a", "A", "../b,c\n", "", "\u{65e5}"]) {
            soak.name = name.to_owned();
        }
        assert_eq!(
            plain_names(&soaks),
            ["a", "A-2", "_../b,c\n".replace(['/', ',', '\n'], "_").as_str(), "_", "_-5"]
        );
    }
}
