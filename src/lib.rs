//! Soak tester for shared libraries: loads and unloads a `.so` many thousand times and says whether it was
//! really unloaded, what each cycle leaves behind, and whether that may be merged.
//!
//! Data flows one way: suite, supervisor with its worker, record, analysis, report. `ARCHITECTURE.md` has the
//! map.

pub mod analysis;
pub mod elf;
pub mod files;
mod nearest;
pub mod record;
pub mod report;
pub mod suite;
