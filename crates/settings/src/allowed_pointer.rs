//! An exception for one stale pointer: who holds it, and why it does no harm.

use std::fmt;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Reason, UnitError};

/// A place that may keep a pointer into what is unloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedPointer {
    /// File name of the object that holds the pointer, or whose code allocated the block that does.
    pub holder: String,
    /// The variable that is the pointer, or the function that allocated the block; `None` for any.
    pub symbol: Option<String>,
    /// Why it may stay.
    pub reason: Reason,
}

impl AllowedPointer {
    /// Whether a pointer that this object and this symbol hold is meant.
    pub fn is(&self, object: Option<&str>, symbol: Option<&str>) -> bool {
        object == Some(&self.holder) && self.symbol.as_deref().is_none_or(|own| symbol == Some(own))
    }

    /// The place without the reason: `HOLDER` or `HOLDER:SYMBOL`.
    pub fn place(&self) -> String {
        match &self.symbol {
            None => self.holder.clone(),
            Some(symbol) => format!("{}:{symbol}", self.holder),
        }
    }

    fn new(holder: &str, symbol: Option<&str>, reason: &str) -> Result<Self, UnitError> {
        if holder.trim().is_empty() || holder.contains(['/', ':', '=']) {
            return Err(UnitError::new("expected the file name of the holder, such as libglib-2.0.so.0"));
        }
        if symbol.is_some_and(|symbol| symbol.trim().is_empty() || symbol.contains('=')) {
            return Err(UnitError::new("a symbol can't be empty or contain `=`"));
        }
        let reason = reason
            .parse()
            .map_err(|_| UnitError::new("a reason is required; say why this pointer may stay"))?;
        Ok(Self { holder: holder.to_owned(), symbol: symbol.map(str::to_owned), reason })
    }
}

impl FromStr for AllowedPointer {
    type Err = UnitError;

    /// Parses `HOLDER[:SYMBOL]=REASON`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (place, reason) = text.split_once('=').unwrap_or((text, ""));
        match place.split_once(':') {
            None => Self::new(place, None, reason),
            Some((holder, symbol)) => Self::new(holder, Some(symbol), reason),
        }
    }
}

impl fmt::Display for AllowedPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.place(), self.reason)
    }
}

impl Serialize for AllowedPointer {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

/// What an error asks the author of a file to write.
const EXPECTING: &str = "a table with holder, symbol and reason";

impl<'de> Deserialize<'de> for AllowedPointer {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        /// As files have it.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            holder: String,
            symbol: Option<String>,
            #[serde(default)]
            reason: String,
        }

        struct One;

        impl<'de> Visitor<'de> for One {
            type Value = AllowedPointer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTING)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AllowedPointer, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AllowedPointer, A::Error> {
                let Table { holder, symbol, reason } = Table::deserialize(MapAccessDeserializer::new(map))?;
                AllowedPointer::new(&holder, symbol.as_deref(), &reason).map_err(de::Error::custom)
            }
        }

        input.deserialize_any(One)
    }
}

/// Reads one, or an array of them.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<Vec<AllowedPointer>>, D::Error> {
    struct All;

    impl<'de> Visitor<'de> for All {
        type Value = Vec<AllowedPointer>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(EXPECTING)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.parse().map(|one| vec![one]).map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            AllowedPointer::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(de::value::SeqAccessDeserializer::new(items))
        }
    }

    input.deserialize_any(All).map(Some)
}

impl schemars::JsonSchema for AllowedPointer {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AllowedPointer".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // A record has the text; a suite may have the table.
        schemars::json_schema!({ "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["holder", "reason"],
                "properties": {
                    "holder": {
                        "type": "string",
                        "description": "File name of the object that holds the pointer, or whose code allocated the block that does"
                    },
                    "symbol": {
                        "type": "string",
                        "description": "The variable that is the pointer, or the function that allocated the block; any where it is absent"
                    },
                    "reason": { "type": "string", "description": "Why it may stay" },
                },
            },
        ] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn a_place_is_written_in_a_line_or_as_a_table() {
        let line = "libglib-2.0.so.0:g_quark_from_static_string=a = b: never followed";
        let one: AllowedPointer = line.parse().unwrap();
        assert_eq!(one.to_string(), line);
        assert_eq!(one.place(), "libglib-2.0.so.0:g_quark_from_static_string");
        let any: AllowedPointer = "libreg.so=ours".parse().unwrap();
        assert_eq!((any.symbol.as_deref(), any.place().as_str()), (None, "libreg.so"));
        let table = "[[allow-pointer]]\nholder = 'libglib-2.0.so.0'\nsymbol = 'g_quark_from_static_string'\n\
                     reason = 'a = b: never followed'\n[[allow-pointer]]\nholder = 'libreg.so'\nreason = 'ours'";
        let both = Some(vec![one.clone(), any.clone()]);
        assert_eq!(toml::from_str::<Limits>(table).unwrap().allow_pointer, both);
        let lines = format!("allow-pointer = ['{line}', 'libreg.so=ours']");
        assert_eq!(toml::from_str::<Limits>(&lines).unwrap().allow_pointer, both);
        let single = "allow-pointer = { holder = 'libreg.so', reason = 'ours' }";
        assert_eq!(toml::from_str::<Limits>(single).unwrap().allow_pointer, Some(vec![any.clone()]));
        assert_eq!(
            toml::from_str::<Limits>("allow-pointer = 'libreg.so=ours'").unwrap().allow_pointer,
            Some(vec![any.clone()])
        );
        assert!(any.is(Some("libreg.so"), None) && any.is(Some("libreg.so"), Some("hook")));
        assert!(one.is(Some("libglib-2.0.so.0"), Some("g_quark_from_static_string")));
        assert!(!one.is(Some("libglib-2.0.so.0"), None) && !any.is(None, None));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, part) in [
            ("libreg.so", "a reason is required"),
            ("libreg.so:hook= ", "a reason is required"),
            ("=why", "the file name of the holder"),
            ("/usr/lib/libreg.so=why", "the file name of the holder"),
            ("libreg.so:=why", "a symbol can't be empty"),
        ] {
            let error = text.parse::<AllowedPointer>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = toml::from_str::<Limits>("[[allow-pointer]]\nholder = 'a.so'").unwrap_err().to_string();
        assert!(error.contains("a reason is required"), "{error}");
    }
}
