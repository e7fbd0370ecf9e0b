//! `dlsoak compare`: compares runs and prints what changed.

use std::path::Path;

use anyhow::Context as _;

use super::{print, records};
use crate::analysis::compare::{self, Comparison};
use crate::cli::{CompareArgs, Global};
use crate::record::{Gate, Measured, Run};
use crate::settings::Limits;
use crate::{exit_code, report};

/// Carries out `dlsoak compare` and returns the exit code.
///
/// # Errors
/// When a record can't be read or a file can't be written.
pub fn compare(args: &CompareArgs, _global: Global) -> anyhow::Result<u8> {
    let limits = Limits {
        max_leak_increase: args.max_leak_increase.clone(),
        max_p99_increase: args.max_p99_increase.clone(),
        ..Limits::default()
    };
    let paths: Vec<&Path> = args.records.iter().map(|path| path.as_path()).collect();
    let runs: Vec<(String, Run)> = records::labels(&paths)
        .into_iter()
        .zip(&paths)
        .map(|(label, path)| Ok((label, records::read(path)?)))
        .collect::<anyhow::Result<_>>()?;
    let comparison = compare::compare(&runs);
    let gates = gates(&comparison, &runs, &limits);
    if args.json {
        let mut value = serde_json::to_value(&comparison)?;
        if let (Some(fields), false) = (value.as_object_mut(), gates.is_empty()) {
            let gates = gates.iter().map(|(of, gate)| serde_json::json!({"of": of, "gate": gate}));
            fields.insert("gates".to_owned(), gates.collect());
        }
        print(&(serde_json::to_string_pretty(&value)? + "\n"));
    } else {
        print(&report::comparison::render(&comparison, super::width()));
        for (of, gate) in &gates {
            for rule in gate.rules.iter().filter(|rule| rule.passed != Some(true)) {
                let word = if rule.passed.is_none() { "undecided" } else { "FAIL" };
                let (measured, limit) = (report::words::rule_measured(rule), report::words::rule_limit(rule));
                print(&format!("{word} {of}: {}: {measured} (limit: {limit})\n", rule.name.name()));
            }
        }
    }
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out)
            .with_context(|| format!("cannot create the directory {}", out.display()))?;
        for file in crate::publish::write_comparison(&comparison, &runs, out)? {
            if !args.json {
                print(&format!("{}\n", file.display()));
            }
        }
    }
    Ok(if gates.iter().any(|(_, gate)| gate.passed == Some(false)) {
        exit_code::FAILED
    } else if gates.iter().any(|(_, gate)| gate.passed.is_none()) {
        exit_code::UNDECIDED
    } else {
        exit_code::PASSED
    })
}

/// The gate on each library of each run but the first, if a limit was given.
fn gates(comparison: &Comparison, runs: &[(String, Run)], limits: &Limits) -> Vec<(String, Gate)> {
    let Some(((_, base), others)) = runs.split_first() else { return Vec::new() };
    let mut gates = Vec::new();
    for (against, (label, run)) in comparison.others.iter().zip(others) {
        for change in &against.soaks {
            let name = change.other_name.as_ref().unwrap_or(&change.name);
            let soak = run.soaks.iter().find(|soak| soak.name == *name);
            let Some(soak) = soak else { continue };
            let baseline = compare::baseline_of(base, &change.name, &comparison.base);
            let measured = Measured { baseline: Some(baseline), ..soak.measured.clone() };
            let rules = compare::rules(&measured, &soak.judged.growth, limits);
            if !rules.is_empty() {
                let passed = compare::passed(Some(true), &rules);
                gates.push((format!("{name} of {label}"), Gate { passed, rules }));
            }
        }
        let (Some(before), Some(after)) = (&base.watch, &run.watch) else { continue };
        for change in &against.libraries {
            let rules = compare::rules_of_watched(before, &comparison.base, after, change, limits);
            if !rules.is_empty() {
                let passed = compare::passed(Some(true), &rules);
                gates.push((format!("{} of {label}", change.name), Gate { passed, rules }));
            }
        }
    }
    gates
}
