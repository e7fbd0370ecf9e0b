//! Pure facts of an ELF file, read from its bytes alone: will it unload, what does it need, does it load here.
//! Nothing is executed, and no bytes whatever make it panic. The facts themselves are [`crate::record::file`].

mod content;
mod image;
mod language;
mod loadable;
mod predict;
mod symbols;
#[cfg(test)]
mod tests;
mod toolchain;

pub use crate::record::file::{
    Class, Endian, ExportKind, Facts, Kind, Libc, Machine, Relro, Tls, Unreadable, VersionNeed,
};
pub use crate::record::inspection::Problem;
pub use crate::record::{Certainty, Prediction};
pub use loadable::{Host, check_loadable};
pub use predict::{nodelete, predictions, unique};

/// Reads the facts from the whole content of a file. Whether the file can be loaded here is for [`check_loadable`] to say.
///
/// # Errors
///
/// Why it can't be read as ELF.
pub fn parse(data: &[u8]) -> Result<Facts, Unreadable> {
    image::parse(data)
}
