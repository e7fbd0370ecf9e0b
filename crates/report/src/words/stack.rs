//! Threads, their stacks, and single frames, in words.

use dlsoak_record::{CodeOf, Frame, Outcome, Phase, Stack, ThreadName, units};

/// All stacks of an outcome, the one that matters first; each a list of lines, of which the first names the thread.
pub fn stacks(outcome: &Outcome) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = outcome.stacks.iter().flatten().map(stack).collect();
    if let Some(more) = outcome.more_threads {
        all.push(vec![format!("and {} more threads", units::count(more))]);
    }
    all
}

fn stack(stack: &Stack) -> Vec<String> {
    let at = match (stack.phase, stack.cycle) {
        (Some(Phase::Between), _) => ", between cycles".to_owned(),
        (Some(phase), Some(cycle)) => format!(", cycle {cycle}, {}", phase.name()),
        _ => String::new(),
    };
    let mut lines = vec![thread(&stack.thread) + &at];
    if stack.unseen {
        lines.push("it did not stop in time, so its frames are not known".to_owned());
    }
    let mut number = 0;
    for frame in &stack.frames {
        lines.push(format!("#{number} {}", line(frame)));
        number += 1;
        if let Some(repeated) = frame.repeated {
            lines.push(format!("and {} more of the same", units::count(repeated)));
            number += repeated;
        }
    }
    if stack.more {
        lines.push("and more frames".to_owned());
    }
    lines
}

/// A frame as a stack lists it.
fn line(frame: &Frame) -> String {
    let function = frame.function.as_deref().unwrap_or("??");
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{function} at {file}:{line}"),
        _ if frame.code != CodeOf::Object => place(frame),
        _ if frame.function.is_none() => place(frame),
        _ => match frame.offset {
            Some(offset) => format!("{function}+{offset:#x} in {}", object(frame)),
            None => format!("{function} in {}", object(frame)),
        },
    }
}

/// A frame as a sentence has it: `foo() at foo.c:3 in libfoo.so`.
pub(super) fn frame(frame: &Frame) -> String {
    let function = frame.function.as_deref().map(called);
    match (function, &frame.file, frame.line) {
        (Some(function), Some(file), Some(line)) => {
            format!("{function} at {file}:{line} in {}", object(frame))
        }
        (Some(function), ..) => format!("{function} in {}", object(frame)),
        (None, Some(file), Some(line)) => format!("{file}:{line} in {}", object(frame)),
        (None, ..) => place(frame),
    }
}

/// Where a frame without a name is.
fn place(frame: &Frame) -> String {
    let address = frame.address.as_deref().unwrap_or("an unknown address");
    match (frame.code, frame.offset) {
        (CodeOf::Object, Some(offset)) => format!("{}+{offset:#x}", object(frame)),
        (CodeOf::Object, None) => object(frame).to_owned(),
        (CodeOf::Host, _) => format!("dlsoak's own code in {}", object(frame)),
        (CodeOf::Kernel, _) => "the kernel's code (vdso)".to_owned(),
        (CodeOf::Memory, _) => format!("{address}, in memory of no file"),
        (CodeOf::Nothing, _) => format!("{address}, where nothing is mapped"),
    }
}

fn object(frame: &Frame) -> &str {
    frame.object.as_deref().unwrap_or("an unknown object")
}

/// A function's name with the brackets that mark it as a function.
pub(super) fn called(name: &str) -> String {
    if name.contains('(') || name.contains('<') { name.to_owned() } else { format!("{name}()") }
}

/// A thread by number and name.
pub(super) fn thread(thread: &ThreadName) -> String {
    format!("thread {} ({})", thread.id, thread.name)
}
