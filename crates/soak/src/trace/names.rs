//! Gives the places their names: from the files that the code was loaded from, or from their separate debug files.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::series::Left;
use crate::channel::{Phase, read_bytes};
use crate::driver;
use crate::elf::lines::Symbols;
use crate::record::{self, PlaceKind, PlaceTrend, TraceFrame, TracePlace, TraceStack};
use dlsoak_wire::notes::{Kind, LIBRARY, MODULE_SHIFT, Memory, Meta, NO_MODULE, Place};

/// Stacks of one place that are kept.
const STACKS: usize = 16;

/// How the names of functions begin that allocate for others: of C++, of Rust, and of Go.
const RUNTIME_FUNCTIONS: [&str; 17] = [
    "operator new",
    "std::",
    "__gnu_cxx::",
    "alloc::",
    "core::",
    "hashbrown::",
    "<alloc::",
    "<core::",
    "<std::",
    "__rust_",
    "__rustc",
    "__rdl_",
    "__rg_",
    "_cgo_",
    "_Cfunc_",
    "x_cgo_",
    "runtime.",
];

/// What is known of the files that code was loaded from.
#[derive(Debug)]
pub struct Files<'a> {
    /// The library under test.
    pub library: &'a Path,
    /// The library that takes notes.
    pub preloaded: PathBuf,
    /// The host's program.
    pub program: PathBuf,
}

/// The places where something was left behind, those that cost most first.
pub fn places(memory: &Memory, left: &[Left], files: &Files<'_>) -> Vec<TracePlace> {
    let mut symbols = Symbols::new();
    let mut found: Vec<TracePlace> = Vec::new();
    for left in left {
        let Some(place) = memory.places.get(left.place as usize) else { continue };
        let Some(named) = named(memory, place, left, files, &mut symbols) else { continue };
        let same = |other: &&mut TracePlace| {
            let at = |p: &TracePlace| if p.function.is_none() { p.offset } else { 0 };
            (other.kind, other.trend, &other.phase, &other.function, &other.file, other.line, &other.module)
                == (
                    named.kind,
                    named.trend,
                    &named.phase,
                    &named.function,
                    &named.file,
                    named.line,
                    &named.module,
                )
                && at(other) == at(&named)
        };
        match found.iter_mut().find(same) {
            None => found.push(named),
            Some(other) => {
                other.count_per_cycle += named.count_per_cycle;
                other.bytes_per_cycle += named.bytes_per_cycle;
                other.count += named.count;
                other.bytes += named.bytes;
                other.stacks.extend(named.stacks);
            }
        }
    }
    for place in &mut found {
        place.stacks.sort_by(|a, b| {
            (b.bytes_per_cycle, b.count_per_cycle)
                .partial_cmp(&(a.bytes_per_cycle, a.count_per_cycle))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        place.stacks.truncate(STACKS);
    }
    // What grows before what does not; by bytes, and what has none by its count.
    let rank =
        |p: &TracePlace| (p.trend == PlaceTrend::Growing, p.bytes_per_cycle, p.count_per_cycle, p.bytes);
    found.sort_by(|a, b| rank(b).partial_cmp(&rank(a)).unwrap_or(std::cmp::Ordering::Equal));
    found
}

fn named(
    memory: &Memory,
    place: &Place,
    left: &Left,
    files: &Files<'_>,
    symbols: &mut Symbols,
) -> Option<TracePlace> {
    let meta = Meta(place.meta.load(Relaxed));
    let stack = stack(memory, place, files, symbols);
    let own = culprit(&stack, &files.program).cloned().unwrap_or_default();
    Some(TracePlace {
        kind: kind(meta)?,
        function: own.function,
        file: own.file,
        line: own.line,
        module: own.module,
        offset: own.offset,
        phase: phase(meta),
        count_per_cycle: left.count_per_cycle,
        bytes_per_cycle: left.bytes_per_cycle,
        count: left.kept.count,
        bytes: left.kept.bytes,
        trend: left.trend,
        stacks: vec![TraceStack {
            count_per_cycle: left.count_per_cycle,
            bytes_per_cycle: left.bytes_per_cycle,
            frames: stack,
        }],
    })
}

fn kind(meta: Meta) -> Option<PlaceKind> {
    Some(match meta.kind()? {
        Kind::Heap => PlaceKind::Heap,
        Kind::Mapping => PlaceKind::Mapping,
        Kind::Fd => PlaceKind::Fd,
        Kind::Thread => PlaceKind::Thread,
        Kind::Key => PlaceKind::Key,
    })
}

fn phase(meta: Meta) -> record::Phase {
    match u32::try_from(meta.phase()) {
        Ok(number) if number <= Phase::After as u32 => crate::channel::recorded(Phase::from_u32(number)),
        _ => record::Phase::OtherThread,
    }
}

/// The functions of a place, innermost first, those that were inlined among them.
fn stack(memory: &Memory, place: &Place, files: &Files<'_>, symbols: &mut Symbols) -> Vec<TraceFrame> {
    let (first, depth) = (place.frames.load(Relaxed) as usize, place.depth.load(Acquire) as usize);
    let frames = memory.frames.get(first..first.saturating_add(depth)).unwrap_or_default();
    let mut stack = Vec::with_capacity(frames.len());
    for frame in frames {
        let frame = frame.load(Relaxed);
        let file = file(memory, frame >> MODULE_SHIFT, files);
        let offset = frame & ((1 << MODULE_SHIFT) - 1);
        let Some(file) = file else {
            stack.push(TraceFrame { module: "[code made at run time]".to_owned(), ..TraceFrame::default() });
            continue;
        };
        // What is below is the worker, the same each time.
        if file == files.program && !stack.is_empty() {
            break;
        }
        // Threads begin in it.
        if file == files.preloaded {
            continue;
        }
        let (module, file) =
            driver::opened_from(&file).unwrap_or_else(|| (file.to_string_lossy().into_owned(), file));
        let functions = symbols.functions_at(&file, offset);
        if functions.is_empty() {
            stack.push(TraceFrame { module, offset, ..TraceFrame::default() });
            continue;
        }
        stack.extend(functions.into_iter().map(|function| TraceFrame {
            function: function.name,
            distance: function.offset,
            file: function.file,
            line: function.line,
            module: module.clone(),
            offset,
            inlined: function.inlined,
        }));
    }
    stack
}

/// The file that a module's number stands for.
fn file(memory: &Memory, number: u64, files: &Files<'_>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    if number == LIBRARY {
        return Some(files.library.to_path_buf());
    }
    if number == NO_MODULE {
        return None;
    }
    let module = memory.modules.get(usize::try_from(number).ok()?)?;
    let len = module.len.load(Acquire).checked_sub(1)? as usize;
    if len == 0 {
        return Some(files.program.clone());
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(read_bytes(&module.name, len))))
}

/// The function to name: the first that is no allocator and no part of the language's own library, unless all of them up to
/// the host's own code are.
pub fn culprit<'a>(stack: &'a [TraceFrame], program: &Path) -> Option<&'a TraceFrame> {
    let program = program.to_string_lossy();
    let of_libraries = stack.iter().take_while(|frame| frame.module != program);
    of_libraries
        .clone()
        .find(|frame| !is_runtime(frame) && !is_allocator(frame))
        .or_else(|| of_libraries.clone().find(|frame| !is_runtime(frame)))
        .or_else(|| stack.iter().find(|frame| !is_allocator(frame)))
        .or_else(|| stack.first())
}

/// Whether it is by its name one of the wrappers that most projects have around malloc: `xmalloc`, `g_malloc0`.
fn is_allocator(frame: &TraceFrame) -> bool {
    const NAMES: [&str; 6] = ["malloc", "calloc", "realloc", "memalign", "strdup", "strndup"];
    let Some(function) = frame.function.as_deref() else { return false };
    let name = qualified(function).to_ascii_lowercase();
    let name = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '_');
    NAMES.iter().any(|allocator| name.ends_with(allocator))
}

fn is_runtime(frame: &TraceFrame) -> bool {
    if record::is_runtime(&frame.module) || driver::is_its_name(&frame.module) {
        return true;
    }
    let Some(function) = frame.function.as_deref() else { return false };
    let name = qualified(function);
    // Go's are in the package that uses them: `main._Cfunc_CString`.
    let of_package = name.split_once('.').map_or(name, |(_, rest)| rest);
    let begins = |name: &str, with: &[&str]| with.iter().any(|runtime| name.starts_with(runtime));
    begins(name, &RUNTIME_FUNCTIONS) || begins(of_package, &["_Cfunc_", "_cgo_"]) || is_runtime_source(frame)
}

/// Whether the source is that of a language's own library: what is inlined may be known by its last name only.
fn is_runtime_source(frame: &TraceFrame) -> bool {
    let Some(file) = frame.file.as_deref() else { return false };
    let rust = file.starts_with("/rustc/") || file.contains("/rustlib/src/rust/library/");
    rust || file.contains("/include/c++/")
}

/// A demangled name without the type that C++ puts before the name of an instance of a template.
fn qualified(name: &str) -> &str {
    if name.starts_with('<') || name.starts_with("operator") {
        return name;
    }
    let mut depth = 0_u32;
    let mut begin = 0;
    for (at, letter) in name.char_indices() {
        match letter {
            // `(anonymous namespace)` begins a name; elsewhere it is the arguments.
            '(' if depth == 0 && at > begin => break,
            '<' | '(' => depth += 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 => begin = at + 1,
            _ => {}
        }
    }
    &name[begin..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(module: &str, function: &str) -> TraceFrame {
        TraceFrame { function: Some(function.to_owned()), module: module.to_owned(), ..TraceFrame::default() }
    }

    fn named(frames: &[(&str, &str)]) -> String {
        let stack: Vec<_> = frames.iter().map(|(module, function)| frame(module, function)).collect();
        culprit(&stack, Path::new("/bin/dlsoak")).and_then(|f| f.function.clone()).unwrap()
    }

    #[test]
    fn allocators_are_not_to_blame() {
        let worker = ("/bin/dlsoak", "main");
        let lib = "/a/libx.so";
        assert_eq!(named(&[(lib, "leak"), (lib, "fibonacci"), worker]), "leak");
        assert_eq!(
            named(&[("/usr/lib/libc.so.6", "strdup"), (lib, "xmalloc"), (lib, "keep"), worker]),
            "keep"
        );
        let new = ("/usr/lib/libstdc++.so.6", "operator new(unsigned long)");
        assert_eq!(
            named(&[
                new,
                (lib, "std::__new_allocator<int>::allocate(unsigned long)"),
                (lib, "Cache::add(int)")
            ]),
            "Cache::add(int)"
        );
        assert_eq!(
            named(&[(lib, "__rust_alloc"), (lib, "<alloc::boxed::Box<T>>::new"), (lib, "mine::keep")]),
            "mine::keep"
        );
        assert_eq!(
            named(&[
                (lib, "_cgo_94ba_Cfunc__Cmalloc"),
                (lib, "runtime.asmcgocall.abi0"),
                (lib, "main._Cfunc__CMalloc"),
                (lib, "main._Cfunc_CString"),
                (lib, "main.keep")
            ]),
            "main.keep"
        );
    }

    #[test]
    fn sources_of_a_languages_library_are_not_to_blame() {
        let inlined = |function: &str, file: &str| TraceFrame {
            file: Some(file.to_owned()),
            ..frame("/a/libx.so", function)
        };
        let stack = [
            inlined("alloc", "/rustc/59807616e1fa/library/alloc/src/alloc.rs"),
            inlined("new<[i64; 125]>", "/home/x/lib/rustlib/src/rust/library/alloc/src/boxed.rs"),
            inlined("allocate", "/usr/include/c++/12/bits/new_allocator.h"),
            inlined("{closure#0}", "examples/once_lock.rs"),
        ];
        assert_eq!(culprit(&stack, Path::new("/bin/dlsoak")), stack.last());
    }

    #[test]
    fn the_loader_is_named_where_nobody_else_is_there() {
        let loader = "/lib64/ld-linux-x86-64.so.2";
        assert_eq!(
            named(&[
                (loader, "malloc"),
                (loader, "_dl_new_object"),
                (loader, "dl_open_worker"),
                ("/bin/dlsoak", "open")
            ]),
            "_dl_new_object"
        );
    }

    #[test]
    fn the_type_before_a_name_is_not_the_name() {
        assert_eq!(qualified("std::vector<int> mine::keep<int>(int)"), "mine::keep<int>(int)");
        assert_eq!(qualified("void std::f<a b>(int, char)"), "std::f<a b>(int, char)");
        assert_eq!(qualified("operator new(unsigned long)"), "operator new(unsigned long)");
        assert_eq!(
            qualified("(anonymous namespace)::Keeper::Keeper()"),
            "(anonymous namespace)::Keeper::Keeper()"
        );
    }
}
