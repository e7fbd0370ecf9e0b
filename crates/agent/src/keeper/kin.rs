//! What descends from the keeper, and the end of it. A subreaper's killed child leaves its own children to the subreaper, so that
//! killing level by level needs no process ID but those of children, which can't be reused before they are waited for.

use core::ffi::{CStr, c_int};

use super::start::open;
use super::wait;
use crate::c;
use crate::text::{Text, each_number_in, number};

/// Levels that are killed one after the other before all that is left is stopped first: a family that forks faster than it is
/// killed.
const PATIENT_ROUNDS: u32 = 8;
/// Rounds at most: what can't be killed by then (it hangs in the kernel) is left.
const ROUNDS: u32 = 2_000;
/// Shortest and longest pause between rounds, as a number of this unit.
const PAUSE_MICROSECONDS: u32 = 200;
const LONGEST_PAUSE: u32 = 25;

/// Waits for every child that has ended, but for `host`: while that is not waited for, its process ID is its own.
pub(super) fn reap(host: c_int) {
    loop {
        let children = children(own());
        let mut reaped = false;
        for child in children.list().iter().filter(|child| **child != host) {
            if wait::ended(*child).is_some() {
                wait::reap(*child);
                reaped = true;
            }
        }
        // More of them than one look shows.
        if !(children.is_full() && reaped) {
            break;
        }
    }
}

/// Kills all that descends from this process, and waits for it, but for `host`, which is left for its status to be read. Returns how
/// many there were besides it, as far as they were seen.
pub(super) fn end_all(host: c_int) -> c_int {
    let mut others = 0;
    // Children that were killed and are not waited for yet, so that each is counted once.
    let mut dying = Processes::NONE;
    for round in 0..ROUNDS {
        if round >= PATIENT_ROUNDS {
            stop_all();
        }
        let mut left = 0;
        for child in children(own()).list() {
            if wait::ended(*child).is_some() {
                if *child != host {
                    dying.remove(*child);
                    wait::reap(*child);
                }
                continue;
            }
            left += 1;
            if *child != host && !dying.contains(*child) && dying.push(*child) {
                others += 1;
            }
            // SAFETY: the child was not waited for, so that this number is its own.
            unsafe { c::kill(*child, c::SIGKILL) };
        }
        if left == 0 && children(own()).list().iter().all(|child| *child == host) {
            break;
        }
        // Death takes a moment; where many die it takes long.
        if round > 0 {
            // SAFETY: usleep takes a number.
            unsafe { c::usleep(PAUSE_MICROSECONDS * round.min(LONGEST_PAUSE)) };
        }
    }
    others
}

/// Stops all descendants, again and again until no new one is found, so that none forks while others are killed.
fn stop_all() {
    let mut stopped = Processes::NONE;
    for _ in 0..PATIENT_ROUNDS {
        let mut is_new = false;
        for process in descendants(own()).list() {
            if !stopped.contains(*process) && stopped.push(*process) {
                is_new = true;
                // SAFETY: kill takes numbers. The process was there a moment ago, and numbers come again only after all others.
                unsafe { c::kill(*process, c::SIGSTOP) };
            }
        }
        if !is_new {
            break;
        }
    }
}

/// Processes that descend from `process`, nearest first, as many as one look shows.
fn descendants(process: c_int) -> Processes {
    let mut all = children(process);
    let mut next = 0;
    while let Some(one) = all.list().get(next).copied() {
        if all.is_full() {
            break;
        }
        next += 1;
        add_children(one, &mut all);
    }
    all
}

/// Children of a process, of all its threads.
fn children(process: c_int) -> Processes {
    let mut all = Processes::NONE;
    add_children(process, &mut all);
    all
}

fn add_children(process: c_int, to: &mut Processes) {
    let before = to.count;
    let of = || Text::EMPTY.with(b"/proc/").with_number(process).with(b"/task");
    let mut is_complete = true;
    each_number_in(of().as_c_str(), |thread| {
        let path = of().with(b"/").with_number(thread).with(b"/children");
        is_complete &= add_listed(path.as_c_str(), to);
    });
    if !is_complete {
        // A kernel without CONFIG_PROC_CHILDREN, or a thread that has just ended.
        to.count = before;
        add_children_by_parent(process, to);
    }
}

/// Adds the numbers in a file; false where it can't be read.
fn add_listed(path: &CStr, to: &mut Processes) -> bool {
    let Ok(file) = open(path, c::O_RDONLY) else { return false };
    let mut buffer = [0; 4096];
    // A number that is not at its end yet, for the end of the buffer may be in the middle of one.
    let mut begun = None;
    loop {
        let Ok(count) = file.read(&mut buffer) else { return false };
        for byte in buffer.get(..count).unwrap_or_default() {
            match byte {
                b'0'..=b'9' => {
                    let digit = c_int::from(byte - b'0');
                    begun = Some(begun.unwrap_or(0_i32).wrapping_mul(10).wrapping_add(digit));
                }
                _ => {
                    begun.take().map(|child| to.push(child));
                }
            }
        }
        if count == 0 {
            begun.take().map(|child| to.push(child));
            return true;
        }
    }
}

/// Adds children of a process by looking at all processes there are.
fn add_children_by_parent(parent: c_int, to: &mut Processes) {
    each_number_in(c"/proc", |process| {
        if parent_of(process) == Some(parent) {
            to.push(process);
        }
    });
}

/// The parent of a process, from its line in `/proc`: the number and the name, which may hold anything, then state and parent.
fn parent_of(process: c_int) -> Option<c_int> {
    let path = Text::EMPTY.with(b"/proc/").with_number(process).with(b"/stat");
    let file = open(path.as_c_str(), c::O_RDONLY).ok()?;
    let mut buffer = [0; 1024];
    let count = file.read(&mut buffer).ok()?;
    let line = buffer.get(..count)?;
    let name_end = line.iter().rposition(|byte| *byte == b')')?;
    let mut fields = line.get(name_end + 1..)?.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    number(fields.nth(1)?)
}

fn own() -> c_int {
    // SAFETY: getpid has no precondition.
    unsafe { c::getpid() }
}

/// As many processes as are looked at at once. More of them are found by looking again, when those are gone.
struct Processes {
    all: [c_int; Self::MOST],
    count: usize,
}

impl Processes {
    const MOST: usize = 4096;
    const NONE: Self = Self { all: [0; Self::MOST], count: 0 };

    fn list(&self) -> &[c_int] {
        self.all.get(..self.count).unwrap_or_default()
    }

    fn is_full(&self) -> bool {
        self.count >= Self::MOST
    }

    fn contains(&self, process: c_int) -> bool {
        self.list().contains(&process)
    }

    /// Adds one; false where there is no room.
    fn push(&mut self, process: c_int) -> bool {
        let Some(room) = self.all.get_mut(self.count) else { return false };
        *room = process;
        self.count += 1;
        true
    }

    fn remove(&mut self, process: c_int) {
        if let Some(index) = self.list().iter().position(|one| *one == process) {
            self.count -= 1;
            self.all[index] = self.all[self.count];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_either_way() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().cast_signed();
        let mut by_parent = Processes::NONE;
        add_children_by_parent(own(), &mut by_parent);
        let found = [children(own()), by_parent, descendants(own())];
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.iter().all(|processes| processes.contains(pid)), "{pid}");
        assert!(!children(own()).contains(pid));
    }

    #[test]
    fn lists_are_read_to_their_end() {
        let path = std::env::temp_dir().join(format!("dlsoak-kin-{}", std::process::id()));
        let numbers: Vec<c_int> = (0..2_000).map(|number| number * 1_009).collect();
        let text: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let mut found = Processes::NONE;
        std::fs::write(&path, text.join(" ")).unwrap();
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        assert!(add_listed(&name, &mut found));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(found.list(), numbers);
        assert!(!add_listed(&name, &mut found));
    }

    #[test]
    fn there_is_room_for_some() {
        let mut some = Processes::NONE;
        for process in 0..Processes::MOST as c_int {
            assert!(!some.is_full() && some.push(process));
        }
        assert!(some.is_full() && !some.push(-1));
        some.remove(7);
        assert!(!some.contains(7) && some.contains(4_095) && some.push(-1) && some.contains(-1));
    }
}
