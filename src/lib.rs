//! Soak tester for shared libraries: loads and unloads a `.so` thousands of times and says whether it was
//! really unloaded, what each cycle leaves behind, and whether that may be merged.
//!
//! Data flows one way: suite, supervisor with its agent, record, judge, report. `ARCHITECTURE.md` has the
//! map.

pub mod channel;
pub mod cli;
pub mod commands;
mod conduct;
pub mod doctor;
pub mod elf;
pub mod exit_code;
pub mod explain;
pub mod files;
pub mod inspect;
pub mod lddebug;
pub mod observer;
pub mod pool;
pub mod publish;
pub mod residue;
pub mod sampling;
mod soak;
pub mod suite;
pub mod supervisor;
pub mod symbols;
pub mod sys;
pub mod trace;
pub mod verify;

pub use dlsoak_judge as analysis;
pub use dlsoak_record as record;
pub use dlsoak_report as report;
pub use dlsoak_settings as settings;

pub use soak::{Soak, SoakError, Soaked};
