//! The pass for stale pointers: a few loads, each kept from coming back to its address, after which the agent searches its memory for
//! words that point to what is gone. Here it is decided which of them prove something, and what they are called.
//!
//! glibc keeps words that nobody follows: entries of exit functions and keys that are done with, which it marks free and does not
//! wipe. The rules for these are here; what the loader allocates for itself, fork handlers that were taken back, and thread-local
//! memory of what is gone the agent leaves out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use dlsoak_wire::pointers::{Memory, NAME, Range, STAYS, Table, Word};

use super::latency::Histograms;
use super::limits::Limits;
use super::session::{Bounds, End, Outside as _, Session};
use super::staging::{Files, Staging};
use super::{Context, Progress, start};
use crate::channel::read_bytes;
use crate::elf::lines::Symbols;
use crate::observer::{Caught, Seen};
use crate::record::{
    DanglingPointer, EndedEarly, Evidence, HolderMemory, LoadCause, Measured, PointerHolder, PointerTarget,
    Proof, Residue,
};
use crate::suite::plan::SoakPlan;

/// What makes allocators that hand out parts of larger blocks ask malloc for each part: what they take back is not wiped, so a part that
/// is free looks like one that is alive. libappstream's resources, which GLib had freed, were taken for pointers that stay.
const ONE_BY_ONE: [(&str, &str); 2] = [("G_SLICE", "always-malloc"), ("GLIBCXX_FORCE_NEW", "1")];

/// Loads in a row after which the same word pointed into what had just gone.
const IN_A_ROW: u32 = 4;
/// Findings that are kept: holders that have most pointers.
const KEPT: usize = 16;
/// `ef_on` and the like in glibc's stdlib/exit.h: an entry with 0 is free.
const FREE: u64 = 0;
/// Bytes of an exit function's entry: flavor, function, argument, object.
const EXIT_ENTRY: u64 = 32;
/// Bytes that the agent has for a `struct exit_function_list` of glibc: 1,040, rounded up to its class.
const EXIT_LIST: u64 = 1264;

/// Carries out the plan, and says what still points into the library.
///
/// # Errors
/// Why nothing could be looked at, or not to the end.
pub(super) fn look(
    plan: &SoakPlan,
    soak: &Measured,
    context: &Context<'_>,
) -> Result<Vec<Residue>, EndedEarly> {
    let not_started = |fault: crate::fault::Fault| EndedEarly::NotStarted { problem: fault.to_string() };
    let files = Files::of(plan.mode, plan.threads, false);
    let staging = Staging::new(&plan.path, plan.threads, files).map_err(not_started)?;
    let bounds =
        Bounds { stall: plan.stall_timeout, limits: Limits::of(plan), deadline: None, stride: u64::MAX };
    (context.progress)(Progress::Begin { name: &plan.name, cycles: plan.cycles });
    let mut env = soak.env.clone();
    for (name, value) in ONE_BY_ONE {
        env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    let mut session = start(plan, staging.paths(), &env, bounds, context).map_err(not_started)?;
    let end = run(&mut session, plan.cycles);
    let seen = session.worker.seen();
    session.worker.kill();
    (context.progress)(Progress::End);
    let Some(table) = session.channel.pointers() else { return Err(EndedEarly::NoNotes) };
    let found = Found::read(table, &staging, plan);
    match end {
        Ok(()) if table.done.load(Relaxed) != 0 => Ok(found.kept()),
        Ok(()) => Err(EndedEarly::NoNotes),
        Err(end) => match found.used(&seen) {
            Some(used) => Ok(vec![used]),
            None => Err(match end {
                End::Failed { failure, .. } => {
                    EndedEarly::LoadFailed(Box::new(staging.unstaged_failure(*failure)))
                }
                end => end.early(),
            }),
        },
    }
}

fn run(session: &mut Session<'_>, loads: u64) -> Result<(), End> {
    let mut histograms =
        Histograms::new().map_err(|_| End::of(LoadCause::SetupFailed { errno: libc::EINVAL }))?;
    session.ready()?;
    // Without it a crash is not explained; what is found all the same is.
    let _ = session.worker.observe();
    session.advance(loads, &mut histograms)
}

/// An object that went or stays.
#[derive(Debug, Clone)]
struct Object {
    /// `None` for one that stays.
    load: Option<u32>,
    base: u64,
    low: u64,
    high: u64,
    file: PathBuf,
}

/// A word that pointed into an object that had gone.
#[derive(Debug, Clone, Copy)]
struct Pointer {
    seen: u32,
    memory: Memory,
    /// Index of the object that it points into, and the load that went with it.
    target: usize,
    load: u32,
    holder: Option<usize>,
    place: u64,
    value: u64,
    before: [u64; 3],
    block: u64,
    size: u64,
    site: u64,
    reachable: bool,
}

/// What the agent found.
struct Found {
    objects: Vec<Object>,
    pointers: Vec<Pointer>,
    /// Number of loads that were looked at.
    loads: u32,
    exit_argument: u64,
}

/// What a holder is by name, so that its pointers are told together.
type Identity = (u32, Option<String>, Option<String>, u64);

impl Found {
    /// Nothing that is read is trusted: the library can write over all of it.
    fn read(table: &Table, staging: &Staging, plan: &SoakPlan) -> Self {
        let used = table.ranges_used.load(Relaxed) as usize;
        let own = staging.paths().first().cloned().unwrap_or_default();
        let objects: Vec<Object> =
            table.ranges.iter().take(used).map(|range| object(range, &own, &plan.path)).collect();
        let used = table.words_used.load(Relaxed) as usize;
        let pointers = table.words.iter().take(used).filter_map(|word| pointer(word, &objects)).collect();
        Self {
            objects,
            pointers,
            loads: table.loads.load(Relaxed),
            exit_argument: table.exit_argument.load(Relaxed),
        }
    }

    /// The pointers that are kept, once all loads were looked at.
    fn kept(&self) -> Vec<Residue> {
        let Some(last) = self.loads.checked_sub(1) else { return Vec::new() };
        let mut symbols = Symbols::new();
        let mut holders: BTreeMap<Identity, DanglingPointer> = BTreeMap::new();
        for pointer in self.pointers.iter().filter(|pointer| pointer.seen == last) {
            let Some(proof) = self.proof(pointer, last) else { continue };
            // Who has code of the library on its stack is a thread that it left, and told as such.
            let is_told =
                pointer.memory == Memory::Stack || pointer.memory == Memory::Heap && !pointer.reachable;
            if is_told || self.is_done_with(pointer, &mut symbols) {
                continue;
            }
            let holder = self.holder(pointer, &mut symbols);
            let identity = (
                pointer.memory as u32,
                holder.object.clone(),
                holder.symbol.clone(),
                if holder.symbol.is_some() { 0 } else { holder.size.unwrap_or(holder.offset) },
            );
            let entry = holders.entry(identity).or_insert_with(|| DanglingPointer {
                proof,
                holder: Some(holder),
                target: Self::target(&self.objects[pointer.target], pointer.value, &mut symbols),
                loads: 0,
                of: u64::from(self.loads),
                pointers: 0,
            });
            entry.pointers += 1;
        }
        let mut found: Vec<DanglingPointer> = holders.into_values().collect();
        for holder in &mut found {
            let each = holder.proof == Proof::Follows;
            holder.loads = if each { holder.of } else { holder.pointers.min(holder.of) };
        }
        found.sort_by_key(|holder| std::cmp::Reverse(holder.pointers));
        found.truncate(KEPT);
        found.into_iter().map(residue).collect()
    }

    /// How it is known that a word that is there at the end was put there by a load and is kept.
    fn proof(&self, pointer: &Pointer, last: u32) -> Option<Proof> {
        let stayed = |other: &&Pointer| {
            other.seen == pointer.load && (other.place, other.value) == (pointer.place, pointer.value)
        };
        if pointer.load < last {
            return self.pointers.iter().find(stayed).map(|_| Proof::Stays);
        }
        // The same place, or in a new block from the same call, and the same thing pointed to.
        let offset = |other: &Pointer| other.value - self.objects[other.target].base;
        let is_same = |other: &Pointer| {
            let at = |p: &Pointer| if p.block == 0 { (p.place, 0) } else { (p.site, p.place - p.block) };
            other.memory == pointer.memory && at(other) == at(pointer) && offset(other) == offset(pointer)
        };
        let follows = |seen: u32| {
            self.pointers.iter().any(|other| (other.seen, other.load) == (seen, seen) && is_same(other))
        };
        let first = last.checked_sub(IN_A_ROW - 1)?;
        (first..=last).all(follows).then_some(Proof::Follows)
    }

    /// Whether glibc has done with it.
    fn is_done_with(&self, pointer: &Pointer, symbols: &mut Symbols) -> bool {
        let in_libc = pointer.holder.is_some_and(|holder| {
            file_name(&self.objects[holder].file).is_some_and(|name| name.starts_with("libc.so"))
        });
        if !in_libc {
            return false;
        }
        // The argument and the object of an exit function, 2 and 3 words behind the word that says whether the entry is free.
        let flavor = |from: u64| match from % EXIT_ENTRY {
            0 => Some(pointer.before[1]),
            8 => Some(pointer.before[2]),
            _ => None,
        };
        if pointer.memory == Memory::Heap {
            let from = pointer.place - pointer.block;
            return pointer.size == EXIT_LIST && from >= EXIT_ENTRY && flavor(from) == Some(FREE);
        }
        let distance = pointer.place.abs_diff(self.exit_argument);
        if self.exit_argument != 0 && distance < EXIT_ENTRY * 32 {
            let from = pointer.place.wrapping_sub(self.exit_argument).wrapping_add(EXIT_ENTRY * 32);
            return flavor(from) == Some(FREE);
        }
        // `struct pthread_key_struct`: a number that is even where the key is free, and the destructor.
        let holder = &self.objects[pointer.holder.unwrap_or_default()];
        let variable = symbols.variable_at(&holder.file, pointer.place.wrapping_sub(holder.base));
        variable.is_some_and(|(name, offset)| {
            name == "__pthread_keys" && offset % 16 == 8 && pointer.before[0].is_multiple_of(2)
        })
    }

    fn holder(&self, pointer: &Pointer, symbols: &mut Symbols) -> PointerHolder {
        let memory = match pointer.memory {
            Memory::Data => HolderMemory::Data,
            Memory::Heap => HolderMemory::Heap,
            Memory::ThreadLocal => HolderMemory::ThreadLocal,
            Memory::Stack => HolderMemory::Stack,
            Memory::Anonymous => HolderMemory::Anonymous,
        };
        let object = pointer.holder.map(|holder| &self.objects[holder]);
        let mut holder = PointerHolder {
            memory,
            object: object.and_then(|object| file_name(&object.file)),
            symbol: None,
            offset: object.map_or(0, |object| pointer.place.wrapping_sub(object.base)),
            size: None,
        };
        match (pointer.memory, object) {
            (Memory::Heap, object) => {
                (holder.offset, holder.size) = (pointer.place - pointer.block, Some(pointer.size));
                // The return address is behind the call.
                let site =
                    object.map(|object| (object, pointer.site.wrapping_sub(object.base).wrapping_sub(1)));
                holder.symbol = site.and_then(|(object, site)| {
                    symbols.functions_at(&object.file, site).into_iter().find_map(|function| function.name)
                });
            }
            (Memory::Data, Some(object)) => {
                if let Some((name, offset)) = symbols.variable_at(&object.file, holder.offset) {
                    (holder.symbol, holder.offset) = (Some(name), offset);
                }
            }
            _ => {}
        }
        holder
    }

    fn target(object: &Object, address: u64, symbols: &mut Symbols) -> PointerTarget {
        let offset = address.wrapping_sub(object.base);
        let code = symbols.is_code(&object.file, offset);
        let mut target = PointerTarget {
            object: file_name(&object.file).unwrap_or_default(),
            code,
            symbol: None,
            offset,
            file: None,
            line: None,
        };
        if code {
            if let Some(function) = symbols.functions_at(&object.file, offset).into_iter().next() {
                target.offset = if function.name.is_some() { function.offset.unwrap_or(0) } else { offset };
                (target.symbol, target.file, target.line) = (function.name, function.file, function.line);
            }
        } else if let Some((name, offset)) = symbols.variable_at(&object.file, offset) {
            (target.symbol, target.offset) = (Some(name), offset);
        }
        target
    }

    /// The use of what was gone that ended the process, if that is how it ended.
    fn used(&self, seen: &Seen) -> Option<Residue> {
        // Where a runtime's own handler took the fault first, that one counts.
        let caught: &Caught = seen.handled.as_ref().or(seen.fatal.as_ref())?;
        if !matches!(caught.info.signal, libc::SIGSEGV | libc::SIGBUS) {
            return None;
        }
        let address = caught.info.address;
        let object = self
            .objects
            .iter()
            .find(|object| object.load.is_some() && object.low <= address && address < object.high)?;
        let mut symbols = Symbols::new();
        // What pointed there, or else near there, when it was last looked at.
        let near = |pointer: &&Pointer| {
            let target = &self.objects[pointer.target];
            target.load == object.load && target.low == object.low && pointer.value <= address
        };
        let from = self
            .pointers
            .iter()
            .filter(near)
            .min_by_key(|pointer| (address - pointer.value, std::cmp::Reverse(pointer.seen)));
        let from = from.filter(|pointer| !self.is_done_with(pointer, &mut symbols));
        Some(residue(DanglingPointer {
            proof: Proof::Used,
            holder: from.map(|pointer| self.holder(pointer, &mut symbols)),
            target: Self::target(object, from.map_or(address, |pointer| pointer.value), &mut symbols),
            loads: 1,
            of: u64::from(self.loads),
            pointers: 1,
        }))
    }
}

fn residue(pointer: DanglingPointer) -> Residue {
    Residue::once(Evidence::DanglingPointer(Box::new(pointer)))
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// An object as the agent noted it. A copy of the library is the library: its file is gone by now.
fn object(range: &Range, own: &Path, library: &Path) -> Object {
    let bytes = read_bytes(&range.name, (range.name_len.load(Relaxed) as usize).min(NAME));
    let noted = PathBuf::from(String::from_utf8_lossy(&bytes).into_owned());
    let is_own = noted
        .file_name()
        .zip(own.file_name())
        .is_some_and(|(noted, own)| noted.to_string_lossy().ends_with(&*own.to_string_lossy()));
    let load = range.load.load(Relaxed);
    Object {
        load: (load != STAYS).then_some(load),
        base: range.base.load(Relaxed),
        low: range.low.load(Relaxed),
        high: range.high.load(Relaxed),
        file: if is_own { library.to_path_buf() } else { noted },
    }
}

fn pointer(word: &Word, objects: &[Object]) -> Option<Pointer> {
    let target = word.target.load(Relaxed) as usize;
    let pointed = objects.get(target)?;
    let (place, value) = (word.place.load(Relaxed), word.value.load(Relaxed));
    let block = word.block.load(Relaxed);
    let is_sound = (pointed.low..pointed.high).contains(&value) && block <= place && pointed.base <= value;
    let holder = word.holder.load(Relaxed) as usize;
    Some(Pointer {
        seen: word.seen.load(Relaxed),
        memory: Memory::from_u32(word.memory.load(Relaxed))?,
        target,
        load: pointed.load.filter(|_| is_sound)?,
        holder: (holder < objects.len()).then_some(holder),
        place,
        value,
        before: [0, 1, 2].map(|index: usize| word.before[index].load(Relaxed)),
        block,
        size: word.size.load(Relaxed),
        site: word.site.load(Relaxed),
        reachable: word.reachable.load(Relaxed) != 0,
    })
}
