//! `cargo xtask pictures`: what people see of `report.html`, as pictures that are committed, so that a change of the page is reviewed with
//! eyes. The test of the page in a browser makes them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use xtask::fixtures;

use crate::command;

/// What the pages show.
#[derive(Args)]
pub(crate) struct Options {
    /// Take the libraries of the pages with 121 and 500 from this record [default: reports/sample/record.json, over and over]
    #[arg(long, value_name = "RECORD")]
    many: Option<PathBuf>,
}

/// The test that makes them, and what their names begin with.
const TEST: &str = "browser::pages_of_any_number_of_libraries_fit_and_are_filtered";
const PAGES: [&str; 4] = ["1", "7", "121", "500"];

/// Makes all pictures, with a palette of 64 colours, because a page has few.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = fixtures::root();
    let out = root.join("reports/sample/pages");
    let raw = tempfile::tempdir().context("cannot create a directory for the pictures")?;
    let mut test = command::cargo(&root);
    test.args(["test", "--workspace", "--all-features", "--test", "it", TEST]);
    // Without a browser, the test fails with what to install.
    test.env("DLSOAK_SCREENSHOTS", raw.path()).env("CI", "1");
    if let Some(many) = &options.many {
        let many = fs::canonicalize(many).with_context(|| format!("cannot find {}", many.display()))?;
        test.env("DLSOAK_MANY", many);
    }
    if !command::succeeds(&mut test, command::CARGO)? {
        bail!("`{}` failed", command::spelt(&test));
    }
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    for libraries in PAGES {
        for width in [360, 1280] {
            for scheme in ["light", "dark"] {
                let name = format!("{libraries}-{width}-{scheme}.png");
                let mut shrink = Command::new("pngquant");
                shrink.args(["64", "--nofs", "--strip", "--speed", "1", "--force", "--output"]);
                shrink.arg(out.join(&name)).arg(raw.path().join(&name));
                if !command::succeeds(&mut shrink, "pngquant (apt install pngquant)")? {
                    bail!("`{}` failed", command::spelt(&shrink));
                }
            }
        }
    }
    println!("Pictures of the page: {}", out.display());
    Ok(true)
}
