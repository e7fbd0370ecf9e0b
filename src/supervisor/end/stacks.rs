//! Stacks in words: one text for each thread, and the frame that matters to whoever wrote the library.

use std::path::{Path, PathBuf};

use crate::channel::Phase;
use crate::observer::{Backing, Capture, Thread};
use crate::supervisor::image;
use crate::supervisor::staging::Staging;
use crate::symbols::Symbols;

/// Threads of a soak that cycle: number of the thread, as the process itself has it, cycle and phase it is in.
pub(super) type Cycling = Vec<(i32, u64, Phase)>;

/// Objects that are part of every process, whose functions are called and do not call.
const SYSTEM: [&str; 9] =
    ["libc.so", "libc-2", "ld-linux", "ld-2", "libpthread", "libstdc++", "libgcc_s", "libm.so", "linux-vdso"];

/// Functions of language runtimes, which report what others did.
const RUNTIME: [&str; 13] = [
    "std::",
    "core::",
    "alloc::",
    "<core::",
    "<alloc::",
    "<std::",
    "__rust",
    "_rust",
    "rust_",
    "__gnu_cxx::",
    "runtime.",
    "panic_abort::",
    "__rustc::",
];

/// How often a frame is shown one after the other: functions that call themselves fill a stack.
const REPEATED: usize = 3;

/// A frame in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// The address it stands for.
    pub(super) address: u64,
    /// The function, where it is known.
    pub(super) function: Option<String>,
    /// File name of the object; `None` where nothing is mapped, or no file.
    pub(super) object: Option<String>,
    /// `function at file:line`, or as much of it as is known.
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of the library, or of what it brought.
    Theirs,
    System,
    Runtime,
    /// The worker's own code.
    Own,
    /// Nothing is mapped there.
    Nowhere,
}

impl Frame {
    /// As a sentence has it: `foo() at foo.c:3 in libfoo.so`.
    pub(super) fn words(&self) -> String {
        let object = self.object.as_deref().unwrap_or("no object");
        match (&self.function, self.text.split_once(" at ")) {
            (Some(name), Some((_, place))) => format!("{} at {place} in {object}", called(name)),
            (Some(name), None) => format!("{} in {object}", called(name)),
            (None, _) => self.text.clone(),
        }
    }

    /// Whether it is the soak's own code.
    pub(super) fn is_own(&self) -> bool {
        self.kind == Kind::Own
    }

    /// Whether its function has one of these names.
    pub(super) fn is(&self, names: &[&str]) -> bool {
        self.function.as_deref().is_some_and(|name| names.contains(&name))
    }
}

/// A function of the C library by the name that programs call it by; debug information has glibc's internal aliases.
fn usual(name: String) -> String {
    let plain = name.strip_prefix("__GI_").unwrap_or(&name);
    plain.strip_prefix("___").unwrap_or(plain).to_owned()
}

/// A function's name with the brackets that say that it is one.
fn called(name: &str) -> String {
    if name.contains('(') || name.contains('<') { name.to_owned() } else { format!("{name}()") }
}

/// Puts frames into words.
pub(super) struct Teller<'a> {
    symbols: Symbols,
    staging: &'a Staging,
    cycling: Cycling,
}

impl<'a> Teller<'a> {
    pub(super) fn new(staging: &'a Staging, cycling: Cycling) -> Self {
        Self { symbols: Symbols::new(), staging, cycling }
    }

    /// All threads of a capture, as the record has them.
    pub(super) fn stacks(&mut self, capture: &Capture) -> Vec<String> {
        let mut stacks: Vec<String> = capture.threads.iter().map(|t| self.stack(capture, t)).collect();
        if capture.count > capture.threads.len() {
            stacks.push(format!("and {} threads more", capture.count - capture.threads.len()));
        }
        stacks
    }

    fn stack(&mut self, capture: &Capture, thread: &Thread) -> String {
        let mut text = format!("thread {} ({})", thread.id, thread.name);
        if let Some((_, cycle, phase)) = self.cycle_of(thread) {
            match phase {
                Phase::Between => text.push_str(", between cycles"),
                _ => text.push_str(&format!(", cycle {cycle}, {}", phase.name())),
            }
        }
        if thread.registers.is_none() {
            text.push_str("\nit did not stop in time to be looked at");
        }
        let frames = self.frames(capture, thread);
        let mut number = 0;
        while let Some(frame) = frames.get(number) {
            text.push_str(&format!("\n#{number} {}", frame.text));
            if frame.kind == Kind::Own && frames[number..].iter().all(|f| f.kind != Kind::Theirs) {
                // What follows is the same in every soak.
                return text;
            }
            let same = frames[number..].iter().take_while(|other| other.text == frame.text).count();
            if same > REPEATED {
                text.push_str(&format!("\nand {} times more the same", same - 1));
                number += same;
                continue;
            }
            number += 1;
        }
        if thread.more {
            text.push_str("\nand more frames");
        }
        text
    }

    /// The cycle that a thread is in.
    pub(super) fn cycle_of(&self, thread: &Thread) -> Option<(i32, u64, Phase)> {
        self.cycling.iter().find(|(id, ..)| *id == thread.inner).copied()
    }

    /// The frames of a thread, with functions that were inlined.
    pub(super) fn frames(&mut self, capture: &Capture, thread: &Thread) -> Vec<Frame> {
        let mut frames = Vec::new();
        for address in &thread.frames {
            self.push(capture, *address, &mut frames);
        }
        frames
    }

    fn push(&mut self, capture: &Capture, address: u64, frames: &mut Vec<Frame>) {
        let bare = |text: String, kind: Kind| Frame { address, function: None, object: None, text, kind };
        let Some(place) = capture.place(address) else {
            let (what, kind) = match capture.mapping(address) {
                None => ("where nothing is mapped", Kind::Nowhere),
                Some(_) => ("in memory of no file", Kind::Theirs),
            };
            return frames.push(bare(format!("{address:#x}, {what}"), kind));
        };
        let Backing::File(mapped) = &place.mapping.of else {
            return frames.push(bare("in code of the kernel's (vdso)".to_owned(), Kind::System));
        };
        let path = self.on_disk(mapped);
        let object = name_of(self.staging, mapped);
        if image::is_host(&path) {
            let text = format!("the soak's own code in {object}");
            return frames.push(Frame { object: Some(object), ..bare(text, Kind::Own) });
        }
        let system = SYSTEM.iter().any(|name| object.starts_with(name));
        let functions = self.symbols.functions(&path, place.in_file);
        if functions.is_empty() {
            let text = format!("{object}+{:#x}", place.in_object);
            let kind = if system { Kind::System } else { Kind::Theirs };
            return frames.push(Frame { object: Some(object), ..bare(text, kind) });
        }
        for function in functions {
            let name = function.name.map(|name| if system { usual(name) } else { name });
            let shown = name.clone().unwrap_or_else(|| "??".to_owned());
            let text = match (&function.file, function.line, function.offset) {
                (Some(file), Some(line), _) => format!("{shown} at {file}:{line}"),
                (_, _, Some(offset)) => format!("{shown}+{offset:#x} in {object}"),
                _ => format!("{shown} in {object}"),
            };
            let kind = match () {
                () if system => Kind::System,
                () if RUNTIME.iter().any(|prefix| shown.starts_with(prefix)) => Kind::Runtime,
                () => Kind::Theirs,
            };
            frames.push(Frame { address, function: name, object: Some(object.clone()), text, kind });
        }
    }

    /// The file to read for what is mapped: copies may be gone, and have the library's content.
    fn on_disk(&self, mapped: &Path) -> PathBuf {
        let path = undeleted(mapped).unwrap_or(mapped);
        if self.staging.is_library(path) && !path.exists() {
            return self.staging.first().to_path_buf();
        }
        mapped.to_path_buf()
    }
}

/// File name of an object that is mapped; of a copy, that of the library.
pub(super) fn name_of(staging: &Staging, mapped: &Path) -> String {
    let path = undeleted(mapped).unwrap_or(mapped);
    let path = staging.unstaged(&path.to_string_lossy());
    Path::new(&path).file_name().map_or(path.clone(), |name| name.to_string_lossy().into_owned())
}

/// The name that a mapped file had before it was deleted.
fn undeleted(path: &Path) -> Option<&Path> {
    path.to_str()?.strip_suffix(" (deleted)").map(Path::new)
}

/// The innermost frame of the library's or of what it brought; of runtimes only where there is no other.
pub(super) fn culprit(frames: &[Frame]) -> Option<&Frame> {
    let of = |kind: Kind| frames.iter().find(move |frame| frame.kind == kind);
    of(Kind::Theirs).or_else(|| of(Kind::Runtime))
}

/// What was called, where the innermost frame is in the system's libraries: `strlen()`.
pub(super) fn callee(frames: &[Frame]) -> Option<String> {
    let first = frames.first()?;
    (first.kind == Kind::System).then(|| first.function.as_deref().map(called)).flatten()
}
