//! psleak, fetched by pip into an environment of its own and held to what was fetched before by its hashes.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::python;

/// The packages, each with the files that it may come as: psutil as a wheel for x86-64 and for aarch64.
const PACKAGES: &str = "\
psleak==0.1.6 --hash=sha256:52a0c8c30ffef003131d911ccae71c346b39166cbf38547086d729a63d01da38
psutil==7.2.2 --hash=sha256:076a2d2f923fd4821644f5ba89f059523da90dc9014e85f8e45a5774ca5bc6f9 \
--hash=sha256:b0726cecd84f9474419d67252add4ac0cd9811b04d61123054b9fb6f57df6e9e
";

/// A Python that has psleak, fetched where it is not there yet.
pub(super) fn python(root: &Path) -> Result<PathBuf> {
    Ok(python::programs(root, "psleak", PACKAGES)?.join("python"))
}
