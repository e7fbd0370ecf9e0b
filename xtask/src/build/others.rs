//! Fixtures in D, Nim, OCaml and Zig, with the versions of the compilers that their truths were seen with: those of Debian 12, and for Zig a
//! wheel of PyPI that is pinned by hash. The compilers leave files beside their sources, so each is run in a directory of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::fixtures::{Fixture, Language};

use super::{Places, contents};
use crate::{command, python};

/// Zig, for x86-64 and for aarch64.
const ZIG: &str = "ziglang==0.13.0 \\\n\
    --hash=sha256:3ce0c9f16547e5d61b32e0d226926e9a2552ef4b91fccf7ab5ea1a623a77824b \\\n\
    --hash=sha256:5714a4d46f9246ba6180a0930e23df2bc8bc26e62b5fe0dc798b4afca1903308\n";

/// How the libraries of one language are compiled.
pub(crate) struct Compiler {
    program: std::path::PathBuf,
    arguments: &'static [&'static str],
    install: &'static str,
    /// What it says of itself.
    version: String,
}

impl Compiler {
    /// The compiler of a language, of the version that is pinned.
    ///
    /// # Errors
    /// In one line, when it is missing or is of another version.
    pub(crate) fn find(language: Language) -> Result<Self> {
        let places = Places::here();
        let (program, of_version, version, arguments, install): (_, &[&str], _, &[&str], _) = match language {
            Language::D => (
                "ldc2".into(),
                &["--version"],
                "1.30.0",
                &["-shared", "-O", "-g", "-of=lib.so"],
                "apt install ldc",
            ),
            Language::Nim => (
                "nim".into(),
                &["--version"],
                "1.6.10",
                &[
                    "compile",
                    "--app:lib",
                    "-d:release",
                    "--debugger:native",
                    "--hints:off",
                    "--nimcache:cache",
                    "--out:lib.so",
                ],
                "apt install nim",
            ),
            Language::OCaml => (
                "ocamlopt".into(),
                &["-version"],
                "4.13.1",
                &["-g", "-output-complete-obj", "-runtime-variant", "_pic", "-o", "lib.so"],
                "apt install ocaml-nox",
            ),
            Language::Zig => (
                python::programs(&places.root, "zig", ZIG)?.join("python"),
                &["-m", "ziglang", "version"],
                "0.13.0",
                &["-m", "ziglang", "build-lib", "-dynamic", "-O", "ReleaseSafe", "-femit-bin=lib.so"],
                python::INSTALL,
            ),
            Language::C | Language::Cpp | Language::Rust | Language::Go => {
                bail!("fixtures in C, C++, Rust and Go are in fixtures.toml")
            }
        };
        let said = command::quietly(Command::new(&program).args(of_version), install)?;
        let said = said.lines().next().unwrap_or_default().trim().to_owned();
        if !said.contains(version) {
            bail!(
                "`{}` is not version {version}, with which the truths were seen, but `{said}`",
                program.display()
            );
        }
        Ok(Self { program, arguments, install, version: said })
    }

    /// Builds a fixture unless it is up to date.
    pub(crate) fn build(&self, fixture: &Fixture) -> Result<()> {
        let places = Places::here();
        let within = places.out.join(".languages").join(&fixture.name);
        let mut command = Command::new(&self.program);
        // Zig keeps what it has compiled of its own library.
        command.env("ZIG_GLOBAL_CACHE_DIR", places.root.join("target/toolchains/zig-cache"));
        command.current_dir(&within).args(self.arguments).args(&fixture.flags);
        let sources: Vec<_> = fixture.sources.iter().map(|source| places.sources.join(source)).collect();
        command.args(sources.iter().filter_map(|source| source.file_name()));
        let stamp = format!("{}\n{}\n{}\n", self.version, command::arguments(&command), contents(&sources)?);
        fs::create_dir_all(places.out.join(".stamps"))
            .with_context(|| format!("cannot create {}", places.out.display()))?;
        places.make(&fixture.file_name(), &stamp, |file| {
            fs::create_dir_all(&within).with_context(|| format!("cannot create {}", within.display()))?;
            for source in &sources {
                copy(source, &within.join(source.file_name().unwrap_or_default()))?;
            }
            command::quietly(&mut command, self.install)?;
            copy(&within.join("lib.so"), file)
        })?;
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
