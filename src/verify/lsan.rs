//! Pure: parses the report that the LeakSanitizer of gcc and clang writes at the end of a process.

use super::Leaked;
use crate::record::verification::{Failure, Frame};

/// What precedes the bytes of a leak. An indirect leak is a block that other lost blocks point to.
const HEADS: [&str; 2] = ["Direct leak of ", "Indirect leak of "];

/// Parses a report; one without leaks is an empty list.
///
/// # Errors
/// When the report is cut off, says that LeakSanitizer refused to run, or has an unknown form.
pub fn parse(text: &str) -> Result<Vec<Leaked>, Failure> {
    let unknown = |line: &str| Failure::UnknownLine { line: line.to_owned() };
    if let Some(line) = text.lines().find(|line| line.contains("LeakSanitizer has encountered a fatal error"))
    {
        let hint = text.lines().rev().find_map(|line| line.split_once("HINT: ")).map_or("", |(_, hint)| hint);
        let why = if hint.is_empty() { line } else { hint };
        return Err(Failure::Refused { reason: why.trim().to_owned() });
    }
    let mut leaks: Vec<Leaked> = Vec::new();
    let mut summary = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(rest) = HEADS.iter().find_map(|head| line.strip_prefix(head)) {
            let leak = numbers(rest, " byte(s) in ", " object(s)");
            let (bytes, blocks) = leak.ok_or_else(|| unknown(line))?;
            leaks.push(Leaked { bytes, blocks, stack: Vec::new() });
        } else if let Some(rest) = line.strip_prefix("SUMMARY: LeakSanitizer: ") {
            summary = numbers(rest, " byte(s) leaked in ", " allocation(s)");
            if summary.is_none() {
                return Err(unknown(line));
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
        _ => Err(Failure::ReportCut),
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
