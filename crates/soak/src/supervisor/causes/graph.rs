//! Who keeps whom: from the objects that are left and the loader's log to the causes. Pure.

use crate::elf::{self, Facts};
use crate::lddebug::{Log, Why};
use crate::record::{Cause, CauseFacts, Keeper, OpenedBy, Undiagnosed, UnloadState};

/// An object that stayed.
#[derive(Debug)]
pub(super) struct Object {
    /// Path as the loader keeps it.
    pub(super) name: String,
    /// What its file says, where it could be read.
    pub(super) facts: Option<Facts>,
    /// Pending thread-local destructors, and threads that have them.
    pub(super) destructors: (u64, u64),
    /// Whether it is the library under test.
    pub(super) is_library: bool,
}

/// An object that stays because another does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    /// Index of the other.
    by: usize,
    /// The symbol it was bound to; `None` where it needs the whole object (`DT_NEEDED`).
    binding: Option<Option<String>>,
}

/// The causes: of the library where it stayed, else of what it brought.
pub(super) fn explain(objects: &[Object], log: &Log, released: u32, state: UnloadState) -> Vec<Cause> {
    let held = Held { objects, log, released };
    match objects.iter().position(|object| object.is_library) {
        Some(library) => held.library(library),
        None if state == UnloadState::Partial => held.partial(),
        None => Vec::new(),
    }
}

struct Held<'a> {
    objects: &'a [Object],
    log: &'a Log,
    released: u32,
}

impl Held<'_> {
    /// Why the library stayed: by itself, or because of objects that stay without it.
    fn library(&self, library: usize) -> Vec<Cause> {
        let mut causes: Vec<Cause> = self.direct(library).into_iter().map(Cause::of_library).collect();
        for user in self.users(library) {
            // An object that stays only because the library does is no cause of it.
            let Some(root) = self.root(user.by, &mut vec![library]) else { continue };
            let Some(cause) = self.direct(root).into_iter().next() else { continue };
            let by = self.objects[user.by].name.clone();
            let keeper = Keeper {
                by: by.clone(),
                root: (root != user.by).then(|| self.objects[root].name.clone()),
                cause: Box::new(cause),
            };
            let evidence = match user.binding {
                Some(symbol) => CauseFacts::RelocationDependency { symbol, keeper: Some(keeper) },
                None => CauseFacts::NeededBy(keeper),
            };
            causes.push(Cause::of_object(evidence, by));
        }
        if causes.is_empty() {
            // A loader older than 2.31 does not say that it was one of them.
            let facts = self.objects[library].facts.as_ref();
            causes.extend(facts.and_then(elf::unique).map(Cause::of_library));
        }
        causes
    }

    /// Why what the library brought stayed, when it went itself: the objects that stay by themselves, and their
    /// causes.
    fn partial(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        for (index, object) in self.objects.iter().enumerate() {
            let direct = self.direct(index);
            let Some(first) = direct.first() else { continue };
            let keeps: Vec<String> = (0..self.objects.len())
                .filter(|other| *other != index && self.root(*other, &mut Vec::new()) == Some(index))
                .map(|other| self.objects[other].name.clone())
                .collect();
            let pinned = CauseFacts::DependencyPinned { cause: Box::new(first.clone()), keeps };
            let all = std::iter::once(pinned).chain(direct);
            causes.extend(all.map(|evidence| Cause::of_object(evidence, &object.name)));
        }
        causes
    }

    /// What keeps an object by itself.
    fn direct(&self, index: usize) -> Vec<CauseFacts> {
        let object = &self.objects[index];
        let facts = object.facts.as_ref();
        let mut found: Vec<CauseFacts> = facts.and_then(elf::nodelete).into_iter().collect();
        for mark in self.log.marks.iter().filter(|mark| mark.object == object.name) {
            found.push(match &mark.why {
                Why::Flag => CauseFacts::NodeleteRuntime { opened_by: OpenedBy::Library },
                Why::Unique { symbol } => CauseFacts::Unique {
                    symbol: symbol.clone(),
                    count: facts.map_or(0, |facts| facts.unique_symbols.len() as u64),
                },
                Why::MainProgram { symbol } => {
                    CauseFacts::RelocationDependency { symbol: symbol.clone(), keeper: None }
                }
                Why::Memory => CauseFacts::Unknown(Undiagnosed::NoMemory),
                // Found among the users.
                Why::Reference { .. } => continue,
            });
        }
        let (count, threads) = object.destructors;
        if count > 0 {
            let language = facts.map(|facts| facts.language).unwrap_or_default();
            found.push(CauseFacts::TlsDestructor { count, threads, language });
        }
        let held = self.log.held.iter().find(|(name, _)| *name == object.name).map(|(_, count)| *count);
        let released = if object.is_library { self.released } else { 0 };
        match held.filter(|count| *count > 0) {
            Some(count) => found.push(CauseFacts::ExtraReference { handles: Some(count), released }),
            None if released > 0 => {
                found.push(CauseFacts::ExtraReference { handles: Some(u64::from(released)), released });
            }
            // Others are opened by the library or by what it brings: whatever is open still keeps them.
            None if found.is_empty()
                && !object.is_library
                && self.log.opened.contains(&object.name)
                && !self.log.destroyed.contains(&object.name) =>
            {
                found.push(CauseFacts::ExtraReference { handles: None, released });
            }
            None => {}
        }
        found
    }

    /// Objects that stay and use this one.
    fn users(&self, index: usize) -> Vec<User> {
        let object = &self.objects[index];
        let at = |name: &str| self.objects.iter().position(|other| other.name == name);
        let mut users: Vec<User> = Vec::new();
        let mut add = |by: Option<usize>, binding: Option<Option<String>>| {
            if let Some(by) = by.filter(|by| *by != index)
                && !users.iter().any(|known| known.by == by)
            {
                users.push(User { by, binding });
            }
        };
        for mark in self.log.marks.iter().filter(|mark| mark.object == object.name) {
            if let Why::Reference { from, symbol } = &mark.why {
                add(at(from), Some(symbol.clone()));
            }
        }
        for dependency in self.log.dependencies.iter().filter(|dependency| dependency.on == object.name) {
            add(at(&dependency.from), Some(dependency.symbol.clone()));
        }
        let file_name = object.name.rsplit('/').next().unwrap_or(&object.name);
        let soname = object.facts.as_ref().and_then(|facts| facts.soname.as_deref());
        for (by, other) in self.objects.iter().enumerate() {
            let Some(facts) = &other.facts else { continue };
            if facts.needed.iter().any(|name| name == file_name || Some(name.as_str()) == soname) {
                add(Some(by), None);
            }
        }
        users
    }

    /// The object that stays by itself and keeps this one, nearest first; not by way of those in `past`.
    fn root(&self, index: usize, past: &mut Vec<usize>) -> Option<usize> {
        let mut row = vec![index];
        while !row.is_empty() {
            if let Some(root) = row.iter().find(|index| !self.direct(**index).is_empty()) {
                return Some(*root);
            }
            past.extend(&row);
            let mut next = Vec::new();
            for user in row.iter().flat_map(|index| self.users(*index)) {
                if !past.contains(&user.by) && !next.contains(&user.by) {
                    next.push(user.by);
                }
            }
            row = next;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Language;

    fn object(name: &str, is_library: bool) -> Object {
        Object { name: name.to_owned(), facts: None, destructors: (0, 0), is_library }
    }

    fn kinds(causes: &[Cause]) -> Vec<&str> {
        causes.iter().map(|cause| cause.kind().name()).collect()
    }

    fn log(text: &str) -> Log {
        let text: String = text.lines().map(|line| format!("1:\t{}\n", line.trim())).collect();
        Log::read(text.as_bytes())
    }

    #[test]
    fn an_object_that_stays_and_was_bound_to_the_library_keeps_it() {
        let objects = [object("/lib.so", true), object("/std.so", false)];
        let log = log("marking /std.so [0] as NODELETE due to unique symbol
            binding file /std.so [0] to /std.so [0]: normal symbol `empty'
            file=/lib.so [0];  needed by /std.so [0] (relocation dependency)
            binding file /std.so [0] to /lib.so [0]: normal symbol `_ZdlPv'");
        let causes = explain(&objects, &log, 0, UnloadState::Pinned);
        let unique = CauseFacts::Unique { symbol: Some("empty".to_owned()), count: 0 };
        let keeper = Keeper { by: "/std.so".to_owned(), root: None, cause: Box::new(unique) };
        let symbol = Some("_ZdlPv".to_owned());
        let evidence = CauseFacts::RelocationDependency { symbol, keeper: Some(keeper) };
        assert_eq!(causes, [Cause::of_object(evidence, "/std.so")]);
    }

    #[test]
    fn what_stays_only_because_of_the_library_is_no_cause() {
        let objects = [object("/lib.so", true), object("/dep.so", false)];
        let log = log("file=/lib.so [0];  needed by /dep.so [0] (relocation dependency)
            closing file=/lib.so; direct_opencount=1");
        assert_eq!(kinds(&explain(&objects, &log, 1, UnloadState::Pinned)), ["extra-reference"]);
        let objects = [object("/lib.so", true), object("/dep.so", false)];
        let log = Log { held: Vec::new(), ..log };
        assert!(explain(&objects, &log, 0, UnloadState::Pinned).is_empty());
    }

    #[test]
    fn a_dependency_that_stays_is_followed_to_its_own_cause() {
        let objects = [object("/std.so", false), object("/m.so", false)];
        let log = log("marking /std.so [0] as NODELETE due to unique symbol
            file=/m.so [0];  needed by /std.so [0] (relocation dependency)");
        let causes = explain(&objects, &log, 0, UnloadState::Partial);
        assert_eq!(kinds(&causes), ["dependency-pinned", "unique"]);
        let CauseFacts::DependencyPinned { cause, keeps } = &causes[0].facts else { panic!("{causes:?}") };
        assert_eq!((&**cause, keeps.as_slice()), (&causes[1].facts, &["/m.so".to_owned()][..]));
        assert!(causes.iter().all(|cause| cause.object.as_deref() == Some("/std.so")));
    }

    #[test]
    fn pending_destructors_and_handles_left_open_keep_an_object() {
        let mut library = object("/lib.so", true);
        library.destructors = (2, 1);
        let evidence = CauseFacts::TlsDestructor { count: 2, threads: 1, language: Language::Unknown };
        let causes = explain(&[library], &Log::default(), 0, UnloadState::Pinned);
        assert_eq!(causes, [Cause::of_library(evidence)]);
        let objects = [object("/plugin.so", false)];
        let log = log("opening file=/plugin.so [0]; direct_opencount=1");
        let causes = explain(&objects, &log, 0, UnloadState::Partial);
        assert_eq!(kinds(&causes), ["dependency-pinned", "extra-reference"]);
        assert_eq!(causes[1].facts, CauseFacts::ExtraReference { handles: None, released: 0 });
    }
}
