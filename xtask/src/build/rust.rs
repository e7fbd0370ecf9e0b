//! Rust fixtures: the examples of one package outside the workspace, built by the cargo that runs us.

use std::fs;

use anyhow::{Context, Result};
use xtask::fixtures::{self, Fixture};

use super::{Places, contents};
use crate::command;

/// Builds these fixtures; how many were not up to date.
pub(super) fn build(places: &Places, fixtures: &[&Fixture]) -> Result<usize> {
    let mut built = 0;
    let target = fixtures::foreign().map(|machine| format!("{machine}-unknown-linux-gnu"));
    for fixture in fixtures {
        let mut cargo = command::cargo(&places.root);
        cargo
            .args(["build", "--quiet", "--release", "--offline", "--locked"])
            .args(["--manifest-path", "cdylib-fixtures/rust/Cargo.toml"])
            .args(["--example", &fixture.name])
            .args(target.iter().flat_map(|target| ["--target", target]))
            .args(&fixture.flags)
            .env("CARGO_TARGET_DIR", places.out.join(".rust"));
        // What is shared, and this example: a change to another one is not a change here.
        let shared = ["rust/Cargo.toml", "rust/Cargo.lock", "rust/src"].map(|path| places.sources.join(path));
        let own = fixture.sources.iter().map(|source| places.sources.join(source));
        let read: Vec<_> = shared.into_iter().chain(own).collect();
        let compiler = command::quietly(
            std::process::Command::new("rustc").arg("--version").current_dir(&places.root),
            command::CARGO,
        )?;
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        let stamp = format!("{}{}\n{flags}\n{}\n", compiler, command::arguments(&cargo), contents(&read)?);
        let made = places.make(&fixture.file_name(), &stamp, |file| {
            command::quietly(&mut cargo, command::CARGO)?;
            let name = format!("lib{}.so", fixture.name.replace('-', "_"));
            let built = places.out.join(".rust").join(target.as_deref().unwrap_or_default());
            let from = built.join("release/examples").join(name);
            fs::copy(&from, file).with_context(|| format!("cannot copy {}", from.display()))?;
            Ok(())
        })?;
        built += usize::from(made);
    }
    Ok(built)
}
