//! `cargo xtask fleet`: validates what other programs read against their published schemas, with validators that are fetched by pip: the
//! examples for several machines, the action and the workflow of a release.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use xtask::fixtures;

use crate::{command, python};

/// The validators, pinned; each holds the schemas that it validates against.
const PACKAGES: &str = "check-jsonschema==0.39.0\nkubernetes-validate==1.37.0\n";

/// A schema of `check-jsonschema`, and the files that it is for.
const GITHUB: [(&str, &[&str]); 2] = [
    ("vendor.github-workflows", &["examples/fleet/workflow.yml", ".github/workflows/release.yml"]),
    ("vendor.github-actions", &["action.yml"]),
];

/// Validates; true when each file is what it should be.
pub(crate) fn run() -> Result<bool> {
    let root = fixtures::root();
    let bin = python::programs(&root, "validators", PACKAGES)?;
    let validator = |name: &str, arguments: &[&str]| -> Result<bool> {
        let mut validator = Command::new(Path::new(&bin).join(name));
        command::succeeds(validator.args(arguments).current_dir(&root), python::INSTALL)
    };
    let mut passed = validator("kubernetes-validate", &["--strict", "examples/fleet/job.yaml"])?;
    for (schema, files) in GITHUB {
        passed &= validator("check-jsonschema", &[&["--builtin-schema", schema], files].concat())?;
    }
    Ok(passed)
}
