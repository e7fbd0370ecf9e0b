//! Many libraries at once: directories, patterns and lists stand for what is in them, and what stands for nothing is an error in one line.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dlsoak::record::{Run, Verdict};

use crate::support::{dlsoak, fixture, libc, read_record};

/// A directory with two libraries and other files: one library has several names, and the other one is named like nothing.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.at("build/sub")).unwrap();
        fs::copy(fixture("c-clean"), tree.at("build/libz.so.1.3")).unwrap();
        symlink("libz.so.1.3", tree.at("build/libz.so.1")).unwrap();
        symlink("libz.so.1", tree.at("build/libz.so")).unwrap();
        fs::copy(fixture("c-clean"), tree.at("build/sub/plugin")).unwrap();
        fs::copy("/bin/true", tree.at("build/sub/program.so")).unwrap();
        fs::write(tree.at("build/libscript.so"), "INPUT(libz.so)").unwrap();
        fs::create_dir(tree.at("empty")).unwrap();
        tree
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = dlsoak();
        command.current_dir(self.0.path()).args(args);
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The record of a run of a few cycles, which decide nothing.
    fn run(&self, args: &[&str]) -> Run {
        let few = ["-n", "20", "--passes", "measure", "-o", "out"];
        let output = self.output(&[&["run"], args, &few].concat());
        assert_eq!(output.status.code(), Some(3), "{args:?}: {}", stderr(&output));
        let run = read_record(&self.at("out")).unwrap();
        fs::remove_dir_all(self.at("out")).unwrap();
        run
    }

    /// Names and paths of the soaks of such a run.
    fn soaks(&self, args: &[&str]) -> Vec<(String, String)> {
        self.run(args).soaks.iter().map(|soak| (soak.name.clone(), soak.path.clone())).collect()
    }

    /// What is said of arguments that can't be carried out: in one line, with exit code 2, and without a directory of reports.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let said = stderr(&output);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{args:?}: {said}");
        assert!(!self.at("reports").exists(), "{args:?}");
        said.strip_prefix("dlsoak: ").unwrap().trim_end().to_owned()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn named(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect()
}

const BOTH: [(&str, &str); 2] = [("z", "build/libz.so"), ("plugin", "build/sub/plugin")];

#[test]
fn a_directory_is_soaked_library_by_library() {
    let tree = Tree::new();
    assert_eq!(tree.soaks(&["build"]), named(&BOTH));
    assert_eq!(tree.soaks(&["build", "--exclude", "libz.*"]), named(&BOTH[1..]));
    assert_eq!(
        tree.soaks(&["build", "build/sub/plugin"]),
        named(&[BOTH[0], BOTH[1], ("plugin-2", BOTH[1].1)])
    );
    let together = tree.run(&["--together", "build"]);
    assert_eq!(together.soaks[0].together.len(), 2);
    assert_eq!(tree.refused(&["run", "empty"]), "empty: no shared library is in this directory or below it");
    assert_eq!(tree.refused(&["run", "build", "--exclude", "*"]), "--exclude leaves no library");
    assert_eq!(tree.refused(&["trace", "build"]), "trace takes one library; name one");
}

#[test]
fn a_pattern_in_quotes_and_a_list_are_soaked_too() {
    let tree = Tree::new();
    assert_eq!(tree.soaks(&["build/libz.so*"]), named(&BOTH[..1]));
    assert_eq!(
        tree.soaks(&["build/*/plug*", "build/libz.so.1"]),
        named(&[BOTH[1], ("z", "build/libz.so.1")])
    );
    tree.write("list", "# all of ours\n\nbuild/libz.so\nbuild/sub\n");
    assert_eq!(tree.soaks(&["@list"]), named(&BOTH));
    assert_eq!(tree.refused(&["run", "build/*.dylib"]), "build/*.dylib: no file matches this pattern");

    let few = ["run", "@-", "-n", "20", "--passes", "measure", "-o", "out"];
    let mut child = tree.command(&few).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"build/sub/plugin\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(read_record(&tree.at("out")).unwrap().soaks[0].path, "build/sub/plugin");
}

#[test]
fn a_suite_has_patterns_and_leaves_out_what_it_excludes() {
    let tree = Tree::new();
    fs::copy(fixture("c-clean"), tree.at("build/libold.so")).unwrap();
    tree.write(
        "build/suite.toml",
        "[suite]\nexclude = 'libscript.so'\n[[library]]\npath = '*.so'\nmatrix = { threads = [1, 2] }\n\
         [[library]]\npath = 'libold.so'\nname = 'old'\ncall = 'fibonacci(3)'\n[[library]]\npath = 'sub'\n",
    );
    let soaks = tree.run(&["build/suite.toml"]).soaks;
    let found: Vec<(&str, &str, usize)> = soaks
        .iter()
        .map(|soak| (&*soak.name, &*soak.path, soak.asked.call.as_ref().map_or(0, Vec::len)))
        .collect();
    assert_eq!(
        found,
        [
            ("z [threads=1]", "build/libz.so", 0),
            ("z [threads=2]", "build/libz.so", 0),
            ("old", "build/libold.so", 1),
            ("plugin", "build/sub/plugin", 0)
        ]
    );
    for (suite, says) in [
        ("path = 'no/*.so'", "s.toml:2:8: `path` in [[library]]: no/*.so: no file matches this pattern"),
        (
            "path = 'empty'",
            "s.toml:2:8: `path` in [[library]]: empty: no shared library is in this directory",
        ),
        (
            "path = 'build'\nname = 'a'",
            "s.toml:3:8: `name` in [[library]]: `path` stands for 3 libraries; remove `name`",
        ),
        ("path = 'build'\n[suite]\nexclude = '['", "`[` in exclude is no pattern: invalid range pattern"),
    ] {
        tree.write("s.toml", &format!("[[library]]\n{suite}\n"));
        let output = tree.output(&["run", "s.toml"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[test]
fn a_name_that_only_the_loader_knows_is_answered_with_a_path() {
    let tree = Tree::new();
    symlink("libgone.so.1.2.3", tree.at("libgone.so")).unwrap();
    let name = Path::new(&libc()).file_name().unwrap().to_str().unwrap().to_owned();
    for verb in ["run", "trace", "verify", "inspect"] {
        let said = tree.refused(&[verb, &name]);
        let start = format!("{name}: there is no such file here; the loader would take /");
        let path = said.strip_prefix(&start).and_then(|rest| rest.strip_suffix(", so name that path"));
        let path = PathBuf::from(format!("/{}", path.unwrap_or_else(|| panic!("{said}"))));
        assert_eq!(path.canonicalize().unwrap(), Path::new(&libc()).canonicalize().unwrap());
        assert_eq!(
            tree.refused(&[verb, "libgone.so"]),
            "libgone.so: this link leads to libgone.so.1.2.3, which is not there"
        );
        assert_eq!(
            tree.refused(&[verb, "libno-such.so.7"]),
            "libno-such.so.7: there is no such library; check the path"
        );
    }
}

#[test]
fn several_libraries_are_inspected_in_a_table() {
    let tree = Tree::new();
    fs::copy(fixture("c-nodelete"), tree.at("build/libstays.so")).unwrap();
    let output = tree.output(&["inspect", "build"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 5, "{text}");
    assert_eq!(rows[2], ["build/libstays.so", "C", "no", "yes"]);
    assert_eq!(rows[3], ["build/libz.so", "C", "yes", "yes"]);

    let json = |args: &[&str]| -> (Option<i32>, serde_json::Value) {
        let output = tree.output(&[&["inspect", "--json"], args].concat());
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    };
    let (_, one) = json(&["build/libz.so"]);
    assert_eq!(one["path"], "build/libz.so");
    // A directory is answered by an array, whatever is in it, and a file that can't be read is missing there.
    assert_eq!(json(&["build/libz.so", "build/libscript.so"]), (Some(2), serde_json::json!([one])));
    let (code, sub) = json(&["build/sub"]);
    assert_eq!((code, sub.as_array().unwrap().len()), (Some(0), 1));
    assert_eq!(sub[0]["path"], "build/sub/plugin");
    let (_, rest) = json(&["build", "--exclude", "libz*", "--exclude", "build/sub/*"]);
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["path"]), (1, &"build/libstays.so".into()));
}

#[test]
fn what_cant_be_read_is_one_line() {
    let tree = Tree::new();
    // A path that is longer than the kernel takes, which no user can read.
    let name = "d".repeat(250);
    let deep = |from: &str| {
        let mut path = tree.at(from);
        path.extend(vec![&name; 10]);
        fs::create_dir_all(&path).unwrap();
        path
    };
    let inner = deep("build/deep");
    deep("other");
    fs::rename(tree.at("other"), inner.join("other")).unwrap();
    let output = tree.output(&["inspect", "build"]);
    let said = stderr(&output);
    assert_eq!((output.status.code(), said.lines().count()), (Some(0), 1), "{said}");
    assert!(said.starts_with("dlsoak: build: skipped build/deep/ddd"), "{said}");
    assert!(said.contains("because dlsoak can't read it: File name too long"), "{said}");
    assert!(said.len() < 400 && !output.stdout.is_empty(), "{said}");
}

#[test]
fn many_soaks_end_when_their_verdict_is_certain() {
    let tree = Tree::new();
    for number in 0..19 {
        fs::copy(fixture("c-clean"), tree.at(&format!("build/sub/lib{number}.so"))).unwrap();
    }
    // One of them shows it.
    let early = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dlsoak"));
        command.current_dir(tree.0.path()).args(["run", "build", "--passes", "measure", "-o", "out"]);
        let output = command.args(args).output().unwrap();
        let soak = read_record(&tree.at("out")).unwrap().soaks.remove(0);
        let said = stderr(&output).lines().filter(|line| line.contains("--until-decided")).count();
        (said, soak.asked.until_decided)
    };
    assert_eq!(early(&["--partition", "1/21"]), (1, Some(true)));
    assert_eq!(early(&["--partition", "1/21", "-n", "20"]), (0, None));
    assert_eq!(early(&["--partition", "1/20", "--exclude", "plugin", "-n", "20"]), (0, None));
}

#[test]
fn latest_leads_to_the_newest_report() {
    let tree = Tree::new();
    for library in ["build/libz.so", "build/sub/plugin"] {
        let output = tree.output(&["run", library, "-n", "20", "--passes", "measure"]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(read_record(&tree.at("reports/latest")).unwrap().soaks[0].path, library);
    }
    assert_eq!(fs::read_dir(tree.at("reports")).unwrap().count(), 3);
    let link = tree.at("reports/latest").read_link().unwrap();
    assert_eq!(link.components().count(), 1, "{link:?}");
}

#[test]
fn a_record_that_no_report_is_made_of_is_small() {
    let tree = Tree::new();
    let output = tree.output(&["run", "build", "-n", "1000", "--no-report", "--jobs", "2", "-o", "out"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("record written to out"), "{said}");
    let names: Vec<_> =
        fs::read_dir(tree.at("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["record.json"]);
    let run = read_record(&tree.at("out")).unwrap();
    let size = fs::metadata(tree.at("out/record.json")).unwrap().len();
    assert!(size < 12_000 * run.soaks.len() as u64, "{size} bytes for {} soaks", run.soaks.len());
    for soak in &run.soaks {
        assert!((2..=25).contains(&soak.checkpoints.rows.len()), "{}", soak.checkpoints.rows.len());
        assert_eq!(soak.checkpoints.rows.last().unwrap()[0], 1_000);
    }
    // In the order of the run, although they ended in another one.
    let mut paths: Vec<_> = run.soaks.iter().map(|soak| soak.path.clone()).collect();
    let ordered = paths.clone();
    paths.sort();
    assert_eq!(paths, ordered);
    // What was left out after the verdict makes no other one: the run goes on with it, and nobody judges it again.
    let again = ["run", "build", "-n", "1000", "--no-report", "--jobs", "2", "-o", "out", "--resume"];
    tree.output(&again);
    let resumed = read_record(&tree.at("out")).unwrap();
    let verdicts = |run: &Run| run.soaks.iter().map(|soak| soak.judged.clone()).collect::<Vec<_>>();
    assert!(verdicts(&run).iter().any(|judged| judged.verdict == Verdict::Clean), "{said}");
    assert_eq!((verdicts(&resumed), &resumed.started_at), (verdicts(&run), &run.started_at));
    let output = tree.output(&["judge", "out/record.json"]);
    assert!(output.status.code() == Some(2) && stderr(&output).contains("--no-report"), "{output:?}");
    // Pages and tables take it.
    let output = tree.output(&["report", "out/record.json", "--to", "html"]);
    assert!(output.status.success(), "{}", stderr(&output));
}
