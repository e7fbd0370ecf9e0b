//! What the record says of the machine.

use crate::elf;
use crate::record::Host;
use crate::settings::Libc;
use crate::sys::c_library;

/// Facts of this machine, with the C library of what is measured; what can't be read is `unknown` or 0.
pub fn host(libc: Libc) -> Host {
    let unknown = || "unknown".to_owned();
    let (kernel, machine) = nix::sys::utsname::uname().map_or_else(
        |_| (unknown(), unknown()),
        |u| (u.release().to_string_lossy().into_owned(), u.machine().to_string_lossy().into_owned()),
    );
    let thp = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    // The setting in force is the one in brackets.
    let thp =
        thp.split('[').nth(1).and_then(|rest| rest.split(']').next()).map_or_else(unknown, str::to_owned);
    Host {
        kernel,
        libc: c_library::version(libc).to_owned(),
        machine,
        cpus: std::thread::available_parallelism().map_or(0, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        page_size: procfs::page_size(),
        thp,
    }
}

/// The C library that loads this file here: glibc, unless it needs musl; `None` where that is not there.
pub fn libc_for(facts: &elf::Facts) -> Option<String> {
    let libc = if facts.libc == elf::Libc::Musl { Libc::Musl } else { Libc::Glibc };
    c_library::is_here(libc).then(|| c_library::version(libc).to_owned())
}
