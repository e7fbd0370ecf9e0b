//! From a qualified name of C++, as people write it, to the mangled symbols that stand for it.

use dlsoak_record::file::{Export, ExportKind};

use super::mangled::demangled;

/// An exported function of a C++ name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overload<'f> {
    /// The mangled symbol.
    pub symbol: &'f str,
    /// What it takes, as its name has it; `None` where the name does not say.
    pub parameters: Option<usize>,
}

/// The exported functions that are called `name`, which has `::` in it. One for each list of parameters.
pub fn overloads<'f>(exports: &'f [Export], name: &str) -> Vec<Overload<'f>> {
    let wanted = name.trim_start_matches("::");
    // A mangled name spells each part.
    let part = wanted.rsplit("::").next().unwrap_or(wanted);
    let mut seen = Vec::new();
    let mut all = Vec::new();
    for export in exports {
        let symbol = &*export.name;
        if export.kind != ExportKind::Function || !symbol.starts_with('_') || !symbol.contains(part) {
            continue;
        }
        let whole = demangled(symbol);
        let (called, parameters) = split(&whole);
        // The complete and the base constructor are of one name.
        if called == wanted && !seen.contains(&whole.to_string()) {
            seen.push(whole.to_string());
            all.push(Overload { symbol, parameters: parameters.map(count) });
        }
    }
    all
}

/// The qualified names of all exported functions that have one.
pub fn qualified(exports: &[Export]) -> Vec<String> {
    let functions =
        exports.iter().filter(|one| one.kind == ExportKind::Function && one.name.starts_with("_Z"));
    let names = functions.map(|one| split(&demangled(&one.name)).0.to_owned());
    let mut names: Vec<String> = names.filter(|name| name.contains("::")).collect();
    names.dedup();
    names
}

/// The qualified name, and what is between its parentheses.
fn split(whole: &str) -> (&str, Option<&str>) {
    let mut depth = 0_u32;
    for (at, c) in whole.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            '(' if depth == 0 => {
                let name = whole[..at].split("[abi:").next().unwrap_or_default();
                let inside = whole[at + 1..].rsplit_once(')').map(|(inside, _)| inside);
                return (name, inside);
            }
            _ => {}
        }
    }
    (whole, None)
}

/// How many parameters there are in a list of them.
fn count(list: &str) -> usize {
    let mut depth = 0_u32;
    let mut commas = 0;
    for c in list.chars() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => commas += 1,
            _ => {}
        }
    }
    if matches!(list.trim(), "" | "void") { 0 } else { commas + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qualified_name_finds_its_mangled_ones() {
        let export = |name: &str, kind| Export { name: name.into(), kind };
        let function = ExportKind::Function;
        let exports = [
            export("_ZN5audio2goEi", function),
            export("_ZN5audio2goEiPKc", function),
            export("_ZN5audio2goE", ExportKind::Data),
            export("_ZN5audio6Player4playESt8functionIFviiEE", function),
            export("_ZN5audio6PlayerC1Ev", function),
            export("_ZN5audio6PlayerC2Ev", function),
            export("_ZN5audio7versionB5cxx11Ev", function),
            export("_Z2goi", function),
            export("go", function),
        ];
        let found = |name: &str| -> Vec<(String, Option<usize>)> {
            overloads(&exports, name).iter().map(|one| (one.symbol.to_owned(), one.parameters)).collect()
        };
        let one = |name: &str, parameters| vec![(name.to_owned(), Some(parameters))];
        assert_eq!(found("audio::go"), [one("_ZN5audio2goEi", 1), one("_ZN5audio2goEiPKc", 2)].concat());
        assert_eq!(found("::go"), one("_Z2goi", 1));
        assert_eq!(found("audio::Player::play"), one("_ZN5audio6Player4playESt8functionIFviiEE", 1));
        assert_eq!(found("audio::Player::Player"), one("_ZN5audio6PlayerC1Ev", 0));
        assert_eq!(found("audio::version"), one("_ZN5audio7versionB5cxx11Ev", 0));
        assert_eq!(found("audio::stop"), []);
    }
}
