//! `cargo xtask hostile`: one run over everything that crashes, hangs, exits or vandalises, held against its truth.

use anyhow::{Context, Result};
use clap::Args;
use xtask::fixtures::{self, Table};
use xtask::hostile;

use crate::{build, demo};

/// Which ones to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Only this fixture; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Keep the record and all else that the run has written in this directory
    #[arg(long, value_name = "DIR")]
    keep: Option<std::path::PathBuf>,
}

/// Builds and runs the suite; false where a soak or the machine is not as it should be.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = fixtures::root();
    let dlsoak = demo::release(&root)?;
    build::run(&build::Options::only(&options.only))?;
    let table = Table::load(&root)?;
    let mut wanted = hostile::fixtures(&table);
    for name in &options.only {
        table.get(name)?;
    }
    wanted.retain(|fixture| options.only.is_empty() || options.only.contains(&fixture.name));
    let temporary;
    let scratch = match &options.keep {
        Some(keep) => std::path::absolute(keep).context("--keep")?,
        None => {
            temporary = tempfile::Builder::new().prefix("hostile-").tempdir().context("no directory")?;
            temporary.path().to_path_buf()
        }
    };
    let begin = std::time::Instant::now();
    let report = hostile::run(&dlsoak, &root, &scratch, &wanted, &|name| eprintln!("{name}"))?;
    println!("{:<32} a soak says", "fixture");
    for (name, said, differences) in &report.soaks {
        println!("{name:<32} {said}");
        for difference in differences {
            println!("    {difference}");
        }
    }
    for problem in &report.problems {
        println!("{problem}");
    }
    let wrong = report.soaks.iter().filter(|(_, _, differences)| !differences.is_empty()).count();
    println!(
        "\n{} soaked in {:.0} s, {wrong} differ, {} problems of the run",
        report.soaks.len(),
        begin.elapsed().as_secs_f64(),
        report.problems.len()
    );
    Ok(report.is_good())
}
