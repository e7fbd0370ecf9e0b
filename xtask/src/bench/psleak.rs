//! psleak, fetched by pip into an environment of its own and held to what was fetched before by its hashes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// The packages, each with the files that it may come as: psutil as a wheel for x86-64 and for aarch64.
const PACKAGES: &str = "\
psleak==0.1.6 --hash=sha256:52a0c8c30ffef003131d911ccae71c346b39166cbf38547086d729a63d01da38
psutil==7.2.2 --hash=sha256:076a2d2f923fd4821644f5ba89f059523da90dc9014e85f8e45a5774ca5bc6f9 \
--hash=sha256:b0726cecd84f9474419d67252add4ac0cd9811b04d61123054b9fb6f57df6e9e
";

const INSTALL: &str =
    "install python3 with venv and pip (Debian, Ubuntu: apt install python3-venv python3-pip)";

/// A Python that has psleak, fetched where it is not there yet.
pub(super) fn python(root: &Path) -> Result<PathBuf> {
    let home = command::target(root).join("toolchains/psleak");
    let (python, done) = (home.join("bin/python"), home.join("packages"));
    // Written last, so that what was cut short is done again.
    if std::fs::read_to_string(&done).is_ok_and(|text| text == PACKAGES) {
        return Ok(python);
    }
    command::quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home), INSTALL)?;
    let list = home.join("requirements.txt");
    std::fs::write(&list, PACKAGES).with_context(|| format!("cannot write {}", list.display()))?;
    let mut pip = Command::new(home.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"]).arg(&list);
    command::quietly(&mut pip, "it comes with python3's venv")?;
    std::fs::write(&done, PACKAGES)?;
    Ok(python)
}
