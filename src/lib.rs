//! Soak tester for shared libraries: loads and unloads a `.so` thousands of times and says whether it was
//! really unloaded, what each cycle leaves behind, and whether that may be merged.
//!
//! Data flows one way: suite, supervisor with its agent, record, judge, report. `ARCHITECTURE.md` has the
//! map.

pub mod cli;
pub mod commands;
pub mod doctor;
pub mod exit_code;
pub mod explain;
pub mod inspect;
pub mod publish;
pub mod verify;

pub use dlsoak_elf as elf;
pub use dlsoak_judge as analysis;
pub use dlsoak_record as record;
pub use dlsoak_report as report;
pub use dlsoak_settings as settings;
pub use dlsoak_soak::{CdylibError, Fault, Soak, SoakError, Soaked};
pub use dlsoak_soak::{
    calls, channel, conduct, driver, fault, files, gctrace, host, lddebug, sampling, suite, supervisor, sys,
    trace, watch,
};
