//! `cargo xtask fleet`: validates the example files for several machines against the published schemas, with validators
//! that are fetched by pip.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use xtask::fixtures;

use crate::command;

/// The validators, pinned; each holds the schemas that it validates against.
const PACKAGES: [&str; 2] = ["check-jsonschema==0.39.0", "kubernetes-validate==1.37.0"];

const INSTALL: &str =
    "install python3 with venv and pip (Debian, Ubuntu: apt install python3-venv python3-pip)";

/// Validates; true when both files are what they should be.
pub(crate) fn run() -> Result<bool> {
    let root = fixtures::root();
    let bin = validators(&root)?;
    let mut workflow = Command::new(bin.join("check-jsonschema"));
    workflow.args(["--builtin-schema", "vendor.github-workflows", "examples/fleet/workflow.yml"]);
    let mut job = Command::new(bin.join("kubernetes-validate"));
    job.args(["--strict", "examples/fleet/job.yaml"]);
    let mut passed = true;
    for step in [&mut workflow, &mut job] {
        passed &= command::succeeds(step.current_dir(&root), INSTALL)?;
    }
    Ok(passed)
}

/// Where the validators are, fetched where they are not there yet.
fn validators(root: &Path) -> Result<PathBuf> {
    let home = root.join("target/toolchains/validators");
    let bin = home.join("bin");
    // Written last, so that what was cut short is done again.
    let done = home.join("packages");
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&done).is_ok_and(|text| text == wanted) {
        return Ok(bin);
    }
    command::quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home), INSTALL)?;
    let mut pip = Command::new(bin.join("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    command::quietly(&mut pip, INSTALL)?;
    std::fs::write(&done, wanted)?;
    Ok(bin)
}
