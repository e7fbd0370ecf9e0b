//! Stacks by name: the frames of each thread, and the frame that matters to the author of the library.

use std::path::{Path, PathBuf};

use crate::channel::Phase;
use crate::driver;
use crate::elf::lines::Symbols;
use crate::observer::{Backing, Capture, Thread};
use crate::record::{CodeOf, Frame, Stack, ThreadName, is_runtime};
use crate::supervisor::image;
use crate::supervisor::staging::Staging;

/// Threads of a soak that cycle: number of the thread, as the process itself has it, cycle and phase it is in.
pub(in crate::supervisor) type Cycling = Vec<(i32, u64, Phase)>;

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

/// A frame by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) struct Named {
    /// The frame, as the record has it.
    pub(in crate::supervisor) frame: Frame,
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

impl Named {
    /// Whether it is the soak's own code.
    pub(super) fn is_own(&self) -> bool {
        self.kind == Kind::Own
    }

    /// Whether anything is mapped there.
    pub(in crate::supervisor) fn is_mapped(&self) -> bool {
        self.kind != Kind::Nowhere
    }

    /// Whether its function has one of these names.
    pub(in crate::supervisor) fn is(&self, names: &[&str]) -> bool {
        self.frame.function.as_deref().is_some_and(|name| names.contains(&name))
    }
}

/// A function of the C library by the name that programs call it by; debug information has glibc's internal aliases.
fn usual(name: String) -> String {
    let plain = name.strip_prefix("__GI_").unwrap_or(&name);
    plain.strip_prefix("___").unwrap_or(plain).to_owned()
}

/// Finds the names of frames.
pub(in crate::supervisor) struct Namer<'a> {
    symbols: Symbols,
    staging: &'a Staging,
    cycling: Cycling,
}

impl<'a> Namer<'a> {
    pub(in crate::supervisor) fn new(staging: &'a Staging, cycling: Cycling) -> Self {
        Self { symbols: Symbols::new(), staging, cycling }
    }

    /// All threads of a capture, as the record has them; and how many more there were.
    pub(super) fn stacks(&mut self, capture: &Capture) -> (Vec<Stack>, Option<u64>) {
        let stacks: Vec<Stack> = capture.threads.iter().map(|thread| self.stack(capture, thread)).collect();
        let more = capture.count.saturating_sub(stacks.len()) as u64;
        (stacks, (more > 0).then_some(more))
    }

    fn stack(&mut self, capture: &Capture, thread: &Thread) -> Stack {
        let cycling = self.cycle_of(thread);
        let frames = self.frames(capture, thread);
        let mut told = Vec::new();
        let (mut number, mut more) = (0, thread.more);
        while let Some(named) = frames.get(number) {
            let mut frame = named.frame.clone();
            let same = frames[number..].iter().take_while(|other| other.frame == named.frame).count();
            if same > REPEATED {
                frame.repeated = Some(same as u64 - 1);
                number += same;
            } else {
                number += 1;
            }
            told.push(frame);
            if named.kind == Kind::Own && frames[number..].iter().all(|f| f.kind != Kind::Theirs) {
                // What follows is the same in every soak.
                more = false;
                break;
            }
        }
        Stack {
            thread: name_of_thread(thread),
            cycle: cycling.map(|(_, cycle, _)| cycle),
            phase: cycling.map(|(_, _, phase)| crate::channel::recorded(phase)),
            unseen: thread.registers.is_none(),
            frames: told,
            more,
        }
    }

    /// Whether a thread is the soak's own, and not the library's.
    pub(in crate::supervisor) fn is_own(&self, capture: &Capture, thread: &Thread) -> bool {
        thread.inner == capture.process || self.cycle_of(thread).is_some()
    }

    /// The cycle that a thread is in.
    pub(super) fn cycle_of(&self, thread: &Thread) -> Option<(i32, u64, Phase)> {
        self.cycling.iter().find(|(id, ..)| *id == thread.inner).copied()
    }

    /// The frames of a thread, with functions that were inlined.
    pub(in crate::supervisor) fn frames(&mut self, capture: &Capture, thread: &Thread) -> Vec<Named> {
        let mut frames = Vec::new();
        for address in &thread.frames {
            self.push(capture, *address, &mut frames);
        }
        frames
    }

    fn push(&mut self, capture: &Capture, address: u64, frames: &mut Vec<Named>) {
        let Some(place) = capture.place(address) else {
            let (code, kind) = match capture.mapping(address) {
                None => (CodeOf::Nothing, Kind::Nowhere),
                Some(_) => (CodeOf::Memory, Kind::Theirs),
            };
            let frame = Frame { code, address: Some(format!("{address:#x}")), ..Frame::default() };
            return frames.push(Named { frame, kind });
        };
        let Backing::File(mapped) = &place.mapping.of else {
            let frame = Frame { code: CodeOf::Kernel, ..Frame::default() };
            return frames.push(Named { frame, kind: Kind::System });
        };
        let of_driver = driver::opened_from(mapped);
        let is_driver = of_driver.is_some();
        let (name, path) = of_driver.unwrap_or_else(|| (name_of(self.staging, mapped), self.on_disk(mapped)));
        let object = Some(name);
        if image::is_host(&path) {
            let frame = Frame { code: CodeOf::Host, object, ..Frame::default() };
            return frames.push(Named { frame, kind: Kind::Own });
        }
        // Their functions are called and do not call.
        let is_system = |object: &String| is_runtime(object) || object.starts_with("linux-vdso");
        let system = object.as_ref().is_some_and(is_system);
        let functions = self.symbols.functions(&path, place.in_file);
        if functions.is_empty() {
            let frame = Frame { object, offset: Some(place.in_object), ..Frame::default() };
            return frames.push(Named { frame, kind: if system { Kind::System } else { Kind::Theirs } });
        }
        for function in functions {
            let name = function.name.map(|name| if system { usual(name) } else { name });
            let of_runtime =
                is_driver || name.as_ref().is_some_and(|name| RUNTIME.iter().any(|r| name.starts_with(r)));
            let kind = match () {
                () if system => Kind::System,
                () if of_runtime => Kind::Runtime,
                () => Kind::Theirs,
            };
            let (file, line) = function.file.zip(function.line).unzip();
            let offset = function.offset.filter(|_| line.is_none());
            let inlined = function.inlined;
            let object = object.clone();
            let frame = Frame { function: name, file, line, object, offset, inlined, ..Frame::default() };
            frames.push(Named { frame, kind });
        }
    }

    /// The file to read for what is mapped: copies may be gone, and have the library's content.
    fn on_disk(&self, mapped: &Path) -> PathBuf {
        let path = undeleted(mapped).unwrap_or(mapped);
        let gone = Some(path).filter(|path| !path.exists());
        gone.and_then(|path| self.staging.like(path)).unwrap_or_else(|| mapped.to_path_buf())
    }
}

/// File name of an object that is mapped; of a copy, that of the library.
pub(super) fn name_of(staging: &Staging, mapped: &Path) -> String {
    let path = undeleted(mapped).unwrap_or(mapped);
    let build = staging.build_of(path).map(|build| build.to_string_lossy().into_owned());
    let path = build.unwrap_or_else(|| staging.unstaged(&path.to_string_lossy()));
    Path::new(&path).file_name().map_or(path.clone(), |name| name.to_string_lossy().into_owned())
}

/// The name that a mapped file had before it was deleted.
fn undeleted(path: &Path) -> Option<&Path> {
    path.to_str()?.strip_suffix(" (deleted)").map(Path::new)
}

/// A thread's number and name, as the record has them.
pub(super) fn name_of_thread(thread: &Thread) -> ThreadName {
    ThreadName { id: thread.id, name: thread.name.clone() }
}

/// The innermost frame of the library's or of what it brought; of runtimes only where there is no other.
pub(super) fn culprit(frames: &[Named]) -> Option<Frame> {
    let of = |kind: Kind| frames.iter().find(move |named| named.kind == kind);
    of(Kind::Theirs).or_else(|| of(Kind::Runtime)).map(|named| named.frame.clone())
}

/// The function of the system's that the library called, with all that it called itself.
pub(super) fn called(frames: &[Named]) -> Option<String> {
    let by = frames.iter().position(|named| named.kind == Kind::Theirs)?;
    let last = frames[..by].last().filter(|named| named.kind == Kind::System)?;
    last.frame.function.as_ref().map(|name| name.trim_start_matches('_').to_owned())
}

/// What was called, where the innermost frame is in the system's libraries: `strlen`.
pub(super) fn callee(frames: &[Named]) -> Option<String> {
    let first = frames.first()?;
    (first.kind == Kind::System).then(|| first.frame.function.clone()).flatten()
}
