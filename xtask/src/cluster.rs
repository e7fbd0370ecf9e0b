//! Slurm on this machine: a cluster of two nodes without cgroups, which ends with this program. It needs root.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::command;

const INSTALL: &str = "apt install --no-install-recommends slurmctld slurmd slurm-client munge";
/// What the example for Slurm says of the configuration, besides what lets it run on one machine.
const EXAMPLE: &str = "examples/fleet/slurm/slurm.conf";
/// The nodes.
pub(crate) const NODES: [&str; 2] = ["n1", "n2"];
/// How long something may take that Slurm does within seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Marks the processes of a cluster, with its directory.
const MARK: &str = "DLSOAK_SLURM";

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

/// Which Slurm this is.
pub(crate) fn version() -> Result<String> {
    command::quietly(Command::new("slurmctld").arg("-V"), INSTALL)
}

/// A cluster of two nodes on this machine.
pub(crate) struct Cluster {
    dir: TempDir,
    /// The first is munge, and the second the controller.
    daemons: Vec<Daemon>,
    nodes: RefCell<Vec<Option<Daemon>>>,
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
    /// Starts its daemons, and waits until both nodes run jobs.
    pub(crate) fn start(root: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("dlsoak-slurm-").tempdir()?;
        let at = |name: &str| dir.path().join(name);
        for name in ["state", "n1", "n2"] {
            fs::create_dir(at(name))?;
        }
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
        let nodes = RefCell::new(vec![None, None]);
        let cluster = Self { dir, daemons: vec![munged, controller], nodes };
        for node in NODES {
            cluster.start_node(node)?;
        }
        Ok(cluster)
    }

    /// The directory that its nodes share, where jobs are submitted.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Submits a job whose tasks find `program` on their search path; returns its number.
    pub(crate) fn submit(&self, program: &Path, arguments: &[&str]) -> Result<String> {
        let search = std::env::var("PATH").unwrap_or_default();
        let bin = program.parent().context("no directory")?.display();
        let mut sbatch = self.slurm("sbatch");
        sbatch.arg("--parsable").args(arguments).env("PATH", format!("{bin}:{search}"));
        Ok(command::quietly(&mut sbatch, INSTALL)?.trim().to_owned())
    }

    /// A program of Slurm, for this cluster.
    pub(crate) fn slurm(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path());
        command.env("SLURM_CONF", self.dir.path().join("slurm.conf")).env(MARK, self.dir.path());
        command
    }

    /// What `scontrol` says to this.
    pub(crate) fn control(&self, arguments: &[&str]) -> Result<String> {
        command::quietly(self.slurm("scontrol").args(arguments), INSTALL)
    }

    /// Kills the daemon of a node, and nothing else; dropping it is a SIGKILL.
    pub(crate) fn kill_daemon(&self, node: &str) {
        self.nodes.borrow_mut()[usize::from(node == NODES[1])] = None;
    }

    /// What `scontrol` shows of a job that has ended; nothing of one that has not.
    pub(crate) fn is_over(&self, job: &str) -> Result<Option<String>> {
        let job = self.show(job)?;
        let state = field(&job, "JobState").to_owned();
        ensure!(!matches!(&*state, "CANCELLED" | "NODE_FAIL" | "TIMEOUT"), "a job is {state}: {job}");
        Ok(matches!(&*state, "COMPLETED" | "FAILED").then_some(job))
    }

    /// Waits until no task of a job is to run or runs.
    pub(crate) fn wait(&self, job: &str) -> Result<()> {
        let mut shown = 0;
        loop {
            let mut squeue = self.slurm("squeue");
            let left = command::quietly(squeue.args(["-h", "-r", "-o", "%i", "-j", job]), INSTALL)?;
            let left = left.lines().count();
            if left == 0 {
                return Ok(());
            }
            if left != shown {
                eprint!("\r{left} tasks left  ");
                shown = left;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// What `scontrol` shows of a job.
    pub(crate) fn show(&self, job: &str) -> Result<String> {
        self.control(&["-o", "show", "job", job])
    }

    /// The processes of the job that runs on a node.
    pub(crate) fn of_node(&self, node: &str) -> Vec<String> {
        let variable = format!("SLURMD_NODENAME={node}");
        processes(self.dir.path(), |environment| environment.contains(&variable))
    }

    /// Starts a node, and waits until it runs a job.
    pub(crate) fn start_node(&self, node: &str) -> Result<()> {
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
}

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
pub(crate) fn kill(jobs: &[String]) {
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

/// A field of what `scontrol -o show job` prints.
pub(crate) fn field<'a>(job: &'a str, name: &str) -> &'a str {
    let mut words = job.split_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

/// Waits until something is so.
pub(crate) fn until<T>(what: &str, mut is: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(value) = is()? {
            return Ok(value);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("waited {} s until {what}", PATIENCE.as_secs())
}

/// The configuration of Slurm: what the example needs, and what lets it run on one machine without cgroups.
fn configuration(root: &Path, dir: &Path) -> Result<String> {
    let example = root.join(EXAMPLE);
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
