//! Pure: parses the XML report of valgrind's memcheck (protocol 4, `docs/internals/xml-output-protocol4.txt` of valgrind).

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::Leaked;
use crate::record::verification::{Failure, Frame};

/// Leaks that are read. memcheck merges the blocks of one stack, so the report of a short run has far fewer.
const MOST_RECORDS: usize = 200_000;

/// What points to a block when the process ends, in memcheck's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LossKind {
    /// Nothing.
    Definitely,
    /// Only lost blocks.
    Indirectly,
    /// Pointers into the block, and none to its beginning.
    Possibly,
    /// A pointer to its beginning.
    Reachable,
}

/// Blocks that one stack requested and that were never freed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// What points to them.
    pub kind: LossKind,
    /// Bytes as they were requested.
    pub bytes: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// The stack, from the allocator outwards.
    pub stack: Vec<Frame>,
}

/// A whole report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Losses {
    /// Blocks that were not freed.
    pub losses: Vec<Loss>,
    /// Kinds of other errors, such as `InvalidRead`, each with the number of places.
    pub errors: BTreeMap<String, u64>,
}

/// The element that is being read.
#[derive(Debug, Default)]
struct Record {
    kind: String,
    text: String,
    bytes: Option<u64>,
    blocks: Option<u64>,
    stack: Vec<Frame>,
    /// A second stack (where a block was freed) is not the place.
    stacks: u32,
}

/// Parses a report.
///
/// # Errors
/// When the report is cut off, is not memcheck's, or is that of a process that a signal ended.
pub fn parse(xml: &[u8]) -> Result<Losses, Failure> {
    let mut reader = Reader::from_reader(xml);
    let mut path: Vec<String> = Vec::new();
    let mut found = Losses::default();
    let mut record = Record::default();
    let (mut finished, mut closed, mut tool) = (false, false, String::new());
    let mut fatal = None;
    let mut text = String::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                text.clear();
                let name = String::from_utf8_lossy(start.name().as_ref()).into_owned();
                match name.as_str() {
                    "error" => record = Record::default(),
                    "stack" => record.stacks += 1,
                    "frame" if record.stacks == 1 => record.stack.push(Frame::default()),
                    _ => {}
                }
                path.push(name);
            }
            Ok(Event::Text(part)) => text.push_str(&String::from_utf8_lossy(&part)),
            Ok(Event::GeneralRef(name)) => text.push_str(entity(&name)),
            Ok(Event::End(_)) => {
                let name = path.pop().unwrap_or_default();
                let value = text.trim();
                let parent = path.last().map_or("", String::as_str);
                match (parent, name.as_str()) {
                    ("valgrindoutput", "protocoltool") => value.clone_into(&mut tool),
                    ("status", "state") => finished |= value == "FINISHED",
                    ("fatal_signal", "signame") => fatal = Some(value.to_owned()),
                    ("valgrindoutput", "error") => take(std::mem::take(&mut record), &mut found)?,
                    ("error", "kind") => value.clone_into(&mut record.kind),
                    ("xwhat", "text") => value.clone_into(&mut record.text),
                    ("xwhat", "leakedbytes") => record.bytes = value.parse().ok(),
                    ("xwhat", "leakedblocks") => record.blocks = value.parse().ok(),
                    ("frame", field) if record.stacks == 1 => frame(record.stack.last_mut(), field, value),
                    ("", "valgrindoutput") => closed = true,
                    _ => {}
                }
                text.clear();
            }
            Ok(Event::Eof) => break,
            Ok(_) => {}
            // In a report that is cut off, the reader finds elements that do not end.
            Err(_) if !closed && finished => return Err(Failure::ReportCut),
            Err(error) => return Err(Failure::ReportBroken { error: error.to_string() }),
        }
    }
    if tool != "memcheck" {
        return Err(if xml.is_empty() { Failure::ReportCut } else { Failure::ReportForeign });
    }
    if let Some(signal) = fatal {
        return Err(Failure::Killed { signal });
    }
    if closed && finished && path.is_empty() { Ok(found) } else { Err(Failure::ReportCut) }
}

/// The character that an entity stands for; valgrind writes no other entities.
fn entity(name: &[u8]) -> &'static str {
    match name {
        b"lt" => "<",
        b"gt" => ">",
        b"amp" => "&",
        b"quot" => "\"",
        b"apos" => "'",
        _ => "?",
    }
}

fn frame(frame: Option<&mut Frame>, field: &str, value: &str) {
    let Some(frame) = frame else { return };
    match field {
        "fn" => frame.function = Some(value.to_owned()),
        "obj" => frame.object = Some(value.to_owned()),
        "file" => frame.file = Some(value.to_owned()),
        "line" => frame.line = value.parse().ok(),
        _ => {}
    }
}

fn take(record: Record, found: &mut Losses) -> Result<(), Failure> {
    let kind = match record.kind.as_str() {
        "Leak_DefinitelyLost" => LossKind::Definitely,
        "Leak_IndirectlyLost" => LossKind::Indirectly,
        "Leak_PossiblyLost" => LossKind::Possibly,
        "Leak_StillReachable" => LossKind::Reachable,
        other => {
            *found.errors.entry(other.to_owned()).or_default() += 1;
            return Ok(());
        }
    };
    let (Some(bytes), Some(blocks)) = (record.bytes, record.blocks) else {
        return Err(Failure::ReportWithoutFigures);
    };
    if found.losses.len() >= MOST_RECORDS {
        return Err(Failure::ReportTooLong { most: MOST_RECORDS as u64 });
    }
    // The indirect part of "(16 direct, 32 indirect)" has records of its own.
    let bytes = direct(&record.text).unwrap_or(bytes);
    found.losses.push(Loss { kind, bytes, blocks, stack: record.stack });
    Ok(())
}

/// The number before " direct," in "1,048 (16 direct, 1,032 indirect) bytes in 1 blocks".
fn direct(text: &str) -> Option<u64> {
    let (_, inside) = text.split_once('(')?;
    let (number, _) = inside.split_once(" direct,")?;
    number.replace(',', "").parse().ok()
}

impl Losses {
    /// Blocks in records whose blocks all have `size` bytes.
    pub fn blocks_of(&self, size: u64) -> u64 {
        self.losses
            .iter()
            .filter(|loss| Some(loss.bytes) == loss.blocks.checked_mul(size))
            .map(|l| l.blocks)
            .sum()
    }

    /// Everything of these kinds, by stack.
    pub fn leaked(&self, kinds: &[LossKind]) -> Vec<Leaked> {
        let losses = self.losses.iter().filter(|loss| kinds.contains(&loss.kind));
        losses.map(|l| Leaked { bytes: l.bytes, blocks: l.blocks, stack: l.stack.clone() }).collect()
    }
}
