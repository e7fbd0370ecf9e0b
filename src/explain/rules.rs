//! The rules that a log is matched against: read from `rules.toml`, where people look who want to add one, and checked whole
//! before the first line is read.

use std::collections::BTreeMap;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;

use crate::record::explanation::Stage;

/// The rules as they come with the program.
const OWN: &str = include_str!("rules.toml");

/// Bytes that compiled patterns, and what is kept of their states, may take.
const SIZE: usize = 64 << 20;

/// How often a prefix is taken off a line.
const PREFIXES: usize = 6;

/// Why rules are refused.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It is no file of rules.
    #[error("the rules can't be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// A pattern is none.
    #[error("rule {rule}: {error}")]
    Pattern {
        /// Name of the rule.
        rule: String,
        /// What is wrong with it.
        error: Box<regex::Error>,
    },
    /// All patterns together are too large.
    #[error("the patterns together: {0}")]
    Set(Box<regex::Error>),
    /// A rule contradicts itself.
    #[error("rule {rule}: {what}")]
    Rule {
        /// Name of the rule.
        rule: String,
        /// What is wrong with it.
        what: String,
    },
}

/// What is looked up on this machine for a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// Files that the linker takes for `-l`.
    Library,
    /// Files that the loader takes for a name.
    SharedObject,
    /// Which of this machine's libraries has a symbol.
    Symbol,
    /// The file that a line names.
    File,
    /// A header.
    Header,
    /// A program in `PATH`.
    Tool,
    /// `go` and the C compiler in `PATH`.
    ToolGo,
    /// The linkers in `PATH`.
    Linker,
    /// A `.pc` file.
    Package,
    /// Version of the C library.
    Glibc,
    /// Versions of libstdc++.
    Libstdcxx,
    /// Static thread-local storage of a file.
    StaticTls,
    /// Whether a file lies where nothing may be executed.
    Noexec,
    /// The loader that a file asks for.
    Interpreter,
    /// What a program begins with.
    StartFile,
    /// Memory that is free.
    Memory,
    /// Room for threads.
    Threads,
    /// Targets of rustc.
    RustTarget,
    /// Version of the kernel, and the machine.
    Kernel,
}

/// Where the cause stands of which a line is an echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Echo {
    /// Before it.
    Earlier,
    /// After it.
    Later,
    /// Before or after it.
    Either,
}

/// One kind of error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is called in JSON.
    pub name: String,
    /// In a few words, with `{group}` for what was found.
    pub title: String,
    /// Where it happens.
    pub stage: Stage,
    #[serde(deserialize_with = "one_or_many")]
    pattern: Vec<String>,
    /// What it means, with `{group}`.
    pub means: String,
    /// Commands that fix or check it, with `{group}`.
    #[serde(default)]
    pub run: Vec<String>,
    /// What is looked up on this machine.
    pub look: Option<Look>,
    /// Set where the line repeats another one.
    pub echo: Option<Echo>,
    /// Whether an echo counts where no cause is near.
    #[serde(default)]
    pub alone: bool,
    /// Lines that it must fit.
    pub example: Vec<String>,
    /// Lines that no rule may fit.
    #[serde(default)]
    pub near: Vec<String>,
}

/// All rules, ready to be matched.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    /// All patterns at once.
    set: RegexSet,
    /// Each pattern with the index of its rule, in the order of the set.
    patterns: Vec<(usize, Regex)>,
    /// What is taken off the beginning of a line.
    prefix: Regex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    prefixes: Vec<String>,
    parts: BTreeMap<String, String>,
    rule: Vec<Rule>,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(one) => vec![one],
        Either::Many(many) => many,
    })
}

impl Rules {
    /// The rules that come with the program.
    ///
    /// # Errors
    /// When they are broken, which a test keeps from happening.
    pub fn own() -> Result<Self, RulesError> {
        Self::parse(OWN)
    }

    /// Reads rules from TOML.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let mut file: File = toml::from_str(text)?;
        for rule in &mut file.rule {
            for pattern in &mut rule.pattern {
                for (name, part) in &file.parts {
                    *pattern = pattern.replace(&format!("{{{{{name}}}}}"), part);
                }
            }
        }
        let mut patterns = Vec::new();
        for (index, rule) in file.rule.iter().enumerate() {
            for pattern in &rule.pattern {
                let regex = compiled(pattern, &rule.name)?;
                check(rule, &regex)?;
                patterns.push((index, regex));
            }
        }
        // ASCII: Unicode classes would be tables of their own, and what tools say is ASCII but for quotes.
        let set = RegexSetBuilder::new(patterns.iter().map(|(_, regex)| regex.as_str()))
            .unicode(false)
            .size_limit(SIZE)
            .dfa_size_limit(SIZE)
            .build()
            .map_err(|error| RulesError::Set(Box::new(error)))?;
        let prefix = compiled(&format!("^(?:{})", file.prefixes.join("|")), "prefixes")?;
        Ok(Self { rules: file.rule, set, patterns, prefix })
    }

    /// All rules, in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The first rule that fits a line (see [`super::line`]), by its index, and what its groups have found.
    pub(super) fn find(&self, line: &str) -> Option<(usize, BTreeMap<String, String>)> {
        let first = self.set.matches(line.as_bytes()).into_iter().next()?;
        let (rule, regex) = self.patterns.get(first)?;
        let captures = regex.captures(line.as_bytes())?;
        let found = regex.capture_names().flatten().filter_map(|name| {
            let text = captures.name(name)?.as_bytes();
            Some((name.to_owned(), String::from_utf8_lossy(text).into_owned()))
        });
        Some((*rule, found.collect()))
    }

    /// The line without what build systems put before it.
    pub(super) fn without_prefix<'a>(&self, line: &'a str) -> &'a str {
        let mut line = line.trim();
        for _ in 0..PREFIXES {
            let Some(found) = self.prefix.find(line.as_bytes()).filter(|found| found.end() > 0) else {
                break;
            };
            line = line.get(found.end()..).unwrap_or_default().trim_start();
        }
        line
    }
}

fn compiled(pattern: &str, rule: &str) -> Result<Regex, RulesError> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(SIZE)
        .build()
        .map_err(|error| RulesError::Pattern { rule: rule.to_owned(), error: Box::new(error) })
}

/// Every group that a text speaks of is in the pattern; and what every rule needs is there.
fn check(rule: &Rule, regex: &Regex) -> Result<(), RulesError> {
    let refuse = |what: String| Err(RulesError::Rule { rule: rule.name.clone(), what });
    let known: Vec<&str> = regex.capture_names().flatten().collect();
    let texts = rule.run.iter().chain([&rule.title, &rule.means]);
    if let Some(missing) = texts.flat_map(|text| groups(text)).find(|name| !known.contains(name)) {
        return refuse(format!("{{{missing}}} is not in the pattern {}", regex.as_str()));
    }
    if rule.example.is_empty() {
        return refuse("it has no example".to_owned());
    }
    if rule.run.is_empty() && rule.echo.is_none() {
        return refuse("it has no command that fixes or checks it".to_owned());
    }
    Ok(())
}

/// Names in braces. A brace that holds anything else is itself.
fn groups(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        let word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        word.then_some(name)
    })
}

/// The text with `{group}` replaced by what was found, as `spelt` writes it.
pub(super) fn filled(text: &str, found: &BTreeMap<String, String>, spelt: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let known = after.split_once('}').and_then(|(name, left)| Some((found.get(name)?, left)));
        match known {
            Some((value, left)) => {
                out.push_str(&spelt(value));
                rest = left;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::super::line;
    use super::*;

    fn named(rules: &Rules, raw: &str) -> Option<String> {
        let line = line::clean(raw);
        rules.find(rules.without_prefix(&line)).map(|(rule, _)| rules.rules()[rule].name.clone())
    }

    #[test]
    fn every_rule_fits_its_examples_before_any_other_does() {
        let rules = Rules::own().unwrap();
        assert!(rules.rules().len() >= 60, "{}", rules.rules().len());
        let examples =
            rules.rules().iter().flat_map(|rule| rule.example.iter().map(move |line| (rule, line)));
        let found = examples.map(|(rule, line)| (line, &rule.name, named(&rules, line)));
        let wrong: Vec<_> = found.filter(|(_, name, found)| found.as_ref() != Some(*name)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn every_pattern_has_an_example() {
        let rules = Rules::own().unwrap();
        let fits =
            |regex: &Regex, raw: &String| regex.is_match(rules.without_prefix(&line::clean(raw)).as_bytes());
        let patterns = rules.patterns.iter().map(|(index, regex)| (&rules.rules[*index], regex));
        let bare = patterns.filter(|(rule, regex)| !rule.example.iter().any(|raw| fits(regex, raw)));
        let bare: Vec<_> = bare.map(|(rule, regex)| format!("{}: {}", rule.name, regex.as_str())).collect();
        assert!(bare.is_empty(), "{bare:#?}");
    }

    #[test]
    fn no_rule_fits_a_line_that_only_looks_like_an_error() {
        let rules = Rules::own().unwrap();
        let lines = rules.rules().iter().flat_map(|rule| &rule.near);
        let found = lines.filter_map(|line| Some((line, named(&rules, line)?)));
        let found: Vec<_> = found.collect();
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn names_are_given_once_and_every_rule_can_be_read() {
        let rules = Rules::own().unwrap();
        let mut names: Vec<_> = rules.rules().iter().map(|rule| &rule.name).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for rule in rules.rules() {
            assert!(rule.means.ends_with('.'), "{}: {}", rule.name, rule.means);
        }
    }

    #[test]
    fn a_rule_that_contradicts_itself_is_refused() {
        let rule = |pattern: &str, rest: &str| {
            let text = format!(
                "prefixes = ['x']\n[parts]\n[[rule]]\nname = 'a'\ntitle = 'b'\nstage = 'link'\npattern = '{pattern}'\nmeans = 'c.'\n{rest}"
            );
            Rules::parse(&text).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(rule("x", "run = ['y']\nexample = ['x']"), "");
        assert!(rule("(", "run = ['y']\nexample = ['x']").contains("rule a"));
        assert!(rule("x", "run = ['y {file}']\nexample = ['x']").contains("{file} is not in the pattern"));
        assert!(rule("x", "run = ['y']\nexample = []").contains("no example"));
        assert!(rule("x", "example = ['x']").contains("no command"));
    }

    #[test]
    fn braces_that_are_no_group_stay() {
        let found = BTreeMap::from([("file".to_owned(), "a b".to_owned())]);
        let quoted = |text: &str| format!("<{text}>");
        assert_eq!(filled("ls {file} '{{.X}}' ${Y:-z} {", &found, quoted), "ls <a b> '{{.X}}' ${Y:-z} {");
    }
}
