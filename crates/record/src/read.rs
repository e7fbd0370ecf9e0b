//! Reads a saved run from its bytes, which any other program may have written: what comes out is safe to make reports
//! from, and what is refused is refused in one line.

use serde::Deserialize;

use super::{Run, SCHEMA};

/// What the schemas of all versions begin with.
const FAMILY: &str = "dlsoak.run/";

/// Longest part of a foreign text that is repeated in an error, in characters.
const SHOWN: usize = 80;

/// Why bytes are no record that this version reads. Each is one line, and does not name the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is no JSON, or JSON cut short.
    #[error("this is no JSON: {0}")]
    NoJson(String),
    /// It is JSON, but says nowhere that it is a record.
    #[error("this is no record of dlsoak: it has no `schema`")]
    NoSchema,
    /// A later version wrote it.
    #[error("schema `{0}` is of a newer dlsoak and this one reads `{SCHEMA}`: update dlsoak")]
    Newer(String),
    /// It is a record of something else.
    #[error("schema `{0}`; this version reads `{SCHEMA}`")]
    Foreign(String),
    /// It says that it is a record, and is not shaped as one.
    #[error("this is a broken record: {0}")]
    Broken(String),
}

/// The one field that all versions share.
#[derive(Deserialize)]
struct Head {
    schema: Option<String>,
}

/// Reads a record.
///
/// # Errors
/// [`ReadError`] when it is no record of this schema, or when its rows are not as long as its columns.
pub fn read(bytes: &[u8]) -> Result<Run, ReadError> {
    // First the schema alone: what a newer version writes need not fit the types of this one.
    let head: Head = serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ReadError::NoSchema,
        _ => ReadError::NoJson(line(&error.to_string())),
    })?;
    match head.schema.as_deref() {
        None => return Err(ReadError::NoSchema),
        Some(SCHEMA) => {}
        Some(other) => {
            let version = |schema: &str| schema.strip_prefix(FAMILY)?.parse::<u32>().ok();
            let newer = version(other) > version(SCHEMA);
            let shown = line(other);
            return Err(if newer { ReadError::Newer(shown) } else { ReadError::Foreign(shown) });
        }
    }
    let run: Run =
        serde_json::from_slice(bytes).map_err(|error| ReadError::Broken(line(&error.to_string())))?;
    check(&run)?;
    Ok(run)
}

/// Whether these bytes are a record of a run, by this version or another.
pub fn is_record(bytes: &[u8]) -> bool {
    let head = serde_json::from_slice::<Head>(bytes);
    head.is_ok_and(|head| head.schema.is_some_and(|schema| schema.starts_with(FAMILY)))
}

/// Refuses what the types allow and no soak has: figures that stand in no column.
fn check(run: &Run) -> Result<(), ReadError> {
    for soak in &run.soaks {
        let series = &soak.checkpoints;
        let before = series.before_first_open.as_slice();
        let mut all = vec![
            ("checkpoints", series.columns.len(), &series.rows[..]),
            ("checkpoints", series.columns.len(), before),
        ];
        for (name, over_time) in
            [("resident_by_kind", &soak.resident_by_kind), ("latency_over_time", &soak.latency_over_time)]
        {
            all.extend(over_time.iter().map(|series| (name, series.columns.len(), &series.rows[..])));
        }
        for (name, columns, rows) in all {
            if let Some(odd) = rows.iter().find(|row| row.len() != columns) {
                return Err(ReadError::Broken(format!(
                    "a row of `{name}` of soak `{}` has {} figures for {columns} columns",
                    line(&soak.name),
                    odd.len(),
                )));
            }
        }
    }
    Ok(())
}

/// The beginning of a text from elsewhere, fit to stand in a line: serde repeats what it did not expect.
fn line(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        // Where it is stands at the end.
        let place = text.rfind(" at line ").map_or("", |at| &text[at..]);
        shown.push_str(" ...");
        shown.extend(place.chars().filter(|c| !c.is_control()).take(SHOWN));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let told = read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(told.lines().count(), 1, "{told:?}");
        told
    }

    #[test]
    fn what_is_no_record_is_refused_in_one_line() {
        let of = |schema: &str| format!("{{\"schema\": \"{schema}\"}}");
        for (text, part) in [
            (String::new(), "no JSON"),
            ("{".to_owned(), "no JSON"),
            (format!("{{\"a\": {}", "[".repeat(100_000)), "no JSON"),
            ("[]".to_owned(), "no `schema`"),
            ("{}".to_owned(), "no `schema`"),
            ("{\"schema\": 1}".to_owned(), "no `schema`"),
            (of("dlsoak.run/3"), "newer dlsoak"),
            (of("dlsoak.run/1"), "`dlsoak.run/1`; this version"),
            (of("other"), "`other`; this version"),
            (of("a\\nb"), "`a b`"),
            (of(SCHEMA), "missing field"),
        ] {
            assert!(refused(&text).contains(part), "{text:.40}: {}", refused(&text));
            assert_eq!(is_record(text.as_bytes()), text.contains(FAMILY), "{text:.40}");
        }
    }

    #[test]
    fn rows_are_as_long_as_the_columns() {
        let mut run = crate::sample::run(2);
        assert_eq!(read(&serde_json::to_vec(&run).unwrap()), Ok(run.clone()));
        run.soaks[1].checkpoints.rows[3].pop();
        let told = refused(&serde_json::to_string(&run).unwrap());
        assert!(told.contains(&run.soaks[1].name) && told.contains("columns"), "{told}");
    }

    #[test]
    fn a_long_text_in_an_error_is_cut_and_keeps_its_place() {
        let told =
            refused(&format!("{{\"schema\": \"{SCHEMA}\", \"passed\": \"{}\"}}", "x\\n".repeat(9_000)));
        assert!(told.len() < 300 && told.contains("line 1"), "{told}");
    }
}
