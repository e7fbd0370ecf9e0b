//! Resident memory by kind of mapping, from `/proc/PID/smaps`.

use std::path::Path;

use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};

use super::state;

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
    /// Other files with code: the program, libc, what the library brings.
    pub other_libraries: u64,
    /// Files without code, shared memory, and what the kernel maps.
    pub files: u64,
}

impl Kinds {
    /// The names of the kinds, in the order of [`Kinds::figures`].
    pub const NAMES: [&'static str; 6] =
        ["heap", "anonymous", "stacks", "library", "other_libraries", "files"];

    /// The figures.
    pub fn figures(self) -> [u64; 6] {
        [self.heap, self.anonymous, self.stacks, self.library, self.other_libraries, self.files]
    }
}

/// Reads the mappings of a process and sorts them by kind.
pub(super) fn kinds(process: &Process, is_library: impl Fn(&Path) -> bool) -> procfs::ProcResult<Kinds> {
    let maps = process.smaps()?;
    let pointers = stack_pointers(process)?;
    // A file that is mapped with code somewhere is a library with all its mappings.
    let path = |map: &MemoryMap| match &map.pathname {
        MMapPath::Path(path) => Some(path.clone()),
        _ => None,
    };
    let code: std::collections::HashSet<_> =
        maps.iter().filter(|map| map.perms.contains(MMPermissions::EXECUTE)).filter_map(path).collect();
    let mut own = std::collections::HashMap::new();
    let mut kinds = Kinds::default();
    for map in &maps {
        let rss = map.extension.map.get("Rss").copied().unwrap_or(0);
        let is_stack = || pointers.iter().any(|pointer| (map.address.0..map.address.1).contains(pointer));
        *match &map.pathname {
            MMapPath::Heap => &mut kinds.heap,
            MMapPath::Stack | MMapPath::TStack(_) => &mut kinds.stacks,
            MMapPath::Anonymous if is_stack() => &mut kinds.stacks,
            MMapPath::Anonymous => &mut kinds.anonymous,
            MMapPath::Path(path) if *own.entry(path.clone()).or_insert_with(|| is_library(path)) => {
                &mut kinds.library
            }
            MMapPath::Path(path) if code.contains(path) => &mut kinds.other_libraries,
            // Named by the kernel for its owner (`prctl(PR_SET_VMA)`), as newer libraries do with their arenas.
            MMapPath::Other(name) if name.starts_with("anon:") => &mut kinds.anonymous,
            _ => &mut kinds.files,
        } += rss;
    }
    Ok(kinds)
}

/// Where the stacks of the threads are: each waits in the kernel, which tells its stack pointer.
fn stack_pointers(process: &Process) -> procfs::ProcResult<Vec<u64>> {
    let tasks = process.tasks()?.flatten();
    let waits = tasks.filter_map(|task| state::wait(&state::task_syscall(process.pid(), task.tid)?));
    Ok(waits.map(|(_, stack, _)| stack).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_add_up_to_what_is_resident() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let (process, sampler) = (Process::new(pid).unwrap(), crate::sampling::Sampler::new(pid).unwrap());
        let is_libc = |path: &Path| path.to_string_lossy().contains("/libc.so");
        // Until it has started, its memory moves.
        let mut seen = (Kinds::default(), 1);
        for _ in 0..500 {
            seen = (kinds(&process, is_libc).unwrap(), sampler.sample().unwrap().rss);
            if seen.0.library > 0 && seen.0.figures().iter().sum::<u64>() == seen.1 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (kinds, resident) = seen;
        assert_eq!(kinds.figures().iter().sum::<u64>(), resident, "{kinds:?}");
        assert!(kinds.library > 0 && kinds.other_libraries > 0 && kinds.stacks > 0, "{kinds:?}");
        assert_eq!(Kinds::NAMES.len(), kinds.figures().len());
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
        assert!((0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            waits()
        }));
        drop(end);
        assert!(thread.join().unwrap().is_err());
    }
}
