//! Resident memory by kind of mapping, from `/proc/PID/smaps`.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use procfs::process::Process;

use super::state;
use super::text::mappings;

/// Resident memory in bytes, by kind of mapping. The kinds add up to the resident set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds {
    /// `[heap]`: what malloc took from the kernel by `brk`.
    pub heap: u64,
    /// Memory without a file: large allocations, arenas of threads, `.bss` of libraries.
    pub anonymous: u64,
    /// The main thread's stack, and the mappings that the stack pointers of the other threads are in.
    pub stacks: u64,
    /// Files of the library itself.
    pub library: u64,
    /// Other files with code: the host, libc, what the library brings.
    pub other_libraries: u64,
    /// Files without code, shared memory, and what the kernel maps.
    pub files: u64,
}

impl Kinds {
    /// The figures, in the order of the record's columns.
    pub fn figures(self) -> [u64; 6] {
        [self.heap, self.anonymous, self.stacks, self.library, self.other_libraries, self.files]
    }
}

/// Sorts the mappings that `smaps` lists by kind; `pointers` are where the stacks of the threads are.
pub(super) fn kinds(smaps: &[u8], pointers: &[u64], is_library: impl Fn(&Path) -> bool) -> Kinds {
    // A file that is mapped with code somewhere is a library with all its mappings.
    let code: HashSet<&[u8]> =
        mappings(smaps).filter(|(map, _)| map.is_code).filter_map(|(map, _)| map.path()).collect();
    let mut own = HashMap::new();
    let mut kinds = Kinds::default();
    for (map, resident) in mappings(smaps) {
        let is_stack = || pointers.iter().any(|pointer| (map.range.0..map.range.1).contains(pointer));
        let mut is_own =
            |path| *own.entry(path).or_insert_with(|| is_library(Path::new(OsStr::from_bytes(path))));
        *match (map.name, map.path()) {
            (b"[heap]", _) => &mut kinds.heap,
            (b"[stack]", _) => &mut kinds.stacks,
            (b"", _) if is_stack() => &mut kinds.stacks,
            (b"", _) => &mut kinds.anonymous,
            (_, Some(path)) if is_own(path) => &mut kinds.library,
            (_, Some(path)) if code.contains(path) => &mut kinds.other_libraries,
            // Named by the kernel for its owner (`prctl(PR_SET_VMA)`), as newer libraries do with their arenas.
            (name, _) if name.starts_with(b"[anon:") => &mut kinds.anonymous,
            _ => &mut kinds.files,
        } += resident;
    }
    kinds
}

/// Where the stacks of the threads are: each waits in the kernel, which tells its stack pointer.
pub(super) fn stack_pointers(process: &Process) -> procfs::ProcResult<Vec<u64>> {
    let tasks = process.tasks()?.flatten();
    let waits = tasks.filter_map(|task| state::wait(&state::task_syscall(process.pid(), task.tid)?));
    Ok(waits.map(|(_, stack, _)| stack).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for what comes sooner or later.
    fn until(mut is_there: impl FnMut() -> bool) {
        let begin = std::time::Instant::now();
        while !is_there() {
            assert!(begin.elapsed() < std::time::Duration::from_secs(600), "waited in vain");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    #[test]
    fn kinds_add_up_to_what_is_resident() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let sampler = crate::sampling::Sampler::new(pid).unwrap();
        let is_libc = |path: &Path| path.to_string_lossy().contains("/libc.so");
        // Until it sleeps, its memory moves.
        let call = || std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
        until(|| call().starts_with(&format!("{} ", libc::SYS_clock_nanosleep)));
        let (kinds, resident) = (sampler.kinds(is_libc).unwrap(), sampler.sample().unwrap().rss);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(kinds.figures().iter().sum::<u64>(), resident, "{kinds:?}");
        assert!(kinds.library > 0 && kinds.other_libraries > 0 && kinds.stacks > 0, "{kinds:?}");
        assert_eq!(crate::record::OverTimeColumn::KINDS.len(), kinds.figures().len());
    }

    #[test]
    fn a_thread_that_waits_tells_where_its_stack_is() {
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let here = 0_u8;
            tell.send(&raw const here as u64).unwrap();
            wait.recv()
        });
        let near = told.recv().unwrap();
        let process = Process::myself().unwrap();
        let waits = || stack_pointers(&process).unwrap().iter().any(|at| at.abs_diff(near) < 64 << 10);
        until(waits);
        drop(end);
        assert!(thread.join().unwrap().is_err());
    }
}
