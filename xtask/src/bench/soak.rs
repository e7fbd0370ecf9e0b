//! dlsoak among its peers: one run of it, and what its record says of the cycles.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::bare::{Bench, CALL};
use super::process::{self, Ran};
use crate::command;

/// A run, and the record of its only soak.
pub(super) struct Soaked {
    /// How the process went.
    pub(super) ran: Ran,
    /// The soak.
    pub(super) soak: Value,
}

/// Runs `dlsoak VERB LIBRARY` with these further arguments; `follow` its memory at a cost.
pub(super) fn soak(
    bench: &Bench,
    verb: &str,
    library: &Path,
    arguments: &[&str],
    follow: bool,
) -> Result<Soaked> {
    let out = bench.scratch.path().join("out");
    let mut command = Command::new(&bench.dlsoak);
    command.arg(verb).arg(library).args(["-c", CALL, "-q", "-o"]).arg(&out).args(arguments);
    command.current_dir(bench.scratch.path()).env_remove("GLIBC_TUNABLES");
    let ran = if follow { process::followed(&mut command)? } else { process::run(&mut command)? };
    let ran = ran.context("the release build is gone")?;
    if !xtask::record::is_left_by(ran.code) {
        bail!("`{}` ended with {:?}: {}", command::spelt(&command), ran.code, ran.stderr.trim());
    }
    let text = std::fs::read_to_string(out.join("record.json")).context("no record")?;
    std::fs::remove_dir_all(&out)?;
    let mut record: Value = serde_json::from_str(&text)?;
    Ok(Soaked { ran, soak: record.pointer_mut("/soaks/0").context("an empty record")?.take() })
}

impl Soaked {
    fn number(&self, pointer: &str) -> Result<f64> {
        self.soak
            .pointer(pointer)
            .and_then(Value::as_f64)
            .with_context(|| format!("no {pointer} in the record"))
    }

    /// Measured cycles that were completed.
    pub(super) fn cycles(&self) -> Result<f64> {
        self.number("/cycles/completed")
    }

    /// All cycles that its worker made, the warm-up included.
    pub(super) fn made(&self) -> Result<f64> {
        Ok(self.cycles()? + self.number("/cycles/warmup")?)
    }

    /// Cycles of warm-up.
    pub(super) fn warmup(&self) -> Result<u64> {
        Ok(self.number("/cycles/warmup")? as u64)
    }

    /// Measured cycles per second of active time, which is without the pauses at checkpoints.
    pub(super) fn rate(&self) -> Result<f64> {
        Ok(self.cycles()? / self.number("/seconds")?)
    }

    /// The median cycle of one thread, from the latencies.
    pub(super) fn median_ns(&self) -> Result<f64> {
        self.number("/latency_ns/cycle/p50")
    }

    /// Measured cycles per second of the whole process: warm-up, checkpoints, analysis and reports.
    pub(super) fn wall_rate(&self) -> Result<f64> {
        Ok(self.cycles()? / self.ran.wall.as_secs_f64())
    }

    /// Mappings of its worker at the last checkpoint, where the library is closed.
    pub(super) fn mappings(&self) -> Result<usize> {
        let checkpoints = &self.soak["checkpoints"];
        let columns = checkpoints["columns"].as_array().into_iter().flatten();
        let column = columns.into_iter().position(|column| column == "mappings");
        let last = checkpoints["rows"].as_array().and_then(|rows| rows.last());
        let count = column.zip(last).and_then(|(column, row)| row[column].as_u64());
        Ok(count.context("no mappings in the record")? as usize)
    }

    /// Traced cycles per second.
    pub(super) fn traced_rate(&self) -> Result<f64> {
        Ok(1e9 / self.number("/trace/ns_per_cycle")?)
    }

    /// The verdict.
    pub(super) fn verdict(&self) -> &str {
        self.soak["verdict"].as_str().unwrap_or_default()
    }

    /// Heap bytes per cycle, as measured.
    pub(super) fn heap_per_cycle(&self) -> Option<f64> {
        let growth = self.soak["growth"].as_array()?;
        growth.iter().find(|growth| growth["metric"] == "heap")?["per_cycle"].as_f64()
    }
}
