//! `dlsoak.sarif`, for code scanning: a result for each finding that keeps a library from passing, at the line that leaks where a trace
//! has it, else at the library (SARIF 2.1.0, <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use dlsoak_record::{Code, Finding, Run, Severity, TracePlace};
use serde_json::{Value, json};

use super::{Error, trace, units, words};

/// Renders the file.
///
/// # Errors
///
/// When JSON can't be written, which no record gives cause for.
pub(super) fn render(run: &Run) -> Result<Vec<u8>, Error> {
    let mut results = Vec::new();
    let mut rules: Vec<Code> = Vec::new();
    for soak in &run.soaks {
        let grows: Vec<&TracePlace> = soak.trace.iter().flat_map(trace::growing).collect();
        add(&mut results, &mut rules, &soak.name, &soak.path, &soak.judged.findings, &grows);
    }
    for library in run.watch.iter().flat_map(|watch| &watch.libraries) {
        let grows: Vec<&TracePlace> = library.places.iter().collect();
        add(&mut results, &mut rules, library.name(), &library.path, &library.findings, &grows);
    }
    let sarif = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "dlsoak",
                "semanticVersion": run.tool.version,
                "rules": rules.into_iter().map(rule).collect::<Vec<_>>(),
            } },
            "results": results,
        }],
    });
    let mut text = serde_json::to_vec_pretty(&sarif)?;
    text.push(b'\n');
    Ok(text)
}

/// Adds what keeps one library from passing.
fn add(
    results: &mut Vec<Value>,
    rules: &mut Vec<Code>,
    name: &str,
    path: &str,
    findings: &[Finding],
    grows: &[&TracePlace],
) {
    for finding in findings {
        let level = match finding.severity {
            Severity::Fail => "error",
            Severity::Undecided => "warning",
            Severity::Note => continue,
        };
        if !rules.contains(&finding.code) {
            rules.push(finding.code);
        }
        let code = finding.code.name();
        let lines: Vec<String> =
            words::finding(finding).lines().map(|line| units::printable(&line)).collect();
        // Of what grows, the record has the place apart from the finding.
        let leaks = code.starts_with("leak-").then_some(grows).into_iter().flatten();
        let traced = leaks.map(|place| (&place.function, &place.file, place.line));
        let named = finding.place.iter().map(|place| (&place.function, &place.file, place.line));
        let place =
            named.chain(traced).find_map(|(function, file, line)| Some((function, file.as_ref()?, line)));
        let function = place.and_then(|(function, ..)| function.as_deref()).unwrap_or_default();
        let mut location = json!({
            "artifactLocation": { "uri": uri(place.map_or(path, |(_, file, _)| file)) },
        });
        if let Some(line) = place.and_then(|(.., line)| line).filter(|line| *line > 0) {
            location["region"] = json!({ "startLine": line });
        }
        // Without the line, so that a change above it does not make another result of it.
        let identity = [code, name, finding.object.as_deref().unwrap_or_default(), function].join("\n");
        results.push(json!({
            "ruleId": code,
            "level": level,
            "message": { "text": format!("{}: {}", units::printable(name), lines.join("\n")) },
            "locations": [{ "physicalLocation": location }],
            "partialFingerprints": {
                "primaryLocationLineHash": format!("{:08x}:1", crc32fast::hash(identity.as_bytes())),
            },
        }));
    }
}

/// What a code means, as far as a page without this program can say it.
fn rule(code: Code) -> Value {
    let code = code.name();
    let help =
        format!("`dlsoak explain {code}` says what it means, and suggests a fix in C, C++, Rust and Go.");
    json!({
        "id": code,
        "shortDescription": { "text": code.replace('-', " ") },
        "fullDescription": { "text": help },
        "help": { "text": help },
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
    use dlsoak_record::sample;

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
    fn a_reader_of_the_format_knows_every_property() {
        for run in [sample::run(8), sample::watched()] {
            let ours: Value = serde_json::from_slice(&render(&run).unwrap()).unwrap();
            let read: serde_sarif::sarif::Sarif = serde_json::from_value(ours.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), ours);
        }
    }

    #[test]
    fn a_path_is_a_uri() {
        assert_eq!(uri("a b/c#1.so"), "a%20b/c%231.so");
        assert_eq!(uri("/usr/lib/libstdc++.so.6"), "file:///usr/lib/libstdc++.so.6");
    }
}
