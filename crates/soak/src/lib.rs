//! Soaks a library in a separate process and returns all that was measured: plans, passes, processes, `/proc`, ptrace, staging,
//! limits. And the interface for tests: [`Soak`].
//!
//! **Invariant:** whatever a library does, a soak ends with a record of what was measured. Nothing here judges, apart from the
//! decision whether to go on, for which it asks `dlsoak-judge`; and nothing here writes sentences.

pub mod calls;
mod cdylib;
pub mod channel;
pub mod conduct;
pub mod driver;
pub mod fault;
pub mod files;
pub mod gctrace;
pub mod host;
pub mod lddebug;
pub mod observer;
mod replace;
pub mod residue;
pub mod sampling;
mod soak;
mod stand_in;
pub mod suite;
pub mod supervisor;
pub mod sys;
pub mod trace;
pub mod watch;

use dlsoak_elf as elf;
use dlsoak_judge as analysis;
use dlsoak_record as record;
use dlsoak_settings as settings;

pub use cdylib::CdylibError;
pub use fault::Fault;
pub use soak::{Soak, SoakError, Soaked};
