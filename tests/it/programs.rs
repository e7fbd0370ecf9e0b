//! The programs that run beside a library under test are what a plain C host is: they need the C library and nothing else.

use std::process::Command;

use dlsoak::elf;
use dlsoak_agent::{Agents, GLIBC, MUSL};

/// The largest program in bytes, on each processor.
const LARGEST: usize = if cfg!(target_arch = "aarch64") { 200_000 } else { 60_000 };
/// The oldest glibc that all are for.
const BASELINE: [u32; 2] = [2, 17];

/// The numbers of a version of glibc.
fn version(name: &str) -> Vec<u32> {
    let numbers = name.strip_prefix("GLIBC_").unwrap_or_else(|| panic!("{name}"));
    numbers.split('.').map(|number| number.parse().unwrap()).collect()
}

/// The programs for a C library, with their names.
fn all(agents: &'static Agents) -> [(&'static str, &'static [u8]); 8] {
    [
        ("host", agents.host),
        ("counting host", agents.host_counting),
        ("host that looks for pointers", agents.host_pointers),
        ("keeper", agents.keeper),
        ("loop", agents.cycles),
        ("library that takes notes", agents.preload),
        ("auditor", agents.audit),
        ("library of drivers", agents.drivers),
    ]
}

#[test]
fn a_host_needs_the_c_library_alone_and_an_old_one_will_do() {
    for (name, image) in all(&GLIBC) {
        let facts = elf::parse(image).unwrap();
        let needed: &[&str] = match name {
            "library that takes notes" => &["libc.so.6", "libgcc_s.so.1"],
            "auditor" => &[],
            _ => &["libc.so.6"],
        };
        assert_eq!(facts.needed, needed, "{name}");
        for need in facts.versions.iter().filter(|need| need.library == "libc.so.6") {
            assert!(version(&need.version) <= BASELINE.to_vec(), "{name}: {}", need.version);
        }
        assert!(image.len() <= LARGEST, "{name}: {} bytes", image.len());
    }
    for (name, image) in all(&MUSL) {
        if image.is_empty() {
            continue;
        }
        let facts = elf::parse(image).unwrap();
        assert_eq!((facts.needed, facts.versions.len()), (vec!["libc.so".to_owned()], 0), "{name}");
        assert!(image.len() <= LARGEST, "{name}: {} bytes", image.len());
    }
}

#[test]
fn malloc_is_exported_by_the_counting_hosts_alone() {
    let facts = |image| elf::parse(image).unwrap();
    let family = [
        "malloc",
        "free",
        "calloc",
        "realloc",
        "reallocarray",
        "memalign",
        "aligned_alloc",
        "posix_memalign",
        "valloc",
    ];
    for agents in [&GLIBC, &MUSL] {
        let (plain, counting) = (facts(agents.host), facts(agents.host_counting));
        for name in family {
            assert!(counting.has_export(name) && !plain.has_export(name), "{name}");
        }
        // What musl lacks a host on it must not seem to have.
        let is_glibc = agents.loader == GLIBC.loader;
        assert_eq!(counting.has_export("pvalloc"), is_glibc);
        for name in ["__cxa_thread_atexit_impl", "on_exit"] {
            assert_eq!([&counting, &plain].map(|host| host.has_export(name)), [is_glibc; 2], "{name}");
        }
    }
}

#[test]
fn the_agent_depends_on_the_wire_alone() {
    let tree = Command::new(env!("CARGO"))
        // What a test compares its declarations with is no part of it.
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            "dlsoak-agent",
            "--prefix",
            "none",
            "--edges",
            "normal,build",
        ])
        .current_dir(xtask::fixtures::root())
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(crates, ["dlsoak-agent", "dlsoak-wire"]);
}
