//! One file's symbol tables and DWARF, in memory of their own.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::fmt;
use std::path::{Path, PathBuf};

use addr2line::Context;
use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};

use super::{Function, Reader, debug_file, dwarf, has_dwarf, readable};

/// What is known of a file.
pub(super) struct ObjectFile {
    path: PathBuf,
    /// Where each loaded part begins in the file, its length, and its address.
    segments: Vec<(u64, u64, u64)>,
    /// Addresses of code.
    code: Vec<std::ops::Range<u64>>,
    /// By address.
    symbols: Vec<Symbol>,
    variables: Vec<Symbol>,
    /// Read when the first function is asked for: of glibc's debug file it is 20 MB, and a variable's name needs none of it.
    dwarf: OnceCell<Option<Context<Reader>>>,
}

/// A function or variable by the symbol table.
#[derive(Debug)]
struct Symbol {
    address: u64,
    size: u64,
    name: Box<str>,
}

impl fmt::Debug for ObjectFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectFile").field("symbols", &self.symbols.len()).finish_non_exhaustive()
    }
}

impl ObjectFile {
    /// Reads a file; `None` where it is not there or no ELF file.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut file = Self {
            path: path.to_owned(),
            segments: Vec::new(),
            code: Vec::new(),
            symbols: Vec::new(),
            variables: Vec::new(),
            dwarf: OnceCell::new(),
        };
        with_objects(path, |object, is_apart| {
            if !is_apart {
                file.add_segments(object);
            }
            file.add_symbols(object);
        })?;
        // The last one at an address is the first to be tried: of several names the one with the fewest underscores, and
        // `_exit` rather than `_Exit`.
        let underscores = |name: &str| name.len() - name.trim_start_matches('_').len();
        let rank = |symbol: &Symbol| (symbol.address, symbol.size, Reverse(underscores(&symbol.name)));
        file.symbols.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
        file.variables.sort_by(|a, b| a.address.cmp(&b.address).then_with(|| a.name.cmp(&b.name)));
        Some(file)
    }

    fn add_segments(&mut self, object: &object::File<'_>) {
        for segment in object.segments() {
            let (offset, len) = segment.file_range();
            self.segments.push((offset, len, segment.address()));
            if matches!(segment.flags(), object::SegmentFlags::Elf { p_flags, .. } if p_flags.0 & object::elf::PF_X.0 != 0)
            {
                self.code.push(segment.address()..segment.address().saturating_add(segment.size()));
            }
        }
    }

    fn add_symbols(&mut self, object: &object::File<'_>) {
        for symbol in object.symbols().chain(object.dynamic_symbols()) {
            // Assembler has functions without a type.
            let list = match symbol.kind() {
                SymbolKind::Text | SymbolKind::Unknown => &mut self.symbols,
                SymbolKind::Data => &mut self.variables,
                _ => continue,
            };
            if symbol.is_definition()
                && let Ok(name) = symbol.name()
                && !name.is_empty()
                && !name.starts_with('$')
            {
                list.push(Symbol { address: symbol.address(), size: symbol.size(), name: name.into() });
            }
        }
    }

    fn dwarf(&self) -> Option<&Context<Reader>> {
        let read = || {
            let mut found = None;
            with_objects(&self.path, |object, _| found = dwarf(object));
            Context::from_dwarf(found?).ok()
        };
        self.dwarf.get_or_init(read).as_ref()
    }

    /// The address that a place in the file is loaded at, by the file's own count.
    pub(super) fn address(&self, offset: u64) -> Option<u64> {
        let (begin, _, address) = self
            .segments
            .iter()
            .find(|(begin, len, _)| (*begin..begin.saturating_add(*len)).contains(&offset))?;
        Some(address + (offset - begin))
    }

    /// The functions at an address, innermost first.
    pub(super) fn functions(&self, address: u64) -> Vec<Function> {
        let by_lines = self.dwarf().and_then(|dwarf| by_dwarf(dwarf, address)).unwrap_or_default();
        let symbol = self.symbol(address).map(|symbol| Function {
            name: Some(readable(&symbol.name)),
            offset: Some(address - symbol.address),
            ..Function::default()
        });
        match (by_lines, symbol) {
            (mut functions, symbol) if functions.iter().any(|function| function.name.is_some()) => {
                // DWARF has functions that are not exported by their bare name, the symbol table with all that is around.
                if let (Some(last), Some(symbol)) = (functions.last_mut(), symbol)
                    && symbol.name.as_ref().is_some_and(|whole| is_sharper(whole, last.name.as_deref()))
                {
                    last.name = symbol.name;
                }
                functions
            }
            // A line without a function: assembler.
            (functions, Some(symbol)) => match functions.into_iter().next() {
                Some(line) => vec![Function { file: line.file, line: line.line, ..symbol }],
                None => vec![symbol],
            },
            (functions, None) => functions,
        }
    }

    /// Whether there is code at the address.
    pub(super) fn is_code(&self, address: u64) -> bool {
        self.code.iter().any(|code| code.contains(&address))
    }

    /// The variable whose extent holds the address, and how far from its beginning that is.
    pub(super) fn variable(&self, address: u64) -> Option<(String, u64)> {
        let behind = self.variables.partition_point(|variable| variable.address <= address);
        let candidates = self.variables.get(..behind)?.iter().rev().take(16);
        let found = candidates.into_iter().find(|variable| address - variable.address < variable.size)?;
        Some((readable(&found.name), address - found.address))
    }

    /// The symbol whose extent holds the address. One without a size reaches to the next.
    fn symbol(&self, address: u64) -> Option<&Symbol> {
        let behind = self.symbols.partition_point(|symbol| symbol.address <= address);
        // Functions without a size may lie within one that has a size, and the other way round.
        let candidates = self.symbols.get(..behind)?.iter().rev().take(16);
        let next = self.symbols.get(behind).map_or(u64::MAX, |symbol| symbol.address);
        let nearest = self.symbols.get(..behind)?.last()?.address;
        candidates.into_iter().find(|symbol| match symbol.size {
            0 => symbol.address == nearest && next != u64::MAX,
            size => address - symbol.address < size,
        })
    }
}

/// Shows a file, and then the separate debug file of one that has no DWARF, for which `true` is passed; `None` where it is not there or no ELF
/// file. Neither is kept.
fn with_objects(path: &Path, mut show: impl FnMut(&object::File<'_>, bool)) -> Option<()> {
    let bytes = super::content(path)?;
    let object = object::File::parse(bytes.as_slice()).ok()?;
    show(&object, false);
    if !has_dwarf(&object)
        && let Some(bytes) = debug_file::content(&object, path)
        && let Ok(apart) = object::File::parse(bytes.as_slice())
    {
        show(&apart, true);
    }
    Some(())
}

/// Whether a demangled name says all that the other one does, and where it belongs.
fn is_sharper(whole: &str, bare: Option<&str>) -> bool {
    bare.is_none_or(|bare| whole.contains(&format!("::{bare}(")))
}

fn by_dwarf(dwarf: &Context<Reader>, address: u64) -> Option<Vec<Function>> {
    let mut frames = dwarf.find_frames(address).skip_all_loads().ok()?;
    let mut functions = Vec::new();
    while let Ok(Some(frame)) = frames.next() {
        let name = frame.function.as_ref().and_then(|name| name.raw_name().ok()).map(|name| readable(&name));
        let (file, line) =
            frame.location.map_or((None, None), |place| (place.file.map(str::to_owned), place.line));
        functions.push(Function { name, offset: None, file, line: line.filter(|l| *l > 0), inlined: true });
    }
    functions.last_mut()?.inlined = false;
    Some(functions)
}
