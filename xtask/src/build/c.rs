//! C and C++ fixtures, by the conventions of the `cc` crate: CC, CXX, CFLAGS and CXXFLAGS are honoured.

use std::path::PathBuf;

use anyhow::{Context, Result};
use xtask::fixtures::{self, Fixture, Language};

use super::{Places, contents};
use crate::command;

/// Builds these fixtures; how many were not up to date.
pub(super) fn build(places: &Places, fixtures: &[&Fixture]) -> Result<usize> {
    let mut built = 0;
    for language in [Language::C, Language::Cpp] {
        let mut compiler = None;
        for fixture in fixtures.iter().filter(|fixture| fixture.language == language) {
            let compiler = match &compiler {
                Some(compiler) => compiler,
                None => compiler.insert(find(places, language)?),
            };
            built += usize::from(library(places, fixture, compiler)?);
        }
    }
    Ok(built)
}

fn find(places: &Places, language: Language) -> Result<cc::Tool> {
    let of = |machine| format!("{machine}-unknown-linux-{}", env_abi());
    cc::Build::new()
        .cpp(language == Language::Cpp)
        .target(&of(fixtures::machine()))
        .host(&of(std::env::consts::ARCH))
        .out_dir(places.out.join(".stamps"))
        .cargo_metadata(false)
        .cargo_warnings(false)
        .warnings(true)
        .opt_level(2)
        .debug(true)
        .pic(true)
        .try_get_compiler()
        .with_context(|| install(language))
}

fn library(places: &Places, fixture: &Fixture, compiler: &cc::Tool) -> Result<bool> {
    let mut command = compiler.to_command();
    // The build-id is what tells one build of a library from another in a record; not every compiler asks for it.
    command.current_dir(&places.sources).args(["-shared", "-Wl,--build-id"]);
    command.args(&fixture.sources);
    let out = places.out.to_string_lossy();
    let flags: Vec<String> = fixture.flags.iter().map(|flag| flag.replace("{out}", &out)).collect();
    command.args(&flags);
    // Any header may be included by any source: all of them are part of the stamp.
    let mut read: Vec<_> = fixture.sources.iter().map(|source| places.sources.join(source)).collect();
    read.extend(flags.iter().filter(|flag| flag.ends_with(".a")).map(PathBuf::from));
    for directory in ["c", "cpp"] {
        read.extend(headers(&places.sources.join(directory))?);
    }
    let stamp = format!("{}\n{}\n", command::spelt(&command), contents(&read)?);
    places.make(&fixture.file_name(), &stamp, |file| {
        command.arg("-o").arg(file);
        command::quietly(&mut command, install(fixture.language)).map(|_| ())
    })
}

fn headers(directory: &std::path::Path) -> Result<Vec<std::path::PathBuf>> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut found: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "h"))
        .collect();
    found.sort();
    Ok(found)
}

fn install(language: Language) -> &'static str {
    match language {
        Language::Cpp => "install a C++ compiler (Debian, Ubuntu: apt install g++), or set CXX",
        _ => "install a C compiler (Debian, Ubuntu: apt install gcc), or set CC",
    }
}

const fn env_abi() -> &'static str {
    if cfg!(target_env = "musl") { "musl" } else { "gnu" }
}
