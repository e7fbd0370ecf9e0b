//! What the parts of a file that the loader does not need say of the languages it was written in: DWARF of each unit, and the source files
//! in the symbol table.

use std::borrow::Cow;

use gimli::{EndianSlice, RunTimeEndian};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::language::{Marks, of_unit};

/// Units of DWARF, and symbols, that are looked at.
const MAX_UNITS: usize = 4096;
const MAX_SYMBOLS: usize = 1 << 20;

/// Bytes of a section, compressed or not, that are looked at.
const LARGEST: u64 = 1 << 28;

type Slice<'data> = EndianSlice<'data, RunTimeEndian>;

/// Adds the languages of units and of source files.
pub(super) fn add(data: &[u8], marks: &mut Marks) {
    let Ok(object) = object::File::parse(data) else { return };
    for symbol in object.symbols().take(MAX_SYMBOLS).filter(|symbol| symbol.kind() == SymbolKind::File) {
        if let Ok(name) = symbol.name() {
            marks.add_source(name);
        }
    }
    if object.section_by_name(".debug_info").is_some_and(|section| section.size() > 0) {
        let _ = units(&object, marks);
    }
}

fn units(object: &object::File<'_>, marks: &mut Marks) -> gimli::Result<()> {
    let sections = gimli::DwarfSections::load(|id| -> gimli::Result<Cow<'_, [u8]>> {
        // The rest is for lines and addresses.
        let wanted = matches!(
            id,
            gimli::SectionId::DebugInfo
                | gimli::SectionId::DebugAbbrev
                | gimli::SectionId::DebugStr
                | gimli::SectionId::DebugLineStr
                | gimli::SectionId::DebugStrOffsets
        );
        let section = object.section_by_name(id.name()).filter(|section| wanted && section.size() <= LARGEST);
        let small = section
            .filter(|section| section.compressed_data().is_ok_and(|data| data.uncompressed_size <= LARGEST));
        Ok(small.and_then(|section| section.uncompressed_data().ok()).unwrap_or_default())
    })?;
    let endian = if object.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let dwarf = sections.borrow(|section| EndianSlice::new(section, endian));
    let mut headers = dwarf.units();
    for _ in 0..MAX_UNITS {
        let Some(header) = headers.next()? else { break };
        let _ = unit(&dwarf, header, marks);
    }
    Ok(())
}

fn unit(
    dwarf: &gimli::Dwarf<Slice<'_>>,
    header: gimli::UnitHeader<Slice<'_>>,
    marks: &mut Marks,
) -> gimli::Result<()> {
    let abbreviations = dwarf.abbreviations(&header)?;
    let mut entries = header.entries(&abbreviations);
    let Some(root) = entries.next_dfs()? else { return Ok(()) };
    let Some(gimli::AttributeValue::Language(language)) = root.attr_value(gimli::DW_AT_language) else {
        return Ok(());
    };
    let text = |name| {
        let text = match root.attr_value(name)? {
            gimli::AttributeValue::String(text) => Some(text),
            gimli::AttributeValue::DebugStrRef(at) => dwarf.debug_str.get_str(at).ok(),
            gimli::AttributeValue::DebugLineStrRef(at) => dwarf.debug_line_str.get_str(at).ok(),
            // Behind the header of 8 bytes, where there is one unit; others have their own base.
            gimli::AttributeValue::DebugStrOffsetsIndex(index) => {
                let base = match root.attr_value(gimli::DW_AT_str_offsets_base) {
                    Some(gimli::AttributeValue::DebugStrOffsetsBase(base)) => base,
                    _ => gimli::DebugStrOffsetsBase::default_for_encoding_and_file(
                        header.encoding(),
                        dwarf.file_type,
                    ),
                };
                let at = dwarf.debug_str_offsets.get_str_offset(header.format(), base, index).ok()?;
                dwarf.debug_str.get_str(at).ok()
            }
            _ => None,
        };
        text.map(|text| text.to_string_lossy())
    };
    let (producer, name) = (text(gimli::DW_AT_producer), text(gimli::DW_AT_name));
    let (producer, name) = (producer.unwrap_or_default(), name.unwrap_or_default());
    marks.add_source(&name);
    if let Some(language) = of_unit(language.0, &producer, &name) {
        marks.add_unit(language, &producer);
    }
    Ok(())
}
