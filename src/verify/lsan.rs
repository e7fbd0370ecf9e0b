//! Pure: the report of LeakSanitizer, as gcc's and clang's runtimes write it at the end of a process.

use thiserror::Error;

use super::{Frame, Leaked};

/// What stands before a number of bytes, and whether these are pointed to by other lost blocks.
const HEADS: [&str; 2] = ["Direct leak of ", "Indirect leak of "];

/// A report that can't be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LsanError {
    /// It has no summary, or one that its leaks do not add up to.
    #[error("LeakSanitizer's report is cut off: its leaks do not add up to its summary")]
    Cut,
    /// A leak without figures.
    #[error("LeakSanitizer's report can't be read: {0}")]
    Broken(String),
    /// It could not look.
    #[error("LeakSanitizer could not look: {0}")]
    Fatal(String),
}

/// Reads a report; none of leaks is an empty list.
///
/// # Errors
/// When it is cut off, says that it could not look, or is no such report.
pub fn parse(text: &str) -> Result<Vec<Leaked>, LsanError> {
    if let Some(line) = text.lines().find(|line| line.contains("LeakSanitizer has encountered a fatal error"))
    {
        let hint = text.lines().rev().find_map(|line| line.split_once("HINT: ")).map_or("", |(_, hint)| hint);
        let why = if hint.is_empty() { line } else { hint };
        return Err(LsanError::Fatal(why.trim().to_owned()));
    }
    let mut leaks: Vec<Leaked> = Vec::new();
    let mut summary = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(rest) = HEADS.iter().find_map(|head| line.strip_prefix(head)) {
            let leak = numbers(rest, " byte(s) in ", " object(s)");
            let (bytes, blocks) = leak.ok_or_else(|| LsanError::Broken(line.to_owned()))?;
            leaks.push(Leaked { bytes, blocks, stack: Vec::new() });
        } else if let Some(rest) = line.strip_prefix("SUMMARY: LeakSanitizer: ") {
            summary = numbers(rest, " byte(s) leaked in ", " allocation(s)");
            if summary.is_none() {
                return Err(LsanError::Broken(line.to_owned()));
            }
        } else if let (Some(frame), Some(leak)) = (frame(line), leaks.last_mut()) {
            leak.stack.push(frame);
        }
    }
    let sum = leaks.iter().fold((0, 0), |(bytes, blocks), leak| (bytes + leak.bytes, blocks + leak.blocks));
    let announced = text.contains("LeakSanitizer: detected memory leaks");
    match summary {
        None if !announced && leaks.is_empty() => Ok(leaks),
        Some(summary) if summary == sum => Ok(leaks),
        _ => Err(LsanError::Cut),
    }
}

/// The two numbers of "1600 byte(s) in 100 object(s) ...".
fn numbers(text: &str, between: &str, after: &str) -> Option<(u64, u64)> {
    let (bytes, rest) = text.split_once(between)?;
    let (blocks, _) = rest.split_once(after)?;
    Some((bytes.parse().ok()?, blocks.parse().ok()?))
}

/// "#1 0x7f in leak file.c:8", "#1 0x7f  (<unknown module>)", "#1 0x7f in fn (/lib/libx.so+0x1a)".
fn frame(line: &str) -> Option<Frame> {
    let rest = line.strip_prefix('#')?;
    let (number, rest) = rest.split_once(' ')?;
    number.parse::<u32>().ok()?;
    let (_, rest) = rest.trim_start().split_once(' ')?;
    let mut frame = Frame::default();
    let mut place = rest.trim();
    if let Some(named) = place.strip_prefix("in ") {
        let (function, rest) = named.rsplit_once(' ').unwrap_or((named, ""));
        frame.function = Some(function.to_owned());
        place = rest;
    }
    if let Some(module) = place.strip_prefix('(').and_then(|p| p.strip_suffix(')')) {
        let object = module.rsplit_once("+0x").map_or(module, |(object, _)| object);
        if object != "<unknown module>" {
            frame.object = Some(object.to_owned());
        }
    } else {
        // file, file:line or file:line:column.
        let mut parts = place.split(':');
        frame.file = parts
            .next()
            .filter(|file| !file.is_empty())
            .map(|f| f.rsplit('/').next().unwrap_or(f).to_owned());
        frame.line = parts.next().and_then(|line| line.parse().ok());
    }
    Some(frame)
}
