//! Faults from public reports, in a plain C host: what the table of fixtures says of a soak is what becomes of a host that people have.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dlsoak::record::{Evidence, HolderMemory, Proof};

use crate::support::{compile, fixture, library, run};

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
