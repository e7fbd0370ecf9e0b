//! The memory that `dlsoak` shares with the processes it starts, defined once for both sides: the [`channel`] between a
//! supervisor and the process it measures, the [`job`] that travels in it, the [`pointers`] that are left into what is gone, the
//! [`notes`] of a traced process, what is said to the [`keeper`] that stands between the two, and what the loader of a [`watch`]ed host
//! did.
//!
//! **Invariant:** only what is defined here crosses the process boundary. All of it is plain data: numbers, offsets, and bytes of
//! names. Nothing in it has to be parsed, nothing in it is a sentence, and any bytes are valid, because the library under test can
//! write over all of it. The crate needs no allocator and no other crate.

#![no_std]

/// Gives types whose variants have numbers the way back: what has a number, if anything has.
macro_rules! from_number {
    ($($type:ident::$name:ident($number:ty): $($variant:ident),*;)*) => {$(
        impl $type {
            /// What has this number, if anything has.
            #[must_use]
            pub fn $name(number: $number) -> Option<Self> {
                const ALL: &[$type] = &[$($type::$variant),*];
                ALL.iter().copied().find(|known| *known as $number == number)
            }
        }
    )*};
}

pub mod channel;
pub mod interface;
pub mod job;
pub mod keeper;
pub mod notes;
pub mod pointers;
pub mod watch;
