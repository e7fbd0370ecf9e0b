//! Builds a cdylib of the workspace whose tests run, and finds the file. `cargo test` builds none for a crate that is a cdylib alone, and puts
//! that of any other where only cargo finds it.
//!
//! Cargo builds it, in the profile, for the target and into the target directory of the program that is running, so that the file is never
//! older than its sources. Where nothing changed, that takes 0.1 s.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Why a cdylib could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CdylibError {
    /// Cargo could not be started.
    #[error("cannot run {}: {source}; run the test with cargo", cargo.display())]
    Start {
        /// The program.
        cargo: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Cargo failed, or wrote what is not as it is documented.
    #[error("cargo cannot build the cdylib `{name}`: {said}")]
    Cargo {
        /// The cdylib, as it was named.
        name: String,
        /// What cargo printed.
        said: String,
    },
    /// The workspace has no such cdylib.
    #[error(
        "no package of this workspace has a cdylib `{name}`{}; set `crate-type = [\"cdylib\"]` in `[lib]` of its Cargo.toml",
        list(others)
    )]
    Unknown {
        /// The cdylib, as it was named.
        name: String,
        /// The cdylibs that there are.
        others: Vec<String>,
    },
}

fn list(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!(" (it has {})", others.join(", ")) }
}

/// Builds the cdylib of this name, which is that of its package or of its `[lib]`, and returns its file.
pub(crate) fn build(name: &str) -> Result<PathBuf, CdylibError> {
    let unlike = |said: &str| CdylibError::Cargo { name: name.to_owned(), said: said.to_owned() };
    let mut metadata = cargo("metadata");
    metadata.args(["--no-deps", "--format-version", "1"]);
    let metadata = output(name, metadata)?;
    let metadata: Value =
        serde_json::from_str(&metadata).map_err(|_| unlike("`cargo metadata` printed no JSON"))?;
    let package = package(&metadata, name)?;
    let mut build = cargo("build");
    build.args(["--quiet", "--lib", "--message-format", "json-render-diagnostics", "--package", package]);
    if let Some(layout) = std::env::current_exe().ok().as_deref().and_then(layout) {
        build.args(["--profile", &layout.profile]).arg("--target-dir").arg(layout.target_directory);
        build.args(layout.triple.iter().flat_map(|triple| ["--target", triple]));
    }
    artifact(&output(name, build)?, package).ok_or_else(|| unlike("no file named"))
}

/// A command of the cargo that runs the tests, for their workspace.
fn cargo(verb: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(verb).stdin(Stdio::null());
    if let Some(package) = std::env::var_os("CARGO_MANIFEST_DIR") {
        cargo.arg("--manifest-path").arg(Path::new(&package).join("Cargo.toml"));
    }
    cargo
}

/// What a command prints that must succeed.
fn output(name: &str, mut command: Command) -> Result<String, CdylibError> {
    let output = command
        .output()
        .map_err(|source| CdylibError::Start { cargo: command.get_program().into(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(CdylibError::Cargo { name: name.to_owned(), said })
}

/// The ID of the package with this cdylib.
fn package<'a>(metadata: &'a Value, name: &str) -> Result<&'a str, CdylibError> {
    // Cargo makes one of the other.
    let plain = |name: &str| name.replace('-', "_");
    let mut others = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let targets = package["targets"].as_array().into_iter().flatten();
        for target in targets.filter(|target| is_cdylib(target)) {
            let names = [&target["name"], &package["name"]].map(|name| name.as_str().unwrap_or_default());
            if let Some(id) = package["id"].as_str()
                && names.iter().any(|known| plain(known) == plain(name))
            {
                return Ok(id);
            }
            others.push(names[0].to_owned());
        }
    }
    Err(CdylibError::Unknown { name: name.to_owned(), others })
}

fn is_cdylib(target: &Value) -> bool {
    target["kind"].as_array().into_iter().flatten().any(|kind| kind == "cdylib")
}

/// The file among the messages of a build.
fn artifact(messages: &str, package: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built = messages.filter(|message| {
        message["reason"] == "compiler-artifact"
            && message["package_id"] == package
            && is_cdylib(&message["target"])
    });
    let mut files = built.flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    let file = files.find(|file| file.as_str().is_some_and(|file| file.ends_with(".so")))?;
    file.as_str().map(PathBuf::from)
}

/// Where cargo has put a program, and so how it built it.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    profile: String,
    target_directory: PathBuf,
    /// The target that `--target` named.
    triple: Option<String>,
}

/// The layout that a test is in: `TARGET_DIRECTORY/[TRIPLE/]PROFILE/deps/NAME-HASH`. `None` for what is elsewhere, such as a test of the
/// documentation.
fn layout(program: &Path) -> Option<Layout> {
    let of_profile = program.parent().filter(|dir| dir.ends_with("deps"))?.parent()?;
    let profile = match of_profile.file_name()?.to_str()? {
        "debug" => "dev",
        other => other,
    };
    let above = of_profile.parent()?;
    // Cargo keeps this file in the root alone.
    let is_root = |dir: &&Path| dir.join(".rustc_info.json").is_file();
    let (root, triple) = match Some(above).filter(is_root) {
        Some(root) => (root, None),
        None => (above.parent().filter(is_root)?, Some(above.file_name()?.to_str()?.to_owned())),
    };
    Some(Layout { profile: profile.to_owned(), target_directory: root.to_owned(), triple })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_program_is_where_its_profile_and_target_say() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let at = |path: &str| layout(&root.join(path));
        assert_eq!(at("debug/deps/soak-1"), None);
        std::fs::write(root.join(".rustc_info.json"), "{}").unwrap();
        let expected = |profile: &str, triple: Option<&str>| {
            let (profile, triple) = (profile.to_owned(), triple.map(str::to_owned));
            Some(Layout { profile, target_directory: root.to_owned(), triple })
        };
        assert_eq!(at("debug/deps/soak-1"), expected("dev", None));
        assert_eq!(at("release/deps/soak-1"), expected("release", None));
        let triple = "x86_64-unknown-linux-musl";
        assert_eq!(at(&format!("{triple}/small/deps/soak-1")), expected("small", Some(triple)));
        assert_eq!(at("debug/soak"), None);
    }

    #[test]
    fn a_cdylib_is_found_by_its_name_or_that_of_its_package() {
        let package_of = |name: &str, lib: &str, kind: &str| json!({ "name": name, "id": format!("path+{name}"), "targets": [{ "name": lib, "kind": [kind] }] });
        let metadata = json!({ "packages": [
            package_of("host", "host", "lib"),
            package_of("my-plugin", "fx", "cdylib"),
            package_of("other", "other", "cdylib"),
        ] });
        for name in ["my-plugin", "my_plugin", "fx"] {
            assert_eq!(package(&metadata, name).unwrap(), "path+my-plugin");
        }
        let error = package(&metadata, "host").unwrap_err().to_string();
        assert!(error.contains("a cdylib `host` (it has fx, other); set"), "{error}");
    }

    #[test]
    fn the_file_is_the_one_that_cargo_names() {
        let message = |package: &str, kind: &str, file: &str| {
            let target = json!({ "kind": [kind] });
            let reason = "compiler-artifact";
            json!({ "reason": reason, "package_id": package, "target": target, "filenames": [file] })
                .to_string()
        };
        let messages = [
            message("b", "cdylib", "/t/libb.so"),
            message("a", "lib", "/t/liba.rlib"),
            message("a", "cdylib", "/t/liba.so"),
            json!({ "reason": "build-finished" }).to_string(),
        ];
        assert_eq!(artifact(&messages.join("\n"), "a"), Some(PathBuf::from("/t/liba.so")));
        assert_eq!(artifact(&messages[1], "a"), None);
    }
}
