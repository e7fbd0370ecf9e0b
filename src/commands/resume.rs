//! What an interrupted run has measured already, so that `dlsoak run --resume` soaks only the rest.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;

use super::records;
use crate::elf;
use crate::record::{Run, Soak};
use crate::suite::plan::{Plan, SoakPlan};

/// The soaks of the plan that the record in `out` has complete, by their place in the plan. `run`, which begins now, is dated as
/// the one that it goes on with.
///
/// # Errors
/// When the record can't be read, or is of another suite, part or version of dlsoak.
pub(super) fn keep(run: &mut Run, out: &Path, plan: &Plan) -> anyhow::Result<BTreeMap<usize, Soak>> {
    let path = out.join("record.json");
    if !path.try_exists().unwrap_or(true) {
        return Ok(BTreeMap::new());
    }
    let earlier = records::read(&path)?;
    let (shown, other) = (path.display(), "choose another directory with --out, or leave out --resume");
    if earlier.tool != run.tool {
        let (theirs, ours) = (&earlier.tool.version, &run.tool.version);
        bail!("{shown} was written by dlsoak {theirs:?}, and this is {ours}; {other}");
    }
    if earlier.partition != run.partition {
        bail!("{shown} is of another part of a suite; {other}");
    }
    let planned = |name: &str| plan.soaks.iter().any(|soak| soak.name == name);
    if let Some(soak) = earlier.soaks.iter().find(|soak| !planned(&soak.name)) {
        bail!("{shown} is of another suite, because it has the soak {:?}; {other}", soak.name);
    }
    let mut kept = BTreeMap::new();
    for (index, plan) in plan.soaks.iter().enumerate() {
        let same = earlier.soaks.iter().find(|soak| soak.name == plan.name).filter(|soak| has(soak, plan));
        kept.extend(same.map(|soak| (index, soak.clone())));
    }
    if !kept.is_empty() {
        run.started_at.clone_from(&earlier.started_at);
    }
    if earlier.host != run.host {
        for soak in kept.values_mut() {
            soak.measured.host.get_or_insert_with(|| earlier.host.clone());
        }
    }
    Ok(kept)
}

/// Whether this is what the plan asks for, complete and of the files that are there now. Without a build id nothing shows that
/// a file is the same.
fn has(soak: &Soak, plan: &SoakPlan) -> bool {
    let is_same = |path: &Path, id: &Option<String>| {
        id.is_some() && *id == elf::facts_of(path).and_then(|facts| facts.build_id)
    };
    let other = soak.replaced.as_ref().and_then(|replaced| replaced.builds[1].build_id.clone());
    !soak.is_cut_short()
        && soak.asked == plan.asked
        && Path::new(&soak.path) == plan.path
        && is_same(&plan.path, &soak.build_id)
        && soak.together.iter().all(|member| is_same(Path::new(&member.path), &member.build_id))
        && plan.replace.as_ref().is_none_or(|build| is_same(build.path(), &other))
}
