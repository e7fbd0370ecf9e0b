//! `dlsoak watch` when something goes wrong: the host crashes, hangs, becomes another program or forks; the watcher is killed or can't keep up.
//! What was measured is reported, what was not is said, and no host is harmed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use dlsoak::record::{Code, Facts, HostEnd, Watch, WatchVerdict, WatchedLibrary};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::killed::marked;
use crate::support::{dlsoak, read_record, until};
use crate::watch::{Host, module, named, reloads};

/// Reloads of a host that ends by itself after so many.
const AFTER: u64 = 12;

/// What a host does after [`AFTER`] reloads.
fn then(does: &str) -> [String; 2] {
    [format!("-DAFTER={AFTER}"), format!("-DTHEN={does}")]
}

/// A host whose module keeps what it allocates, with these switches.
fn leaking(switches: &[&str]) -> Host {
    Host::new(switches, &[])
}

/// The process that a host is, and its reloads, as it tells them itself.
pub(crate) fn turns(file: &Path) -> Option<(i32, u64)> {
    let text = std::fs::read_to_string(file).ok()?;
    let (pid, turns) = text.trim().split_once(' ')?;
    Some((pid.parse().ok()?, turns.parse().ok()?))
}

/// Waits until the host has reloaded this many times; its process.
pub(crate) fn reloaded(file: &Path, times: u64) -> i32 {
    let enough = || turns(file).filter(|(_, turns)| *turns >= times);
    until(format!("{times} reloads, {:?}", turns(file)), enough).0
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn number(child: &Child) -> i32 {
    child.id().cast_signed()
}

/// A watch of a host with these modules that runs beside the test. The host tells its reloads in the file `turns`.
struct Beside {
    child: Child,
    turns: PathBuf,
    out: PathBuf,
}

impl Beside {
    fn start(host: &Host, modules: &[PathBuf], args: &[&str]) -> Self {
        let (turns, out) = (host.out.path().join("turns"), host.out.path().join("record"));
        let mut command = dlsoak();
        let settle: &[&str] = if args.contains(&"--settle") { &[] } else { &["--settle", "5ms"] };
        command.arg("watch").args(settle).args(args).arg("-o").arg(&out).arg("--");
        command
            .arg(host.built.path("host"))
            .args(modules)
            .env("TURNS", &turns)
            .env("TMPDIR", host.out.path());
        command.env("DLSOAK_TEST_MARK", host.out.path());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child, turns, out }
    }

    /// The exit code, what it said, and the watch.
    fn finish(self) -> (i32, String, Watch) {
        let output = self.child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let watch = read_record(&self.out).ok().and_then(|run| run.watch).unwrap_or_else(|| panic!("{said}"));
        (output.status.code().unwrap(), said, watch)
    }
}

/// An action that reloads the host and waits until it has.
pub(crate) const RELOAD: &str = "until [ -e $TURNS ]; do sleep 0.01; done; was=$(cat $TURNS); kill -HUP $PID; \
                      while [ \"$(cat $TURNS)\" = \"$was\" ]; do kill -0 $PID || exit 0; sleep 0.01; done";

/// The private directories in a place.
fn private(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.join(".dlsoak-private").exists()).collect()
}

#[test]
fn a_host_that_crashes_exits_or_is_killed_is_reported_up_to_then() {
    let ends = [
        ("*(volatile int *)0 = 0", HostEnd::Killed { signal: 11 }),
        ("exit(3)", HostEnd::Exited { code: 3 }),
        ("kill(getpid(), SIGKILL)", HostEnd::Killed { signal: 9 }),
    ];
    for (does, end) in ends {
        let switches = then(does);
        let host = leaking(&switches.each_ref().map(String::as_str));
        let (code, watch, leaking) = module(&host, &["--do", "kill -HUP $PID"]);
        assert_eq!(watch.host.end, end);
        assert_eq!((code, leaking.verdict), (1, WatchVerdict::Leak), "{does}: {leaking:#?}");
        assert_eq!((leaking.loads, leaking.unloads), (AFTER, AFTER - 1), "{does}");
        assert_eq!(leaking.leak.unwrap().bytes_per_cycle, 1008.0, "{does}");
    }
}

#[test]
fn a_host_that_is_never_quiet_or_never_ready_ends_with_the_time() {
    for (host, args) in [
        (leaking(&["-DPACED=1000"]), &["--settle", "10s"][..]),
        (leaking(&[]), &["--ready", "exit 1"]),
        // One that does not end, either.
        (leaking(&[]), &["--ready", "sleep 1000; true"]),
    ] {
        let watched =
            Beside::start(&host, &[host.built.path("module.so")], &[&["--for", "1s"], args].concat());
        let (code, said, watch) = watched.finish();
        assert_eq!((code, watch.steps, &watch.host.end), (3, 0, &HostEnd::Stopped), "{args:?}: {said}");
        assert!(said.contains("no step was over"), "{said}");
        assert_eq!(marked(host.out.path().to_str().unwrap()), [0; 0]);
    }
}

#[test]
fn an_interrupt_ends_a_watch_that_hangs_and_all_that_it_started() {
    let host = leaking(&[]);
    let watched = Beside::start(&host, &[host.built.path("module.so")], &["--do", "sleep 1000; true"]);
    let mark = host.out.path().to_str().unwrap().to_owned();
    // The watcher, the host, the shell, and what that started.
    until("the action runs", || (marked(&mark).len() == 4).then_some(()));
    signal(number(&watched.child), Signal::SIGINT);
    let (code, said, watch) = watched.finish();
    assert_eq!((code, named(&watch, "module.so").loads), (130, 1), "{said}");
    assert_eq!((marked(&mark), private(host.out.path())), (Vec::new(), Vec::new()));
}

#[test]
fn a_host_that_takes_ours_out_of_its_environment_and_becomes_another_program_is_said() {
    for variables in [&["LD_AUDIT", "LD_PRELOAD"][..], &["LD_AUDIT"]] {
        let unset: String = variables.iter().map(|name| format!("unsetenv(\"{name}\");")).collect();
        let switches = then(&format!("{{ {unset} execv(\"/proc/self/exe\", arguments); }}"));
        let host = Host::new(&switches.each_ref().map(String::as_str), &["-DENDS"]);
        let (code, watch, clean) = module(&host, &["--do", &reloads(&host, 30)]);
        // Clean until then, and it does not pass.
        assert_eq!((code, watch.unseen, clean.verdict), (3, true, WatchVerdict::Clean), "{watch:#?}");
    }
    // Its twin keeps them, and so is seen to the end.
    let switches = then("execv(\"/proc/self/exe\", arguments)");
    let host = Host::new(&switches.each_ref().map(String::as_str), &["-DENDS"]);
    let (_, watch, _) = module(&host, &["--do", &reloads(&host, 30)]);
    assert!(!watch.unseen && watch.execs > 0, "{watch:#?}");
}

#[test]
fn without_the_library_that_takes_notes_nothing_is_clean() {
    let switches = then("{ unsetenv(\"LD_PRELOAD\"); execv(\"/proc/self/exe\", arguments); }");
    let host = Host::new(&switches.each_ref().map(String::as_str), &["-DENDS"]);
    let (code, watch, module) = module(&host, &["--do", &reloads(&host, 30)]);
    assert_eq!((code, module.verdict), (3, WatchVerdict::Inconclusive), "{watch:#?}");
    assert_eq!(module.findings[0].facts, Facts::NothingMeasured {});
    assert!(watch.execs > 0 && module.checkpoints.rows.is_empty(), "{watch:#?}");
}

#[test]
fn workers_that_load_too_are_counted_and_are_not_the_host_s() {
    let host = leaking(&["-DWORKERS=3"]);
    let (code, watch, leaking) = module(&host, &[]);
    assert_eq!((code, leaking.loads, leaking.unloads), (1, 13, 12), "{leaking:#?}");
    assert_eq!((watch.children, watch.child_loads), (3, 15));
}

#[test]
fn a_host_that_forks_twice_or_loads_before_its_parent_ends_is_followed() {
    for kind in ["-DBACKGROUND=2", "-DWAITS"] {
        let (code, watch, leaking) = module(&leaking(&[kind]), &[]);
        assert_eq!((code, leaking.verdict), (1, WatchVerdict::Leak), "{kind}: {leaking:#?}");
        assert_eq!((leaking.loads, leaking.unloads, watch.child_loads), (13, 12, 0), "{kind}");
    }
}

#[test]
fn orphans_of_the_host_do_not_pile_up() {
    let host = leaking(&["-DHELPERS", "-DPACED=2000"]);
    let watched = Beside::start(&host, &[host.built.path("module.so")], &[]);
    let pid = reloaded(&watched.turns, 300);
    let own = number(&watched.child);
    let dead = procfs::process::all_processes().unwrap().flatten().filter_map(|process| process.stat().ok());
    let dead = dead.filter(|stat| stat.ppid == own && stat.state == 'Z').count();
    signal(pid, Signal::SIGTERM);
    let (_, said, watch) = watched.finish();
    assert!(dead < 100, "{dead} of 300");
    assert_eq!(watch.host.end, HostEnd::Killed { signal: 15 }, "{said}");
}

#[test]
fn a_program_with_a_malloc_of_its_own_is_not_clean() {
    let own = xtask::fixtures::root().join("tests/data/hosts/own-malloc.c");
    let host = Host::new(&["-fno-builtin", own.to_str().unwrap()], &["-DENDS"]);
    let (code, _, module) = module(&host, &[]);
    assert_eq!((code, module.verdict), (3, WatchVerdict::Inconclusive), "{module:#?}");
    assert_eq!(module.findings[0].code, Code::HeapNotMeasured);
}

#[test]
fn a_library_that_can_t_be_loaded_hinders_nothing() {
    let host = leaking(&[]);
    host.built.library("libgone.so", "../watch/shared.c", &[]);
    let broken = host.built.library("broken.so", "../watch/module.c", &["-lgone", "-Wl,--no-as-needed"]);
    std::fs::remove_file(host.built.path("libgone.so")).unwrap();
    host.built.compile("host", "../watch/host.c", &[&format!("-DBROKEN=\"{broken}\"")]);
    let (code, _, leaking) = module(&host, &[]);
    assert_eq!((code, leaking.verdict, leaking.loads), (1, WatchVerdict::Leak, 13), "{leaking:#?}");
}

#[test]
fn a_host_goes_on_when_the_watcher_is_killed_and_the_next_one_cleans_up() {
    let host = leaking(&[]);
    let place = host.out.path();
    let mut watched = Beside::start(&host, &[host.built.path("module.so")], &["--do", "kill -HUP $PID"]);
    let pid = reloaded(&watched.turns, 5);
    watched.child.kill().unwrap();
    watched.child.wait().unwrap();
    let go_on = || {
        let (_, before) = turns(&watched.turns).unwrap();
        signal(pid, Signal::SIGHUP);
        assert_eq!(reloaded(&watched.turns, before + 1), pid);
    };
    (0..5).for_each(|_| go_on());
    assert_eq!(private(place).len(), 1);
    let mut next = dlsoak();
    next.args(["watch", "-o"]).arg(place.join("next")).args(["--", "true"]).env("TMPDIR", place);
    assert_eq!(next.output().unwrap().status.code(), Some(3));
    assert!(private(place).is_empty());
    (0..5).for_each(|_| go_on());
    signal(pid, Signal::SIGKILL);
}

#[test]
fn what_the_ring_has_no_room_for_is_said_and_does_not_pass() {
    let host = Host::new(&["-DMANY=4000"], &["-DENDS"]);
    let watched = Beside::start(&host, &[host.built.path("module.so")], &["--for", "600s"]);
    let pid = reloaded(&watched.turns, 4000);
    let own = number(&watched.child);
    signal(own, Signal::SIGSTOP);
    signal(pid, Signal::SIGHUP);
    reloaded(&watched.turns, 8000);
    signal(own, Signal::SIGCONT);
    signal(pid, Signal::SIGHUP);
    reloaded(&watched.turns, 12_000);
    signal(pid, Signal::SIGTERM);
    let (code, said, watch) = watched.finish();
    let module = named(&watch, "module.so");
    assert!(watch.lost > 0 && module.loads < 12_000, "{said}");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("were lost"), "{said}");
}

#[test]
fn two_hundred_libraries_are_counted_each() {
    let host = leaking(&[]);
    let modules: Vec<PathBuf> =
        (0..200).map(|number| host.built.path(&format!("module{number}.so"))).collect();
    let clean = host.built.library("clean.so", "../watch/shared.c", &[]);
    let leaks = host.built.library("leaks.so", "../watch/shared.c", &["-DUSERS=2"]);
    for (module, from) in modules.iter().zip([clean, leaks].iter().cycle()) {
        std::fs::copy(from, module).unwrap();
    }
    let args = ["--do", RELOAD, "--until-loads", "13"];
    let (code, said, watch) = Beside::start(&host, &modules, &args).finish();
    assert_eq!((code, watch.libraries.len(), watch.lost, watch.lost_notes), (1, 200, 0, 0), "{said}");
    for (number, module) in modules.iter().enumerate() {
        let module = named(&watch, module.file_name().unwrap().to_str().unwrap());
        assert_eq!(
            (module.opens, module.closes, module.loads, module.unloads),
            (13, 12, 13, 12),
            "{module:#?}"
        );
        let (verdict, leak) = match number % 2 {
            0 => (WatchVerdict::Clean, None),
            _ => (WatchVerdict::Leak, Some(1008.0)),
        };
        assert_eq!((module.verdict, module.leak.as_ref().map(|leak| leak.bytes_per_cycle)), (verdict, leak));
    }
}

/// A host with 50 threads, and its modules.
pub(crate) fn with_threads() -> (Host, Vec<PathBuf>) {
    let host = leaking(&[]);
    host.built.compile("host", "../watch/threads.c", &["-pthread", "-rdynamic"]);
    let modules: Vec<PathBuf> =
        (0..10).map(|number| host.built.path(&format!("counted{number}.so"))).collect();
    let from = host.built.library("counted.so", "../watch/counted.c", &[]);
    for module in &modules {
        std::fs::copy(&from, module).unwrap();
    }
    (host, modules)
}

#[test]
fn fifty_threads_that_load_at_once_are_counted_exactly() {
    let (host, modules) = with_threads();
    let watched = Beside::start(&host, &modules, &[]);
    let file = watched.turns.clone();
    let (_, said, watch) = watched.finish();
    let (begun, ended) = turns(&file).unwrap();
    let sum = |of: fn(&WatchedLibrary) -> u64| watch.libraries.iter().map(of).sum::<u64>();
    assert_eq!(watch.host.end, HostEnd::Exited { code: 0 }, "{said}");
    assert_eq!((sum(|of| of.loads), sum(|of| of.unloads)), (begun.unsigned_abs().into(), ended), "{said}");
    assert_eq!((sum(|of| of.opens), sum(|of| of.closes), watch.lost), (50 * 40, 50 * 40, 0), "{said}");
}

/// Resident memory that the watcher has made itself.
fn memory(watcher: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", watcher.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Watches a host that loads 100 times per second. The watcher's memory has no new height in the last half.
fn memory_stays(loads: u64) {
    const PARTS: u64 = 20;
    let host = leaking(&["-DPACED=10000"]);
    let args = ["--every", "30ms", "--settle", "1ms"];
    let watched = Beside::start(&host, &[host.built.path("module.so")], &args);
    let (mut pid, mut taken) = (0, Vec::new());
    for part in 1..=PARTS {
        pid = reloaded(&watched.turns, loads * part / PARTS);
        taken.push(memory(&watched.child));
    }
    signal(pid, Signal::SIGTERM);
    let (code, said, watch) = watched.finish();
    let module = named(&watch, "module.so");
    assert_eq!((code, module.verdict, watch.lost), (1, WatchVerdict::Leak, 0), "{said}");
    assert!(module.loads >= loads && module.checkpoints.rows.len() <= 256, "{module:#?}");
    // What the nightly run is for.
    let _ = writeln!(std::io::stderr(), "{loads} loads, {} steps: {taken:?}", watch.steps);
    let (early, late) = taken.split_at(taken.len() / 2);
    let highest = |of: &[u64]| of.iter().copied().max().unwrap_or(0);
    assert!(highest(late) <= highest(early) + highest(early) / 20, "{taken:?}");
}

#[test]
fn the_watcher_s_memory_does_not_grow_with_the_loads() {
    memory_stays(2000);
}

#[test]
#[ignore = "takes ten minutes; `cargo xtask nightly` has it"]
fn the_watcher_s_memory_does_not_grow_in_ten_minutes() {
    memory_stays(60_000);
}
