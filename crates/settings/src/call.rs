//! Call expressions such as `h = create(44100)` and `run(h, 64) == 0`: what a soak calls in each cycle, written as C programmers
//! write it. Parsed once with errors that point at the column, so that the worker never meets a bad call. `docs/calls.md` has the
//! grammar.

use std::ffi::CString;
use std::fmt;
use std::ops::Range;
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

/// A function to look up and call, with its arguments, and what becomes of its result.
///
/// In JSON and TOML it is its text, which is exact where a JSON number would not be.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The expression, as given.
    pub text: String,
    /// What its result is kept as.
    pub keeps: Option<Keeps>,
    /// The function: a C name or a mangled one, as `dlsym` takes it, or a qualified name of C++ such as `audio::go`.
    pub symbol: String,
    /// The arguments, at most [`MAX_INTEGERS`] and [`MAX_FLOATS`] of each kind.
    pub args: Vec<Arg>,
    /// Column of each argument in the text, counted in characters from 1.
    pub columns: Vec<usize>,
    /// What its result must be.
    pub check: Option<Check>,
    /// Where in the text the function and its arguments stand, in bytes.
    pub(crate) called: Range<usize>,
}

/// A name of the user's own, which stands for a result or for an out-parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name: letters, digits and `_`.
    pub text: String,
    /// Its column in the expression, counted in characters from 1.
    pub column: usize,
}

/// What a result is kept as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeps {
    /// The name.
    pub name: Name,
    /// The type before the name: [`Reading::Double`] or [`Reading::Float`]. Without one it is an integer or a pointer, unless the
    /// function's prototype is known.
    pub declared: Option<Reading>,
}

/// What a result must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// How they are compared.
    pub comparison: Comparison,
    /// What it is compared with: any argument but a string and an out-parameter.
    pub value: Arg,
    /// How the result is read, by the C type of the value; `None` where the value is an earlier result.
    pub reading: Option<Reading>,
    /// The check as it was written, such as `== 0`.
    pub text: String,
    /// Its column in the expression, counted in characters from 1.
    pub column: usize,
}

/// How a result is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// How the register with a result is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Its low bytes are an integer.
    Integer {
        /// How many: 1, 2, 4 or 8.
        bytes: u8,
        /// Whether it can be negative.
        signed: bool,
    },
    /// It is an address.
    Pointer,
    /// The floating-point register holds a C `float`.
    Float,
    /// The floating-point register holds a C `double`.
    Double,
}

impl Reading {
    /// A C `int`.
    pub const INT: Self = Self::Integer { bytes: 4, signed: true };

    /// True when it is in a floating-point register.
    #[must_use]
    pub fn is_floating(self) -> bool {
        matches!(self, Self::Float | Self::Double)
    }
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
    /// An earlier result, or what an earlier call wrote to an out-parameter.
    Result(Name),
    /// The address of 8 bytes that the function may write: `&out`.
    Out(Name),
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

impl Call {
    /// Parses a call expression.
    ///
    /// # Errors
    ///
    /// [`CallError`] with the column and what was expected there.
    pub fn parse(text: &str) -> Result<Self, CallError> {
        // Columns are those of the text that is kept and shown.
        Parser::new(text.trim()).call()
    }

    /// The function with its arguments as they were written, without the name and the check.
    #[must_use]
    pub fn called(&self) -> &str {
        self.text.get(self.called.clone()).unwrap_or(&self.text)
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
            Self::Result(name) => f.write_str(&name.text),
            Self::Out(name) => write!(f, "&{}", name.text),
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
            "log(\"abc",
            r#"log("\q")"#,
            r#"log("\xg")"#,
            r#"log("\ud800")"#,
            r#"log("\777")"#,
            "f(0x)",
            "f(1e)",
            "f(10x)",
            "f(.)",
            "f('ab')",
            "f('é')",
            "f(\"é\", ?)",
            "foo@GLIBC_2.2(1)",
            "a-b()",
            "h =",
            "1 = f()",
            "null = f()",
            "a.b = f()",
            "int x = f()",
            "double = f()",
            "f() = 0",
            "f() ==",
            "f() === 0",
            "f() == \"a\"",
            "f() == &a",
            "f() < null",
            "f() == 0 1",
            "f(&)",
            "f(&null)",
            "a::()",
            "f(1ll)",
        ];
        let all: String = bad.iter().map(|text| format!("{text:20} {}\n", problem(text))).collect();
        insta::assert_snapshot!(all);
    }

    #[test]
    fn results_are_kept_passed_on_and_checked() {
        let call = Call::parse(" h = make(44100, &out) != null ").unwrap();
        assert_eq!((call.symbol.as_str(), call.called()), ("make", "make(44100, &out)"));
        let name = |text: &str, column| Name { text: text.to_owned(), column };
        assert_eq!(call.keeps, Some(Keeps { name: name("h", 1), declared: None }));
        assert_eq!(call.args, [Arg::Int(44100), Arg::Out(name("out", 18))]);
        assert_eq!(call.columns, [10, 17]);
        let check = call.check.unwrap();
        assert_eq!(
            (check.comparison, check.value, check.text.as_str()),
            (Comparison::NotEqual, Arg::Null, "!= null")
        );
        assert_eq!((check.reading, check.column), (Some(Reading::Pointer), 23));
        let keeps = |text: &str| Call::parse(text).unwrap().keeps.unwrap().declared;
        assert_eq!(keeps("double x = f()"), Some(Reading::Double));
        assert_eq!(keeps("float x=f"), Some(Reading::Float));
        assert_eq!(args("f(h, 1, &h)"), [Arg::Result(name("h", 3)), Arg::Int(1), Arg::Out(name("h", 10))]);
        assert_eq!(Call::parse("audio::mixer::go(3)").unwrap().symbol, "audio::mixer::go");
        assert_eq!(Call::parse("::go").unwrap().symbol, "::go");
    }

    #[test]
    fn a_value_is_of_the_type_that_it_has_in_c() {
        let integer = |bytes, signed| Reading::Integer { bytes, signed };
        for (value, reading) in [
            ("0", Reading::INT),
            ("-1", Reading::INT),
            ("2147483647", Reading::INT),
            ("2147483648", integer(8, true)),
            ("-2147483649", integer(8, true)),
            ("0x7fffffff", Reading::INT),
            ("0xffffffff", integer(4, false)),
            ("0x100000000", integer(8, true)),
            ("0xffffffffffffffff", integer(8, false)),
            ("18446744073709551615", integer(8, false)),
            ("5u", integer(4, false)),
            ("4294967296u", integer(8, false)),
            ("5L", integer(8, true)),
            ("5ul", integer(8, false)),
            ("5LU", integer(8, false)),
            ("true", integer(1, false)),
            ("'a'", integer(1, false)),
            ("null", Reading::Pointer),
            ("4.0", Reading::Double),
            ("1.5f", Reading::Float),
        ] {
            let check = Call::parse(&format!("f(2) == {value}")).unwrap().check.unwrap();
            assert_eq!(check.reading, Some(reading), "{value}");
        }
        let text = ["==", "!=", "<", "<=", ">", ">="].map(|sign| Call::parse(&format!("f{sign}x")).unwrap());
        assert!(text.iter().all(|call| call.check.as_ref().is_some_and(|check| check.reading.is_none())));
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
            Just(Arg::Result(Name { text: "h".to_owned(), column: 0 })),
            Just(Arg::Out(Name { text: "out".to_owned(), column: 0 })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(symbol in "[A-Za-z_$.][A-Za-z0-9_$.]{0,30}", args in proptest::collection::vec(any_arg(), 0..6)) {
            let text = format!("{symbol}({})", args.iter().map(Arg::to_string).collect::<Vec<_>>().join(", "));
            let call = Call::parse(&text).unwrap();
            prop_assert_eq!(&call.symbol, &symbol);
            let printed = |args: &[Arg]| args.iter().map(Arg::to_string).collect::<Vec<_>>();
            prop_assert_eq!(printed(&call.args), printed(&args));
            for (arg, given) in call.args.iter().zip(&args) {
                prop_assert!(arg == given || matches!(arg, Arg::Result(_) | Arg::Out(_)));
            }
            prop_assert_eq!(call.to_string(), text);
        }

        #[test]
        fn no_input_panics(text in "\\PC*", noise in "[a-z0-9xXeE\"'\\\\(),.+\\-_ fuU&=<>!:]{0,40}") {
            let _ = Call::parse(&text);
            let _ = Call::parse(&format!("h = f() == {noise}"));
            let _ = Call::parse(&format!("f({noise}"));
        }
    }
}
