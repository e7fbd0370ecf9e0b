//! Tests of `dlsoak` as its users meet it.

// A test that can't go on says so by panicking; clippy's own exception covers test functions only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod analysis;
mod bad_input;
mod causes;
mod decide;
mod inspect;
mod interrupt;
mod modes;
mod pool;
mod properties;
mod readme;
mod reference;
mod residue;
mod soaks;
mod support;
mod tidy;
mod trace;
mod verdicts;
mod worker_cost;
