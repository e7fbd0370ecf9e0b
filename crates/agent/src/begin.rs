//! Where the kernel, or the loader, begins with a program: what a C compiler's `crt1.o` does. That of glibc 2.34 and later needs a symbol
//! that older ones don't have.

use core::arch::global_asm;
use core::ffi::{c_char, c_int};

use crate::c;

#[cfg(dlsoak_program = "loop")]
use crate::bare::main;
#[cfg(dlsoak_program = "host")]
use crate::host::main;
#[cfg(dlsoak_program = "keeper")]
use crate::keeper::main;

// Stacks end here, with a function that returns to nowhere: the one frame of ours that is left when glibc has unwound `main`. What the
// loader wants to be called at the end is in a register.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    ".type _start,@function",
    "_start:",
    ".cfi_startproc",
    ".cfi_undefined rip",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "mov rsi, rdx",
    "and rsp, -16",
    "push 0",
    "jmp {begin}",
    ".cfi_endproc",
    ".size _start, .-_start",
    begin = sym begin
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    ".type _start,@function",
    "_start:",
    ".cfi_startproc",
    ".cfi_undefined x30",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x1, x0",
    "mov x0, sp",
    "b {begin}",
    ".cfi_endproc",
    ".size _start, .-_start",
    begin = sym begin
);

/// # Safety
/// The stack is what a program begins with: the number of arguments, these, null, the environment, and null.
unsafe extern "C" fn begin(stack: *const usize, end_of_loader: Option<extern "C" fn()>) -> ! {
    // SAFETY: the caller's contract.
    unsafe {
        let count = stack.read() as c_int;
        let arguments: *const *const c_char = stack.add(1).cast();
        // That of glibc does it before any constructor, and musl calls these from here on.
        #[cfg(all(dlsoak_musl, dlsoak_program = "host"))]
        crate::host::before_constructors(arguments.add(count as usize + 1).cast_mut());
        c::__libc_start_main(main, count, arguments, None, None, end_of_loader, stack.cast())
    }
}
