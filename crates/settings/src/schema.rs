//! The JSON Schema of `dlsoak.toml`, and the table of settings for the documentation, both made from the list of settings.

use std::fmt::Write as _;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::{Limits, Settings};

/// The schema's own name. It is published as `docs/dlsoak.schema.json`.
pub const ID: &str = "urn:dlsoak:dlsoak.toml:1";

/// The schema of a suite file.
pub fn suite() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let settings = properties::<Settings>(&mut generator);
    let gate = properties::<Limits>(&mut generator);
    let text = |about: &str| json!({ "type": "string", "description": about });
    let exclude = one_or_many(json!({
        "type": ["array"], "items": { "type": "string" },
        "description": "Patterns of the names and paths of libraries to leave out [default: none]"
    }));
    let mut library = settings.clone();
    let matrix = settings.iter().map(|(key, value)| (key.clone(), matrix_of(key, value)));
    let mut matrix: Map<String, Value> = matrix.collect();
    matrix.insert("path".to_owned(), many(&json!({ "type": "string" })));
    library.insert("name".to_owned(), text("Name of the soak [default: from the file's name]"));
    library.insert("path".to_owned(), text("The library, a directory that stands for each library below it, or a pattern such as build/*.so; relative to the \
                directory of this file"));
    library.insert(
        "matrix".to_owned(),
        table("Lists of values for settings; each combination becomes a soak of its own", &matrix),
    );
    let mut root = table(
        "A suite of soaks for dlsoak",
        &of([
            ("suite", table("The suite itself", &of([("name", text("Its name")), ("exclude", exclude)]))),
            ("defaults", table("Settings of all libraries", &settings)),
            (
                "gate",
                table(
                    "What may pass, of all libraries; the defaults and each library may say otherwise",
                    &gate,
                ),
            ),
            (
                "library",
                json!({ "type": "array", "minItems": 1, "items": table("One library, and settings of its own", &library) }),
            ),
        ]),
    );
    let definitions = generator.take_definitions(true);
    if let Some(fields) = root.as_object_mut() {
        fields.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        fields.insert("$id".to_owned(), ID.into());
        fields.insert("title".to_owned(), "dlsoak.toml".into());
        fields.insert("required".to_owned(), json!(["library"]));
        fields.insert("$defs".to_owned(), Value::Object(definitions));
    }
    root
}

fn of<const N: usize>(properties: [(&str, Value); N]) -> Map<String, Value> {
    properties.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

/// A table with these keys and no others.
fn table(about: &str, properties: &Map<String, Value>) -> Value {
    json!({ "type": "object", "description": about, "additionalProperties": false, "properties": properties })
}

/// One value in a list.
fn many(value: &Value) -> Value {
    json!({ "type": "array", "minItems": 1, "items": value })
}

/// The values of one setting that a matrix varies.
fn matrix_of(key: &str, value: &Value) -> Value {
    if key == "env" {
        json!({ "type": "object", "additionalProperties": many(&json!({ "type": ["string", "integer"] })) })
    } else {
        many(value)
    }
}

/// The keys of a struct of settings, each with its help and its form.
fn properties<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let schema = T::json_schema(generator).to_value();
    let Some(Value::Object(properties)) = schema.get("properties").cloned() else { return Map::new() };
    properties.into_iter().map(|(key, value)| (key, one_or_many(value))).collect()
}

/// In TOML nothing is null, one text stands for a list of one, and variables may be whole numbers.
fn one_or_many(mut property: Value) -> Value {
    let Some(fields) = property.as_object_mut() else { return property };
    fields.remove("default");
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|of| of != "null");
        if types == &[json!("array")] {
            let description = fields.remove("description");
            fields.remove("type");
            let items = fields.remove("items").unwrap_or_default();
            return json!({ "description": description, "anyOf": [items, { "type": "array", "items": items }] });
        }
        if types == &[json!("integer")] {
            *types = vec![json!("integer"), json!("string")];
            return property;
        }
        if types == &[json!("object")] {
            fields.insert("additionalProperties".to_owned(), json!({ "type": ["string", "integer"] }));
        }
        if let Some([one]) = fields.get("type").and_then(Value::as_array).map(Vec::as_slice) {
            let one = one.clone();
            fields.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(any)) = fields.get_mut("anyOf") {
        any.retain(|of| of.get("type").is_none_or(|of| of != "null"));
    }
    property
}

/// The settings as a table in Markdown: key, help, default.
pub fn markdown() -> String {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let properties = properties::<Settings>(&mut generator);
    let mut table = "| key | what it does | default |\n| --- | --- | --- |\n".to_owned();
    for key in Settings::keys() {
        let help = properties.get(&key).and_then(|of| of.get("description")).and_then(Value::as_str);
        let help = help.unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let (help, default) = help.rsplit_once(" [default: ").unwrap_or((&help, "none]"));
        let _ = writeln!(table, "| `{key}` | {help} | {} |", default.trim_end_matches(']'));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn docs(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
    }

    /// Compares a published file with what is made from the list of settings, or writes it.
    fn published(name: &str, made: &str) {
        if std::env::var_os("DLSOAK_BLESS").is_some() {
            std::fs::write(docs(name), made).unwrap();
        }
        let found = std::fs::read_to_string(docs(name)).unwrap_or_default();
        assert!(
            found == made,
            "docs/{name} is out of date: DLSOAK_BLESS=1 cargo test -p dlsoak-settings --all-features"
        );
    }

    #[test]
    fn the_published_schema_is_that_of_the_settings() {
        published("dlsoak.schema.json", &(serde_json::to_string_pretty(&suite()).unwrap() + "\n"));
    }

    #[test]
    fn the_documentation_has_all_settings() {
        let text = std::fs::read_to_string(docs("settings.md")).unwrap();
        let (before, rest) = text.split_once("--all-features -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        published("settings.md", &format!("{before}--all-features -->\n{}<!-- end -->{after}", markdown()));
    }

    #[test]
    fn each_setting_says_what_it_does_and_what_holds_without_it() {
        for line in markdown().lines().skip(2) {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
            assert!(cells.len() == 3 && cells[1].len() > 20 && !cells[2].is_empty(), "{line}");
        }
    }
}
