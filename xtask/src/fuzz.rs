//! `cargo xtask fuzz`: builds the fuzz targets and runs each for a bounded time. It needs no cargo-fuzz: the coverage
//! that libFuzzer steers by is an option of the stable compiler.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use xtask::fixtures;

use crate::command;

/// What to run, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only this target; repeatable
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
}

/// What cargo-fuzz passes to the compiler, but for the sanitizer: its parsers are safe Rust throughout.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Longest input by target, in bytes, where libFuzzer's choice does not fit.
const LONGEST: [(&str, u32); 5] =
    [("units", 256), ("explain", 4096), ("suite", 8192), ("elf", 16_384), ("record", 32_768)];

/// Runs the targets; false when one of them found something.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = fixtures::root();
    let targets = targets(&root)?;
    for name in &options.target {
        if !targets.contains(name) {
            bail!("no fuzz target is called `{name}`; there are {}", targets.join(", "));
        }
    }
    let built = build(&root)?;
    let (mut ran, mut found) = (0, 0);
    for name in targets.iter().filter(|name| options.target.is_empty() || options.target.contains(name)) {
        ran += 1;
        found += u32::from(!target(&root, &built, name, options.seconds)?);
    }
    println!("\n{ran} targets for {} s each, {found} broke", options.seconds);
    Ok(found == 0)
}

/// Names of the targets.
fn targets(root: &Path) -> Result<Vec<String>> {
    let directory = root.join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let stems = entries.flatten().filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()));
    let mut names: Vec<_> = stems.collect();
    names.sort();
    Ok(names)
}

/// Builds all targets; where they are.
fn build(root: &Path) -> Result<std::path::PathBuf> {
    let target = command::target(root).join("fuzz");
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = command::cargo(root);
    // Named, so that the flags are not for build scripts and procedural macros.
    cargo.args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
    cargo.env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", FLAGS);
    if !command::succeeds(&mut cargo, command::CARGO)? {
        bail!("`{}` failed; it also needs a C++ compiler, for libFuzzer itself", command::spelt(&cargo));
    }
    Ok(target.join(host).join("release"))
}

/// Runs one target: what it finds that is new grows under `target/`, what breaks it is kept and named.
fn target(root: &Path, built: &Path, name: &str, seconds: u64) -> Result<bool> {
    let place = command::target(root).join("fuzz/runs").join(name);
    let (corpus, found) = (place.join("corpus"), place.join("found"));
    for directory in [&corpus, &found] {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    println!("== {name}");
    let longest = LONGEST.iter().find(|(of, _)| *of == name).map_or(4096, |(_, longest)| *longest);
    let mut command = Command::new(built.join(name));
    command.arg(&corpus).arg(root.join("fuzz/corpus").join(name)).args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={longest}"),
        format!("-artifact_prefix={}/", found.display()),
        "-timeout=10".to_owned(),
        "-rss_limit_mb=1500".to_owned(),
        "-print_final_stats=1".to_owned(),
        "-verbosity=0".to_owned(),
    ]);
    let sound = command::succeeds(&mut command, command::CARGO)?;
    if !sound {
        println!("{name} broke: the input is in {}", found.display());
    }
    Ok(sound)
}
