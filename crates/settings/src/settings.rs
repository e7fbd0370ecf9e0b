//! One layer of settings: what `[defaults]`, a `[[library]]`, the command line or a test says about a soak. All are optional, and
//! layers are laid over each other.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::{Metric, ResidueKind, Variable};

/// Makes the two structs of the list.
macro_rules! structs {
    (
        soak { $($(#[doc = $doc:expr])* ($($arg:tt)*) ($($serde:tt)*) $name:ident: $type:ty;)* }
        gate { $($(#[doc = $gdoc:expr])* ($($garg:tt)*) ($($gserde:tt)*) $gname:ident: $gtype:ty;)* }
    ) => {
        structs! {
            #[doc = "What one layer says about a soak; `None` leaves it to the layer below."]
            #[doc = ""]
            #[doc = "Its serde form is the keys of `[defaults]` and `[[library]]`; unknown keys are an error."]
            Settings {
                $($(#[doc = $doc])* ($($arg)*) ($($serde)*) $name: $type;)*
                $($(#[doc = $gdoc])* ($($garg)*) ($($gserde)*) $gname: $gtype;)*
            }
        }
        structs! {
            #[doc = "What a gate may know about one library; the keys of `[gate]`. The default allows nothing beyond the noise."]
            Limits {
                $($(#[doc = $gdoc])* ($($garg)*) ($($gserde)*) $gname: $gtype;)*
            }
        }

        impl Settings {
            /// The part that judges, and changes nothing of the soak.
            pub fn limits(&self) -> Limits {
                Limits { $($gname: self.$gname.clone(),)* }
            }
        }

        impl From<Limits> for Settings {
            fn from(limits: Limits) -> Self {
                Self { $($gname: limits.$gname,)* ..Self::default() }
            }
        }
    };
    (
        $(#[doc = $about:expr])*
        $struct:ident { $($(#[doc = $doc:expr])* ($($arg:tt)*) ($($serde:tt)*) $name:ident: $type:ty;)* }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
        #[cfg_attr(feature = "clap", derive(clap::Args))]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $struct {
            $(
                $(#[doc = $doc])*
                #[cfg_attr(feature = "clap", arg($($arg)*))]
                #[serde(skip_serializing_if = "Option::is_none")]
                #[cfg_attr(all(), $($serde)*)]
                pub $name: $type,
            )*
        }

        impl $struct {
            /// The names of the settings, as keys of a suite and, behind `--`, as flags.
            pub fn keys() -> Vec<String> {
                [$(stringify!($name)),*].map(|name| name.trim_start_matches("r#").replace('_', "-")).to_vec()
            }

            /// What is said here, and where nothing is, what `lower` says.
            #[must_use]
            fn or(self, lower: Self) -> Self {
                Self { $($name: self.$name.or(lower.$name),)* }
            }
        }
    };
}

crate::each_setting!(structs);

impl Settings {
    /// Lays these settings over `lower`: what is said here wins.
    ///
    /// `cycles` and `duration` together say when a soak ends, so that a layer that gives one of them replaces both: `--duration 90m`
    /// over `cycles = "100k"` means 90 minutes. `env` is merged by name.
    #[must_use]
    pub fn over(mut self, mut lower: Self) -> Self {
        if self.cycles.is_some() || self.duration.is_some() {
            (lower.cycles, lower.duration) = (None, None);
        }
        if let Some(mut all) = lower.env.take() {
            for variable in self.env.take().into_iter().flatten() {
                match all.iter_mut().find(|below| below.name == variable.name) {
                    Some(below) => *below = variable,
                    None => all.push(variable),
                }
            }
            self.env = Some(all);
        }
        self.or(lower)
    }

    /// The settings as arguments of a command, in the order of the list, each with its value.
    pub fn arguments(&self) -> Vec<(String, Option<String>)> {
        let Ok(Value::Object(mut all)) = serde_json::to_value(self) else { return Vec::new() };
        let mut arguments = Vec::new();
        for key in Self::keys() {
            let Some(value) = all.remove(&key) else { continue };
            let flag = format!("--{key}");
            match value {
                Value::Bool(true) => arguments.push((flag, None)),
                Value::Bool(false) => arguments.push((format!("{flag}=false"), None)),
                Value::Array(values) => {
                    arguments.extend(values.iter().map(|value| (flag.clone(), Some(text(value)))));
                }
                Value::Object(variables) => {
                    let written = |(name, value): (&String, &Value)| format!("{name}={}", text(value));
                    arguments.extend(variables.iter().map(|each| (flag.clone(), Some(written(each)))));
                }
                // Their value is optional, so that it stands behind an equals sign.
                value if key == "allow-pinned" || key == "sandbox" => {
                    arguments.push((format!("{flag}={}", text(&value)), None));
                }
                value => arguments.push((flag, Some(text(&value)))),
            }
        }
        arguments
    }
}

impl Limits {
    /// Lays these limits over `lower`: what is said here wins.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        self.or(lower)
    }

    /// The limit on the growth of things that are counted, in things per cycle, where one was given.
    pub fn count(&self, metric: Metric) -> Option<f64> {
        self.max_growth.as_ref()?.per_cycle(metric)
    }

    /// Whether this kind of residue may stay.
    pub fn allows(&self, kind: ResidueKind) -> bool {
        self.allow_residue.as_ref().is_some_and(|kinds| kinds.contains(&kind))
    }
}

/// A value as it is written behind a flag.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads text, or an array of texts.
fn one_or_many<'de, T, D>(input: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    struct OneOrMany<T>(PhantomData<T>);

    impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or an array of strings")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            text.parse().map(|one| vec![one]).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(item) = items.next_element::<String>()? {
                // The TOML library knows the place of the array only, so the text itself is the place.
                let parsed = item.parse();
                all.push(parsed.map_err(|error| de::Error::custom(format_args!("{item:?}: {error}")))?);
            }
            Ok(all)
        }
    }

    input.deserialize_any(OneOrMany(PhantomData)).map(Some)
}

/// The `env` table; a whole number stands for its digits.
mod env {
    use super::*;

    pub(super) fn serialize<S: Serializer>(env: &Option<Vec<Variable>>, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(env.iter().flatten().map(|variable| (&variable.name, &variable.value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<Vec<Variable>>, D::Error> {
        struct Text(String);

        impl<'de> Deserialize<'de> for Text {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                input.deserialize_any(AsText).map(Self)
            }
        }

        struct AsText;

        impl Visitor<'_> for AsText {
            type Value = String;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number; quote anything else")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
                Ok(text.to_owned())
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<String, E> {
                Ok(value.to_string())
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<String, E> {
                Ok(value.to_string())
            }
        }

        let variables = BTreeMap::<String, Text>::deserialize(input)?;
        let read = |(name, Text(value)): (String, Text)| {
            Variable::new(&name, &value).map_err(|error| de::Error::custom(format_args!("{name:?}: {error}")))
        };
        variables.into_iter().map(read).collect::<Result<_, _>>().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Settings {
        let mut values = serde_json::json!({
            "call": ["f(\"it's\", 2)", "g"], "as": "ladspa", "instances": 3, "exercise": "drive.so:go", "hold": ["libgomp.so.1", "./libreg.so:link", "deps"],
            "host-kind": "c++", "libc": "musl", "after": "h(1)", "setup": "host_init() == 0", "mode": "copies", "call-from": "worker", "threads": 3,
            "share-path": false, "cycles": 1000, "duration": "1h30m", "warmup": 5, "until-decided": true, "max-cycles": "2k",
            "checkpoints": 100, "flags": "lazy,global", "env": { "A": "1 2", "B": "" }, "passes": "+patterns",
            "pointers": 100, "trace-on-leak": true, "chaos": "stop", "sandbox": "best-effort", "stall-timeout": "1500ms", "timeout": "10m",
            "memory-limit": "1MiB", "fd-limit": 10, "process-limit": 20, "output-limit": "1GB", "max-leak-rate": "16B/cycle",
            "max-growth": "fds=0", "max-leak-increase": "8B/cycle", "max-p99-increase": "20%", "allow-pinned": "it is Go",
            "allow-residue": ["fds", "threads"], "blame": "library",
            "allow-pointer": [{ "holder": "liba.so", "symbol": "f", "reason": "x = y" }, "libb.so=why"],
        });
        // The macro takes no more at once.
        values["host"] = "/usr/sbin/nginx".into();
        values["together"] = serde_json::json!(["b.so", "c d.so"]);
        values["order"] = "shuffle:77".into();
        values["replace"] = "./libgame_v2.so".into();
        serde_json::from_value(values).unwrap()
    }

    #[test]
    fn a_file_gives_back_what_it_was_given() {
        let written = serde_json::to_value(all()).unwrap();
        assert_eq!(written.as_object().unwrap().len(), Settings::keys().len(), "{written:#}");
        assert_eq!(serde_json::from_value::<Settings>(written).unwrap(), all());
        let limits = serde_json::to_value(all().limits()).unwrap();
        assert_eq!(limits.as_object().unwrap().len(), Limits::keys().len());
        assert_eq!(Settings::from(all().limits()).limits(), all().limits());
        assert!(serde_json::from_value::<Settings>(serde_json::json!({ "cycle": 3 })).is_err());
    }

    #[cfg(feature = "clap")]
    #[test]
    fn the_command_line_gives_back_its_arguments() {
        use clap::{Args as _, FromArgMatches as _};

        let command = || Settings::augment_args(clap::Command::new("run"));
        let words = all().arguments().into_iter().flat_map(|(flag, value)| [Some(flag), value]).flatten();
        let matches = command().try_get_matches_from(std::iter::once("run".to_owned()).chain(words)).unwrap();
        assert_eq!(Settings::from_arg_matches(&matches).unwrap(), all());
        let none = command().try_get_matches_from(["run"]).unwrap();
        assert_eq!(Settings::from_arg_matches(&none).unwrap(), Settings::default());
        let bare =
            command().try_get_matches_from(["run", "--sandbox", "--allow-pinned", "--share-path"]).unwrap();
        let bare = Settings::from_arg_matches(&bare).unwrap();
        assert_eq!((bare.sandbox, bare.share_path), (Some(crate::Sandboxing::Required), Some(true)));
        assert_eq!(bare.allow_pinned.unwrap().to_string(), crate::Reason::NONE);
    }

    #[test]
    fn limits_are_read_from_toml() {
        let limits: crate::Limits = toml::from_str(
            "max-leak-rate = '0.03MB/s'\nmax-growth = 'fds=0'\nallow-pinned = 'Go never unloads'\nallow-residue = 'signal-mask'",
        )
        .unwrap();
        assert_eq!(limits.max_leak_rate.unwrap().bytes(), 30_000.0);
        assert_eq!(limits.max_growth.unwrap().per_cycle(crate::Metric::Fds), Some(0.0));
        assert_eq!(limits.allow_pinned.unwrap().to_string(), "Go never unloads");
        assert_eq!(limits.allow_residue, Some(vec![crate::ResidueKind::SignalMask]));
        let error = toml::from_str::<crate::Limits>("max-leak-rate = '3MB'").unwrap_err().to_string();
        assert!(error.contains("is not a rate"), "{error}");
    }

    #[test]
    fn a_layer_wins_over_the_one_below() {
        let upper = Settings { env: Some(vec!["B=upper".parse().unwrap()]), ..Settings::default() };
        let both = upper.over(all());
        let env: Vec<String> = both.env.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(env, ["A=1 2", "B=upper"]);
        assert_eq!(both.threads, all().threads);
        let minutes = Settings { duration: Some("90m".parse().unwrap()), ..Settings::default() };
        assert_eq!(minutes.over(all()).cycles, None);
        assert_eq!(Settings::default().over(all()), all());
    }
}
