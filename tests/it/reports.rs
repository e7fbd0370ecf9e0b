//! Faults from public reports, in a plain C host: what the table of fixtures says of a soak is what becomes of a host that people have.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dlsoak::record::{Code, Evidence, HolderMemory, Proof, Resource, Verdict};

use crate::support::{compile, dlsoak, finished, fixture, library, run};

/// A fixture, where the host calls it from, its loads, the milliseconds that it waits then, and the signal that ends it; the twin ends
/// with status 0.
const ENDS: [(&str, &str, &str, &str, &str, i32); 7] = [
    // https://github.com/rockowitz/ddcutil/issues/330
    ("c-late-thread", "c-late-thread-undone", "main", "1", "1000", libc::SIGSEGV),
    ("c-late-timer", "c-late-timer-undone", "main", "1", "1000", libc::SIGSEGV),
    // https://github.com/SSSD/sssd/issues/6505
    ("c-late-key", "c-late-key-undone", "worker", "1", "0", libc::SIGSEGV),
    // https://github.com/openssl/openssl/pull/24148
    ("c-on-exit", "c-atexit", "main", "1", "0", libc::SIGSEGV),
    // Threads of OpenMP, as of each pool of threads in a library that goes with the plugin.
    ("c-openmp", "c-clean", "main", "1", "1000", libc::SIGSEGV),
    // https://github.com/golang/go/issues/11100
    ("c-go-archive", "c-go-archive-kept", "main", "1", "1000", libc::SIGSEGV),
    // https://github.com/android/ndk/issues/939
    ("c-exhaust-keys-crash", "c-exhaust-keys-deleted", "main", "1200", "0", libc::SIGSEGV),
];

fn end_of(host: &Path, arguments: &[&str], library: PathBuf) -> Output {
    let mut command = Command::new(host);
    command.arg(library).args(arguments).current_dir(host.parent().unwrap());
    command.output().unwrap()
}

#[test]
fn a_plain_host_ends_as_reported_and_its_twin_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let host = directory.path().join("plain-host");
    compile(&[], "tests/data/plain-host.c", &host);
    for (name, twin, from, loads, wait, signal) in ENDS {
        let end = end_of(&host, &[from, loads, wait], fixture(name));
        assert_eq!(end.status.signal(), Some(signal), "{name}: {end:?}");
        let end = end_of(&host, &[from, loads, wait], fixture(twin));
        assert!(end.status.success(), "{twin}: {end:?}");
    }
}

/// <https://github.com/xkbcommon/libxkbcommon/issues/529>
#[test]
fn a_handler_that_is_left_in_libxml2_is_found_where_it_crashes_a_plain_host() {
    let Some(_) = library("libxml2.so.2", "libxml2") else { return };
    let directory = tempfile::tempdir().unwrap();
    let source = "examples/pointers/xml_handler.c";
    let host = directory.path().join("host");
    compile(&["-l:libxml2.so.2"], source, &host);
    for (name, undone, crashes) in [("left.so", None, true), ("undone.so", Some("-DUNDONE"), false)] {
        let plugin = directory.path().join(name);
        let flags = ["-shared", "-fPIC", "-DPLUGIN", "-l:libxml2.so.2"];
        let flags: Vec<&str> = flags.into_iter().chain(undone).collect();
        compile(&flags, source, &plugin);
        let end = end_of(&host, &[], plugin.clone());
        assert_eq!(end.status.signal(), crashes.then_some(libc::SIGSEGV), "{name}: {end:?}");
        let finished = run(&["-n", "300", "--env", "LD_PRELOAD=libxml2.so.2", plugin.to_str().unwrap()]);
        let found = finished.soak().residue.iter().find_map(|left| match &left.evidence {
            Evidence::DanglingPointer(pointer) => Some(pointer),
            _ => None,
        });
        assert_eq!(found.is_some(), crashes, "{name}: {:?}", finished.soak().residue);
        if let Some(pointer) = found {
            let holder = pointer.holder.as_ref().unwrap();
            assert_eq!((pointer.proof, holder.memory), (Proof::Follows, HolderMemory::Data));
            assert!(holder.object.as_deref().unwrap().starts_with("libxml2.so"), "{holder:?}");
            assert_eq!(pointer.target.symbol.as_deref(), Some("report"));
        }
    }
}

/// <https://github.com/Igalia/cog/issues/718>
#[test]
fn main_contexts_of_glib_that_are_forgotten_end_a_plain_host_and_are_told_before_its_crash() {
    let Some(_) = library("libglib-2.0.so.0", "libglib2.0-0") else { return };
    let directory = tempfile::tempdir().unwrap();
    let host = directory.path().join("plain-host");
    compile(&[], "tests/data/plain-host.c", &host);
    let out = tempfile::tempdir().unwrap();
    let few_descriptors = |program: &Path| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 1024 && exec \"$@\"", "sh"]).arg(program);
        command
    };
    for (name, undone, crashes) in [("left.so", None, true), ("undone.so", Some("-DUNDONE"), false)] {
        let plugin = directory.path().join(name);
        let flags = ["-shared", "-fPIC", "-l:libglib-2.0.so.0"].into_iter().chain(undone);
        compile(&flags.collect::<Vec<_>>(), "examples/limits/wakeup.c", &plugin);
        let end = few_descriptors(&host).arg(&plugin).args(["main", "1200"]).output().unwrap();
        assert_eq!(end.status.signal(), crashes.then_some(libc::SIGTRAP), "{name}: {end:?}");
        let mut command = few_descriptors(Path::new(dlsoak().get_program()));
        command.args(["run", "-q", "--force", "-n", "1500", "-o"]).arg(out.path()).arg(&plugin);
        let finished = finished(&command.output().unwrap(), &out);
        let soak = finished.soak();
        let ran_out = soak.judged.exhausted.iter().map(|one| (one.resource, one.limit, one.per_cycle));
        let expected = (Resource::Fds, Some(1024), Some(8.0));
        assert_eq!(ran_out.collect::<Vec<_>>(), Vec::from_iter(crashes.then_some(expected)));
        let codes: Vec<Code> = soak.judged.findings.iter().map(|finding| finding.code).collect();
        if crashes {
            assert_eq!(soak.judged.verdict, Verdict::Crashed);
            assert_eq!(codes[0], Code::Exhausted, "{codes:?}");
        } else {
            assert_eq!(soak.judged.verdict, Verdict::Clean, "{codes:?}");
        }
    }
}

#[test]
fn what_libquadmath_leaves_in_glibc_crashes_a_plain_host_that_uses_it() {
    let Some(path) = library("libquadmath.so.0", "libquadmath0") else { return };
    let directory = tempfile::tempdir().unwrap();
    let host = directory.path().join("host");
    compile(&["-Wno-format"], "examples/pointers/printf_type.c", &host);
    assert_eq!(end_of(&host, &[], path.clone()).status.signal(), Some(libc::SIGSEGV));
    let kept = end_of(&host, &["kept"], path.clone());
    assert!(kept.status.success() && kept.stdout == b"q\n", "{kept:?}");
    let finished = run(&["-n", "40", path.to_str().unwrap()]);
    let [left] = finished.soak().residue.as_slice() else { panic!("{:?}", finished.soak().residue) };
    let Evidence::DanglingPointer(pointer) = &left.evidence else { panic!("{left:?}") };
    let holder = pointer.holder.as_ref().unwrap();
    assert_eq!(holder.symbol.as_deref(), Some("__register_printf_type"));
}
