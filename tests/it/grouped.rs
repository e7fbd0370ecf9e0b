//! A run of many libraries, as a person reads it: equal findings once, one line for each library, colours, and progress.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{dlsoak, fixture, tool};

/// Copies of fixtures under names of their own.
fn copies(of: &[(&str, &str)]) -> (TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let copy = |(name, fixture_name): &(&str, &str)| {
        let path = dir.path().join(format!("lib{name}.so"));
        std::fs::copy(fixture(fixture_name), &path).unwrap();
        path
    };
    let paths = of.iter().map(copy).collect();
    (dir, paths)
}

/// Eight that stay for the same reason, and one that leaks.
fn many() -> (TempDir, Vec<PathBuf>) {
    let stay = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| (name, "c-nodelete"));
    copies(&[&stay[..], &[("leaks", "c-leak-constructor")]].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn run(libraries: &[PathBuf], out: &Path, args: &[&str]) -> Output {
    dlsoak().arg("run").args(libraries).args(args).arg("-o").arg(out).output().unwrap()
}

/// A report of the record in a directory.
fn report(out: &Path, args: &[&str]) -> Output {
    dlsoak().arg("report").arg(out.join("record.json")).args(args).arg("-o").arg(out).output().unwrap()
}

#[test]
fn equal_findings_are_one_group_in_the_terminal_the_page_and_markdown() {
    let (dir, libraries) = many();
    let out = dir.path().join("out");
    let fact = "linked with -z nodelete";
    let output = run(&libraries, &out, &["-n", "300"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert_eq!(text.matches(fact).count(), 1, "{text}");
    assert!(text.contains("FAIL pinned: 8 libraries\n  a, b, c, d, e and 3 more\n"), "{text}");
    assert!(text.contains("FAIL leak: leaks\n"), "{text}");
    let all = stdout(&report(&out, &["--to", "text", "-v"]));
    assert!(all.contains("FAIL pinned: 8 libraries\n  a, b, c, d, e, f, g and h\n"), "{all}");
    assert!(report(&out, &["--to", "markdown"]).status.success());
    let markdown = std::fs::read_to_string(out.join("report.md")).unwrap();
    assert_eq!(markdown.matches(fact).count(), 1, "{markdown}");
    assert!(markdown.contains("- **8 libraries**: ❌ FAIL pinned\n  - a, b, c, d, e and 3 more\n"));
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert_eq!(page.matches("<b>8 libraries</b>").count(), 1);
    assert!(report(&out, &["--to", "junit"]).status.success());
    let junit = std::fs::read_to_string(out.join("junit.xml")).unwrap();
    assert_eq!(junit.matches("<testcase").count(), 9);
    assert_eq!(junit.matches("<failure").count(), 9);
}

#[test]
fn a_summary_is_one_line_for_each_library_and_one_for_the_run() {
    let (dir, libraries) = many();
    let out = dir.path().join("out");
    let output = run(&libraries, &out, &["-n", "300", "--summary"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 10, "{text}");
    assert!(lines[0].starts_with("FAIL pinned: a: the library is linked with"), "{text}");
    assert!(lines[8].starts_with("FAIL leak: leaks: heap grows by exactly 32 B per cycle"), "{text}");
    let run = "9 soaks: 8 pinned, 1 leak - not passed";
    assert_eq!(lines[9], format!("{run}; the record is in {}", out.display()));
    let again = stdout(&report(&out, &["--to", "text", "--summary"]));
    assert_eq!(again.lines().collect::<Vec<_>>(), [&lines[..9], &[run]].concat());
    let refused = report(&out, &["--to", "junit", "--summary"]);
    assert_eq!(refused.status.code(), Some(2));
    let refused = dlsoak().args(["run", "--summary", "--message-format", "json"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn growth_within_a_limit_has_its_own_mark_and_advice_is_not_repeated() {
    let (dir, libraries) = copies(&[("one", "c-leak-constructor")]);
    let text =
        stdout(&run(&libraries, &dir.path().join("a"), &["-n", "5k", "--max-leak-rate", "100B/cycle"]));
    assert!(text.contains(" 32 ok ") && text.contains("\n  x ok: growth is proven, and"), "{text}");
    // The limit is set per cycle already.
    let text =
        stdout(&run(&libraries, &dir.path().join("b"), &["-n", "60", "--max-leak-rate", "0.01B/cycle"]));
    assert!(!text.contains("set the limit in B/cycle"), "{text}");
}

/// What a command writes to a terminal.
fn on_a_terminal(variables: &[(&str, &str)], args: &[&Path]) -> String {
    let program = assert_cmd::cargo::cargo_bin!("dlsoak");
    let words = std::iter::once(program).chain(args.iter().copied());
    let command: Vec<String> = words.map(|word| format!("'{}'", word.display())).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &command.join(" "), "/dev/null"]);
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        script.env_remove(name);
    }
    script.env("TERM", "xterm").envs(variables.iter().copied());
    String::from_utf8_lossy(&script.output().unwrap().stdout).into_owned()
}

#[test]
fn colours_are_for_terminals_that_show_them() {
    let record = crate::support::sample();
    let colour = "\u{1b}[";
    let piped = |variables: &[(&str, &str)]| {
        let mut command = dlsoak();
        command.arg("report").arg(&record).args(["--to", "text"]).env_remove("CLICOLOR_FORCE");
        stdout(&command.envs(variables.iter().copied()).output().unwrap()).contains(colour)
    };
    assert!(!piped(&[("TERM", "xterm")]));
    assert!(piped(&[("TERM", "xterm"), ("CLICOLOR_FORCE", "1")]));
    if !tool("script") {
        return;
    }
    let args = [Path::new("report"), &record, Path::new("--to"), Path::new("text")];
    assert!(on_a_terminal(&[], &args).contains(colour));
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
        let text = on_a_terminal(&[variable], &args);
        assert!(text.contains("soaks: ") && !text.contains(colour), "{variable:?}: {text}");
    }
}

#[test]
fn progress_has_the_place_in_the_run_and_whole_rates() {
    if !tool("script") {
        return;
    }
    let (dir, libraries) = copies(&[("one", "c-clean"), ("two", "c-clean")]);
    let out = dir.path().join("out");
    let option = |text: &'static str| Path::new(text);
    let args = [
        option("run"),
        &libraries[0],
        &libraries[1],
        option("-n"),
        option("2k"),
        option("-o"),
        out.as_path(),
    ];
    let text = on_a_terminal(&[], &args);
    assert!(text.contains("[1/2] one") && text.contains("[2/2] two"), "{text:?}");
    assert!(!text.contains(" 0/0 "), "{text:?}");
    let rates: Vec<&str> = text.split("/s").filter_map(|before| before.rsplit(' ').next()).collect();
    assert!(rates.len() > 1, "{text:?}");
    assert!(rates[..rates.len() - 1].iter().all(|rate| !rate.contains('.')), "{rates:?}");
}
