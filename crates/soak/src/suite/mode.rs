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
            Err(("share-path", "mode `copies` opens a new file in each cycle; remove share-path".to_owned()))
        }
        Mode::Namespace if shares => {
            Err(("share-path", "mode `namespace` shares only the file; remove share-path".to_owned()))
        }
        Mode::Namespace if settings.flags.is_some_and(|flags| flags.bits() & libc::RTLD_GLOBAL != 0) => Err(
            ("flags", "dlmopen does not accept `global`, because the namespace is new and empty".to_owned()),
        ),
        Mode::Namespace if settings.threads.is_some_and(|threads| threads > NAMESPACES) => {
            Err(("threads", format!("glibc provides {NAMESPACES} namespaces, and each thread needs one")))
        }
        Mode::Reopen | Mode::Copies | Mode::Namespace => Ok(()),
    }
}
