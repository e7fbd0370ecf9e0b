//! Exports symbols of the program to the libraries that it loads: without this, they would bind to glibc's own
//! functions, and what they register there could not be noted. And builds the small library that `dlsoak trace` preloads
//! into its worker, which the program carries.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// Where that library's sources are, and the file that is its root.
const PRELOAD: &str = "src/trace/preload";
const ROOT: &str = "src/trace/preload/mod.rs";

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PRELOAD}");
    println!("cargo::rustc-check-cfg=cfg(dlsoak_preload)");
    for symbol in ["__cxa_thread_atexit_impl", "on_exit", "DLSOAK_HAS_MAIN"] {
        println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
    }
    preload()
}

/// Builds the library. It needs no dependency and not even `std`, so one call of the compiler does it.
fn preload() -> Result<(), String> {
    let variable = |name: &str| std::env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"));
    let out = PathBuf::from(variable("OUT_DIR")?).join("preload.so");
    let target = variable("TARGET")?;
    let of_target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    let known = of_target("ENV") == "gnu" && ["x86_64", "aarch64"].contains(&of_target("ARCH").as_str());
    if !known {
        // It is made for glibc on these machines; elsewhere `dlsoak trace` says that it can't be had.
        return std::fs::write(&out, b"").map_err(|e| format!("cannot write {}: {e}", out.display()));
    }
    let mut rustc = Command::new(variable("RUSTC")?);
    rustc
        .args(["--edition", "2024", "--crate-name", "dlsoak_preload", "--crate-type", "cdylib"])
        .args(["--cfg", "dlsoak_preload", "-O", "-Cpanic=abort", "-Clto=fat", "-Ccodegen-units=1"])
        // Stacks begin in it.
        .arg("-Cforce-unwind-tables=yes")
        .args(["-Cstrip=symbols", "-Clink-arg=-lc", "-Clink-arg=-lgcc_s"])
        .arg("--target")
        .arg(target)
        .arg("-o")
        .arg(&out)
        .arg(ROOT);
    if let Some(linker) = std::env::var_os("RUSTC_LINKER") {
        let mut argument = OsString::from("-Clinker=");
        argument.push(linker);
        rustc.arg(argument);
    }
    let status = rustc.status().map_err(|e| format!("cannot run {rustc:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{rustc:?} failed: {status}")) }
}
