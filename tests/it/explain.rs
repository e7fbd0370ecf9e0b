//! What `explain` makes of real logs: those that failed, in which each error is found, and one of 5,000 lines that did not.

use std::io::Write as _;
use std::process::{Output, Stdio};

use dlsoak::record::explanation::{Explanation, Here, SCHEMA};
use dlsoak::record::file::Machine;
use dlsoak::record::inspection::Problem;
use serde_json::Value;

use crate::support::{dlsoak, fixture};

/// The output for a log on standard input.
fn explain(log: &[u8], args: &[&str]) -> Output {
    let mut child = dlsoak()
        .arg("explain")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let log = log.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&log).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn json(log: &[u8], args: &[&str]) -> Value {
    let output = explain(log, &[args, &["--json"]].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn read(log: &[u8], args: &[&str]) -> Explanation {
    serde_json::from_value(json(log, args)).unwrap()
}

/// Line, count and rule of each error, with the lines that repeat it.
fn table(found: &Value) -> String {
    let lines = found["errors"].as_array().unwrap().iter().map(|error| {
        let echoes = error["repeated_by"].as_array().unwrap();
        let echoes: Vec<String> = echoes.iter().map(|echo| echo["line"].to_string()).collect();
        let text: String = error["text"].as_str().unwrap().chars().take(80).collect();
        let rule = error["rule"].as_str().unwrap();
        format!("{} x{} {rule} +[{}] | {text}", error["line"], error["count"], echoes.join(","))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn directory() -> std::path::PathBuf {
    xtask::fixtures::root().join("tests/data/logs")
}

#[test]
fn each_error_of_the_failing_logs_is_found() {
    let logs = ["gcc-bfd", "gold", "clang-lld", "mold", "go", "rust", "loader", "musl-loader", "pkg-config"];
    for name in logs {
        let log = std::fs::read(directory().join(format!("{name}.log"))).unwrap();
        insta::assert_snapshot!(format!("explain-{name}"), table(&json(&log, &["--no-host"])));
    }
}

#[test]
fn a_clean_log_of_five_thousand_lines_has_none() {
    let output =
        std::process::Command::new("gzip").arg("-dc").arg(directory().join("clean.log.gz")).output().unwrap();
    let log = output.stdout;
    let found = json(&log, &["--no-host"]);
    assert!(found["lines"].as_u64().unwrap() >= 5000, "{}", found["lines"]);
    assert_eq!(table(&found), "");
    assert_eq!(found["left_out"], 0);
    // The same log with one error in its midst: it is found there.
    let middle = log.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2000).unwrap().0 + 1;
    let mut broken = log;
    broken.splice(middle..middle, *b"/usr/bin/ld: cannot find -lfoo: No such file or directory\n");
    assert!(table(&json(&broken, &["--no-host"])).starts_with("2002 x1 library-not-found"));
}

#[test]
fn what_build_systems_add_to_a_line_is_no_hindrance() {
    let logs: [&[u8]; 9] = [
        b"\x1b[1m/usr/bin/ld: \x1b[31mcannot find\x1b[0m -lfoo\r\n",
        b"2026-05-01T12:00:00.1234567Z /usr/bin/ld: cannot find -lfoo\n",
        b"2026-05-01T12:00:00.123456Z 01O /usr/bin/ld: cannot find -lfoo\n",
        b"#12 0.345 /usr/bin/ld: cannot find -lfoo\n",
        b"#12 [build 3/7] 10.345 /usr/bin/ld: cannot find -lfoo\n",
        b"[12:00:01] ##[error]/usr/bin/ld: cannot find -lfoo\n",
        b"web-1  | /usr/bin/ld: cannot find -lfoo\n",
        b" 10%\r 90%\r/usr/bin/ld: cannot find -lfoo\xff\r\n",
        b"[ 42%] \t/usr/bin/ld: cannot find -lfoo",
    ];
    for log in logs {
        let found = json(log, &["--no-host"]);
        let error = &found["errors"][0];
        let found = (
            error["rule"].as_str(),
            error["names"]["library"].as_str().map(|name| name.trim_end_matches('\u{fffd}')),
        );
        assert_eq!(found, (Some("library-not-found"), Some("foo")), "{}", String::from_utf8_lossy(log));
    }
}

#[test]
fn the_same_error_again_is_counted_and_many_different_ones_are_bounded() {
    let line = "a.c:(.text+0x16): undefined reference to `absent'\n";
    let found = json(line.repeat(3000).as_bytes(), &["--no-host"]);
    assert!(table(&found).starts_with("1 x3000 undefined-reference"), "{}", table(&found));
    assert_eq!(found["errors"][0]["last_line"], 3000);
    let many: String =
        (0..700).map(|n| format!("a.c:(.text+0x16): undefined reference to `absent{n}'\n")).collect();
    let found = json(many.as_bytes(), &["--no-host"]);
    assert_eq!((found["errors"].as_array().unwrap().len(), &found["left_out"]), (500, &Value::from(200)));
    let text = String::from_utf8(explain(many.as_bytes(), &["--no-host"]).stdout).unwrap();
    assert!(text.lines().count() < 40, "{text}");
}

#[test]
fn a_last_word_without_its_reason_counts_as_one() {
    let found = json(
        b"gcc -o a a.o\ncollect2: error: ld returned 1 exit status\nmake: *** [Makefile:1: a] Error 1\n",
        &["--no-host"],
    );
    assert!(table(&found).starts_with("2 x1 linker-gave-up"), "{}", table(&found));
    let found = json(b"make: *** [Makefile:1: a] Error 1\n", &["--no-host"]);
    assert_eq!(table(&found), "");
}

#[test]
fn what_this_machine_has_to_do_with_it_is_looked_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(fixture("c-clean")).unwrap();
    bytes[18] = 43;
    let foreign = dir.path().join("libforeign.so");
    std::fs::write(&foreign, bytes).unwrap();
    let path = foreign.to_str().unwrap();
    let log = format!(
        "dlopen failed: {path}: cannot open shared object file: No such file or directory\n\
         a: /lib/libc.so.6: version `GLIBC_99.1' not found (required by {})\n\
         a.c:(.text+0x3c): undefined reference to `cos'\n\
         x.so: file too short\n\
         /bin/sh: 1: no-such-gcc: not found\n",
        fixture("c-leak-constructor").display()
    );
    let found = read(log.as_bytes(), &[]);
    let has = |rule: &str, is: &dyn Fn(&Here) -> bool| {
        let error = found.errors.iter().find(|error| error.rule == rule);
        let error = error.unwrap_or_else(|| panic!("{rule}: {found:#?}"));
        assert!(error.here.iter().any(is), "{error:#?}");
    };
    // glibc says that a library for another machine is not there.
    let sparc = Machine(43);
    has(
        "shared-object-not-found",
        &|fact| matches!(fact, Here::DoesNotLoad { problem: Problem::WrongMachine { machine, .. }, .. } if *machine == sparc),
    );
    has("glibc-too-old", &|fact| matches!(fact, Here::Glibc { has: Some(false), .. }));
    has("glibc-too-old", &|fact| matches!(fact, Here::NeedsGlibc { .. }));
    has(
        "undefined-reference",
        &|fact| matches!(fact, Here::Symbol { path, .. } if path.ends_with("/libm.so.6")),
    );
    has("tool-not-found", &|fact| matches!(fact, Here::Tool { name, path: None } if name == "no-such-gcc"));
    assert!(found.host.as_ref().is_some_and(|host| host.libc.starts_with("glibc 2.")), "{found:#?}");
    assert_eq!(found.schema, SCHEMA);
    let without = read(log.as_bytes(), &["--no-host"]);
    assert!(without.host.is_none() && without.errors.iter().all(|error| error.here.is_empty()));
}

#[test]
fn commands_hold_what_a_log_names_as_words_only() {
    let found = json(b"dlopen failed: ./$(touch${IFS}x);.so: file too short\n", &["--no-host"]);
    let run = found["errors"][0]["run"][0].as_str().unwrap();
    assert_eq!(run, "ls -l './$(touch${IFS}x);.so'");
}

#[test]
fn exit_codes_tell_found_from_clean_from_unreadable() {
    assert_eq!(explain(b"all is well\n", &[]).status.code(), Some(0));
    assert_eq!(explain(b"", &["-"]).status.code(), Some(0));
    assert_eq!(explain(b"FATAL: kernel too old\n", &[]).status.code(), Some(1));
    for log in ["/no/such/build.log", "/"] {
        let output = dlsoak().args(["explain", log]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && errors.lines().count() == 1 && errors.contains(log),
            "{errors}"
        );
    }
}
