//! What users get: each crate can be published, the manual has every flag, and the action soaks. `cargo xtask dist --check` installs the
//! packages themselves.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::CommandFactory as _;
use serde_json::Value;

use crate::support::{dlsoak, fixture, read_record};

#[test]
fn each_crate_has_what_a_registry_asks_for() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"]);
    let output = cargo.current_dir(xtask::fixtures::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let is_published = |package: &&Value| package["publish"].is_null();
    let published: Vec<&Value> =
        metadata["packages"].as_array().unwrap().iter().filter(is_published).collect();
    assert_eq!(published.len(), 10);
    for package in published {
        let name = package["name"].as_str().unwrap();
        for field in ["description", "license", "repository", "readme"] {
            assert!(package[field].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {field}");
        }
        for dependency in package["dependencies"].as_array().unwrap() {
            // Without a version, one of tests is left out and any other is refused.
            let of_tests = dependency["kind"] == "dev";
            let versioned = dependency["req"] != "*";
            assert_eq!(versioned, !of_tests || dependency["path"].is_null(), "{name}: {dependency}");
        }
    }
}

#[test]
fn the_manual_has_every_flag_of_every_verb() {
    let dir = tempfile::tempdir().unwrap();
    assert!(dlsoak().arg("man").arg("-o").arg(dir.path()).output().unwrap().status.success());
    let mut program = dlsoak::cli::Cli::command();
    program.build();
    let mut flags = 0;
    for verb in program.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        let page = std::fs::read_to_string(dir.path().join(format!("dlsoak-{}.1", verb.get_name()))).unwrap();
        let page = page.replace("\\-", "-");
        for flag in verb.get_arguments().filter(|flag| !flag.is_hide_set()).filter_map(clap::Arg::get_long) {
            assert!(page.contains(&format!("--{flag}\\f")), "the page of {} lacks --{flag}", verb.get_name());
            flags += 1;
        }
    }
    assert!(flags > 100, "{flags} flags");
}

/// Runs the action's script as GitHub does, with a program that is there already.
fn action(arguments: &str, place: &Path) -> (Output, String) {
    let root = xtask::fixtures::root();
    let output = Command::new("bash")
        .arg(root.join(".github/action.sh"))
        .current_dir(place)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_ACTION_PATH", &root)
        .env("GITHUB_OUTPUT", place.join("output"))
        .env("GITHUB_STEP_SUMMARY", place.join("summary"))
        .env("DLSOAK_PROGRAM", env!("CARGO_BIN_EXE_dlsoak"))
        .env("DLSOAK_ARGS", arguments)
        .env("DLSOAK_OUT", "soak")
        .output()
        .unwrap();
    (output, std::fs::read_to_string(place.join("output")).unwrap_or_default())
}

#[test]
fn the_action_annotates_and_keeps_the_exit_code_and_the_findings() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let library: PathBuf = fixture("c-leak-constructor");
    let arguments = format!("'{}' -n 2k -c 'fibonacci( 20 )'", library.display());
    let (output, out) = action(&arguments, place);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("::error file="), "{output:?}");
    assert!(std::fs::read_to_string(place.join("summary")).unwrap().contains("c-leak-constructor"));
    assert_eq!(out, format!("out={}\n", place.join("soak").display()));
    // An argument in quotes is one.
    assert_eq!(read_record(&place.join("soak")).unwrap().soaks[0].cycles.completed, 2_000);
    let sarif: Value =
        serde_json::from_slice(&std::fs::read(place.join("soak/dlsoak.sarif")).unwrap()).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "leak-heap");
}

#[test]
fn the_action_says_no_directory_where_there_is_no_record() {
    let place = tempfile::tempdir().unwrap();
    let (output, out) = action("no-such-library.so", place.path());
    assert_eq!((output.status.code(), out.as_str()), (Some(2), ""), "{output:?}");
}
