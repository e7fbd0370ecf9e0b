//! Why a library of a watched host stays: what its file says, what else is loaded that needs it, and which code opened it. Nothing of this
//! disturbs the host: files are read, and its list of mappings.

use std::collections::HashMap;
use std::path::PathBuf;

use procfs::process::{MMapPath, Process};

use super::ledger::{Ledger, Library};
use crate::elf::lines::Symbols;
use crate::elf::{self, Facts};
use crate::record::{Cause, CauseFacts, Certainty, Keeper, TraceFrame, WatchedLibrary};

/// Where the code is that opened libraries: by the address that it returns to, its file and how far it is from the beginning of that.
#[derive(Debug, Default)]
pub(super) struct Openers(HashMap<u64, Option<(PathBuf, u64)>>);

impl Openers {
    /// Looks where those are that are not known yet, while they are there.
    pub(super) fn look(&mut self, ledger: &Ledger, pid: i32) {
        let called = ledger.libraries.values().flat_map(|library| library.openers.keys());
        let new: Vec<u64> = called.filter(|address| !self.0.contains_key(address)).copied().collect();
        if new.is_empty() {
            return;
        }
        let Ok(maps) = Process::new(pid).and_then(|process| process.maps()) else { return };
        for address in new {
            // The call itself is what is before the address that it returns to.
            let call = address.saturating_sub(1);
            let map = maps.iter().find(|map| (map.address.0..map.address.1).contains(&call));
            let place = map.and_then(|map| match &map.pathname {
                MMapPath::Path(file) => Some((file.clone(), call - map.address.0 + map.offset)),
                _ => None,
            });
            self.0.insert(address, place);
        }
    }

    /// The code that opened a library most often.
    fn of(&self, library: &Library, symbols: &mut Symbols) -> Option<TraceFrame> {
        let (address, _) = library.openers.iter().max_by_key(|(_, count)| **count)?;
        let (file, offset) = self.0.get(address)?.as_ref()?;
        let module = file.to_string_lossy().into_owned();
        let offset = symbols.address(file, *offset)?;
        // Innermost first: what was inlined is part of the function that called.
        let function = symbols.functions_at(file, offset).pop();
        Some(match function {
            None => TraceFrame { module, offset, ..TraceFrame::default() },
            Some(function) => TraceFrame {
                function: function.name,
                distance: function.offset,
                file: function.file,
                line: function.line,
                module,
                offset,
                inlined: false,
            },
        })
    }
}

/// Fills in why each library that is loaded at the end stays. `there` are the files that are loaded then.
pub(super) fn find(libraries: &mut [WatchedLibrary], there: &[&str], ledger: &Ledger, openers: &Openers) {
    let mut symbols = Symbols::new();
    // Read when the first library needs them: a host may have hundreds.
    let mut others: Option<Vec<(&str, Facts)>> = None;
    for library in libraries {
        let facts = elf::facts_of(library.path.as_ref());
        library.stays = facts.as_ref().map(elf::predictions).unwrap_or_default();
        let Some(seen) = ledger.libraries.get(&library.path) else { continue };
        library.opened_by = openers.of(seen, &mut symbols);
        let is_certain = library.stays.iter().any(|why| why.certainty != Certainty::Possible);
        if library.unloads > 0 || is_certain {
            continue;
        }
        let others = others.get_or_insert_with(|| {
            there.iter().filter_map(|path| Some((*path, elf::facts_of(path.as_ref())?))).collect()
        });
        let name = facts.and_then(|facts| facts.soname).unwrap_or_else(|| library.name().to_owned());
        let needs = |(path, facts): &&(&str, Facts)| {
            *path != library.path && !seen.brought.contains_key(*path) && facts.needed.contains(&name)
        };
        let causes = others.iter().filter(needs).filter_map(|(path, facts)| {
            let keeper =
                Keeper { by: (*path).to_owned(), root: None, cause: Box::new(keeps(path, facts, ledger)?) };
            Some(Cause::of_object(CauseFacts::NeededBy(keeper), *path))
        });
        library.causes = causes.collect();
    }
}

/// Why an object that needs another is there; `None` where that is not known.
fn keeps(path: &str, facts: &Facts, ledger: &Ledger) -> Option<CauseFacts> {
    if ledger.own.iter().any(|own| own == path) {
        return Some(CauseFacts::AlreadyLoaded);
    }
    let handles = ledger.libraries.get(path).map_or(0, |seen| seen.opens.saturating_sub(seen.closes));
    if handles > 0 {
        return Some(CauseFacts::ExtraReference { handles: Some(handles), released: 0 });
    }
    let certain = elf::predictions(facts).into_iter().find(|why| why.certainty != Certainty::Possible);
    certain.map(|why| why.cause.facts)
}
