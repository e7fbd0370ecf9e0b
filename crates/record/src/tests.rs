//! Holds the types against the published schema and its documentation.

use super::*;

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");

/// The schema of the types as they are; `DLSOAK_BLESS=1 cargo test record` writes it down.
#[test]
fn the_published_schema_is_that_of_the_types() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Run)).unwrap() + "\n";
    let path = format!("{DIR}record.schema.json");
    if std::env::var_os("DLSOAK_BLESS").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert!(published == schema, "docs/record.schema.json is out of date: DLSOAK_BLESS=1 cargo test record");
}

#[test]
fn metrics_are_called_what_json_calls_them() {
    for metric in Metric::ALL {
        assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
    }
}

#[test]
fn every_field_is_documented() {
    let schema = serde_json::to_value(schemars::schema_for!(Run)).unwrap();
    let text = std::fs::read_to_string(format!("{DIR}record.md")).unwrap();
    let mut names = Vec::new();
    collect_properties(&schema, &mut names);
    assert!(names.len() > 60, "{}", names.len());
    for name in names {
        assert!(text.contains(&format!("`{name}`")), "docs/record.md does not explain `{name}`");
    }
}

fn collect_properties(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            if let Some(serde_json::Value::Object(properties)) = fields.get("properties") {
                names.extend(properties.keys().cloned());
            }
            fields.values().for_each(|v| collect_properties(v, names));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|v| collect_properties(v, names)),
        _ => {}
    }
}
