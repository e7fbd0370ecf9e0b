//! Builds the programs that run inside other processes, for each C library that this processor has one. None of them has a dependency
//! but `wire`, and none needs `std`, so one call of the compiler makes each; the crate offers them as bytes.
//!
//! They are linked by the linker that comes with Rust, against stubs that are made here: shared libraries without code, which have the
//! names and the versions of what the programs use. So what a program needs does not depend on the machine that builds it, and any
//! machine builds them for all C libraries and processors that its Rust knows.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, thread};

/// What they are all made from; `dlsoak_program` chooses the part.
const ROOT: &str = "src/lib.rs";

/// Functions and variables that the programs use of any C library, by the version of glibc that brought them to x86-64. On AArch64 glibc
/// began with 2.17.
const SYMBOLS: [(&str, &[&str]); 9] = [
    (
        "2.2.5",
        &[
            "__errno_location",
            "__libc_start_main",
            "_exit",
            "abort",
            "bcmp",
            "calloc",
            "close",
            "closedir",
            "dirfd",
            "dl_iterate_phdr",
            "dlclose",
            "dlerror",
            "dlopen",
            "dlsym",
            "dup2",
            "environ",
            "fcntl",
            "fileno",
            "fork",
            "free",
            "getenv",
            "getpid",
            "getppid",
            "getrlimit",
            "kill",
            "lseek",
            "madvise",
            "malloc",
            "malloc_usable_size",
            "memcmp",
            "memmove",
            "memset",
            "mincore",
            "mmap",
            "munmap",
            "open",
            "opendir",
            "poll",
            "prctl",
            "pthread_attr_destroy",
            "pthread_attr_getdetachstate",
            "pthread_attr_init",
            "pthread_attr_setstacksize",
            "pthread_create",
            "pthread_getspecific",
            "pthread_join",
            "pthread_key_create",
            "pthread_key_delete",
            "pthread_self",
            "pthread_setspecific",
            "raise",
            "read",
            "readdir",
            "sched_yield",
            "setenv",
            "setlocale",
            "setrlimit",
            "setsid",
            "sigaction",
            "sigprocmask",
            "stderr",
            "stdin",
            "stdout",
            "strerror",
            "strlen",
            "syscall",
            "sysconf",
            "unlink",
            "unsetenv",
            "usleep",
            "waitid",
            "waitpid",
            "write",
        ],
    ),
    ("2.3", &["uselocale"]),
    ("2.3.2", &[]),
    ("2.3.4", &[]),
    ("2.4", &["unshare"]),
    ("2.7", &["signalfd"]),
    ("2.9", &["pipe2"]),
    ("2.14", &["memcpy"]),
    ("2.17", &["clock_gettime"]),
];

/// The same of glibc alone.
const OF_GLIBC: [(&str, &[&str]); 3] = [
    (
        "2.2.5",
        &[
            "_IO_list_all",
            "__libc_calloc",
            "__libc_free",
            "__libc_malloc",
            "__libc_memalign",
            "__libc_pvalloc",
            "__libc_realloc",
            "__libc_valloc",
            "gnu_get_libc_version",
        ],
    ),
    ("2.3.2", &["__register_atfork"]),
    ("2.3.4", &["dlmopen"]),
];

/// What unwinds stacks, by the version of libgcc.
const UNWINDER: [(&str, &[&str]); 3] =
    [("3.0", &["_Unwind_GetGR"]), ("3.3", &["_Unwind_Backtrace"]), ("4.2.0", &["_Unwind_GetIPInfo"])];

/// The parts of glibc that were libraries of their own before 2.34, and have functions that the programs use.
const PARTS: [&str; 2] = ["libdl.so.2", "libpthread.so.0"];

/// The tag that takes the place of `DT_NEEDED` where a program needs one of [`PARTS`] on an old glibc alone. Loaders pass over tags that they
/// don't know. Who starts the program there puts `DT_NEEDED` back.
const SPARE: [u8; 8] = *b"\x01dlsoak\x60";

/// Symbols that the host offers to the libraries that it loads, and to the loader: without them in its table of dynamic symbols,
/// these would bind to the C library's.
const HOST: &str = "dlsoak_needs_host";
/// Those that glibc has, too.
const REGISTRATIONS: [&str; 2] = ["__cxa_thread_atexit_impl", "on_exit"];
const ALLOCATOR: [&str; 9] = [
    "malloc",
    "free",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
];
/// What glibc's family has besides.
const ALLOCATOR_OF_GLIBC: [&str; 1] = ["pvalloc"];
const OF_POINTERS: [&str; 2] = ["malloc_usable_size", "__register_atfork"];

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    println!(
        "cargo::rustc-check-cfg=cfg(dlsoak_program, values(none(), \"host\", \"loop\", \"keeper\", \"preload\", \"audit\", \"drivers\"))"
    );
    for cfg in ["dlsoak_counting", "dlsoak_pointers", "dlsoak_musl"] {
        println!("cargo::rustc-check-cfg=cfg({cfg})");
    }
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl") {
        println!("cargo::rustc-cfg=dlsoak_musl");
    }
    let build = Build::new()?;
    write(&build.out.join("spare"), SPARE)?;
    build.wire()?;
    thread::scope(|scope| {
        let others = scope.spawn(|| build.all(CLibrary::Musl));
        build.all(CLibrary::Glibc)?;
        others.join().unwrap_or_else(|_| Err("the build for musl panicked".to_owned()))
    })
}

#[derive(Clone, Copy, PartialEq)]
enum CLibrary {
    Glibc,
    Musl,
}

/// A program to be made.
#[derive(Default)]
struct Program<'a> {
    name: &'a str,
    /// The part of the sources.
    part: &'a str,
    cfgs: &'a [&'a str],
    exports: &'a [&'a str],
}

struct Build {
    rustc: OsString,
    target: String,
    /// The processor; `None` on machines that they are not written for. There all of them are empty, and what needs one says so.
    arch: Option<Arch>,
    out: PathBuf,
    wire: PathBuf,
    linker: PathBuf,
}

#[derive(Clone, Copy, PartialEq)]
enum Arch {
    X86,
    Arm,
}

impl Build {
    fn new() -> Result<Self, String> {
        let variable = |name: &str| std::env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"));
        let of_target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
        let wire = PathBuf::from(variable("DEP_DLSOAK_WIRE_ROOT")?);
        println!("cargo::rerun-if-changed={}", wire.parent().unwrap_or(&wire).display());
        let rustc = variable("RUSTC")?;
        let arch = match of_target("ARCH").as_str() {
            "x86_64" => Some(Arch::X86),
            "aarch64" => Some(Arch::Arm),
            _ => None,
        };
        let arch = arch.filter(|_| ["gnu", "musl"].contains(&of_target("ENV").as_str()));
        let linker = if arch.is_some() { linker(&rustc, &variable("HOST")?)? } else { PathBuf::new() };
        Ok(Self {
            rustc,
            target: variable("TARGET")?.to_string_lossy().into_owned(),
            arch,
            out: PathBuf::from(variable("OUT_DIR")?),
            wire,
            linker,
        })
    }

    /// The compiler, with what all parts have in common.
    fn rustc(&self, out: &Path) -> Command {
        let mut rustc = Command::new(&self.rustc);
        rustc
            .args(["--edition", "2024", "-Copt-level=2", "-Cpanic=abort", "-Ccodegen-units=1"])
            // Stacks begin in them, and exceptions of libraries pass through them on the way out.
            .arg("-Cforce-unwind-tables=yes")
            // Code for either C library is the same, whichever of the two the compiler takes it for.
            .args(["-Ctarget-feature=-crt-static", "-Crelocation-model=pic", "-Clink-self-contained=no"])
            // Atomics of the compiler's library ask `getauxval` for what the processor has. The loader's auditor has no C library to ask.
            .args((self.arch == Some(Arch::Arm)).then_some("-Ctarget-feature=-outline-atomics"))
            .args(["--target", &self.target])
            .arg("-o")
            .arg(out);
        rustc
    }

    /// Where the compiled `wire` is.
    fn wire_out(&self) -> PathBuf {
        self.out.join("libdlsoak_wire.rlib")
    }

    fn wire(&self) -> Result<(), String> {
        if self.arch.is_none() {
            return Ok(());
        }
        let mut rustc = self.rustc(&self.wire_out());
        rustc
            .args(["--crate-name", "dlsoak_wire", "--crate-type", "rlib", "--cap-lints", "allow"])
            .arg(&self.wire);
        run(rustc)
    }

    /// Makes all programs for a C library.
    fn all(&self, libc: CLibrary) -> Result<(), String> {
        let directory = self.out.join(if libc == CLibrary::Musl { "musl" } else { "glibc" });
        fs::create_dir_all(&directory)
            .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
        let link = match self.arch {
            Some(arch) => Some(Link::new(self, arch, libc, directory.clone())?),
            None => None,
        };
        let is_glibc = libc == CLibrary::Glibc;
        let offered: &[&str] = if is_glibc { &REGISTRATIONS } else { &[] };
        let family: &[&str] = if is_glibc { &ALLOCATOR_OF_GLIBC } else { &[] };
        let plain = &[&[HOST], offered].concat();
        let counting = &[plain, &ALLOCATOR[..], family].concat();
        let pointers = &[counting, &OF_POINTERS[..]].concat();
        let host = Program { name: "host", part: "host", exports: plain, ..Program::default() };
        let of = |part| Program { name: part, part, ..Program::default() };
        let of_both = [
            Program { name: "host-counting", cfgs: &["dlsoak_counting"], exports: counting, ..host },
            host,
            of("keeper"),
        ];
        let of_glibc = [
            Program { name: "host-pointers", cfgs: &["dlsoak_pointers"], exports: pointers, ..of("host") },
            of("loop"),
            of("preload"),
            of("audit"),
            of("drivers"),
        ];
        for program in of_both.into_iter().chain(of_glibc.into_iter().filter(|_| is_glibc)) {
            let out = directory.join(program.name);
            match &link {
                Some(link) => link.program(&program, &out)?,
                None => write(&out, b"")?,
            }
        }
        Ok(())
    }
}

/// How programs for one C library are linked.
struct Link<'a> {
    build: &'a Build,
    libc: CLibrary,
    loader: &'static str,
    /// Where the stubs are.
    stubs: PathBuf,
}

impl<'a> Link<'a> {
    fn new(build: &'a Build, arch: Arch, libc: CLibrary, stubs: PathBuf) -> Result<Self, String> {
        let loader = match (libc, arch) {
            (CLibrary::Glibc, Arch::X86) => "/lib64/ld-linux-x86-64.so.2",
            (CLibrary::Glibc, Arch::Arm) => "/lib/ld-linux-aarch64.so.1",
            (CLibrary::Musl, Arch::X86) => "/lib/ld-musl-x86_64.so.1",
            (CLibrary::Musl, Arch::Arm) => "/lib/ld-musl-aarch64.so.1",
        };
        let link = Self { build, libc, loader, stubs };
        write(&link.stubs.join("loader"), loader)?;
        let common = SYMBOLS.iter().copied();
        if libc == CLibrary::Musl {
            link.stub(arch, "libc.so", "", common)?;
            return Ok(link);
        }
        let all = common.chain(OF_GLIBC);
        let all = all.map(|(version, names)| (if arch == Arch::Arm { "2.17" } else { version }, names));
        link.stub(arch, "libc.so.6", "GLIBC_", all)?;
        link.stub(arch, "libgcc_s.so.1", "GCC_", UNWINDER.into_iter())?;
        for part in PARTS {
            link.stub(arch, part, "", std::iter::empty())?;
        }
        Ok(link)
    }

    /// Makes a library of this name that has these symbols in these versions, or in none where there is no prefix.
    fn stub(
        &self,
        arch: Arch,
        name: &str,
        prefix: &str,
        symbols: impl Iterator<Item = (&'static str, &'static [&'static str])>,
    ) -> Result<(), String> {
        let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
        for (version, names) in symbols {
            match all.iter_mut().find(|(known, _)| *known == version) {
                Some((_, known)) => known.extend(names),
                None => all.push((version, names.to_vec())),
            }
        }
        let (mut script, mut map) = (String::new(), String::new());
        for (version, names) in all.iter().filter(|(_, names)| !names.is_empty()) {
            // Writing to a String can't fail.
            let _ = writeln!(map, "{prefix}{version} {{ {}; }};", names.join("; "));
            names.iter().for_each(|name| {
                let _ = writeln!(script, "{name} = 0;");
            });
        }
        let place = |extension: &str| self.stubs.join(format!("{name}{extension}"));
        write(&place(".ld"), script)?;
        let mut linker = Command::new(&self.build.linker);
        linker
            .args(["-flavor", "gnu", "-shared", "-m"])
            .arg(if arch == Arch::Arm { "aarch64linux" } else { "elf_x86_64" })
            .args(["-soname", name, "-o"])
            .arg(place(""))
            .arg(place(".ld"));
        if !prefix.is_empty() {
            write(&place(".map"), map)?;
            linker.arg("--version-script").arg(place(".map"));
        }
        run(linker)
    }

    fn program(&self, program: &Program, out: &Path) -> Result<(), String> {
        let Program { part, cfgs, exports, .. } = program;
        let mut rustc = self.build.rustc(out);
        let is_library = ["preload", "audit", "drivers"].contains(part);
        rustc
            .args(["--crate-name", &format!("dlsoak_{part}")])
            .args(["--crate-type", if is_library { "cdylib" } else { "bin" }])
            .args(["--cfg", "dlsoak_program", "--cfg", &format!("dlsoak_program=\"{part}\"")])
            .args(cfgs.iter().flat_map(|cfg| ["--cfg", *cfg]))
            .args((self.libc == CLibrary::Musl).then_some(["--cfg", "dlsoak_musl"]).into_iter().flatten())
            .args(["-Clto=fat", "--cap-lints", "allow"])
            .arg("--extern")
            .arg(joined("dlsoak_wire=", &self.build.wire_out()))
            .arg("-Clinker-flavor=ld.lld")
            .arg(joined("-Clinker=", &self.build.linker))
            .args(exports.iter().map(|symbol| format!("-Clink-arg=--export-dynamic-symbol={symbol}")))
            // What is not in the stubs is an error.
            .args(["-Clink-arg=-zdefs", "-Clink-arg=--hash-style=gnu"]);
        if !is_library {
            rustc.arg(format!("-Clink-arg=--dynamic-linker={}", self.loader));
        }
        let stub = |name: &str| joined("-Clink-arg=", &self.stubs.join(name));
        if *part != "audit" {
            rustc.arg(stub(if self.libc == CLibrary::Musl { "libc.so" } else { "libc.so.6" }));
        }
        if *part == "preload" {
            rustc.arg(stub("libgcc_s.so.1"));
        }
        // The keeper uses nothing of the parts.
        let has_parts = self.libc == CLibrary::Glibc && !["keeper", "audit"].contains(part);
        if has_parts {
            rustc.arg("-Clink-arg=--no-as-needed").args(PARTS.map(stub));
        }
        // The loop's functions have names, by which other instruments say where its own allocations are, and frame pointers, by
        // which LeakSanitizer walks a stack.
        if *part == "loop" {
            rustc.arg("-Cforce-frame-pointers=yes");
        } else {
            rustc.arg("-Cstrip=symbols");
        }
        // 3,500 bytes of 41,000: a cycle has no loop that is the faster for it. The search for pointers has.
        if *part == "host" && !cfgs.contains(&"dlsoak_pointers") {
            rustc.args(["-Cno-vectorize-loops", "-Cno-vectorize-slp", "-Cllvm-args=-unroll-max-count=1"]);
        } else if *part == "host" {
            // 3,900 bytes of 59,800. Its loops over memory are small, and stay as they are.
            rustc.arg("-Cllvm-args=-inline-threshold=150");
        }
        // 12,300 bytes of 68,800: what a plugin does takes the time. And 3,300 of 62,700: the steps have names, and are the library's own
        // whatever else in the process has such a name, so none is called by way of the loader.
        if *part == "drivers" {
            rustc.args(["-Copt-level=s", "-Crelocation-model=pie", "-Clink-arg=-Bsymbolic"]);
        }
        rustc.arg(ROOT);
        run(rustc)?;
        if has_parts { spare(out) } else { Ok(()) }
    }
}

/// Gives the last entries for needed libraries, which are those of [`PARTS`], the tag that loaders pass over.
fn spare(program: &Path) -> Result<(), String> {
    const NEEDED: [u8; 8] = 1_u64.to_le_bytes();
    const HEADERS: usize = 64;
    const HEADER: usize = 56;
    const DYNAMIC: u64 = 2;
    let mut bytes =
        fs::read(program).map_err(|error| format!("cannot read {}: {error}", program.display()))?;
    let number = |at: usize, len: usize| {
        let field = bytes.get(at..at + len)?;
        Some(field.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    // The headers follow that of the file, as the linker writes them.
    let mut headers = (0..number(56, 2).unwrap_or(0) as usize).map(|index| HEADERS + index * HEADER);
    let dynamic = headers.find(|at| number(*at, 4) == Some(DYNAMIC));
    let dynamic = dynamic.and_then(|at| Some((number(at + 8, 8)? as usize, number(at + 32, 8)? as usize)));
    let entries = dynamic.and_then(|(offset, len)| bytes.get_mut(offset..offset + len));
    let entries = entries.ok_or_else(|| format!("{} has no dynamic section", program.display()))?;
    let needed = entries.chunks_exact_mut(16).filter(|entry| entry[..8] == NEEDED);
    let needed: Vec<&mut [u8]> = needed.collect();
    if needed.len() <= PARTS.len() {
        return Err(format!("{} needs too few libraries", program.display()));
    }
    needed.into_iter().rev().take(PARTS.len()).for_each(|entry| entry[..8].copy_from_slice(&SPARE));
    write(program, bytes)
}

/// The linker that comes with the compiler.
fn linker(rustc: &OsString, host: &OsString) -> Result<PathBuf, String> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).output();
    let output = output.map_err(|error| format!("cannot run {}: {error}", rustc.display()))?;
    let sysroot = String::from_utf8_lossy(&output.stdout);
    let linker = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/rust-lld");
    if linker.is_file() {
        Ok(linker)
    } else {
        Err(format!(
            "{}: this Rust came without its linker, which links the agents; install Rust by rustup",
            linker.display()
        ))
    }
}

fn joined(option: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn run(mut command: Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}
