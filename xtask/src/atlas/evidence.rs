//! How often the atlas is wrong: some plugins of each verdict, drawn by a seed that is committed, and what a bare host in C says of each.
//! The hosts are those of `tests/drivers`, which share no code with dlsoak.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use dlsoak_wire::interface::Interface;
use serde_json::Value;

use super::root::Root;
use super::rows::{Atlas, Row};
use crate::plugins::{Check, Repeated, answer, bare_host, ended, findings};
use crate::survey::{ends, text};

/// Draws them; another seed would draw others.
const SEED: u64 = 20_261_129;

/// How many are drawn, as many of each verdict as there are.
const DRAWN: usize = 60;

/// Fewest cycles of a bare host: what is left once per cycle is then plainly more than what is left once.
const CYCLES: u64 = 200;

/// What a bare host may take.
const WITHIN: Duration = Duration::from_secs(60);

/// A witness's answer about a plugin.
struct Answer {
    /// What it said.
    said: String,
    /// What of dlsoak's findings it repeats.
    lines: Vec<String>,
    agrees: Repeated,
}

/// Draws the plugins, asks the bare hosts, and writes what they say to `evidence/` and `precision.md`. What somebody has written by hand
/// below the line `## By hand` stays.
pub(super) fn write(root: &Root, atlas: &Atlas, reports: &Path) -> Result<()> {
    let directory = reports.join("evidence");
    fs::create_dir_all(&directory)?;
    let witnesses = root.shared().join("witnesses");
    fs::create_dir_all(&witnesses)?;
    let mut table = format!(
        "# Sixty verdicts and a second witness\n\nDrawn by seed {SEED}, from {} plugins. `cargo xtask atlas` writes this page and \
         [evidence](evidence).\n\n| number | plugin | verdict | witness |\n| ---: | --- | --- | --- |\n",
        atlas.rows.len()
    );
    let mut sums = [0; 3];
    let mut others: BTreeSet<PathBuf> =
        fs::read_dir(&directory)?.flatten().map(|entry| entry.path()).collect();
    for (number, row) in drawn(&atlas.rows).into_iter().enumerate() {
        let kind = &atlas.kinds[row.kind];
        let answer = ask(root, &witnesses, kind.interface(), &kind.flags(&row.file), row)?;
        let file = row.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let page = directory.join(format!("{:02}-{}-{file}.md", number + 1, kind.name));
        let by_hand = fs::read_to_string(&page).ok();
        let by_hand = by_hand.as_deref().and_then(|page| page.find("## By hand").map(|at| &page[at..]));
        let ruled = by_hand.and_then(|text| text.lines().find_map(|line| line.strip_prefix("Ruling: ")));
        let agrees = match ruled {
            Some(ruling) if ruling.starts_with("right") => Repeated::Yes,
            Some(_) => Repeated::No,
            None => answer.agrees,
        };
        sums[agrees as usize] += 1;
        let word = ["agrees", "**does not agree**", "can't say"][agrees as usize];
        let mut evidence = format!(
            "# {file}: {}\n\n`{}`\n\n{}\nThe bare host said:\n\n```text\n{}\n```\n\nIt {word}.\n",
            row.verdict(),
            row.command(kind),
            answer.lines.concat(),
            answer.said.trim()
        );
        if let Some(by_hand) = by_hand {
            let _ = write!(evidence, "\n{by_hand}");
        }
        others.remove(&page);
        fs::write(&page, evidence).with_context(|| format!("cannot write {}", page.display()))?;
        let page = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let _ =
            writeln!(table, "| {} | [{file}](evidence/{page}) | {} | {word} |", number + 1, row.verdict());
    }
    // Those of an earlier draw.
    for page in others {
        fs::remove_file(&page).with_context(|| format!("cannot remove {}", page.display()))?;
    }
    let _ = write!(
        table,
        "\nThe witness agrees with {}, does not agree with {}, and can't say of {}.\n",
        sums[0], sums[1], sums[2]
    );
    fs::write(reports.join("precision.md"), table).context("cannot write precision.md")
}

/// As many of each verdict as there are, by turns, until all are drawn.
fn drawn(rows: &[Row]) -> Vec<&Row> {
    let mut by_verdict: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.soak.is_some()) {
        by_verdict.entry(row.verdict()).or_default().push(row);
    }
    let mut state = SEED;
    let mut drawn = Vec::new();
    while drawn.len() < DRAWN && by_verdict.values().any(|rows| !rows.is_empty()) {
        for rows in by_verdict.values_mut().filter(|rows| !rows.is_empty()) {
            // Knuth's MMIX generator; its high bits are the good ones.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            drawn.push(rows.swap_remove((state >> 33) as usize % rows.len()));
        }
    }
    drawn.truncate(DRAWN);
    drawn
}

/// Has the bare host of its interface, or the one that only opens and closes, make the plugin's cycles inside the root.
fn ask(
    root: &Root,
    witnesses: &Path,
    interface: Option<Interface>,
    flags: &[&str],
    row: &Row,
) -> Result<Answer> {
    let nothing = Value::Null;
    let soak = row.soak.as_ref().unwrap_or(&nothing);
    let plugin = row.file.display().to_string();
    let host = bare_host(witnesses, interface, &plugin, Some(root.dir()))?;
    let host = Path::new("/atlas/witnesses").join(host.file_name().unwrap_or_default());
    let cycles = soak["cycles"]["completed"].as_u64().unwrap_or(0).clamp(CYCLES, 2_000);
    let mut command = root.run(&host.display().to_string());
    command.arg(&plugin).arg(cycles.to_string());
    if interface.is_none() {
        command.args(held(root, flags, &row.file));
    }
    let output = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    let (said, status) = ends(&mut command, output, WITHIN).context("cannot run unshare")?;
    let bare = ended(&said, status);
    let found = findings(soak, interface);
    let completed = text(soak, "/outcome/kind") == "completed";
    let mut lines = Vec::new();
    let mut all = Vec::new();
    for finding in &found {
        let (words, repeated) = answer(&finding.check, &bare, completed);
        let word = ["yes", "no", "not measured"][repeated as usize];
        lines.push(format!("- {} {}: {word} ({words})\n", finding.what, finding.figure));
        all.push(repeated);
    }
    let agrees = if row.verdict() == "inconclusive" {
        // It claims nothing.
        Repeated::Unknown
    } else if all.contains(&Repeated::Yes) {
        Repeated::Yes
    } else if row.verdict() == "pinned" {
        answer(&Check::Stays, &bare, completed).1
    } else if found.is_empty() {
        // A clean plugin's heap has not grown by a smallest chunk per cycle.
        let heap = bare.fact("heap").and_then(|heap| heap.parse::<f64>().ok());
        let mut contrary = heap.is_none_or(|heap| heap >= 16.0);
        for (name, check) in [
            ("descriptors", Check::Grows("descriptors")),
            ("threads", Check::Grows("threads")),
            ("keys", Check::Grows("keys_left")),
            ("handlers", Check::Grows("handlers")),
            ("dangling", Check::Grows("dangling")),
            ("modes", Check::Changes("modes")),
            ("stays", Check::Stays),
        ] {
            let (words, repeated) = answer(&check, &bare, true);
            if repeated == Repeated::Yes {
                lines.push(format!("- {name}: {words}\n"));
                contrary = true;
            }
        }
        match (contrary, bare.is_ended()) {
            (false, true) => Repeated::Yes,
            (true, true) => Repeated::No,
            (_, false) => Repeated::Unknown,
        }
    } else if all.contains(&Repeated::No) && bare.is_ended() {
        Repeated::No
    } else {
        Repeated::Unknown
    };
    Ok(Answer { said, lines, agrees })
}

/// What the flags have the host hold, and what a program or a plugin links.
fn held(root: &Root, flags: &[&str], plugin: &Path) -> Vec<String> {
    let mut held = Vec::new();
    for (flag, value) in flags.iter().zip(flags.iter().skip(1)) {
        let of = match (*flag, *value) {
            ("--hold", "deps") => plugin,
            ("--host", program) => Path::new(program),
            ("--hold", library) => {
                held.push(library.trim_end_matches(":link").to_owned());
                continue;
            }
            _ => continue,
        };
        let file = root.dir().join(of.strip_prefix("/").unwrap_or(of));
        let bytes = fs::read(file).unwrap_or_default();
        held.extend(dlsoak_elf::parse(&bytes).map(|facts| facts.needed).unwrap_or_default());
    }
    held
}
