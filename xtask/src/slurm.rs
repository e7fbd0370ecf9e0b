//! `cargo xtask slurm`: runs the example for Slurm on two nodes of this machine, takes from it what a cluster can lose (a node, a node's
//! daemon, a part that could not run), and compares the merged record with that of one machine. Writes docs/slurm.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::fixtures::{self, Table};
use xtask::record::{self, Run};

use crate::cluster::{Cluster, NODES, field, kill, until};
use crate::{cluster, command, demo, nightly};

/// The directory of the example.
const EXAMPLE: &str = "examples/fleet/slurm";
/// Cycles of a soak that takes long enough to lose a node in its middle, and those after which it is in its middle.
const LONG: u64 = 1_000_000;
const MIDDLE: u64 = 100_000;
const SHORT: u64 = 10_000;
/// The suite: soak number i is in part i % 5 + 1.
const SUITE: [(&str, u64); 10] = [
    ("c-leak-constructor", SHORT),
    ("c-clean", SHORT),
    ("c-leak-constructor", SHORT),
    ("cpp-clean", SHORT),
    ("c-clean", SHORT),
    ("c-clean", LONG),
    ("c-leak-constructor", LONG),
    ("cpp-unique", SHORT),
    ("rust-clean", SHORT),
    ("c-leak-constructor", LONG),
];
/// The parts, by what happens to them.
const LOST: u32 = 1;
const ORPHANED: u32 = 2;
const FAILS: u32 = 3;
const CANNOT_RUN: u32 = 4;
const LOCKED: u32 = 5;

const HEAD: &str = "# The example for Slurm, run

Made by `cargo xtask slurm`, which runs `examples/fleet/slurm/` on two nodes of one machine, takes from it what a cluster can lose, and
compares the merged record with that of one run of the whole suite. It needs root and Slurm
(`apt install --no-install-recommends slurmctld slurmd slurm-client munge`).
";

/// Runs the example; true when all went as it should.
pub(crate) fn run() -> Result<bool> {
    let root = fixtures::root();
    let dlsoak = demo::release(&root)?;
    let version = cluster::version()?;
    let cluster = Example::submit(&root, &dlsoak)?;
    let mut seen = Seen::default();
    let begin = Instant::now();
    cluster.lose(&mut seen)?;
    let seconds = begin.elapsed().as_secs();
    let whole = cluster.whole(&dlsoak)?;
    let differences = differences(&record::read(&cluster.records())?, &whole);
    differences.iter().for_each(|line| println!("{line}"));
    seen.add(
        "merge of all",
        "the merged record equals that of one machine in verdicts, cycles and exact growth",
        differences.is_empty(),
    );
    let text = format!(
        "{HEAD}\n{} on {}, {seconds} s:\n\n| tried | what happened | as it should |\n| --- | --- | --- |\n{}",
        version.trim(),
        nightly::today()?,
        seen.rows
    );
    if seen.wrong == 0 {
        let page = root.join("docs/slurm.md");
        fs::write(&page, text).with_context(|| format!("cannot write {}", page.display()))?;
    }
    println!("{} checked on {}, {} wrong, {seconds} s", seen.checked, version.trim(), seen.wrong);
    Ok(seen.wrong == 0)
}

/// Metrics that are counted, and so exact in each run of the suite. The others are the kernel's figures of memory, which may have noise.
const COUNTED: [&str; 3] = ["heap", "threads", "fds"];

/// How two runs of one suite differ in verdicts, cycles, or growth that is exact in both.
fn differences(merged: &Run, whole: &Run) -> Vec<String> {
    let names = |run: &Run| run.soaks.iter().map(|soak| soak.name.clone()).collect::<Vec<_>>();
    if names(merged) != names(whole) {
        return vec![format!("the soaks are {:?}, and not {:?}", names(merged), names(whole))];
    }
    let mut differences = Vec::new();
    for (ours, theirs) in merged.soaks.iter().zip(&whole.soaks) {
        let of = |soak: &record::Soak| (soak.verdict.clone(), soak.cycles.completed);
        if of(ours) != of(theirs) {
            differences.push(format!("{}: {:?} is not {:?}", ours.name, of(ours), of(theirs)));
        }
        let exact = |soak: &record::Soak| -> BTreeMap<String, f64> {
            let exact = soak.growth.iter().filter(|growth| growth.exact);
            exact.map(|growth| (growth.metric.clone(), growth.per_cycle)).collect()
        };
        let (ours, theirs, name) = (exact(ours), exact(theirs), &ours.name);
        for (metric, growth) in &ours {
            if let Some(other) = theirs.get(metric).filter(|other| *other != growth) {
                differences.push(format!("{name}: {metric} grows by {growth}, and not by {other}"));
            }
        }
        for metric in
            COUNTED.into_iter().filter(|metric| !ours.contains_key(*metric) || !theirs.contains_key(*metric))
        {
            differences.push(format!("{name}: {metric} is not exact"));
        }
    }
    differences
}

/// What was seen, as the rows of a table.
#[derive(Default)]
struct Seen {
    rows: String,
    checked: u32,
    wrong: u32,
}

impl Seen {
    /// Adds what happened, and whether it should have.
    fn add(&mut self, tried: &str, happened: &str, good: bool) {
        self.checked += 1;
        self.wrong += u32::from(!good);
        let answer = if good { "yes" } else { "NO" };
        println!("{answer:3} {tried}: {happened}");
        let _ = writeln!(self.rows, "| {tried} | {happened} | {answer} |");
    }
}

/// The example, submitted on a cluster of its own.
struct Example {
    cluster: Cluster,
    job: String,
    merge: String,
}

impl Example {
    /// Starts the cluster and submits the example, whose tasks are held.
    fn submit(root: &Path, dlsoak: &Path) -> Result<Self> {
        let cluster = Cluster::start(root)?;
        let at = |name: &str| cluster.dir().join(name);
        fs::create_dir(at("records"))?;
        for name in ["soak.sbatch", "merge.sbatch"] {
            fs::copy(root.join(EXAMPLE).join(name), at(name))?;
        }
        fs::write(at("dlsoak.toml"), suite(root)?)?;
        let job = cluster.submit(dlsoak, &["--hold", "--array=1-5", "soak.sbatch"])?;
        // As in README.md.
        let merge =
            cluster.submit(dlsoak, &[&format!("--dependency=afterany:{job}"), "merge.sbatch", &job])?;
        Ok(Self { cluster, job, merge })
    }

    /// Runs the tasks one after the other, each with its loss, and then the merge.
    fn lose(&self, seen: &mut Seen) -> Result<()> {
        self.lose_a_node(seen)?;
        self.lose_a_daemon(seen)?;
        self.meet_the_orphan(seen)?;
        // Files of someone else in the directories that the task would write to.
        let foreign = NODES.map(|node| self.out(CANNOT_RUN, node));
        for directory in &foreign {
            fs::create_dir_all(directory)?;
            fs::write(directory.join("foreign"), "")?;
        }
        self.release(FAILS)?;
        let job = self.ended(FAILS)?;
        let code = field(&job, "ExitCode");
        let good = code == "1:0" && field(&job, "JobState") == "FAILED" && field(&job, "Restarts") == "0";
        seen.add(
            "a part that fails",
            &format!("dlsoak ended with {code}, and Slurm did not start it again"),
            good,
        );
        self.release(CANNOT_RUN)?;
        self.requeued(CANNOT_RUN, 1)?;
        for directory in &foreign {
            fs::remove_dir_all(directory)?;
        }
        self.go_on(CANNOT_RUN)?;
        let job = self.ended(CANNOT_RUN)?;
        let restarts = field(&job, "Restarts");
        let good = field(&job, "ExitCode") == "0:0"
            && restarts == "1"
            && self.log(CANNOT_RUN)?.contains("no record of dlsoak");
        seen.add(
            "a part with a tool error (files of someone else in its output directory)",
            "dlsoak ended with 2, Slurm started the part again, and it passed",
            good,
        );
        let merge = until("the merge has ended", || self.cluster.is_over(&self.merge))?;
        let good = field(&merge, "ExitCode") == "1:0" && field(&merge, "Restarts") == "0";
        seen.add(
            "merge of all",
            "the dependent job ran when all parts had ended, and exited with 1, as `dlsoak run` does",
            good,
        );
        Ok(())
    }

    /// Kills all of a node in the middle of a soak.
    fn lose_a_node(&self, seen: &mut Seen) -> Result<()> {
        let node = self.in_the_middle(LOST)?;
        self.cluster.kill_daemon(&node);
        kill(&self.cluster.of_node(&node));
        self.requeued(LOST, 1)?;
        self.go_on(LOST)?;
        let job = self.ended(LOST)?;
        let (cut, anew) = (self.soaks(LOST, &node)?, self.soaks(LOST, other(&node))?);
        let good =
            is_cut(&cut[1]) && cut[1]["verdict"] == "inconclusive" && anew.iter().all(|soak| !is_cut(soak));
        let good = good && field(&job, "ExitCode") == "1:0" && field(&job, "BatchHost") == other(&node);
        seen.add(
            "a node killed in the middle of a soak (-9 for slurmd, its steps and dlsoak)",
            &format!(
                "Slurm started the part again on the other node. In the first record, the soak is `inconclusive`, cut short after {} of \
                 {LONG} cycles. merge took the soaks of the other record",
                cycles(&cut[1])
            ),
            good,
        );
        self.cluster.start_node(&node)
    }

    /// Kills a node's daemon alone: its dlsoak goes on beside the one that Slurm starts on the other node.
    fn lose_a_daemon(&self, seen: &mut Seen) -> Result<()> {
        let node = self.in_the_middle(ORPHANED)?;
        self.cluster.kill_daemon(&node);
        self.requeued(ORPHANED, 1)?;
        self.go_on(ORPHANED)?;
        let twin = other(&node);
        until("the twin soaks", || Ok(self.out(ORPHANED, twin).join("record.json").exists().then_some(())))?;
        let beside = !self.cluster.of_node(&node).is_empty() && !self.cluster.of_node(twin).is_empty();
        let job = self.ended(ORPHANED)?;
        until("the orphan ends", || Ok(self.cluster.of_node(&node).is_empty().then_some(())))?;
        let both = [&*node, twin].map(|node| self.soaks(ORPHANED, node));
        let whole = both
            .into_iter()
            .collect::<Result<Vec<_>>>()?
            .iter()
            .all(|soaks| soaks.len() == 2 && !soaks.iter().any(is_cut));
        let good = beside && whole && field(&job, "Restarts") == "1" && field(&job, "ExitCode") == "1:0";
        seen.add(
            "only slurmd killed",
            "the orphan went on beside its twin on the other node. Each wrote to the directory of its node, both records are whole, and \
             merge took each soak once",
            good,
        );
        self.cluster.start_node(&node)
    }

    /// Lets the twin start on the node of its orphan, so that both want one directory.
    fn meet_the_orphan(&self, seen: &mut Seen) -> Result<()> {
        let node = self.in_the_middle(LOCKED)?;
        self.cluster.kill_daemon(&node);
        // A daemon that remembers its steps would take the orphan back.
        let spool = self.cluster.dir().join(&node);
        fs::remove_dir_all(&spool)?;
        fs::create_dir(&spool)?;
        self.requeued(LOCKED, 1)?;
        self.cluster.control(&[
            "update",
            &format!("NodeName={}", other(&node)),
            "State=DRAIN",
            "Reason=test",
        ])?;
        self.cluster.start_node(&node)?;
        self.go_on(LOCKED)?;
        self.requeued(LOCKED, 2)?;
        let refused = self.log(LOCKED)?;
        let refused = refused.lines().find(|line| line.contains("in use")).unwrap_or_default().to_owned();
        let alive = !self.cluster.of_node(&node).is_empty();
        until("the orphan ends", || Ok(self.cluster.of_node(&node).is_empty().then_some(())))?;
        let orphans = self.soaks(LOCKED, &node)?;
        self.cluster.control(&["update", &format!("NodeName={}", other(&node)), "State=RESUME"])?;
        self.go_on(LOCKED)?;
        let job = self.ended(LOCKED)?;
        let on = field(&job, "BatchHost").to_owned();
        let resumed = self.log(LOCKED)?.contains("2 of 2 soaks are complete");
        let kept = self.soaks(LOCKED, &node)? == orphans && !orphans.iter().any(is_cut);
        let good =
            alive && !refused.is_empty() && resumed && kept && on == node && field(&job, "ExitCode") == "1:0";
        seen.add(
            "only slurmd killed, and the twin started on the same node",
            "the lock of the orphan kept the twin out of its directory. The twin ended with 2 and was started again. When the orphan had \
             ended, the twin kept the 2 soaks that were complete and soaked nothing",
            good,
        );
        Ok(())
    }

    /// Lets a task run until its second soak is in its middle, and says on which node.
    fn in_the_middle(&self, part: u32) -> Result<String> {
        self.release(part)?;
        until(&format!("part {part} is in the middle of its second soak"), || {
            let there = NODES.into_iter().find(|node| {
                self.soaks(part, node).is_ok_and(|soaks| {
                    soaks.get(1).is_some_and(|soak| is_cut(soak) && cycles(soak) >= MIDDLE)
                })
            });
            Ok(there.map(str::to_owned))
        })
    }

    fn release(&self, part: u32) -> Result<()> {
        self.cluster.control(&["release", &self.task(part)]).map(drop)
    }

    /// Lets a task that was requeued start now: Slurm waits for two minutes.
    fn go_on(&self, part: u32) -> Result<()> {
        self.cluster.control(&["update", &format!("JobId={}", self.task(part)), "StartTime=now"]).map(drop)
    }

    /// Waits until a task is in the queue again for this time.
    fn requeued(&self, part: u32, times: u32) -> Result<()> {
        until(&format!("part {part} is requeued"), || {
            let job = self.cluster.show(&self.task(part))?;
            let restarts = field(&job, "Restarts").parse::<u32>().unwrap_or(0);
            Ok((field(&job, "JobState") == "PENDING" && restarts == times).then_some(()))
        })
    }

    fn ended(&self, part: u32) -> Result<String> {
        until(&format!("part {part} has ended"), || self.cluster.is_over(&self.task(part)))
    }

    fn task(&self, part: u32) -> String {
        format!("{}_{part}", self.job)
    }

    fn records(&self) -> PathBuf {
        self.cluster.dir().join("records").join(&self.job)
    }

    fn out(&self, part: u32, node: &str) -> PathBuf {
        self.records().join(format!("{part}-{node}"))
    }

    fn soaks(&self, part: u32, node: &str) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.out(part, node).join("record.json"))?;
        let record: Value = serde_json::from_str(&text)?;
        Ok(record["soaks"].as_array().cloned().unwrap_or_default())
    }

    fn log(&self, part: u32) -> Result<String> {
        let log = self.cluster.dir().join(format!("soak-{}_{part}.log", self.job));
        fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))
    }

    /// The record of one run of the whole suite.
    fn whole(&self, dlsoak: &Path) -> Result<Run> {
        let out = self.cluster.dir().join("whole");
        let mut whole = Command::new(dlsoak);
        command::soaks(whole.arg("run").arg("-o").arg(&out).current_dir(self.cluster.dir()), command::CARGO)?;
        record::read(&out)
    }
}

fn is_cut(soak: &Value) -> bool {
    soak["interrupted"] == true
}

fn cycles(soak: &Value) -> u64 {
    soak["cycles"]["completed"].as_u64().unwrap_or(0)
}

fn other(node: &str) -> &'static str {
    NODES[usize::from(node == NODES[0])]
}

fn suite(root: &Path) -> Result<String> {
    let table = Table::load(root)?;
    let mut text = "[suite]\nname = 'slurm'\n".to_owned();
    for (index, (name, cycles)) in SUITE.iter().enumerate() {
        let library = table.get(name)?.library(root)?;
        let number = index + 1;
        write!(
            text,
            "[[library]]\nname = '{number}-{name}'\npath = '{}'\ncycles = {cycles}\n",
            library.display()
        )?;
    }
    Ok(text)
}
