//! `cargo xtask fixtures --check`: was each fixture unloaded, and if not, why not? A short soak of each is held against
//! the truth, which takes a minute where `cargo xtask truth` takes an hour.

use anyhow::{Context, Result};
use clap::Args;
use xtask::fixtures::{self, Situation, Table};
use xtask::judge;

use crate::{build, demo, truth};

/// What to build, and whether to look at it.
#[derive(Args)]
pub(crate) struct Wanted {
    #[command(flatten)]
    build: build::Options,
    /// Soak each fixture shortly and compare its state and causes with the truth; exit code 1 where they differ
    #[arg(long)]
    check: bool,
}

/// Cycles of a short soak: enough for state and causes, which show from the first cycle on.
const CYCLES: u64 = 200;

/// Builds the fixtures; true unless one that was checked differs from its truth.
pub(crate) fn run(options: &Wanted) -> Result<bool> {
    build::run(&options.build)?;
    if !options.check {
        return Ok(true);
    }
    let root = fixtures::root();
    let dlsoak = demo::release(&root)?;
    let table = Table::load(&root)?;
    let scratch = root.join("target/check");
    std::fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    println!("{:<26} {:<40} {:<40}", "fixture", "truth", "a short soak says");
    let (mut checked, mut wrong) = (0, 0);
    for fixture in table.fixtures.iter().filter(|fixture| options.build.wants(&fixture.name)) {
        let Some(truth) = fixture.truth(&Situation::default()) else { continue };
        let Some(state) = &truth.state else { continue };
        let cycles = truth.max_cycles.map_or(CYCLES, |most| most.min(CYCLES));
        let (said, differences) = match truth::soak(&dlsoak, &scratch, fixture, cycles, 1) {
            Ok(soak) => {
                let causes: Vec<_> = soak.unload.causes.iter().map(|cause| cause.kind.clone()).collect();
                (words(&soak.unload.state, &causes), judge::unloading(truth, &soak))
            }
            // A row, not the end: the other fixtures still tell.
            Err(error) => ("no record".to_owned(), vec![format!("{error:#}")]),
        };
        println!("{:<26} {:<40} {said:<40}", fixture.name, words(state, &truth.causes));
        for difference in &differences {
            println!("    {difference}");
        }
        checked += 1;
        wrong += u32::from(!differences.is_empty());
    }
    println!("\n{checked} checked, {wrong} differ");
    Ok(wrong == 0)
}

fn words(state: &str, causes: &[String]) -> String {
    if causes.is_empty() { state.to_owned() } else { format!("{state}: {}", causes.join(", ")) }
}
