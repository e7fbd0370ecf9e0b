//! rustc: its version, and the targets that it has a standard library for.

use std::path::Path;

use super::{Check, Checks, Group, process, tools};

/// Targets that are listed.
const MOST: usize = 40;

/// Everything about Rust.
pub(super) fn checks() -> Vec<Check> {
    let mut checks = Checks::new(Group::Rust);
    let Some(path) = tools::find("rustc") else {
        checks.note("rustc", "not in PATH; only needed to build Rust libraries (https://rustup.rs)");
        return checks.all;
    };
    let text = match process::output(&path, &["-vV"]) {
        Ok(text) => text,
        Err(error) => {
            checks.warn(
                "rustc",
                format!("{} does not work: {error}", path.display()),
                "rustup toolchain list",
            );
            return checks.all;
        }
    };
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
    let host = field("host:");
    let release = field("release:");
    if host.contains("musl") {
        checks.warn(
            "rustc",
            format!("{release} for {host}: libraries for musl do not load into programs of glibc"),
            "cargo build --target x86_64-unknown-linux-gnu",
        );
    } else {
        checks.ok("rustc", format!("{release} for {host} ({})", path.display()));
    }
    let targets = process::output(&path, &["--print", "sysroot"]).map(|root| targets(Path::new(root.trim())));
    match targets {
        Ok(targets) if targets.is_empty() => {
            checks.warn(
                "targets",
                "rustc has no standard library at all",
                format!("rustup target add {host}"),
            );
        }
        Ok(targets) => checks.ok("targets", targets.join(", ")),
        Err(error) => checks.note("targets", error),
    }
    if let Some(target) = super::variable("CARGO_BUILD_TARGET").filter(|target| target != host) {
        checks.warn(
            "CARGO_BUILD_TARGET",
            format!("cargo builds for {target} and not for {host}; what it builds may not load here"),
            "unset CARGO_BUILD_TARGET",
        );
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
