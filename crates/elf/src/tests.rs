//! Facts of small ELF files that are built here byte by byte, in both classes and byte orders, so that every
//! field can be set, and then cut and broken, without a compiler.

use proptest::prelude::*;

use super::*;
use dlsoak_record::Language;
use dlsoak_record::file::Damage;

const NODELETE: u64 = 0x8;
const STATIC_TLS: u64 = 0x10;

/// A symbol: name, `st_info`, `st_other`, defined.
type Symbol = (&'static str, u8, u8, bool);

struct Maker {
    wide: bool,
    big: bool,
    machine: u16,
    kind: u16,
    flags: u64,
    flags_1: u64,
    symbols: Vec<Symbol>,
    /// The C library that it needs; versions of symbols are glibc's.
    libc: &'static str,
    /// Further tags of the dynamic section.
    tags: Vec<(u64, u64)>,
    /// A relocation: its symbol, and its type.
    relocation: Option<(u64, u64)>,
    /// Put this beside the loaded content, as a compiler leaves its strings.
    data: &'static [u8],
}

impl Default for Maker {
    fn default() -> Self {
        Self {
            wide: true,
            big: false,
            machine: 62,
            kind: 3,
            flags: 0,
            flags_1: 0,
            symbols: vec![
                ("fibonacci", 0x12, 0, true),
                ("table", 0x11, 0, true),
                ("hidden", 0x12, 2, true),
                ("local", 0x02, 0, true),
                ("malloc", 0x12, 0, false),
            ],
            libc: "libc.so.6",
            tags: Vec::new(),
            relocation: None,
            data: b"",
        }
    }
}

impl Maker {
    fn put(&self, out: &mut Vec<u8>, value: u64, size: usize) {
        let bytes = value.to_le_bytes();
        let bytes = &bytes[..size];
        if self.big { out.extend(bytes.iter().rev()) } else { out.extend(bytes) }
    }

    fn word(&self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    fn build(&self) -> Vec<u8> {
        let w = self.word();
        let (header, segment) = if self.wide { (64, 56) } else { (52, 32) };
        let mut strings = vec![0];
        let mut known = std::collections::HashMap::new();
        let mut name = |text: &'static str| {
            *known.entry(text).or_insert_with(|| {
                let at = strings.len() as u64;
                strings.extend(text.as_bytes());
                strings.push(0);
                at
            })
        };
        let soname = name("libtest.so.1");
        let needed = [name("libm.so.6"), name(self.libc)];
        let versions = [name("GLIBC_2.9"), name("GLIBC_2.34")];
        let names: Vec<u64> = self.symbols.iter().map(|symbol| name(symbol.0)).collect();

        let mut body = Vec::new();
        let base = header + 5 * segment;
        let here = |body: &Vec<u8>| (base + body.len()) as u64;

        let note = here(&body);
        for value in [4, 4, 3] {
            self.put(&mut body, value, 4);
        }
        body.extend(b"GNU\0\xab\xcd\x01\x02");
        let note_size = here(&body) - note;

        let strtab = here(&body);
        body.extend(&strings);
        let symtab = here(&body);
        body.extend(vec![0; if self.wide { 24 } else { 16 }]);
        for (symbol, name) in self.symbols.iter().zip(names) {
            let &(_, info, other, defined) = symbol;
            let (value, section) = if defined { (0x1000, 1) } else { (0, 0) };
            self.put(&mut body, name, 4);
            if self.wide {
                body.extend([info, other]);
                self.put(&mut body, section, 2);
                self.put(&mut body, value, 8);
                self.put(&mut body, 8, 8);
            } else {
                self.put(&mut body, value, 4);
                self.put(&mut body, 8, 4);
                body.extend([info, other]);
                self.put(&mut body, section, 2);
            }
        }
        let hash = here(&body);
        for value in [1, self.symbols.len() as u64 + 1, 0] {
            self.put(&mut body, value, 4);
        }
        body.extend(vec![0; 4 * (self.symbols.len() + 1)]);

        let verneed = here(&body);
        for (value, size) in [(1, 2), (2, 2), (needed[1], 4), (16, 4), (0, 4)] {
            self.put(&mut body, value, size);
        }
        for (version, next) in versions.into_iter().zip([16, 0]) {
            for (value, size) in [(0, 4), (0, 2), (2, 2), (version, 4), (next, 4)] {
                self.put(&mut body, value, size);
            }
        }
        let rela = here(&body);
        for value in self.relocation.iter().flat_map(|(symbol, kind)| [0x2000, symbol << 32 | kind, 0]) {
            self.put(&mut body, value, 8);
        }
        let rela_size = here(&body) - rela;
        let dynamic = here(&body);
        let mut tags = vec![
            (1, needed[0]),
            (1, needed[1]),
            (14, soname),
            (5, strtab),
            (10, strings.len() as u64),
            (6, symtab),
            (4, hash),
            (7, rela),
            (8, rela_size),
            (30, self.flags),
            (0x6fff_fffb, self.flags_1),
            (27, 3 * w as u64),
        ];
        if self.libc == "libc.so.6" {
            tags.extend([(0x6fff_fffe, verneed), (0x6fff_ffff, 1)]);
        }
        tags.extend(&self.tags);
        tags.push((0, 0));
        for (tag, value) in tags {
            self.put(&mut body, tag, w);
            self.put(&mut body, value, w);
        }
        let dynamic_size = here(&body) - dynamic;
        body.extend(self.data);
        let end = here(&body);

        let mut file = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(self.wide), 1 + u8::from(self.big), 1];
        file.resize(16, 0);
        for (value, size) in [
            (u64::from(self.kind), 2),
            (u64::from(self.machine), 2),
            (1, 4),
            (0, w),
            (header as u64, w),
            (0, w),
            (0, 4),
            (header as u64, 2),
            (segment as u64, 2),
            (5, 2),
            (0, 2),
            (0, 2),
            (0, 2),
        ] {
            self.put(&mut file, value, size);
        }
        assert_eq!(file.len(), header);
        // Type, flags, place in file and memory, size in file and in memory, alignment.
        for (kind, flags, at, size, memory, align) in [
            (1, 5, 0, end, end, 4096),
            (2, 6, dynamic, dynamic_size, dynamic_size, 8),
            (4, 4, note, note_size, note_size, 4),
            (7, 4, 0, 0, 80, 16),
            (0x6474_e551, 6, 0, 0, 0, 16),
        ] {
            self.put(&mut file, kind, 4);
            if self.wide {
                self.put(&mut file, flags, 4);
            }
            for value in [at, at, at, size, memory] {
                self.put(&mut file, value, w);
            }
            if !self.wide {
                self.put(&mut file, flags, 4);
            }
            self.put(&mut file, align, w);
        }
        file.extend(body);
        file
    }

    fn facts(&self) -> Facts {
        parse(&self.build()).unwrap()
    }
}

#[test]
fn both_classes_and_byte_orders_say_the_same() {
    for (wide, big) in [(true, false), (true, true), (false, false), (false, true)] {
        let facts = Maker { wide, big, ..Maker::default() }.facts();
        assert_eq!(facts.class, if wide { Class::Bits64 } else { Class::Bits32 });
        assert_eq!(facts.endian, if big { Endian::Big } else { Endian::Little });
        assert_eq!((facts.machine, facts.kind), (Machine::X86_64, Kind::SharedObject));
        assert_eq!(facts.soname.as_deref(), Some("libtest.so.1"));
        assert_eq!(facts.needed, ["libm.so.6", "libc.so.6"]);
        assert_eq!(facts.build_id.as_deref(), Some("abcd0102"));
        assert_eq!(facts.tls, Some(Tls { size: 80, align: 16 }));
        assert_eq!((facts.init_array, facts.fini_array, facts.init, facts.fini), (3, 0, false, false));
        // 2.34 is above 2.9, which text would put first.
        assert_eq!(facts.libc, Libc::Glibc { at_least: Some("2.34".to_owned()) });
        let versions: Vec<_> =
            facts.versions.iter().map(|v| (v.library.as_str(), v.version.as_str())).collect();
        assert_eq!(versions, [("libc.so.6", "GLIBC_2.9"), ("libc.so.6", "GLIBC_2.34")]);
        assert_eq!(facts.exports().collect::<Vec<_>>(), ["fibonacci", "table"]);
        assert_eq!((facts.export_count(), facts.imports), (2, 1));
        assert_eq!(facts.export("fibonacci"), Some(ExportKind::Function));
        assert_eq!(facts.export("table"), Some(ExportKind::Data));
        assert!(!facts.has_export("malloc") && !facts.has_export("hidden") && !facts.has_export("local"));
        assert!(!facts.nodelete() && !facts.static_tls() && facts.unique_symbols.is_empty());
        assert!(!facts.executable_stack && !facts.text_relocations);
        assert_eq!((facts.relro, facts.language), (Relro::None, Language::Unknown));
    }
}

#[test]
fn what_keeps_a_library_loaded_is_seen() {
    let facts = Maker {
        flags: STATIC_TLS,
        flags_1: NODELETE,
        symbols: vec![("plain", 0x11, 0, true), ("kept", 0xa1, 0, true), ("elsewhere", 0xa1, 0, false)],
        ..Maker::default()
    }
    .facts();
    assert!(facts.nodelete() && facts.static_tls());
    assert_eq!(facts.unique_symbols, ["kept"]);
}

#[test]
fn a_mistyped_symbol_is_recognised() {
    let symbols =
        vec![("fibonacci", 0x12, 0, true), ("_ZN3foo3addEii", 0x12, 0, true), ("_Z3addii", 0x12, 0, true)];
    let facts = Maker { symbols, ..Maker::default() }.facts();
    assert_eq!(facts.nearest_export("fibonaci"), Some("fibonacci"));
    assert_eq!(facts.nearest_export("add"), Some("_Z3addii"));
    assert_eq!(facts.nearest_export("subtract"), None);
    assert_eq!(facts.nearest_export(""), None);
}

#[test]
fn languages_are_known_by_their_symbols() {
    let with = |symbol: &'static str, defined: bool| {
        let mut maker = Maker::default();
        maker.symbols.push((symbol, 0x12, 0, defined));
        maker.facts().language
    };
    for (symbol, language) in [
        ("_Znwm", Language::Cpp),
        ("__gxx_personality_v0", Language::Cpp),
        // A length and a letter as in a hash of Rust, and yet C++.
        ("_ZSt9has_facetISt5ctypeIcEEbRKSt6locale", Language::Cpp),
        ("_ZN4core3fmt17h0123456789abcdefE", Language::Rust),
        ("_RNvC7mycrate3add", Language::Rust),
        ("rust_eh_personality", Language::Rust),
        ("_d_dso_registry", Language::D),
        ("_D4main12__ModuleInfoZ", Language::D),
        ("_gfortran_st_write", Language::Fortran),
        ("__gnat_rcheck_CE_Overflow_Check", Language::Ada),
        ("stg_upd_frame_info", Language::Haskell),
        ("__printf_chk", Language::C),
        ("__isoc99_sscanf", Language::C),
        ("__ctype_b_loc", Language::C),
    ] {
        assert_eq!(with(symbol, false), language, "{symbol}");
    }
    for (symbol, language) in [
        ("NimMain", Language::Nim),
        ("camlMain__code_begin", Language::OCaml),
        ("caml_startup__frametable", Language::OCaml),
        ("graal_create_isolate", Language::GraalVm),
        ("__solver_MOD_step", Language::Fortran),
    ] {
        assert_eq!(with(symbol, true), language, "{symbol}");
        // A host that calls the runtime of another language is not in that language.
        assert_eq!(with(symbol, false), Language::Unknown, "{symbol}");
    }
    // Symbols that any language has, and names of C that begin as mangled ones do.
    for symbol in [
        "malloc",
        "free",
        "__stack_chk_fail",
        "__errno_location",
        "__tls_get_addr",
        "_ZSTD_malloc",
        "_Zoom",
        "_RNA_length",
        "_RMS",
        "_D1x",
        "_DYNAMIC",
        "caml_alloc",
        "caml_startup",
        "Nimble",
        "_gfortran",
        "__MOD__",
    ] {
        assert_eq!(with(symbol, true), Language::Unknown, "{symbol}");
        assert_eq!(with(symbol, false), Language::Unknown, "{symbol}");
    }
}

#[test]
fn the_language_that_decides_is_the_one_that_brings_the_others() {
    let with = |symbols: &[Symbol], data: &'static [u8]| {
        let symbols = [Maker::default().symbols, symbols.to_vec()].concat();
        Maker { symbols, data, ..Maker::default() }.facts().language
    };
    let c = ("__printf_chk", 0x12, 0, false);
    let cpp = ("_Znwm", 0x12, 0, false);
    let rust = b"/rustc/0123/library/core/src/str/mod.rs";
    assert_eq!(with(&[c, cpp], b""), Language::Cpp);
    assert_eq!(with(&[c], rust), Language::Rust);
    assert_eq!(with(&[], rust), Language::Rust);
    assert_eq!(with(&[c, ("NimMain", 0x12, 0, true)], b""), Language::Nim);
    assert_eq!(with(&[c, ("camlMain__code_begin", 0x12, 0, true)], b""), Language::OCaml);
    assert_eq!(with(&[c, cpp, ("_gfortran_st_write", 0x12, 0, false)], b""), Language::Cpp);
    assert_eq!(with(&[c, ("_gfortran_st_write", 0x12, 0, false)], b""), Language::Fortran);
}

#[test]
fn go_is_told_without_sections_by_its_build_information() {
    let info: &[u8] = b"\xff Go buildinf:\x08\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08go1.26.8rest";
    // It lies at a multiple of 16 in the file; try all places and count those found.
    let mut found = 0;
    for padding in 0..16 {
        let data = [vec![0; padding], info.to_vec()].concat();
        let facts = Maker { data: data.leak(), ..Maker::default() }.facts();
        if facts.language == Language::Go {
            assert_eq!(facts.producer.as_deref(), Some("go1.26.8"));
            found += 1;
        }
    }
    assert_eq!(found, 1);
}

#[test]
fn each_file_that_does_not_load_here_has_its_problem() {
    let host = Host { class: Class::Bits64, endian: Endian::Little, machine: Some(Machine::X86_64) };
    let check = |maker: Maker| check_loadable(&maker.facts(), host);
    assert_eq!(check(Maker::default()), Ok(()));
    let narrow = |machine| Err(Problem::WrongClass { class: Class::Bits32, machine });
    assert_eq!(check(Maker { wide: false, machine: 3, ..Maker::default() }), narrow(Machine::I386));
    assert_eq!(check(Maker { wide: false, ..Maker::default() }), narrow(Machine::X86_64));
    for (number, wide, big) in
        [(183, true, false), (40, false, false), (22, true, true), (12345, true, false)]
    {
        let problem = Problem::WrongMachine { machine: Machine(number), host: Machine::X86_64 };
        assert_eq!(check(Maker { machine: number, wide, big, ..Maker::default() }), Err(problem));
    }
    let big = Problem::WrongEndian { endian: Endian::Big, machine: Machine::X86_64 };
    assert_eq!(check(Maker { big: true, ..Maker::default() }), Err(big));
    for (number, kind) in [(1, Kind::Relocatable), (2, Kind::Executable), (4, Kind::Core)] {
        let problem = Problem::NotShared { kind };
        assert_eq!(check(Maker { kind: number, ..Maker::default() }), Err(problem));
    }
    let executable = Problem::NotShared { kind: Kind::PositionIndependentExecutable };
    assert_eq!(check(Maker { flags_1: 0x0800_0000, ..Maker::default() }), Err(executable));
    assert_eq!(check(Maker { flags_1: 0x40, ..Maker::default() }), Err(Problem::NoOpen));
}

#[test]
fn musl_refuses_what_expects_its_own_storage_at_a_fixed_place() {
    let host = |machine| Host { class: Class::Bits64, endian: Endian::Little, machine: Some(machine) };
    // Symbol 0 is the library's own storage; 1 is defined, 5 is another library's.
    let check = |libc, machine, relocation| {
        let facts = Maker { libc, machine, relocation, flags: STATIC_TLS, ..Maker::default() }.facts();
        check_loadable(&facts, host(Machine(machine)))
    };
    let refused = Err(Problem::InitialExecInMusl { language: Language::Unknown });
    for (machine, place, other) in [(62, 18, 16), (183, 1030, 1028)] {
        for libc in ["libc.so", "libc.musl-x86_64.so.1"] {
            assert_eq!(check(libc, machine, Some((0, place))), refused);
            assert_eq!(check(libc, machine, Some((1, place))), refused);
            assert_eq!(check(libc, machine, Some((5, place))), Ok(()));
            assert_eq!(check(libc, machine, Some((0, other))), Ok(()));
            assert_eq!(check(libc, machine, None), Ok(()));
        }
        assert_eq!(check("libc.so.6", machine, Some((0, place))), Ok(()));
    }
}

#[test]
fn packed_relocations_need_a_c_library_that_knows_them() {
    let packed = Maker { tags: vec![(36, 0x3000)], ..Maker::default() }.facts();
    let plain = Maker::default().facts();
    assert!(packed.relr && !plain.relr);
    for (libc, reads) in [
        ("glibc 2.35", false),
        ("glibc 2.9", false),
        ("glibc 2.36", true),
        ("glibc 2.43", true),
        ("musl 1.2.3", false),
        ("musl 1.1.24", false),
        ("musl 1.2.4", true),
        ("musl 1.2.5", true),
        ("musl", true),
    ] {
        let problem = Problem::PackedRelocations { libc: libc.to_owned() };
        assert_eq!(check_relocations(&packed, libc), if reads { Ok(()) } else { Err(problem) });
        assert_eq!(check_relocations(&plain, libc), Ok(()));
    }
}

#[test]
fn this_program_is_an_executable_of_this_machine() {
    let data = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let facts = parse(&data).unwrap();
    assert_eq!((facts.language, facts.class), (Language::Rust, Host::CURRENT.class));
    assert!(matches!(check_loadable(&facts, Host::CURRENT), Err(Problem::NotShared { .. })));
}

#[test]
fn a_file_cut_anywhere_says_so() {
    let whole = Maker::default().build();
    for end in 1..whole.len() {
        let cut = parse(&whole[..end]);
        assert!(
            matches!(cut, Err(Unreadable::CutShort { have, need }) if have == end as u64 && need > have),
            "{end}"
        );
    }
    assert!(parse(&whole).is_ok());
}

#[test]
fn symbols_that_share_one_huge_name_are_refused() {
    // Equal names share their bytes in the string table: 20 of them are more than the whole file.
    let name: &'static str = "x".repeat(30_000).leak();
    let file = |count| Maker { symbols: vec![(name, 0x12, 0, true); count], ..Maker::default() }.build();
    assert_eq!(parse(&file(1)).unwrap().export_count(), 1);
    assert_eq!(parse(&file(20)), Err(Unreadable::Damaged { part: Damage::SharedNames }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_broken_byte_panics(
        wide: bool,
        big: bool,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut file = Maker { wide, big, ..Maker::default() }.build();
        for (at, value) in flips {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Ok(facts) = parse(&file) {
            let _ = check_loadable(&facts, Host::CURRENT);
            // Nothing that is kept can be larger than a few times the file.
            prop_assert!(facts.exports().map(str::len).sum::<usize>() <= 3 * file.len());
            prop_assert!(facts.versions.len() <= 4096 && facts.needed.len() <= 4096);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
        let _ = parse(&[b"\x7fELF\x02\x01\x01".as_slice(), &bytes].concat());
    }
}
