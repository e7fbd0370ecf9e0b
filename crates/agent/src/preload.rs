//! The functions that a traced process finds instead of the C library's. Each does what the C library's does, by calling it, and
//! takes note of each resource when it is obtained, and forgets it when it is given back.

mod fds;
mod handles;
mod heap;
mod mappings;
mod objects;
mod origin;
mod start;
mod threads;
