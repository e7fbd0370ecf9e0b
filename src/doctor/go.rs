//! The Go tools: whether they are one installation, and whether they can build a library here, which takes cgo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Checks, process, text, tools, variable};
use crate::elf;
use crate::record::checkup::{CgoOff, CgoProblem, Check, Failure, Found, GoRootFit, Group, Name, Status};

/// What `go env -json` says.
type Settings = BTreeMap<String, String>;

/// Everything about Go.
pub(super) fn checks() -> Vec<Check> {
    let mut checks = Checks::new(Group::Go);
    let root_is_set = variable("GOROOT").is_some();
    let Some(path) = tools::find("go") else {
        let set = variable("GOROOT").map(|root| PathBuf::from(root).join("bin"));
        let elsewhere = set.filter(|bin| bin.join("go").is_file()).map(|bin| text(&bin));
        let status = if elsewhere.is_some() { Status::Warn } else { Status::Note };
        checks.add(status, Name::Go, Found::NotInPath { elsewhere });
        return checks.all;
    };
    match process::output(&path, &["env", "-json"]).map(|text| serde_json::from_str::<Settings>(&text)) {
        Ok(Ok(settings)) => {
            let version = value(&settings, "GOVERSION").trim_start_matches("go").to_owned();
            checks.ok(Name::Go, Found::Program { path: text(&path), version: Some(version) });
            root(&mut checks, &path, &settings);
            cgo(&mut checks, &settings);
        }
        Ok(Err(_)) => {
            let failure = Failure::Nonsense;
            checks.warn(Name::Go, Found::Broken { path: text(&path), failure, variable: None });
        }
        Err(failure) => {
            let variable = root_is_set.then(|| "GOROOT".to_owned());
            checks.fail(Name::Go, Found::Broken { path: text(&path), failure, variable });
        }
    }
    checks.all
}

fn value<'a>(settings: &'a Settings, name: &str) -> &'a str {
    settings.get(name).map(String::as_str).unwrap_or_default()
}

/// Whether the library and tools in GOROOT are those of the `go` in PATH.
fn root(checks: &mut Checks, go: &Path, settings: &Settings) {
    let root = PathBuf::from(value(settings, "GOROOT"));
    let own = value(settings, "GOVERSION");
    let by_environment = variable("GOROOT").is_some();
    // `go` lies in ROOT/bin, unless something stands before it.
    let beside = std::fs::canonicalize(go).ok().and_then(|file| Some(file.parent()?.parent()?.to_path_buf()));
    let beside = beside.filter(|dir| dir.join("VERSION").is_file());
    let elsewhere = beside.filter(|dir| std::fs::canonicalize(&root).ok().as_ref() != Some(dir));
    let (status, fit) = match (installed(&root), elsewhere) {
        (None, _) if by_environment => (Status::Fail, GoRootFit::NoInstallation),
        (Some(version), _) if version != own => {
            (Status::Fail, GoRootFit::OtherVersion { version, go: own.to_owned() })
        }
        (_, Some(other)) => (Status::Warn, GoRootFit::OtherCopy { directory: text(&other) }),
        _ => (Status::Ok, GoRootFit::Same),
    };
    checks.add(status, Name::GoRoot, Found::GoRoot { root: text(&root), by_environment, fit });
}

/// The version of the installation at `root`, as its file says.
fn installed(root: &Path) -> Option<String> {
    let bytes = elf::read_at_most(&root.join("VERSION"), 4096).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split_whitespace().next().map(str::to_owned)
}

/// Whether cgo is on, and if not why; whether its compiler is there and fits.
fn cgo(checks: &mut Checks, settings: &Settings) {
    let value = |name: &str| value(settings, name);
    let target = format!("{}/{}", value("GOOS"), value("GOARCH"));
    let host = format!("{}/{}", value("GOHOSTOS"), value("GOHOSTARCH"));
    let cross = target != host;
    // Go takes flags in CC, too.
    let compiler = value("CC").split_whitespace().next().unwrap_or("gcc").to_owned();
    let found = tools::find(&compiler);
    if cross {
        let set = ["GOOS", "GOARCH"].into_iter().filter(|name| variable(name).is_some());
        let variables = set.map(str::to_owned).collect();
        let found = Found::GoTarget { target: target.clone(), host: host.clone(), variables };
        checks.warn(Name::GoTarget, found);
    }
    if value("CGO_ENABLED") == "0" {
        let why = match variable("CGO_ENABLED") {
            Some(_) => CgoOff::Environment,
            None if cross => CgoOff::OtherMachine { target, host, fix: cross_compiler(value("GOARCH")) },
            None if found.is_none() => CgoOff::NoCompiler { compiler },
            None => CgoOff::Setting,
        };
        checks.warn(Name::CgoEnabled, Found::CgoOff { why });
        return;
    }
    let problem = match found {
        None => Some(CgoProblem::NotInPath),
        Some(path) => {
            let machine = process::output(&path, &["-dumpmachine"]).unwrap_or_default().trim().to_owned();
            let arch = machine.split('-').next().unwrap_or_default();
            let wanted = of_go(value("GOARCH"));
            let other = tools::same_machine(arch).is_some() && wanted.is_some_and(|wanted| wanted != arch);
            let fix = cross_compiler(value("GOARCH"));
            other.then_some(CgoProblem::OtherMachine { machine, target, fix })
        }
    };
    let status = if problem.is_some() { Status::Warn } else { Status::Ok };
    checks.add(status, Name::CgoEnabled, Found::CgoOn { compiler, problem });
}

/// What a compiler calls the machine that Go calls `goarch`.
fn of_go(goarch: &str) -> Option<&'static str> {
    Some(match goarch {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "riscv64" => "riscv64",
        "s390x" => "s390x",
        "ppc64le" => "powerpc64le",
        "386" => "i686",
        "arm" => "arm",
        _ => return None,
    })
}

/// The usual name of a C compiler for the machine that Go calls `goarch`.
fn cross_compiler(goarch: &str) -> Option<String> {
    match goarch {
        "arm" => Some("arm-linux-gnueabihf-gcc".to_owned()),
        _ => of_go(goarch).map(|arch| format!("{arch}-linux-gnu-gcc")),
    }
}
