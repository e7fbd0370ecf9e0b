//! The corpora of the fuzz targets, each file put through what its target calls: no fuzzer is needed to see that none of
//! them breaks anything, and that none has gone stale.

use std::fs;

// Public where it is a crate of its own.
#[allow(unreachable_pub)]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// Puts every file of a target's corpus through it.
fn replay(target: &str, check: fn(&[u8])) {
    let corpus = xtask::fixtures::root().join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        check(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 3, "{}: {count} files", corpus.display());
}

#[test]
fn every_file_of_the_corpora_is_taken() {
    replay("suite", targets::suite);
    replay("call", targets::call);
    replay("record", targets::record);
    replay("elf", targets::elf);
    replay("lddebug", targets::lddebug);
    replay("units", targets::units);
    replay("explain", targets::explain);
}

#[test]
fn every_target_has_a_function_and_a_corpus() {
    let root = xtask::fixtures::root().join("fuzz");
    let lib = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    for entry in fs::read_dir(root.join("fuzz_targets")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(lib.contains(&format!("pub fn {name}(data: &[u8])")), "{name}");
        assert!(root.join("corpus").join(&name).is_dir(), "{name}");
    }
}
