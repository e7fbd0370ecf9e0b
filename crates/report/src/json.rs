//! The record as `record.json`: indented, but with each row of figures on one line. A checkpoint is then a line
//! that `grep` and `diff` understand, and two hundred of them are not two thousand lines.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use dlsoak_record::{Run, Soak};

/// What stands on a line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Each row of figures, and each other value: for people.
    Rows,
    /// Each soak, without spaces, which is two fifths smaller.
    Soaks,
}

/// How deep the array of soaks is in what is open around a soak.
const SOAKS: usize = 2;

impl Lines {
    fn formatter(self, open: usize) -> Rows {
        let deepest = if self == Lines::Rows { usize::MAX } else { SOAKS };
        Rows { deepest, open: vec![Holds::Others; open], waiting: None }
    }
}

/// The whole file.
///
/// # Errors
///
/// When serde_json refuses, which these types give it no cause for.
pub fn render(run: &Run, lines: Lines) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    run.serialize(&mut Serializer::with_formatter(&mut out, lines.formatter(0)))?;
    out.push(b'\n');
    Ok(out)
}

/// What stands after the last soak of a file that [`render`] made of a run without a watch.
pub const END: &str = "\n  ]\n}\n";

/// A soak as it stands among others in such a file.
///
/// # Errors
///
/// When serde_json refuses, which these types give it no cause for.
pub fn soak(soak: &Soak, lines: Lines) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = b"\n    ".to_vec();
    soak.serialize(&mut Serializer::with_formatter(&mut out, lines.formatter(SOAKS)))?;
    Ok(out)
}

/// What an open array or object holds so far.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    Nothing,
    Numbers,
    Others,
}

/// Indents by two, except between numbers of an array. What kind a value is shows only when it is written, so the
/// space before it waits until then.
struct Rows {
    /// Deeper than this nothing begins a line.
    deepest: usize,
    open: Vec<Holds>,
    waiting: Option<bool>,
}

impl Rows {
    /// Whether what is written now is inside of a line.
    fn is_in_line(&self) -> bool {
        self.open.len() > self.deepest
    }

    fn line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        if self.is_in_line() {
            return Ok(());
        }
        out.write_all(b"\n")?;
        (0..self.open.len()).try_for_each(|_| out.write_all(b"  "))
    }

    /// Before a number: it stays on the line of its array.
    fn number<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        let Some(first) = self.waiting.take() else { return Ok(()) };
        if let Some(holds) = self.open.last_mut() {
            *holds = Holds::Numbers;
        }
        if first || self.is_in_line() { Ok(()) } else { out.write_all(b" ") }
    }

    /// Before anything else: it begins a line of its array.
    fn other<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.waiting.take().is_none() {
            return Ok(());
        }
        if let Some(holds) = self.open.last_mut() {
            *holds = Holds::Others;
        }
        self.line(out)
    }

    fn begin<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.other(out)?;
        self.open.push(Holds::Nothing);
        out.write_all(bracket)
    }

    fn end<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.waiting = None;
        let in_line = self.is_in_line();
        if self.open.pop() == Some(Holds::Others) && !in_line {
            self.line(out)?;
        }
        out.write_all(bracket)
    }
}

impl Formatter for Rows {
    fn write_null<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        // What is not finite is written as null among numbers, and belongs on their line.
        self.number(out)?;
        out.write_all(b"null")
    }

    fn write_bool<W: ?Sized + Write>(&mut self, out: &mut W, value: bool) -> io::Result<()> {
        self.other(out)?;
        write!(out, "{value}")
    }

    fn write_i64<W: ?Sized + Write>(&mut self, out: &mut W, value: i64) -> io::Result<()> {
        self.number(out)?;
        write!(out, "{value}")
    }

    fn write_u64<W: ?Sized + Write>(&mut self, out: &mut W, value: u64) -> io::Result<()> {
        self.number(out)?;
        write!(out, "{value}")
    }

    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        self.number(out)?;
        CompactFormatter.write_f64(out, value)
    }

    fn begin_string<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.other(out)?;
        out.write_all(b"\"")
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.waiting = Some(first);
        if first { Ok(()) } else { out.write_all(b",") }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if let Some(holds) = self.open.last_mut() {
            *holds = Holds::Others;
        }
        if !first {
            out.write_all(b",")?;
        }
        self.line(out)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(if self.is_in_line() { b":" } else { b": " })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;

    #[test]
    fn a_file_is_its_soaks_in_their_frame() {
        for lines in [Lines::Rows, Lines::Soaks] {
            let mut run = sample::run(3);
            let text = |run: &Run| String::from_utf8(render(run, lines).unwrap()).unwrap();
            let whole = text(&run);
            assert_eq!(serde_json::from_str::<Run>(&whole).unwrap(), run);
            let soaks: Vec<String> =
                run.soaks.iter().map(|one| String::from_utf8(soak(one, lines).unwrap()).unwrap()).collect();
            assert!(lines == Lines::Rows || soaks.iter().all(|soak| soak.trim().lines().count() == 1));
            run.soaks.clear();
            let empty = text(&run);
            let frame = empty.strip_suffix("]\n}\n").unwrap();
            assert_eq!(whole, format!("{frame}{}{END}", soaks.join(",")));
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let run = sample::run(8);
        assert_eq!(serde_json::from_slice::<Run>(&render(&run, Lines::Rows).unwrap()).unwrap(), run);
    }

    #[test]
    fn any_text_comes_back_as_it_was() {
        let mut run = sample::run(1);
        run.soaks[0].name = "\"\\\n\t\u{0}\u{1b}\u{65e5}</script>".to_owned();
        run.soaks[0].measured.asked.call = Some(vec!["a(\"\u{1b}\")".parse().unwrap(), "a".parse().unwrap()]);
        assert_eq!(serde_json::from_slice::<Run>(&render(&run, Lines::Rows).unwrap()).unwrap(), run);
    }

    #[test]
    fn a_checkpoint_is_a_line() {
        let mut run = sample::run(1);
        run.soaks[0].checkpoints.rows.truncate(2);
        run.soaks[0].resident_by_kind = None;
        let text = String::from_utf8(render(&run, Lines::Rows).unwrap()).unwrap();
        let from = text.find("\"checkpoints\"").unwrap();
        insta::assert_snapshot!(&text[from..]);
    }
}
