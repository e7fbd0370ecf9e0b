//! A plugin is soaked as inside its host: a program that is read and never run. And a file that is replaced during a soak is not the one
//! that the soak is of.

use std::path::{Path, PathBuf};

use dlsoak::record::why::{FileChange, HostCall};
use dlsoak::record::{Code, Metric, OutcomeKind, Phase, Provider, Soak, Verdict, Why};

use crate::support::{DECIDED, compile, dlsoak, failure, fixture, growth, has, run};

/// A host, and plugins of it.
struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    fn new(host: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["bin", "modules"] {
            std::fs::create_dir(directory.path().join(folder)).unwrap();
        }
        let project = Self { directory };
        compile(&[&["-rdynamic"], host].concat(), "tests/data/host-program.c", &project.host());
        project
    }

    fn host(&self) -> PathBuf {
        self.directory.path().join("bin/tiny-host")
    }

    /// A plugin that does this.
    fn plugin(&self, does: &[&str]) -> PathBuf {
        let path = self.directory.path().join("modules/plugin.so");
        // Who ends with a call leaves no frame for it.
        let library = ["-shared", "-fPIC", "-fno-optimize-sibling-calls"];
        compile(&[&library, does].concat(), "tests/data/host-plugin.c", &path);
        path
    }

    /// A soak of it in its host.
    fn soak(&self, does: &[&str], settings: &[&str]) -> Soak {
        let plugin = self.plugin(does);
        let host = self.host();
        let words = [plugin.to_str().unwrap(), "--host", host.to_str().unwrap()];
        let finished = run(&[&words, settings].concat());
        assert!(finished.code != 2, "{}", finished.stderr);
        finished.soak().clone()
    }

    /// The error of a run that can't begin; it is one line, and nothing is left behind.
    fn refused(&self, does: &[&str]) -> String {
        refused(&self.plugin(does), &self.host())
    }
}

fn refused(plugin: &Path, host: &Path) -> String {
    let here = tempfile::tempdir().unwrap();
    let mut command = dlsoak();
    let output =
        command.arg("run").arg(plugin).arg("--host").arg(host).current_dir(here.path()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(output.stdout.is_empty() && here.path().read_dir().unwrap().next().is_none());
    stderr
}

fn called(soak: &Soak) -> &HostCall {
    let Some(Why::NeedsHost(call)) = &soak.outcome.why else { panic!("{:?}", soak.outcome) };
    assert_eq!((soak.outcome.kind, soak.judged.verdict), (OutcomeKind::NeedsHost, Verdict::NeedsHost));
    assert_eq!(soak.judged.findings[0].code, Code::NeedsHost);
    call
}

#[test]
fn a_plugin_loads_and_unloads_in_its_host_and_a_soak_without_names_the_host() {
    let project = Project::new(&[]);
    let plugin = project.plugin(&[]);
    let without = run(&[plugin.to_str().unwrap(), "-n", "100"]);
    let host = Provider::Program { path: project.host().to_str().unwrap().to_owned() };
    assert_eq!(failure(without.soak()).provider, Some(host));
    assert!(without.stdout.contains("--host "), "{}", without.stdout);

    let soak = project.soak(&[], &DECIDED);
    assert_eq!(soak.judged.verdict, Verdict::Clean, "{:?}", soak.judged.findings);
    assert!(
        soak.worker.objects.iter().any(|object| object == "dlsoak-stubs.so"),
        "{:?}",
        soak.worker.objects
    );
    // Each thread and each copy finds the host as well.
    for settings in [["-n", "100", "-t", "2"], ["-n", "100", "--mode", "copies"]] {
        assert_eq!(project.soak(&[], &settings).outcome.kind, OutcomeKind::Completed, "{settings:?}");
    }
}

#[test]
fn what_a_plugin_leaks_in_its_host_is_measured() {
    let soak = Project::new(&[]).soak(&["-DLEAKS"], &DECIDED);
    // A chunk of 112 bytes.
    let heap = growth(&soak, Metric::Heap);
    assert_eq!((soak.judged.verdict, heap.per_cycle), (Verdict::Leak, 112.0), "{:?}", soak.judged.findings);
}

#[test]
fn a_call_of_the_host_ends_the_soak_and_is_named() {
    let project = Project::new(&[]);
    let soak = project.soak(&["-DCALLS=1"], &["-n", "100"]);
    let HostCall { called: function, by, thread } = called(&soak);
    assert_eq!((function.as_str(), thread), ("host_log", &None));
    assert_eq!(by.as_ref().unwrap().function.as_deref(), Some("plugin_init"), "{:?}", soak.outcome.stacks);
    assert_eq!((soak.outcome.cycle, soak.outcome.phase), (Some(0), Some(Phase::Open)));

    let soak = project.soak(&["-DCALLS_AT_CLOSE"], &["-n", "100"]);
    assert_eq!((called(&soak).called.as_str(), soak.outcome.phase), ("host_log", Some(Phase::Close)));
    let soak = project.soak(&[], &["-n", "100", "-c", "plugin_run()"]);
    assert_eq!(called(&soak).by.as_ref().unwrap().function.as_deref(), Some("plugin_run"));
    assert_eq!(soak.outcome.phase, Some(Phase::Call));
    let soak = project.soak(&["-DON_THREAD"], &["-n", "100"]);
    assert!(called(&soak).thread.is_some() && soak.outcome.cycle == Some(0), "{:?}", soak.outcome);
}

#[test]
fn what_was_measured_before_a_call_of_the_host_is_kept() {
    let soak = Project::new(&[]).soak(&["-DCALLS=1200", "-DLEAKS"], &["-n", "2000", "--warmup", "100"]);
    assert_eq!((called(&soak).called.as_str(), soak.outcome.cycle), ("host_log", Some(1199)));
    assert_eq!(growth(&soak, Metric::Heap).per_cycle, 112.0);
    assert!(has(&soak, Code::LeakHeap), "{:?}", soak.judged.findings);
}

#[test]
fn variables_of_the_host_are_zero_at_first() {
    let soak = Project::new(&[]).soak(&["-DREADS"], &["-n", "200"]);
    assert_eq!(soak.outcome.kind, OutcomeKind::Completed, "{:?}", soak.outcome);
}

#[test]
fn what_no_stub_can_stand_in_for_is_refused_in_one_line() {
    let project = Project::new(&[]);
    for (does, part) in
        [("-DTHREAD_LOCAL", "thread-local variable `host_thread`"), ("-DCHOSEN", "`host_chosen`")]
    {
        let error = project.refused(&[does]);
        assert!(error.contains(part), "{error}");
    }
    let error = Project::new(&["-DALLOCATOR"]).refused(&["-DLEAKS"]);
    assert!(error.contains("its own `malloc`"), "{error}");
}

#[test]
fn a_plugin_that_a_host_cannot_serve_keeps_no_other_from_being_soaked() {
    let project = Project::new(&[]);
    let plugin = project.plugin(&["-DTHREAD_LOCAL"]);
    let refused = plugin.with_file_name("refused.so");
    std::fs::rename(plugin, &refused).unwrap();
    let plugin = project.plugin(&[]);
    let words = [&refused, &plugin].map(|path| path.to_str().unwrap());
    let finished = run(&[&words[..], &["--host", project.host().to_str().unwrap()], &DECIDED].concat());
    assert_eq!(finished.code, 2, "{}", finished.stderr);
    assert_eq!((finished.soak().path.as_str(), finished.run.passed), (words[1], false));
    let named: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("not soaked")).collect();
    assert!(matches!(named[..], [line] if line.contains(words[0])), "{}", finished.stderr);
}

#[test]
fn what_is_no_host_is_refused_in_one_line() {
    let project = Project::new(&[]);
    let plugin = project.plugin(&[]);
    let at = |name: &str| project.directory.path().join(name);
    std::fs::write(at("script"), "#!/bin/sh\n").unwrap();
    let mut other = std::fs::read(project.host()).unwrap();
    // e_machine: SPARC V9.
    other[18] = 43;
    std::fs::write(at("other"), other).unwrap();
    compile(&["-static"], "tests/data/host-program.c", &at("static"));
    for (host, part) in [
        (at("nothing"), "no such program"),
        (at("modules"), "a directory"),
        (at("script"), "not an ELF file; give --host the path of the program that loads the library"),
        (at("other"), "sparc64"),
        (at("static"), "linked statically"),
        (fixture("c-clean"), "a shared library"),
        (PathBuf::from("no-such-program-anywhere"), "in PATH"),
    ] {
        let error = refused(&plugin, &host);
        assert!(error.contains(part), "{error}");
    }
    let here = tempfile::tempdir().unwrap();
    let (plugin, host) = (plugin.to_str().unwrap(), project.host());
    let mode = ["run", plugin, "--host", host.to_str().unwrap(), "--mode", "namespace"];
    let output = dlsoak().args(mode).current_dir(here.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

/// A soak of a library that replaces its file by one that leaks, or touches it, at load 600; the path of it.
fn changing(replaces: bool, settings: &[&str]) -> (Soak, String) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let library = ["-shared", "-fPIC", "-Wl,--build-id"];
    compile(&library, "tests/data/replaced.c", Path::new(&at("new.so")));
    let names = [("PATH", at("lib.so")), ("COUNT", at("count")), ("TO", at("new.so"))];
    let names = names.map(|(name, path)| format!("-D{name}=\"{path}\""));
    let names = names.iter().map(String::as_str).take(if replaces { 3 } else { 2 });
    let arguments: Vec<&str> = library.into_iter().chain(["-DCHANGE=600"]).chain(names).collect();
    compile(&arguments, "tests/data/replaced.c", Path::new(&at("lib.so")));
    let words = [&at("lib.so"), "-n", "1000", "--warmup", "100"];
    (run(&[&words, settings].concat()).soak().clone(), at("lib.so"))
}

#[test]
fn a_file_that_is_replaced_during_a_soak_ends_it() {
    // The cycle is counted on its thread.
    for (settings, cycle) in [(&[][..], 600), (&["--mode", "copies"], 600), (&["-t", "2"], 1)] {
        let (soak, path) = changing(true, settings);
        let Some(Why::FileChanged(change)) = &soak.outcome.why else { panic!("{:?}", soak.outcome) };
        let FileChange { path: named, before, now, same } = change;
        assert_eq!((named, before), (&path, &soak.build_id));
        assert!(before.is_some() && now.is_some() && now != before && !same, "{change:?}");
        assert_eq!((soak.outcome.kind, soak.judged.verdict), (OutcomeKind::Exited, Verdict::Exited));
        assert_eq!(soak.judged.findings[0].code, Code::FileChanged);
        // What the new file leaks is not the old one's: the figures end before.
        assert!(soak.outcome.cycle >= Some(cycle), "{:?}", soak.outcome);
        assert!(!has(&soak, Code::LeakHeap), "{:?}", soak.judged.findings);
        assert!(soak.checkpoints.rows.last().unwrap()[0] <= 600);
    }
    let (soak, _) = changing(false, &[]);
    assert_eq!(soak.outcome.kind, OutcomeKind::Completed, "{:?}", soak.outcome);
}
