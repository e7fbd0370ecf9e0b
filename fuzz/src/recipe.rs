//! Bytes as a recipe for changing a sound record. Few random changes to JSON leave it JSON; these all do, and so reach
//! what makes reports of it.

use serde_json::{Number, Value, json};

/// The record that is changed.
const SOUND: &str = include_str!("../corpus/record/three-soaks.json");

/// Most changes that are made.
const MOST: usize = 64;

/// Longest text that is doubled, in bytes, and most values that are repeated or changed: the recipe is not the test.
const LONGEST: usize = 4096;
const LARGEST: u32 = 20_000;

/// The sound record with the changes that the bytes ask for, four bytes each: which value, what to do, and how.
pub fn record(data: &[u8]) -> Vec<u8> {
    let mut record: Value = serde_json::from_str(SOUND).unwrap_or_default();
    for change in data.chunks_exact(4).take(MOST) {
        let at = u32::from(change[0]) << 8 | u32::from(change[1]);
        let count = count(&record);
        if count > LARGEST {
            break;
        }
        visit(&mut record, &mut (at % count), &mut |value| apply(value, change[2], change[3]));
    }
    record.to_string().into_bytes()
}

/// Values in a value, itself included.
fn count(value: &Value) -> u32 {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Hands the value that comes after `left` others to `change`; true once that is done.
fn visit(value: &mut Value, left: &mut u32, change: &mut dyn FnMut(&mut Value)) -> bool {
    if *left == 0 {
        change(value);
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| visit(item, left, change)),
        Value::Object(fields) => fields.values_mut().any(|field| visit(field, left, change)),
        _ => false,
    }
}

fn apply(value: &mut Value, what: u8, how: u8) {
    let nth = usize::from(how);
    let float = |value: f64| Number::from_f64(value).map_or(Value::Null, Value::Number);
    match what % 20 {
        0 => *value = Value::Null,
        1 => *value = json!(0),
        2 => *value = json!(-1),
        3 => *value = json!(i64::MAX),
        4 => *value = json!(i64::MIN),
        5 => *value = json!(u64::MAX),
        6 => *value = float(1e308),
        7 => *value = float(-1e308),
        8 => *value = float(f64::MIN_POSITIVE),
        9 => *value = json!(how),
        10 => *value = json!("x".repeat(nth * 16)),
        11 => *value = json!("\u{0}\n\u{1b}[31m<a>&\"\u{202e}\u{65e5}\u{301}"),
        12 => *value = json!([]),
        13 => *value = json!({}),
        14 => *value = json!(how.is_multiple_of(2)),
        15 => take_away(value, nth),
        16 => repeat(value, nth),
        17 => double(value),
        18 => flip(value, nth),
        _ => *value = float(f64::from(how) / 7.0),
    }
}

fn take_away(value: &mut Value, nth: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => drop(items.remove(nth % items.len())),
        Value::Object(fields) if !fields.is_empty() => {
            let key = fields.keys().nth(nth % fields.len()).cloned();
            key.map(|key| fields.remove(&key));
        }
        _ => {}
    }
}

fn repeat(value: &mut Value, nth: usize) {
    if let Value::Array(items) = value
        && let Some(item) = items.first().cloned()
        && count(&item) * 24 < LARGEST
    {
        items.extend(std::iter::repeat_n(item, nth % 24));
    }
}

fn double(value: &mut Value) {
    *value = match &*value {
        Value::Number(number) => json!(number.as_f64().unwrap_or_default() * 2.0),
        Value::String(text) if text.len() <= LONGEST => json!(format!("{text}{text}")),
        other => other.clone(),
    };
}

/// Another character in a text, which keeps its length: what base64 is made of decodes to something else.
fn flip(value: &mut Value, nth: usize) {
    if let Value::String(text) = value
        && !text.is_empty()
    {
        let at = nth % text.chars().count();
        *text = text.chars().enumerate().map(|(i, c)| if i == at { next(c) } else { c }).collect();
    }
}

fn next(c: char) -> char {
    char::from_u32(u32::from(c) ^ 1).unwrap_or('A')
}
