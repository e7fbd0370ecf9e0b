//! What binds a program and the libraries that it loads: the symbols that it offers to them, and those that a file takes from
//! others.

use std::collections::BTreeSet;

use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, Sym};

use super::image::{Image, damaged};
use super::stubs::{Stub, StubKind};
use super::symbols;
use super::{Class, Unreadable};
use dlsoak_record::file::Damage;

/// Most versions of symbols that are kept; glibc has some 40.
const MAX_VERSIONS: usize = 4096;

/// The largest alignment of a variable that matters: that of a page.
const MAX_ALIGN: u64 = 4096;

/// A symbol that a program offers to the libraries that it loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub name: String,
    /// The version that the program gives it.
    pub version: Option<String>,
    /// What it is.
    pub kind: OfferKind,
}

/// What a symbol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferKind {
    /// A function.
    Function,
    /// A variable, or a constant.
    Data {
        /// Its size in bytes.
        size: u64,
        /// What its address is a multiple of, a power of two.
        align: u64,
    },
    /// A variable that each thread has for itself.
    ThreadLocal,
    /// A function that another one chooses as the program starts (`STT_GNU_IFUNC`).
    Indirect,
}

/// The symbols that a program offers, in the order of its file; none where it was not linked to offer any.
///
/// # Errors
/// Why the file can't be read.
pub fn offers(data: &[u8]) -> Result<Vec<Offer>, Unreadable> {
    match class(data) {
        Class::Bits32 => of_image(&Image::<elf::FileHeader32<Endianness>>::open(data)?),
        Class::Bits64 => of_image(&Image::<elf::FileHeader64<Endianness>>::open(data)?),
    }
}

/// The names of the symbols that a file takes from others, those that it can do without included; each once, sorted.
///
/// # Errors
/// Why the file can't be read.
pub fn wants(data: &[u8]) -> Result<Vec<String>, Unreadable> {
    match class(data) {
        Class::Bits32 => wanted_by(&Image::<elf::FileHeader32<Endianness>>::open(data)?),
        Class::Bits64 => wanted_by(&Image::<elf::FileHeader64<Endianness>>::open(data)?),
    }
}

/// Functions that all of a process must take from the same place: what one of them hands out, another takes back.
const ALLOCATOR: [&str; 11] = [
    "malloc",
    "free",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "malloc_usable_size",
];

/// A symbol of a program that no stub can stand in for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The program has an allocator of its own.
    #[error("it has its own `{0}`, and what a library leaves in that allocator can't be measured in another")]
    Allocator(String),
    /// A variable that each thread has for itself.
    #[error("the library needs its thread-local variable `{0}`, and no stub can stand in for one")]
    ThreadLocal(String),
    /// A function that is chosen as the program starts.
    #[error(
        "the library needs its function `{0}`, which the program chooses as it starts (IFUNC), and no stub can do that"
    )]
    Indirect(String),
}

/// The stubs that stand in for a program: of what it offers, those that are wanted and that nobody else `has`.
///
/// # Errors
/// The first symbol that no stub can stand in for.
pub fn stubs_for(
    offers: Vec<Offer>,
    wanted: &BTreeSet<String>,
    has: impl Fn(&str) -> bool,
) -> Result<Vec<Stub>, Refused> {
    let mut stubs = Vec::new();
    for Offer { name, version, kind } in offers {
        if !wanted.contains(&name) {
            continue;
        }
        // The C library has these as well, and still the program's are those that a library gets.
        let is_code = matches!(kind, OfferKind::Function | OfferKind::Indirect);
        if is_code && ALLOCATOR.contains(&name.as_str()) {
            return Err(Refused::Allocator(name));
        }
        if has(&name) {
            continue;
        }
        let kind = match kind {
            OfferKind::Function => StubKind::Function,
            OfferKind::Data { size, align } => StubKind::Data { size, align },
            OfferKind::ThreadLocal => return Err(Refused::ThreadLocal(name)),
            OfferKind::Indirect => return Err(Refused::Indirect(name)),
        };
        stubs.push(Stub { name, version, kind });
    }
    Ok(stubs)
}

/// The class that the file claims to be of; what it is not, its header says.
fn class(data: &[u8]) -> Class {
    if data.get(4) == Some(&1) { Class::Bits32 } else { Class::Bits64 }
}

fn wanted_by<Elf: FileHeader<Endian = Endianness>>(
    image: &Image<'_, Elf>,
) -> Result<Vec<String>, Unreadable> {
    let mut names = Names::of(image);
    let mut wanted = Vec::new();
    for symbol in symbols::table(image)?.iter().skip(1) {
        if symbol.is_undefined(image.endian)
            && let Some(name) = names.get(symbol.st_name(image.endian).into())?
            && !name.is_empty()
        {
            wanted.push(name);
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    Ok(wanted)
}

fn of_image<Elf: FileHeader<Endian = Endianness>>(image: &Image<'_, Elf>) -> Result<Vec<Offer>, Unreadable> {
    let mut names = Names::of(image);
    let versions = versions(image);
    let indices = image.value(elf::DT_VERSYM).and_then(|address| image.at(address)).unwrap_or_default();
    let extent = image.extent();
    let mut offers = Vec::new();
    for (index, symbol) in symbols::table(image)?.iter().enumerate().skip(1) {
        if symbol.is_undefined(image.endian) || !symbols::is_exported(symbol, image.endian) {
            continue;
        }
        let name = names.get(symbol.st_name(image.endian).into())?;
        let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
        let address: u64 = symbol.st_value(image.endian).into();
        let kind = match symbol.st_info().st_type() {
            elf::STT_TLS => OfferKind::ThreadLocal,
            elf::STT_GNU_IFUNC => OfferKind::Indirect,
            elf::STT_FUNC => OfferKind::Function,
            elf::STT_NOTYPE if image.is_code(address) => OfferKind::Function,
            _ => OfferKind::Data {
                size: symbol.st_size(image.endian).into().min(extent),
                align: 1 << address.trailing_zeros().min(MAX_ALIGN.trailing_zeros()),
            },
        };
        let version = indices.get(2 * index..2 * index + 2).and_then(|two| two.first_chunk());
        let version = version.map(|two| image.half(*two) & elf::VERSYM_VERSION);
        let version = version.and_then(|version| versions.iter().find(|(own, _)| *own == version));
        offers.push(Offer { name, version: version.map(|(_, name)| name.clone()), kind });
    }
    Ok(offers)
}

/// The versions that a file defines, by their numbers; not the one that stands for the file itself.
fn versions<Elf: FileHeader<Endian = Endianness>>(image: &Image<'_, Elf>) -> Vec<(u16, String)> {
    let mut all = Vec::new();
    let mut rest = image.value(elf::DT_VERDEF).and_then(|address| image.at(address)).unwrap_or_default();
    while let Some(definition) = super::image::head::<elf::Verdef<Endianness>>(rest) {
        let aux = rest.get(definition.vd_aux.get(image.endian) as usize..).unwrap_or_default();
        let name = super::image::head::<elf::Verdaux<Endianness>>(aux)
            .and_then(|aux| image.text(aux.vda_name.get(image.endian).into()));
        let index = definition.vd_ndx.get(image.endian).0;
        if let Some(name) = name.filter(|_| index > elf::VER_NDX_GLOBAL.0) {
            all.push((index, name));
        }
        let next = definition.vd_next.get(image.endian) as usize;
        if next == 0 || all.len() == MAX_VERSIONS {
            break;
        }
        rest = rest.get(next..).unwrap_or_default();
    }
    all
}

/// The names of a file's symbols. They share the bytes of the string table at most a few times; a damaged table might have each symbol
/// name the same 32 KiB.
struct Names<'a, 'data, Elf: FileHeader<Endian = Endianness>> {
    image: &'a Image<'data, Elf>,
    budget: usize,
}

impl<'a, 'data, Elf: FileHeader<Endian = Endianness>> Names<'a, 'data, Elf> {
    fn of(image: &'a Image<'data, Elf>) -> Self {
        Self { image, budget: image.data.len() }
    }

    fn get(&mut self, offset: u64) -> Result<Option<String>, Unreadable> {
        let Some(name) = self.image.string(offset) else { return Ok(None) };
        self.budget = self.budget.checked_sub(name.len()).ok_or(damaged(Damage::SharedNames))?;
        Ok(Some(String::from_utf8_lossy(name).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: &str, kind: OfferKind) -> Offer {
        Offer { name: name.to_owned(), version: None, kind }
    }

    #[test]
    fn this_program_wants_what_the_c_library_has() {
        let wanted = wants(&std::fs::read("/proc/self/exe").unwrap()).unwrap();
        assert!(wanted.is_sorted() && wanted.iter().any(|name| name == "malloc"), "{wanted:?}");
    }

    #[test]
    fn stubs_are_for_what_is_wanted_and_nobody_else_has() {
        use OfferKind::{Data, Function, Indirect, ThreadLocal};
        let data = Data { size: 8, align: 8 };
        let stubs = |offers: &[(&str, OfferKind)], wanted: &[&str]| {
            let offers = offers.iter().map(|(name, kind)| offer(name, *kind)).collect();
            let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
            stubs_for(offers, &wanted, |name| ["stdout", "malloc"].contains(&name))
        };
        let all = [("f", Function), ("v", data), ("g", Function), ("stdout", data), ("t", ThreadLocal)];
        let found = stubs(&all, &["f", "v", "stdout", "other"]).unwrap();
        let kinds: Vec<_> = found.iter().map(|stub| (stub.name.as_str(), stub.kind)).collect();
        assert_eq!(kinds, [("f", StubKind::Function), ("v", StubKind::Data { size: 8, align: 8 })]);
        assert_eq!(stubs(&all, &["f", "t"]), Err(Refused::ThreadLocal("t".to_owned())));
        assert_eq!(stubs(&[("i", Indirect)], &["i"]), Err(Refused::Indirect("i".to_owned())));
        // The C library has malloc, too, and still the program's is the one that counts. A pointer to it is something else.
        assert_eq!(stubs(&[("malloc", Function)], &["malloc"]), Err(Refused::Allocator("malloc".to_owned())));
        assert_eq!(stubs(&[("malloc", Function)], &["f"]), Ok(Vec::new()));
        assert_eq!(stubs(&[("malloc", data)], &["malloc"]), Ok(Vec::new()));
    }
}
