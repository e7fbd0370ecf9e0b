//! Names of D: the qualified name is kept, and the type behind it is only read, because it must follow the grammar to its end. Arguments
//! of templates are not spelt. The grammar is that of <https://dlang.org/spec/abi.html#name_mangling>.

/// How deep types and templates may lie in each other.
const DEEPEST: u32 = 100;

/// What `name` stands for; `None` where it does not follow the grammar.
pub(super) fn demangle(name: &str) -> Option<String> {
    let mut text = Text { bytes: name.as_bytes(), at: name.strip_prefix("_D").map(|_| 2)?, depth: 0 };
    let path = text.qualified()?;
    // What the compiler makes itself has no type.
    if !text.eat(b'Z') {
        text.method();
        text.type_of()?;
    }
    // A compiler may make several of a function, as `.part.0`.
    let is_whole = matches!(text.peek(), None | Some(b'.'));
    // A module has a name, so what is in it has two at least.
    (is_whole && path.len() >= 2).then(|| path.join("."))
}

/// A mangled name, read from the left.
struct Text<'n> {
    bytes: &'n [u8],
    at: usize,
    depth: u32,
}

impl<'n> Text<'n> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        self.at += usize::from(is_here);
        is_here
    }

    fn eat_any(&mut self, bytes: &[u8]) -> bool {
        self.peek().is_some_and(|byte| bytes.contains(&byte) && self.eat(byte))
    }

    fn starts_with(&self, text: &[u8]) -> bool {
        self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(text))
    }

    /// Runs a part of the grammar that may contain itself.
    fn deeper<T>(&mut self, part: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        let found = if self.depth < DEEPEST { part(self) } else { None };
        self.depth -= 1;
        found
    }

    fn number(&mut self) -> Option<usize> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        std::str::from_utf8(self.bytes.get(begin..self.at)?).ok()?.parse().ok()
    }

    /// Where a back reference points to.
    fn back(&mut self) -> Option<usize> {
        let here = self.at;
        self.eat(b'Q').then_some(())?;
        let mut distance: usize = 0;
        loop {
            let digit = self.peek()?;
            self.at += 1;
            let value =
                usize::from(digit.to_ascii_uppercase().checked_sub(b'A').filter(|value| *value < 26)?);
            distance = distance.checked_mul(26)?.checked_add(value)?;
            if digit.is_ascii_lowercase() {
                return here.checked_sub(distance).filter(|target| *target >= 2 && *target < here);
            }
        }
    }

    fn qualified(&mut self) -> Option<Vec<String>> {
        self.deeper(|text| {
            let mut path = Vec::new();
            loop {
                path.extend(text.symbol()?);
                let begin = text.at;
                // What is in a function has the function's parameters before it.
                text.method();
                if text.parameters().is_none() || !text.is_symbol() {
                    text.at = begin;
                }
                if !text.is_symbol() {
                    return Some(path);
                }
            }
        })
    }

    fn is_symbol(&mut self) -> bool {
        match self.peek() {
            Some(byte) if byte.is_ascii_digit() => true,
            Some(b'_') => self.starts_with(b"__T") || self.starts_with(b"__U"),
            // A reference to a type begins the same way.
            Some(b'Q') => {
                let begin = self.at;
                let target = self.back();
                self.at = begin;
                target.and_then(|target| self.bytes.get(target)).is_some_and(u8::is_ascii_digit)
            }
            _ => false,
        }
    }

    /// A part of a qualified name; empty where the part has no name.
    fn symbol(&mut self) -> Option<Option<String>> {
        if self.eat(b'0') {
            return Some(None);
        }
        if self.peek() == Some(b'_') {
            return self.template().map(Some);
        }
        if self.peek() == Some(b'Q') {
            let target = self.back()?;
            let back = Text { bytes: self.bytes, at: target, depth: self.depth }.identifier()?;
            return Some(Some(back));
        }
        self.identifier().map(Some)
    }

    /// A name with its length before it, or a template as it was mangled before D 2.077.
    fn identifier(&mut self) -> Option<String> {
        let length = self.number()?;
        let end = self.at.checked_add(length)?;
        let name = self.bytes.get(self.at..end)?;
        if name.starts_with(b"__T") || name.starts_with(b"__U") {
            let begin = self.at;
            match self.template() {
                Some(name) if self.at == end => return Some(name),
                _ => self.at = begin,
            }
        }
        self.at = end;
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
        let is_good = name.iter().all(is_name) && name.first().is_some_and(|byte| !byte.is_ascii_digit());
        let name = std::str::from_utf8(name).ok().filter(|_| is_good)?;
        Some(match name {
            "__ctor" => "this".to_owned(),
            "__dtor" => "~this".to_owned(),
            name => name.to_owned(),
        })
    }

    fn template(&mut self) -> Option<String> {
        self.deeper(|text| {
            let is_here = text.starts_with(b"__T") || text.starts_with(b"__U");
            is_here.then(|| text.at += 3)?;
            let name = text.symbol()??;
            while !text.eat(b'Z') {
                text.argument()?;
            }
            Some(format!("{name}!(...)"))
        })
    }

    /// An argument of a template.
    fn argument(&mut self) -> Option<()> {
        self.eat(b'H');
        let kind = self.peek()?;
        self.at += 1;
        match kind {
            b'T' => self.type_of(),
            b'V' => {
                self.type_of()?;
                self.value()
            }
            b'S' if self.starts_with(b"_D") => {
                self.at += 2;
                self.mangled()
            }
            b'S' => self.qualified().map(|_| ()),
            b'X' => {
                let length = self.number()?;
                self.skip(length)
            }
            _ => None,
        }
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.at = self.at.checked_add(length).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    /// A name with its type.
    fn mangled(&mut self) -> Option<()> {
        self.qualified()?;
        self.method();
        self.type_of()
    }

    fn value(&mut self) -> Option<()> {
        self.deeper(|text| {
            let kind = text.peek()?;
            if kind.is_ascii_digit() {
                return text.number().map(|_| ());
            }
            text.at += 1;
            match kind {
                b'n' => Some(()),
                b'i' | b'N' => text.number().map(|_| ()),
                b'e' => text.real(),
                b'c' => {
                    text.real()?;
                    text.eat(b'c').then_some(())?;
                    text.real()
                }
                b'a' | b'w' | b'd' => {
                    let digits = text.number()?.checked_mul(2)?;
                    text.eat(b'_').then_some(())?;
                    text.skip(digits)
                }
                b'A' | b'S' => (0..text.number()?).try_for_each(|_| text.value()),
                b'f' => {
                    text.starts_with(b"_D").then(|| text.at += 2)?;
                    text.mangled()
                }
                _ => None,
            }
        })
    }

    /// A floating-point number in hexadecimal.
    fn real(&mut self) -> Option<()> {
        if self.starts_with(b"NAN") || self.starts_with(b"INF") {
            return self.skip(3);
        }
        if self.starts_with(b"NINF") {
            return self.skip(4);
        }
        self.eat(b'N');
        while self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
            self.at += 1;
        }
        self.eat(b'P').then_some(())?;
        self.eat(b'N');
        self.number().map(|_| ())
    }

    /// What a method has before its parameters.
    fn method(&mut self) {
        if self.eat(b'M') {
            self.modifiers();
        }
    }

    fn modifiers(&mut self) {
        loop {
            if self.starts_with(b"Ng") {
                self.at += 2;
            } else if !self.eat_any(b"Oxy") {
                return;
            }
        }
    }

    /// A function's calling convention, attributes and parameters.
    fn parameters(&mut self) -> Option<()> {
        self.deeper(|text| {
            text.eat_any(b"FUWVRY").then_some(())?;
            // `Ng`, `Nh`, `Nk` and `Nn` begin a parameter.
            while text.peek() == Some(b'N')
                && text.bytes.get(text.at + 1).is_some_and(|byte| b"abcdefijlm".contains(byte))
            {
                text.at += 2;
            }
            while !text.eat_any(b"XYZ") {
                loop {
                    if text.starts_with(b"Nk") {
                        text.at += 2;
                    } else if !text.eat_any(b"MIJKL") {
                        break;
                    }
                }
                text.type_of()?;
            }
            Some(())
        })
    }

    fn type_of(&mut self) -> Option<()> {
        self.deeper(|text| {
            text.modifiers();
            match text.peek()? {
                b'Q' => text.back().map(|_| ()),
                b'A' | b'P' => {
                    text.at += 1;
                    text.type_of()
                }
                b'N' if text.starts_with(b"Nh") => {
                    text.at += 2;
                    text.type_of()
                }
                b'N' if text.starts_with(b"Nn") => text.skip(2),
                b'G' => {
                    text.at += 1;
                    text.number()?;
                    text.type_of()
                }
                b'H' => {
                    text.at += 1;
                    text.type_of()?;
                    text.type_of()
                }
                b'D' => {
                    text.at += 1;
                    text.modifiers();
                    if text.peek() == Some(b'Q') {
                        return text.back().map(|_| ());
                    }
                    text.parameters()?;
                    text.type_of()
                }
                b'F' | b'U' | b'W' | b'V' | b'R' | b'Y' => {
                    text.parameters()?;
                    text.type_of()
                }
                b'I' | b'C' | b'S' | b'E' | b'T' => {
                    text.at += 1;
                    text.qualified().map(|_| ())
                }
                b'B' => {
                    text.at += 1;
                    while !text.eat(b'Z') {
                        text.type_of()?;
                    }
                    Some(())
                }
                b'z' => {
                    text.at += 1;
                    text.eat_any(b"ik").then_some(())
                }
                _ => text.eat_any(b"vghstiklmfdeopjqrcbauwn").then_some(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn qualified_names_are_read() {
        for (name, text) in [
            ("_D4core6memory2GC7collectFNbZv", "core.memory.GC.collect"),
            ("_D6object6Object8toStringMFZAya", "object.Object.toString"),
            (
                "_D3std3csv12CSVException6__ctorMFNaNbNiNfAyaC6object9ThrowableQvmZCQCnQCmQCl",
                "std.csv.CSVException.this",
            ),
            ("_D3std5stdio__T7writelnTAyaZQnFNfQjZv", "std.stdio.writeln!(...).writeln"),
            ("_D3std4conv16__T5parseThTAxaZ5parseFKAxaZh", "std.conv.parse!(...).parse"),
            ("_D4main3runFiZ9__lambda2MFNaNbNiNfiZi", "main.run.__lambda2"),
            ("_D4main5tableHAyai", "main.table"),
            ("_D4main3runFZ6insideFZv.part.0", "main.run.inside"),
            (
                "_D3std12experimental9allocator15building_blocks24ascending_page_allocator12__ModuleInfoZ",
                "std.experimental.allocator.building_blocks.ascending_page_allocator.__ModuleInfo",
            ),
        ] {
            assert_eq!(demangle(name).as_deref(), Some(text), "{name}");
        }
    }

    #[test]
    fn what_does_not_follow_the_grammar_is_none() {
        for name in [
            "_D",
            "_D4main",
            "_D4mainZ",
            "_D4main3run",
            "_D4main3runF",
            "_D4main3runFZ",
            "_D4main3runFZvv",
            "_D4main3runQzv",
            "_D9main",
        ] {
            assert_eq!(demangle(name), None, "{name}");
        }
        assert_eq!(demangle(&format!("_D4main1x{}i", "P".repeat(1000))), None);
    }

    proptest! {
        #[test]
        fn no_name_breaks_it(name in "_D[0-9A-Za-z_]{0,40}", any: String) {
            let _ = demangle(&name);
            let _ = demangle(&format!("_D{any}"));
        }
    }
}
