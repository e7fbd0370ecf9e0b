//! Will this library load here: what `inspect` finds in the file and in those that it needs, as checks.

use std::path::Path;

use super::{Check, Checks, Group, headers};
use crate::elf::{Facts, Kind};
use crate::files;
use crate::inspect::{self, InspectError, Inspection};
use crate::settings::units;

/// Problems that are told one by one.
const MOST: usize = 20;

/// Everything about one library.
pub(super) fn checks(path: &Path) -> Result<Vec<Check>, InspectError> {
    let mut checks = Checks::new(Group::Library);
    let found = inspect::inspect(path)?;
    let file = &found.file;
    let what = format!("{}, {}", found.machine(), found.libc());
    if found.problems.is_empty() {
        let mark = if file.kind == Kind::SharedObject { what } else { format!("{what}, no shared library") };
        checks.ok("loads here", format!("yes, as far as files tell: {mark}"));
    }
    for problem in found.problems.iter().take(MOST) {
        // What was found and what to do are told in one sentence there.
        let (problem, mend) = problem.rsplit_once(": ").unwrap_or((problem, ""));
        let mend =
            if mend.is_empty() { format!("dlsoak inspect {}", path.display()) } else { mend.to_owned() };
        checks.fail("loads here", format!("no ({}): {problem}", found.machine()), mend);
    }
    if found.problems.len() > MOST {
        checks.fail(
            "loads here",
            format!("and {} problems more", found.problems.len() - MOST),
            "dlsoak inspect",
        );
    }
    static_tls(&mut checks, &found);
    if file.executable_stack {
        checks.warn(
            "stack",
            "it makes the stack executable, which glibc 2.41 and later, and hardened kernels, refuse in dlopen",
            "link with -Wl,-z,noexecstack",
        );
    }
    if file.text_relocations {
        checks.warn(
            "text relocations",
            "the loader has to rewrite its code, which SELinux and others refuse",
            "compile all of it with -fPIC",
        );
    }
    headers::check(&mut checks, path, file);
    Ok(checks.all)
}

fn static_tls(checks: &mut Checks, found: &Inspection) {
    let Some(tls) = found.static_tls else { return };
    checks.warn(
        "static TLS",
        format!(
            "it takes {} of the 1,664 B that glibc leaves to libraries that are opened later: at most {} such libraries load",
            units::bytes(tls.bytes as f64),
            units::count(tls.at_most)
        ),
        "build it without -ftls-model=initial-exec, or start the program with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096",
    );
}

/// The facts of another library.
pub(super) fn facts(path: &Path) -> Option<Facts> {
    Facts::parse(&files::read_library(path).ok()?).ok()
}
