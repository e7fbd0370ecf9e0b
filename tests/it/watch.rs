//! `dlsoak watch`: hosts that load their own libraries, each compiled here, with the twin that must not trip.

use std::process::Output;

use dlsoak::record::{Code, HostEnd, Metric, Watch, WatchVerdict, WatchedLibrary};
use tempfile::TempDir;

use crate::hosts::Built;
use crate::support::{dlsoak, library, read_record};
use crate::watch_faults::RELOAD;

/// A host with a module that uses a shared library: it leaks 1,008 bytes of heap with each load, or nothing.
pub(crate) struct Host {
    pub(crate) built: Built,
    pub(crate) out: TempDir,
}

impl Host {
    pub(crate) fn new(host: &[&str], module: &[&str]) -> Self {
        let built = Built::new();
        built.compile("host", "../watch/host.c", host);
        built.library("libshared.so", "../watch/shared.c", &[]);
        built.library("module.so", "../watch/module.c", &[module, &["-lshared"]].concat());
        Self { built, out: tempfile::tempdir().unwrap() }
    }

    /// Watches it with these arguments, for 12 reloads unless they say otherwise.
    pub(crate) fn watch(&self, args: &[&str]) -> (Output, Option<Watch>) {
        let mut command = dlsoak();
        command.arg("watch").args(["--settle", "20ms", "--force"]);
        if !args.contains(&"--do") {
            command.args(["--do", "kill -HUP $PID", "--until-loads", "13"]);
        }
        command.args(args).arg("-o").arg(self.out.path());
        command.arg("--").arg(self.built.path("host")).arg(self.built.path("module.so"));
        let output = command.output().unwrap();
        let watch = read_record(self.out.path()).ok().and_then(|run| run.watch);
        (output, watch)
    }
}

/// A step that reloads the host, and ends it the tenth time.
pub(crate) fn ten_times(host: &Host) -> String {
    let file = host.out.path().join("steps");
    let file = file.display();
    format!("echo >> {file}; if [ $(wc -l < {file}) = 10 ]; then kill -TERM $PID; else kill -HUP $PID; fi")
}

/// The exit code, the watch, and the module.
pub(crate) fn module(host: &Host, args: &[&str]) -> (i32, Watch, WatchedLibrary) {
    let (output, watch) = host.watch(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let watch = watch.unwrap_or_else(|| panic!("{said}"));
    let module = watch.libraries.iter().find(|library| library.path.ends_with("/module.so"));
    let module = module.unwrap_or_else(|| panic!("{:?}", watch.libraries)).clone();
    (output.status.code().unwrap(), watch, module)
}

#[test]
fn a_module_that_keeps_what_a_dependency_allocates_leaks_and_its_twin_does_not() {
    let (code, watch, leaking) = module(&Host::new(&[], &[]), &[]);
    assert_eq!((code, leaking.verdict), (1, WatchVerdict::Leak), "{leaking:#?}");
    assert_eq!((leaking.loads, leaking.unloads, leaking.opens, leaking.closes), (13, 12, 13, 12));
    let leak = leaking.leak.unwrap();
    assert_eq!((leak.metric, leak.bytes_per_cycle), (Metric::Heap, 1008.0));
    let place = &leaking.places[0];
    assert_eq!((place.function.as_deref(), place.bytes_per_cycle), (Some("begin"), 1008.0));
    assert!(place.module.ends_with("libshared.so"), "{place:?}");
    assert_eq!((watch.host.end, watch.steps, watch.lost), (HostEnd::Stopped, 12, 0));
    let (code, _, clean) = module(&Host::new(&[], &["-DENDS"]), &[]);
    assert_eq!((code, clean.verdict), (0, WatchVerdict::Clean), "{clean:#?}");
    assert_eq!(clean.growth.iter().map(|growth| growth.per_cycle).fold(0.0, f64::max), 0.0);
}

#[test]
fn a_saved_watch_is_shown_and_judged_again() {
    let host = Host::new(&[], &[]);
    let (output, _) = host.watch(&[]);
    let record = host.out.path().join("record.json");
    let shown = |verb: &[&str]| {
        let output = dlsoak().args(verb).arg(&record).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let said = String::from_utf8(output.stdout).unwrap();
    for (verb, code) in [(&["report", "--to", "text"][..], 0), (&["judge"], 1)] {
        let (found, text) = shown(verb);
        assert_eq!(found, code, "{text}");
        assert!(said.starts_with(&text), "{verb:?}: {text}{said}");
    }
}

#[test]
fn what_the_host_itself_allocates_is_not_the_module_s() {
    let host = Host::new(&["-DGARBAGE"], &["-DENDS"]);
    for heap in ["groups", "all"] {
        let (code, _, clean) = module(&host, &["--heap", heap]);
        assert_eq!((code, clean.verdict), (0, WatchVerdict::Clean), "{heap}: {clean:#?}");
    }
}

#[test]
fn a_host_that_opens_before_it_closes_never_reloads() {
    let host = Host::new(&["-DOPENS_FIRST"], &[]);
    let (code, _, module) = module(&host, &["--do", &ten_times(&host)]);
    assert_eq!((code, module.verdict), (0, WatchVerdict::NeverReloaded), "{module:#?}");
    assert!(module.opens > module.closes && module.closes > 0 && module.loads == 1, "{module:#?}");
    assert_eq!(module.findings[0].code, Code::NeverReloaded);
    // Handles are counted without notes, too.
    std::fs::remove_file(host.out.path().join("steps")).unwrap();
    let (_, _, unnoted) = self::module(&host, &["--do", &ten_times(&host), "--heap", "off"]);
    assert_eq!((unnoted.verdict, unnoted.opens), (WatchVerdict::NeverReloaded, module.opens), "{unnoted:#?}");
}

#[test]
fn a_host_that_never_closes_holds() {
    let host = Host::new(&["-DKEEPS"], &[]);
    let (code, _, module) = module(&host, &["--do", &ten_times(&host), "--require-unload", "module.so"]);
    assert_eq!((code, module.verdict, module.closes), (1, WatchVerdict::NeverReloaded, 0), "{module:#?}");
}

#[test]
fn a_module_that_can_t_be_unloaded_is_pinned() {
    let host = Host::new(&[], &["-DENDS", "-Wl,-z,nodelete"]);
    let (code, _, module) = module(&host, &["--do", &ten_times(&host)]);
    assert_eq!((code, module.verdict, module.unloads), (0, WatchVerdict::Pinned, 0), "{module:#?}");
    assert_eq!(module.findings[0].code, Code::PinnedNodelete);
}

#[test]
fn a_host_that_closes_every_descriptor_or_goes_into_the_background_is_watched() {
    for kind in ["-DCLOSES_ALL", "-DBACKGROUND"] {
        let (code, _, leaking) = module(&Host::new(&[kind], &[]), &[]);
        assert_eq!(
            (code, leaking.verdict, leaking.loads),
            (1, WatchVerdict::Leak, 13),
            "{kind}: {leaking:#?}"
        );
    }
}

#[test]
fn a_program_that_becomes_the_host_is_watched() {
    let host = Host::new(&[], &[]);
    let mut command = dlsoak();
    // The shell would be killed by a signal before it is the host.
    command.env("TURNS", host.out.path().join("turns"));
    command.args(["watch", "--do", RELOAD, "--settle", "20ms", "--until-loads", "13", "-o"]);
    command.arg(host.out.path().join("exec")).args(["--", "sh", "-c", "exec \"$0\" \"$1\""]);
    let output = command.arg(host.built.path("host")).arg(host.built.path("module.so")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let watch = read_record(&host.out.path().join("exec")).unwrap().watch.unwrap();
    assert_eq!((watch.execs, watch.libraries[0].verdict), (1, WatchVerdict::Leak), "{watch:#?}");
}

#[test]
fn a_host_with_another_allocator_is_watched() {
    let Some(jemalloc) = library("libjemalloc.so.2", "libjemalloc2") else { return };
    let link = ["-Wl,--no-as-needed", jemalloc.to_str().unwrap()];
    let (code, _, leaking) = module(&Host::new(&link, &[]), &[]);
    assert_eq!((code, leaking.verdict), (1, WatchVerdict::Leak), "{leaking:#?}");
    let (code, _, clean) = module(&Host::new(&link, &["-DENDS"]), &[]);
    assert_eq!((code, clean.verdict), (0, WatchVerdict::Clean), "{clean:#?}");
}

#[test]
fn a_host_that_loads_nothing_is_undecided() {
    let out = tempfile::tempdir().unwrap();
    let output =
        dlsoak().args(["watch", "-o"]).arg(out.path().join("watch")).args(["--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_can_t_be_watched_is_one_line() {
    let host = Host::new(&["-static"], &[]);
    let (output, watch) = host.watch(&["--for", "1s", "--do", "true"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), watch), (Some(2), None));
    assert!(said.lines().filter(|line| line.contains("static or setuid")).count() == 1, "{said}");
    let output = dlsoak().args(["watch", "--", "/no/such/host"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("/no/such/host") && said.lines().count() == 1, "{said}");
}
