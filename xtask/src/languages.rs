//! `cargo xtask languages`: libraries in languages whose compilers a machine may lack. It builds what `languages.toml` describes, soaks
//! each library shortly, and compares verdict, state, residue, findings and language with the truth.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use xtask::fixtures::{self, Situation, Table};

use crate::build::others::Compiler;
use crate::{check, demo};

/// True unless a library differs from its truth, or none could be built.
pub(crate) fn run() -> Result<bool> {
    let root = fixtures::root();
    let dlsoak = demo::release(&root)?;
    let table = Table::languages(&root)?;
    let scratch = root.join("target/languages");
    std::fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let mut compilers = BTreeMap::new();
    let (mut checked, mut wrong, mut missing) = (0, 0, Vec::new());
    check::print_header();
    for fixture in &table.fixtures {
        let name = format!("{:?}", fixture.language);
        let compiler = match compilers.entry(name.clone()).or_insert_with(|| Compiler::find(fixture.language))
        {
            Ok(compiler) => compiler,
            Err(error) => {
                let line = format!("{name}: {error:#}");
                if !missing.contains(&line) {
                    println!("{line}");
                    missing.push(line);
                }
                continue;
            }
        };
        compiler.build(fixture)?;
        let Some(truth) = fixture.truth(&Situation::default()) else { continue };
        let mut short = check::soak(&dlsoak, &scratch, fixture, truth, truth.cycles);
        if let Some(soak) = &short.soak {
            if soak.verdict != truth.verdict {
                short.differences.push(format!("its verdict is {}, not {}", soak.verdict, truth.verdict));
            }
            if soak.language != name.to_lowercase() {
                short.differences.push(format!("its language is {}, not {name}", soak.language));
            }
        }
        check::print(fixture, truth, &short);
        checked += 1;
        wrong += u32::from(!short.differences.is_empty());
    }
    let missing =
        if missing.is_empty() { String::new() } else { format!("; not built: {}", missing.join("; ")) };
    println!("\n{checked} checked, {wrong} differ{missing}");
    Ok(checked > 0 && wrong == 0)
}
