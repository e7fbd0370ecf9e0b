//! `dlsoak compare` reports what changed and nothing else. No time is measured: the slower run is a record whose latencies were
//! multiplied.

use std::path::{Path, PathBuf};

use dlsoak::record::histogram::{decode, encode};
use hdrhistogram::Histogram;

use crate::support::{dlsoak, fixture, read_record};

/// A suite that soaks these fixtures under these names.
fn suite(dir: &Path, libraries: &[(&str, &str)]) -> PathBuf {
    let mut text = "[suite]\nname = 'pair'\n[defaults]\ncycles = 4000\n".to_owned();
    for (name, of) in libraries {
        let call = if of.starts_with("c-work") { "work" } else { "fibonacci(20)" };
        let path = fixture(of);
        text += &format!("[[library]]\nname = '{name}'\npath = '{}'\ncall = '{call}'\n", path.display());
    }
    let path = dir.join("pair.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Runs a suite and returns its exit code and record.
fn run(libraries: &[(&str, &str)], dir: &Path, args: &[&str]) -> (i32, PathBuf, String) {
    std::fs::create_dir_all(dir).unwrap();
    let out = dlsoak()
        .arg("run")
        .arg(suite(dir, libraries))
        .args(args)
        .args(["--force", "-o"])
        .arg(dir)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.code().unwrap_or(-1), dir.join("record.json"), text)
}

fn compare(args: &[&str], records: &[&PathBuf]) -> (i32, String) {
    let out = dlsoak().arg("compare").args(args).args(records).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    (
        out.status.code().unwrap_or(-1),
        if text.is_empty() { String::from_utf8(out.stderr).unwrap() } else { text },
    )
}

/// Kinds of change by library, of the one run that was compared; of those that `keep` wants.
fn changes(records: &[&PathBuf], keep: impl Fn(&str) -> bool) -> Vec<(String, Vec<String>)> {
    let (code, text) = compare(&["--json"], records);
    assert_eq!(code, 0, "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let soaks = json["others"][0]["soaks"].as_array().unwrap().clone();
    assert_eq!(soaks.len(), 3);
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let kinds = |soak: &serde_json::Value| -> Vec<String> {
        let kinds = soak["changes"].as_array().unwrap().iter().map(|change| word(&change["kind"]));
        kinds.filter(|kind| keep(kind)).collect()
    };
    soaks.iter().map(|s| (word(&s["name"]), kinds(s))).filter(|(_, kinds)| !kinds.is_empty()).collect()
}

/// How long phases take differs on a busy machine between two runs of one library; `cargo xtask pairs` counts how often.
fn untimed(kind: &str) -> bool {
    kind != "latency"
}

const BEFORE: [(&str, &str); 3] = [("plugin", "c-clean"), ("worker", "c-work"), ("other", "go-clean")];

/// The record of the same run, had each call of `library` taken 1.3 times as long.
fn slower(record: &Path, library: &str, dir: &Path) -> PathBuf {
    let mut run = read_record(record.parent().unwrap()).unwrap();
    let soak = run.soaks.iter_mut().find(|soak| soak.name == library).unwrap();
    let latency = soak.measured.latency_ns.call.as_mut().unwrap();
    let before = decode(latency).unwrap();
    let mut after = Histogram::<u64>::new_from(&before);
    for bucket in before.iter_recorded() {
        let longer = bucket.value_iterated_to() * 13 / 10;
        after.saturating_record_n(longer, bucket.count_at_value());
    }
    *latency = encode(&after).unwrap();
    std::fs::create_dir_all(dir).unwrap();
    let path = dir.join("record.json");
    std::fs::write(&path, serde_json::to_vec(&run).unwrap()).unwrap();
    path
}

#[test]
fn what_changed_is_named_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    let record = |name: &str, libraries: &[(&str, &str)]| run(libraries, &place(name), &[]).1;
    let before = record("before", &BEFORE);
    assert_eq!(changes(&[&before, &record("again", &BEFORE)], untimed), []);
    let leak = record("leak", &[("plugin", "c-leak-constructor"), BEFORE[1], BEFORE[2]]);
    let leaks = [("plugin".to_owned(), vec!["verdict".to_owned(), "growth".to_owned()])];
    assert_eq!(changes(&[&before, &leak], untimed), leaks);
    assert_eq!(changes(&[&leak, &before], untimed), leaks);
    let slow = slower(&before, "worker", &place("slow"));
    assert_eq!(changes(&[&before, &slow], |_| true), [("worker".to_owned(), vec!["latency".to_owned()])]);

    // The files, with charts.
    let out = dir.path().join("out");
    let (code, _) = compare(&["-o", out.to_str().unwrap()], &[&before, &leak, &slow]);
    assert_eq!(code, 0);
    let json = std::fs::read(out.join("compare.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let soak = |run: usize, name: &str| -> serde_json::Value {
        let soaks = json["others"][run]["soaks"].as_array().unwrap();
        soaks.iter().find(|soak| soak["name"] == name).unwrap()["changes"].clone()
    };
    let growth = &soak(0, "plugin")[1];
    assert_eq!((&growth["metric"], &growth["after"]), (&"heap".into(), &32.0.into()), "{growth:#}");
    let latency = &soak(1, "worker")[0];
    assert_eq!((&latency["phase"], &latency["worse"]), (&"call".into(), &true.into()), "{latency:#}");
    assert_eq!(json["languages"][0]["calls"], serde_json::json!(["fibonacci(20)"]), "{json:#}");
    for file in ["compare.md", "compare.json", "memory.svg", "latency.png", "languages.svg"] {
        assert!(std::fs::metadata(out.join(file)).unwrap().len() > 500, "{file}");
    }
    let limit = ["--max-leak-increase", "8B/cycle"];
    assert_eq!(compare(&limit, &[&before, &leak]).0, 1);
    assert_eq!(compare(&["--max-leak-increase", "1MB/cycle"], &[&before, &leak]).0, 0);
    assert_eq!(compare(&["--max-p99-increase", "2000%"], &[&before, &slow]).0, 0);
}

#[test]
fn runs_that_cannot_be_compared_as_they_stand_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let record = |name: &str, args: &[&str]| {
        let libraries = [("plugin", "c-clean"), (name, "cpp-clean")];
        run(&libraries, &dir.path().join(name), args).1
    };
    let (a, b) =
        (record("a", &["-n", "200"]), record("b", &["-n", "300", "--flags", "lazy", "--env", "A=b"]));
    let (code, text) = compare(&["--json"], &[&a, &b]);
    assert_eq!(code, 0);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let soaks = ["plugin", "a"];
    assert_eq!(
        json["others"][0]["differences"],
        serde_json::json!([
            {"kind": "setting", "setting": "cycles", "before": 200, "after": 300, "soaks": soaks},
            {"kind": "setting", "setting": "env", "before": {}, "after": {"A": "b"}, "soaks": soaks},
            {"kind": "setting", "setting": "flags", "before": "now,local", "after": "lazy,local", "soaks": soaks},
        ])
    );
    let (code, text) = compare(&[], &[&a, &dir.path().join("none.json")]);
    assert!(code == 2 && text.contains("none.json"), "{code} {text}");
}

#[test]
fn a_baseline_gates_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let place = ["--baselines", kept.to_str().unwrap()];
    let soak = |name: &str, library: &str, args: &[&str]| {
        let args = [&place[..], &["--max-leak-rate", "1MB/cycle"], args].concat();
        let (code, record, text) = run(&[("plugin", library)], &dir.path().join(name), &args);
        (code, read_record(record.parent().unwrap()).ok(), text)
    };
    let (code, _, text) = soak("early", "c-clean", &["--baseline", "main"]);
    assert!(
        code == 2 && text.contains("no baseline `main`") && text.contains("--save-baseline main"),
        "{text}"
    );
    let (code, _, text) = soak("save", "c-clean", &["--save-baseline", "main"]);
    assert!(code == 0 && kept.join("main.json").is_file(), "{text}");
    let limits = ["--baseline", "main", "--max-leak-increase", "16B/cycle"];
    let (code, record, text) = soak("same", "c-clean", &limits);
    assert_eq!(code, 0, "{text}");
    let gate = &record.unwrap().soaks[0].judged.gate;
    let rule = gate.rules.iter().find(|rule| rule.name == dlsoak::record::RuleName::MaxLeakIncrease).unwrap();
    assert_eq!((rule.passed, gate.passed), (Some(true), Some(true)));
    let (code, record, text) = soak("leak", "c-leak-constructor", &limits);
    assert!(code == 1 && text.contains("worse than the baseline `main`"), "{text}");
    assert_eq!(record.unwrap().soaks[0].judged.gate.passed, Some(false));
    // What the baseline does not know passes, with a note.
    let new = run(&[("new", "c-clean")], &dir.path().join("new"), &[&place[..], &limits].concat());
    let record = read_record(new.1.parent().unwrap()).unwrap();
    assert!(
        new.0 == 0 && crate::support::has(&record.soaks[0], dlsoak::record::Code::BaselineMissing),
        "{}",
        new.2
    );
    let (code, _, text) = soak("bad", "c-clean", &["--save-baseline", "../x"]);
    assert!(code == 2 && text.contains("a name can't contain `/`"), "{text}");
}
