//! The programs that run beside a library under test are what a plain C host is: they need the C library and nothing else.

use std::process::Command;

use dlsoak::elf;

/// Largest host in bytes.
const LARGEST: usize = 40_000;

/// The number of a version of glibc.
fn version(name: &str) -> (u32, u32) {
    let numbers = name.strip_prefix("GLIBC_").unwrap_or_else(|| panic!("{name}"));
    let mut numbers = numbers.split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn a_host_needs_the_c_library_alone() {
    for (name, image) in [
        ("host", dlsoak_agent::HOST),
        ("counting host", dlsoak_agent::HOST_COUNTING),
        ("keeper", dlsoak_agent::KEEPER),
        ("loop", dlsoak_agent::LOOP),
    ] {
        let facts = elf::parse(image).unwrap();
        assert_eq!(facts.needed, ["libc.so.6"], "{name}");
        // ARCHITECTURE.md states this one. Built on a glibc before 2.34 it is lower.
        let highest = facts.versions.iter().map(|need| version(&need.version)).max();
        assert!(highest.unwrap() <= (2, 34), "{name}: {:?}", facts.versions);
    }
    for image in [dlsoak_agent::HOST, dlsoak_agent::HOST_COUNTING] {
        assert!(image.len() < LARGEST, "{} bytes", image.len());
    }
}

#[test]
fn malloc_is_exported_by_the_counting_host_alone() {
    let facts = |image| elf::parse(image).unwrap();
    let (plain, counting) = (facts(dlsoak_agent::HOST), facts(dlsoak_agent::HOST_COUNTING));
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
        "pvalloc",
    ];
    for name in family {
        assert!(counting.has_export(name) && !plain.has_export(name), "{name}");
    }
    for name in ["__cxa_thread_atexit_impl", "on_exit"] {
        assert!(counting.has_export(name) && plain.has_export(name), "{name}");
    }
}

#[test]
fn the_agent_depends_on_the_wire_alone() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "-p", "dlsoak-agent", "--prefix", "none"])
        .current_dir(xtask::fixtures::root())
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(crates, ["dlsoak-agent", "dlsoak-wire"]);
}
