//! The functions that the traced process finds instead of the C library's. Each does what the C library's does, by calling
//! it, and takes note.

#![cfg_attr(not(dlsoak_preload), allow(dead_code, unreachable_pub))]

pub(super) mod c;
mod fds;
mod heap;
mod mappings;
mod objects;
mod origin;
mod start;
mod threads;

use super::{layout, live};
