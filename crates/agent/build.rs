//! Builds the programs that run inside other processes. None of them has a dependency but `wire`, and none needs `std`, so one
//! call of the compiler makes each; the crate offers them as bytes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What they are all made from; `dlsoak_program` chooses the part.
const ROOT: &str = "src/lib.rs";

/// Symbols that the host offers to the libraries that it loads, and to the loader: without them in its table of dynamic symbols,
/// these would bind to glibc's.
const REGISTRATIONS: [&str; 3] = ["__cxa_thread_atexit_impl", "on_exit", "dlsoak_needs_host"];
const ALLOCATOR: [&str; 10] = [
    "malloc",
    "free",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
];

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    println!(
        "cargo::rustc-check-cfg=cfg(dlsoak_program, values(none(), \"host\", \"loop\", \"keeper\", \"preload\", \"audit\"))"
    );
    println!("cargo::rustc-check-cfg=cfg(dlsoak_counting)");
    println!("cargo::rustc-check-cfg=cfg(dlsoak_pointers)");
    println!("cargo::rustc-check-cfg=cfg(dlsoak_musl)");
    let build = Build::new()?;
    build.wire()?;
    let registrations = REGISTRATIONS.iter();
    build.program("host", "host", &[], registrations.clone())?;
    build.program("host-counting", "host", &["dlsoak_counting"], registrations.clone().chain(&ALLOCATOR))?;
    let own = ["malloc_usable_size", "__register_atfork"];
    build.program(
        "host-pointers",
        "host",
        &["dlsoak_pointers"],
        registrations.chain(&ALLOCATOR).chain(&own),
    )?;
    build.program("loop", "loop", &[], [].iter())?;
    build.program("keeper", "keeper", &[], [].iter())?;
    build.program("preload", "preload", &[], [].iter())?;
    build.program("audit", "audit", &[], [].iter())
}

struct Build {
    rustc: OsString,
    target: String,
    out: PathBuf,
    wire: PathBuf,
    linker: Option<OsString>,
    /// They are written for glibc on these machines; elsewhere all of them are empty, and what needs one says so.
    is_known: bool,
}

impl Build {
    fn new() -> Result<Self, String> {
        let variable = |name: &str| std::env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"));
        let of_target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
        let wire = PathBuf::from(variable("DEP_DLSOAK_WIRE_ROOT")?);
        println!("cargo::rerun-if-changed={}", wire.parent().unwrap_or(&wire).display());
        Ok(Self {
            rustc: variable("RUSTC")?,
            target: variable("TARGET")?.to_string_lossy().into_owned(),
            out: PathBuf::from(variable("OUT_DIR")?),
            wire,
            linker: std::env::var_os("RUSTC_LINKER"),
            is_known: of_target("ENV") == "gnu"
                && ["x86_64", "aarch64"].contains(&of_target("ARCH").as_str()),
        })
    }

    /// The compiler, with what all parts have in common.
    fn rustc(&self, out: &Path) -> Command {
        let mut rustc = Command::new(&self.rustc);
        rustc
            .args(["--edition", "2024", "-Copt-level=2", "-Cpanic=abort", "-Ccodegen-units=1"])
            // Stacks begin in them, and exceptions of libraries pass through them on the way out.
            .arg("-Cforce-unwind-tables=yes")
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
        if !self.is_known {
            return Ok(());
        }
        let mut rustc = self.rustc(&self.wire_out());
        rustc
            .args(["--crate-name", "dlsoak_wire", "--crate-type", "rlib", "--cap-lints", "allow"])
            .arg(&self.wire);
        run(rustc)
    }

    fn program<'a>(
        &self,
        name: &str,
        program: &str,
        cfgs: &[&str],
        exports: impl Iterator<Item = &'a &'a str>,
    ) -> Result<(), String> {
        let out = self.out.join(name);
        if !self.is_known {
            return std::fs::write(&out, b"").map_err(|e| format!("cannot write {}: {e}", out.display()));
        }
        let mut rustc = self.rustc(&out);
        let is_library = program == "preload" || program == "audit";
        rustc
            .args(["--crate-name", &format!("dlsoak_{program}")])
            .args(["--crate-type", if is_library { "cdylib" } else { "bin" }])
            .args(["--cfg", "dlsoak_program", "--cfg", &format!("dlsoak_program=\"{program}\"")])
            .args(cfgs.iter().flat_map(|cfg| ["--cfg", *cfg]))
            .args(["-Clto=fat", "--cap-lints", "allow"])
            .arg(if program == "audit" { "-Clink-arg=-nostdlib" } else { "-Clink-arg=-lc" })
            .arg("--extern")
            .arg({
                let mut argument = OsString::from("dlsoak_wire=");
                argument.push(self.wire_out());
                argument
            })
            .args(exports.map(|symbol| format!("-Clink-arg=-Wl,--export-dynamic-symbol={symbol}")));
        // The loop's functions have names, by which other instruments say where its own allocations are, and frame pointers, by
        // which LeakSanitizer walks a stack.
        if program == "loop" {
            rustc.arg("-Cforce-frame-pointers=yes");
        } else {
            rustc.arg("-Cstrip=symbols");
        }
        if program == "preload" {
            rustc.arg("-Clink-arg=-lgcc_s");
        }
        // 3,500 bytes of 41,000: a cycle has no loop that is the faster for it. The search for pointers has.
        if program == "host" && !cfgs.contains(&"dlsoak_pointers") {
            rustc.args(["-Cno-vectorize-loops", "-Cno-vectorize-slp", "-Cllvm-args=-unroll-max-count=1"]);
        }
        if let Some(linker) = &self.linker {
            let mut argument = OsString::from("-Clinker=");
            argument.push(linker);
            rustc.arg(argument);
        }
        rustc.arg(ROOT);
        run(rustc)
    }
}

fn run(mut command: Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}
