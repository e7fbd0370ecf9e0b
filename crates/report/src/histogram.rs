//! Histograms of a record by name, for the formats of files.

pub(super) use dlsoak_record::histogram::decode;
use dlsoak_record::{Latencies, Latency, Soak};

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
    use super::*;
    use dlsoak_record::sample;

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
