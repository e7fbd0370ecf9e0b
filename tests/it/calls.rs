//! Calls with results, out-parameters, checks and C++ names, against libraries written for them and against libraries of the system; and
//! the set-up of a host.

use std::path::{Path, PathBuf};
use std::process::Command;

use dlsoak::record::{Code, LoadCause, Metric, Note, OutcomeKind, Verdict, Why};
use tempfile::TempDir;

use crate::support::{DECIDED, Finished, compile, dlsoak, failure, growth, has, library, run};

/// Libraries of `tests/data`, each built with these arguments.
struct Built(TempDir);

impl Built {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn library(&self, source: &str, name: &str, arguments: &[&str]) -> PathBuf {
        let to = self.0.path().join(name);
        compile(&[&["-shared", "-fPIC"], arguments].concat(), &format!("tests/data/{source}"), &to);
        to
    }

    /// With debug information, and without.
    fn both(&self) -> [PathBuf; 2] {
        [self.library("calls.c", "libknown.so", &[]), self.library("calls.c", "libunknown.so", &["-g0"])]
    }
}

fn soak(library: &Path, calls: &[&str], more: &[&str]) -> Finished {
    let calls = calls.iter().flat_map(|call| ["-c", call]);
    let arguments: Vec<&str> = [library.to_str().unwrap()].into_iter().chain(calls).collect();
    run(&[&arguments, more].concat())
}

#[test]
fn an_object_is_handed_on_and_a_leak_of_it_is_seen() {
    let built = Built::new();
    for library in built.both() {
        let whole = soak(&library, &["h = make(3) != null", "use(h) == 0", "destroy(h)"], &["-n", "1500"]);
        assert_eq!(whole.soak().judged.verdict, Verdict::Clean, "{}", whole.stdout);
        assert_eq!(growth(whole.soak(), Metric::Heap).per_cycle, 0.0);
        let kept = soak(&library, &["h = make(3)", "use(h) == 0"], &["-n", "1500"]);
        assert_eq!(kept.soak().judged.verdict, Verdict::Leak, "{}", kept.stdout);
        assert_eq!(growth(kept.soak(), Metric::Heap).per_cycle, 32.0);
        assert!(has(kept.soak(), Code::ShareCall), "{}", kept.stdout);
    }
}

#[test]
fn a_check_that_fails_ends_the_soak() {
    let built = Built::new();
    for library in built.both() {
        let failed = soak(&library, &["init() == 0"], &["-n", "100"]);
        let outcome = &failed.soak().outcome;
        assert_eq!((failed.code, outcome.kind, outcome.cycle), (1, OutcomeKind::CallFailed, Some(0)));
        let why = Why::CheckFailed {
            call: "init()".to_owned(),
            check: "== 0".to_owned(),
            returned: "-1".to_owned(),
            setup: false,
        };
        assert_eq!((outcome.why.as_ref(), failed.soak().judged.verdict), (Some(&why), Verdict::CallFailed));
        assert!(has(failed.soak(), Code::CallFailed));
        assert_eq!(
            soak(&library, &["init() == -1"], &["-n", "100"]).soak().outcome.kind,
            OutcomeKind::Completed
        );
    }
}

#[test]
fn values_of_every_kind_arrive_and_are_compared() {
    let built = Built::new();
    let [known, unknown] = built.both();
    let common = [
        "half(5.0) == 2.5",
        "third(6.0f) == 2.0f",
        "add(-3, 2) == -1",
        "add(-3, 2) == 0xffffffff",
        "add(-3, 2) < 0",
        "add(2, 3) >= 5",
        "large() != 0L",
        "large() == 4294967296",
        "get(&n, null) == 0",
        "is_seven(n) == 1",
        "open_it(\":memory:\", &it) == 0",
        "use(it) == 0",
        "close_it(&it) == 0",
        "use(it) == -1",
        "sum(3, 1.0, 2.0, 4.5) == 7.5",
        "a = add(1, 2)",
        "add(2, 1) == a",
    ];
    let typed =
        ["x = half(5.0)", "half(x) == 1.25", "get(&m, &f) == 0", "is_it(m, f) == 1", "half(8.0) == 4"];
    let said = ["double x = half(5.0)", "half(x) == 1.25", "float y = third(3.0f)", "third(y) > 0.3f"];
    for (library, more) in [(&known, &typed[..]), (&unknown, &said)] {
        for threads in ["1", "3"] {
            let finished = soak(library, &[&common, more].concat(), &["-n", "300", "-t", threads]);
            let outcome = &finished.soak().outcome;
            assert_eq!(outcome.kind, OutcomeKind::Completed, "{outcome:?}");
        }
    }
}

#[test]
fn calls_that_no_prototype_confirms_are_noted() {
    let built = Built::new();
    let [known, unknown] = built.both();
    let noted = |library: &Path, calls: &[&str]| {
        let notes = soak(library, calls, &["-n", "20"]).run.soaks.remove(0).measured.notes;
        notes.into_iter().find_map(|note| match note {
            Note::CallsUnchecked { calls } => Some(calls),
            _ => None,
        })
    };
    let calls = ["add(1, 2)", "init", "large() == 4294967296"];
    assert_eq!(noted(&known, &calls), None);
    assert_eq!(noted(&unknown, &calls), Some(vec![calls[0].to_owned(), calls[2].to_owned()]));
    assert_eq!(noted(&unknown, &["init()"]), None);
}

/// What a run says that can't begin, in one line; nothing is left behind.
fn refused(library: &Path, arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output =
        dlsoak().arg("run").arg(library).args(arguments).args(["-n", "10"]).current_dir(dir.path()).output();
    let output = output.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    stderr
}

#[test]
fn a_call_that_can_t_be_meant_is_one_line() {
    let built = Built::new();
    let [known, unknown] = built.both();
    for (calls, parts) in [
        (&["use(h)"][..], &["column 5", "no earlier call sets `h`"][..]),
        (&["use(h)", "h = make(3)"], &["column 5", "`h` is used before it is set"]),
        (&["get(&n, null)"], &["column 6", "no later call uses `n`"]),
        (&["h = make(3)", "h = make(4)"], &["column 1", "`h` is set by `h = make(3)` already"]),
    ] {
        let arguments: Vec<&str> = calls.iter().flat_map(|call| ["-c", call]).collect();
        let stderr = refused(&unknown, &arguments);
        assert!(parts.iter().all(|part| stderr.contains(part)), "{stderr}");
    }
    for (call, parts) in [
        ("destroy(null) == 0", &["column 15", "destroy() at calls.c:", "returns nothing (void)"][..]),
        ("d = destroy(null)", &["column 1", "returns nothing (void)"]),
        ("add(1)", &["column 5", "the call has 1 argument, and add() at calls.c:", "takes 2 arguments"]),
        ("add(1, 2, 3)", &["column 11", "the call has 3 arguments"]),
        ("sum()", &["takes at least 1 argument"]),
        ("sum(1, 2.5f)", &["column 8", "takes a double there"]),
        ("half(2)", &["column 6", "is double, and the call gives an integer; write 2.0"]),
        ("third(2.0)", &["column 7", "is float, and the call gives a double; write 2.0f"]),
        ("add(1, \"x\")", &["column 8", "is int, and the call gives a string"]),
        ("use(5)", &["column 5", "is void *, and the call gives an integer"]),
        ("use(2.5)", &["column 5", "is void *, and the call gives a double"]),
        ("begin(&s, 3)", &["struct state *", "8 bytes", "--exercise"]),
        ("whole()", &["struct state", "--exercise"]),
        ("add(1, 2) == 5000000000", &["column 11", "returns int, which can't hold 5000000000"]),
        ("add(1, 2) == 3.0", &["returns int, and `== 3.0` compares it with another type"]),
        ("double a = add(1, 2)", &["returns int; remove the type before the name"]),
    ] {
        let use_it = if call.contains("&s") { vec!["-c", call, "-c", "use(s)"] } else { vec!["-c", call] };
        let stderr = refused(&known, &use_it);
        assert!(parts.iter().all(|part| stderr.contains(part)), "{stderr}");
    }
    // Without debug information, what it does is seen.
    let stderr = refused(&unknown, &["-c", "begin(&s, 3)", "-c", "use(s)"]);
    assert!(
        stderr.contains("begin(&s, 3) writes more than the 8 bytes") && stderr.contains("--exercise"),
        "{stderr}"
    );
    let stderr = refused(&known, &["--setup", "no_such_function()"]);
    assert!(stderr.contains("`no_such_function`"), "{stderr}");
    let stderr = refused(&known, &["--setup", "get(&x)", "-c", "use(&x)"]);
    assert!(stderr.contains("`x` is kept by the set-up, so a cycle can't write to it"), "{stderr}");
}

#[test]
fn a_suite_names_the_place_of_a_call() {
    let dir = tempfile::tempdir().unwrap();
    let suite = "[[library]]\npath = 'a.so'\ncall = ['use(h)', 'h = make(3)']\n";
    std::fs::write(dir.path().join("dlsoak.toml"), suite).unwrap();
    let output = dlsoak().arg("run").current_dir(dir.path()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("dlsoak.toml:3") && stderr.contains("`use(h)`: column 5"), "{stderr}");
}

#[test]
fn names_of_cpp_find_their_functions() {
    let built = Built::new();
    let known = built.library("calls.cpp", "libcpp.so", &["-lstdc++"]);
    let unknown = built.library("calls.cpp", "libcpp-unknown.so", &["-g0", "-lstdc++"]);
    let one = [
        "audio::go(3, \"x\") == 4",
        "p = audio::make() != null",
        "audio::Player::play(p, 4) == 7",
        "audio::drop(p)",
    ];
    let completed = |library: &Path, calls: &[&str]| {
        let finished = soak(library, calls, &["-n", "50"]);
        assert_eq!(finished.soak().outcome.kind, OutcomeKind::Completed, "{:?}", finished.soak().outcome);
    };
    completed(
        &known,
        &[&one[..], &["audio::go(3) == 3", "audio::go(2.5) == -2.5", "::plain(3) == 3"]].concat(),
    );
    completed(&unknown, &[&one[..], &["_ZN5audio2goEi(3) == 3", "::plain(3) == 3"]].concat());
    let stderr = refused(&unknown, &["-c", "audio::go(3)"]);
    assert!(stderr.contains("_ZN5audio2goEd, _ZN5audio2goEi"), "{stderr}");
    let missing = soak(&known, &["audio::goo(3)"], &["-n", "10"]);
    let LoadCause::MissingSymbol { exports: Some(exports), .. } = &failure(missing.soak()).cause else {
        panic!("{:?}", missing.soak().outcome)
    };
    assert_eq!(exports.nearest.as_deref(), Some("audio::go"));
}

#[test]
fn what_the_host_sets_up_is_the_host_s() {
    let built = Built::new();
    let [library, _] = built.both();
    let first = built.library("calls-driver.c", "first.so", &["-DFIRST"]);
    let once = built.library("calls-driver.c", "once.so", &[]);
    let with = |driver: &Path, more: &[&str]| {
        let exercise = format!("{}:one_cycle", driver.display());
        soak(&library, &[], &[&["--exercise", &exercise], more].concat())
    };
    let found = with(&first, &["-n", "1500"]);
    assert_eq!(found.soak().judged.verdict, Verdict::Residue, "{}", found.stdout);
    assert!(has(found.soak(), Code::ResidueFds) && has(found.soak(), Code::ResidueEnvironment));
    let clean = with(&once, &["-n", "1500"]);
    assert_eq!(clean.soak().judged.verdict, Verdict::Clean, "{}", clean.stdout);
    // The same by a call, of which a cycle has the result.
    let calls = [
        "--setup",
        "c = host_new(4) == 4",
        "--setup",
        "p = strdup(\"x\")",
        "-c",
        "use(p) == 0",
        "-c",
        "add(c, 1) == 5",
    ];
    let clean = with(&once, &[&calls[..], &["-n", "1500"]].concat());
    assert_eq!(clean.soak().judged.verdict, Verdict::Clean, "{}", clean.stdout);
    assert!(clean.soak().replay.contains("--setup 'c = host_new(4) == 4'"), "{}", clean.soak().replay);
    // The short soak without the calls has the same set-up.
    let leak = with(&once, &["--setup", "c = host_new(3)", "-c", "make(c)", "-n", "1500"]);
    assert_eq!(leak.soak().judged.verdict, Verdict::Leak, "{}", leak.stdout);
    assert!(has(leak.soak(), Code::ShareCall), "{}", leak.stdout);
}

#[test]
fn a_set_up_that_fails_is_a_failed_call() {
    let built = Built::new();
    let [library, _] = built.both();
    let once = built.library("calls-driver.c", "once.so", &[]);
    let three = built.library("calls-driver.c", "three.so", &["-DSETUP=3"]);
    let with = |driver: &Path, more: &[&str]| {
        let exercise = format!("{}:one_cycle", driver.display());
        let finished = soak(&library, &[], &[&["--exercise", &exercise, "-n", "10"], more].concat());
        assert_eq!((finished.code, finished.soak().judged.verdict), (1, Verdict::CallFailed));
        assert_eq!(finished.soak().cycles.completed, 0);
        finished.soak().outcome.why.clone().unwrap()
    };
    assert_eq!(with(&three, &[]), Why::SetupReturned { returned: 3 });
    let Why::CheckFailed { call, returned, setup: true, .. } = with(&once, &["--setup", "host_new(4) == 5"])
    else {
        panic!("another end")
    };
    assert_eq!((call.as_str(), returned.as_str()), ("host_new(4)", "4"));
}

#[test]
fn the_header_of_drivers_compiles_without_a_warning() {
    let strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC"];
    let driver = xtask::fixtures::root().join("examples/driver/driver.c");
    let dir = tempfile::tempdir().unwrap();
    for (variable, usual, language) in [
        ("CC", "cc", &["-std=c11", "-Wmissing-prototypes"][..]),
        ("CXX", "c++", &["-x", "c++", "-std=c++17"]),
    ] {
        let to = dir.path().join(format!("{usual}.so"));
        let mut compiler = Command::new(std::env::var_os(variable).unwrap_or(usual.into()));
        let output = compiler.args(language).args(strict).arg(&driver).arg("-o").arg(&to).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let exercise = format!("{}:one_cycle", to.display());
        let finished = run(&[
            crate::support::fixture("c-clean").to_str().unwrap(),
            "--exercise",
            &exercise,
            "-n",
            "100",
        ]);
        assert_eq!(finished.soak().outcome.kind, OutcomeKind::Completed, "{:?}", finished.soak().outcome);
    }
}

#[test]
fn curl_is_clean_and_leaks_what_a_bare_loop_leaks() {
    let Some(curl) = library("libcurl.so.4", "libcurl4") else { return };
    let whole = soak(&curl, &["h = curl_easy_init() != null", "curl_easy_cleanup(h)"], &DECIDED);
    assert_eq!(whole.soak().judged.verdict, Verdict::Clean, "{}", whole.stdout);
    let kept = soak(&curl, &["h = curl_easy_init() != null"], &["-n", "300", "--passes", "measure"]);
    assert_eq!(kept.soak().judged.verdict, Verdict::Leak, "{}", kept.stdout);
    let built = Built::new();
    let program = built.0.path().join("leak-loop");
    compile(&[], "tests/data/leak-loop.c", &program);
    let mut bare = Command::new(program);
    bare.arg(&curl).arg("curl_easy_init").env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
    let output = bare.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let expected: f64 = text.trim().parse().unwrap_or_else(|error| panic!("{error}: {text:?}"));
    let found = growth(kept.soak(), Metric::Heap).per_cycle;
    assert!((found / expected - 1.0).abs() < 0.01, "dlsoak {found}, a bare loop {expected}");
}

#[test]
fn sqlite_opens_a_database_through_an_out_parameter() {
    let Some(sqlite) = library("libsqlite3.so.0", "libsqlite3-0") else { return };
    let calls = [
        "sqlite3_open(\":memory:\", &db) == 0",
        "sqlite3_exec(db, \"create table t(x); insert into t values(1)\", null, null, null) == 0",
        "sqlite3_close(db) == 0",
    ];
    let finished = soak(&sqlite, &calls, &DECIDED);
    assert_eq!(finished.soak().judged.verdict, Verdict::Clean, "{}", finished.stdout);
}

#[test]
fn a_macro_of_zlib_needs_a_driver() {
    let Some(zlib) = library("libz.so.1", "zlib1g") else { return };
    let finished = soak(&zlib, &["deflateInit(&s, 6) == 0", "deflateEnd(&s) == 0"], &["-n", "10"]);
    let LoadCause::MissingSymbol { symbol, exports: Some(exports) } = &failure(finished.soak()).cause else {
        panic!("{:?}", finished.soak().outcome)
    };
    assert_eq!((symbol.as_deref(), exports.nearest.as_deref()), (Some("deflateInit"), Some("deflateInit_")));
    assert!(finished.stdout.contains("--exercise"), "{}", finished.stdout);
    // The function behind the macro takes a struct of 112 bytes.
    let stderr =
        refused(&zlib, &["-c", "deflateInit_(&s, 6, \"1.2.11\", 112) == 0", "-c", "deflateEnd(&s) == 0"]);
    assert!(stderr.contains("8 bytes") && stderr.contains("--exercise"), "{stderr}");
}
