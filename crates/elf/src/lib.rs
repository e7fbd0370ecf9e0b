//! What ELF files say: will this one unload, what does it need, does it load here, where would the loader find what it needs, and
//! which function and source line is at a place in it. The facts themselves are [`dlsoak_record::file`].
//!
//! **Invariant:** nothing is executed or loaded, and no bytes whatever cause a panic. Only [`read_library`], [`digest`],
//! [`facts_of`], [`exporter`], [`Search`], [`lines`] and [`prototypes`] open files; all else works on bytes.

mod builds;
mod closure;
mod content;
mod exports;
mod image;
mod language;
mod ldcache;
pub mod lines;
mod linkage;
mod loadable;
mod mangled;
mod overloads;
mod predict;
pub mod prototypes;
mod read;
pub mod search;
mod sources;
pub mod stubs;
mod symbols;
#[cfg(test)]
mod tests;
mod toolchain;

pub use builds::{Difference, difference};
pub use closure::{Closure, Need, is_everywhere};
pub use dlsoak_record::file::{
    Class, Endian, ExportKind, Facts, Kind, Libc, Machine, Relro, Tls, Unreadable, VersionNeed,
};
pub use dlsoak_record::inspection::Problem;
pub use dlsoak_record::{Certainty, Prediction};
pub use exports::{Image, exporter};
pub use ldcache::Cache;
pub use linkage::{Offer, OfferKind, Refused, offers, stubs_for, wants};
pub use loadable::{Host, check_loadable, check_machine, check_relocations};
pub use overloads::{Overload, overloads, qualified};
pub use predict::{nodelete, predictions, unique};
pub use read::{digest, facts_of, read_at_most, read_library};
pub use search::Search;

/// Reads the facts from the whole content of a file. Whether the file can be loaded here is for [`check_loadable`] to say.
///
/// # Errors
///
/// Why it can't be read as ELF.
pub fn parse(data: &[u8]) -> Result<Facts, Unreadable> {
    image::parse(data)
}
