//! `dlsoak.sarif`, for code scanning: a result for each finding that keeps a library from passing, at its line in the source where one is
//! known, else at the library (SARIF 2.1.0, <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use dlsoak_record::{Code, Finding, Run, Severity};
use serde_json::{Value, json};

use super::place::Sources;
use super::{Error, page, units, words};

/// Renders the file.
///
/// # Errors
///
/// When JSON can't be written, which no record gives cause for.
pub(super) fn render(run: &Run) -> Result<Vec<u8>, Error> {
    let mut found =
        Found { version: &run.tool.version, results: Vec::new(), rules: Vec::new(), seen: Vec::new() };
    for soak in &run.soaks {
        found.add(&soak.name, &soak.path, &soak.judged.findings, &Sources::of_soak(soak));
    }
    for library in run.watch.iter().flat_map(|watch| &watch.libraries) {
        found.add(library.name(), &library.path, &library.findings, &Sources::of_watched(library));
    }
    let sarif = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "dlsoak",
                "semanticVersion": found.version,
                "rules": found.rules.into_iter().map(rule).collect::<Vec<_>>(),
            } },
            "results": found.results,
        }],
    });
    let mut text = serde_json::to_vec_pretty(&sarif)?;
    text.push(b'\n');
    Ok(text)
}

/// What was found so far.
struct Found<'a> {
    version: &'a str,
    results: Vec<Value>,
    rules: Vec<Code>,
    /// The fingerprint of each result, without its number.
    seen: Vec<u32>,
}

impl Found<'_> {
    /// Adds what keeps one library from passing.
    fn add(&mut self, name: &str, path: &str, findings: &[Finding], sources: &Sources<'_>) {
        for finding in findings {
            let level = match finding.severity {
                Severity::Fail => "error",
                Severity::Undecided => "warning",
                Severity::Note => continue,
            };
            if !self.rules.contains(&finding.code) {
                self.rules.push(finding.code);
            }
            let code = finding.code.name();
            let lines: Vec<String> =
                words::finding(finding).lines().map(|line| units::printable(&line)).collect();
            let place = sources.place(finding);
            let function = place.and_then(|place| place.function).unwrap_or_default();
            let mut location = json!({
                "physicalLocation": {
                    "artifactLocation": { "uri": uri(place.map_or(path, |place| place.file)) },
                },
            });
            if let Some(line) = place.and_then(|place| place.line) {
                location["physicalLocation"]["region"] = json!({ "startLine": line });
            }
            if !function.is_empty() {
                location["logicalLocations"] =
                    json!([{ "fullyQualifiedName": units::printable(function), "kind": "function" }]);
            }
            // Neither lines nor figures, so that a change of them does not make another result of it.
            let identity = [code, name, finding.object.as_deref().unwrap_or_default(), function].join("\n");
            let hash = crc32fast::hash(identity.as_bytes());
            self.seen.push(hash);
            let number = self.seen.iter().filter(|seen| **seen == hash).count();
            self.results.push(json!({
                "ruleId": code,
                "level": level,
                "message": { "text": format!("{}: {}", units::printable(name), lines.join("\n")) },
                "locations": [location],
                "partialFingerprints": { "primaryLocationLineHash": format!("{hash:08x}:{number}") },
            }));
        }
    }
}

/// What a code means, and how to fix it: its page.
fn rule(code: Code) -> Value {
    let (text, first) = page::parts(code);
    let code = code.name();
    json!({
        "id": code,
        "shortDescription": { "text": code.replace('-', " ") },
        "fullDescription": { "text": first },
        "help": { "text": text, "markdown": text },
    })
}

/// A path as a URI: relative as it is, for the root of a repository; absolute with its scheme.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/+@".contains(&byte);
    let escaped: String = path
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    if path.starts_with('/') { format!("file://{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::{Facts, sample};

    fn results(run: &Run) -> Vec<Value> {
        let sarif: Value = serde_json::from_slice(&render(run).unwrap()).unwrap();
        sarif["runs"][0]["results"].as_array().unwrap().clone()
    }

    #[test]
    fn a_leak_is_at_its_line_and_anything_else_at_the_library() {
        let mut run = sample::run(8);
        let leaks = run.soaks.iter().position(|soak| soak.judged.leak.is_some()).unwrap();
        run.soaks[leaks].trace = Some(sample::trace());
        let results = results(&run);
        let location = |rule: &str| {
            let result = results.iter().find(|result| result["ruleId"].as_str().unwrap().starts_with(rule));
            result.unwrap()["locations"][0]["physicalLocation"].clone()
        };
        let leak = location("leak-heap");
        assert_eq!(
            (&leak["artifactLocation"]["uri"], &leak["region"]["startLine"]),
            (&json!("src/leak.c"), &json!(9))
        );
        let stays = location("pinned-");
        assert!(
            stays["artifactLocation"]["uri"].as_str().unwrap().ends_with(".so") && stays["region"].is_null()
        );
    }

    #[test]
    fn what_passes_has_no_result_and_libraries_of_a_watch_have() {
        assert!(results(&sample::run(1)).is_empty());
        let watched = results(&sample::watched());
        let levels: Vec<&Value> = watched.iter().map(|result| &result["level"]).collect();
        assert_eq!(levels, ["error", "warning"]);
    }

    #[test]
    fn a_result_stays_the_same_when_lines_and_figures_change() {
        let fingerprints = |run: &Run| -> Vec<Value> {
            results(run).iter().map(|result| result["partialFingerprints"].clone()).collect()
        };
        let mut run = sample::run(8);
        let leaks = run.soaks.iter().position(|soak| soak.judged.leak.is_some()).unwrap();
        run.soaks[leaks].trace = Some(sample::trace());
        let before = fingerprints(&run);
        let place = &mut run.soaks[leaks].trace.as_mut().unwrap().places[0];
        place.line = Some(90);
        let Facts::Leak(facts) = &mut run.soaks[leaks].judged.findings[0].facts else { panic!() };
        (facts.growth.per_cycle, facts.cycles) = (48.5, 7);
        assert_eq!(fingerprints(&run), before);
        // Another function is another result, and so is a second of its kind.
        run.soaks[leaks].trace.as_mut().unwrap().places[0].function = Some("other".to_owned());
        let twice = run.soaks[leaks].judged.findings[0].clone();
        run.soaks[leaks].judged.findings.push(twice);
        let after = fingerprints(&run);
        assert!(after.iter().enumerate().all(|(at, one)| !after[..at].contains(one)), "{after:?}");
        assert_eq!(after.iter().filter(|one| !before.contains(one)).count(), 2);
    }

    #[test]
    fn a_rule_has_the_help_of_its_page() {
        let sarif: Value = serde_json::from_slice(&render(&sample::run(8)).unwrap()).unwrap();
        let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
        let leak = rules.iter().find(|rule| rule["id"] == "leak-heap").unwrap();
        assert!(leak["help"]["markdown"].as_str().unwrap().contains("**Fix**: Run `dlsoak trace LIB`"));
        assert!(leak["fullDescription"]["text"].as_str().unwrap().starts_with("The C heap grows "));
    }

    #[test]
    fn each_file_is_what_the_schema_of_oasis_asks_for() {
        let schema = include_str!("../../../tests/data/schemas/sarif-2.1.0.json");
        let schema: Value = serde_json::from_str(schema).unwrap();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let mut traced = sample::run(8);
        traced.soaks.iter_mut().for_each(|soak| soak.measured.trace = Some(sample::trace()));
        traced.soaks[1].measured.path = "/a b/\u{1b}ü#.so".to_owned();
        for run in [sample::run(1), traced, sample::watched()] {
            let ours: Value = serde_json::from_slice(&render(&run).unwrap()).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&ours)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
        // And a rule for each code.
        let rules: Vec<Value> = Code::ALL.into_iter().map(rule).collect();
        let all = json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": { "name": "dlsoak", "rules": rules } } }] });
        assert!(validator.is_valid(&all));
        assert!(!validator.is_valid(&json!({ "version": "2.1.0", "runs": [{}] })));
    }

    #[test]
    fn a_path_is_a_uri() {
        assert_eq!(uri("a b/c#1.so"), "a%20b/c%231.so");
        assert_eq!(uri("/usr/lib/libstdc++.so.6"), "file:///usr/lib/libstdc++.so.6");
    }
}
