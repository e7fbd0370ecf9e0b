//! `cargo xtask slurm`: runs the example for Slurm on two nodes of this machine, takes from it what a cluster can lose (a node, a node's
//! daemon, a part that could not run), and compares the merged record with that of one machine. Writes docs/slurm.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use xtask::fixtures::{self, Table};
use xtask::record::{self, Run};

use crate::{command, demo, nightly};

const INSTALL: &str = "apt install --no-install-recommends slurmctld slurmd slurm-client munge";
/// The directory of the example.
const EXAMPLE: &str = "examples/fleet/slurm";
const NODES: [&str; 2] = ["n1", "n2"];
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
/// How long something may take that Slurm does within seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(600);

const HEAD: &str = "# The example for Slurm, run

Made by `cargo xtask slurm`, which runs `examples/fleet/slurm/` on two nodes of one machine, takes from it what a cluster can lose, and
compares the merged record with that of one run of the whole suite. It needs root and Slurm
(`apt install --no-install-recommends slurmctld slurmd slurm-client munge`).
";

/// Runs the example; true when all went as it should.
pub(crate) fn run() -> Result<bool> {
    let root = fixtures::root();
    let dlsoak = demo::release(&root)?;
    let version = command::quietly(Command::new("slurmctld").arg("-V"), INSTALL)?;
    let cluster = Cluster::start(&root, &dlsoak)?;
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

/// A daemon that ends with this program.
struct Daemon(Child);

impl Daemon {
    fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("cannot run `{}`. {INSTALL}", command::spelt(command)))?;
        Ok(Self(child))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A cluster of two nodes on this machine, with the example in the directory that they share.
struct Cluster {
    dir: TempDir,
    /// The first is munge, and the second the controller.
    daemons: Vec<Daemon>,
    nodes: std::cell::RefCell<Vec<Option<Daemon>>>,
    job: String,
    merge: String,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.get_mut().clear();
        // Steps outlive their daemon, as they do on a cluster.
        kill(&processes(self.dir.path(), |_| true));
        self.daemons.reverse();
        self.daemons.clear();
    }
}

impl Cluster {
    /// Starts it and submits the example, whose tasks are held.
    fn start(root: &Path, dlsoak: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("dlsoak-slurm-").tempdir()?;
        let at = |name: &str| dir.path().join(name);
        for name in ["state", "n1", "n2", "records"] {
            fs::create_dir(at(name))?;
        }
        for name in ["soak.sbatch", "merge.sbatch"] {
            fs::copy(root.join(EXAMPLE).join(name), at(name))?;
        }
        fs::write(at("dlsoak.toml"), suite(root)?)?;
        fs::write(at("slurm.conf"), configuration(root, dir.path())?)?;
        let key = at("munge.key");
        command::quietly(
            Command::new("dd")
                .args(["if=/dev/urandom", "bs=1024", "count=1", "status=none"])
                .arg(format!("of={}", key.display())),
            "",
        )?;
        command::quietly(Command::new("chmod").arg("400").arg(&key), "")?;
        let path = |name: &str, file: &str| format!("--{name}={}", at(file).display());
        let munged = Daemon::start(
            Command::new("munged").args(["--foreground", "--force"]).args([
                path("key-file", "munge.key"),
                path("socket", "munge.sock"),
                path("pid-file", "munged.pid"),
                path("log-file", "munged.log"),
                path("seed-file", "munge.seed"),
            ]),
            &at("munged.out"),
        )?;
        until("munge answers", || Ok(at("munge.sock").exists().then_some(())))?;
        let controller = Daemon::start(
            Command::new("slurmctld").args(["-D", "-c", "-f"]).arg(at("slurm.conf")),
            &at("slurmctld.out"),
        )?;
        let nodes = std::cell::RefCell::new(vec![None, None]);
        let mut cluster =
            Self { dir, daemons: vec![munged, controller], nodes, job: String::new(), merge: String::new() };
        for node in NODES {
            cluster.start_node(node)?;
        }
        let search = std::env::var("PATH").unwrap_or_default();
        let bin = dlsoak.parent().context("no directory")?.display();
        let submit = |arguments: &[&str]| {
            let mut sbatch = cluster.slurm("sbatch");
            sbatch.arg("--parsable").args(arguments).env("PATH", format!("{bin}:{search}"));
            Ok::<_, anyhow::Error>(command::quietly(&mut sbatch, INSTALL)?.trim().to_owned())
        };
        let job = submit(&["--hold", "--array=1-5", "soak.sbatch"])?;
        // As in README.md.
        let merge = submit(&[&format!("--dependency=afterany:{job}"), "merge.sbatch", &job])?;
        (cluster.job, cluster.merge) = (job, merge);
        Ok(cluster)
    }

    /// A program of Slurm, for this cluster.
    fn slurm(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path());
        command.env("SLURM_CONF", self.dir.path().join("slurm.conf")).env(MARK, self.dir.path());
        command
    }

    fn control(&self, arguments: &[&str]) -> Result<String> {
        command::quietly(self.slurm("scontrol").args(arguments), INSTALL)
    }

    fn start_node(&self, node: &str) -> Result<()> {
        let index = usize::from(node == NODES[1]);
        let mut slurmd = self.slurm("slurmd");
        let log = self.dir.path().join(format!("{node}.out"));
        slurmd.args(["-D", "-N", node]);
        self.nodes.borrow_mut()[index] = Some(Daemon::start(&mut slurmd, &log)?);
        until(&format!("{node} is idle"), || {
            let state = command::quietly(self.slurm("sinfo").args(["-h", "-n", node, "-o", "%T"]), INSTALL)?;
            Ok((state.trim() == "idle").then_some(()))
        })?;
        // A job that is placed while its node registers is lost: the controller calls the node idle, and its CPUs in use (22.05).
        let mut probe = self.slurm("sbatch");
        probe.args(["--parsable", "--output=/dev/null", "--nodelist", node, "--wrap=true"]);
        let probe = command::quietly(&mut probe, INSTALL)?;
        until(&format!("{node} runs a job"), || self.is_over(probe.trim())).map(drop)
    }

    /// Kills the daemon of a node, and nothing else; dropping it is a SIGKILL.
    fn kill_daemon(&self, node: &str) {
        self.nodes.borrow_mut()[usize::from(node == NODES[1])] = None;
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
        let merge = until("the merge has ended", || self.is_over(&self.merge))?;
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
        self.kill_daemon(&node);
        kill(&self.of_node(&node));
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
        self.start_node(&node)
    }

    /// Kills a node's daemon alone: its dlsoak goes on beside the one that Slurm starts on the other node.
    fn lose_a_daemon(&self, seen: &mut Seen) -> Result<()> {
        let node = self.in_the_middle(ORPHANED)?;
        self.kill_daemon(&node);
        self.requeued(ORPHANED, 1)?;
        self.go_on(ORPHANED)?;
        let twin = other(&node);
        until("the twin soaks", || Ok(self.out(ORPHANED, twin).join("record.json").exists().then_some(())))?;
        let beside = !self.of_node(&node).is_empty() && !self.of_node(twin).is_empty();
        let job = self.ended(ORPHANED)?;
        until("the orphan ends", || Ok(self.of_node(&node).is_empty().then_some(())))?;
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
        self.start_node(&node)
    }

    /// Lets the twin start on the node of its orphan, so that both want one directory.
    fn meet_the_orphan(&self, seen: &mut Seen) -> Result<()> {
        let node = self.in_the_middle(LOCKED)?;
        self.kill_daemon(&node);
        // A daemon that remembers its steps would take the orphan back.
        let spool = self.dir.path().join(&node);
        fs::remove_dir_all(&spool)?;
        fs::create_dir(&spool)?;
        self.requeued(LOCKED, 1)?;
        self.control(&["update", &format!("NodeName={}", other(&node)), "State=DRAIN", "Reason=test"])?;
        self.start_node(&node)?;
        self.go_on(LOCKED)?;
        self.requeued(LOCKED, 2)?;
        let refused = self.log(LOCKED)?;
        let refused = refused.lines().find(|line| line.contains("in use")).unwrap_or_default().to_owned();
        let alive = !self.of_node(&node).is_empty();
        until("the orphan ends", || Ok(self.of_node(&node).is_empty().then_some(())))?;
        let orphans = self.soaks(LOCKED, &node)?;
        self.control(&["update", &format!("NodeName={}", other(&node)), "State=RESUME"])?;
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
        self.control(&["release", &self.task(part)]).map(drop)
    }

    /// Lets a task that was requeued start now: Slurm waits for two minutes.
    fn go_on(&self, part: u32) -> Result<()> {
        self.control(&["update", &format!("JobId={}", self.task(part)), "StartTime=now"]).map(drop)
    }

    /// Waits until a task is in the queue again for this time.
    fn requeued(&self, part: u32, times: u32) -> Result<()> {
        until(&format!("part {part} is requeued"), || {
            let job = self.show(&self.task(part))?;
            let restarts = field(&job, "Restarts").parse::<u32>().unwrap_or(0);
            Ok((field(&job, "JobState") == "PENDING" && restarts == times).then_some(()))
        })
    }

    fn ended(&self, part: u32) -> Result<String> {
        until(&format!("part {part} has ended"), || self.is_over(&self.task(part)))
    }

    fn is_over(&self, job: &str) -> Result<Option<String>> {
        let job = self.show(job)?;
        let state = field(&job, "JobState").to_owned();
        ensure!(!matches!(&*state, "CANCELLED" | "NODE_FAIL" | "TIMEOUT"), "a job is {state}: {job}");
        Ok(matches!(&*state, "COMPLETED" | "FAILED").then_some(job))
    }

    fn show(&self, job: &str) -> Result<String> {
        self.control(&["-o", "show", "job", job])
    }

    fn task(&self, part: u32) -> String {
        format!("{}_{part}", self.job)
    }

    fn records(&self) -> PathBuf {
        self.dir.path().join("records").join(&self.job)
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
        let log = self.dir.path().join(format!("soak-{}_{part}.log", self.job));
        fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))
    }

    /// The processes of the job that runs on a node.
    fn of_node(&self, node: &str) -> Vec<String> {
        let variable = format!("SLURMD_NODENAME={node}");
        processes(self.dir.path(), |environment| environment.contains(&variable))
    }

    /// The record of one run of the whole suite.
    fn whole(&self, dlsoak: &Path) -> Result<Run> {
        let out = self.dir.path().join("whole");
        let mut whole = Command::new(dlsoak);
        command::soaks(whole.arg("run").arg("-o").arg(&out).current_dir(self.dir.path()), command::CARGO)?;
        record::read(&out)
    }
}

/// Marks the processes of a cluster, with its directory.
const MARK: &str = "DLSOAK_SLURM";

/// Processes with the mark of this cluster whose environment is so, ours and those of `sbatch` and the like aside.
fn processes(cluster: &Path, is: impl Fn(&[String]) -> bool) -> Vec<String> {
    let mark = format!("{MARK}={}", cluster.display());
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(environment) = fs::read(process.path().join("environ")) else { continue };
        let environment: Vec<String> = environment
            .split(|byte| *byte == 0)
            .map(|entry| String::from_utf8_lossy(entry).into_owned())
            .collect();
        if environment.contains(&mark) && is(&environment) {
            found.push(process.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

/// Kills processes of jobs, each after the step that started it, because a step that lives reports how that ended.
fn kill(jobs: &[String]) {
    let name = |process: &str| fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    let steps = jobs.iter().filter_map(|process| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().to_owned();
        (name(&parent).trim() == "slurmstepd").then_some(parent)
    });
    for process in steps.collect::<Vec<_>>().iter().chain(jobs) {
        // One that has ended meanwhile is no matter.
        let _ = Command::new("kill").args(["-9", process]).stderr(Stdio::null()).status();
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

/// A field of what `scontrol -o show job` prints.
fn field<'a>(job: &'a str, name: &str) -> &'a str {
    let mut words = job.split_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

/// Waits until something is so.
fn until<T>(what: &str, mut is: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(value) = is()? {
            return Ok(value);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("waited {} s until {what}", PATIENCE.as_secs())
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

/// The configuration of Slurm: what the example needs, and what lets it run on one machine without cgroups.
fn configuration(root: &Path, dir: &Path) -> Result<String> {
    let example = root.join(EXAMPLE).join("slurm.conf");
    let example =
        fs::read_to_string(&example).with_context(|| format!("cannot read {}", example.display()))?;
    let host = command::quietly(&mut Command::new("hostname"), "apt install hostname")?;
    let user = command::quietly(Command::new("id").arg("-un"), "apt install coreutils")?;
    let (host, user, dir) = (host.trim(), user.trim(), dir.display());
    // All at the same time, so that they differ.
    let listeners: Vec<TcpListener> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let ports: Vec<u16> = listeners.iter().map(|one| Ok(one.local_addr()?.port())).collect::<Result<_>>()?;
    let mut text = format!(
        "{example}
ClusterName=dlsoak
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={}
AuthType=auth/munge
AuthInfo=socket={dir}/munge.sock
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/%n
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
MinJobAge=7200
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
PartitionName=all Nodes=n1,n2 Default=YES State=UP MaxTime=INFINITE
",
        ports[0]
    );
    for (node, port) in NODES.iter().zip(&ports[1..]) {
        writeln!(text, "NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2")?;
    }
    Ok(text)
}
