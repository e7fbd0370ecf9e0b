//! Pure: what valgrind's memcheck writes as XML (protocol 4, `docs/internals/xml-output-protocol4.txt` of valgrind), and what two
//! such reports, of a shorter and a longer run, say of each cycle.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;
use thiserror::Error;

use super::{Frame, Leaked};

/// Most blocks in the report of one stack are read as one record; more records than this are no report of a short run.
const MOST_RECORDS: usize = 200_000;

/// How a block is still pointed to when the process ends, in memcheck's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LossKind {
    /// By nothing.
    Definitely,
    /// By blocks that are lost themselves.
    Indirectly,
    /// By pointers into its inside.
    Possibly,
    /// By its beginning.
    Reachable,
}

/// Blocks that were obtained in one place and never freed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// How they are pointed to.
    pub kind: LossKind,
    /// Bytes as they were asked for.
    pub bytes: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Who asked for them, from the allocator outwards.
    pub stack: Vec<Frame>,
}

/// A whole report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Losses {
    /// What was not freed.
    pub losses: Vec<Loss>,
    /// Kinds of other errors, such as `InvalidRead`, each with the number of places.
    pub errors: BTreeMap<String, u64>,
}

/// A report that can't be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MemcheckError {
    /// It does not end as a report does.
    #[error("valgrind's report is cut off: it has no end")]
    Cut,
    /// It is no XML, or not memcheck's.
    #[error("valgrind's report can't be read: {0}")]
    Broken(String),
    /// The process was ended by a signal.
    #[error("under valgrind the process was ended by {0}")]
    Fatal(String),
}

/// Element under way.
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

/// Reads a report.
///
/// # Errors
/// When it is cut off, is no report of memcheck, or is one of a process that a signal has ended.
pub fn parse(xml: &[u8]) -> Result<Losses, MemcheckError> {
    let broken = |what: &str| MemcheckError::Broken(what.to_owned());
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
            // Where it is cut, the reader finds elements that do not end.
            Err(_) if !closed && finished => return Err(MemcheckError::Cut),
            Err(error) => return Err(MemcheckError::Broken(error.to_string())),
        }
    }
    if tool != "memcheck" {
        return Err(if xml.is_empty() { MemcheckError::Cut } else { broken("it is not memcheck's") });
    }
    if let Some(signal) = fatal {
        return Err(MemcheckError::Fatal(signal));
    }
    if closed && finished && path.is_empty() { Ok(found) } else { Err(MemcheckError::Cut) }
}

/// What an entity stands for; valgrind writes these and no others.
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

fn take(record: Record, found: &mut Losses) -> Result<(), MemcheckError> {
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
        return Err(MemcheckError::Broken("a leak without bytes and blocks".to_owned()));
    };
    if found.losses.len() >= MOST_RECORDS {
        return Err(MemcheckError::Broken(format!(
            "more than {MOST_RECORDS} leaks; let it run fewer cycles"
        )));
    }
    // Of a record with "(16 direct, 32 indirect)" the indirect part has records of its own.
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
    /// Blocks of one size of which `size` is the number of bytes.
    pub fn blocks_of(&self, size: u64) -> u64 {
        self.losses
            .iter()
            .filter(|loss| Some(loss.bytes) == loss.blocks.checked_mul(size))
            .map(|l| l.blocks)
            .sum()
    }

    /// Everything of these kinds, by where it was asked for.
    pub fn leaked(&self, kinds: &[LossKind]) -> Vec<Leaked> {
        let losses = self.losses.iter().filter(|loss| kinds.contains(&loss.kind));
        losses.map(|l| Leaked { bytes: l.bytes, blocks: l.blocks, stack: l.stack.clone() }).collect()
    }
}
