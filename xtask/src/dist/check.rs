//! Installs what `cargo xtask dist` built, each into an empty place, and soaks a library of the system with what is installed there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::record;

use super::{COREUTILS, Dist, done, fresh, write};
use crate::{command, python};

/// Where a library is that every system has and that is clean.
const LIBRARY: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/libz.so.1",
    "/usr/lib/aarch64-linux-gnu/libz.so.1",
    "/usr/lib64/libz.so.1",
    "/usr/lib/libz.so.1",
];

const CYCLES: &str = "20k";

const DPKG: &str = "the package can be tried on Debian and Ubuntu only, which have dpkg";

/// Does the same in another system's root. Its `/proc` is mounted for as long as this lasts.
const IN_ROOT: &str = r#"
mount --types proc proc "$1/proc"
chroot "$1" dlsoak run "$2" --cycles "$3" --out /var/tmp/dlsoak-soak --force --quiet
"#;

/// Tries everything; an error names what does not work.
pub(super) fn run(dist: &Dist, roots: &[PathBuf]) -> Result<bool> {
    let scratch = tempfile::tempdir().context("cannot make a directory")?;
    let place = |name: &str| -> Result<PathBuf> {
        let place = scratch.path().join(name);
        fresh(&place)?;
        Ok(place)
    };
    archive(dist, &place("archive")?)?;
    wheel(dist, &place("wheel")?)?;
    debian(dist, &place("debian")?)?;
    for root in roots {
        in_root(dist, root)?;
    }
    action(dist, &place("action")?)?;
    crates(dist)
}

/// Soaks with this program and nothing else in the environment: no compiler, no home.
fn soaks(what: &str, program: &Path, place: &Path) -> Result<()> {
    let library = LIBRARY.into_iter().find(|library| Path::new(library).exists());
    let library = library.context("libz.so.1 is missing: apt install zlib1g")?;
    let mut soak = Command::new(program);
    soak.args(["run", library, "--cycles", CYCLES, "--quiet", "--out"]).arg(place.join("soak"));
    soak.env_clear().env("PATH", program.parent().unwrap_or(program)).current_dir(place);
    command::quietly(&mut soak, command::CARGO)?;
    passed(what, &place.join("soak"))
}

fn passed(what: &str, out: &Path) -> Result<()> {
    let verdicts: Vec<String> = record::read(out)?.soaks.into_iter().map(|soak| soak.verdict).collect();
    if verdicts != ["clean"] {
        bail!("{what}: the verdict on libz is {verdicts:?}");
    }
    println!("{what}: installed into an empty place, and libz soaked there");
    Ok(())
}

/// Unpacked as the manifest says to cargo-binstall.
fn archive(dist: &Dist, place: &Path) -> Result<()> {
    let archive = dist.file("gz")?;
    let manifest = dist.root.join("Cargo.toml");
    let text =
        fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let text: toml::Table = text.parse().with_context(|| format!("cannot read {}", manifest.display()))?;
    let binstall = &text["package"]["metadata"]["binstall"];
    let known = [("name", "dlsoak"), ("bin", "dlsoak"), ("version", &dist.version), ("target", &dist.target)];
    let filled = |key: &str| {
        let template = binstall[key].as_str().unwrap_or_default().to_owned();
        known.iter().fold(template, |text, (name, value)| text.replace(&format!("{{ {name} }}"), value))
    };
    let url = filled("pkg-url");
    if archive.file_name().and_then(|name| name.to_str()) != url.rsplit('/').next() {
        bail!("cargo-binstall would fetch {url}, which is not {}", archive.display());
    }
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(place);
    command::quietly(&mut tar, COREUTILS)?;
    soaks("archive", &place.join(filled("bin-dir")), place)
}

/// With an environment of its own, by a pip that finds no compiler and asks no index.
fn wheel(dist: &Dist, place: &Path) -> Result<()> {
    let bin = place.join("bin");
    python::environment(place)?;
    let mut pip = Command::new(bin.join("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-index"]).arg(dist.file("whl")?);
    command::quietly(pip.env("PATH", &bin), python::INSTALL)?;
    soaks("wheel", &bin.join("dlsoak"), place)
}

fn debian(dist: &Dist, place: &Path) -> Result<()> {
    for file in ["status", "available"] {
        write(&place.join("var/lib/dpkg").join(file), "")?;
    }
    for directory in ["info", "updates", "triggers"] {
        fresh(&place.join("var/lib/dpkg").join(directory))?;
    }
    dpkg(dist, place)?;
    soaks("Debian package", &place.join("usr/bin/dlsoak"), place)
}

/// Installs the package below a root, as any user.
fn dpkg(dist: &Dist, root: &Path) -> Result<()> {
    let mut option = std::ffi::OsString::from("--root=");
    option.push(root);
    let mut dpkg = Command::new("dpkg");
    dpkg.arg(option).args(["--force-not-root", "--force-script-chrootless", "--log=/dev/null", "--install"]);
    dpkg.arg(dist.file("deb")?);
    // It asks for programs that only root has on the path.
    let path = std::env::var("PATH").unwrap_or_default();
    command::quietly(dpkg.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin")), DPKG)?;
    Ok(())
}

fn in_root(dist: &Dist, root: &Path) -> Result<()> {
    // First, because dpkg would make a root where there is none.
    let library = LIBRARY.into_iter().find(|library| root.join(library.trim_start_matches('/')).exists());
    let library = library.with_context(|| format!("libz.so.1 is missing in {}", root.display()))?;
    dpkg(dist, root)?;
    let mut soak = Command::new("unshare");
    soak.args(["--mount", "--", "sh", "-e", "-c", IN_ROOT, "sh"]).arg(root).args([library, CYCLES]);
    command::quietly(&mut soak, "apt install util-linux")?;
    let out = root.join("var/tmp/dlsoak-soak");
    passed(&format!("Debian package in {}", root.display()), &out)?;
    fs::remove_dir_all(&out).with_context(|| format!("cannot remove {}", out.display()))
}

/// The action's script, as GitHub would run it, with a release that is in a directory.
fn action(dist: &Dist, place: &Path) -> Result<()> {
    let release = place.join("releases").join(format!("v{}", dist.version));
    fresh(&release)?;
    for file in [dist.file("gz")?, dist.out.join("SHA256SUMS")] {
        super::copy(&file, &release.join(file.file_name().unwrap_or_default()))?;
    }
    let library = LIBRARY.into_iter().find(|library| Path::new(library).exists()).unwrap_or_default();
    let mut action = Command::new("bash");
    action
        .arg(dist.root.join(".github/action.sh"))
        .current_dir(place)
        .env("GITHUB_ACTION_PATH", &dist.root)
        .env("GITHUB_OUTPUT", place.join("output"))
        .env("RUNNER_TEMP", place)
        .env("DLSOAK_RELEASES", format!("file://{}", place.join("releases").display()))
        .env("DLSOAK_PROGRAM", "")
        .env("DLSOAK_ARGS", format!("'{library}' --cycles {CYCLES} --quiet"))
        .env("DLSOAK_OUT", "soak");
    command::quietly(&mut action, "apt install bash curl")?;
    passed("action", &place.join("soak"))
}

/// Each crate builds from what crates.io would have of it.
fn crates(dist: &Dist) -> Result<bool> {
    let mut publish = command::cargo(&dist.root);
    publish.args(["publish", "--workspace", "--dry-run", "--locked", "--allow-dirty", "--quiet"]);
    done(&mut publish, command::CARGO)?;
    println!("crates: each was packaged and built from its package");
    Ok(true)
}
