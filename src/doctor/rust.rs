//! rustc: its version, and the targets that it has a standard library for.

use std::path::Path;

use super::{Checks, process, text, tools};
use crate::record::checkup::{Check, Found, Group, Name, Status};

/// Targets that are listed.
const MOST: usize = 40;

/// Everything about Rust.
pub(super) fn checks() -> Vec<Check> {
    let mut checks = Checks::new(Group::Rust);
    let Some(path) = tools::find("rustc") else {
        checks.note(Name::Rustc, Found::NotInPath { elsewhere: None });
        return checks.all;
    };
    let broken = |failure| Found::Broken { path: text(&path), failure, variable: None };
    let answer = match process::output(&path, &["-vV"]) {
        Ok(answer) => answer,
        Err(failure) => {
            checks.warn(Name::Rustc, broken(failure));
            return checks.all;
        }
    };
    let field = |name: &str| {
        let value = answer.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        value.unwrap_or_default().to_owned()
    };
    let host = field("host:");
    let found = Found::Rustc { path: text(&path), release: field("release:"), host: host.clone() };
    match host.contains("musl") {
        true => checks.warn(Name::Rustc, found),
        false => checks.ok(Name::Rustc, found),
    }
    match process::output(&path, &["--print", "sysroot"]).map(|root| targets(Path::new(root.trim()))) {
        Ok(targets) => {
            let status = if targets.is_empty() { Status::Warn } else { Status::Ok };
            checks.add(status, Name::RustTargets, Found::RustTargets { targets, host: host.clone() });
        }
        Err(failure) => checks.note(Name::RustTargets, broken(failure)),
    }
    if let Some(target) = super::variable("CARGO_BUILD_TARGET").filter(|target| *target != host) {
        checks.warn(Name::CargoBuildTarget, Found::CargoTarget { target, host });
    }
    checks.all
}

/// Targets that a toolchain has, by the directories of its libraries.
fn targets(sysroot: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(sysroot.join("lib/rustlib")).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .filter(|entry| entry.path().join("lib").is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .take(MOST)
        .collect();
    found.sort();
    found
}
