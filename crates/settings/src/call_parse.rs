//! The parser behind [`crate::call::Call`]: one pass over the text, one place where each error is worded. Kept
//! apart from the types so that each file can be read in one sitting.

use std::ffi::CString;

use crate::call::{
    Arg, Call, CallError, Check, Comparison, Keeps, MAX_FLOATS, MAX_INTEGERS, MAX_TEXT, Name, Reading,
};

/// Reads one call expression from left to right.
pub(super) struct Parser<'a> {
    text: &'a str,
    /// Byte offset of the next character.
    at: usize,
}

type Result<T> = std::result::Result<T, CallError>;

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// `[[double|float] name =] function[(arg, ...)] [check]`, and nothing after it.
    pub(super) fn call(mut self) -> Result<Call> {
        if self.text.len() > MAX_TEXT {
            return self.fail(0, format!("a call expression has at most {MAX_TEXT} bytes"));
        }
        let keeps = self.keeps()?;
        let begin = self.at;
        let symbol = self.function()?;
        let (mut args, mut columns) = (Vec::new(), Vec::new());
        let mut end = self.at;
        self.skip_spaces();
        if self.take('(') {
            self.args(&mut args, &mut columns)?;
            end = self.at;
            self.skip_spaces();
        } else if self.peek() == Some('@') {
            return self.expected("`(` (dlsoak looks up a symbol without its version)");
        }
        let check = self.check()?;
        self.skip_spaces();
        match self.peek() {
            None => {}
            Some(_) if check.is_some() => return self.expected("the end of the check"),
            Some(_) if self.text.get(begin..end).is_some_and(|called| called.ends_with(')')) => {
                return self.expected("a check such as `== 0`, or the end of the call");
            }
            Some(_) => return self.expected("`(`, a check such as `== 0`, or the end of the call"),
        }
        Ok(Call { text: self.text.to_owned(), keeps, symbol, args, columns, check, called: begin..end })
    }

    /// `name =`, `double name =` or `float name =`; takes nothing where there is none.
    fn keeps(&mut self) -> Result<Option<Keeps>> {
        let begin = self.at;
        let first = self.take_while(is_symbol);
        self.skip_spaces();
        let declared = match first {
            "double" => Some(Reading::Double),
            "float" => Some(Reading::Float),
            _ => None,
        };
        if self.takes_assignment() {
            let name = self.name(begin, first)?;
            self.skip_spaces();
            return Ok(Some(Keeps { name, declared: None }));
        }
        let at = self.at;
        let second = self.take_while(is_symbol);
        self.skip_spaces();
        if !first.is_empty() && !second.is_empty() && self.takes_assignment() {
            if declared.is_none() {
                return self.fail(begin, "only `double` and `float` can stand before the name of a result");
            }
            let name = self.name(at, second)?;
            self.skip_spaces();
            return Ok(Some(Keeps { name, declared }));
        }
        self.at = begin;
        Ok(None)
    }

    /// Takes one `=` that is no part of `==`.
    fn takes_assignment(&mut self) -> bool {
        let found = self.rest().starts_with('=') && !self.rest().starts_with("==");
        self.at += usize::from(found);
        found
    }

    /// The name of a result that stands at byte offset `at`.
    fn name(&self, at: usize, text: &str) -> Result<Name> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(plain) {
            return self
                .fail(at, "the name of a result has letters, digits and `_`, and begins with no digit");
        }
        if RESERVED.contains(&text) {
            return self.fail(at, format!("`{text}` can't be the name of a result"));
        }
        Ok(Name { text: text.to_owned(), column: self.column(at) })
    }

    /// A C name, a mangled one, or names of C++ with `::` between them.
    fn function(&mut self) -> Result<String> {
        let begin = self.at;
        if self.rest().starts_with("::") {
            self.at += 2;
        }
        self.symbol()?;
        while self.rest().starts_with("::") {
            self.at += 2;
            self.symbol()?;
        }
        Ok(self.text.get(begin..self.at).unwrap_or_default().to_owned())
    }

    /// `== value` and the like; `None` where nothing of the kind follows.
    fn check(&mut self) -> Result<Option<Check>> {
        let begin = self.at;
        let signs = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let Some((sign, comparison)) = signs.into_iter().find(|(sign, _)| self.rest().starts_with(sign))
        else {
            if self.peek() == Some('=') {
                return self.expected("a comparison (==, !=, <, <=, >, >=)");
            }
            return Ok(None);
        };
        self.at += sign.len();
        self.skip_spaces();
        let at = self.at;
        let (value, reading) = match self.peek() {
            Some('"') => return self.fail(at, "a result can't be compared with a string"),
            Some('&') => return self.fail(at, "a result can't be compared with an out-parameter"),
            Some(c) if starts_symbol(c) || is_value(c) => self.value()?,
            _ => return self.expected("a value (integer, float, null, true, false or the name of a result)"),
        };
        let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if ordered && value == Arg::Null {
            return self.fail(at, "null can be compared with == and != only");
        }
        let text = self.text.get(begin..self.at).unwrap_or_default().to_owned();
        Ok(Some(Check { comparison, value, reading, text, column: self.column(begin) }))
    }

    /// One symbol name, and nothing before or after it.
    pub(super) fn lone_symbol(mut self) -> Result<()> {
        self.symbol()?;
        if self.peek().is_some() { self.expected("the end of the symbol name") } else { Ok(()) }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Takes the characters that `keep` accepts, and returns them.
    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = rest.find(|c| !keep(c)).map_or(rest, |end| &rest[..end]);
        self.at += taken.len();
        taken
    }

    fn skip_spaces(&mut self) {
        self.take_while(char::is_whitespace);
    }

    /// The error at byte offset `at`.
    fn fail<T>(&self, at: usize, problem: impl Into<String>) -> Result<T> {
        Err(CallError { column: self.column(at), problem: problem.into() })
    }

    /// The column of the character at byte offset `at`.
    fn column(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).chars().count() + 1
    }

    /// The error that says what should stand here, and what does.
    fn expected<T>(&self, what: &str) -> Result<T> {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(c) => format!("`{}`", c.escape_debug()),
        };
        self.fail(self.at, format!("expected {what}, found {found}"))
    }

    fn symbol(&mut self) -> Result<String> {
        if !self.peek().is_some_and(starts_symbol) {
            return self.expected("the name of a symbol");
        }
        Ok(self.take_while(is_symbol).to_owned())
    }

    /// The arguments after `(`, up to and with `)`.
    fn args(&mut self, args: &mut Vec<Arg>, columns: &mut Vec<usize>) -> Result<()> {
        self.skip_spaces();
        if self.take(')') {
            return Ok(());
        }
        let (mut integers, mut floats) = (0, 0);
        loop {
            self.skip_spaces();
            let start = self.at;
            let arg = self.arg()?;
            if arg.is_floating() {
                floats += 1;
            } else {
                integers += 1;
            }
            if integers > MAX_INTEGERS {
                return self.fail(
                    start,
                    format!(
                        "a call takes at most {MAX_INTEGERS} integer, string and null arguments, because they are \
                         passed in registers"
                    ),
                );
            }
            if floats > MAX_FLOATS {
                return self.fail(
                    start,
                    format!(
                        "a call takes at most {MAX_FLOATS} floating-point arguments, because they are passed in \
                         registers"
                    ),
                );
            }
            args.push(arg);
            columns.push(self.column(start));
            self.skip_spaces();
            if self.take(')') {
                return Ok(());
            }
            if !self.take(',') {
                return self.expected("`,` or `)`");
            }
        }
    }

    fn arg(&mut self) -> Result<Arg> {
        match self.peek() {
            Some('"') => self.string(),
            Some('&') => {
                self.at += 1;
                let at = self.at;
                let name = self.take_while(is_symbol);
                self.name(at, name).map(Arg::Out)
            }
            Some(c) if starts_symbol(c) || is_value(c) => self.value().map(|(value, _)| value),
            _ => self.expected(
                "an argument (integer, float, \"string\", null, true, false, the name of a result, or &out)",
            ),
        }
    }

    /// A value that may be compared with a result, and how the result is read then: by the type that the value has in C.
    fn value(&mut self) -> Result<(Arg, Option<Reading>)> {
        const BYTE: Reading = Reading::Integer { bytes: 1, signed: false };
        match self.peek() {
            Some('\'') => Ok((self.character()?, Some(BYTE))),
            Some(c) if starts_symbol(c) && c != '.' => {
                let start = self.at;
                Ok(match self.take_while(is_symbol) {
                    "null" | "NULL" | "nullptr" => (Arg::Null, Some(Reading::Pointer)),
                    "true" => (Arg::Int(1), Some(BYTE)),
                    "false" => (Arg::Int(0), Some(BYTE)),
                    word => (Arg::Result(self.name(start, word)?), None),
                })
            }
            _ => {
                let begin = self.at;
                let number = self.number()?;
                let reading = match number {
                    Arg::Double(_) => Reading::Double,
                    Arg::Float(_) => Reading::Float,
                    _ => self.integer_type(&number, begin)?,
                };
                Ok((number, Some(reading)))
            }
        }
    }

    /// The type that C gives an integer that begins at byte offset `begin`, once the suffix is taken.
    fn integer_type(&mut self, number: &Arg, begin: usize) -> Result<Reading> {
        let at = self.at;
        let suffix = self.take_while(|c| matches!(c, 'u' | 'U' | 'l' | 'L')).to_ascii_lowercase();
        let (unsigned, long) = match suffix.as_str() {
            "" => (false, false),
            "u" => (true, false),
            "l" => (false, true),
            "ul" | "lu" => (true, true),
            _ => return self.fail(at, "the suffix of an integer is u, l or ul"),
        };
        let literal = self.text.get(begin..at).unwrap_or_default();
        let is_hexadecimal = literal.contains(['x', 'X']);
        let integer = |bytes, signed| Reading::Integer { bytes, signed };
        Ok(match *number {
            Arg::Int(value) if !long && !unsigned && i32::try_from(value).is_ok() => Reading::INT,
            Arg::Int(value) if !long && (unsigned || is_hexadecimal) && u32::try_from(value).is_ok() => {
                integer(4, false)
            }
            Arg::Int(_) => integer(8, !unsigned),
            _ => integer(8, false),
        })
    }

    fn number(&mut self) -> Result<Arg> {
        let start = self.at;
        let negative = self.peek() == Some('-');
        if negative || self.peek() == Some('+') {
            self.at += 1;
        }
        if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit() || c == '_');
            return self.integer(start, negative, digits, 16);
        }
        let whole_at = self.at;
        let whole = self.take_while(|c| c.is_ascii_digit() || c == '_');
        let mut floating = false;
        let mut digits = whole.bytes().any(|b| b.is_ascii_digit());
        if self.take('.') {
            floating = true;
            digits |= !self.take_while(|c| c.is_ascii_digit()).is_empty();
        }
        if !digits {
            return self.expected("a digit");
        }
        if self.take('e') || self.take('E') {
            floating = true;
            if !self.take('-') {
                self.take('+');
            }
            if self.take_while(|c| c.is_ascii_digit()).is_empty() {
                return self.expected("the digits of an exponent");
            }
        }
        if !floating {
            self.at = whole_at + whole.len();
            return self.integer(start, negative, whole, 10);
        }
        let literal = self.text.get(start..self.at).unwrap_or_default().replace('_', "");
        let (arg, finite) = if self.take('f') || self.take('F') {
            literal.parse::<f32>().map(|v| (Arg::Float(v), v.is_finite()))
        } else {
            literal.parse::<f64>().map(|v| (Arg::Double(v), v.is_finite()))
        }
        .or_else(|_| self.fail(start, "this is not a number"))?;
        if finite { Ok(arg) } else { self.fail(start, "this number is too large for its type") }
    }

    fn integer(&self, start: usize, negative: bool, digits: &str, radix: u32) -> Result<Arg> {
        let digits = digits.replace('_', "");
        if digits.is_empty() {
            return self.expected(if radix == 16 { "a hexadecimal digit" } else { "a digit" });
        }
        let arg = u64::from_str_radix(&digits, radix).ok().and_then(|size| {
            if negative {
                0_i64.checked_sub_unsigned(size).map(Arg::Int)
            } else {
                Some(i64::try_from(size).map_or(Arg::Unsigned(size), Arg::Int))
            }
        });
        arg.map_or_else(|| self.fail(start, "this integer does not fit in 64 bits"), Ok)
    }

    /// `'c'`: one ASCII character. Above ASCII the value of a C `char` depends on the machine.
    fn character(&mut self) -> Result<Arg> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        match self.peek() {
            None | Some('\'') => return self.expected("a character"),
            Some('\\') => self.escape(&mut bytes)?,
            Some(_) => self.plain(&mut bytes),
        }
        if !self.take('\'') {
            return self.expected("`'` after one character");
        }
        match bytes.as_slice() {
            [byte] if byte.is_ascii() => Ok(Arg::Int(i64::from(*byte))),
            _ => self.fail(start, "a character must be ASCII; write others as an integer"),
        }
    }

    fn string(&mut self) -> Result<Arg> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None => return self.fail(start, "this string has no closing `\"`"),
                Some('"') => break,
                Some('\\') => {
                    let escape = self.at;
                    self.escape(&mut bytes)?;
                    if bytes.last() == Some(&0) {
                        return self.fail(escape, NUL);
                    }
                }
                Some('\0') => return self.fail(self.at, NUL),
                Some(_) => self.plain(&mut bytes),
            }
        }
        self.at += 1;
        // Unreachable by the checks above; said again rather than trusted.
        CString::new(bytes).map(Arg::Text).or_else(|_| self.fail(start, NUL))
    }

    fn plain(&mut self, bytes: &mut Vec<u8>) {
        if let Some(c) = self.next() {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// One C escape, from its backslash.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let start = self.at;
        self.at += 1;
        let byte = match self.peek() {
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('r') => b'\r',
            Some('a') => 0x07,
            Some('b') => 0x08,
            Some('f') => 0x0c,
            Some('v') => 0x0b,
            Some('e') => 0x1b,
            Some(c @ ('\\' | '\'' | '"' | '?')) => c as u8,
            Some('0'..='7') => {
                let value = self.digits(3, 8);
                let Ok(byte) = u8::try_from(value) else {
                    return self.fail(start, "an octal escape is at most `\\377`");
                };
                bytes.push(byte);
                return Ok(());
            }
            Some('x') => {
                self.at += 1;
                if !self.peek().is_some_and(|c| c.is_ascii_hexdigit()) {
                    return self.expected("a hexadecimal digit");
                }
                bytes.push(self.digits(2, 16) as u8);
                return Ok(());
            }
            Some(c @ ('u' | 'U')) => {
                self.at += 1;
                let length = if c == 'u' { 4 } else { 8 };
                let before = self.at;
                let value = self.digits(length, 16);
                if self.at - before != length {
                    return self.expected(&format!("{length} hexadecimal digits"));
                }
                let Some(c) = char::from_u32(value) else {
                    return self.fail(start, "this is not a Unicode character");
                };
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return self.expected("a C escape (such as \\n, \\\", \\\\, \\x41)"),
        };
        self.at += 1;
        bytes.push(byte);
        Ok(())
    }

    /// At most `most` digits of `radix` (8 hexadecimal ones fill the result).
    fn digits(&mut self, most: usize, radix: u32) -> u32 {
        let mut value: u32 = 0;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(radix)) else { break };
            value = value.wrapping_mul(radix) | digit;
            self.at += 1;
        }
        value
    }
}

const NUL: &str = "a C string can't contain a NUL";

/// Words that mean something else where a name could stand.
const RESERVED: [&str; 7] = ["null", "NULL", "nullptr", "true", "false", "double", "float"];

/// What a number or a character begins with.
fn is_value(c: char) -> bool {
    matches!(c, '\'' | '0'..='9' | '+' | '-' | '.')
}

/// What a symbol goes on with.
fn is_symbol(c: char) -> bool {
    starts_symbol(c) || c.is_ascii_digit()
}

/// What C, C++ and Rust names and their mangled forms are made of, digits apart.
fn starts_symbol(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '.' | '$')
}
