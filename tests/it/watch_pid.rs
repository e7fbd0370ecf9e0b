//! `dlsoak watch --pid`: a process that runs already, by the kernel's reports, and without the right to them.

use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use dlsoak::record::checkup::Sight;
use dlsoak::watch::sight;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{dlsoak, lack, until};
use crate::watch::Host;
use crate::watch_faults::{reloaded, signal, turns, with_threads};

/// A user without any right.
const NOBODY: u32 = 65_534;

/// A host that runs by itself, and is ended with the test.
struct Running {
    host: Host,
    child: Child,
    turns: PathBuf,
}

impl Running {
    fn start(switches: &[&str], user: Option<u32>) -> Self {
        let host = Host::new(switches, &["-DENDS"]);
        // Another user must find the libraries, and write to the file.
        for place in [host.built.path(""), host.out.path().to_owned()] {
            std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let turns = host.out.path().join("turns");
        let mut command = Command::new(host.built.path("host"));
        command.arg(host.built.path("module.so")).env("TURNS", &turns);
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let child = command.spawn().unwrap();
        reloaded(&turns, 1);
        Self { host, child, turns }
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    fn watch(&self, mut dlsoak: Command, args: &[&str]) -> Command {
        dlsoak.args(["watch", "--message-format", "json", "--settle", "1ms", "--every", "1ms", "--pid"]);
        dlsoak.arg(self.pid().to_string()).args(args);
        dlsoak
    }

    /// The exit code and what was found of a host that ends by itself, after reloads.
    fn to_its_end(&self) -> (i32, Value) {
        found(&self.watch(dlsoak(), &["--do", "kill -HUP $PID", "--for", "600s"]).output().unwrap())
    }

    /// A watcher that has begun, and waits for so many loads. It does nothing itself.
    fn begun(&self, dlsoak: Command, loads: u64) -> Child {
        let ready = self.host.out.path().join("ready");
        let action = format!("touch {}; sleep 600", ready.display());
        let loads = loads.to_string();
        let mut command = self.watch(dlsoak, &["--do", &action, "--until-loads", &loads, "--for", "600s"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("it watches", || ready.exists().then_some(()));
        std::fs::remove_file(ready).unwrap();
        child
    }

    /// The exit code and what was found in so many reloads.
    fn reloads(&self, dlsoak: Command, times: u64) -> (i32, Value) {
        let watcher = self.begun(dlsoak, times);
        (0..times).for_each(|_| self.reload());
        found(&watcher.wait_with_output().unwrap())
    }

    /// Reloads the host once.
    fn reload(&self) {
        let before = self.turns();
        signal(self.pid(), Signal::SIGHUP);
        reloaded(&self.turns, before + 1);
    }

    fn turns(&self) -> u64 {
        turns(&self.turns).unwrap().1
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the constructors and destructors of its libraries have counted.
fn turns_of(running: &Running) -> (u64, u64) {
    let (begun, ended) = turns(&running.turns).unwrap();
    (begun.unsigned_abs().into(), ended)
}

fn found(output: &Output) -> (i32, Value) {
    let said = String::from_utf8_lossy(&output.stderr);
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code().unwrap(), found)
}

/// How often a library was loaded and unloaded, and how often it is mapped.
fn counts(found: &Value, name: &str) -> (u64, u64, u64) {
    let of = |library: &&Value| library["path"].as_str().unwrap().ends_with(name);
    let library = found["mapped"].as_array().unwrap().iter().find(of).unwrap_or_else(|| panic!("{found:#}"));
    let count = |field: &str| library[field].as_u64().unwrap();
    (count("loads"), count("unloads"), count("copies"))
}

/// Whether the kernel reports loads and unloads to this user.
fn sees() -> bool {
    let sees = sight() == Sight::LoadsAndUnloads;
    if !sees {
        lack("loads and unloads of a process that runs already", &format!("perf events: {:?}", sight()));
    }
    sees
}

#[test]
fn loads_and_unloads_are_counted_exactly() {
    if !sees() {
        return;
    }
    let host = Running::start(&[], None);
    let (code, found) = host.reloads(dlsoak(), 20);
    assert_eq!((code, found["counted"]["by"].as_str(), found["lost"].as_u64()), (0, Some("events"), Some(0)));
    assert_eq!(counts(&found, "/module.so"), (20, 20, 1), "{found:#}");
    // What it brings is loaded as often, and the C library stays.
    assert_eq!(counts(&found, "/libshared.so"), (20, 20, 1), "{found:#}");
    let libc = PathBuf::from(crate::support::libc());
    assert_eq!(counts(&found, libc.file_name().unwrap().to_str().unwrap()), (0, 0, 1), "{found:#}");
}

#[test]
fn the_count_goes_up_to_the_host_s_end() {
    if !sees() {
        return;
    }
    let host = Running::start(&["-DMANY=50", "-DAFTER=500", "-DTHEN=exit(0)"], None);
    let (code, found) = host.to_its_end();
    assert_eq!((code, host.turns()), (0, 500));
    let (loads, unloads, _) = counts(&found, "/module.so");
    assert_eq!((loads, unloads), (450, 450), "{found:#}");
}

#[test]
fn what_children_load_is_not_the_host_s() {
    if !sees() {
        return;
    }
    let host = Running::start(&["-DCHILD", "-DAFTER=30", "-DTHEN=exit(0)"], None);
    let (_, found) = host.to_its_end();
    assert_eq!(counts(&found, "/module.so"), (29, 29, 1), "{found:#}");
    // The module, and what it brings.
    let of = |field: &str| found[field].as_u64();
    assert_eq!((of("children"), of("child_loads"), of("lost")), (Some(29), Some(58), Some(0)), "{found:#}");
}

#[test]
fn fifty_threads_that_were_there_before_are_counted_exactly() {
    if !sees() {
        return;
    }
    let (host, modules) = with_threads();
    let turns = host.out.path().join("turns");
    let mut command = Command::new(host.built.path("host"));
    let child = command.args(&modules).env("TURNS", &turns).env("WAITS", "1").spawn().unwrap();
    let running = Running { host, child, turns };
    reloaded(&running.turns, 1);
    let (code, found) = running.to_its_end();
    let (begun, ended) = turns_of(&running);
    let sum = |field: &str| {
        let of = |library: &&Value| library["path"].as_str().unwrap().contains("/counted");
        let all = found["mapped"].as_array().unwrap().iter().filter(of);
        all.map(|library| library[field].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((code, sum("loads"), sum("unloads")), (0, begun, ended), "{found:#}");
}

#[test]
fn the_host_goes_on_when_the_watcher_is_killed() {
    if !sees() {
        return;
    }
    let host = Running::start(&[], None);
    let mut watcher = host.begun(dlsoak(), 1000);
    (0..10).for_each(|_| host.reload());
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    (0..5).for_each(|_| host.reload());
    // And the next one counts from where it begins.
    let (_, found) = host.reloads(dlsoak(), 5);
    assert_eq!(counts(&found, "/module.so"), (5, 5, 1), "{found:#}");
}

#[test]
fn what_the_kernel_has_no_room_for_is_said() {
    if !sees() {
        return;
    }
    let host = Running::start(&["-DMANY=10000"], None);
    let watcher = host.begun(dlsoak(), 500);
    let own = watcher.id().cast_signed();
    signal(own, Signal::SIGSTOP);
    signal(host.pid(), Signal::SIGHUP);
    reloaded(&host.turns, 20_000);
    signal(own, Signal::SIGCONT);
    let (code, found) = found(&watcher.wait_with_output().unwrap());
    assert_eq!(code, 3, "{found:#}");
    assert!(found["lost"].as_u64().unwrap() > 0, "{found:#}");
}

#[test]
fn another_user_counts_loads_of_their_own_process_and_reads_no_one_else_s() {
    if !nix::unistd::geteuid().is_root() {
        let output = dlsoak().args(["watch", "--pid", "1"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("CAP_SYS_PTRACE"), "{said}");
        return;
    }
    // By a descriptor, because the way to the program may be closed to others.
    let program = std::fs::File::open(env!("CARGO_BIN_EXE_dlsoak")).unwrap();
    nix::fcntl::fcntl(&program, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let as_nobody = || {
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.uid(NOBODY).gid(NOBODY).current_dir("/").arg("-q");
        command
    };
    let foreign = Running::start(&[], None);
    let output = foreign.watch(as_nobody(), &[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("another user") && said.contains("CAP_SYS_PTRACE"), "{said}");
    let own = Running::start(&[], Some(NOBODY));
    if dlsoak::watch::paranoid().is_none_or(|level| level > 2) {
        let (_, found) = found(&own.watch(as_nobody(), &["--for", "1s"]).output().unwrap());
        assert_eq!(found["counted"]["by"], "none", "{found:#}");
        return;
    }
    let (code, found) = own.reloads(as_nobody(), 20);
    assert_eq!((code, found["counted"]["by"].as_str()), (0, Some("mappings")), "{found:#}");
    assert_eq!(counts(&found, "/module.so"), (20, 20, 1), "{found:#}");
}
