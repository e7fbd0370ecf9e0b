//! Reads what glibc's loader says of itself under `LD_DEBUG=files,bindings`: which object it marked as never to be
//! unloaded and why, who was bound to whom, which handles are still open, what was destroyed. Pure: the text comes
//! from whoever ran the process.

use std::io::BufRead;

/// Longest line that is kept whole; mangled names reach some ten thousand bytes.
const LONGEST: u64 = 128 * 1024;

/// Entries that are kept of each kind: a soak of a few cycles has few, and a log may be anything.
const MOST: usize = 4096;

/// What the loader said, as far as it tells why an object stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Objects that the loader decided never to unload, in the order it did.
    pub marks: Vec<Mark>,
    /// Objects that others were bound to, other than by `DT_NEEDED`.
    pub dependencies: Vec<Dependency>,
    /// The last count of open handles, for objects that a `dlclose` left with some.
    pub held: Vec<(String, u64)>,
    /// Objects that were opened by `dlopen`, each once.
    pub opened: Vec<String>,
    /// Objects that were unloaded, each once.
    pub destroyed: Vec<String>,
    /// Lines of the log; 0 means that the loader said nothing at all.
    pub lines: u64,
}

/// An object that the loader marked `NODELETE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Path as the loader keeps it.
    pub object: String,
    /// Why.
    pub why: Why,
}

/// Why the loader marked an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// `dlopen` was given `RTLD_NODELETE`.
    Flag,
    /// One of its `STB_GNU_UNIQUE` symbols was looked up.
    Unique {
        /// The symbol, where the log names it.
        symbol: Option<String>,
    },
    /// The program itself was bound to one of its symbols.
    MainProgram {
        /// The symbol, where the log names it.
        symbol: Option<String>,
    },
    /// An object that stays was bound to one of its symbols.
    Reference {
        /// The object that stays.
        from: String,
        /// The symbol, where the log names it.
        symbol: Option<String>,
    },
    /// The loader had no memory to keep a note of a dependency.
    Memory,
}

/// A relocation dependency: `from` was bound to a symbol of `on`, which can't go before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The object that is needed.
    pub on: String,
    /// The object that was bound to it.
    pub from: String,
    /// The symbol, where the log names it.
    pub symbol: Option<String>,
}

/// Which entry the next binding belongs to: the loader names the symbol in a line of its own, right after.
#[derive(Debug, Clone, Copy)]
enum Open {
    Mark(usize),
    Dependency(usize),
}

impl Log {
    /// Reads a log to its end, or to the first error.
    pub fn read(mut from: impl BufRead) -> Self {
        let mut log = Self::default();
        let mut open = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            // What is left of a line that is too long is taken for a line of its own, which fits no pattern.
            match std::io::Read::take(&mut from, LONGEST).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return log,
                Ok(_) => log.line(line.trim_ascii_end(), &mut open),
            }
        }
    }

    fn line(&mut self, line: &[u8], open: &mut Vec<Open>) {
        self.lines += 1;
        // Each line begins with the number of the process and a tab.
        let Some(tab) = line.iter().take(16).position(|byte| *byte == b'\t') else { return };
        let text = &line[tab + 1..];
        // By far the most lines are bindings, and few of them are of interest.
        if text.starts_with(b"binding file ") {
            if !open.is_empty() {
                self.binding(&String::from_utf8_lossy(text), open);
            }
            return;
        }
        let text = &*String::from_utf8_lossy(text);
        if let Some(rest) = text.strip_prefix("marking ") {
            self.marking(rest, open);
        } else if let Some(rest) = text.strip_prefix("opening file=") {
            if let Some((object, _)) = rest.split_once("; direct_opencount=") {
                add_once(&mut self.opened, name(object));
            }
        } else if let Some(rest) = text.strip_prefix("closing file=") {
            self.closing(rest);
        } else if let Some(rest) = text.strip_prefix("file=") {
            self.file(rest, open);
        }
    }

    fn marking(&mut self, rest: &str, open: &mut Vec<Open>) {
        let Some((object, why)) = rest.split_once(" as NODELETE") else { return };
        let why = match why.trim_start() {
            "" => Why::Flag,
            "due to unique symbol" => Why::Unique { symbol: None },
            "due to reference from main program" => Why::MainProgram { symbol: None },
            "due to memory allocation failure" => Why::Memory,
            other => match other.strip_prefix("due to reference from ") {
                Some(from) => Why::Reference { from: name(from), symbol: None },
                None => return,
            },
        };
        if self.marks.len() < MOST {
            open.push(Open::Mark(self.marks.len()));
            self.marks.push(Mark { object: name(object), why });
        }
    }

    fn closing(&mut self, rest: &str) {
        let Some((object, count)) = rest.split_once("; direct_opencount=") else { return };
        let Ok(count) = count.trim().parse() else { return };
        let object = name(object);
        self.held.retain(|(known, _)| *known != object);
        if self.held.len() < MOST {
            self.held.push((object, count));
        }
    }

    fn file(&mut self, rest: &str, open: &mut Vec<Open>) {
        if let Some(object) = rest.strip_suffix(";  destroying link map") {
            let object = name(object);
            self.held.retain(|(held, _)| *held != object);
            add_once(&mut self.destroyed, object);
        } else if let Some(pair) = rest.strip_suffix(" (relocation dependency)")
            && let Some((on, from)) = pair.split_once(";  needed by ")
            && self.dependencies.len() < MOST
        {
            open.push(Open::Dependency(self.dependencies.len()));
            self.dependencies.push(Dependency { on: name(on), from: name(from), symbol: None });
        }
    }

    /// Gives the symbol to the entries that wait for it. Only the binding right after the entry is its own.
    fn binding(&mut self, text: &str, open: &mut Vec<Open>) {
        let symbol =
            text.split_once('`').and_then(|(_, rest)| rest.split_once('\'')).map(|(symbol, _)| symbol);
        for entry in open.drain(..) {
            let to = match entry {
                Open::Dependency(index) => self.dependencies.get_mut(index).map(|found| &mut found.symbol),
                Open::Mark(index) => self.marks.get_mut(index).and_then(|found| match &mut found.why {
                    Why::Unique { symbol } | Why::MainProgram { symbol } | Why::Reference { symbol, .. } => {
                        Some(symbol)
                    }
                    Why::Flag | Why::Memory => None,
                }),
            };
            if let Some(to) = to {
                *to = symbol.map(str::to_owned);
            }
        }
    }
}

/// The path in `PATH [NAMESPACE]`.
fn name(text: &str) -> String {
    let text = text.trim_end();
    let Some((path, namespace)) = text.rsplit_once(" [") else { return text.to_owned() };
    let is_number = namespace.strip_suffix(']').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    if is_number { path.to_owned() } else { text.to_owned() }
}

fn add_once(list: &mut Vec<String>, name: String) {
    if list.len() < MOST && !list.contains(&name) {
        list.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Log {
        Log::read(text.as_bytes())
    }

    #[test]
    fn a_unique_symbol_is_named_by_the_binding_that_follows() {
        let log = read(
            "      7576:\tmarking /a/libu.so [0] as NODELETE due to unique symbol\n      \
             7576:\tbinding file /a/libu.so [0] to /a/libu.so [0]: normal symbol `calls'\n      \
             7576:\tbinding file /a/libu.so [0] to /a/libu.so [0]: normal symbol `other'\n      \
             7576:\tactivating NODELETE for /a/libu.so [0]\n",
        );
        let why = Why::Unique { symbol: Some("calls".to_owned()) };
        assert_eq!(log.marks, [Mark { object: "/a/libu.so".to_owned(), why }]);
        assert_eq!(log.lines, 4);
    }

    #[test]
    fn relocation_dependencies_are_told_from_needed_libraries() {
        let log = read(
            "  1:\tfile=libb.so [0];  needed by /x y/liba.so [0]\n  1:\t\n  \
             1:\tfile=/x y/liba.so [0];  needed by /x y/libb.so [0] (relocation dependency)\n  1:\t\n  \
             1:\tbinding file /x y/libb.so [0] to /x y/liba.so [0]: normal symbol `hook' [V1]\n",
        );
        let expected = Dependency {
            on: "/x y/liba.so".to_owned(),
            from: "/x y/libb.so".to_owned(),
            symbol: Some("hook".to_owned()),
        };
        assert_eq!(log.dependencies, [expected]);
        assert!(log.marks.is_empty());
    }

    #[test]
    fn handles_that_stay_open_are_counted_and_gone_objects_are_not_held() {
        let log = read(
            "1:\topening file=/a.so [0]; direct_opencount=2\n1:\tclosing file=/a.so; direct_opencount=1\n\
             1:\tclosing file=/b.so; direct_opencount=3\n1:\tfile=/b.so [0];  destroying link map\n\
             1:\tclosing file=/a.so; direct_opencount=2\n",
        );
        assert_eq!(log.held, [("/a.so".to_owned(), 2)]);
        assert_eq!(log.opened, ["/a.so"]);
        assert_eq!(log.destroyed, ["/b.so"]);
    }

    #[test]
    fn every_mark_has_its_reason() {
        let log = read(
            "1:\tmarking /a [0] as NODELETE\n1:\tmarking /b [0] as NODELETE due to reference from main program\n\
             1:\tbinding file ./prog [0] to /b [0]: normal symbol `x'\n\
             1:\tmarking /c [0] as NODELETE due to reference from /b [0]\n\
             1:\tmarking /d [0] as NODELETE due to something new\n",
        );
        let why: Vec<_> = log.marks.into_iter().map(|mark| mark.why).collect();
        let expected = [
            Why::Flag,
            Why::MainProgram { symbol: Some("x".to_owned()) },
            Why::Reference { from: "/b".to_owned(), symbol: None },
        ];
        assert_eq!(why, expected);
    }

    #[test]
    fn anything_else_is_passed_over() {
        assert_eq!(read("").lines, 0);
        let log =
            read("hello\n\t\n1:\tfile=\n1:\tclosing file=x; direct_opencount=many\n\u{0}\u{1}\n1:\tmarking");
        assert_eq!(Log { lines: 0, ..log }, Log::default());
    }
}
