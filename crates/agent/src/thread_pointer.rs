//! The thread pointer, by which the code inside a watched host distinguishes threads: no two living threads of a process have it in common. It
//! costs one instruction, and `gettid` a system call.

/// The calling thread's.
#[inline]
pub(crate) fn thread_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: x86-64's ABI has the thread pointer in the first word that it points to, and the C library sets it before any code of ours runs.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, pure, readonly, preserves_flags));
    }
    // SAFETY: any program may read this register.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, pure, nomem, preserves_flags));
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own() {
        let other = std::thread::spawn(thread_pointer);
        assert_eq!(thread_pointer(), thread_pointer());
        assert_ne!(other.join().unwrap(), thread_pointer());
    }
}
