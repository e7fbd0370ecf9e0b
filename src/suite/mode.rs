//! What goes together with a mode and what does not, in one place.

use super::plan::Refusal;
use super::settings::Settings;
use crate::record::Mode;

/// Namespaces that glibc has to give besides the one that a program starts in.
pub const NAMESPACES: u32 = 15;

/// What does not go together with a mode.
pub(super) fn check_mode(mode: Mode, settings: &Settings) -> Result<(), Refusal> {
    let shares = settings.share_path == Some(true);
    match mode {
        Mode::Copies if shares => {
            Err(("share-path", "in mode `copies` each cycle opens a file of its own".to_owned()))
        }
        Mode::Namespace if shares => {
            Err(("share-path", "in mode `namespace` nothing is shared but the file".to_owned()))
        }
        Mode::Namespace if settings.flags.is_some_and(|flags| flags.bits() & libc::RTLD_GLOBAL != 0) => {
            Err(("flags", "dlmopen does not take `global`: the namespace is new and empty".to_owned()))
        }
        Mode::Namespace if settings.threads.is_some_and(|threads| threads > NAMESPACES) => {
            Err(("threads", format!("glibc has {NAMESPACES} namespaces to give, and each thread needs one")))
        }
        Mode::Reopen | Mode::Copies | Mode::Namespace => Ok(()),
    }
}
