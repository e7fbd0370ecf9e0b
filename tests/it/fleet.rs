//! A suite in parts: what several machines make of it together is what one makes of the whole.

use std::path::{Path, PathBuf};

use dlsoak::record::{Run, Soak};

use crate::support::{dlsoak, fixture, read_record};

const LIBRARIES: [&str; 5] = ["c-clean", "c-leak-constructor", "c-fds", "cpp-unique", "rust-tls-destructor"];

fn suite(dir: &Path) -> PathBuf {
    let mut text = "[suite]\nname = 'fleet'\n[defaults]\nuntil-decided = true\nmax-cycles = '200k'\ncall = 'fibonacci(20)'\n".to_owned();
    for name in LIBRARIES {
        text += &format!("[[library]]\nname = '{name}'\npath = '{}'\n", fixture(name).display());
    }
    // What may leave few descriptors, so that it does not run out of them.
    text += "\n[gate]\nmax-growth = 'mappings=1/cycle'\n";
    let path = dir.join("fleet.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn soaked(suite: &Path, out: &Path, args: &[&str]) -> PathBuf {
    let output = dlsoak().arg("run").arg(suite).args(args).arg("-o").arg(out).output().unwrap();
    assert!(out.join("record.json").is_file(), "{output:?}");
    out.join("record.json")
}

fn merge(parts: &[&Path], out: &Path) -> (i32, String) {
    let output = dlsoak().arg("merge").args(parts).arg("-o").arg(out).output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What the verdict on a soak consists of.
fn verdicts(run: &Run) -> Vec<(String, String)> {
    let of = |soak: &Soak| {
        let causes: Vec<&str> = soak.unload.causes.iter().map(|cause| cause.kind().name()).collect();
        format!(
            "{:?} {:?} {:?} {causes:?} {:?}",
            soak.judged.verdict, soak.judged.gate.passed, soak.unload.state, soak.outcome.kind
        )
    };
    run.soaks.iter().map(|soak| (soak.name.clone(), of(soak))).collect()
}

#[test]
fn parts_merged_are_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let suite = suite(dir.path());
    let whole = soaked(&suite, &dir.path().join("whole"), &[]);
    let parts: Vec<PathBuf> = ["1/3", "2/3", "3/3"]
        .into_iter()
        .map(|share| soaked(&suite, &dir.path().join(share.replace('/', "-")), &["--partition", share]))
        .collect();
    let out = dir.path().join("merged.json");
    // In any order.
    let (code, stderr) = merge(&[&parts[2], &parts[0], &parts[1]], &out);
    assert_eq!(code, 1, "{stderr}");
    let merged: Run = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let whole = read_record(whole.parent().unwrap()).unwrap();
    assert_eq!(verdicts(&merged), verdicts(&whole));
    assert_eq!((merged.passed, merged.partition.is_none(), &merged.host), (false, true, &whole.host));

    let (code, stderr) = merge(&[&parts[0], &parts[1]], &out);
    assert!(code == 2 && stderr.contains("these are missing: 3"), "{stderr}");
    let (code, stderr) = merge(&[&parts[0], &parts[0], &parts[1]], &out);
    assert!(code == 2 && stderr.contains("have a soak `c-clean`"), "{stderr}");
    // What was refused has left the older file alone.
    assert_eq!(serde_json::from_slice::<Run>(&std::fs::read(&out).unwrap()).unwrap(), merged);
    let labelled = |label: &str| PathBuf::from(format!("{label}={}", parts[0].display()));
    let (code, stderr) = merge(&[&labelled("a"), &labelled("b")], &out);
    assert_eq!(code, 1, "{stderr}");
    let both: Run = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!((both.soaks.len(), both.soaks[3].name.as_str()), (4, "b:cpp-unique"));
}

/// The commands in a file that begin with `dlsoak`, up to the end of the line or of the command.
fn commands(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    text.lines()
        .flat_map(|line| line.split(" || "))
        .filter_map(|line| {
            line.trim().trim_start_matches("- ").trim_start_matches("run: ").strip_prefix("dlsoak ")
        })
        .map(|command| {
            let plain = command.split([';', '|', '>']).next().unwrap_or_default();
            // What a shell or a CI system fills in.
            let plain =
                plain.replace("${{ matrix.part }}", "1").replace("$((JOB_COMPLETION_INDEX + 1))", "1");
            plain.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect()
        })
        .collect()
}

#[test]
fn the_commands_in_the_examples_are_ones() {
    use clap::Parser as _;
    let root = xtask::fixtures::root();
    let mut count = 0;
    for file in ["examples/fleet/workflow.yml", "examples/fleet/job.yaml", "docs/fleet.md", "docs/compare.md"]
    {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for command in commands(&text) {
            let parsed = dlsoak::cli::Cli::try_parse_from([&["dlsoak".to_owned()], &command[..]].concat());
            assert!(parsed.is_ok(), "{file}: dlsoak {}: {}", command.join(" "), parsed.unwrap_err());
            count += 1;
        }
    }
    assert!(count > 8, "{count} commands");
}

#[test]
fn a_shell_completes_every_verb_and_the_manual_has_each() {
    let completions = dlsoak().args(["completions", "bash"]).output().unwrap();
    let text = String::from_utf8(completions.stdout).unwrap();
    let dir = tempfile::tempdir().unwrap();
    assert!(dlsoak().arg("man").arg("-o").arg(dir.path()).output().unwrap().status.success());
    let help = String::from_utf8(dlsoak().arg("--help").output().unwrap().stdout).unwrap();
    let verbs = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let verbs: Vec<&str> = verbs
        .lines()
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert!(verbs.contains(&"run") && verbs.contains(&"merge") && !verbs.contains(&"man"), "{help}");
    for verb in verbs.into_iter().filter(|verb| *verb != "help") {
        assert!(text.contains(&format!("dlsoak,{verb})")), "no completion of {verb}");
        let page = std::fs::read_to_string(dir.path().join(format!("dlsoak-{verb}.1"))).unwrap();
        assert!(page.contains(&format!("dlsoak\\-{verb} \\-")), "{page}");
    }
    let page = String::from_utf8(dlsoak().arg("man").output().unwrap().stdout).unwrap();
    assert!(page.contains(".TH dlsoak 1"), "{page}");
    for shell in ["zsh", "fish"] {
        assert!(!dlsoak().args(["completions", shell]).output().unwrap().stdout.is_empty());
    }
    assert_eq!(dlsoak().args(["completions", "sh"]).output().unwrap().status.code(), Some(2));
}
