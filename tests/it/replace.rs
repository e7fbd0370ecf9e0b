//! Hot reload: the library's file is replaced by another build between two opens. Each pair of builds is compiled here, and beside those that
//! stay loaded stands a twin that unloads.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use dlsoak::record::why::Crash;
use dlsoak::record::{Code, Metric, Pass, Replaced, Severity, Soak, UnloadState, Verdict, Why};
use tempfile::TempDir;

use crate::hosts::refused;
use crate::support::{Finished, compile, dlsoak, failure, has, read_record, run};

/// A directory with two builds.
struct Builds(TempDir);

impl Builds {
    /// The two, each compiled with these flags.
    fn new(library: &[&str], other: &[&str]) -> Self {
        let builds = Self(tempfile::tempdir().unwrap());
        builds.compile("libgame.so", &[&["-DVERSION=1"], library].concat());
        builds.compile("libgame_v2.so", &[&["-DVERSION=2"], other].concat());
        builds
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    fn compile(&self, name: &str, flags: &[&str]) {
        let all = [&["-shared", "-fPIC", "-Wl,--build-id"], flags].concat();
        compile(&all, "tests/data/hosts/build.c", &self.at(name));
    }

    /// The arguments of a short soak of both.
    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let (library, other) = (self.text("libgame.so"), self.text("libgame_v2.so"));
        let own = [library.as_str(), "--replace", other.as_str(), "-n", "800"];
        own.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }

    fn run(&self, more: &[&str]) -> Finished {
        let words = self.arguments(more);
        run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The line of a run that can't begin. Nothing is soaked.
    fn refused(&self, more: &[&str]) -> String {
        let words = self.arguments(more);
        refused(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn replaced(soak: &Soak) -> &Replaced {
    soak.replaced.as_ref().unwrap()
}

/// Opens that each build answered, those that the wrong one did, and the first of these.
fn counts(soak: &Soak) -> ([u64; 2], u64, Option<u64>) {
    let replaced = replaced(soak);
    ([0, 1].map(|build: usize| replaced.builds[build].answered), replaced.stale, replaced.first_stale)
}

/// All opens of a soak.
fn opens(soak: &Soak) -> u64 {
    soak.cycles.warmup + soak.cycles.completed
}

#[test]
fn builds_that_unload_take_turns_and_the_user_s_files_stay() {
    let builds = Builds::new(&[], &[]);
    let files = || {
        ["libgame.so", "libgame_v2.so"].map(|name| {
            let of = builds.at(name).metadata().unwrap();
            (of.ino(), of.mtime_nsec(), std::fs::read(builds.at(name)).unwrap())
        })
    };
    let before = files();
    for from in ["main", "worker", "short-lived"] {
        let finished = builds.run(&["-c", "reload(3) == 3", "--call-from", from]);
        let soak = finished.soak();
        assert_eq!((finished.code, soak.judged.verdict), (0, Verdict::Clean), "{}", finished.stdout);
        assert_eq!(counts(soak), ([opens(soak) / 2; 2], 0, None), "{from}");
        let [library, other] = &replaced(soak).builds;
        assert_eq!((&library.path, &library.build_id), (&soak.path, &soak.build_id));
        assert_eq!(other.path, builds.text("libgame_v2.so"));
        assert!(other.build_id.is_some() && other.build_id != library.build_id);
        assert!(has(soak, Code::BuildsAlternate) && !has(soak, Code::OldBuildAnswers));
        assert!((soak.unload.loads_per_cycle, soak.unload.unloads_per_cycle) == (1.0, 1.0));
        assert!(finished.stdout.contains("each while it was at the path"), "{}", finished.stdout);
        // Whose a place in memory was is not known.
        assert!(soak.passes.iter().all(|made| made.pass != Pass::Pointers));
    }
    assert_eq!(files(), before);
    // What the library itself says of it.
    let checked = builds.run(&["-c", "version() == 1"]);
    let soak = checked.soak();
    assert_eq!((soak.judged.verdict, soak.outcome.cycle), (Verdict::CallFailed, Some(1)));
}

#[test]
fn a_library_that_stays_answers_for_the_other_build() {
    let stays = ["-Wl,-z,nodelete"];
    for (library, other, first, object) in
        [(&stays[..], &[][..], 1, None), (&[], &stays, 2, Some("libgame_v2.so"))]
    {
        let builds = Builds::new(library, other);
        // Its own word: from the second cycle on it is one version.
        let version = if object.is_some() { "version() >= 1" } else { "version() == 1" };
        let finished = builds.run(&["-c", version]);
        let soak = finished.soak();
        assert_eq!((finished.code, soak.judged.verdict), (1, Verdict::Pinned), "{}", finished.stdout);
        assert_eq!(soak.unload.state, UnloadState::Pinned);
        let all = opens(soak);
        let answered = if object.is_some() { [1, all - 1] } else { [all, 0] };
        let stale = if object.is_some() { all / 2 - 1 } else { all / 2 };
        assert_eq!(counts(soak), (answered, stale, Some(first)));
        let [old, cause] = &soak.judged.findings[..2] else { panic!("{:?}", soak.judged.findings) };
        assert_eq!((old.code, old.severity), (Code::OldBuildAnswers, Severity::Fail));
        assert_eq!((cause.code, cause.severity), (Code::PinnedNodelete, Severity::Fail));
        let named = cause.object.as_deref().map(|object| object.rsplit('/').next().unwrap());
        assert_eq!(named, object, "{cause:?}");
        // Who knows that it stays is told, and not stopped.
        let allowed = builds.run(&["--allow-pinned=known"]);
        let old = allowed.soak().judged.findings.iter().find(|found| found.code == Code::OldBuildAnswers);
        assert_eq!((allowed.code, old.unwrap().severity), (0, Severity::Note), "{}", allowed.stdout);
        assert!(allowed.stdout.contains("hot reload runs old code"), "{}", allowed.stdout);
    }
}

#[test]
fn a_unique_symbol_keeps_the_first_build_and_its_twin_lets_it_go() {
    let directory = tempfile::tempdir().unwrap();
    let source = xtask::fixtures::root().join("tests/data/hosts/game.cc");
    let build = |name: &str, flags: &[&str]| {
        let to = directory.path().join(name);
        let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or("c++".into()));
        compiler
            .args(["-g", "-shared", "-fPIC", "-Wl,--build-id"])
            .args(flags)
            .arg(&source)
            .arg("-o")
            .arg(&to);
        let output = compiler.output().expect("a C++ compiler: apt install g++, or set CXX");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        to.to_str().unwrap().to_owned()
    };
    for (flags, code, verdict) in
        [(&[][..], 1, Verdict::Pinned), (&["-fvisibility=hidden"][..], 0, Verdict::Clean)]
    {
        // What C exports stays visible.
        let visible = [
            "-Dversion=__attribute__((visibility(\"default\")))version",
            "-Dplay=__attribute__((visibility(\"default\")))play",
        ];
        let all = |version| [&visible[..], flags, &[version]].concat();
        let (one, other) = (build("one.so", &all("-DVERSION=1")), build("two.so", &all("-DVERSION=2")));
        let finished = run(&[&one, "--replace", &other, "-c", "play(3)", "-n", "800"]);
        let soak = finished.soak();
        assert_eq!((finished.code, soak.judged.verdict), (code, verdict), "{}", finished.stdout);
        let is_stale = verdict == Verdict::Pinned;
        assert_eq!(has(soak, Code::OldBuildAnswers), is_stale, "{}", finished.stdout);
        assert_eq!(has(soak, Code::PinnedUnique), is_stale, "{}", finished.stdout);
        assert_eq!(counts(soak).2, is_stale.then_some(1));
    }
}

#[test]
fn the_build_that_leaks_is_named() {
    for (library, other, per_load, object) in [
        (&[][..], &["-DLEAKS"][..], [0, 32], Some("libgame_v2.so")),
        (&["-DLEAKS"], &[], [32, 0], Some("libgame.so")),
        (&["-DLEAKS"], &["-DLEAKS"], [32, 32], None),
    ] {
        let finished = Builds::new(library, other).run(&[]);
        let soak = finished.soak();
        assert_eq!((finished.code, soak.judged.verdict), (1, Verdict::Leak), "{}", finished.stdout);
        let leak = soak.judged.leak.as_ref().unwrap();
        let mean = f64::from(per_load[0] + per_load[1]) / 2.0;
        assert_eq!((leak.metric, leak.bytes_per_cycle.round()), (Metric::Heap, mean), "{leak:?}");
        assert_eq!(leak.object.as_deref(), object);
        let kept = [0, 1].map(|build: usize| replaced(soak).builds[build].heap_per_load);
        assert_eq!(kept, per_load.map(|bytes| Some(i64::from(bytes))));
        assert!(has(soak, Code::BuildAtFault) && has(soak, Code::BuildsAlternate));
        assert!(finished.stdout.contains("leaks 32 B each time it is loaded"), "{}", finished.stdout);
    }
}

#[test]
fn a_build_that_does_not_load_is_named() {
    let builds = Builds::new(&[], &["-DNEEDS"]);
    let finished = builds.run(&[]);
    let soak = finished.soak();
    assert_eq!((finished.code, soak.judged.verdict), (1, Verdict::LoadFailed), "{}", finished.stdout);
    assert_eq!(soak.outcome.cycle, Some(1));
    let said = failure(soak).said.as_ref().unwrap();
    assert!(said.starts_with(&builds.text("libgame_v2.so")) && said.contains("elsewhere"), "{said}");
    assert_eq!(counts(soak), ([1, 0], 0, None));
    // The other way round the library fails, in the first cycle.
    let builds = Builds::new(&["-DNEEDS"], &[]);
    let finished = builds.run(&[]);
    let said = failure(finished.soak()).said.as_ref().unwrap();
    assert!(
        finished.soak().outcome.cycle == Some(0) && said.starts_with(&builds.text("libgame.so")),
        "{said}"
    );
}

#[test]
fn a_crash_names_the_build_that_ran() {
    let finished = Builds::new(&[], &["-DCRASHES"]).run(&["-c", "fail()"]);
    let soak = finished.soak();
    assert_eq!((soak.judged.verdict, soak.outcome.cycle), (Verdict::Crashed, Some(1)), "{}", finished.stdout);
    let Some(Why::Crash(Crash { by: Some(by), .. })) = &soak.outcome.why else {
        panic!("{:?}", soak.outcome)
    };
    assert_eq!((by.function.as_deref(), by.object.as_deref()), (Some("fail"), Some("libgame_v2.so")));
    assert_eq!(counts(soak), ([1, 0], 0, None));
}

#[test]
fn a_record_says_how_to_repeat_it() {
    let builds = Builds::new(&[], &["-DLEAKS"]);
    let first = builds.run(&["--sandbox=best-effort"]);
    let (tool, arguments) = first.soak().replay.split_once(' ').unwrap();
    assert!(tool == "dlsoak" && arguments.contains("--replace"), "{}", first.soak().replay);
    let out = tempfile::tempdir().unwrap();
    let again = format!("{} -q {arguments} -o {}", env!("CARGO_BIN_EXE_dlsoak"), out.path().display());
    Command::new("sh").args(["-c", &again]).current_dir("/").output().unwrap();
    let second = read_record(out.path()).unwrap();
    assert_eq!(counts(first.soak()), counts(&second.soaks[0]));
    assert_eq!(
        first.soak().judged.leak.as_ref().unwrap().object,
        second.soaks[0].judged.leak.as_ref().unwrap().object
    );
}

#[test]
fn the_other_file_of_the_user_s_must_stay_as_well() {
    let builds = Builds::new(&[], &[]);
    builds.compile("libgame_v3.so", &["-DVERSION=3"]);
    // The library replaces the user's other build in one of its loads.
    let names = [
        ("PATH", builds.text("libgame_v2.so")),
        ("COUNT", builds.text("count")),
        ("TO", builds.text("libgame_v3.so")),
    ];
    let names = names.map(|(name, path)| format!("-D{name}=\"{path}\""));
    let own = ["-shared", "-fPIC", "-Wl,--build-id", "-DCHANGE=300"];
    let all: Vec<&str> = own.into_iter().chain(names.iter().map(String::as_str)).collect();
    compile(&all, "tests/data/replaced.c", &builds.at("libgame.so"));
    let finished = builds.run(&[]);
    let Some(Why::FileChanged(change)) = &finished.soak().outcome.why else {
        panic!("{:?}", finished.soak().outcome)
    };
    assert_eq!(change.path, builds.text("libgame_v2.so"));
    assert_eq!(finished.soak().judged.verdict, Verdict::Exited);
}

#[test]
fn what_is_no_other_build_is_one_line() {
    let builds = Builds::new(&[], &["-DLACKS"]);
    let said = builds.refused(&["-c", "reload(3)"]);
    assert!(said.contains("libgame_v2.so: `reload(3)` is not exported by this build"), "{said}");
    let library = builds.text("libgame.so");
    let alone = |other: &Path| refused(&[library.as_str(), "--replace", other.to_str().unwrap()]);
    std::fs::copy(builds.at("libgame.so"), builds.at("same.so")).unwrap();
    std::os::unix::fs::symlink("libgame.so", builds.at("link.so")).unwrap();
    std::fs::write(builds.at("text.so"), "no library").unwrap();
    for (other, part) in [
        (builds.at("no-such.so"), "there is no such library to replace it with"),
        (builds.at("libgame.so"), "this is the library itself"),
        (builds.at("link.so"), "this is the library itself"),
        (builds.at("same.so"), "this is the same build as the library"),
        (builds.at("text.so"), "not an ELF file"),
        (builds.0.path().to_owned(), "not a regular file"),
        (std::env::current_exe().unwrap(), "an executable"),
    ] {
        let said = alone(&other);
        assert!(said.contains(part), "{}: {said}", other.display());
    }
    for name in ["libgame.so", "libgame_v2.so"] {
        // Without a build id, files that are alike where they begin can't be distinguished once they are loaded.
        builds.compile(name, &["-DVERSION=1", "-Wl,--build-id=none", "-g0"]);
    }
    assert!(alone(&builds.at("libgame_v2.so")).contains("link both with -Wl,--build-id"));
    let builds = Builds::new(&[], &[]);
    for (more, part) in [
        (&["--mode", "copies"][..], "replace: mode `copies`"),
        (&["--mode", "namespace"], "replace: mode `namespace`"),
        (&["-t", "2"], "threads: "),
        (&["--trace-on-leak"], "replace: a trace"),
        (&["--passes", "+trace"], "replace: a trace"),
        (&[&library], "replace: this is another build of one library"),
        (
            &["--together", &library],
            "replace: this is another build of one library, and together opens several",
        ),
    ] {
        let said = builds.refused(more);
        assert!(said.contains(part), "{more:?}: {said}");
    }
    for verb in ["trace", "verify"] {
        let mut command = dlsoak();
        command.arg(verb).arg(builds.at("libgame.so")).arg("--replace").arg(builds.at("libgame_v2.so"));
        let output = command.current_dir(builds.0.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.trim().lines().count()), (Some(2), 1), "{verb}: {said}");
        assert!(said.contains("each build alone"), "{verb}: {said}");
    }
}
