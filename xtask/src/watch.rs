//! `cargo xtask watch`: the test of `dlsoak watch` that takes too long for every change, ten minutes at 100 loads per second.

use anyhow::Result;
use xtask::fixtures;

use crate::{checks, command};

/// The test.
const TEST: &str = "watch_faults::the_watcher_s_memory_does_not_grow_in_ten_minutes";

/// Runs it; true if it passes.
pub(crate) fn run() -> Result<bool> {
    let mut cargo = command::cargo(&fixtures::root());
    cargo.args([
        "test",
        "--workspace",
        "--locked",
        "--test",
        "it",
        "--",
        "--ignored",
        "--exact",
        "--nocapture",
        TEST,
    ]);
    checks::check(&mut cargo)
}
