//! The pass for stale pointers: a few loads, each kept from coming back to its address, after which the agent searches its memory for
//! words that point to what is gone. Here it is decided which of them prove something, and what they are called.
//!
//! glibc keeps words that nobody follows: entries of exit functions and keys that are done with, which it marks free and does not
//! wipe. The rules for these are here; what the loader allocates for itself, fork handlers that were taken back, and thread-local
//! memory of what is gone the agent leaves out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use dlsoak_wire::pointers::{Count, Memory, NAME, Range, STAYS, Table, Word};

use super::end::stacks::{Named, Namer};
use super::latency::Histograms;
use super::limits::Limits;
use super::session::{Bounds, End, Outside as _, Session};
use super::staging::{Files, Staging};
use super::{Context, Progress, start};
use crate::channel::read_bytes;
use crate::elf::lines::Symbols;
use crate::observer::{Caught, Mapping, Seen};
use crate::record::why::Access;
use crate::record::{
    DanglingPointer, EndedEarly, Evidence, HolderMemory, LoadCause, Lost, Measured, Note, PointerHolder,
    PointerTarget, Proof, Reached, Residue, Use, User,
};
use crate::suite::plan::SoakPlan;
use crate::sys::signal_name;

/// What makes allocators that hand out parts of larger blocks ask malloc for each part: what they take back is not wiped, so a part that
/// is free looks like one that is alive. libappstream's resources, which GLib had freed, were taken for pointers that stay.
const ONE_BY_ONE: [(&str, &str); 2] = [("G_SLICE", "always-malloc"), ("GLIBCXX_FORCE_NEW", "1")];

/// Loads in a row of a library after which the same word pointed into what had just gone.
const IN_A_ROW: u32 = 4;
/// Findings that are kept: holders that have most pointers.
const KEPT: usize = 16;
/// `ef_on` and the like in glibc's stdlib/exit.h: an entry with 0 is free.
const FREE: u64 = 0;
/// Bytes of an exit function's entry: flavor, function, argument, object.
const EXIT_ENTRY: u64 = 32;
/// How long it waits before it looks whether the run was interrupted.
const STEP: Duration = Duration::from_millis(50);
/// glibc's table of thread-specific keys.
const KEYS: &str = "__pthread_keys";
/// The function of glibc that calls destructors of keys.
const DEALLOCATE: [&str; 1] = ["__nptl_deallocate_tsd"];
/// Functions of glibc that call what was registered for the end of the process.
const EXIT: [&str; 3] = ["__run_exit_handlers", "exit", "quick_exit"];
/// Functions of glibc that call fork handlers, before and since 2.36.
const FORK: [&str; 4] = ["__run_fork_handlers", "__run_prefork_handlers", "__run_postfork_handlers", "fork"];
/// Bytes that the agent has for a `struct exit_function_list` of glibc: 1,040, rounded up to its class.
const EXIT_LIST: u64 = 1264;

/// Carries out the plan, and says what still points into the library. After the last load, waits this long for what uses the library by
/// itself, and then has the process end; not at all where that is no time.
///
/// # Errors
/// Why nothing could be looked at, or not to the end.
pub(super) fn look(
    plan: &SoakPlan,
    soak: &Measured,
    wait: Duration,
    context: &Context<'_>,
) -> Result<(Vec<Residue>, Option<Note>), EndedEarly> {
    let (mut session, staging) = begin(plan, soak, context)?;
    let end = run(&mut session, plan.cycles).and_then(|()| wait_for_use(&mut session, wait));
    let seen = session.worker.seen();
    let cycling = session.cycling();
    let slot = session.channel.slots().first().filter(|_| end.is_err());
    let library = slot.and_then(|slot| staging.busy_with(slot));
    session.worker.kill();
    (context.progress)(Progress::End);
    let Some(table) = session.channel.pointers() else { return Err(EndedEarly::NoNotes) };
    let found = Found::read(table, &staging, plan);
    match end {
        Ok(()) if table.done.load(Relaxed) != 0 => Ok((found.kept(), left_out(table))),
        Ok(()) => Err(EndedEarly::NoNotes),
        Err(end) => match found.used(&seen, &mut Namer::new(&staging, cycling)) {
            Some(used) => Ok((vec![residue(with_during(used, library))], left_out(table))),
            None => Err(match end {
                End::Failed { failure, .. } => {
                    EndedEarly::LoadFailed(Box::new(staging.unstaged_failure(*failure)))
                }
                end => end.early(),
            }),
        },
    }
}

/// Carries out the plan, and says how much of what the heap grows by in its second half nothing points to.
///
/// # Errors
/// Why that is not known.
pub(super) fn lost(plan: &SoakPlan, soak: &Measured, context: &Context<'_>) -> Result<Lost, EndedEarly> {
    let (mut session, _staging) = begin(plan, soak, context)?;
    let from = plan.cycles / 2;
    let loads = |cycles: u64| cycles.saturating_mul(plan.together.len() as u64 + 1);
    if let Some(table) = session.channel.pointers() {
        table.count_from.store(u32::try_from(loads(from)).unwrap_or(u32::MAX), Relaxed);
    }
    let end = run(&mut session, plan.cycles);
    // What is swapped out is not searched.
    let is_here = session.worker.sampler.swapped() == Some(0);
    session.worker.kill();
    (context.progress)(Progress::End);
    end.map_err(|end| end.early())?;
    let table = session.channel.pointers().filter(|table| is_here && table.done.load(Relaxed) != 0);
    let Some(table) = table else { return Err(EndedEarly::NoNotes) };
    let count = |of: &Count| Reached {
        blocks: of.blocks.load(Relaxed),
        bytes: of.bytes.load(Relaxed),
        lost_blocks: of.lost_blocks.load(Relaxed),
        lost_bytes: of.lost_bytes.load(Relaxed),
    };
    let [before, after] = table.counts.each_ref().map(count);
    Ok(Lost { cycles: plan.cycles, from, before, after })
}

/// A process that has not opened anything yet, with its files.
fn begin<'a>(
    plan: &SoakPlan,
    soak: &Measured,
    context: &'a Context<'a>,
) -> Result<(Session<'a>, Staging), EndedEarly> {
    let not_started = |fault: crate::fault::Fault| EndedEarly::NotStarted { problem: fault.to_string() };
    let files = Files::of(plan.mode, plan.threads, false);
    let staging = Staging::new(plan.libraries(), plan.threads, files).map_err(not_started)?;
    let bounds =
        Bounds { stall: plan.stall_timeout, limits: Limits::of(plan), deadline: None, stride: u64::MAX };
    (context.progress)(Progress::Begin { name: &plan.name, cycles: plan.cycles });
    let mut env = soak.env.clone();
    for (name, value) in ONE_BY_ONE {
        env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    let session = start(plan, (staging.paths(), None), &env, bounds, context).map_err(not_started)?;
    Ok((session, staging))
}

fn with_during(pointer: DanglingPointer, library: Option<String>) -> DanglingPointer {
    let used = pointer.used.map(|used| Use { during: library, ..used });
    DanglingPointer { used, ..pointer }
}

/// What the search had no room for, and what it could not guard.
fn left_out(table: &Table) -> Option<Note> {
    let (dropped, unguarded) = (table.dropped.load(Relaxed), table.unguarded.load(Relaxed));
    (dropped > 0 || unguarded > 0).then_some(Note::PointersInPart { dropped, unguarded })
}

fn run(session: &mut Session<'_>, loads: u64) -> Result<(), End> {
    let mut histograms =
        Histograms::new().map_err(|_| End::of(LoadCause::SetupFailed { errno: libc::EINVAL }))?;
    session.ready()?;
    // Without it a crash is not explained; what is found all the same is.
    let _ = session.worker.observe();
    session.advance(loads, &mut histograms)
}

/// Waits for threads, timers and signals that the library left, and then for what is called when the process ends.
fn wait_for_use(session: &mut Session<'_>, wait: Duration) -> Result<(), End> {
    if wait.is_zero() {
        return Ok(());
    }
    let began = Instant::now();
    while began.elapsed() < wait && !session.context().interrupted.load(Relaxed) {
        if let Some(status) = session.worker.ended(STEP) {
            return Err(session.died(status));
        }
    }
    match session.finish() {
        Some(status) if !status.success() => Err(session.died(status)),
        _ => Ok(()),
    }
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
    /// Libraries that a cycle loads.
    libraries: u32,
    exit_argument: u64,
}

/// What a holder is by name, so that its pointers are told together.
type Identity = (u32, Option<String>, Option<String>, u64);

impl Found {
    /// Nothing that is read is trusted: the library can write over all of it.
    fn read(table: &Table, staging: &Staging, plan: &SoakPlan) -> Self {
        let used = table.ranges_used.load(Relaxed) as usize;
        // Several libraries are opened by their own paths.
        let own = staging.paths().first().filter(|_| plan.together.is_empty());
        let objects: Vec<Object> = table
            .ranges
            .iter()
            .take(used)
            .map(|range| object(range, own.map(PathBuf::as_path), &plan.path))
            .collect();
        let used = table.words_used.load(Relaxed) as usize;
        let pointers = table.words.iter().take(used).filter_map(|word| pointer(word, &objects)).collect();
        Self {
            objects,
            pointers,
            loads: table.loads.load(Relaxed),
            libraries: u32::try_from(plan.together.len() + 1).unwrap_or(u32::MAX),
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
                used: None,
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
        // Of the same library: others are loaded in between.
        let before = |loads: u32| last.checked_sub(loads.checked_mul(self.libraries)?);
        (0..IN_A_ROW).all(|loads| before(loads).is_some_and(follows)).then_some(Proof::Follows)
    }

    /// Whether glibc or libgcc has done with it.
    fn is_done_with(&self, pointer: &Pointer, symbols: &mut Symbols) -> bool {
        let name =
            pointer.holder.and_then(|holder| file_name(&self.objects[holder].file)).unwrap_or_default();
        if name.starts_with("libgcc_s.so") {
            return self.is_range_of_frames(pointer);
        }
        // Keys are libpthread's before glibc 2.34.
        if !["libc.so", "libpthread.so"].iter().any(|libc| name.starts_with(libc)) {
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
            name == KEYS && offset % 16 == 8 && pointer.before[0].is_multiple_of(2)
        })
    }

    /// Whether this is a word of `struct frame_hdr_cache_element` (libgcc, unwind-dw2-fde-dip.c): both ends of a segment, the address that
    /// the library is loaded at, and two of its program headers. libgcc unwinds by it where glibc has no `_dl_find_object` (before 2.35)
    /// and forgets it when the loader has loaded or unloaded anything since.
    fn is_range_of_frames(&self, pointer: &Pointer) -> bool {
        let base = self.objects[pointer.target].base;
        // The base is the third of the five words.
        let is_base = |other: &Pointer| {
            let words = pointer.place.wrapping_sub(other.place).wrapping_add(16) / 8;
            (other.seen, other.value) == (pointer.seen, base) && words < 5
        };
        pointer.memory == Memory::Data && self.pointers.iter().any(is_base)
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

    /// The first use of what was gone, where the process got a fault for one.
    fn used(&self, seen: &Seen, namer: &mut Namer<'_>) -> Option<DanglingPointer> {
        // Where a runtime's own handler took the fault, it may have ended the process in another way.
        let faults = seen.handled.iter().chain(&seen.fatal);
        let (caught, object) = faults.into_iter().find_map(|caught| Some((caught, self.gone_at(caught)?)))?;
        let thread = caught.capture.threads.first();
        let address = caught.info.address;
        let is_run = thread.and_then(|thread| thread.registers).is_some_and(|at| at.pc == address);
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
        let mut holder = from.map(|pointer| self.holder(pointer, &mut symbols));
        let mut load = object.load;
        let mut user = User::Function { by: None };
        if let Some(thread) = thread {
            let frames = namer.frames(&caught.capture, thread);
            let within = |names: &[&str]| frames.iter().any(|frame| frame.is(names));
            let is_key = holder.as_ref().is_some_and(|held| held.symbol.as_deref() == Some(KEYS));
            user = match () {
                () if thread.in_handler => User::SignalHandler { signal: caught.handles.map(signal_name) },
                () if within(&DEALLOCATE) || is_key && is_run => User::KeyDestructor,
                () if within(&EXIT) => User::ExitFunction,
                () if within(&FORK) => User::ForkHandler,
                () => {
                    let is_own = namer.is_own(&caught.capture, thread);
                    let start = (!is_own).then(|| self.start(&thread.descriptor, &mut symbols)).flatten();
                    if is_run && !is_own {
                        // It comes back from a call, and nothing but its stack leads there.
                        holder = None;
                    }
                    load = start.as_ref().map_or(load, |(object, _)| object.load);
                    match start {
                        None if is_own || !is_run => User::Function {
                            by: frames.into_iter().find(Named::is_mapped).map(|named| named.frame),
                        },
                        start => User::Thread { start: start.map(|(_, start)| start) },
                    }
                }
            };
        }
        Some(DanglingPointer {
            proof: Proof::Used,
            target: Self::target(
                object,
                from.filter(|_| holder.is_some()).map_or(address, |pointer| pointer.value),
                &mut symbols,
            ),
            holder,
            loads: 1,
            of: u64::from(self.loads),
            pointers: 1,
            used: Some(Use {
                user,
                access: is_run.then_some(Access::Execute),
                load: u64::from(load.unwrap_or_default()),
                during: None,
            }),
        })
    }

    /// The object that was accessed, where it is gone: nothing is there, or what keeps its place free.
    fn gone_at(&self, caught: &Caught) -> Option<&Object> {
        let info = caught.info;
        let is_free = caught.capture.mapping(info.address).is_none_or(Mapping::is_closed);
        let is_fault = info.code > 0 && matches!(info.signal, libc::SIGSEGV | libc::SIGBUS);
        self.came_with_a_load(info.address).filter(|_| is_fault && is_free)
    }

    fn came_with_a_load(&self, address: u64) -> Option<&Object> {
        let is_there =
            |object: &&Object| object.load.is_some() && object.low <= address && address < object.high;
        self.objects.iter().rev().find(is_there)
    }

    /// The function that a thread was started with, and the object that it was in: of the words of its descriptor the first one that is
    /// the address of a function.
    fn start(&self, descriptor: &[u64], symbols: &mut Symbols) -> Option<(&Object, PointerTarget)> {
        descriptor.iter().find_map(|word| {
            let object = self.came_with_a_load(*word)?;
            let target = Self::target(object, *word, symbols);
            let is_start = target.code && target.symbol.is_some() && target.offset == 0;
            is_start.then_some((object, target))
        })
    }
}

fn residue(pointer: DanglingPointer) -> Residue {
    Residue::once(Evidence::DanglingPointer(Box::new(pointer)))
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// An object as the agent noted it. A copy of the library is the library: its file is gone by now.
fn object(range: &Range, own: Option<&Path>, library: &Path) -> Object {
    let bytes = read_bytes(&range.name, (range.name_len.load(Relaxed) as usize).min(NAME));
    let noted = PathBuf::from(String::from_utf8_lossy(&bytes).into_owned());
    let is_own = noted
        .file_name()
        .zip(own.and_then(Path::file_name))
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

/// Whether the lower half of a word is a small number of either sign. With the upper half of an old pointer before it, which nobody wiped, it
/// looks like a pointer to what was mapped at a multiple of 4 GiB: Lua's tags of types, 0x13 and 0x44, did. What a library points to, it
/// points to in loads at other addresses, too.
fn is_half(value: u64) -> bool {
    const SMALL: u32 = 1 << 12;
    (value as u32).wrapping_add(SMALL) < 2 * SMALL
}

fn pointer(word: &Word, objects: &[Object]) -> Option<Pointer> {
    let target = word.target.load(Relaxed) as usize;
    let pointed = objects.get(target)?;
    let (place, value) = (word.place.load(Relaxed), word.value.load(Relaxed));
    let block = word.block.load(Relaxed);
    let is_sound = (pointed.low..pointed.high).contains(&value)
        && block <= place
        && pointed.base <= value
        && !is_half(value);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_number_behind_half_a_pointer_is_none() {
        for half in [0x7f12_0000_0013, 0x7f12_0000_0044, 0x7f12_0000_0fff, 0x7f12_ffff_fff3, 0x7f12_ffff_f000]
        {
            assert!(is_half(half), "{half:#x}");
        }
        for whole in [0x7f12_0000_1000, 0x7f12_ffff_efff, 0x7f12_3456_7000, 0x7f12_3456_7013] {
            assert!(!is_half(whole), "{whole:#x}");
        }
    }
}
