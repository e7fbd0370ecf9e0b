//! The examples for build tools and test runners do what they show, with the real tools: a library that passes is a test that passes, one
//! that leaks fails, and one without a certain verdict is skipped. `cargo xtask examples` has those that take longer, for Go and Rust.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{installed, tool};

/// A copy of the examples in which nothing was built.
fn examples() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let source = xtask::fixtures::root().join("examples");
    for name in ["fx", "cmake", "meson", "pytest"] {
        for file in std::fs::read_dir(source.join(name)).unwrap().map(Result::unwrap) {
            // What a person's own run of an example left there.
            if file.file_type().unwrap().is_file() {
                std::fs::create_dir_all(dir.path().join(name)).unwrap();
                std::fs::copy(file.path(), dir.path().join(name).join(file.file_name())).unwrap();
            }
        }
    }
    dir
}

/// Runs each command in the copy, with this directory first on the path; whether all succeeded, and what they said.
fn run(at: &Path, programs: &Path, commands: &[&[&str]]) -> (bool, String) {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut said = String::new();
    for words in commands {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(at).env("PATH", format!("{}:{path}", programs.display()));
        command.env("CMAKE_GENERATOR", "Ninja").env_remove("DESTDIR");
        let output = command.output().unwrap();
        said += &String::from_utf8_lossy(&output.stdout);
        said += &String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return (false, said);
        }
    }
    (true, said)
}

/// Has an example pass, fail on a leak with its reason, and skip what is undecided, which it says in this word.
fn passes_fails_and_skips(commands: &[&[&str]], skipped: &str) {
    let ours = Path::new(env!("CARGO_BIN_EXE_dlsoak")).parent().unwrap();
    let clean = examples();
    let (passed, said) = run(clean.path(), ours, commands);
    assert!(passed && !said.contains(skipped), "{said}");

    let leaking = examples();
    let source = leaking.path().join("fx/fx.c");
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, text.replace("free(fx->buffer);", "")).unwrap();
    let (passed, said) = run(leaking.path(), ours, commands);
    assert!(!passed && said.contains("FAIL leak: fx"), "{said}");

    // How a soak ends that no cycle decides.
    let undecided = examples();
    let program = undecided.path().join("dlsoak");
    std::fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (passed, said) = run(undecided.path(), undecided.path(), commands);
    assert!(passed && said.contains(skipped), "{said}");
}

/// Whether there is what builds for CMake and for Meson.
fn ninja() -> bool {
    let version = Command::new("ninja").arg("--version").output();
    installed("ninja", version.is_ok_and(|output| output.status.success()), "apt install ninja-build")
}

#[test]
fn a_soak_is_a_test_of_ctest() {
    if tool("cmake") && ninja() {
        let commands: [&[&str]; 3] = [
            &["cmake", "-S", "cmake", "-B", "build"],
            &["cmake", "--build", "build"],
            &["ctest", "--test-dir", "build", "--output-on-failure"],
        ];
        passes_fails_and_skips(&commands, "***Skipped");
    }
}

#[test]
fn cmake_finds_what_is_installed_by_the_program_on_the_path() {
    if !tool("cmake") {
        return;
    }
    let prefix = tempfile::tempdir().unwrap();
    let module = prefix.path().join("share/cmake/dlsoak/dlsoak-config.cmake");
    std::fs::create_dir_all(module.parent().unwrap()).unwrap();
    std::fs::copy(xtask::fixtures::root().join("examples/cmake/dlsoak.cmake"), module).unwrap();
    let bin = prefix.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::hard_link(env!("CARGO_BIN_EXE_dlsoak"), bin.join("dlsoak"))
        .or_else(|_| std::fs::copy(env!("CARGO_BIN_EXE_dlsoak"), bin.join("dlsoak")).map(drop))
        .unwrap();
    let script = prefix.path().join("find.cmake");
    std::fs::write(&script, "find_package(dlsoak REQUIRED)\nmessage(\"found ${DLSOAK}\")\n").unwrap();
    let (passed, said) = run(prefix.path(), &bin, &[&["cmake", "-P", script.to_str().unwrap()]]);
    assert!(passed && said.contains(&format!("found {}", bin.join("dlsoak").display())), "{said}");
}

#[test]
fn a_soak_is_a_test_of_meson() {
    if tool("meson") && ninja() {
        let commands: [&[&str]; 2] =
            [&["meson", "setup", "build", "meson"], &["meson", "test", "-C", "build", "--print-errorlogs"]];
        passes_fails_and_skips(&commands, "SKIP");
    }
}

#[test]
fn a_soak_is_a_test_of_pytest() {
    let pytest = Command::new("python3").args(["-c", "import pytest"]).output();
    let there = pytest.is_ok_and(|output| output.status.success());
    if installed("pytest", there, "python3 -m pip install pytest==8.3.4") {
        passes_fails_and_skips(&[&["python3", "-m", "pytest", "pytest"]], "1 skipped");
    }
}
