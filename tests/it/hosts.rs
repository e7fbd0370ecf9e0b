//! The host that a library is soaked in: what it holds and links, of which kind it is, and whose fault is what another host does not see.
//! Each library is small and compiled here; beside it stands its twin, which must not trip.

use std::path::{Path, PathBuf};
use std::process::Command;

use dlsoak::record::{
    Agent, Code, Facts, HostChange, HostKind, Note, Pass, ResidueKind, Severity, UnloadState, Verdict,
};
use tempfile::TempDir;

use crate::support::{Finished, dlsoak, has, library, read_record, run};

/// A directory of compiled libraries.
pub(crate) struct Built(TempDir);

impl Built {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Compiles a source of `tests/data/hosts` to this name, as a library that finds its neighbours.
    pub(crate) fn library(&self, to: &str, source: &str, arguments: &[&str]) -> String {
        let here = self.0.path().to_str().unwrap();
        let (search, rpath) = (format!("-L{here}"), format!("-Wl,-rpath,{here}"));
        let mut all = vec!["-shared", "-fPIC", "-pthread", &search, &rpath];
        all.extend(arguments);
        self.compile(to, source, &all);
        self.text(to)
    }

    pub(crate) fn compile(&self, to: &str, source: &str, arguments: &[&str]) {
        let is_cxx = source.ends_with(".cc") || arguments.contains(&"-xc++");
        let compiler = if is_cxx { ("CXX", "c++") } else { ("CC", "cc") };
        let mut command = Command::new(std::env::var_os(compiler.0).unwrap_or(compiler.1.into()));
        let source = xtask::fixtures::root().join("tests/data/hosts").join(source);
        // What it is linked with stands behind it.
        let (links, flags): (Vec<&str>, Vec<&str>) =
            arguments.iter().partition(|word| word.starts_with("-l"));
        command.args(["-g", "-Wall"]).args(flags).arg(source).args(links).arg("-o").arg(self.path(to));
        let output = command.output().expect("a C and a C++ compiler: apt install g++, or set CC and CXX");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What a run that can't begin says; nothing is soaked.
pub(crate) fn refused(args: &[&str]) -> String {
    let out = tempfile::tempdir().unwrap();
    let output = dlsoak().arg("run").args(args).arg("-o").arg(out.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    let soaks = read_record(out.path()).map_or(0, |run| run.soaks.len());
    assert_eq!(soaks, 0, "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    said
}

fn passes(finished: &Finished) -> Vec<Pass> {
    finished.soak().passes.iter().map(|made| made.pass).collect()
}

/// Enough for all metrics to be certain.
const SHORT: [&str; 2] = ["-n", "800"];

#[test]
fn what_is_linked_is_there_before_main_and_no_child_sees_it() {
    let built = Built::new();
    let early = built.library("libearly.so", "early.c", &[]);
    let child = built.library("libchild.so", "child.c", &[]);
    let spaced = built.path("a b:c");
    std::fs::create_dir(&spaced).unwrap();
    std::fs::copy(&early, spaced.join("libearly.so")).unwrap();
    let spaced = spaced.join("libearly.so");
    // The constructor allocates by each function of malloc's, in the counting agent and in the one for pointers.
    for file in [early.as_str(), spaced.to_str().unwrap()] {
        let hold = format!("{file}:link");
        let finished = run(&[&child, "-c", "child()", "--hold", &hold, "-n", "800"]);
        let soak = finished.soak();
        assert_eq!((finished.code, soak.judged.verdict), (0, Verdict::Clean), "{}", finished.stdout);
        assert_eq!(soak.worker.agent, Agent::Counting);
        assert!(passes(&finished).contains(&Pass::Pointers) && soak.notes.is_empty(), "{:?}", soak.notes);
        assert!(soak.worker.objects.iter().any(|object| object.ends_with("libearly.so")));
        assert!(soak.worker.output_tail.contains("LD_PRELOAD=(nothing)"), "{}", soak.worker.output_tail);
    }
    // What the user preloads stays, for the library and for its children.
    let hold = format!("{early}:link");
    let preload = format!("LD_PRELOAD={child}");
    let finished =
        run(&[&early, "-c", "child()", "--hold", &hold, "--env", &preload, "-n", "20", "--allow-pinned"]);
    let soak = finished.soak();
    assert_eq!(soak.worker.agent, Agent::Plain);
    assert!(soak.worker.output_tail.contains(&preload), "{}", soak.worker.output_tail);
}

#[test]
fn an_allocator_that_is_linked_is_the_process_s() {
    let built = Built::new();
    let own = built.library("libownmalloc.so", "own-malloc.c", &["-fno-builtin"]);
    let plugin = built.library("libplain.so", "leaks.c", &["-DNAME=plain"]);
    let hold = format!("{own}:link");
    for (hold, agent) in [(Some(&hold), Agent::Plain), (None, Agent::Counting)] {
        let held: Vec<&str> = hold.into_iter().flat_map(|hold| ["--hold", hold]).collect();
        let finished = run(&[&[plugin.as_str(), "-n", "20", "--passes", "measure"], &held[..]].concat());
        assert_eq!(finished.soak().worker.agent, agent, "{}", finished.stdout);
    }
}

#[test]
fn what_needs_much_static_tls_loads_where_the_host_links_it() {
    let built = Built::new();
    let tls = built.library("libtls.so", "static-tls.c", &["-DNAME=tls"]);
    let plugin = built.library("libplugin.so", "uses.c", &["-DNAME=plugin", "-DOTHER=tls", "-ltls"]);
    let alone = run(&[&plugin, "-c", "plugin()", "-n", "800"]);
    assert_eq!((alone.code, alone.soak().judged.verdict), (1, Verdict::LoadFailed));
    assert!(has(alone.soak(), Code::LoadFailedStaticTls), "{}", alone.stdout);
    let refusal = refused(&[&plugin, "--hold", &tls]);
    assert!(refusal.contains("static TLS block"), "{refusal}");
    for hold in [format!("{tls}:link"), "deps".to_owned()] {
        let linked = run(&[&plugin, "-c", "plugin()", "-n", "800", "--hold", &hold]);
        assert_eq!((linked.code, linked.soak().judged.verdict), (0, Verdict::Clean), "{}", linked.stdout);
        assert!(linked.soak().worker.linked[0].ends_with("libtls.so"));
    }
}

#[test]
fn what_a_plugin_leaves_in_a_library_that_is_held_is_found() {
    let built = Built::new();
    let registry = built.library("libreg.so", "registry.c", &[]);
    let plugin = built.library("libplugin.so", "registers.c", &["-lreg"]);
    let twin = built.library("libtwin.so", "registers.c", &["-DUNDONE", "-lreg"]);
    for hold in [registry.clone(), format!("{registry}:link"), "deps".to_owned()] {
        let found = run(&[&plugin, "-n", "800", "--hold", &hold]);
        let soak = found.soak();
        assert_eq!((found.code, soak.judged.verdict), (1, Verdict::Residue), "{hold}: {}", found.stdout);
        assert!(has(soak, Code::ResidueDanglingPointer));
        assert_eq!(soak.unload.state, UnloadState::Unloaded);
        let clean = run(&[&twin, "-n", "800", "--hold", &hold]);
        assert_eq!(
            (clean.code, clean.soak().judged.verdict),
            (0, Verdict::Clean),
            "{hold}: {}",
            clean.stdout
        );
    }
    // Without a host that holds it, the registry goes with the plugin and keeps nothing. The report says how a host that does would be.
    for (library, warned) in [(&plugin, true), (&twin, false)] {
        let alone = run(&[library, "-n", "1000"]);
        assert_eq!(alone.soak().judged.verdict, Verdict::Clean, "{}", alone.stdout);
        assert_eq!(has(alone.soak(), Code::PointersIfHeld), warned, "{}", alone.stdout);
        assert_eq!(
            alone.stdout.contains("in a host that keeps libreg.so loaded,"),
            warned,
            "{}",
            alone.stdout
        );
    }
}

#[test]
fn a_call_after_the_close_runs_what_is_gone() {
    let built = Built::new();
    let registry = built.library("libreg.so", "registry.c", &[]);
    let plugin = built.library("libplugin.so", "registers.c", &["-lreg"]);
    let twin = built.library("libtwin.so", "registers.c", &["-DUNDONE", "-lreg"]);
    let crashed = run(&[&plugin, "-n", "800", "--hold", &registry, "--after", "reg_call()"]);
    let soak = crashed.soak();
    assert_eq!((crashed.code, soak.judged.verdict), (1, Verdict::Crashed), "{}", crashed.stdout);
    assert_eq!((soak.outcome.cycle, soak.outcome.phase), (Some(0), Some(dlsoak::record::Phase::After)));
    assert!(crashed.stdout.contains("after dlclose"), "{}", crashed.stdout);
    for hold in [registry.clone(), format!("{registry}:link")] {
        let clean = run(&[
            &twin,
            "-n",
            "800",
            "--hold",
            &hold,
            "--after",
            "reg_call()",
            "--after",
            "reg_add(\"x\", null)",
        ]);
        // What the second call adds, the first one calls in the next cycle.
        assert_eq!(clean.soak().judged.verdict, Verdict::Crashed, "{}", clean.stdout);
        let clean = run(&[&twin, "-n", "800", "--hold", &hold, "--after", "reg_call()"]);
        assert_eq!((clean.code, clean.soak().judged.verdict), (0, Verdict::Clean), "{}", clean.stdout);
    }
}

#[test]
fn threads_of_a_library_that_is_held_are_the_host_s() {
    let built = Built::new();
    let pool = built.library("libpool.so", "pool.c", &[]);
    let plugin = built.library("libplugin.so", "works.c", &["-lpool"]);
    let own = built.library("libown.so", "works.c", &["-DOWN", "-lpool"]);
    let call = ["-c", "work_once()", "-n", "800"];
    let held = run(&[&[plugin.as_str(), "--hold", &pool], &call[..]].concat());
    let soak = held.soak();
    assert_eq!((held.code, soak.judged.verdict), (0, Verdict::Clean), "{}", held.stdout);
    let note = Note::ThreadsOfHost { object: "libpool.so".to_owned(), count: 3 };
    assert!(soak.notes.contains(&note), "{:?}", soak.notes);
    assert!(
        held.stdout.contains("3 threads that started during the soak belong to libpool.so"),
        "{}",
        held.stdout
    );
    // A thread that the plugin itself started is the plugin's, also where the host has some.
    let crashes = run(&[&[own.as_str(), "--hold", &pool], &call[..]].concat());
    assert_ne!(crashes.code, 0, "{}", crashes.stdout);
    assert_ne!(crashes.soak().judged.verdict, Verdict::Clean);
    // Where nothing holds the pool, its threads lose their code with the plugin.
    let alone = run(&[&[plugin.as_str()], &call[..]].concat());
    assert_ne!(alone.soak().judged.verdict, Verdict::Clean, "{}", alone.stdout);
}

#[test]
fn a_c_plus_plus_plugin_is_soaked_in_a_host_that_has_libstdcxx() {
    let built = Built::new();
    let plugin = built.library("libstrings.so", "strings.cc", &[]);
    let calls = ["-c", "start(48000)", "-c", "stop()", "-n", "800"];
    let here = run(&[&[plugin.as_str()], &calls[..]].concat());
    let soak = here.soak();
    assert_eq!(
        (here.code, soak.judged.verdict, soak.worker.kind),
        (0, Verdict::Clean, HostKind::Cxx),
        "{}",
        here.stdout
    );
    assert!(passes(&here).contains(&Pass::OtherHost));
    let differs = soak.judged.findings.iter().find(|finding| finding.code == Code::HostsDiffer).unwrap();
    assert_eq!((differs.severity, differs.pass), (Severity::Note, Pass::OtherHost));
    assert!(here.stdout.contains("unloads in a C++ host; stays in a C host, because"), "{}", here.stdout);
    let there = run(&[&[plugin.as_str(), "--host-kind", "c"], &calls[..]].concat());
    let soak = there.soak();
    assert_eq!(
        (there.code, soak.judged.verdict, soak.worker.kind),
        (1, Verdict::Pinned, HostKind::C),
        "{}",
        there.stdout
    );
    assert!(has(soak, Code::HostsDiffer) && has(soak, Code::PinnedRelocationDependency), "{}", there.stdout);
    // A library in C has one kind of host, whatever that links.
    let plain = built.library("libplain.so", "leaks.c", &["-DNAME=plain"]);
    for kind in ["auto", "c", "c++"] {
        let finished = run(&[&plain, "--host-kind", kind, "-n", "800"]);
        assert_eq!(
            (finished.code, has(finished.soak(), Code::HostsDiffer)),
            (0, false),
            "{}",
            finished.stdout
        );
        assert!(!passes(&finished).contains(&Pass::OtherHost), "{kind}");
    }
}

/// What two bare hosts show by /proc/self/maps of ten ordinary plugins, built as CMake builds them where nobody says how.
#[test]
fn ten_plugins_are_judged_as_bare_hosts_show() {
    const TEN: [&str; 10] = [
        "string",
        "vector",
        "map",
        "thread",
        "stream",
        "exception",
        "static-member",
        "function-local",
        "virtual",
        "regex",
    ];
    let built = Built::new();
    built.compile("bare-c", "bare.c", &[]);
    built.compile("bare-cxx", "bare.c", &["-xc++"]);
    let mut differ = 0;
    for name in TEN {
        let plugin = built.library(&format!("lib{name}.so"), &format!("ten/{name}.cc"), &["-std=c++17"]);
        let truth = |host: &str| {
            let output = Command::new(built.path(host)).arg(&plugin).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let (c, cxx) = (truth("bare-c"), truth("bare-cxx"));
        let finished = run(&[&plugin, "-c", "run(20)", "-n", "800"]);
        let soak = finished.soak();
        let name_of = |state: UnloadState| if state == UnloadState::Pinned { "pinned" } else { "unloaded" };
        assert_eq!(name_of(soak.unload.state), cxx, "{name} in C++: {}", finished.stdout);
        assert_eq!(finished.code == 0, cxx == "unloaded", "{name}: {}", finished.stdout);
        let in_c = run(&[&plugin, "-c", "run(20)", "-n", "800", "--host-kind", "c"]);
        assert_eq!(name_of(in_c.soak().unload.state), c, "{name} in C: {}", in_c.stdout);
        // One soak shows both, where the plugin needs libstdc++.
        if let Some(other) = soak.other_hosts.first() {
            assert_eq!(other.change, HostChange::Kind { kind: HostKind::C });
            assert_eq!(name_of(other.soak.unload.state), c, "{name}: {}", finished.stdout);
        }
        assert_eq!(has(soak, Code::HostsDiffer), c != cxx, "{name}: {}", finished.stdout);
        differ += u32::from(c != cxx);
    }
    assert!(differ > 0, "the two kinds of host are alike here");
}

#[test]
fn a_leak_of_a_dependency_names_it() {
    let built = Built::new();
    built.library("libdep.so", "leaks.c", &["-DLEAKS", "-DNAME=dep"]);
    built.library("libmid.so", "uses.c", &["-DNAME=mid", "-DOTHER=dep", "-ldep"]);
    let plugin = built.library("libplugin.so", "uses.c", &["-DNAME=plugin", "-DOTHER=mid", "-lmid"]);
    let leaks = run(&[&[plugin.as_str()], &SHORT[..]].concat());
    let soak = leaks.soak();
    assert_eq!((leaks.code, soak.judged.verdict), (1, Verdict::Leak), "{}", leaks.stdout);
    let leak = soak.judged.leak.as_ref().unwrap();
    assert_eq!((leak.object.as_deref(), leak.bytes_per_cycle), (Some("libdep.so"), 1008.0));
    assert!(leaks.stdout.contains("libdep.so leaks 1,008 B each time it is loaded anew"), "{}", leaks.stdout);
    let of = |code: Code| soak.judged.findings.iter().find(|finding| finding.code == code).unwrap();
    assert_eq!(of(Code::LeakHeap).object.as_deref(), Some("libdep.so"));
    assert_eq!(of(Code::DependencyAtFault).object.as_deref(), Some("libdep.so"));
    let alone = |finished: &Finished| {
        let facts = finished.soak().judged.findings.iter().map(|finding| &finding.facts);
        facts.into_iter().find_map(|facts| match facts {
            Facts::DependencyAtFault(dependency) => dependency.alone,
            _ => None,
        })
    };
    assert_eq!(alone(&leaks), Some(1008.0));
    // It leaks by itself; one that only keeps what it is asked for until it goes does not.
    built.library("libkeeps.so", "leaks.c", &["-DKEEPS", "-DNAME=keeps"]);
    let uses = built.library("libuses.so", "uses.c", &["-DNAME=plugin", "-DOTHER=keeps", "-lkeeps"]);
    let used = run(&[&[uses.as_str(), "-c", "plugin()"], &SHORT[..]].concat());
    assert_eq!((used.soak().judged.verdict, alone(&used)), (Verdict::Leak, Some(0.0)), "{}", used.stdout);
    assert!(
        used.stdout.contains("libkeeps.so, which leaks nothing when it is loaded by itself"),
        "{}",
        used.stdout
    );
    // A gate may leave that to its author, and the soak may be made in a host that keeps it.
    let blamed = run(&[&[plugin.as_str(), "--blame", "library"], &SHORT[..]].concat());
    assert_eq!((blamed.code, blamed.soak().judged.verdict), (0, Verdict::Leak), "{}", blamed.stdout);
    for hold in ["deps".to_owned(), built.text("libdep.so"), format!("{}:link", built.text("libdep.so"))] {
        let held = run(&[&[plugin.as_str(), "--hold", &hold], &SHORT[..]].concat());
        assert_eq!((held.code, held.soak().judged.verdict), (0, Verdict::Clean), "{hold}: {}", held.stdout);
    }
}

#[test]
fn a_leak_of_the_library_s_own_is_no_dependency_s() {
    let built = Built::new();
    built.library("libdep.so", "leaks.c", &["-DNAME=dep"]);
    let own = built.library("libown.so", "uses.c", &["-DLEAKS", "-DNAME=own", "-DOTHER=dep", "-ldep"]);
    built.library("libleaky.so", "leaks.c", &["-DLEAKS", "-DNAME=leaky"]);
    let both = built.library("libboth.so", "uses.c", &["-DLEAKS", "-DNAME=both", "-DOTHER=leaky", "-lleaky"]);
    for (plugin, rate) in [(own, 1008.0), (both, 2016.0)] {
        let leaks = run(&[&[plugin.as_str(), "--blame", "library"], &SHORT[..]].concat());
        let soak = leaks.soak();
        let leak = soak.judged.leak.as_ref().unwrap();
        assert_eq!((leaks.code, leak.bytes_per_cycle, &leak.object), (1, rate, &None), "{}", leaks.stdout);
        assert!(
            passes(&leaks).contains(&Pass::OtherHost) && !has(soak, Code::DependencyAtFault),
            "{}",
            leaks.stdout
        );
    }
    // Without a dependency there is nobody else.
    let alone = built.library("libalone.so", "leaks.c", &["-DLEAKS", "-DNAME=alone"]);
    let leaks = run(&[&[alone.as_str()], &SHORT[..]].concat());
    assert!(leaks.code == 1 && !passes(&leaks).contains(&Pass::OtherHost), "{}", leaks.stdout);
}

#[test]
fn a_pin_by_a_dependency_that_stays_names_it() {
    let built = Built::new();
    built.library("libkept.so", "kept.c", &["-Wl,-z,nodelete"]);
    let plugin = built.library("libhooks.so", "hooks.c", &["-lkept"]);
    let pinned = run(&[&plugin, "-c", "hooks()", "-n", "800"]);
    let soak = pinned.soak();
    assert_eq!((pinned.code, soak.judged.verdict), (1, Verdict::Pinned), "{}", pinned.stdout);
    let blamed = soak.judged.findings.iter().find(|finding| finding.code == Code::DependencyAtFault).unwrap();
    assert_eq!(blamed.object.as_deref(), Some("libkept.so"), "{}", pinned.stdout);
    let held = run(&[&plugin, "-c", "hooks()", "-n", "800", "--hold", "deps"]);
    assert_eq!((held.code, held.soak().judged.verdict), (0, Verdict::Clean), "{}", held.stdout);
    // One that is linked so itself stays in each host.
    let own =
        built.library("libown.so", "uses.c", &["-DNAME=own", "-DOTHER=kept", "-lkept", "-Wl,-z,nodelete"]);
    let pinned = run(&[&own, "-n", "800", "--blame", "library"]);
    assert!(pinned.code == 1 && !has(pinned.soak(), Code::DependencyAtFault), "{}", pinned.stdout);
}

#[test]
fn libgomp_s_pool_is_the_host_s_where_it_holds_libgomp() {
    let Some(gomp) = library("libgomp.so.1", "libgomp1") else { return };
    let built = Built::new();
    let plugin = built.library("libomp.so", "omp.c", &["-fopenmp"]);
    let call = ["-c", "test(30)", "-n", "800", "--env", "OMP_NUM_THREADS=3"];
    let held = run(&[&[plugin.as_str(), "--hold", "libgomp.so.1"], &call[..]].concat());
    let soak = held.soak();
    assert_eq!((held.code, soak.judged.verdict), (0, Verdict::Clean), "{}", held.stdout);
    assert!(
        soak.notes.iter().any(|note| matches!(note, Note::ThreadsOfHost { object, count: 2 } if object.starts_with("libgomp.so"))),
        "{:?}",
        soak.notes
    );
    assert!(Path::new(&soak.worker.held[0]).file_name() == gomp.file_name());
    // One thread spins for its next work before it sleeps.
    let one = ["-c", "test(30)", "-n", "800", "--env", "OMP_NUM_THREADS=2", "--hold", "deps"];
    let linked = run(&[&[plugin.as_str()], &one[..]].concat());
    let is_host_s = |note: &Note| matches!(note, Note::ThreadsOfHost { count: 1, .. });
    assert!(linked.code == 0 && linked.soak().notes.iter().any(is_host_s), "{}", linked.stdout);
    // Without it, the threads run code that is gone, and libgomp is why. They spin, so that the crash does not wait for one that happens to
    // run while libgomp is gone: of a crash after some hundreds of cycles nobody asks whose it is.
    let spins =
        ["-c", "test(30)", "-n", "800", "--env", "OMP_NUM_THREADS=2", "--env", "OMP_WAIT_POLICY=active"];
    let alone = run(&[&[plugin.as_str()], &spins[..]].concat());
    let soak = alone.soak();
    assert_eq!(soak.judged.verdict, Verdict::Crashed, "{}", alone.stdout);
    let blamed = soak.judged.findings.iter().find(|finding| finding.code == Code::DependencyAtFault).unwrap();
    assert!(
        blamed.object.as_deref().is_some_and(|object| object.starts_with("libgomp.so")),
        "{}",
        alone.stdout
    );
    // A crash of its own is its own, also beside a dependency.
    built.library("libclean.so", "leaks.c", &["-DNAME=clean"]);
    let own = built.library("libraises.so", "raises.c", &["-DNAME=raises", "-Wl,--no-as-needed", "-lclean"]);
    let crashed = run(&[&own, "-c", "raises()", "-n", "800"]);
    let soak = crashed.soak();
    assert!(
        soak.judged.verdict == Verdict::Crashed && !has(soak, Code::DependencyAtFault),
        "{}",
        crashed.stdout
    );
    assert!(passes(&crashed).contains(&Pass::OtherHost), "{}", crashed.stdout);
}

#[test]
fn a_host_that_can_not_be_had_is_one_line() {
    let built = Built::new();
    let plugin = built.library("libplain.so", "leaks.c", &["-DNAME=plain"]);
    let crashes = built.library("libcrashes.so", "crashes.c", &["-DNAME=crashes"]);
    let registry = built.library("libreg.so", "registry.c", &[]);
    let gone = built.library("libgone.so", "leaks.c", &["-DNAME=gone"]);
    let lacks = built.library("liblacks.so", "uses.c", &["-DNAME=lacks", "-DOTHER=gone", "-lgone"]);
    std::fs::remove_file(gone).unwrap();
    let text = built.path("libtext.so");
    std::fs::write(&text, "no library ".repeat(1000)).unwrap();
    let text = text.to_str().unwrap();
    let linked = |file: &str| format!("{file}:link");
    for (args, part) in [
        (vec!["--hold", "./no/such.so"], "./no/such.so: there is no such library to hold"),
        (vec!["--hold", "./no/such.so:link"], "there is no such library to hold"),
        (vec!["--hold", "libno-such.so.77"], "the loader finds no library of this name to hold"),
        (vec!["--hold", text], "the host can't hold a library"),
        (vec!["--hold", &linked(text)], "the host can't link this library: invalid ELF header"),
        (vec!["--hold", &lacks], "libgone.so"),
        (vec!["--hold", &linked(&lacks)], "libgone.so"),
        (
            vec!["--hold", &linked(&crashes)],
            "exits with status 3 before the soak begins, and wrote: no license",
        ),
        (vec!["--hold", &crashes], "the host that holds"),
        (
            vec!["--hold", &registry, "--after", "reg_cal()"],
            "no library that the host holds exports `reg_cal`",
        ),
        (vec!["--hold", &registry, "--after", "reg_data()"], "`reg_data` is data"),
        (vec!["--after", "reg_call()"], "the host holds no library"),
        (vec!["--hold", &registry, "--mode", "namespace"], "hold: dlmopen"),
        (vec!["--host-kind", "rust"], "c++"),
    ] {
        let mut all = vec![plugin.as_str(), "-n", "800"];
        all.extend(&args);
        if args[0] == "--host-kind" {
            // The command line's own error has lines of its own.
            let output = dlsoak().arg("run").args(&all).output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            continue;
        }
        let said = refused(&all);
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn residue_of_a_dependency_names_it() {
    let built = Built::new();
    built.library("libkeys.so", "keys.c", &["-DKEYS", "-DNAME=keys"]);
    let plugin = built.library("libplugin.so", "uses.c", &["-DNAME=plugin", "-DOTHER=keys", "-lkeys"]);
    let left = run(&[&plugin, "-n", "800", "--warmup", "10"]);
    let soak = left.soak();
    assert_eq!((left.code, soak.judged.verdict), (1, Verdict::Residue), "{}", left.stdout);
    let keys = soak.residue.iter().find(|found| found.kind() == ResidueKind::TlsKeys).unwrap();
    assert_eq!(keys.object.as_deref(), Some("libkeys.so"), "{}", left.stdout);
    assert!(has(soak, Code::DependencyAtFault));
    // Keys of the library's own are its own, also beside a dependency.
    built.library("libclean.so", "leaks.c", &["-DNAME=clean"]);
    let own =
        built.library("libown.so", "keys.c", &["-DKEYS", "-DNAME=own", "-Wl,--no-as-needed", "-lclean"]);
    let left = run(&[&own, "-n", "800", "--warmup", "10"]);
    let soak = left.soak();
    assert!(
        passes(&left).contains(&Pass::OtherHost) && !has(soak, Code::DependencyAtFault),
        "{}",
        left.stdout
    );
    assert!(soak.residue.iter().all(|found| found.object.is_none()) && left.code == 1);
}
