//! What a function takes and returns, as its DWARF has it, in the file or in a separate debug file. Found by the address of the
//! exported symbol, so that a name that the language, the linker or a version script changed does no harm.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;

use gimli::{
    AttributeValue, DebugInfoOffset, DebuggingInformationEntry, DwAt, DwLang, Reader as _, UnitHeader,
    UnitOffset,
};
use object::{Object, ObjectSymbol};

use dlsoak_record::units::{elide, printable};

use super::lines::{self, Reader};

/// How many references are followed from one entry to the next: of types, and of declarations.
const DEEPEST: usize = 32;
/// Longest name of a type or a file that is kept, in characters.
const LONGEST: usize = 120;

/// What a function takes and returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prototype {
    /// What it returns.
    pub returns: Type,
    /// What it takes, `this` included; `None` where C has only the empty parentheses of old.
    pub parameters: Option<Vec<Type>>,
    /// Whether further arguments may follow.
    pub variadic: bool,
    /// File name of its source, and line.
    pub place: Option<(String, u64)>,
}

/// A type, as far as a call has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// Its name, such as `int` or `struct z_stream_s *`.
    pub name: String,
    /// How it is passed.
    pub kind: Kind,
}

/// How a value is passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Not at all.
    Void,
    /// In an integer register.
    Integer {
        /// Bytes, at most 8.
        bytes: u8,
        /// Whether it can be negative.
        signed: bool,
    },
    /// In a floating-point register, as a C `float`.
    Float,
    /// In a floating-point register, as a C `double`.
    Double,
    /// In an integer register, as an address.
    Pointer(Target),
    /// In several registers, or in memory: a struct, a union, a `long double`.
    Whole {
        /// Bytes, where they are known.
        bytes: Option<u64>,
        /// Whether it is a class of C++, which may be returned in memory though it is small.
        class: bool,
    },
    /// It is not known.
    Unknown,
}

/// What a pointer points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A value of at most 8 bytes.
    Value {
        /// How it is read.
        floating: Option<Floating>,
    },
    /// A struct, a union, a class or an array of more than 8 bytes, or one whose size is not known here.
    Large,
    /// Something else, such as `void`.
    Any,
}

/// A floating-point type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floating {
    /// `float`
    Float,
    /// `double`
    Double,
}

/// The prototypes of exported functions of a file, by their symbols; `None` where no DWARF is found for it.
pub fn prototypes(file: &Path, symbols: &[&str]) -> Option<BTreeMap<String, Prototype>> {
    let bytes = lines::content(file)?;
    let object = object::File::parse(bytes.as_slice()).ok()?;
    let addresses = addresses(&object, symbols);
    let dwarf = lines::dwarf(&object).or_else(|| {
        let bytes = lines::apart(&object, file)?;
        lines::dwarf(&object::File::parse(bytes.as_slice()).ok()?)
    })?;
    Some(Units::new(&dwarf).prototypes(&addresses))
}

/// Where these functions are.
fn addresses<'s>(object: &object::File<'_>, symbols: &[&'s str]) -> HashMap<u64, Vec<&'s str>> {
    let mut addresses: HashMap<u64, Vec<&str>> = HashMap::new();
    for symbol in object.dynamic_symbols().filter(|symbol| symbol.is_definition()) {
        // The function at the address of an indirect one returns a function.
        let object::SymbolFlags::Elf { st_info, .. } = symbol.flags() else { continue };
        if st_info.0 & 0xf == object::elf::STT_GNU_IFUNC.0 {
            continue;
        }
        if let Some(name) = symbol.name().ok().and_then(|name| symbols.iter().find(|wanted| **wanted == name))
        {
            addresses.entry(symbol.address()).or_default().push(name);
        }
    }
    addresses
}

type Unit = gimli::Unit<Reader>;
type Value = AttributeValue<Reader>;
type Entry = DebuggingInformationEntry<Reader>;

/// An entry: its unit, and where it is in it.
type Place = (Rc<Unit>, UnitOffset);

/// All units, so that an entry of one can refer to one of another.
struct Units<'d> {
    dwarf: &'d gimli::Dwarf<Reader>,
    headers: Vec<UnitHeader<Reader>>,
    read: std::cell::RefCell<HashMap<usize, Rc<Unit>>>,
}

impl<'d> Units<'d> {
    fn new(dwarf: &'d gimli::Dwarf<Reader>) -> Self {
        let mut headers = Vec::new();
        let mut all = dwarf.units();
        while let Ok(Some(header)) = all.next() {
            headers.push(header);
        }
        Self { dwarf, headers, read: std::cell::RefCell::default() }
    }

    fn prototypes(&self, addresses: &HashMap<u64, Vec<&str>>) -> BTreeMap<String, Prototype> {
        let mut found = BTreeMap::new();
        for header in &self.headers {
            let Ok(unit) = self.dwarf.unit(header.clone()) else { continue };
            if !self.has_any(&unit, addresses) {
                continue;
            }
            let unit = Rc::new(unit);
            let mut entries = unit.entries();
            while let Ok(Some(entry)) = entries.next_dfs() {
                if entry.tag() != gimli::DW_TAG_subprogram {
                    continue;
                }
                let Some(names) = self.begin(&unit, entry).and_then(|begin| addresses.get(&begin)) else {
                    continue;
                };
                let Some(prototype) = self.prototype(&(unit.clone(), entry.offset())) else { continue };
                for name in names {
                    found.entry((*name).to_owned()).or_insert_with(|| prototype.clone());
                }
            }
        }
        found
    }

    /// Whether a unit has code at one of these addresses.
    fn has_any(&self, unit: &Unit, addresses: &HashMap<u64, Vec<&str>>) -> bool {
        let Ok(mut ranges) = self.dwarf.unit_ranges(unit) else { return false };
        while let Ok(Some(range)) = ranges.next() {
            if addresses.keys().any(|address| (range.begin..range.end).contains(address)) {
                return true;
            }
        }
        false
    }

    /// Where a function begins.
    fn begin(&self, unit: &Unit, entry: &Entry) -> Option<u64> {
        Some(self.dwarf.die_ranges(unit, entry).ok()?.next().ok()??.begin)
    }

    fn prototype(&self, place: &Place) -> Option<Prototype> {
        let language = language(&place.0);
        let returns = match self.attribute(place, gimli::DW_AT_type) {
            None => Type { name: "void".to_owned(), kind: Kind::Void },
            Some((unit, value)) => self.referred(&unit, &value, language),
        };
        let prototyped = self.attribute(place, gimli::DW_AT_prototyped).is_some();
        // An instance of what was inlined elsewhere has its parameters there.
        let inlined = self.link(place, gimli::DW_AT_abstract_origin);
        let whole = inlined.as_ref().unwrap_or(place);
        let (parameters, variadic) = self.parameters(whole, language);
        // Where only lines were asked for (-g1, line-tables-only), there are functions without parameters, and no types.
        if parameters.is_empty() && returns.kind == Kind::Void && !has_types(&whole.0) {
            return None;
        }
        Some(Prototype {
            returns,
            parameters: (prototyped || !is_c(language)).then_some(parameters),
            variadic,
            place: self.source(place),
        })
    }

    fn parameters(&self, (unit, offset): &Place, language: Option<DwLang>) -> (Vec<Type>, bool) {
        let (mut all, mut variadic) = (Vec::new(), false);
        let Ok(mut tree) = unit.entries_tree(Some(*offset)) else { return (all, variadic) };
        let Ok(root) = tree.root() else { return (all, variadic) };
        let mut children = root.children();
        while let Ok(Some(child)) = children.next() {
            match child.entry().tag() {
                gimli::DW_TAG_formal_parameter => {
                    let place = (unit.clone(), child.entry().offset());
                    all.push(match self.attribute(&place, gimli::DW_AT_type) {
                        Some((unit, value)) => self.referred(&unit, &value, language),
                        None => unknown(),
                    });
                }
                gimli::DW_TAG_unspecified_parameters => variadic = true,
                _ => {}
            }
        }
        (all, variadic)
    }

    /// An attribute of an entry, or of the one that it is an instance or the definition of.
    fn attribute(&self, place: &Place, name: DwAt) -> Option<(Rc<Unit>, Value)> {
        let mut place = place.clone();
        for _ in 0..DEEPEST {
            let entry = place.0.entry(place.1).ok()?;
            if let Some(value) = entry.attr_value(name) {
                return Some((place.0.clone(), value));
            }
            let next = self.link(&place, gimli::DW_AT_abstract_origin);
            place = next.or_else(|| self.link(&place, gimli::DW_AT_specification))?;
        }
        None
    }

    /// The entry that an attribute refers to.
    fn link(&self, (unit, offset): &Place, name: DwAt) -> Option<Place> {
        let value = unit.entry(*offset).ok()?.attr_value(name)?;
        self.place(unit, &value)
    }

    fn place(&self, unit: &Rc<Unit>, value: &Value) -> Option<Place> {
        match *value {
            AttributeValue::UnitRef(offset) => Some((unit.clone(), offset)),
            AttributeValue::DebugInfoRef(offset) => self.elsewhere(offset),
            _ => None,
        }
    }

    fn elsewhere(&self, offset: DebugInfoOffset) -> Option<Place> {
        let begins =
            |header: &UnitHeader<Reader>| header.debug_info_offset().map_or(usize::MAX, |begin| begin.0);
        let index = self.headers.partition_point(|header| begins(header) <= offset.0).checked_sub(1)?;
        let header = self.headers.get(index)?;
        let mut read = self.read.borrow_mut();
        let unit = match read.get(&index) {
            Some(unit) => unit.clone(),
            None => {
                let unit = Rc::new(self.dwarf.unit(header.clone()).ok()?);
                read.insert(index, unit.clone());
                unit
            }
        };
        let within = UnitOffset(offset.0.checked_sub(begins(header))?);
        Some((unit, within))
    }

    /// File name and line of a function.
    fn source(&self, place: &Place) -> Option<(String, u64)> {
        let (_, line) = self.attribute(place, gimli::DW_AT_decl_line)?;
        let (unit, file) = self.attribute(place, gimli::DW_AT_decl_file)?;
        let AttributeValue::FileIndex(file) = file else { return None };
        let header = unit.line_program.as_ref()?.header();
        let path = self.text(&unit, header.file(file)?.path_name())?;
        let name = path.rsplit('/').next()?.to_owned();
        Some((name, line.udata_value()?))
    }

    fn text(&self, unit: &Unit, value: Value) -> Option<String> {
        let text = self.dwarf.attr_string(unit, value).ok()?;
        Some(elide(&printable(&text.to_string_lossy().ok()?), LONGEST))
    }

    fn referred(&self, unit: &Rc<Unit>, value: &Value, language: Option<DwLang>) -> Type {
        self.place(unit, value).map_or_else(unknown, |place| self.typed(place, language, DEEPEST))
    }

    /// The type at an entry, which is made of others no deeper than this.
    fn typed(&self, mut place: Place, language: Option<DwLang>, depth: usize) -> Type {
        // The first name on the way is the one that the source has.
        let mut name: Option<String> = None;
        for _ in 0..DEEPEST {
            let (unit, offset) = place.clone();
            let Ok(entry) = unit.entry(offset) else { return unknown() };
            let own = || entry.attr_value(gimli::DW_AT_name).and_then(|value| self.text(&unit, value));
            let tag = entry.tag();
            match tag {
                gimli::DW_TAG_typedef => name = name.or_else(own),
                gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_restrict_type
                | gimli::DW_TAG_atomic_type
                | gimli::DW_TAG_immutable_type => {}
                _ => {
                    let of = || {
                        let place = self.link(&place, gimli::DW_AT_type)?;
                        Some(self.typed(place, language, depth.checked_sub(1)?))
                    };
                    return made(&entry, name, &own, &of, language);
                }
            }
            match self.link(&place, gimli::DW_AT_type) {
                Some(next) => place = next,
                // `const void`
                None => return Type { name: name.unwrap_or_else(|| "void".to_owned()), kind: Kind::Void },
            }
        }
        unknown()
    }
}

/// The type of an entry that is no other name of one: `named` is the name that it was reached by, `own` its own, `of` what it is made of.
fn made(
    entry: &Entry,
    named: Option<String>,
    own: &dyn Fn() -> Option<String>,
    of: &dyn Fn() -> Option<Type>,
    language: Option<DwLang>,
) -> Type {
    let bytes = entry.attr_value(gimli::DW_AT_byte_size).and_then(|value| value.udata_value());
    let name = |prefix: &str| {
        let own = || own().map(|own| format!("{prefix}{own}"));
        named.clone().or_else(own).unwrap_or_else(|| format!("{prefix}?"))
    };
    match entry.tag() {
        gimli::DW_TAG_base_type => {
            let encoding = match entry.attr_value(gimli::DW_AT_encoding) {
                Some(AttributeValue::Encoding(encoding)) => encoding,
                _ => return unknown(),
            };
            let kind = match (encoding, bytes) {
                (_, Some(0)) => Kind::Void,
                (gimli::DW_ATE_float, Some(4)) => Kind::Float,
                (gimli::DW_ATE_float, Some(8)) => Kind::Double,
                (gimli::DW_ATE_float | gimli::DW_ATE_complex_float, _) => Kind::Whole { bytes, class: false },
                (
                    gimli::DW_ATE_boolean
                    | gimli::DW_ATE_signed
                    | gimli::DW_ATE_signed_char
                    | gimli::DW_ATE_unsigned
                    | gimli::DW_ATE_unsigned_char
                    | gimli::DW_ATE_UTF,
                    Some(bytes @ (1 | 2 | 4 | 8)),
                ) => {
                    let signed = matches!(encoding, gimli::DW_ATE_signed | gimli::DW_ATE_signed_char);
                    Kind::Integer { bytes: bytes as u8, signed }
                }
                (_, Some(16)) => Kind::Whole { bytes, class: false },
                _ => Kind::Unknown,
            };
            Type { name: name(""), kind }
        }
        gimli::DW_TAG_enumeration_type => {
            let kind = match (of().map(|of| of.kind), bytes) {
                (Some(kind @ Kind::Integer { .. }), _) => kind,
                // C's own choice is `unsigned int` where nothing is negative, and values compare alike in both.
                (_, Some(bytes @ (1 | 2 | 4 | 8))) => Kind::Integer { bytes: bytes as u8, signed: true },
                _ => Kind::Unknown,
            };
            Type { name: name("enum "), kind }
        }
        gimli::DW_TAG_pointer_type | gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type => {
            let of = of().unwrap_or(Type { name: "void".to_owned(), kind: Kind::Void });
            let sign = if entry.tag() == gimli::DW_TAG_pointer_type { " *" } else { " &" };
            let name = named.clone().unwrap_or_else(|| format!("{}{sign}", of.name).replace("* *", "**"));
            let target = match of.kind {
                Kind::Whole { bytes: Some(..=8), .. } | Kind::Integer { .. } | Kind::Pointer(_) => {
                    Target::Value { floating: None }
                }
                Kind::Float => Target::Value { floating: Some(Floating::Float) },
                Kind::Double => Target::Value { floating: Some(Floating::Double) },
                Kind::Whole { .. } => Target::Large,
                Kind::Void | Kind::Unknown => Target::Any,
            };
            Type { name, kind: Kind::Pointer(target) }
        }
        gimli::DW_TAG_structure_type
        | gimli::DW_TAG_union_type
        | gimli::DW_TAG_class_type
        | gimli::DW_TAG_interface_type => {
            let is_union = entry.tag() == gimli::DW_TAG_union_type;
            let prefix = match (is_c(language), is_union) {
                (true, true) => "union ",
                (true, false) => "struct ",
                _ => "",
            };
            // What other languages call a struct may be passed as what it wraps.
            let kind = if is_c(language) || is_cpp(language) {
                Kind::Whole { bytes, class: is_cpp(language) }
            } else {
                Kind::Unknown
            };
            Type { name: name(prefix), kind }
        }
        gimli::DW_TAG_array_type => {
            Type { name: name("array "), kind: Kind::Whole { bytes: None, class: false } }
        }
        _ => unknown(),
    }
}

fn unknown() -> Type {
    Type { name: "?".to_owned(), kind: Kind::Unknown }
}

fn has_types(unit: &Unit) -> bool {
    let mut entries = unit.entries();
    while let Ok(Some(entry)) = entries.next_dfs() {
        if matches!(entry.tag(), gimli::DW_TAG_base_type | gimli::DW_TAG_pointer_type) {
            return true;
        }
    }
    false
}

fn language(unit: &Unit) -> Option<DwLang> {
    let mut entries = unit.entries();
    let root = entries.next_dfs().ok()??;
    match root.attr_value(gimli::DW_AT_language)? {
        AttributeValue::Language(language) => Some(language),
        _ => None,
    }
}

/// C of any year: 89, all, 99, 11, 17, 23.
fn is_c(language: Option<DwLang>) -> bool {
    language.is_some_and(|language| matches!(language.0, 0x01 | 0x02 | 0x0c | 0x1d | 0x2c | 0x3e))
}

/// C++ of any year: all, 03, 11, 14, 17, 20, 23.
fn is_cpp(language: Option<DwLang>) -> bool {
    language.is_some_and(|language| matches!(language.0, 0x04 | 0x19 | 0x1a | 0x21 | 0x2a | 0x2b | 0x3a))
}
