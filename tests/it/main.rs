//! Tests of `dlsoak` as its users meet it.

// A test that can't go on says so by panicking; clippy's own exception covers test functions only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod analysis;
mod bad_files;
mod bad_input;
mod bad_texts;
mod browser;
mod calls;
mod causes;
mod chaos;
mod compare;
mod decide;
mod doctor;
mod ends;
mod exceptions;
mod exhausted;
mod explain;
mod exports;
mod faults;
mod fleet;
mod fuzz;
mod hostile;
mod hosts;
mod init;
mod inspect;
mod interrupt;
mod jobs;
mod judged;
mod killed;
mod library;
mod limits;
mod long;
mod matrix;
mod modes;
mod output;
mod own_faults;
mod pool;
mod programs;
mod properties;
mod prose;
mod readme;
mod reference;
mod reports;
mod residue;
mod sandbox;
mod soaks;
mod support;
mod surroundings;
mod tidy;
mod trace;
mod truths;
mod verdicts;
mod verify;
mod worker_cost;
