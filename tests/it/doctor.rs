//! What `doctor` finds on machines that lack something. They are directories with scripts that pose as tools, and libraries with a
//! byte changed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use dlsoak::record::checkup::{
    CgoOff, CgoProblem, Check, Checkup, Failure, Found, GoRootFit, HeadersFit, Name, SCHEMA, Status,
    Unwatchable,
};
use dlsoak::record::file::Machine;
use dlsoak::record::inspection::Problem;
use serde_json::Value;

use crate::hosts::Built;
use crate::support::{dlsoak, fixture};

/// A directory of scripts that pose as tools.
struct Tools {
    dir: tempfile::TempDir,
}

impl Tools {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Puts a script in the place of a tool; what a shell brings itself is all that it can use.
    fn script(&self, name: &str, script: &str) {
        let file = self.path().join("bin").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A gcc of this machine.
    fn gcc(&self) {
        self.script(
            "gcc",
            &format!(
                "case $1 in --version) echo 'gcc (Own) 12.2.0';; *) echo {}-linux-gnu;; esac",
                std::env::consts::ARCH
            ),
        );
    }

    /// A Go installation in this directory with these settings besides the usual.
    fn go(&self, settings: &[(&str, &str)]) {
        let arch = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
        let root = self.path().to_str().unwrap();
        let mut all: Vec<(&str, &str)> = vec![
            ("CC", "gcc"),
            ("CGO_ENABLED", "1"),
            ("GOARCH", arch),
            ("GOHOSTARCH", arch),
            ("GOOS", "linux"),
            ("GOHOSTOS", "linux"),
            ("GOROOT", root),
            ("GOVERSION", "go1.26.8"),
        ];
        for (name, value) in settings {
            all.retain(|(known, _)| known != name);
            all.push((name, value));
        }
        let json: serde_json::Map<String, Value> =
            all.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        self.script("go", &format!("echo '{}'", Value::from(json)));
        std::fs::write(self.path().join("VERSION"), "go1.26.8\ntime 2026-01-01\n").unwrap();
    }

    /// Runs `doctor` with these tools alone.
    fn doctor(&self, vars: &[(&str, &str)], args: &[&str]) -> (i32, Checkup) {
        let mut command = dlsoak();
        for name in [
            "GOROOT",
            "CGO_ENABLED",
            "GOOS",
            "GOARCH",
            "CC",
            "CXX",
            "LD_LIBRARY_PATH",
            "LD_PRELOAD",
            "PKG_CONFIG_PATH",
        ] {
            command.env_remove(name);
        }
        command.env("PATH", self.path().join("bin")).envs(vars.iter().copied());
        answer(&command.args(["doctor", "--json"]).args(args).output().unwrap())
    }
}

fn answer(output: &Output) -> (i32, Checkup) {
    let errors = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    (output.status.code().unwrap(), json)
}

/// The first check of this name.
fn check(checkup: &Checkup, name: Name) -> &Check {
    let found = checkup.checks.iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("no {name:?} in {checkup:#?}"))
}

/// Its status and what was found.
fn found(checkup: &Checkup, name: Name) -> (Status, Found) {
    let check = check(checkup, name);
    (check.status, check.found.clone())
}

#[test]
fn a_machine_with_everything_passes() {
    let tools = Tools::new();
    tools.gcc();
    tools.go(&[]);
    let (code, checkup) = tools.doctor(&[], &[]);
    for name in [Name::Go, Name::GoRoot, Name::CgoEnabled] {
        assert_eq!(check(&checkup, name).status, Status::Ok, "{checkup:#?}");
    }
    let gcc = &check(&checkup, Name::Gcc).found;
    assert!(matches!(gcc, Found::Program { version: Some(version), .. } if version == "12.2.0"), "{gcc:?}");
    assert_eq!(checkup.schema, SCHEMA);
    assert_eq!(code, i32::from(checkup.status == Status::Fail), "{checkup:#?}");
}

#[test]
fn a_machine_without_go_or_a_compiler_does_not_fail_by_it() {
    let tools = Tools::new();
    let (_, checkup) = tools.doctor(&[], &[]);
    let absent = Found::NotInPath { elsewhere: None };
    assert_eq!(found(&checkup, Name::Go), (Status::Note, absent.clone()));
    assert_eq!(found(&checkup, Name::CCompiler), (Status::Warn, absent));
    let fails = |check: &&Check| check.status == Status::Fail;
    for check in checkup.checks.iter().filter(fails) {
        assert!(!["go", "tools"].contains(&check.group.name()), "{check:?}");
    }
}

#[test]
fn cgo_that_is_off_has_its_reason() {
    let tools = Tools::new();
    tools.gcc();
    tools.go(&[("CGO_ENABLED", "0")]);
    let cgo = |vars: &[(&str, &str)]| found(&tools.doctor(vars, &[]).1, Name::CgoEnabled);
    let off = |why| (Status::Warn, Found::CgoOff { why });
    assert_eq!(cgo(&[("CGO_ENABLED", "0")]), off(CgoOff::Environment));
    assert_eq!(cgo(&[]), off(CgoOff::Setting));
    tools.go(&[("CGO_ENABLED", "0"), ("GOARCH", "s390x")]);
    match cgo(&[("GOARCH", "s390x")]) {
        (Status::Warn, Found::CgoOff { why: CgoOff::OtherMachine { target, fix, .. } }) => {
            assert_eq!((target.as_str(), fix.as_deref()), ("linux/s390x", Some("s390x-linux-gnu-gcc")));
        }
        other => panic!("{other:?}"),
    }
    tools.go(&[("CGO_ENABLED", "0"), ("CC", "no-such-cc")]);
    assert_eq!(cgo(&[]), off(CgoOff::NoCompiler { compiler: "no-such-cc".to_owned() }));
    // On, and the compiler is for another machine than Go builds for.
    tools.go(&[("GOARCH", "s390x")]);
    let (status, cgo) = cgo(&[]);
    let other = matches!(&cgo, Found::CgoOn { problem: Some(CgoProblem::OtherMachine { .. }), .. });
    assert!(status == Status::Warn && other, "{cgo:?}");
}

#[test]
fn a_goroot_that_disagrees_with_path_fails() {
    let tools = Tools::new();
    tools.gcc();
    let other = tempfile::tempdir().unwrap();
    let root = other.path().to_str().unwrap();
    tools.go(&[("GOROOT", root)]);
    let fit = || {
        let (code, checkup) = tools.doctor(&[("GOROOT", root)], &[]);
        match found(&checkup, Name::GoRoot) {
            (status, Found::GoRoot { by_environment: true, fit, .. }) => (code, status, fit),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fit(), (1, Status::Fail, GoRootFit::NoInstallation));
    std::fs::write(other.path().join("VERSION"), "go1.21.13\n").unwrap();
    let [version, go] = ["go1.21.13", "go1.26.8"].map(str::to_owned);
    assert_eq!(fit(), (1, Status::Fail, GoRootFit::OtherVersion { version, go }));
    std::fs::write(other.path().join("VERSION"), "go1.26.8\n").unwrap();
    let (_, status, fit) = fit();
    assert!(status == Status::Warn && matches!(fit, GoRootFit::OtherCopy { .. }), "{fit:?}");
}

#[test]
fn tools_that_break_hang_or_babble_come_to_an_end() {
    let tools = Tools::new();
    tools.script("go", "echo 'go: cannot find GOROOT directory: /no/such' >&2; exit 2");
    tools.script("rustc", "echo nonsense; exit 0");
    tools.script("gcc", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done");
    let (code, checkup) = tools.doctor(&[("GOROOT", "/no/such"), ("CC", "no-such-cc -O2")], &[]);
    let broken = |name: Name| match found(&checkup, name) {
        (status, Found::Broken { failure, variable, .. }) => (status, failure, variable),
        other => panic!("{other:?}"),
    };
    let message = Failure::Message { line: "go: cannot find GOROOT directory: /no/such".to_owned() };
    assert_eq!(broken(Name::Go), (Status::Fail, message, Some("GOROOT".to_owned())));
    assert_eq!(broken(Name::Gcc), (Status::Warn, Failure::NoAnswer { seconds: 5 }, None));
    let [value, program] = ["no-such-cc -O2", "no-such-cc"].map(str::to_owned);
    assert_eq!(found(&checkup, Name::Cc), (Status::Fail, Found::NamesNoProgram { value, program }));
    assert_eq!(code, 1);
    let nothing = Tools::new();
    nothing.script("go", "printf '\\377\\376{['");
    let (status, found) = found(&nothing.doctor(&[], &[]).1, Name::Go);
    let nonsense = matches!(found, Found::Broken { failure: Failure::Nonsense, .. });
    assert!(status == Status::Warn && nonsense, "{found:?}");
}

#[test]
fn variables_that_name_what_is_not_there_are_warned_of() {
    let tools = Tools::new();
    tools.script("cross-gcc", "echo s390x-linux-gnu");
    let vars = [
        ("CC", "cross-gcc"),
        ("PKG_CONFIG_PATH", "/no/such:/"),
        ("LD_LIBRARY_PATH", "/lib:"),
        ("CARGO_BUILD_TARGET", "x"),
    ];
    let (_, checkup) = tools.doctor(&vars, &[]);
    let (status, cc) = found(&checkup, Name::Cc);
    let foreign = matches!(&cc, Found::CompilesFor { target, .. } if target == "s390x-linux-gnu");
    assert!(status == Status::Warn && foreign, "{cc:?}");
    let missing =
        Found::MissingDirectories { value: "/no/such:/".to_owned(), missing: vec!["/no/such".to_owned()] };
    assert_eq!(found(&checkup, Name::PkgConfigPath), (Status::Warn, missing));
    let empty = Found::EmptyEntry { value: "/lib:".to_owned() };
    assert_eq!(found(&checkup, Name::LdLibraryPath), (Status::Warn, empty));
}

/// A copy of a fixture that calls the C library, changed.
fn copy(dir: &Path, name: &str, change: impl Fn(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = std::fs::read(fixture("c-leak-constructor")).unwrap();
    change(&mut bytes);
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Puts one text in the place of another of the same length, wherever it is.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let places: Vec<_> = (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

fn library(path: &Path, vars: &[(&str, &str)]) -> (i32, Checkup) {
    answer(&dlsoak().args(["doctor", "--json"]).arg(path).envs(vars.iter().copied()).output().unwrap())
}

#[test]
fn a_library_that_loads_passes_and_one_for_another_machine_fails() {
    let (_, checkup) = library(&fixture("c-clean"), &[]);
    assert_eq!(check(&checkup, Name::LoadsHere).status, Status::Ok, "{checkup:#?}");
    let dir = tempfile::tempdir().unwrap();
    let (other, host) = match cfg!(target_arch = "aarch64") {
        true => (Machine::X86_64, Machine::AARCH64),
        false => (Machine::AARCH64, Machine::X86_64),
    };
    let number = u8::try_from(other.0).unwrap();
    let foreign = copy(dir.path(), "libforeign.so", |bytes| bytes[18] = number);
    let (code, checkup) = library(&foreign, &[]);
    let problem = Problem::WrongMachine { machine: other, host };
    assert_eq!(found(&checkup, Name::LoadsHere), (Status::Fail, Found::DoesNotLoad { problem }));
    assert_eq!(code, 1);
}

#[test]
fn a_library_that_needs_a_newer_glibc_or_static_tls_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let version: &[u8] = if cfg!(target_arch = "aarch64") { b"GLIBC_2.17\0" } else { b"GLIBC_2.2.5\0" };
    let mut newer = b"GLIBC_9".to_vec();
    newer.resize(version.len() - 1, b'9');
    newer.push(0);
    let path = copy(dir.path(), "libnewer.so", |bytes| replace(bytes, version, &newer));
    let (code, checkup) = library(&path, &[]);
    match found(&checkup, Name::LoadsHere) {
        (Status::Fail, Found::DoesNotLoad { problem: Problem::MissingVersion { version, glibc, .. } }) => {
            assert!(version.starts_with("GLIBC_9"), "{version}");
            assert!(glibc.is_some_and(|glibc| glibc.starts_with("glibc 2.")));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(code, 1);
    let (_, checkup) = library(&fixture("c-tls-static"), &[]);
    let (status, tls) = found(&checkup, Name::StaticTls);
    assert!(status == Status::Warn && matches!(tls, Found::StaticTls { at_most: 6, .. }), "{tls:?}");
}

#[test]
fn headers_of_another_version_than_the_library_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("demo.c");
    std::fs::write(&source, "int demo(void) { return 1; }\n").unwrap();
    let build = |directory: &str, soname: &str| {
        let directory = dir.path().join(directory);
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join(soname);
        let mut cc = std::process::Command::new(std::env::var_os("CC").unwrap_or("cc".into()));
        cc.args(["-shared", "-fPIC", "-o"]).arg(&file).arg(&source).arg(format!("-Wl,-soname,{soname}"));
        assert!(cc.status().unwrap().success());
        std::os::unix::fs::symlink(&file, directory.join("libdlsoakdemo.so")).unwrap();
        file
    };
    let old = build("old", "libdlsoakdemo.so.1");
    let new = build("new", "libdlsoakdemo.so.2");
    let text = "prefix=${pcfiledir}\nlibdir=${prefix}/new\nName: demo\nVersion: 2.1.0\nLibs: -L${libdir} -ldlsoakdemo\n";
    std::fs::write(dir.path().join("demo.pc"), text).unwrap();
    let vars = [("PKG_CONFIG_PATH", dir.path().to_str().unwrap())];
    let headers = |path: &Path| match found(&library(path, &vars).1, Name::Headers) {
        (status, Found::Headers { version, fit, .. }) => (status, version, fit),
        other => panic!("{other:?}"),
    };
    let [ours, theirs] = ["libdlsoakdemo.so.1", "libdlsoakdemo.so.2"].map(str::to_owned);
    let other = HeadersFit::OtherSoname { theirs: Some(theirs), ours };
    assert_eq!(headers(&old), (Status::Warn, "2.1.0".to_owned(), other));
    assert_eq!(headers(&new), (Status::Ok, "2.1.0".to_owned(), HeadersFit::Same));
}

#[test]
fn a_host_that_can_t_be_watched_from_its_start_is_found_and_its_twin_passes() {
    let host = |program: &Path| {
        answer(&dlsoak().args(["doctor", "--json", "--host"]).arg(program).output().unwrap()).1
    };
    let built = Built::new();
    let compiled = |name: &str, arguments: &[&str]| {
        built.compile(name, "../watch/host.c", arguments);
        host(&built.path(name))
    };
    let path = |name: &str| built.text(name);
    let not = |name: &str, why| (Status::Warn, Found::NotWatchable { path: path(name), why });
    let plain = compiled("plain", &[]);
    assert_eq!(found(&plain, Name::Watch), (Status::Ok, Found::Watchable { path: path("plain") }));
    assert!(plain.checks.iter().all(|check| check.name != Name::Allocator), "{plain:#?}");
    for (name, arguments) in [("static", &["-static"][..]), ("static-pie", &["-static-pie"])] {
        assert_eq!(found(&compiled(name, arguments), Name::Watch), not(name, Unwatchable::Static));
    }
    let own = xtask::fixtures::root().join("tests/data/hosts/own-malloc.c");
    let own = compiled("own", &["-fno-builtin", own.to_str().unwrap()]);
    assert_eq!(found(&own, Name::Allocator), (Status::Warn, Found::OwnMalloc));
    // What the file names as its loader is musl's, whether or not that is here.
    compiled("musl", &["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"]);
    assert_eq!(found(&host(&built.path("musl")), Name::Watch), not("musl", Unwatchable::Musl));
    std::fs::write(built.path("script"), "#!/bin/sh\nexec ./plain\n").unwrap();
    assert_eq!(
        found(&host(&built.path("script")), Name::Watch),
        (Status::Note, Found::Script { path: path("script") })
    );
    // A program of PATH, by its name alone.
    assert_eq!(check(&host(Path::new("sh")), Name::Watch).status, Status::Ok);
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(built.path("plain"), Some(65_534), None).unwrap();
        std::fs::set_permissions(built.path("plain"), std::fs::Permissions::from_mode(0o4755)).unwrap();
        assert_eq!(found(&host(&built.path("plain")), Name::Watch), not("plain", Unwatchable::Setuid));
    }
    let output = dlsoak().args(["doctor", "--host", "no-such-host"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("no-such-host"), "{said}");
}

#[test]
fn what_this_machine_reports_of_a_running_process_is_tried() {
    let (_, checkup) = Tools::new().doctor(&[], &[]);
    let expected = Found::PerfEvents { paranoid: dlsoak::watch::paranoid(), sight: dlsoak::watch::sight() };
    assert_eq!(found(&checkup, Name::PerfEvents).1, expected);
    let (status, audits) = found(&checkup, Name::LdAudit);
    let lacks = dlsoak::sys::glibc::slows_calls_under_audit();
    assert!(matches!(audits, Found::Auditing { lacks: found, .. } if found.is_some() == lacks), "{audits:?}");
    assert_eq!(status == Status::Warn, lacks);
}

#[test]
fn people_read_a_line_for_each_check() {
    let tools = Tools::new();
    tools.go(&[("CGO_ENABLED", "0")]);
    let mut command = dlsoak();
    command.env("PATH", tools.path().join("bin")).env("CGO_ENABLED", "0").env_remove("GOROOT").arg("doctor");
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(text.contains("  warn CGO_ENABLED"), "{text}");
}

#[test]
fn what_is_no_library_is_refused_in_one_line() {
    for file in ["/no/such/lib.so", "/etc/passwd"] {
        let output = dlsoak().args(["doctor", file]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && errors.contains(file) && errors.lines().count() == 1,
            "{errors}"
        );
    }
}
