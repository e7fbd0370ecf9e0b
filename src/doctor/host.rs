//! Whether `dlsoak watch` can start a program and see what it loads, by what its file says.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;

use super::{Checks, InspectError, text, tools};
use crate::elf;
use crate::record::checkup::{Check, Found, Group, Name, Unwatchable};
use crate::record::file::{Facts, Kind, Libc};

/// Everything about one program. A name without a slash is one of `PATH`, as for the shell.
pub(super) fn checks(program: &Path) -> Result<Vec<Check>, InspectError> {
    let mut checks = Checks::new(Group::Host);
    let missing = || InspectError::Read(Errno::ENOENT.into());
    let path = match program.to_str() {
        Some(name) if !name.contains('/') => tools::find(name).ok_or_else(missing)?,
        _ => program.to_owned(),
    };
    let bytes = elf::read_library(&path).map_err(InspectError::Read)?;
    if bytes.starts_with(b"#!") {
        checks.note(Name::Watch, Found::Script { path: text(&path) });
        return Ok(checks.all);
    }
    let file = elf::parse(&bytes).map_err(InspectError::Elf)?;
    match hindrance(&path, &file) {
        Some(why @ Unwatchable::WrongMachine { .. }) => {
            checks.fail(Name::Watch, Found::NotWatchable { path: text(&path), why });
        }
        Some(why) => checks.warn(Name::Watch, Found::NotWatchable { path: text(&path), why }),
        None => {
            checks.ok(Name::Watch, Found::Watchable { path: text(&path) });
            if file.has_export("malloc") {
                checks.warn(Name::Allocator, Found::OwnMalloc);
            }
        }
    }
    Ok(checks.all)
}

/// Why a program can't be watched from its start.
fn hindrance(path: &Path, file: &Facts) -> Option<Unwatchable> {
    if elf::Host::CURRENT.machine.is_some_and(|machine| machine != file.machine) {
        return Some(Unwatchable::WrongMachine { machine: file.machine });
    }
    // The loader is a shared object that runs by itself, too.
    if file.interpreter.is_none() && file.kind != Kind::SharedObject {
        return Some(Unwatchable::Static);
    }
    if file.libc == Libc::Musl || file.interpreter.as_ref().is_some_and(|loader| loader.contains("/ld-musl-"))
    {
        return Some(Unwatchable::Musl);
    }
    is_secure(path).then_some(Unwatchable::Setuid)
}

/// Whether the kernel starts it as somebody else than us.
fn is_secure(path: &Path) -> bool {
    const SET_USER: u32 = 0o4000;
    const SET_GROUP: u32 = 0o2000;
    std::fs::metadata(path).is_ok_and(|file| {
        let user = file.mode() & SET_USER != 0 && file.uid() != nix::unistd::geteuid().as_raw();
        user || file.mode() & SET_GROUP != 0 && file.gid() != nix::unistd::getegid().as_raw()
    })
}
