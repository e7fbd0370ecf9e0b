//! A matrix in a suite: each combination is a soak of its own, which shares, baselines and repetitions find by its name.

use std::path::Path;
use std::process::Command;

use dlsoak::record::{CallFrom, Run};

use crate::support::{dlsoak, fixture, read_record};

/// Two variables by two values, on a library that reads one of them.
fn suite(dir: &Path) -> String {
    let path = dir.join("dlsoak.toml");
    let text = format!(
        r#"
        [defaults]
        cycles = 200
        call = "fibonacci(5)"
        allow-pinned = "Go is never unloaded"
        [[library]]
        path = {:?}
        matrix = {{ env.GODEBUG = ["", "asyncpreemptoff=1"], call-from = ["main", "worker"] }}
        "#,
        fixture("go-clean")
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs with these arguments and reads the record.
fn recorded(dir: &Path, args: &[&str]) -> Run {
    let output = dlsoak().arg("run").args(args).arg("-o").arg(dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let read = read_record(dir).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_ne!(output.status.code(), Some(2), "{said}");
    read
}

fn names(run: &Run) -> Vec<&str> {
    run.soaks.iter().map(|soak| soak.name.as_str()).collect()
}

const NAMES: [&str; 4] = [
    "go-clean [GODEBUG= call-from=main]",
    "go-clean [GODEBUG= call-from=worker]",
    "go-clean [GODEBUG=asyncpreemptoff=1 call-from=main]",
    "go-clean [GODEBUG=asyncpreemptoff=1 call-from=worker]",
];

#[test]
fn each_combination_is_soaked_and_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let run = recorded(&dir.path().join("all"), &[&suite(dir.path())]);
    assert_eq!(names(&run), NAMES);
    for (soak, (debug, call_from)) in run.soaks.iter().zip([
        ("", CallFrom::Main),
        ("", CallFrom::Worker),
        ("asyncpreemptoff=1", CallFrom::Main),
        ("asyncpreemptoff=1", CallFrom::Worker),
    ]) {
        assert_eq!((soak.env["GODEBUG"].as_str(), soak.call_from()), (debug, call_from), "{}", soak.name);
        assert_eq!(soak.cycles.completed, 200, "{}: {:?}", soak.name, soak.outcome);
        assert!(soak.toolchain.go.as_ref().is_some_and(|go| go.starts_with("go1.")), "{:?}", soak.toolchain);
    }
    // The command in the record needs no suite.
    let last = run.soaks.last().unwrap();
    let command = last.replay.strip_prefix("dlsoak ").unwrap();
    let again = dir.path().join("again");
    let script = format!("exec \"$DLSOAK\" -q {command} -o \"$OUT\"");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).env("DLSOAK", env!("CARGO_BIN_EXE_dlsoak")).env("OUT", &again);
    shell.output().unwrap();
    let repeated = &read_record(&again).unwrap().soaks[0];
    assert_eq!((&repeated.env, repeated.call_from()), (&last.env, last.call_from()), "{}", last.replay);
    assert_eq!((&repeated.path, &repeated.calls()), (&last.path, &last.calls()));
}

#[test]
fn shares_and_baselines_find_the_soaks_of_a_matrix() {
    let dir = tempfile::tempdir().unwrap();
    let suite = suite(dir.path());
    let part = |share: &str| {
        let out = dir.path().join(share.replace('/', "-of-"));
        let run = recorded(&out, &[&suite, "--partition", share]);
        let split = run.partition.as_ref().unwrap();
        assert!(split.soaks.iter().map(|soak| soak.name.as_str()).eq(NAMES), "{split:?}");
        (run, out.join("record.json"))
    };
    let ((first, one), (second, two)) = (part("1/2"), part("2/2"));
    assert_eq!(names(&first), [NAMES[0], NAMES[2]]);
    assert_eq!(names(&second), [NAMES[1], NAMES[3]]);
    let whole = dir.path().join("record.json");
    let merged = dlsoak().arg("merge").args([&one, &two]).arg("-o").arg(&whole).output().unwrap();
    assert_ne!(merged.status.code(), Some(2), "{}", String::from_utf8_lossy(&merged.stderr));
    assert_eq!(names(&read_record(dir.path()).unwrap()), NAMES);
    // By its name each soak finds the one that it is held against.
    let compared = dlsoak().arg("compare").args([&whole, &two]).arg("--json").output().unwrap();
    let text = String::from_utf8_lossy(&compared.stdout);
    let said = String::from_utf8_lossy(&compared.stderr);
    assert!(text.contains(NAMES[1]) && text.contains(NAMES[3]), "{text}{said}");
}
