//! Compares the types with the published schemas and their documentation.

use std::collections::BTreeSet;

use super::*;

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");

/// Compares the schema of a type with the one in `docs/`; `DLSOAK_BLESS=1 cargo test -p dlsoak-record` writes it down.
fn published<T: schemars::JsonSchema>(name: &str) {
    let mut schema = serde_json::to_value(schemars::schema_for!(T)).unwrap();
    schema["x-free-text"] = strings(&schema).into_iter().collect();
    let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = format!("{DIR}{name}.schema.json");
    if std::env::var_os("DLSOAK_BLESS").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == schema, "{path} is out of date: DLSOAK_BLESS=1 cargo test -p dlsoak-record");
}

#[test]
fn the_published_schemas_are_those_of_the_types() {
    published::<Run>("record");
    published::<inspection::Inspection>("inspect");
    published::<checkup::Checkup>("doctor");
    published::<explanation::Explanation>("explain");
    published::<verification::Verification>("verify");
}

/// The fields of a schema that hold strings of no fixed set, as `Type.field`.
fn strings(schema: &serde_json::Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let root = schema["title"].as_str().unwrap_or_default();
    collect_strings(schema, root, &mut found);
    for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
        collect_strings(definition, name, &mut found);
    }
    found
}

fn collect_strings(node: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
    let serde_json::Value::Object(fields) = node else {
        node.as_array().into_iter().flatten().for_each(|node| collect_strings(node, path, found));
        return;
    };
    let is_string = |kind: &serde_json::Value| kind == "string";
    let string = fields
        .get("type")
        .is_some_and(|t| is_string(t) || t.as_array().is_some_and(|t| t.iter().any(is_string)));
    if string && !fields.contains_key("enum") && !fields.contains_key("const") {
        found.insert(path.to_owned());
    }
    for (name, field) in fields.get("properties").and_then(|p| p.as_object()).into_iter().flatten() {
        collect_strings(field, &format!("{path}.{name}"), found);
    }
    for part in ["items", "additionalProperties", "oneOf", "anyOf", "allOf", "prefixItems"] {
        fields.get(part).into_iter().for_each(|node| collect_strings(node, path, found));
    }
}

#[test]
fn no_string_is_free_text_but_those_that_are_listed() {
    let schemas = [
        schemars::schema_for!(Run),
        schemars::schema_for!(inspection::Inspection),
        schemars::schema_for!(checkup::Checkup),
        schemars::schema_for!(explanation::Explanation),
        schemars::schema_for!(verification::Verification),
    ];
    let found: BTreeSet<String> =
        schemas.into_iter().flat_map(|schema| strings(&serde_json::to_value(schema).unwrap())).collect();
    let listed: BTreeSet<String> = free_text::FREE_TEXT.iter().map(|name| (*name).to_owned()).collect();
    let (new, gone): (Vec<_>, Vec<_>) =
        (found.difference(&listed).collect(), listed.difference(&found).collect());
    assert!(new.is_empty() && gone.is_empty(), "not listed: {new:?}; listed and gone: {gone:?}");
}

#[test]
fn every_field_is_documented() {
    let mut schema = serde_json::to_value(schemars::schema_for!(Run)).unwrap();
    let text = std::fs::read_to_string(format!("{DIR}record.md")).unwrap();
    // docs/settings.md is made from these.
    schema["$defs"].as_object_mut().unwrap().remove("Settings");
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
