//! A suite in parts: what several machines make of it together is what one makes of the whole.

use std::path::{Path, PathBuf};

use dlsoak::record::{Run, Soak, Verdict};

use crate::support::{dlsoak, fixture, read_record, until};

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
    assert!(code == 2 && stderr.contains("these are missing: 3"), "{stderr}");
    // What was refused has left the older file alone.
    assert_eq!(serde_json::from_slice::<Run>(&std::fs::read(&out).unwrap()).unwrap(), merged);
    let labelled = |label: &str| PathBuf::from(format!("{label}={}", parts[0].display()));
    let (code, stderr) = merge(&[&labelled("a"), &labelled("b")], &out);
    assert_eq!(code, 1, "{stderr}");
    let both: Run = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!((both.soaks.len(), both.soaks[3].name.as_str()), (4, "b:cpp-unique"));
}

#[test]
fn a_suite_that_is_split_by_cost_is_merged_without_the_costs() {
    let dir = tempfile::tempdir().unwrap();
    let suite = suite(dir.path());
    let whole = soaked(&suite, &dir.path().join("whole"), &[]);
    // What is cheap and what is dear is not left to the machine.
    let mut weights: Run = serde_json::from_slice(&std::fs::read(&whole).unwrap()).unwrap();
    for (soak, seconds) in weights.soaks.iter_mut().zip([1.0, 2.0, 9.0, 3.0, 2.0]) {
        soak.measured.passes.truncate(1);
        soak.measured.passes[0].seconds = seconds;
    }
    let record = dir.path().join("weights.json");
    std::fs::write(&record, serde_json::to_vec(&weights).unwrap()).unwrap();
    let record = record.to_str().unwrap();
    let parts = ["1/2", "2/2"].map(|share| {
        let args = ["--partition", share, "--weights", record];
        soaked(&suite, &dir.path().join(share.replace('/', "-")), &args)
    });
    let run = |path: &Path| read_record(path.parent().unwrap()).unwrap();
    let names = |run: &Run| run.soaks.iter().map(|soak| soak.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&run(&parts[0])), ["c-fds"]);
    let out = dir.path().join("merged/record.json");
    std::fs::create_dir(out.parent().unwrap()).unwrap();
    let (code, stderr) = merge(&[&parts[1], &parts[0]], &out);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(verdicts(&run(&out)), verdicts(&run(&whole)));
    // A part of the suite that was split in turns is none of this one.
    let other = soaked(&suite, &dir.path().join("other"), &["--partition", "2/2"]);
    let (code, stderr) = merge(&[&parts[0], &other], &out);
    assert!(code == 2 && stderr.contains("not parts of one suite"), "{stderr}");
    // A record of something else weighs nothing.
    let args = ["--partition", "1/2", "--weights", record];
    let output = dlsoak().arg("run").arg(fixture("cpp-clean")).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && stderr.contains("no complete soak of this suite"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn a_batch_system_says_which_part_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let libraries = ["c-clean", "cpp-clean", "c-fds"].map(fixture);
    let run = |share: &str, variables: &[(&str, &str)]| {
        let out = dir.path().join("out");
        let mut command = dlsoak();
        command.arg("run").args(&libraries).args(["-n", "20", "--partition", share, "-o"]).arg(&out);
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.lines().count(), usize::from(output.status.code() == Some(2)), "{stderr}");
        (read_record(&out).ok().and_then(|run| run.partition).map(|split| (split.part, split.of)), stderr)
    };
    let array = [
        ("SLURM_ARRAY_TASK_ID", "5"),
        ("SLURM_ARRAY_TASK_COUNT", "3"),
        ("SLURM_ARRAY_TASK_MIN", "1"),
        ("SLURM_ARRAY_TASK_MAX", "5"),
        ("SLURM_ARRAY_TASK_STEP", "2"),
    ];
    for (share, variables, part) in [
        ("auto", &array[..], None),
        ("auto/4", &array, Some("has 3 tasks")),
        ("auto/3", &[("JOB_COMPLETION_INDEX", "2")], None),
        ("auto/3", &[("HQ_TASK_ID", "3")], None),
        ("auto/3", &[("HQ_TASK_ID", "0")], Some("none of 3 parts")),
        ("auto/3", &[("PARALLEL_SEQ", "3")], None),
        ("auto", &[("PARALLEL_SEQ", "3")], Some("auto/N")),
        ("auto/3", &[("PARALLEL_SEQ", "3"), ("HQ_TASK_ID", "3")], Some("both")),
        ("auto/3", &[], Some("finds no part in the environment")),
    ] {
        let _ = std::fs::remove_dir_all(dir.path().join("out"));
        let (got, stderr) = run(share, variables);
        assert_eq!(got, part.is_none().then_some((3, 3)), "{share} {variables:?}: {stderr}");
        assert!(stderr.contains(part.unwrap_or_default()), "{stderr}");
    }
}

/// Cycles of a soak that takes long enough to be killed in its middle, and those after which growth is excluded.
const LONG: u64 = 150_000;
const DECIDED: u64 = 50_000;

#[test]
fn a_soak_that_was_killed_is_clean_nowhere_and_another_attempt_makes_up_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("suite.toml");
    let library = |name: &str, cycles: u64| {
        format!(
            "[[library]]\nname = '{name}'\npath = '{}'\ncycles = {cycles}\n",
            fixture("c-clean").display()
        )
    };
    let text = [library("a", 10_000), library("b", 10_000), library("c", 10_000), library("d", LONG)];
    std::fs::write(&file, format!("[suite]\nname = 'killed'\n{}", text.concat())).unwrap();
    let first = soaked(&file, &dir.path().join("first"), &["--partition", "1/2"]);
    let killed = dir.path().join("killed");
    let mut command = dlsoak();
    command.arg("run").arg(&file).args(["--partition", "2/2", "--checkpoints", "1000", "-o"]).arg(&killed);
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let far = |run: &Run| run.soaks.get(1).is_some_and(|soak| soak.cycles.completed >= DECIDED);
    until("the second soak is far", || read_record(&killed).ok().filter(far));
    child.kill().unwrap();
    child.wait().unwrap();

    let run = read_record(&killed).unwrap();
    assert_eq!(run.soaks[0].judged.verdict, Verdict::Clean);
    let cut = &run.soaks[1];
    assert!(cut.is_cut_short() && cut.cycles.completed < LONG && !run.passed, "{:?}", cut.cycles);
    assert_eq!((cut.judged.verdict, cut.judged.gate.passed), (Verdict::Inconclusive, None));
    let killed = killed.join("record.json");
    let report = dlsoak().arg("report").arg(&killed).args(["--to", "text"]).output().unwrap();
    let table = String::from_utf8(report.stdout).unwrap();
    let row = table.lines().find(|line| line.split_whitespace().any(|word| word == "d")).unwrap();
    assert!(!row.contains("clean") && row.contains("inconclusive"), "{table}");
    let out = dir.path().join("merged/record.json");
    std::fs::create_dir(out.parent().unwrap()).unwrap();
    let merged = || read_record(out.parent().unwrap()).unwrap();
    let verdicts = || merged().soaks.iter().map(|soak| soak.judged.verdict).collect::<Vec<_>>();
    let (code, stderr) = merge(&[&first, &killed], &out);
    assert_eq!((code, merged().passed), (130, false), "{stderr}");
    assert_eq!(verdicts(), [Verdict::Clean, Verdict::Clean, Verdict::Clean, Verdict::Inconclusive]);

    // Elsewhere, another attempt begins anew; where it was killed, it goes on. Either makes the part complete.
    let args = ["--partition", "2/2", "--checkpoints", "1000"];
    let anew = soaked(&file, &dir.path().join("anew"), &args);
    let (code, stderr) = merge(&[&anew, &first, &killed], &out);
    assert_eq!((code, merged().passed), (0, true), "{stderr}");
    assert!(verdicts().iter().all(|verdict| *verdict == Verdict::Clean) && !merged().soaks[3].is_cut_short());
    soaked(&file, killed.parent().unwrap(), &[&args[..], &["--resume"]].concat());
    let resumed = read_record(killed.parent().unwrap()).unwrap();
    assert_eq!(resumed.soaks[0], run.soaks[0]);
    assert_eq!(resumed.soaks[1].cycles.completed, LONG);
    let (code, stderr) = merge(&[&first, &killed], &out);
    assert_eq!((code, merged().passed), (0, true), "{stderr}");
}

/// The commands in a file that begin with `dlsoak`, up to the end of the line or of the command.
fn commands(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    text.lines()
        .flat_map(|line| line.split(" || "))
        .filter_map(|line| {
            let line = line.trim().trim_start_matches("- ").trim_start_matches("run: ");
            line.trim_start_matches("exec ").strip_prefix("dlsoak ")
        })
        .map(|command| {
            let plain = command.split([';', '|', '>']).next().unwrap_or_default();
            // What a shell or a CI system fills in.
            let plain = plain.replace("${{ matrix.part }}", "1");
            plain.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect()
        })
        .collect()
}

#[test]
fn the_commands_in_the_examples_are_ones() {
    use clap::Parser as _;
    let root = xtask::fixtures::root();
    for (file, least) in [
        ("examples/fleet/workflow.yml", 3),
        ("examples/fleet/job.yaml", 1),
        ("examples/fleet/slurm/soak.sbatch", 1),
        ("examples/fleet/slurm/merge.sbatch", 1),
        ("docs/fleet.md", 6),
        ("docs/compare.md", 1),
    ] {
        let mut count = 0;
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for command in commands(&text) {
            let parsed = dlsoak::cli::Cli::try_parse_from([&["dlsoak".to_owned()], &command[..]].concat());
            assert!(parsed.is_ok(), "{file}: dlsoak {}: {}", command.join(" "), parsed.unwrap_err());
            count += 1;
        }
        assert!(count >= least, "{file}: {count} commands");
    }
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
