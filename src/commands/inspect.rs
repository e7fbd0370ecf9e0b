//! `dlsoak inspect`: prints what the files of libraries say, without loading them.

use super::libraries::named;
use super::{note, print};
use crate::cli::{Global, InspectArgs};
use crate::fault::missing;
use crate::report::inspection;
use crate::settings::units::printable;
use crate::{exit_code, inspect};

/// Carries out `dlsoak inspect` and returns the exit code: one file in full, and several as a table.
///
/// # Errors
/// When a path stands for no library.
pub fn inspect(args: &InspectArgs, global: Global) -> anyhow::Result<u8> {
    let libraries = named(&args.libraries, &args.without.exclude)?;
    let (mut all, mut code) = (Vec::new(), exit_code::PASSED);
    for library in &libraries {
        match inspect::inspect(library) {
            Ok(found) => all.push(found),
            Err(error) => {
                let shown = printable(&library.to_string_lossy());
                let missing = missing("library", library).map(|fault| fault.to_string());
                note(&missing.unwrap_or_else(|| format!("{shown}: {error}")));
                code = exit_code::USAGE;
            }
        }
    }
    let one_file = libraries == args.libraries && libraries.len() == 1;
    match all.as_slice() {
        [] if one_file => {}
        [found] if one_file && args.json => print(&(serde_json::to_string_pretty(found)? + "\n")),
        [found] if one_file => {
            print(&inspection::render(found, super::width(), global.color, global.verbose > 0));
        }
        all if args.json => print(&(serde_json::to_string_pretty(all)? + "\n")),
        [] => {}
        all => print(&inspection::table(all, super::width())),
    }
    Ok(code)
}
