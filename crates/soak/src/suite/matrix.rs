//! `matrix` of a `[[library]]`: lists of values for its settings, of which each combination becomes a soak of its own.
//! An error names its place, and each combination is validated as if it had been written out.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{Library, Source, settings, take};
use super::names::{check_name, default_name};
use super::suite_error::Fault;
use crate::settings::Settings;
use crate::settings::units::elide;

/// Most soaks that one matrix makes: each is a process of its own, and a table that a person reads has fewer rows.
const MOST: usize = 1000;

/// Columns of a name that are shown in an error.
const SHOWN: usize = 60;

/// A whole matrix: its lists, in the order in which they are written.
pub(super) struct Matrix {
    lists: Vec<List>,
    span: Range<usize>,
}

/// The values of one setting, or of one variable of the environment.
struct List {
    /// The key of the setting, `path`, or `env`.
    key: String,
    values: Vec<Value>,
}

/// One value.
#[derive(Clone)]
struct Value {
    /// What it adds to the name of a soak.
    label: String,
    /// What it says about the soak.
    settings: Settings,
    /// The library, in a list of `path`.
    path: Option<PathBuf>,
    /// Whether that is one of those that a directory or a pattern stands for.
    found: bool,
    span: Range<usize>,
}

impl Matrix {
    /// Removes and reads `matrix` of a library.
    pub(super) fn take<'de>(library: &mut DeTable<'de>, source: &Source<'_>) -> Result<Option<Self>, Fault> {
        let Some(value) = library.remove("matrix") else { return Ok(None) };
        let span = value.span();
        let table =
            as_table(value, "a matrix must be a table of lists, for example matrix = { threads = [1, 4] }")?;
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut lists = Vec::new();
        for (key, value) in entries {
            let name = key.get_ref().to_string();
            if name != "env" {
                if library.contains_key(key.get_ref().as_ref()) {
                    return Err(twice(key.span()));
                }
                let of = |item| [(key.clone(), item)].into_iter().collect();
                lists.push(List::read(&name, &name, value, source, of)?);
                continue;
            }
            let problem = "give each variable a list of values, for example env.GOGC = [50, 100]";
            let mut variables: Vec<_> = as_table(value, problem)?.into_iter().collect();
            variables.sort_by_key(|(variable, _)| variable.span().start);
            let fixed = library.get("env").and_then(|env| env.get_ref().as_table());
            for (variable, value) in variables {
                if fixed.is_some_and(|fixed| fixed.contains_key(variable.get_ref().as_ref())) {
                    return Err(twice(variable.span()));
                }
                let of = |item: Spanned<DeValue<'de>>| {
                    let span = item.span();
                    let env = DeValue::Table([(variable.clone(), item)].into_iter().collect());
                    [(key.clone(), Spanned::new(span, env))].into_iter().collect()
                };
                lists.push(List::read("env", variable.get_ref(), value, source, of)?);
            }
        }
        let product = lists.iter().try_fold(1_usize, |product, list| product.checked_mul(list.values.len()));
        match product {
            Some(_) if lists.is_empty() => Err(Fault::at(span, "this matrix is empty, so it varies nothing")),
            Some(product) if product <= MOST => Ok(Some(Self { lists, span })),
            _ => {
                let product = product.map_or_else(|| "too many".to_owned(), |product| product.to_string());
                Err(Fault::at(span, format!("this matrix makes {product} soaks; at most {MOST} are allowed")))
            }
        }
    }

    /// Whether it says which file is loaded.
    pub(super) fn has_path(&self) -> bool {
        self.lists.iter().any(|list| list.key == "path")
    }

    /// The libraries that it makes of one, the last list varying fastest. Each remembers what was varied.
    pub(super) fn expand(&self, library: &Library) -> Result<Vec<Library>, Fault> {
        let mut combinations: Vec<Vec<&Value>> = vec![Vec::new()];
        for list in &self.lists {
            let mut longer = Vec::new();
            for combination in &combinations {
                longer.extend(list.values.iter().map(|value| [combination.as_slice(), &[value]].concat()));
            }
            combinations = longer;
        }
        combinations.iter().map(|combination| self.one(library, combination)).collect()
    }

    /// The library with one combination of values.
    fn one(&self, library: &Library, combination: &[&Value]) -> Result<Library, Fault> {
        let mut made = library.clone();
        let mut labels = Vec::new();
        for (list, value) in self.lists.iter().zip(combination) {
            made.settings = value.settings.clone().over(made.settings);
            if let Some(path) = &value.path {
                made.path.clone_from(path);
                made.found = value.found;
            }
            made.set_place(&list.key, value.span.clone());
            made.varied.push((list.key.clone(), value.settings.clone()));
            match (&value.path, &mut made.name) {
                // What people call the file is what they call the soak.
                (Some(_), name @ None) => *name = Some(value.label.clone()),
                _ => labels.push(value.label.as_str()),
            }
        }
        if let Some(value) = combination.iter().find(|value| !in_force(&value.settings, &made.settings)) {
            let problem = "another list of this matrix overrides this value, because `cycles` and `duration` together set \
                           when a soak ends";
            return Err(Fault::at(value.span.clone(), problem));
        }
        let name = made.name.take().unwrap_or_else(|| default_name(&made.path));
        let name = if labels.is_empty() { name } else { format!("{name} [{}]", labels.join(" ")) };
        if let Err(problem) = check_name(&name) {
            let name = elide(&name, SHOWN);
            let problem = format!("the soak `{name}`: {problem}; give the library a short `name`");
            return Err(Fault::at(self.span.clone(), problem));
        }
        made.name = Some(name);
        Ok(made)
    }
}

impl List {
    /// Reads a list; `of` makes the table of settings that holds one of its values.
    fn read<'de>(
        key: &str,
        shown: &str,
        value: Spanned<DeValue<'de>>,
        source: &Source<'_>,
        of: impl Fn(Spanned<DeValue<'de>>) -> DeTable<'de>,
    ) -> Result<Self, Fault> {
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            return Err(Fault::at(span, "expected a list of values in brackets"));
        };
        if items.is_empty() {
            return Err(Fault::at(span, "this list is empty, so the matrix makes no soak"));
        }
        let mut values: Vec<Value> = Vec::new();
        for item in items {
            let span = item.span();
            let label = format!("{shown}={}", text(item.get_ref()));
            let mut table = of(item);
            let (paths, found) = match take::<String>(&mut table, "path")? {
                Some(path) => {
                    let (paths, found) = source.files(path.get_ref(), &span)?;
                    (paths.into_iter().map(Some).collect(), found)
                }
                None => (vec![None], false),
            };
            let settings = settings(table, &["path"], source, None).map_err(|fault| fault.or_at(&span))?;
            for path in paths {
                let label = path.as_deref().map_or_else(|| label.clone(), default_name);
                let (settings, span) = (settings.clone(), span.clone());
                if values.iter().any(|known| known.settings == settings && known.path == path) {
                    return Err(Fault::at(span, "this value is already in the list"));
                }
                let label = label.chars().map(|c| if c.is_control() || c == '/' { '_' } else { c }).collect();
                values.push(Value { label, settings, path, found, span });
            }
        }
        tell_apart(&mut values);
        for (index, value) in values.iter().enumerate() {
            if values.iter().take(index).any(|known| known.label == value.label) {
                let problem = "this value and an earlier one would give two soaks the same name";
                return Err(Fault::at(value.span.clone(), problem));
            }
        }
        Ok(Self { key: key.to_owned(), values })
    }
}

/// Files of one name in several directories are called by their directory, too.
fn tell_apart(values: &mut [Value]) {
    let labels: Vec<String> = values.iter().map(|value| value.label.clone()).collect();
    for value in values {
        let alike = labels.iter().filter(|label| **label == value.label).count() > 1;
        let directory = value.path.as_deref().and_then(Path::parent).and_then(Path::file_name);
        if let Some(directory) = directory.filter(|_| alike) {
            value.label = format!("{}-{}", directory.to_string_lossy(), value.label);
        }
    }
}

/// Whether all that `layer` says is what counts in `settings`.
pub(super) fn in_force(layer: &Settings, settings: &Settings) -> bool {
    layer.clone().over(settings.clone()) == *settings
}

/// The error about something that a library says as well.
fn twice(span: Range<usize>) -> Fault {
    Fault::at(span, "the library sets this as well; remove one of the two")
}

fn as_table<'de>(value: Spanned<DeValue<'de>>, problem: &str) -> Result<DeTable<'de>, Fault> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Ok(table),
        _ => Err(Fault::at(span, problem)),
    }
}

/// A value as a person would say it.
fn text(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => items.iter().map(|item| text(item.get_ref())).collect::<Vec<_>>().join(", "),
        DeValue::Table(_) => "{..}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::as_written;
    use super::super::plan::{Plan, PlanError, SoakPlan};
    use super::*;
    use proptest::prelude::*;

    fn planned(text: &str, overrides: &Settings) -> Result<Vec<SoakPlan>, PlanError> {
        Plan::from_suite(text, Path::new("suites/dlsoak.toml"), overrides, &as_written).map(|plan| plan.soaks)
    }

    fn names(text: &str) -> Vec<String> {
        planned(text, &Settings::default()).unwrap().into_iter().map(|soak| soak.name).collect()
    }

    #[test]
    fn each_combination_is_a_soak_with_a_name_that_says_it() {
        let text = r#"
            [defaults]
            env = { GOMAXPROCS = 2, GOGC = 10 }
            [[library]]
            path = "libgo-clean.so"
            threads = 2
            matrix = { env.GODEBUG = ["", "asyncpreemptoff=1"], env.GOGC = [50, "off"] }
            [[library]]
            path = "liblast.so"
        "#;
        let soaks = planned(text, &Settings::default()).unwrap();
        let told: String = soaks
            .iter()
            .map(|soak| format!("{}: {} {} {:?}\n", soak.name, soak.path.display(), soak.threads, soak.env))
            .collect();
        insta::assert_snapshot!(told, @r#"
        go-clean [GODEBUG= GOGC=50]: suites/libgo-clean.so 2 {"GODEBUG": "", "GOGC": "50", "GOMAXPROCS": "2"}
        go-clean [GODEBUG= GOGC=off]: suites/libgo-clean.so 2 {"GODEBUG": "", "GOGC": "off", "GOMAXPROCS": "2"}
        go-clean [GODEBUG=asyncpreemptoff=1 GOGC=50]: suites/libgo-clean.so 2 {"GODEBUG": "asyncpreemptoff=1", "GOGC": "50", "GOMAXPROCS": "2"}
        go-clean [GODEBUG=asyncpreemptoff=1 GOGC=off]: suites/libgo-clean.so 2 {"GODEBUG": "asyncpreemptoff=1", "GOGC": "off", "GOMAXPROCS": "2"}
        last: suites/liblast.so 1 {"GOGC": "10", "GOMAXPROCS": "2"}
        "#);
    }

    #[test]
    fn any_setting_and_the_file_itself_can_be_varied() {
        let text = r#"
            [[library]]
            [library.matrix]
            path = ["a/libgo.so", "b/libgo.so", "libc.so"]
            mode = ["reopen", "copies"]
            [[library]]
            name = "calls"
            [library.matrix]
            call-from = ["main", "short-lived"]
            path = ["x.so"]
            call = ["f(1)", ["f(1)", "g()"]]
        "#;
        assert_eq!(
            names(text),
            [
                "a-go [mode=reopen]",
                "a-go [mode=copies]",
                "b-go [mode=reopen]",
                "b-go [mode=copies]",
                "c [mode=reopen]",
                "c [mode=copies]",
                "calls [call-from=main x call=f(1)]",
                "calls [call-from=main x call=f(1), g()]",
                "calls [call-from=short-lived x call=f(1)]",
                "calls [call-from=short-lived x call=f(1), g()]",
            ]
        );
        let soaks = planned(text, &Settings::default()).unwrap();
        assert_eq!(soaks[3].path, Path::new("suites/b/libgo.so"));
        assert_eq!((soaks[3].mode, soaks[9].calls.len()), (crate::record::Mode::Copies, 2));
    }

    #[test]
    fn what_is_wrong_in_a_matrix_is_told_at_its_place() {
        let bad = [
            "path = 'a.so'\nmatrix = 5",
            "path = 'a.so'\nmatrix = {}",
            "path = 'a.so'\nmatrix = { threads = 4 }",
            "path = 'a.so'\nmatrix = { threads = [] }",
            "path = 'a.so'\nmatrix = { threads = [1, 'x'] }",
            "path = 'a.so'\nmatrix = { threads = [2, 2] }",
            "path = 'a.so'\nmatrix = { thraeds = [1, 2] }",
            "path = 'a.so'\nmatrix = { name = ['x'] }",
            "path = 'a.so'\nmatrix = { mode = ['reopen', 'copy'] }",
            "path = 'a.so'\nmatrix = { env = ['A=1'] }",
            "path = 'a.so'\nmatrix = { env.A = '1' }",
            "path = 'a.so'\nmatrix = { env.A = [1, 1.5] }",
            "path = 'a.so'\nmatrix = { env.\"A=B\" = [1] }",
            "path = 'a.so'\nenv.A = 1\nmatrix = { env.A = [2, 3] }",
            "path = 'a.so'\nthreads = 3\n[library.matrix]\nthreads = [1, 2]",
            "path = 'a.so'\nmatrix = { path = ['b.so'] }",
            "matrix = { path = ['b.so', ''] }",
            "matrix = { path = ['b.so', 5] }",
            "matrix = { threads = [1] }",
            "path = 'a.so'\nshare-path = true\nmatrix = { mode = ['reopen', 'copies'] }",
            "path = 'a.so'\ncycles = 3\nmatrix = { threads = [2, 4] }",
            "path = 'a.so'\nmatrix = { duration = ['1s'], cycles = [10] }",
            "path = 'a.so'\nmatrix = { call = ['init()', 'fib(20'] }",
            "path = 'a.so'\nmatrix = { env.A = ['x/y', 'x_y'] }",
            "matrix = { path = ['x/liba.so', 'x/liba.so.1'] }",
            "path = 'a.so'\nmatrix = { env.A = ['0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 \
             0123456789 0123456789 0123456789'] }",
        ];
        let mut all = String::new();
        for text in bad {
            let error = planned(&format!("[[library]]\n{text}"), &Settings::default()).unwrap_err();
            all += &format!("{error}\n\n");
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn a_product_is_limited_before_it_is_made() {
        let digits = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
        let of = |variables: usize| {
            let lists: Vec<String> = (0..variables).map(|index| format!("env.A{index} = {digits}")).collect();
            format!("[[library]]\npath = 'a.so'\nmatrix = {{ {} }}", lists.join(", "))
        };
        assert_eq!(names(&of(3)).len(), MOST);
        for (variables, count) in [(4, "10000"), (100, "too many")] {
            let error = planned(&of(variables), &Settings::default()).unwrap_err().to_string();
            assert!(error.contains(&format!("this matrix makes {count} soaks; at most 1000")), "{error}");
        }
    }

    #[test]
    fn the_command_line_does_not_belie_a_name() {
        let text = "[[library]]\npath = 'a.so'\nmatrix = { threads = [1, 2], env.A = [1, 2] }";
        let said = |overrides: &Settings| planned(text, overrides).unwrap_err().to_string();
        let threads = said(&Settings { threads: "2".parse().ok(), ..Settings::default() });
        assert!(threads.contains("`matrix.threads` in [[library]]: the matrix varies this"), "{threads}");
        let env = said(&Settings { env: Some(vec!["A=1".parse().unwrap()]), ..Settings::default() });
        assert!(env.contains("`matrix.env.A` in [[library]]: the matrix varies this"), "{env}");
        let others = Settings {
            cycles: "7".parse().ok(),
            env: Some(vec!["B=1".parse().unwrap()]),
            ..Settings::default()
        };
        let soaks = planned(text, &others).unwrap();
        assert!(soaks.len() == 4 && soaks.iter().all(|soak| soak.cycles == 7 && soak.env["B"] == "1"));
    }

    proptest! {
        #[test]
        fn every_combination_is_there_once(lengths in prop::collection::vec(1_usize..5, 1..5)) {
            let lists: Vec<String> = lengths
                .iter()
                .enumerate()
                .map(|(list, length)| format!("env.V{list} = {:?}", (0..*length).collect::<Vec<_>>()))
                .collect();
            let text = format!("[[library]]\npath = 'a.so'\nmatrix = {{ {} }}", lists.join(", "));
            let soaks = planned(&text, &Settings::default()).unwrap();
            prop_assert_eq!(soaks.len(), lengths.iter().product::<usize>());
            let mut seen = std::collections::HashSet::new();
            for soak in &soaks {
                for (name, value) in &soak.env {
                    let said = format!("{name}={value}");
                    prop_assert!(soak.name.contains(&said), "{} {}", soak.name, said);
                }
                prop_assert_eq!(soak.env.len(), lengths.len());
                prop_assert!(seen.insert(soak.env.clone()) && seen.len() <= soaks.len());
            }
            // The last list varies fastest, and shares of the suite are by place.
            let first: Vec<usize> = soaks.iter().map(|soak| soak.env["V0"].parse().unwrap()).collect();
            prop_assert!(first.is_sorted());
        }
    }
}
