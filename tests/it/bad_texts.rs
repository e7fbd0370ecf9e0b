//! Suite files, records and arguments that are malformed, huge, deeply nested or of another version: each is one clear
//! line and exit code 2.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::support::{dlsoak, fixture};

/// What a command that can't be carried out says; the first line is enough to act on.
fn refused(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    stderr
}

fn suite(text: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("dlsoak.toml"), text).unwrap();
    refused(&dlsoak().arg("run").current_dir(dir.path()).output().unwrap())
}

fn report(record: &Path, to: &str) -> Output {
    dlsoak().args(["report", "--to", to]).arg(record).output().unwrap()
}

#[test]
fn a_suite_that_is_no_suite_is_refused_at_its_place() {
    let one = "[[library]]\npath = 'a.so'\n";
    for (text, part) in [
        (String::new(), "nothing to soak"),
        ("\u{0}\u{1}".to_owned(), "dlsoak.toml:1"),
        ("{\"soaks\": []}".to_owned(), "dlsoak.toml:1"),
        (format!("{one}{one}"), "a library named `a`"),
        (format!("{one}cycles = 0\n"), "cycles"),
        (format!("{one}cycles = nan\n"), "cycles"),
        (format!("{one}cycles = -5\n"), "negative"),
        (format!("{one}threads = 10_000\n"), "out of range"),
        (format!("{one}max-leak-rate = 'NaNB/s'\n"), "max-leak-rate"),
        (format!("{one}max-leak-rate = '-1B/s'\n"), "max-leak-rate"),
        (format!("{one}env = {{ A = \"x\\u0000y\" }}\n"), "NUL"),
        (format!("{one}env = {{ 'A=B' = 'c' }}\n"), "A=B"),
        (format!("{one}call = \"f(\\\"a\\\\0b\\\")\"\n"), "NUL"),
        ("[[library]]\npath = \"a\\u0000.so\"\n".to_owned(), "NUL"),
        ("a = ".to_owned() + &"[".repeat(100_000), "dlsoak.toml:1"),
        ("a.".repeat(100_000) + "a = 1", "dlsoak.toml:1"),
        (format!("[{}a]\n", "a.".repeat(100_000)), "dlsoak.toml:1"),
        (format!("a = {}1", "{ a = ".repeat(100_000)), "dlsoak.toml:1"),
    ] {
        let stderr = suite(text.as_bytes());
        assert!(stderr.contains(part), "{text:.60}: {stderr:.600}");
        assert!(stderr.len() < 2_000, "{text:.60}: {} bytes", stderr.len());
    }
    assert!(suite(b"[[library]]\npath = '\xff.so'\n").contains("UTF-8"));
}

#[test]
fn a_suite_without_end_is_not_read_to_its_end() {
    assert!(suite(&b"# a\n".repeat(5 << 20)).contains("more than"));
    let output = dlsoak().args(["run", "/dev/zero.toml"]).output().unwrap();
    assert!(refused(&output).contains("/dev/zero.toml"));
}

#[test]
fn a_record_that_is_none_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.json");
    let sound = fs::read_to_string(xtask::fixtures::root().join("reports/sample/record.json")).unwrap();
    let nested = format!("{{\"schema\": \"dlsoak.run/2\", \"soaks\": {}", "[".repeat(1 << 20));
    let newer = sound.replacen("dlsoak.run/2", "dlsoak.run/3", 1);
    for (text, part) in [
        (String::new(), "no JSON"),
        (sound[..sound.len() / 2].to_owned(), "no JSON"),
        (nested, "no JSON"),
        (newer, "newer dlsoak"),
        ("{\"schema\": \"dlsoak.run/3\"}".to_owned(), "newer dlsoak"),
        (sound.replacen("\"threads\": ", "\"threads\": -", 1), "broken record"),
        (sound.replacen("\"seconds\": ", "\"seconds\": NaN, \"x\": ", 1), "no JSON"),
        (sound.replacen("\"seconds\": ", "\"seconds\": 1e999, \"x\": ", 1), "out of range"),
        (sound.replacen("\"columns\": [", "\"columns\": [\"more\", ", 1), "broken record"),
        (sound.replacen("\"columns\": [", "\"columns\": [\"cycle\", ", 1), "figures"),
        ("[".repeat(100 << 20), "no record of dlsoak"),
    ] {
        fs::write(&path, &text).unwrap();
        for to in ["text", "svg"] {
            let stderr = refused(&report(&path, to));
            assert!(stderr.contains(part), "{text:.80}: {stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            assert!(stderr.contains("r.json") && stderr.len() < 600, "{stderr}");
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was written beside it");
    refused(&report(dir.path(), "text"));
}

#[test]
fn odd_figures_in_a_record_still_make_every_report() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.json");
    for name in ["extremes.json", "no-soaks.json", "load-failed.json", "three-soaks.json"] {
        fs::copy(xtask::fixtures::root().join("fuzz/corpus/record").join(name), &path).unwrap();
        for to in ["text", "svg", "png"] {
            let output = report(&path, to);
            assert_eq!(output.status.code(), Some(0), "{name} to {to}: {output:?}");
        }
    }
}

#[test]
fn a_huge_record_is_read_without_a_copy_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.json");
    let mut text =
        fs::read_to_string(xtask::fixtures::root().join("fuzz/corpus/record/no-soaks.json")).unwrap();
    // Fields that this version does not know are passed over.
    text = text.replacen('{', &format!("{{\"future\": [\"{}\"], ", "x".repeat(100 << 20)), 1);
    fs::write(&path, text).unwrap();
    assert_eq!(report(&path, "text").status.code(), Some(0));
}

#[test]
fn an_argument_that_cannot_be_meant_is_refused() {
    let library = fixture("c-clean");
    let library = library.to_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("taken");
    fs::write(&taken, "a file").unwrap();
    for (args, part) in [
        (vec!["run", library, "-o", taken.to_str().unwrap()], "output directory"),
        (vec!["run", library, "-c", ""], "--call"),
        (vec!["run", library, "-c", "f(\"a\\0b\")"], "NUL"),
        (vec!["run", library, "-c", "f(1))"], "column"),
        (vec!["run", library, "-c", "f(1,2,3,4,5,6,7)"], "--call"),
        (vec!["run", library, "--env", "=x"], "--env"),
        (vec!["run", library, "-n", "NaN"], "NaN"),
        (vec!["run", library, "-t", "10000"], "out of range"),
        (vec!["run", library, "--max-leak-rate", "infB/s"], "--max-leak-rate"),
        (vec!["run", library, "--partition", "5/4"], "--partition"),
    ] {
        let output = dlsoak().args(&args).current_dir(dir.path()).output().unwrap();
        let stderr = refused(&output);
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }
    assert_eq!(fs::read(&taken).unwrap(), b"a file");
}

#[test]
fn data_is_not_called() {
    // `environ`-like data in a library of ours: its own counter.
    let finished =
        crate::support::run(&[fixture("c-exports-data").to_str().unwrap(), "-c", "table", "-n", "10"]);
    let outcome = &finished.soak().outcome;
    assert_eq!(outcome.phase, Some(dlsoak::record::Phase::Symbol), "{outcome:?}");
    let cause = dlsoak::record::LoadCause::DataSymbol { symbol: "table".to_owned() };
    assert_eq!(crate::support::failure(finished.soak()).cause, cause);
    assert_eq!(finished.code, 1);
}
