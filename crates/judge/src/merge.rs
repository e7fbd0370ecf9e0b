//! Merges the records of the parts of a run into one, or returns the reason why they do not belong together.

use std::collections::BTreeMap;

use dlsoak_record::share_of;
use dlsoak_record::{Partition, Run, Soak};

/// A record to merge, with the file that it came from and an optional label for its soaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The file, for errors.
    pub file: String,
    /// Prefix for the names of its soaks.
    pub label: Option<String>,
    /// The record.
    pub run: Run,
}

/// The merged parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The merged record.
    pub run: Run,
    /// Whether the parts ran on machines that differ. [`Measured::host`](dlsoak_record::Measured::host) then names the machine of a soak.
    pub hosts_differ: bool,
}

/// Why parts do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// No part was given.
    #[error("no part was given")]
    Nothing,
    /// Two versions of dlsoak wrote them, which may measure and judge differently.
    #[error("dlsoak {1} wrote {0}, and dlsoak {3} wrote {2}. help: run all parts with one version")]
    Versions(String, String, String, String),
    /// They are parts of different suites, or of different splits.
    #[error("{0} is part {1}, but {2} is part {3}, so they are not parts of one suite")]
    Suites(String, String, String, String),
    /// One is a part and another is not.
    #[error("{0} is a part of a suite (--partition), but {1} is not")]
    Mixed(String, String),
    /// The same soak is in two parts.
    #[error("both {first} and {second} have a soak `{soak}`{hint}")]
    Overlap {
        /// Name of the soak.
        soak: String,
        /// The one file.
        first: String,
        /// The other file.
        second: String,
        /// What to do.
        hint: &'static str,
    },
    /// Parts are missing.
    #[error("of the {of} parts of suite `{suite}`, these are missing: {missing}")]
    Missing {
        /// How many there should be.
        of: u32,
        /// Name of the suite.
        suite: String,
        /// Numbers of those that are missing.
        missing: String,
    },
    /// Two parts have a watched host each, and a record has one.
    #[error("{0} and {1} are records of two watches, and a record holds one. help: keep them apart")]
    Watches(String, String),
    /// A part lacks soaks of its share, or has others.
    #[error(
        "{file} is part {part} and should have {expected} soaks in the suite's order, but has {found}. help: run this part again"
    )]
    Incomplete {
        /// The file.
        file: String,
        /// Its number.
        part: u32,
        /// Soaks of the share.
        expected: usize,
        /// Soaks in the record.
        found: usize,
    },
}

/// Merges parts. Soaks of a partitioned suite get the order of the suite, and others that of the files.
///
/// # Errors
/// When the parts do not belong together; see [`MergeError`].
pub fn merge(mut parts: Vec<Part>) -> Result<Merged, MergeError> {
    for part in &mut parts {
        if let Some(label) = &part.label {
            part.run.soaks.iter_mut().for_each(|soak| soak.measured.name = format!("{label}:{}", soak.name));
        }
    }
    check_versions(&parts)?;
    check_names(&parts)?;
    let order = check_shares(&parts)?;
    if order.is_some() {
        parts.sort_by_key(|part| part.run.partition.as_ref().map_or(0, |share| share.part));
    }
    let watches: Vec<&Part> = parts.iter().filter(|part| part.run.watch.is_some()).collect();
    if let [one, other, ..] = watches[..] {
        return Err(MergeError::Watches(one.file.clone(), other.file.clone()));
    }
    let watch = watches.first().and_then(|part| part.run.watch.clone());
    let first = parts.first().ok_or(MergeError::Nothing)?;
    let (host, tool, schema) = (first.run.host.clone(), first.run.tool.clone(), first.run.schema.clone());
    let hosts_differ = parts.iter().any(|part| part.run.host != host);
    let passed = parts.iter().all(|part| part.run.passed);
    // RFC 3339 in UTC sorts as text.
    let started_at = parts.iter().map(|part| part.run.started_at.clone()).min().unwrap_or_default();
    let mut soaks: Vec<Soak> = Vec::new();
    for part in parts {
        let elsewhere = (part.run.host != host).then_some(part.run.host);
        soaks.extend(part.run.soaks.into_iter().map(|mut soak| {
            soak.measured.host = soak.measured.host.or_else(|| elsewhere.clone());
            soak
        }));
    }
    if let Some(order) = order {
        let place: BTreeMap<&str, usize> =
            order.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        soaks.sort_by_key(|soak| place.get(soak.name.as_str()).copied());
    }
    Ok(Merged {
        run: Run { schema, tool, started_at, passed, host, partition: None, soaks, watch },
        hosts_differ,
    })
}

fn check_versions(parts: &[Part]) -> Result<(), MergeError> {
    for pair in parts.windows(2) {
        if let [a, b] = pair
            && (a.run.tool != b.run.tool || a.run.schema != b.run.schema)
        {
            let version = |part: &Part| part.run.tool.version.clone();
            return Err(MergeError::Versions(a.file.clone(), version(a), b.file.clone(), version(b)));
        }
    }
    Ok(())
}

fn check_names(parts: &[Part]) -> Result<(), MergeError> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for part in parts {
        for soak in &part.run.soaks {
            if let Some(first) = seen.insert(&soak.name, &part.file) {
                let shares = part.run.partition.is_some();
                return Err(MergeError::Overlap {
                    soak: soak.name.clone(),
                    first: first.to_owned(),
                    second: part.file.clone(),
                    hint: if shares { "" } else { ". help: use LABEL=FILE to prefix the names" },
                });
            }
        }
    }
    Ok(())
}

/// Checks that all parts of a partitioned suite are present and complete, and returns the suite's order.
fn check_shares(parts: &[Part]) -> Result<Option<Vec<String>>, MergeError> {
    let Some(first) = parts.first() else { return Ok(None) };
    let shares = |part: &Part| part.run.partition.clone().filter(|_| part.label.is_none());
    let Some(whole) = shares(first) else {
        return match parts.iter().find(|part| shares(part).is_some()) {
            Some(part) => Err(MergeError::Mixed(part.file.clone(), first.file.clone())),
            None => Ok(None),
        };
    };
    let named = |share: &Partition| format!("{}/{} of `{}`", share.part, share.of, share.suite);
    let mut numbers = Vec::new();
    for part in parts {
        let Some(share) = shares(part) else {
            return Err(MergeError::Mixed(first.file.clone(), part.file.clone()));
        };
        if (share.of, &share.suite, &share.soaks) != (whole.of, &whole.suite, &whole.soaks) {
            return Err(MergeError::Suites(
                first.file.clone(),
                named(&whole),
                part.file.clone(),
                named(&share),
            ));
        }
        let (of, number) = (share.of as usize, share.part as usize);
        let expected: Vec<&String> = share
            .soaks
            .iter()
            .enumerate()
            .filter(|(i, _)| share_of(*i, of) == number)
            .map(|(_, n)| n)
            .collect();
        let found: Vec<&String> = part.run.soaks.iter().map(|soak| &soak.name).collect();
        if expected != found {
            let (expected, found) = (expected.len(), found.len());
            return Err(MergeError::Incomplete {
                file: part.file.clone(),
                part: share.part,
                expected,
                found,
            });
        }
        numbers.push(share.part);
    }
    let missing: Vec<String> =
        (1..=whole.of).filter(|number| !numbers.contains(number)).map(|number| number.to_string()).collect();
    if missing.is_empty() {
        Ok(Some(whole.soaks))
    } else {
        Err(MergeError::Missing { of: whole.of, suite: whole.suite, missing: missing.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::{Host, Measured, SCHEMA, Tool};

    const SUITE: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn part(file: &str, share: Option<(u32, u32)>, soaks: &[&str]) -> Part {
        let soak = |name: &&str| Soak {
            measured: Measured { name: (*name).to_owned(), ..Measured::default() },
            ..Soak::default()
        };
        let partition = share.map(|(part, of)| Partition {
            part,
            of,
            suite: "s".to_owned(),
            soaks: SUITE.map(str::to_owned).to_vec(),
        });
        let host = Host {
            kernel: "6".to_owned(),
            libc: "glibc 2.36".to_owned(),
            machine: "x86_64".to_owned(),
            cpus: 2,
            page_size: 4096,
            thp: "never".to_owned(),
        };
        let run = Run {
            schema: SCHEMA.to_owned(),
            tool: Tool { version: "1".to_owned() },
            started_at: format!("2026-01-0{}", 9 - file.len()),
            passed: true,
            host,
            partition,
            soaks: soaks.iter().map(soak).collect(),
            watch: None,
        };
        Part { file: file.to_owned(), label: None, run }
    }

    fn names(run: &Run) -> Vec<&str> {
        run.soaks.iter().map(|soak| soak.name.as_str()).collect()
    }

    #[test]
    fn parts_are_merged_in_the_order_of_the_suite() {
        let mut parts =
            vec![part("two", Some((2, 2)), &["b", "d"]), part("one1", Some((1, 2)), &["a", "c", "e"])];
        parts[0].run.host.cpus = 64;
        parts[0].run.passed = false;
        let merged = merge(parts).unwrap();
        assert_eq!(names(&merged.run), SUITE);
        assert!(!merged.run.passed && merged.run.partition.is_none());
        assert_eq!(merged.run.started_at, "2026-01-05");
        let elsewhere: Vec<_> = merged.run.soaks.iter().map(|s| s.host.as_ref().map(|h| h.cpus)).collect();
        assert_eq!(elsewhere, [None, Some(64), None, Some(64), None]);
        assert!(merged.hosts_differ);
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let one = || part("one", Some((1, 2)), &["a", "c", "e"]);
        let two = || part("two", Some((2, 2)), &["b", "d"]);
        let refused = |parts: Vec<Part>, text: &str| {
            let error = merge(parts).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        refused(vec![], "no part");
        refused(vec![one()], "missing: 2");
        refused(vec![one(), one()], "both one and one have a soak `a`");
        refused(vec![one(), part("two", Some((2, 2)), &["b"])], "two is part 2 and should have 2 soaks");
        refused(
            vec![one(), part("plain", None, &["x"])],
            "one is a part of a suite (--partition), but plain",
        );
        refused(vec![part("plain", None, &["x"]), one()], "one is a part");
        refused(vec![one(), part("odd", Some((2, 3)), &["b"])], "not parts of one suite");
        let mut other = two();
        other.run.tool.version = "2".to_owned();
        refused(vec![one(), other], "dlsoak 1 wrote one, and dlsoak 2 wrote two");
        let mut other = two();
        if let Some(share) = &mut other.run.partition {
            share.soaks.pop();
        }
        refused(vec![one(), other], "not parts of one suite");
        refused(vec![part("x", None, &["a"]), part("y", None, &["a"])], "LABEL=FILE");
        let watches = |file: &str| {
            let mut part = part(file, None, &[]);
            part.run.watch = Some(dlsoak_record::Watch::default());
            part
        };
        refused(
            vec![watches("x"), part("y", None, &["a"]), watches("z")],
            "x and z are records of two watches",
        );
    }

    #[test]
    fn labels_distinguish_soaks_of_one_name() {
        let labelled = |label: &str| Part { label: Some(label.to_owned()), ..part(label, None, &["a", "b"]) };
        let merged = merge(vec![labelled("go1.26"), labelled("go1.27")]).unwrap();
        assert_eq!(names(&merged.run), ["go1.26:a", "go1.26:b", "go1.27:a", "go1.27:b"]);
    }
}
