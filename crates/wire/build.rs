//! Tells the build script of whoever depends on this crate where its sources are (`DEP_DLSOAK_WIRE_ROOT`).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::metadata=root={}/src/lib.rs", std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
}
