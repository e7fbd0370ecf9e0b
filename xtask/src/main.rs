//! The repository's own commands, `cargo xtask VERB`: what a developer types, and nothing that users of dlsoak get.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod atlas;
mod bench;
mod build;
mod check;
mod checks;
mod cluster;
mod command;
mod demo;
mod dist;
mod examples;
mod fleet;
mod fuzz;
mod go_matrix;
mod harm;
mod hosts;
mod hosts_watched;
mod languages;
mod mutate;
mod nightly;
mod pairs;
mod pictures;
mod plugins;
mod ports;
mod python;
mod slurm;
mod survey;
mod truth;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The repository's own commands")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the fixture libraries into target/fixtures; --check soaks each shortly and compares why it stays
    Fixtures(check::Wanted),
    /// Build everything, soak the demo's suite and compare with what is true of it
    Demo(demo::Options),
    /// Soak a Go library of several versions of Go, and make a table of what it costs its host
    GoMatrix(go_matrix::Options),
    /// Soak every fixture many times and count wrong verdicts, rate errors and coverage
    Truth(truth::Options),
    /// Write pictures of the page with 1, 7 and 121 libraries to reports/sample/pages; needs Chromium and pngquant
    Pictures(pictures::Options),
    /// Compare many runs of the same libraries, and of a slower one: how often `dlsoak compare` errs
    Pairs(pairs::Options),
    /// Soak the modules of Apache, nginx, PostgreSQL and Python in their hosts, and write docs/hosts-debian.md; --watched watches hosts
    Hosts(hosts::Hosts),
    /// Soak all that crashes, hangs, exits or vandalises in one run, and compare with what is true of it
    Hostile(harm::Options),
    /// Build libraries in D, Nim, OCaml and Zig, soak each shortly, and compare with what is true of it
    Languages,
    /// Soak damaged copies of libraries: nothing that is in a file makes the supervisor fail
    Mutate(mutate::Options),
    /// Run each fuzz target for a bounded time
    Fuzz(fuzz::Options),
    /// Soak every library of a directory shortly: was it unloaded, why not, what does it leave
    Survey(survey::Survey),
    /// Soak the plugins of Debian's packages by their drivers, compare with bare hosts in C, and write docs/drivers-debian.md
    Plugins(plugins::Options),
    /// Soak the plugins of a distribution on two nodes of Slurm, each in the shape of its host, and write reports/atlas/
    Atlas(atlas::Options),
    /// Watch a host that loads 100 times per second for ten minutes: the watcher's memory does not grow
    Watch,
    /// Run truth, pairs, mutate, fuzz, hostile, survey, hosts, watch, ports, slurm, atlas, examples and dist in turn, and add what they say to reports/nightly.md
    Nightly(nightly::Options),
    /// Validate examples/fleet/, action.yml and the release workflow against the published schemas, with validators fetched by pip
    Fleet,
    /// Run the examples that take longer than a test may: for Go, and for Rust with cargo and nextest
    Examples,
    /// Build what users can get into target/dist: an archive, a wheel, a Debian package, an image; --check installs and uses each
    Dist(dist::Options),
    /// Soak the fixtures with what ships on older and newer C libraries and on musl, and write docs/ports.md; needs root
    Ports(ports::Options),
    /// Run the example for Slurm on two nodes of this machine that are lost meanwhile, and write docs/slurm.md; needs root and Slurm
    Slurm,
    /// Format, clippy, documentation and licences
    Lint,
    /// Lint, build the fixtures, run all tests
    Test(checks::Passed),
    /// Run the benchmarks, or measure dlsoak among its peers
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// True when all is as it should be, false when something checked is not; an error when it could not be checked.
fn run(verb: Verb) -> Result<bool> {
    match verb {
        Verb::Fixtures(options) => check::run(&options),
        Verb::Demo(options) => demo::run(&options),
        Verb::GoMatrix(options) => go_matrix::run(&options),
        Verb::Truth(options) => truth::run(&options),
        Verb::Pictures(options) => pictures::run(&options),
        Verb::Pairs(options) => pairs::run(&options),
        Verb::Hosts(options) => hosts::run(&options),
        Verb::Hostile(options) => harm::run(&options),
        Verb::Mutate(options) => mutate::run(&options),
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::Survey(options) => survey::run(&options),
        Verb::Plugins(options) => plugins::run(&options),
        Verb::Atlas(options) => atlas::run(&options),
        Verb::Languages => languages::run(),
        Verb::Watch => watch::run(),
        Verb::Nightly(options) => nightly::run(&options),
        Verb::Fleet => fleet::run(),
        Verb::Examples => examples::run(),
        Verb::Dist(options) => dist::run(&options),
        Verb::Ports(options) => ports::run(&options),
        Verb::Slurm => slurm::run(),
        Verb::Lint => checks::lint(),
        Verb::Test(passed) => checks::test(&passed),
        Verb::Bench(options) => bench::run(&options),
    }
}
