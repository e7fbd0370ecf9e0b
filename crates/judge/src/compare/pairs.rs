//! Matches the soaks of two runs that are of the same library.

use std::path::Path;

use dlsoak_record::{Language, Soak};

/// The soaks of two runs, matched.
#[derive(Debug)]
pub(super) struct Pairs<'a> {
    pub(super) both: Vec<(&'a Soak, &'a Soak)>,
    pub(super) only_in_base: Vec<&'a Soak>,
    pub(super) only_in_other: Vec<&'a Soak>,
}

/// Matches by name first, then by the name of the file, then by language if that leaves one choice on either side.
pub(super) fn pairs<'a>(base: &'a [Soak], other: &'a [Soak]) -> Pairs<'a> {
    let mut left: Vec<&Soak> = other.iter().collect();
    let mut found: Vec<Option<&Soak>> = vec![None; base.len()];
    let mut take = |base: &[&Soak], choose: &dyn Fn(&Soak, &Soak, &[&Soak]) -> bool, at: &[usize]| {
        for (soak, index) in base.iter().zip(at) {
            if let Some(position) = left.iter().position(|candidate| choose(soak, candidate, &left)) {
                found[*index] = Some(left.remove(position));
            }
        }
        let open: Vec<usize> = at.iter().copied().filter(|index| found[*index].is_none()).collect();
        open
    };
    let all: Vec<usize> = (0..base.len()).collect();
    let at = |indices: &[usize]| indices.iter().map(|index| &base[*index]).collect::<Vec<_>>();
    let open = take(&at(&all), &|a, b, _| a.name == b.name, &all);
    let open = take(&at(&open), &|a, b, _| file(a).is_some() && file(a) == file(b), &open);
    let alone = at(&open);
    take(
        &alone,
        &|a, b, left| {
            let of = |soaks: &[&Soak]| soaks.iter().filter(|soak| soak.language == a.language).count();
            a.language != Language::Unknown && a.language == b.language && of(left) == 1 && of(&alone) == 1
        },
        &open,
    );
    let both = base.iter().zip(&found).filter_map(|(a, b)| Some((a, (*b)?))).collect();
    let only_in_base = base.iter().zip(&found).filter(|(_, b)| b.is_none()).map(|(a, _)| a).collect();
    Pairs { both, only_in_base, only_in_other: left }
}

fn file(soak: &Soak) -> Option<&std::ffi::OsStr> {
    Path::new(&soak.path).file_name()
}

#[cfg(test)]
mod tests {
    use dlsoak_record::Measured;

    use super::*;

    #[test]
    fn names_come_before_files_and_files_before_languages() {
        let soak = |name: &str, path: &str, language| Soak {
            measured: Measured {
                name: name.to_owned(),
                path: path.to_owned(),
                language,
                ..Measured::default()
            },
            ..Soak::default()
        };
        let base = [
            soak("a", "x/one.so", Language::C),
            soak("b", "x/two.so", Language::C),
            soak("c", "x/three.so", Language::Go),
            soak("d", "x/four.so", Language::Rust),
        ];
        let other = [
            soak("z", "y/two.so", Language::C),
            soak("a", "y/two.so", Language::C),
            soak("y", "y/other.so", Language::Go),
            soak("x", "y/five.so", Language::Cpp),
        ];
        let pairs = pairs(&base, &other);
        let names: Vec<_> = pairs.both.iter().map(|(a, b)| (a.name.as_str(), b.name.as_str())).collect();
        assert_eq!(names, [("a", "a"), ("b", "z"), ("c", "y")]);
        assert_eq!((pairs.only_in_base[0].name.as_str(), pairs.only_in_other[0].name.as_str()), ("d", "x"));
    }
}
