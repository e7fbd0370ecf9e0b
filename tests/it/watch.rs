//! `dlsoak watch`: hosts that load their own libraries, each compiled here, with the twin that must not trip.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use dlsoak::record::{CauseFacts, Code, Facts, HostEnd, Metric, Watch, WatchVerdict, WatchedLibrary};
use tempfile::TempDir;

use crate::hosts::Built;
use crate::support::{dlsoak, library, read_record};
use crate::watch_faults::RELOAD;

/// How long the loader is quiet after a reload. On 2 processors with a load of 17, a host was later than 20 ms.
const SETTLE: &str = "60ms";

/// A host with a module that uses a shared library: it leaks 1,008 bytes of heap with each load, or nothing.
pub(crate) struct Host {
    pub(crate) built: Built,
    pub(crate) out: TempDir,
    /// What the host loads.
    loads: Vec<&'static str>,
}

impl Host {
    pub(crate) fn new(host: &[&str], module: &[&str]) -> Self {
        let built = Built::new();
        built.compile("host", "../watch/host.c", host);
        built.library("libshared.so", "../watch/shared.c", &[]);
        built.library("module.so", "../watch/module.c", &[module, &["-lshared"]].concat());
        Self { built, out: tempfile::tempdir().unwrap(), loads: vec!["module.so"] }
    }

    /// Watches it with these arguments, for 12 reloads unless they say otherwise.
    pub(crate) fn watch(&self, args: &[&str]) -> (Output, Option<Watch>) {
        let output = self.command(args).output().unwrap();
        let watch = read_record(self.out.path()).ok().and_then(|run| run.watch);
        (output, watch)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = dlsoak();
        command.arg("watch").args(["--settle", SETTLE, "--force"]);
        if !args.contains(&"--do") {
            command.args(["--do", "kill -HUP $PID", "--until-loads", "13"]);
        }
        command.args(args).arg("-o").arg(self.out.path()).arg("--").arg(self.built.path("host"));
        command.args(self.loads.iter().map(|library| self.built.path(library)));
        command
    }
}

/// A step that reloads the host, and ends it the tenth time.
pub(crate) fn ten_times(host: &Host) -> String {
    reloads(host, 10)
}

/// The same at this step.
pub(crate) fn reloads(host: &Host, last: u64) -> String {
    until_step(host, last, "kill -HUP $PID")
}

/// A step that does this, and ends the host at the step with this number.
fn until_step(host: &Host, last: u64, step: &str) -> String {
    let file = host.out.path().join("steps");
    let file = file.display();
    format!("echo >> {file}; if [ $(wc -l < {file}) = {last} ]; then kill -TERM $PID; else {step}; fi")
}

/// The library with this file name.
pub(crate) fn named<'a>(watch: &'a Watch, name: &str) -> &'a WatchedLibrary {
    let mut libraries = watch.libraries.iter();
    libraries.find(|library| library.name() == name).unwrap_or_else(|| panic!("{:#?}", watch.libraries))
}

/// The exit code, the watch, and the module.
pub(crate) fn module(host: &Host, args: &[&str]) -> (i32, Watch, WatchedLibrary) {
    let (output, watch) = host.watch(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let watch = watch.unwrap_or_else(|| panic!("{said}"));
    let module = named(&watch, "module.so").clone();
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
    assert_eq!(shown(&["judge", "--max-leak-rate", "2000B/cycle"]).0, 0);
    for of_soaks in ["svg", "png", "csv", "hgrm", "hlog", "costs"] {
        assert_eq!(shown(&["report", "--to", of_soaks]), (2, String::new()), "{of_soaks}");
    }
    assert!(!host.out.path().join("memory.svg").exists());
}

#[test]
fn a_watch_leaves_a_record_and_a_page_and_annotates() {
    let host = Host::new(&["-DGARBAGE"], &[]);
    let mut command = host.command(&[]);
    let summary = host.built.path("summary.md");
    let output = command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let ends = "1 watched library: 1 leak - not passed";
    assert!(said.contains(ends) && said.contains("\n::error file="), "{said}");
    let mut files: Vec<_> =
        std::fs::read_dir(host.out.path()).unwrap().flatten().map(|of| of.file_name()).collect();
    files.sort();
    assert_eq!(files, ["record.json", "report.html"]);
    let page = std::fs::read_to_string(host.out.path().join("report.html")).unwrap();
    assert!(page.contains(ends) && page.contains("heap grows by exactly 1,008 B per load"));
    let summary = std::fs::read_to_string(summary).unwrap();
    assert!(summary.contains("FAIL leak | module.so | 13 | 12 | 13 | 12 | 1,008 B |"), "{summary}");
}

#[test]
fn what_is_not_reported_does_not_decide() {
    let host = Host::new(&[], &[]);
    let (output, watch) = host.watch(&["--only", "other*.so"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(watch.unwrap().libraries.is_empty());
    let run = read_record(host.out.path()).unwrap();
    assert!(!run.passed);
    let (code, _, leaking) = module(&host, &["--only", "mod*.so"]);
    assert_eq!((code, leaking.verdict), (1, WatchVerdict::Leak));
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
fn what_keeps_a_library_is_named() {
    // The one library is kept by the other, which needs it, and which the host has open.
    let mut host = Host::new(&[], &["-DENDS"]);
    host.loads = vec!["module.so", "libshared.so"];
    let (_, watch) = host.watch(&[]);
    let watch = watch.unwrap();
    let shared = named(&watch, "libshared.so");
    assert_eq!(shared.verdict, WatchVerdict::Pinned, "{shared:#?}");
    let Facts::Stays(cause) = &shared.findings[0].facts else { panic!("{shared:#?}") };
    let CauseFacts::NeededBy(keeper) = &cause.facts else { panic!("{shared:#?}") };
    assert!(keeper.by.ends_with("/module.so"), "{keeper:?}");
    assert_eq!(*keeper.cause, CauseFacts::ExtraReference { handles: Some(1), released: 0 });
    // Neither its file nor what else is loaded says why; a few loads in a process of ours do.
    let host = Host::new(&[], &["-DENDS", "-DTLS"]);
    let (_, _, pinned) = module(&host, &["--do", &ten_times(&host)]);
    assert_eq!(pinned.verdict, WatchVerdict::Pinned, "{pinned:#?}");
    assert_eq!(pinned.findings[0].code, Code::PinnedTlsDestructor, "{pinned:#?}");
    // What is open has code that opened it.
    let host = Host::new(&[], &[]);
    let (_, _, held) = module(&host, &["--do", &until_step(&host, 10, "true")]);
    assert_eq!((held.verdict, held.opens), (WatchVerdict::Held, 1), "{held:#?}");
    let by = held.opened_by.unwrap();
    assert!(by.module.ends_with("/host") && by.function.is_some(), "{by:?}");
    assert!(matches!(&held.findings[0].facts, Facts::Held { by: Some(found), .. } if *found == by));
}

#[test]
fn a_leak_that_is_allowed_passes() {
    let host = Host::new(&[], &[]);
    let (code, watch, leaking) = module(&host, &["--allow", "module.so=known"]);
    assert_eq!((code, leaking.verdict), (0, WatchVerdict::Leak), "{leaking:#?}");
    assert_eq!(watch.asked.allow[0].reason.to_string(), "known");
    assert!(read_record(host.out.path()).unwrap().passed);
}

#[test]
fn the_exit_code_can_be_the_hosts() {
    let host = Host::new(&[], &[]);
    let (code, watch, _) = module(&host, &["--do", &ten_times(&host), "--exit-code", "host"]);
    assert_eq!((code, watch.host.end), (128 + 15, HostEnd::Killed { signal: 15 }));
    // One that dlsoak ends has no say.
    let (code, _, _) = module(&host, &["--exit-code", "host"]);
    assert_eq!(code, 1);
}

#[test]
fn events_tell_of_steps_and_libraries() {
    let host = Host::new(&[], &[]);
    let (output, watch) = host.watch(&["--message-format", "json"]);
    let events: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |name: &'static str| events.iter().filter(move |event| event["event"] == name);
    assert_eq!((events[0]["event"].as_str(), of("begin").count()), (Some("begin"), 1));
    // The first is the start of the host.
    let steps: Vec<u64> = of("step").map(|event| event["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (0..=watch.unwrap().steps).collect::<Vec<_>>());
    let last: Vec<_> = of("library").filter(|event| event["final"] == true).collect();
    assert_eq!(last.len(), 1);
    assert_eq!((last[0]["verdict"].as_str(), last[0]["loads"].as_u64()), (Some("leak"), Some(13)));
    assert!(last[0].get("checkpoints").is_none() && last[0]["places"][0]["function"] == "begin");
    let end = events.last().unwrap();
    assert_eq!((end["event"].as_str(), end["exit_code"].as_u64()), (Some("end"), Some(1)));
}

#[test]
fn a_host_is_stopped_at_a_leak_until_somebody_lets_it_go_on() {
    let host = Host::new(&[], &[]);
    let stopped = ["--suspend-on", "leak", "--do", "kill -HUP $PID", "--until-loads", "30"];
    let mut child = host.command(&stopped).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let leak = lines.find(|line| line.contains("module.so: heap grows by")).unwrap();
    assert!(leak.contains("1,008 B per load"), "{leak}");
    let line = lines.next().unwrap();
    let pid = line.split(' ').nth(1).unwrap().to_owned();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    };
    // The signal takes a moment to arrive.
    while state() != 'T' {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(child.try_wait().unwrap().is_none());
    assert!(Command::new("kill").args(["-CONT", &pid]).status().unwrap().success());
    // The rest is read, so that nobody waits for room.
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let watch = read_record(host.out.path()).unwrap().watch.unwrap();
    assert_eq!((watch.libraries[0].loads, watch.host.end), (30, HostEnd::Stopped));
    // Its twin is never stopped.
    let (code, _, clean) = module(&Host::new(&[], &["-DENDS"]), &["--suspend-on", "leak"]);
    assert_eq!((code, clean.verdict), (0, WatchVerdict::Clean));
}

#[test]
fn two_watches_are_compared() {
    let [clean, leaks] = [&["-DENDS"][..], &[]].map(|module| {
        let host = Host::new(&[], module);
        host.watch(&[]);
        host
    });
    let [before, after] = [&clean, &leaks].map(|host| host.out.path().join("record.json"));
    let compared = |more: &[&str]| {
        let output = dlsoak().arg("compare").args([&before, &after]).args(more).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = compared(&[]);
    let growth = "module.so (worse): heap grows by 1,008 B per load instead of 0 B per load";
    assert!(code == 0 && said.contains(growth), "{said}");
    assert!(said.contains("module.so (worse): the verdict changed from clean to leak"), "{said}");
    assert_eq!(compared(&["--max-leak-increase", "8B/cycle"]).0, 1);
    assert_eq!(compared(&["--max-leak-increase", "2000B/cycle"]).0, 0);
    // A record holds one watch.
    let out = clean.out.path().join("merged.json");
    let output = dlsoak().arg("merge").args([&before, &after]).arg("-o").arg(&out).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count(), out.exists()), (Some(2), 1, false), "{said}");
    assert!(said.contains("are records of two watches"), "{said}");
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
    command.args(["watch", "--do", RELOAD, "--settle", SETTLE, "--until-loads", "13", "-o"]);
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
