//! `cargo xtask lint` and `test`: what a change must pass, the same for a developer and for CI.

use std::num::NonZeroUsize;
use std::process::{Command, Stdio};

use anyhow::Result;
use clap::Args;
use xtask::{fixtures, lacking};

use crate::{build, command};

/// Arguments that are passed on to cargo.
#[derive(Args)]
pub(crate) struct Passed {
    /// Passed on to cargo
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CARGO ARGUMENT")]
    args: Vec<String>,
}

/// How many tests run at a time, by the environment.
const THREADS: &str = "RUST_TEST_THREADS";
const RUST_FIXTURES: &str = "cdylib-fixtures/rust/Cargo.toml";
const FUZZ_TARGETS: &str = "fuzz/Cargo.toml";

/// Formatting, clippy and documentation of the workspace and of the Rust fixtures, and licences.
pub(crate) fn lint() -> Result<bool> {
    let root = fixtures::root();
    let fixtures_target = fixtures::directory(&root).join(".rust");
    let outside = |arguments: &[&str]| {
        let mut cargo = command::cargo(&root);
        cargo.args(arguments).env("CARGO_TARGET_DIR", &fixtures_target);
        cargo
    };
    let inside = |arguments: &[&str]| {
        let mut cargo = command::cargo(&root);
        cargo.args(arguments);
        cargo
    };
    let mut doc = inside(&["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    let steps = [
        inside(&["fmt", "--all", "--check"]),
        outside(&["fmt", "--manifest-path", RUST_FIXTURES, "--check"]),
        // Formatting alone: what they call is part of the tests, and libFuzzer takes a while to build.
        inside(&["fmt", "--manifest-path", FUZZ_TARGETS, "--check"]),
        inside(&["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"]),
        // As the test of a plugin has it, without what only the program needs.
        inside(&["clippy", "--package", "dlsoak-soak", "--locked", "--quiet", "--", "-D", "warnings"]),
        outside(&[
            "clippy",
            "--manifest-path",
            RUST_FIXTURES,
            "--all-targets",
            "--locked",
            "--offline",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]),
        doc,
    ];
    let mut passed = true;
    for mut step in steps {
        passed &= check(&mut step)?;
    }
    let has_deny = inside(&["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if has_deny {
        passed &= check(&mut inside(&["deny", "--locked", "check"]))?;
    } else {
        eprintln!("cargo-deny is not installed: licences and advisories are not checked");
    }
    Ok(passed)
}

/// Lint, the fixtures, all tests. The last line counts what this machine could not test.
pub(crate) fn test(passed: &Passed) -> Result<bool> {
    let root = fixtures::root();
    if !lint()? {
        return Ok(false);
    }
    build::run(&build::Options::all_quietly())?;
    lacking::clear(&root)?;
    let mut cargo = command::cargo(&root);
    cargo.args(["test", "--workspace", "--locked"]).args(&passed.args);
    if std::env::var_os(THREADS).is_none() {
        // A soak is waited for a third of the time: with a thread for each of 2 processors they were busy for 66 % of it.
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        cargo.env(THREADS, (processors * 3 / 2).to_string());
    }
    let good = check(&mut cargo)?;
    eprintln!("{}", lacking::summary(&root));
    Ok(good)
}

/// Runs a step and shows it.
pub(crate) fn check(command: &mut Command) -> Result<bool> {
    eprintln!("$ {}", command::spelt(command).replace(env!("CARGO"), "cargo"));
    command::succeeds(command, command::CARGO)
}
