//! Call expressions such as `fibonacci(20)`: what a soak calls in each cycle, written as C programmers write
//! it. Parsed once with errors that point at the column, so that the worker never meets a bad call.

use std::ffi::CString;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::call_parse::Parser;

/// Most integer, string and `null` arguments of one call: they travel in registers (System V x86-64 has six
/// for them).
pub const MAX_INTEGERS: usize = 6;

/// Most floating-point arguments of one call (System V x86-64 and AAPCS64 have eight registers for them).
pub const MAX_FLOATS: usize = 8;

/// Longest call expression in bytes.
pub const MAX_TEXT: usize = 64 * 1024;

/// A symbol to look up and call, with its arguments.
///
/// In JSON and TOML it is its text, which is exact where a JSON number would not be.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The expression, as given.
    pub text: String,
    /// The symbol, as `dlsym` takes it: a C name, or a mangled one.
    pub symbol: String,
    /// The arguments, at most [`MAX_INTEGERS`] and [`MAX_FLOATS`] of each kind.
    pub args: Vec<Arg>,
}

/// One argument of a call. Its `Display` is the expression that parses back to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// An integer from `i64::MIN` to `i64::MAX`; also `true`, `false` and a character such as `'a'`.
    Int(i64),
    /// An integer above `i64::MAX`, for example `0xffffffffffffffff`.
    Unsigned(u64),
    /// A C `double`: `2.5`, `1e3`.
    Double(f64),
    /// A C `float`: `1.5f`.
    Float(f32),
    /// A C string: `"a\n"`. It has no NUL inside.
    Text(CString),
    /// A null pointer.
    Null,
}

impl Arg {
    /// True when the argument travels in a floating-point register.
    #[must_use]
    pub fn is_floating(&self) -> bool {
        matches!(self, Self::Double(_) | Self::Float(_))
    }
}

/// A call expression that could not be understood, with the place in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("column {column}: {problem}")]
pub struct CallError {
    /// Column of the first character that is wrong, counted in characters from 1.
    pub column: usize,
    /// What is wrong there and what was expected.
    pub problem: String,
}

/// What is in an integer register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Int {
    /// A number.
    Number(u64),
    /// The address of a C string.
    Text(CString),
}

/// A call's arguments in the registers that they travel in.
#[derive(Debug, Clone, PartialEq)]
pub struct Registers {
    /// Integer registers, in order.
    pub ints: [Int; MAX_INTEGERS],
    /// Floating-point registers, in order, as bits.
    pub floats: [u64; MAX_FLOATS],
}

impl Call {
    /// The arguments in registers. System V x86-64 and AAPCS64 fill integer and floating-point registers each in order of
    /// appearance. There are no more arguments than registers: the parser refuses those.
    #[must_use]
    pub fn registers(&self) -> Registers {
        let mut registers =
            Registers { ints: [const { Int::Number(0) }; MAX_INTEGERS], floats: [0; MAX_FLOATS] };
        let mut ints = registers.ints.iter_mut();
        let mut floats = registers.floats.iter_mut();
        let mut int = |value| {
            if let Some(register) = ints.next() {
                *register = value;
            }
        };
        let mut float = |bits| {
            if let Some(register) = floats.next() {
                *register = bits;
            }
        };
        for arg in &self.args {
            match arg {
                Arg::Int(value) => int(Int::Number(value.cast_unsigned())),
                Arg::Unsigned(value) => int(Int::Number(*value)),
                Arg::Null => int(Int::Number(0)),
                Arg::Text(text) => int(Int::Text(text.clone())),
                Arg::Double(value) => float(value.to_bits()),
                // A C `float` is the low half of the register.
                Arg::Float(value) => float(u64::from(value.to_bits())),
            }
        }
        registers
    }

    /// Parses a call expression.
    ///
    /// # Errors
    ///
    /// [`CallError`] with the column and what was expected there.
    pub fn parse(text: &str) -> Result<Self, CallError> {
        let (symbol, args) = Parser::new(text).call()?;
        Ok(Self { text: text.trim().to_owned(), symbol, args })
    }
}

/// Checks that `text` is one symbol name and nothing else, for places that take a name without arguments.
///
/// # Errors
///
/// [`CallError`] with the column and what was expected there.
pub(crate) fn check_symbol(text: &str) -> Result<(), CallError> {
    Parser::new(text).lone_symbol()
}

impl FromStr for Call {
    type Err = CallError;

    fn from_str(text: &str) -> Result<Self, CallError> {
        Self::parse(text)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Unsigned(value) => write!(f, "{value}"),
            // `{:?}` is the shortest text that reads back as the same number, always with a point or exponent.
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Float(value) => write!(f, "{value:?}f"),
            Self::Text(value) => {
                f.write_str("\"")?;
                for &byte in value.as_bytes() {
                    match byte {
                        b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                        b' '..=b'~' => write!(f, "{}", char::from(byte))?,
                        _ => write!(f, "\\x{byte:02x}")?,
                    }
                }
                f.write_str("\"")
            }
            Self::Null => f.write_str("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn args(text: &str) -> Vec<Arg> {
        Call::parse(text).unwrap().args
    }

    fn problem(text: &str) -> String {
        Call::parse(text).unwrap_err().to_string()
    }

    fn bytes(text: &[u8]) -> Arg {
        Arg::Text(CString::new(text).unwrap())
    }

    #[test]
    fn a_name_alone_is_a_call_without_arguments() {
        for text in ["init", "init()", " init ( ) "] {
            let call = Call::parse(text).unwrap();
            assert_eq!((call.symbol.as_str(), call.args.len()), ("init", 0), "{text}");
            assert_eq!(call.text, text.trim());
        }
    }

    #[test]
    fn arguments_travel_in_registers_of_their_kind() {
        let Registers { ints, floats } =
            Call::parse("f(1, 2.5, \"a\", 1.5f, null, -1, 0xffffffffffffffff)").unwrap().registers();
        let number = Int::Number;
        let text = Int::Text(CString::new("a").unwrap());
        assert_eq!(ints, [number(1), text, number(0), number(u64::MAX), number(u64::MAX), number(0)]);
        assert_eq!(floats[..3], [2.5_f64.to_bits(), u64::from(1.5_f32.to_bits()), 0]);
    }

    #[test]
    fn mangled_names_are_names() {
        for name in [
            "_ZN3foo3barEv",
            "_RNvCs1234_7mycrate3add",
            "_ZN4core3fmt17h0123456789abcdefE",
            "foo$bar.llvm.1",
            "größe",
        ] {
            assert_eq!(Call::parse(&format!("{name}(1)")).unwrap().symbol, name);
        }
    }

    #[test]
    fn integers_of_every_form_and_both_ends_of_the_range() {
        assert_eq!(
            args("f(20, -3, 0x10, -0x10, 1_000, +7)"),
            [20, -3, 16, -16, 1000, 7].map(Arg::Int).to_vec()
        );
        assert_eq!(args("f(-9223372036854775808)"), [Arg::Int(i64::MIN)]);
        assert_eq!(args("f(9223372036854775808)"), [Arg::Unsigned(1 << 63)]);
        assert_eq!(args("f(0xffff_ffff_ffff_ffff)"), [Arg::Unsigned(u64::MAX)]);
        assert_eq!(args("f(true, false, 'c', '\\n', '\\'')"), [1, 0, 99, 10, 39].map(Arg::Int).to_vec());
        for text in ["f(18446744073709551616)", "f(-9223372036854775809)"] {
            assert!(problem(text).contains("64 bits"), "{text}: {}", problem(text));
        }
    }

    #[test]
    fn floats_keep_their_type() {
        assert_eq!(
            args("f(2.5, 1e3, -.5, 2., 1.5f, 1E-3F)"),
            [
                Arg::Double(2.5),
                Arg::Double(1000.0),
                Arg::Double(-0.5),
                Arg::Double(2.0),
                Arg::Float(1.5),
                Arg::Float(0.001)
            ]
        );
        assert!(problem("f(1e999)").contains("too large"));
        assert!(problem("f(1e39f)").contains("too large"));
    }

    #[test]
    fn strings_take_c_escapes() {
        assert_eq!(args(r#"log("a\n\x41é")"#), [bytes("a\nAé".as_bytes())]);
        assert_eq!(args(r#"log("\101\t\\\"\'\?\e\xff")"#), [bytes(b"A\t\\\"'?\x1b\xff")]);
        // Two digits at most, unlike C, where the next letter would be swallowed.
        assert_eq!(args(r#"log("\x41b\1018\u00e9\U0001F600")"#), [bytes("AbA8é😀".as_bytes())]);
        for text in [r#"f("a\0b")"#, r#"f("\x00")"#, r#"f("\u0000")"#, "f(\"a\0b\")"] {
            assert!(problem(text).contains("NUL"), "{text}: {}", problem(text));
        }
    }

    #[test]
    fn the_number_of_arguments_is_what_the_registers_hold() {
        assert_eq!(args("f(1, 2, 3, \"4\", null, 6, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0f)").len(), 14);
        assert_eq!(
            problem("f(1, 2, 3, 4, 5, 6, 7)"),
            "column 21: a call takes at most 6 integer, string and null arguments, because they are passed in registers"
        );
        assert!(problem("f(1.,2.,3.,4.,5.,6.,7.,8.,9.)").contains("at most 8 floating-point"));
    }

    #[test]
    fn errors_point_at_the_place() {
        let bad = [
            "",
            "20",
            "fib(",
            "fib(20",
            "fib(20,)",
            "fib(20) x",
            "fib(20 30)",
            "fib(,)",
            "fib 20",
            "log(hello)",
            "log(\"abc",
            r#"log("\q")"#,
            r#"log("\xg")"#,
            r#"log("\ud800")"#,
            r#"log("\777")"#,
            "f(0x)",
            "f(1e)",
            "f(10u)",
            "f(.)",
            "f('ab')",
            "f('é')",
            "f(\"é\", ?)",
            "foo@GLIBC_2.2(1)",
            "a-b()",
        ];
        let all: String = bad.iter().map(|text| format!("{text:20} {}\n", problem(text))).collect();
        insta::assert_snapshot!(all);
    }

    #[test]
    fn a_huge_expression_is_refused_before_it_is_read() {
        let text = format!("f(\"{}\")", "a".repeat(MAX_TEXT));
        assert!(problem(&text).contains("at most 65536 bytes"));
    }

    #[test]
    fn json_is_the_text() {
        let call = Call::parse("f(0.1, \"é\")").unwrap();
        let json = serde_json::to_string(&call).unwrap();
        assert_eq!(json, r#""f(0.1, \"é\")""#);
        assert_eq!(serde_json::from_str::<Call>(&json).unwrap(), call);
        assert!(serde_json::from_str::<Call>(r#""f(""#).unwrap_err().to_string().contains("column 3"));
    }

    fn any_arg() -> impl Strategy<Value = Arg> {
        prop_oneof![
            any::<i64>().prop_map(Arg::Int),
            (i64::MAX as u64 + 1..).prop_map(Arg::Unsigned),
            any::<f64>().prop_filter("a literal is finite", |v| v.is_finite()).prop_map(Arg::Double),
            any::<f32>().prop_filter("a literal is finite", |v| v.is_finite()).prop_map(Arg::Float),
            proptest::collection::vec(1u8.., 0..40).prop_map(|b| Arg::Text(CString::new(b).unwrap())),
            Just(Arg::Null),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(symbol in "[A-Za-z_$.][A-Za-z0-9_$.]{0,30}", args in proptest::collection::vec(any_arg(), 0..6)) {
            let text = format!("{symbol}({})", args.iter().map(Arg::to_string).collect::<Vec<_>>().join(", "));
            let call = Call::parse(&text).unwrap();
            prop_assert_eq!(&call.symbol, &symbol);
            prop_assert_eq!(&call.args, &args);
            prop_assert_eq!(call.to_string(), text);
        }

        #[test]
        fn no_input_panics(text in "\\PC*", noise in "[a-z0-9xXeE\"'\\\\(),.+\\-_ fuU]{0,40}") {
            let _ = Call::parse(&text);
            let _ = Call::parse(&format!("f({noise}"));
        }
    }
}
