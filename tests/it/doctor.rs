//! What `doctor` says of machines that lack something: made of directories with scripts that pose as tools, and of
//! libraries with a byte changed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::support::{dlsoak, fixture};

/// A directory of tools of one's own.
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
    fn doctor(&self, vars: &[(&str, &str)], args: &[&str]) -> (i32, Value) {
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

fn answer(output: &Output) -> (i32, Value) {
    let errors = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    (output.status.code().unwrap(), json)
}

/// Status, finding and mend of a check.
fn check(json: &Value, group: &str, name: &str) -> (String, String, String) {
    let checks = json["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["group"] == group && check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {group}/{name} in {json:#}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("found"), text("mend"))
}

#[test]
fn a_machine_with_everything_passes() {
    let tools = Tools::new();
    tools.gcc();
    tools.go(&[]);
    let (code, json) = tools.doctor(&[], &[]);
    assert_eq!(check(&json, "go", "go").0, "ok", "{json:#}");
    assert_eq!(check(&json, "go", "GOROOT").0, "ok", "{json:#}");
    assert_eq!(check(&json, "go", "CGO_ENABLED").0, "ok", "{json:#}");
    assert!(check(&json, "tools", "gcc").1.starts_with("12.2.0"), "{json:#}");
    assert_eq!(json["schema"], "dlsoak.doctor/1");
    assert_eq!(code, i32::from(json["status"] == "fail"), "{json:#}");
}

#[test]
fn a_machine_without_go_or_a_compiler_is_told_so_and_does_not_fail_by_it() {
    let tools = Tools::new();
    let (_, json) = tools.doctor(&[], &[]);
    let (status, found, _) = check(&json, "go", "go");
    assert!(status == "note" && found.contains("not in PATH"), "{json:#}");
    let (status, _, mend) = check(&json, "tools", "C compiler");
    assert!(status == "warn" && mend.contains("install"), "{json:#}");
    let fails = json["checks"].as_array().unwrap().iter().filter(|check| check["status"] == "fail");
    assert!(fails.clone().all(|check| check["group"] != "go" && check["group"] != "tools"), "{json:#}");
}

#[test]
fn cgo_that_is_off_is_told_with_why() {
    let tools = Tools::new();
    tools.gcc();
    tools.go(&[("CGO_ENABLED", "0")]);
    let told = |vars: &[(&str, &str)]| check(&tools.doctor(vars, &[]).1, "go", "CGO_ENABLED");
    let (status, found, mend) = told(&[("CGO_ENABLED", "0")]);
    assert!(
        status == "warn" && found.contains("by the environment") && mend == "unset CGO_ENABLED",
        "{found}"
    );
    let (status, found, mend) = told(&[]);
    assert!(status == "warn" && found.contains("go env -w") && mend == "go env -u CGO_ENABLED", "{found}");
    tools.go(&[("CGO_ENABLED", "0"), ("GOARCH", "s390x")]);
    let (_, found, mend) = told(&[("GOARCH", "s390x")]);
    assert!(
        found.contains("by default, since linux/s390x") && mend.contains("CC=s390x-linux-gnu-gcc"),
        "{found}"
    );
    tools.go(&[("CGO_ENABLED", "0"), ("CC", "no-such-cc")]);
    assert!(told(&[]).1.contains("no C compiler"));
    // On, and the compiler is for another machine than Go builds for.
    tools.go(&[("GOARCH", "s390x")]);
    let (status, found, _) = told(&[]);
    assert!(status == "warn" && found.contains("compiles for"), "{found}");
}

#[test]
fn a_goroot_that_disagrees_with_path_fails() {
    let tools = Tools::new();
    tools.gcc();
    let other = tempfile::tempdir().unwrap();
    let root = other.path().to_str().unwrap();
    tools.go(&[("GOROOT", root)]);
    let told = || {
        let (code, json) = tools.doctor(&[("GOROOT", root)], &[]);
        let (status, found, mend) = check(&json, "go", "GOROOT");
        assert_eq!(mend, "unset GOROOT", "{found}");
        (code, status, found)
    };
    let (code, status, found) = told();
    assert!((code, status.as_str()) == (1, "fail") && found.contains("no Go installation"), "{found}");
    std::fs::write(other.path().join("VERSION"), "go1.21.13\n").unwrap();
    let (code, status, found) = told();
    assert!((code, status.as_str()) == (1, "fail") && found.contains("holds go1.21.13"), "{found}");
    std::fs::write(other.path().join("VERSION"), "go1.26.8\n").unwrap();
    let (_, status, found) = told();
    assert!(status == "warn" && found.contains("the same version"), "{found}");
}

#[test]
fn tools_that_break_hang_or_babble_are_told_and_end() {
    let tools = Tools::new();
    tools.script("go", "echo 'go: cannot find GOROOT directory: /no/such' >&2; exit 2");
    tools.script("rustc", "echo nonsense; exit 0");
    tools.script("gcc", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done");
    let (code, json) = tools.doctor(&[("GOROOT", "/no/such"), ("CC", "no-such-cc -O2")], &[]);
    let (status, found, mend) = check(&json, "go", "go");
    assert!(
        status == "fail" && found.contains("cannot find GOROOT") && mend.contains("unset GOROOT"),
        "{found}"
    );
    assert!(check(&json, "tools", "gcc").1.contains("within 5 s"), "{json:#}");
    let (status, found, _) = check(&json, "tools", "CC");
    assert!(status == "fail" && found.contains("no-such-cc is not there"), "{found}");
    assert_eq!(code, 1);
    let nothing = Tools::new();
    nothing.script("go", "printf '\\377\\376{['");
    assert_eq!(check(&nothing.doctor(&[], &[]).1, "go", "go").0, "warn");
}

#[test]
fn variables_that_name_what_is_not_there_are_told() {
    let tools = Tools::new();
    tools.script("cross-gcc", "echo s390x-linux-gnu");
    let vars = [
        ("CC", "cross-gcc"),
        ("PKG_CONFIG_PATH", "/no/such:/"),
        ("LD_LIBRARY_PATH", "/lib:"),
        ("CARGO_BUILD_TARGET", "x"),
    ];
    let (_, json) = tools.doctor(&vars, &[]);
    for (name, part) in [
        ("CC", "compiles for s390x"),
        ("PKG_CONFIG_PATH", "no directory: /no/such"),
        ("LD_LIBRARY_PATH", "empty entry"),
    ] {
        let (status, found, mend) = check(&json, "tools", name);
        assert!(status == "warn" && found.contains(part) && !mend.is_empty(), "{name}: {found}");
    }
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

fn library(path: &Path, vars: &[(&str, &str)]) -> (i32, Value) {
    answer(&dlsoak().args(["doctor", "--json"]).arg(path).envs(vars.iter().copied()).output().unwrap())
}

#[test]
fn a_library_that_loads_passes_and_one_for_another_machine_fails() {
    let (_, json) = library(&fixture("c-clean"), &[]);
    assert_eq!(check(&json, "library", "loads here").0, "ok", "{json:#}");
    let dir = tempfile::tempdir().unwrap();
    let (machine, name) = if cfg!(target_arch = "aarch64") { (62, "x86-64") } else { (183, "aarch64") };
    let foreign = copy(dir.path(), "libforeign.so", |bytes| bytes[18] = machine);
    let (code, json) = library(&foreign, &[]);
    let (status, found, mend) = check(&json, "library", "loads here");
    assert!(
        (code, status.as_str()) == (1, "fail") && found.contains(&format!("built for {name}")),
        "{found}"
    );
    assert!(mend.starts_with("build it for"), "{mend}");
}

#[test]
fn a_library_that_needs_a_newer_glibc_or_static_tls_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let version: &[u8] = if cfg!(target_arch = "aarch64") { b"GLIBC_2.17\0" } else { b"GLIBC_2.2.5\0" };
    let mut newer = b"GLIBC_9".to_vec();
    newer.resize(version.len() - 1, b'9');
    newer.push(0);
    let path = copy(dir.path(), "libnewer.so", |bytes| replace(bytes, version, &newer));
    let (code, json) = library(&path, &[]);
    let (status, found, mend) = check(&json, "library", "loads here");
    assert!((code, status.as_str()) == (1, "fail") && found.contains("GLIBC_9"), "{found}");
    assert!(
        found.contains("this host has glibc 2.") && mend.contains("build it against an older one"),
        "{mend}"
    );
    let (_, json) = library(&fixture("c-tls-static"), &[]);
    let (status, found, _) = check(&json, "library", "static TLS");
    assert!(status == "warn" && found.contains("at most 6"), "{found}");
}

#[test]
fn headers_of_another_version_than_the_library_are_told() {
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
    let (_, json) = library(&old, &vars);
    let (status, found, _) = check(&json, "library", "headers");
    assert!(status == "warn" && found.contains("version 2.1.0"), "{found}");
    assert!(found.contains("is libdlsoakdemo.so.2, where this one is libdlsoakdemo.so.1"), "{found}");
    assert_eq!(check(&library(&new, &vars).1, "library", "headers").0, "ok");
}

#[test]
fn people_read_a_line_for_each_and_the_mend_below() {
    let tools = Tools::new();
    tools.go(&[("CGO_ENABLED", "0")]);
    let mut command = dlsoak();
    command.env("PATH", tools.path().join("bin")).env("CGO_ENABLED", "0").env_remove("GOROOT").arg("doctor");
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(text.contains("  warn CGO_ENABLED"), "{text}");
    assert!(text.contains("-> unset CGO_ENABLED\n"), "{text}");
    assert!(text.lines().last().unwrap().contains("warning"), "{text}");
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
