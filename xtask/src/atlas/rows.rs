//! What the records say of each plugin, and how `reports/atlas/` shows it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::root::Root;
use super::{AGAIN, Kind};
use crate::nightly;
use crate::survey::{class, kinds, text};

const PAGE: &str = include_str!("page.html");

/// A plugin of a kind, and what is known of it.
pub(super) struct Row {
    /// Index of its kind.
    pub(super) kind: usize,
    /// Its path inside the root.
    pub(super) file: PathBuf,
    package: String,
    version: String,
    /// The soak of its record; none where no record has it.
    pub(super) soak: Option<Value>,
    /// Why it was not soaked, where dlsoak says so.
    refused: Option<String>,
}

/// A fault of a plugin, or of an object that it needs.
struct Fault {
    code: String,
    /// The file that it is of.
    object: String,
    function: String,
    figure: String,
    /// Bytes per cycle where it grows; orders faults of one code.
    weight: f64,
}

impl Row {
    pub(super) fn verdict(&self) -> &str {
        let none = if self.refused.is_some() { "not soaked" } else { "no record" };
        self.soak.as_ref().map_or(none, |soak| text(soak, "/verdict"))
    }

    /// Whether its soak came to an end of its own, or dlsoak said why there is none.
    pub(super) fn is_whole(&self) -> bool {
        self.soak.as_ref().map_or(self.refused.is_some(), |soak| soak["interrupted"] != true)
    }

    /// The verdict in a word, with why it was not loaded.
    fn end(&self) -> &str {
        match &self.soak {
            Some(soak) if text(soak, "/outcome/kind") == "load-failed" => class(soak),
            Some(soak) => text(soak, "/outcome/kind"),
            None => "",
        }
    }

    /// The command that shows it again, on a machine that has the package.
    pub(super) fn command(&self, kind: &Kind) -> String {
        let flags: String = kind.flags(&self.file).iter().map(|flag| format!(" {flag}")).collect();
        format!("dlsoak run {}{flags} --until-decided", self.file.display())
    }

    /// What fails the gate, each once.
    fn faults(&self) -> Vec<Fault> {
        let Some(soak) = &self.soak else { return Vec::new() };
        let own = self.file.file_name().unwrap_or_default().to_string_lossy();
        let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let list = |pointer: &str| soak.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        let blamed = list("/findings").filter(|finding| text(finding, "/code") == "dependency-at-fault");
        let blamed: Vec<&Value> =
            blamed.filter_map(|finding| finding.pointer("/facts/dependency-at-fault")).collect();
        let mut faults: Vec<Fault> = Vec::new();
        for finding in list("/findings").filter(|finding| finding["severity"] == "fail") {
            let code = text(finding, "/code").to_owned();
            let facts = &finding["facts"];
            let problem = |fault: &Value| {
                let of = &fault["problem"];
                of == "stays" && facts.get("stays").is_some()
                    || of == "crashes" && facts.get("ended").is_some()
                    || facts.get("leak").is_some() && of["grows"]["metric"] == facts["leak"]["metric"]
                    || facts.get("left").is_some() && of["left"]["residue"] == facts["left"]["kind"]
            };
            let by_hosts =
                blamed.iter().find(|fault| problem(fault)).and_then(|fault| fault["objects"][0].as_str());
            let object =
                [by_hosts.unwrap_or_default(), text(finding, "/object"), text(facts, "/stays/object")]
                    .into_iter()
                    .find(|object| !object.is_empty())
                    .map_or_else(|| own.to_string(), name);
            let rate = facts["leak"]["per_cycle"].as_f64();
            let figure = match rate {
                Some(rate) => format!(
                    "{rate:.1} {} of {} per cycle",
                    text(facts, "/leak/unit"),
                    text(facts, "/leak/metric")
                ),
                None if code.starts_with("pinned") => text(facts, "/stays/symbol").to_owned(),
                None if facts.get("ended").is_some() => {
                    let ended = &facts["ended"];
                    [text(ended, "/signal"), text(ended, "/phase"), text(ended, "/why/kind")]
                        .join(" ")
                        .trim()
                        .to_owned()
                }
                None => {
                    let left = &facts["left"];
                    let rate = left["per_cycle"].as_f64();
                    rate.map_or_else(String::new, |rate| format!("{rate:.1} per cycle"))
                }
            };
            let function = text(finding, "/where/function").to_owned();
            if !faults.iter().any(|fault| fault.code == code && fault.object == object) {
                faults.push(Fault { code, object, function, figure, weight: rate.unwrap_or(0.0) });
            }
        }
        faults
    }
}

/// What one object does to the plugins that bring it.
#[derive(Default)]
struct AtFault {
    plugins: usize,
    kinds: BTreeSet<usize>,
    packages: BTreeSet<String>,
    weight: f64,
    figure: String,
    functions: BTreeSet<String>,
    example: usize,
}

/// All plugins.
pub(super) struct Atlas {
    pub(super) kinds: Vec<Kind>,
    pub(super) rows: Vec<Row>,
    version: String,
}

impl Atlas {
    pub(super) fn read(root: &Root, plugins: &[(Kind, Vec<PathBuf>)]) -> Result<Self> {
        let mut soaks: HashMap<PathBuf, Value> = HashMap::new();
        let records = fs::read_dir(root.shared().join("records")).into_iter().flatten().flatten();
        let mut records: Vec<PathBuf> = records.map(|record| record.path()).collect();
        // What was soaked again has the last word.
        let is_again =
            |record: &Path| record.file_name().is_some_and(|name| name.to_string_lossy().starts_with(AGAIN));
        records.sort_by_key(|record| is_again(record));
        let mut version = String::new();
        for record in records {
            let Ok(record) = fs::read(record.join("record.json")) else { continue };
            let mut record: Value = serde_json::from_slice(&record)?;
            version = text(&record, "/tool/version").to_owned();
            for soak in record["soaks"].as_array_mut().into_iter().flatten() {
                // Far the most of a record, and nothing here needs it.
                for much in ["checkpoints", "worker", "latency_ns", "warmup_latency_ns", "growth"] {
                    soak[much] = Value::Null;
                }
                soaks.insert(PathBuf::from(text(soak, "/path")), soak.take());
            }
        }
        let mut refused = HashMap::new();
        for log in fs::read_dir(root.shared().join("logs")).into_iter().flatten().flatten() {
            let log = fs::read(log.path())?;
            for line in String::from_utf8_lossy(&log).lines() {
                let why = line.strip_prefix("dlsoak: not soaked: ").and_then(|line| line.split_once(": "));
                refused.extend(why.map(|(file, why)| (PathBuf::from(file), why.to_owned())));
            }
        }
        let packages = root.packages()?;
        let mut rows = Vec::new();
        for (kind, (_, files)) in plugins.iter().enumerate() {
            for file in files {
                let (package, version) = packages.get(file).cloned().unwrap_or_default();
                let (soak, refused) = (soaks.remove(file), refused.remove(file));
                rows.push(Row { kind, file: file.clone(), package, version, soak, refused });
            }
        }
        Ok(Self { kinds: plugins.iter().map(|(kind, _)| kind.clone()).collect(), rows, version })
    }

    /// Plugins without a record, or whose soak was cut short.
    pub(super) fn missing(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| !row.is_whole()).collect()
    }

    /// How many plugins, packages and kinds there are.
    fn size(&self) -> String {
        let packages: BTreeSet<&str> = self.rows.iter().map(|row| &*row.package).collect();
        let [plugins, packages, kinds] = [self.rows.len(), packages.len(), self.kinds.len()];
        format!("{plugins} plugins of {packages} packages, {kinds} kinds of hosts")
    }

    /// Prints how many plugins there are of each verdict, in all and of each kind.
    pub(super) fn print(&self) {
        println!("{}", self.size());
        for (verdict, count) in sums(self.rows.iter()) {
            println!("{verdict:<14} {count}");
        }
        for (index, kind) in self.kinds.iter().enumerate() {
            let sums = sums(self.rows.iter().filter(|row| row.kind == index));
            let sums: Vec<String> =
                sums.iter().map(|(verdict, count)| format!("{verdict} {count}")).collect();
            println!("{:<16} {}", kind.name, sums.join(", "));
        }
    }

    /// What each object is at fault for: the heaviest first.
    fn at_fault(&self) -> Vec<((String, String), AtFault)> {
        let mut objects: BTreeMap<(String, String), AtFault> = BTreeMap::new();
        for (index, row) in self.rows.iter().enumerate() {
            if row.verdict() == "load-failed" {
                continue;
            }
            for fault in row.faults() {
                let of = objects.entry((fault.object, fault.code)).or_default();
                if of.plugins == 0 || fault.weight > of.weight {
                    (of.weight, of.figure, of.example) = (fault.weight, fault.figure, index);
                }
                of.plugins += 1;
                of.kinds.insert(row.kind);
                of.packages.insert(row.package.clone());
                if !fault.function.is_empty() {
                    of.functions.insert(fault.function);
                }
            }
        }
        let mut objects: Vec<_> = objects.into_iter().collect();
        objects.sort_by(|(_, a), (_, b)| {
            let of = |fault: &AtFault| fault.weight * fault.plugins as f64;
            of(b).total_cmp(&of(a)).then(b.plugins.cmp(&a.plugins))
        });
        objects
    }

    /// Writes the page and the tables.
    pub(super) fn write(&self, reports: &Path) -> Result<()> {
        fs::create_dir_all(reports)?;
        let write = |name: &str, text: String| {
            fs::write(reports.join(name), text).with_context(|| format!("cannot write {name}"))
        };
        let head = "kind,package,version,file,verdict,end,unload,causes,residue,leak,object,bytes per cycle,cycles,command\n";
        let mut table = head.to_owned();
        let mut data = Vec::new();
        for row in &self.rows {
            let kind = &self.kinds[row.kind];
            let nothing = Value::Null;
            let soak = row.soak.as_ref().unwrap_or(&nothing);
            let leak = soak["leak"]["bytes_per_cycle"].as_f64();
            let words = [
                kind.name.clone(),
                row.package.clone(),
                row.version.clone(),
                row.file.display().to_string(),
                row.verdict().to_owned(),
                row.end().to_owned(),
                text(soak, "/unload/state").to_owned(),
                kinds(soak, "/unload/causes").join(" "),
                kinds(soak, "/residue").join(" "),
                text(soak, "/leak/metric").to_owned(),
                text(soak, "/leak/object").rsplit('/').next().unwrap_or_default().to_owned(),
                leak.map_or_else(String::new, |leak| format!("{leak:.1}")),
                soak["cycles"]["completed"].as_u64().unwrap_or(0).to_string(),
                row.command(kind),
            ];
            table.push_str(&csv(words));
            let said = if let (None, Some(why)) = (&row.soak, &row.refused) {
                why.clone()
            } else if row.verdict() == "load-failed" {
                text(soak, "/outcome/why/said").to_owned()
            } else {
                let faults = row.faults().into_iter();
                let faults: Vec<String> = faults
                    .map(|fault| {
                        let of = if row.file.ends_with(&fault.object) {
                            String::new()
                        } else {
                            format!(" ({})", fault.object)
                        };
                        format!("{} {}{of}", fault.code, fault.figure).trim().to_owned()
                    })
                    .collect();
                faults.join("; ")
            };
            data.push(json!([row.kind, row.package, row.file.display().to_string(), row.verdict(), said]));
        }
        write("atlas.csv", table)?;
        let mut objects = "object,code,plugins,kinds,packages,largest,functions,command\n".to_owned();
        let mut faults = Vec::new();
        for ((object, code), of) in self.at_fault() {
            let example = &self.rows[of.example];
            let names: Vec<&str> = of.kinds.iter().map(|kind| &*self.kinds[*kind].name).collect();
            let functions: Vec<String> = of.functions.iter().cloned().collect();
            let command = example.command(&self.kinds[example.kind]);
            let functions = functions.join(" ");
            objects.push_str(&csv([
                object.clone(),
                code.clone(),
                of.plugins.to_string(),
                names.join(" "),
                of.packages.len().to_string(),
                of.figure.clone(),
                functions.clone(),
                command.clone(),
            ]));
            faults.push(json!([object, code, of.plugins, names.join(", "), of.figure, functions, command]));
        }
        write("objects.csv", objects)?;
        let data = json!({
            "kinds": self.kinds.iter().map(|kind| json!([kind.title, kind.flags.join(" ")])).collect::<Vec<_>>(),
            "rows": data,
            "faults": faults,
        });
        let head = format!("{}; Debian 12, dlsoak {}, {}", self.size(), self.version, nightly::today()?);
        // What is in the page ends no script element.
        let data = data.to_string().replace("</", "<\\/");
        write("index.html", PAGE.replace("{{head}}", &head).replace("{{data}}", &data))
    }
}

/// How many plugins there are of each verdict.
fn sums<'a>(rows: impl Iterator<Item = &'a Row>) -> BTreeMap<&'a str, usize> {
    let mut sums = BTreeMap::new();
    rows.for_each(|row| *sums.entry(row.verdict()).or_default() += 1);
    sums
}

/// A line of a table of comma-separated values (RFC 4180).
fn csv<const N: usize>(words: [String; N]) -> String {
    let quoted = words.map(|word| {
        if word.contains([',', '"', '\n']) { format!("\"{}\"", word.replace('"', "\"\"")) } else { word }
    });
    format!("{}\n", quoted.join(","))
}
