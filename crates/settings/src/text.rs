//! How a setting is given: as text on the command line, as text or a number in a file, as a value in a program.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use crate::quantity::{OfTime, Quantity};
use crate::{
    AllowedPointer, Blame, Call, CallFrom, Chaos, Companion, CountLimits, Driver, Exercise, Hold, HostKind,
    Increase, LeakRate, Libc, Mode, OpenFlags, Order, OtherBuild, Passes, Program, Reason, ResidueKind,
    Sandboxing, Variable,
};

/// Gives types whose text says everything their serde form, their schema, and the way to be given as they are. The type has
/// `FromStr` and `Display`, which read back.
macro_rules! text_form {
    ($($type:ident: $expecting:literal;)*) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                struct Text;

                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<$type, E> {
                        Err(E::custom(format_args!("`{value}` is not accepted here; expected {}", $expecting)))
                    }
                }

                input.deserialize_any(Text)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }
    )*};
}

text_form! {
    Call: "a call such as \"fibonacci(20)\"";
    Chaos: "a disturbance such as \"signal:SIGUSR1@100Hz\"";
    Companion: "the path of a library, such as \"build/libplugin.so\"";
    CountLimits: "limits such as \"threads=0,fds=0\"";
    Hold: "a library to hold, such as \"libgomp.so.1\", \"./libreg.so:link\" or \"deps\"";
    Driver: "auto, none or a plugin interface such as \"ladspa\"";
    Exercise: "code such as \"driver.so:function\"";
    Increase: "an increase such as \"20%\"";
    LeakRate: "a rate such as \"16B/cycle\" or \"0.03MB/s\"";
    Order: "an order such as \"given\" or \"shuffle\"";
    OpenFlags: "flags such as \"now,local\"";
    OtherBuild: "another build of the library, such as \"libgame_v2.so\"";
    Passes: "passes such as \"+patterns\" or \"measure,without-calls\"";
    Program: "a program such as \"/usr/sbin/nginx\"";
    Reason: "the reason why it may stay loaded, such as \"Go runtime, golang/go#11100\"";
}

/// The field of a setting that is given once, or many times.
pub trait Field {
    /// What is given at a time.
    type One;

    /// The field once this was given.
    #[must_use]
    fn with(self, value: Self::One) -> Self;
}

impl<T: Single> Field for Option<T> {
    type One = T;

    fn with(self, value: T) -> Self {
        Some(value)
    }
}

impl<T> Field for Option<Vec<T>> {
    type One = T;

    fn with(self, value: T) -> Self {
        let mut all = self.unwrap_or_default();
        all.push(value);
        Some(all)
    }
}

/// What is not a list.
pub trait Single {}

impl<K> Single for Quantity<K> {}

/// What a setting of type `T` can be given as: its text, or the value itself.
pub trait Given<T> {
    /// The setting.
    ///
    /// # Errors
    /// What is wrong with the value, and what to write.
    fn given(self) -> Result<T, String>;
}

impl<T: FromStr<Err: Display>> Given<T> for &str {
    fn given(self) -> Result<T, String> {
        self.parse().map_err(|error| format!("`{self}`: {error}"))
    }
}

impl<T: FromStr<Err: Display>> Given<T> for &String {
    fn given(self) -> Result<T, String> {
        self.as_str().given()
    }
}

macro_rules! themselves {
    ($($type:ty)*) => {$(
        impl Single for $type {}

        impl Given<$type> for $type {
            fn given(self) -> Result<$type, String> {
                Ok(self)
            }
        }
    )*};
}

themselves! {
    bool AllowedPointer Blame Call CallFrom Chaos Companion CountLimits Driver Exercise Hold HostKind Increase LeakRate Libc Mode OpenFlags Order
    OtherBuild Passes Program Reason ResidueKind Sandboxing Variable
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl<K: crate::quantity::Kind> Given<Quantity<K>> for $type {
            fn given(self) -> Result<Quantity<K>, String> {
                let value = u64::try_from(self).map_err(|_| "this can't be negative".to_owned())?;
                Quantity::new(value).map_err(|error| error.to_string())
            }
        }
    )*};
}

// What a literal is where nothing says otherwise, and what lengths and counts are.
numbers! { i32 u32 u64 usize }

impl Given<Quantity<OfTime>> for Duration {
    fn given(self) -> Result<Quantity<OfTime>, String> {
        Quantity::new(u64::try_from(self.as_nanos()).unwrap_or(u64::MAX)).map_err(|error| error.to_string())
    }
}

impl Given<Sandboxing> for bool {
    fn given(self) -> Result<Sandboxing, String> {
        Ok(if self { Sandboxing::Required } else { Sandboxing::Off })
    }
}
