//! `cargo xtask dist`: what users can get, built into `target/dist/` from one binary: an archive, a wheel, a package for Debian and, where a
//! container engine runs, an image. `--check` installs each into an empty place and soaks with it there.

mod check;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use xtask::fixtures;

use crate::{command, python};

/// The C library of what ships: a static program needs none of the machine that it runs on.
const LIBC: &str = "musl";

/// This machine, as `uname -m` prints it.
pub(crate) const HERE: &str = std::env::consts::ARCH;

/// Adds what rustc needs for a target.
const RUSTUP: &str = "install Rust with rustup: https://rustup.rs";

/// Bytes that the program, and each package of it, may have.
const MOST: [(&str, u64); 3] = [("dlsoak", 15_000_000), ("whl", 8_000_000), ("deb", 8_000_000)];

/// The wheels for x86-64 and for aarch64.
const MATURIN: &str = "\
maturin==1.16.0 --hash=sha256:837db2f4d93d4899c3ac393fb3cc9eebf35b6002336e5d574f4a4fb6c49fe283 \
--hash=sha256:e285ec9eb10243d45d10417178cb2eb76e0cbb184d0aa4378b503489fa12ee78
";

const CARGO_DEB: &str = "3.8.0";

/// How to get what makes an archive and its list of sums.
const COREUTILS: &str = "apt install tar coreutils";

/// What to build, and whether to try it.
#[derive(Args)]
pub(crate) struct Options {
    /// Install each into an empty place and soak with it there; also package each crate as for crates.io
    #[arg(long)]
    check: bool,
    /// With --check, also install the Debian package into this root of another system and soak there; repeatable; needs root
    #[arg(long, value_name = "DIR", requires = "check")]
    root: Vec<PathBuf>,
}

/// What is built, and where.
struct Dist {
    /// The root of the repository.
    root: PathBuf,
    version: String,
    target: String,
    /// Where cargo puts the binary.
    built: PathBuf,
    /// `target/dist`.
    out: PathBuf,
    /// The time of the commit, which files in the packages have: the same commit makes the same packages.
    epoch: String,
}

/// Builds, and checks if asked to; false when something is too large or does not work where it was installed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = fixtures::root();
    let target = target(HERE);
    let mut log = Command::new("git");
    log.args(["log", "-1", "--format=%ct"]).current_dir(&root);
    let dist = Dist {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        built: built(&root, HERE),
        out: command::target(&root).join("dist"),
        epoch: command::quietly(&mut log, "apt install git")?.trim().to_owned(),
        target,
        root,
    };
    dist.clear()?;
    program(&dist.root, HERE)?;
    dist.lay_out()?;
    dist.archive()?;
    dist.wheel()?;
    dist.debian()?;
    dist.image()?;
    let mut good = dist.sizes()?;
    dist.sums()?;
    if options.check {
        good &= check::run(&dist, &options.root)?;
    }
    Ok(good)
}

fn target(machine: &str) -> String {
    format!("{machine}-unknown-linux-{LIBC}")
}

/// Where cargo puts what ships.
fn built(root: &Path, machine: &str) -> PathBuf {
    command::target(root).join(target(machine)).join("dist")
}

/// Builds the program that ships for this machine or another.
pub(crate) fn program(root: &Path, machine: &str) -> Result<PathBuf> {
    let target = target(machine);
    add(root, &target)?;
    let mut cargo = command::cargo(root);
    cargo.args(["build", "--profile", "dist", "--locked", "--package", "dlsoak", "--bin", "dlsoak"]);
    if machine != HERE {
        // The linker that comes with Rust knows each machine, where the C compiler's knows its own.
        cargo.env(linker(&target), "rust-lld");
    }
    done(cargo.args(["--target", &target]), command::CARGO)?;
    Ok(built(root, machine).join("dlsoak"))
}

/// Adds what rustc needs for this target.
pub(crate) fn add(root: &Path, target: &str) -> Result<()> {
    let mut rustup = Command::new("rustup");
    rustup.args(["--quiet", "target", "add", target]).current_dir(root);
    command::quietly(&mut rustup, RUSTUP)?;
    Ok(())
}

/// The variable by which cargo lets another linker be chosen for this target.
pub(crate) fn linker(target: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", target.replace('-', "_").to_uppercase())
}

impl Dist {
    /// The name of the archive and of the folder in it, which `[package.metadata.binstall]` and the action know, too.
    fn name(&self) -> String {
        format!("dlsoak-{}-{}", self.version, self.target)
    }

    fn laid_out(&self) -> PathBuf {
        self.built.join("laid-out")
    }

    /// The only file of this kind.
    fn file(&self, extension: &str) -> Result<PathBuf> {
        let entries =
            fs::read_dir(&self.out).with_context(|| format!("cannot read {}", self.out.display()))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut found = paths.filter(|path| path.extension().is_some_and(|other| other == extension));
        let file = found.next().with_context(|| format!("no .{extension} in {}", self.out.display()))?;
        if found.next().is_some() {
            bail!("more than one .{extension} in {}", self.out.display());
        }
        Ok(file)
    }

    /// Removes what an earlier call made. Cargo has build scripts of the profile `dist` in the same directory.
    fn clear(&self) -> Result<()> {
        let entries =
            fs::read_dir(&self.out).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        for file in entries.filter(|path| path.is_file()) {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        fs::create_dir_all(&self.out).with_context(|| format!("cannot create {}", self.out.display()))
    }

    /// Lays out what belongs into `/usr/local` or a home's `.local`: the program, its manual, its completions, its module
    /// for CMake and its licences.
    fn lay_out(&self) -> Result<()> {
        let to = self.laid_out();
        fresh(&to)?;
        let program = to.join("bin/dlsoak");
        copy(&self.built.join("dlsoak"), &program)?;
        let mut man = Command::new(&program);
        man.arg("man").arg("--out").arg(to.join("share/man/man1"));
        command::quietly(&mut man, command::CARGO)?;
        for (shell, file) in [
            ("bash", "bash-completion/completions/dlsoak"),
            ("fish", "fish/vendor_completions.d/dlsoak.fish"),
            ("zsh", "zsh/site-functions/_dlsoak"),
        ] {
            let script =
                command::quietly(Command::new(&program).args(["completions", shell]), command::CARGO)?;
            write(&to.join("share").join(file), &script)?;
        }
        // Where `find_package(dlsoak)` finds it.
        let module = to.join("share/cmake/dlsoak/dlsoak-config.cmake");
        copy(&self.root.join("examples/cmake/dlsoak.cmake"), &module)?;
        for file in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
            copy(&self.root.join(file), &to.join("share/doc/dlsoak").join(file))?;
        }
        Ok(())
    }

    fn archive(&self) -> Result<()> {
        let mut tar = Command::new("tar");
        tar.args(["--create", "--use-compress-program=gzip --best", "--sort=name", "--owner=0", "--group=0"])
            .args(["--numeric-owner", "--mode=u=rwX,go=rX", &format!("--mtime=@{}", self.epoch)])
            .arg(format!("--transform=s,^laid-out,{},", self.name()))
            .arg("--file")
            .arg(self.out.join(format!("{}.tar.gz", self.name())))
            .arg("--directory")
            .arg(&self.built)
            .arg("laid-out");
        command::quietly(&mut tar, COREUTILS)?;
        Ok(())
    }

    /// maturin calls cargo for the same binary once more, and finds it built.
    fn wheel(&self) -> Result<()> {
        let mut maturin = Command::new(python::programs(&self.root, "maturin", MATURIN)?.join("maturin"));
        maturin
            .args(["build", "--quiet", "--target", &self.target, "--out"])
            .arg(&self.out)
            .env("SOURCE_DATE_EPOCH", &self.epoch)
            .current_dir(&self.root);
        // A static program needs no C library, so it is one for each.
        maturin.args(["--compatibility", "manylinux2014", "musllinux_1_1"]);
        done(&mut maturin, python::INSTALL)
    }

    fn debian(&self) -> Result<()> {
        let tools = command::target(&self.root).join("tools");
        let mut install = command::cargo(&self.root);
        install
            .args(["install", "--quiet", "--locked", "--version", CARGO_DEB, "cargo-deb", "--root"])
            .arg(&tools);
        done(&mut install, command::CARGO)?;
        let mut deb = Command::new(tools.join("bin/cargo-deb"));
        deb.args([
            "deb",
            "--quiet",
            "--no-build",
            "--no-strip",
            "--locked",
            "--target",
            &self.target,
            "--output",
        ])
        .arg(&self.out)
        .env("SOURCE_DATE_EPOCH", &self.epoch)
        .current_dir(&self.root);
        done(&mut deb, command::CARGO)
    }

    fn image(&self) -> Result<()> {
        let Some(engine) = engine() else {
            println!("no image: neither podman nor docker runs here");
            return Ok(());
        };
        let mut build = Command::new(engine);
        build.args([
            "build",
            "--quiet",
            "--tag",
            &format!("dlsoak:{}", self.version),
            "--file",
            "Containerfile",
        ]);
        build.arg(self.laid_out().join("bin")).current_dir(&self.root);
        done(&mut build, "apt install podman")
    }

    /// What there is, with its size; false when something is larger than it may be.
    fn sizes(&self) -> Result<bool> {
        let mut files: Vec<PathBuf> =
            ["gz", "whl", "deb"].into_iter().map(|kind| self.file(kind)).collect::<Result<_>>()?;
        files.insert(0, self.laid_out().join("bin/dlsoak"));
        let mut good = true;
        for file in files {
            let size = fs::metadata(&file).with_context(|| format!("cannot read {}", file.display()))?.len();
            let most = MOST
                .iter()
                .find(|(kind, _)| file.ends_with(kind) || file.extension().is_some_and(|e| e == *kind));
            let over = most.filter(|(_, most)| size > *most);
            let word =
                over.map_or_else(String::new, |(_, most)| format!(": more than {} MB", most / 1_000_000));
            println!("{:>5.1} MB  {}{word}", size as f64 / 1e6, file.display());
            good &= over.is_none();
        }
        Ok(good)
    }

    /// For those who fetch a file by hand, and for the action.
    fn sums(&self) -> Result<()> {
        let mut sum = Command::new("sha256sum");
        for kind in ["deb", "gz", "whl"] {
            sum.args(self.file(kind)?.file_name());
        }
        let text = command::quietly(sum.current_dir(&self.out), COREUTILS)?;
        write(&self.out.join("SHA256SUMS"), &text)
    }
}

/// A container engine that runs here.
fn engine() -> Option<&'static str> {
    let runs = |engine: &&str| {
        let mut info = Command::new(engine);
        let quiet = info.arg("info").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    };
    ["podman", "docker"].into_iter().find(runs)
}

/// Runs a command that must succeed, and shows what it says.
fn done(command: &mut Command, install: &str) -> Result<()> {
    if !command::succeeds(command, install)? {
        bail!("`{}` failed", command::spelt(command));
    }
    Ok(())
}

/// An empty directory.
pub(crate) fn fresh(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))
        .and_then(|()| fs::copy(from, to))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

pub(crate) fn write(to: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))
        .and_then(|()| fs::write(to, text))
        .with_context(|| format!("cannot write {}", to.display()))
}
