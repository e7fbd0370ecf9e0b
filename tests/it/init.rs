//! `dlsoak init` finds the libraries of a directory, and what it writes is a suite.

use std::path::Path;
use std::process::Output;

use crate::support::{dlsoak, fixture};

fn in_directory(directory: &Path, arguments: &[&str]) -> Output {
    dlsoak().current_dir(directory).args(arguments).output().unwrap()
}

#[test]
fn what_is_written_is_a_suite_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    let build = directory.path().join("build/plugins");
    std::fs::create_dir_all(&build).unwrap();
    std::fs::create_dir(directory.path().join(".cache")).unwrap();
    std::fs::copy(fixture("c-clean"), build.join("libreverb \"2\".so")).unwrap();
    std::fs::copy(fixture("go-clean"), build.join("libgo.so.1.2")).unwrap();
    std::os::unix::fs::symlink("libgo.so.1.2", build.join("libgo.so")).unwrap();
    std::fs::copy(fixture("c-clean"), directory.path().join(".cache/libhidden.so")).unwrap();
    // Neither is a library: a linker script, and a program.
    std::fs::write(build.join("libscript.so"), "INPUT(libgo.so)").unwrap();
    std::fs::copy("/bin/true", build.join("program.so")).unwrap();

    let output = in_directory(directory.path(), &["init"]);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(directory.path().join("dlsoak.toml")).unwrap();
    let suite: toml::Table = text.parse().unwrap();
    let paths: Vec<&str> = suite["library"]
        .as_array()
        .unwrap()
        .iter()
        .map(|library| library["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["build/plugins/libgo.so", "build/plugins/libreverb \"2\".so"], "{text}");
    assert!(text.contains("# It is not unloaded: ") && text.contains("\n# allow-pinned = \""), "{text}");
    assert!(text.contains("\n# It exports fibonacci. To call functions in each cycle"), "{text}");

    // Each suggestion is one that can be taken up.
    let names = "[\"NAME(ARGUMENTS)\", \"NAME(ARGUMENTS)\"]";
    let text = text.replace(names, "[\"fibonacci(20)\", \"fibonacci(3)\"]");
    let taken =
        |line: &str| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line).to_owned();
    let taken: Vec<String> = text.lines().map(taken).collect();
    std::fs::write(directory.path().join("dlsoak.toml"), taken.join("\n")).unwrap();
    let output = in_directory(directory.path(), &["run", "-n", "200", "-t", "1", "-o", "out"]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");

    let output = in_directory(directory.path(), &["init"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "dlsoak: dlsoak.toml is there already; replace it with --force, or remove it\n");
    assert!(in_directory(directory.path(), &["init", "--force", "build"]).status.success());
}

#[test]
fn a_directory_without_libraries_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, says) in [
        (&["init"][..], "no shared library is below this directory; build it first, or name its path"),
        (&["init", "nowhere.so"], "nowhere.so: No such file or directory (os error 2)"),
    ] {
        let output = in_directory(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("dlsoak: {says}\n"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
