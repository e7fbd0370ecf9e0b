//! Merges the records of the parts of a run into one, or returns the reason why they do not belong together.
//!
//! A part may have several records, one of each attempt: a batch system starts a job again whose node is gone. Of each soak, the merged
//! record has the attempt that comes first in this order:
//!
//! 1. one that came to its end, before one that was cut short ([`is_cut_short`](dlsoak_record::Measured::is_cut_short)),
//! 2. one that failed, before one that is undecided, before one that passed, so that no attempt hides a failure,
//! 3. one with more measured cycles,
//! 4. one of a run that began earlier.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use dlsoak_record::{Host, Partition, Run, Soak};

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
    /// A part lacks soaks of its share.
    #[error(
        "part {part} should have {expected} soaks in the suite's order, but {found} are in {files}. help: run this part again, with \
         --resume"
    )]
    Incomplete {
        /// The files of its attempts.
        files: String,
        /// Its number.
        part: u32,
        /// Soaks of the share.
        expected: usize,
        /// Soaks of the share that the records have.
        found: usize,
    },
    /// A part has a soak that its share does not have, or has it twice or out of order.
    #[error("{file} is part {part} of `{suite}`, and its soak `{soak}` is not the next one of that part")]
    Foreign {
        /// The file.
        file: String,
        /// Its number.
        part: u32,
        /// Name of the suite.
        suite: String,
        /// Name of the soak.
        soak: String,
    },
    /// Two attempts of one part soaked something else under one name.
    #[error(
        "{first} and {second} are attempts of one part, but soaked `{soak}` with different settings or builds. help: leave out the \
         older one"
    )]
    Attempts {
        /// Name of the soak.
        soak: String,
        /// The one file.
        first: String,
        /// The other file.
        second: String,
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
    let split = split(&parts)?;
    if split.is_some() {
        // RFC 3339 in UTC sorts as text.
        parts.sort_by_cached_key(|part| {
            (part.run.partition.as_ref().map_or(0, |share| share.part), part.run.started_at.clone())
        });
    }
    let watches: Vec<&Part> = parts.iter().filter(|part| part.run.watch.is_some()).collect();
    if let [one, other, ..] = watches[..] {
        return Err(MergeError::Watches(one.file.clone(), other.file.clone()));
    }
    let watch = watches.first().and_then(|part| part.run.watch.clone());
    let first = parts.first().ok_or(MergeError::Nothing)?;
    let (host, tool, schema) = (first.run.host.clone(), first.run.tool.clone(), first.run.schema.clone());
    let hosts_differ = parts.iter().any(|part| part.run.host != host);
    let started_at = parts.iter().map(|part| part.run.started_at.clone()).min().unwrap_or_default();
    let (soaks, passed) = match split {
        None => {
            check_names(&parts)?;
            let passed = parts.iter().all(|part| part.run.passed);
            (parts.into_iter().flat_map(|part| soaks(part, &host)).collect(), passed)
        }
        Some(split) => {
            let soaks = of_suite(&split, parts, &host)?;
            let passed = soaks.iter().all(|soak| soak.judged.gate.passed == Some(true));
            (soaks, passed)
        }
    };
    Ok(Merged {
        run: Run { schema, tool, started_at, passed, host, partition: None, soaks, watch },
        hosts_differ,
    })
}

/// The soaks of a part, each with its machine where that is not `host`.
fn soaks(part: Part, host: &Host) -> impl Iterator<Item = Soak> {
    let elsewhere = (part.run.host != *host).then_some(part.run.host);
    part.run.soaks.into_iter().map(move |mut soak| {
        soak.measured.host = soak.measured.host.or_else(|| elsewhere.clone());
        soak
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

/// Checks that all are parts of one split and none is missing, and returns the split; nothing, where none is a part.
fn split(parts: &[Part]) -> Result<Option<Partition>, MergeError> {
    let Some(first) = parts.first() else { return Ok(None) };
    let shares = |part: &Part| part.run.partition.clone().filter(|_| part.label.is_none());
    let Some(whole) = shares(first) else {
        return match parts.iter().find(|part| shares(part).is_some()) {
            Some(part) => Err(MergeError::Mixed(part.file.clone(), first.file.clone())),
            None => Ok(None),
        };
    };
    let named = |share: &Partition| format!("{}/{} of `{}`", share.part, share.of, share.suite);
    let mut numbers = BTreeSet::new();
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
        numbers.insert(share.part);
    }
    let missing = || (1..=whole.of).filter(|number| !numbers.contains(number));
    if missing().next().is_none() {
        return Ok(Some(whole));
    }
    let mut shown = missing().take(SHOWN).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    if missing().nth(SHOWN).is_some() {
        shown += ", ...";
    }
    Err(MergeError::Missing { of: whole.of, suite: whole.suite, missing: shown })
}

/// The soaks of a suite in its order, of each the attempt that comes first; `parts` are in the order in which they began.
fn of_suite(split: &Partition, parts: Vec<Part>, host: &Host) -> Result<Vec<Soak>, MergeError> {
    let place: BTreeMap<&str, usize> =
        split.soaks.iter().enumerate().map(|(place, soak)| (soak.name.as_str(), place)).collect();
    let mut files: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let mut kept: BTreeMap<usize, (String, Soak)> = BTreeMap::new();
    for part in parts {
        let file = part.file.clone();
        let number = part.run.partition.as_ref().map_or(0, |share| share.part);
        files.entry(number).or_default().push(file.clone());
        let mut next = 0;
        for soak in soaks(part, host) {
            let at = place.get(soak.name.as_str()).copied();
            let Some(at) = at.filter(|at| *at >= next && split.soaks[*at].part == number) else {
                let (suite, soak) = (split.suite.clone(), soak.measured.name);
                return Err(MergeError::Foreign { file, part: number, suite, soak });
            };
            next = at + 1;
            match kept.remove(&at) {
                Some((first, other)) if !is_same(&other, &soak) => {
                    return Err(MergeError::Attempts { soak: soak.measured.name, first, second: file });
                }
                Some((first, other)) if rank(&other) <= rank(&soak) => kept.insert(at, (first, other)),
                _ => kept.insert(at, (file.clone(), soak)),
            };
        }
    }
    for (part, files) in files {
        let of_part = |place: &usize| split.soaks[*place].part == part;
        let expected = (0..split.soaks.len()).filter(of_part).count();
        let found = kept.keys().filter(|place| of_part(place)).count();
        if found < expected {
            return Err(MergeError::Incomplete { files: files.join(", "), part, expected, found });
        }
    }
    Ok(kept.into_values().map(|(_, soak)| soak).collect())
}

/// Whether two attempts soaked the same.
fn is_same(one: &Soak, other: &Soak) -> bool {
    one.path == other.path && one.build_id == other.build_id && one.asked == other.asked
}

/// The smaller, the better; see the top of this file. Of attempts that are alike, the one that began first stays.
fn rank(soak: &Soak) -> (bool, u8, Reverse<u64>) {
    let result = match soak.judged.gate.passed {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    };
    (soak.is_cut_short(), result, Reverse(soak.cycles.completed))
}

/// Most numbers of missing parts in an error.
const SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::{Measured, OutcomeKind, SCHEMA, SplitSoak, Tool};

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
            soaks: (0..of)
                .cycle()
                .zip(SUITE)
                .map(|(part, name)| SplitSoak { name: name.to_owned(), part: part + 1 })
                .collect(),
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
        refused(vec![one(), one()], "missing: 2");
        refused(
            vec![one(), part("two", Some((2, 2)), &["b"])],
            "part 2 should have 2 soaks in the suite's order, but 1 are in two",
        );
        refused(vec![one(), part("two", Some((2, 2)), &["d", "b"])], "its soak `b` is not the next one");
        refused(vec![one(), part("two", Some((2, 2)), &["b", "c"])], "its soak `c` is not the next one");
        refused(vec![one(), part("two", Some((2, 2)), &["b", "d", "x"])], "its soak `x` is not the next one");
        let many = Part {
            run: Run {
                partition: part("", Some((1, 9)), &[])
                    .run
                    .partition
                    .map(|share| Partition { of: u32::MAX, ..share }),
                ..one().run
            },
            ..one()
        };
        refused(vec![many], "20, 21, ...");
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
    fn attempts_of_a_part_are_joined_soak_by_soak() {
        let one = || part("one", Some((1, 2)), &["a", "c", "e"]);
        let attempt = |file: &str, soaks: &[&str], edit: &dyn Fn(&mut Soak)| {
            let mut part = part(file, Some((2, 2)), soaks);
            part.run.soaks.iter_mut().rev().take(1).for_each(edit);
            part
        };
        let gate = |soak: &mut Soak, passed, cycles| {
            soak.judged.gate.passed = passed;
            soak.measured.cycles.completed = cycles;
        };
        let cut = |soak: &mut Soak| {
            gate(soak, Some(false), 9);
            soak.measured.outcome.kind = OutcomeKind::Interrupted;
        };
        let merged = |two: Part, three: Part| {
            let both = [[one(), two.clone(), three.clone()], [three, one(), two]];
            let [merged, other] = both.map(|parts| merge(parts.to_vec()).unwrap().run);
            assert_eq!(merged, other, "whatever the order of the files");
            assert_eq!(names(&merged), SUITE);
            merged
        };
        let last = |run: &Run| (run.soaks[3].judged.gate.passed, run.soaks[3].cycles.completed);
        // One that came to its end, whichever it is and whatever it lacks.
        let whole = attempt("three", &["b", "d"], &|soak| gate(soak, Some(true), 5));
        assert_eq!(last(&merged(attempt("two", &["b", "d"], &cut), whole.clone())), (Some(true), 5));
        let rest = attempt("three", &["d"], &|soak| gate(soak, Some(true), 5));
        assert_eq!(last(&merged(attempt("two", &["b", "d"], &cut), rest)), (Some(true), 5));
        let flagged = |soak: &mut Soak| {
            gate(soak, None, 9);
            soak.measured.interrupted = true;
        };
        assert_eq!(last(&merged(attempt("two", &["b", "d"], &flagged), whole.clone())), (Some(true), 5));
        // Of those, the one that failed, and then the one that is undecided.
        let failed = attempt("two", &["b", "d"], &|soak| gate(soak, Some(false), 1));
        assert_eq!(last(&merged(failed, whole.clone())), (Some(false), 1));
        let open = attempt("two", &["b", "d"], &|soak| gate(soak, None, 1));
        assert_eq!(last(&merged(open, whole.clone())), (None, 1));
        // Where all were cut short, it stays so.
        let longer = attempt("three", &["b", "d"], &|soak| {
            cut(soak);
            gate(soak, Some(false), 10);
        });
        let run = merged(attempt("two", &["b", "d"], &cut), longer);
        assert!(run.soaks[3].is_cut_short() && last(&run) == (Some(false), 10) && !run.passed);

        let mut other = whole.clone();
        other.run.soaks[0].measured.build_id = Some("1".to_owned());
        let error = merge(vec![one(), whole, other]).unwrap_err().to_string();
        assert!(error.contains("soaked `b` with different settings or builds"), "{error}");
        let none = |file| part(file, Some((2, 2)), &["b"]);
        let error = merge(vec![one(), none("two"), none("three")]).unwrap_err().to_string();
        assert!(error.contains("1 are in three, two"), "{error}");
    }

    #[test]
    fn labels_distinguish_soaks_of_one_name() {
        let labelled = |label: &str| Part { label: Some(label.to_owned()), ..part(label, None, &["a", "b"]) };
        let merged = merge(vec![labelled("go1.26"), labelled("go1.27")]).unwrap();
        assert_eq!(names(&merged.run), ["go1.26:a", "go1.26:b", "go1.27:a", "go1.27:b"]);
    }
}
