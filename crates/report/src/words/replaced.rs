//! Hot reload in sentences: which of two builds answered, and which one leaks.

use dlsoak_record::{Build, Metric, Replaced, units};

use super::growth::rate;
use super::{Text, counted, file_name};

/// Which build answered how many opens, and whether it was the one at the path.
pub(super) fn answers(replaced: &Replaced) -> Text {
    let [one, other] = &replaced.builds;
    let each = |build: &Build| format!("{} answered {}", name(build), counted(build.answered, "open"));
    let Some(first) = replaced.first_stale else {
        let fact = format!("{}, and {}, each while it was at the path", each(one), each(other));
        return Text::fact(fact);
    };
    let (most, least) = if one.answered >= other.answered { (one, other) } else { (other, one) };
    let fact = format!(
        "hot reload runs old code: {}, and {}; {} came after the file had been replaced by the other build, the first in cycle {}",
        each(most),
        each(least),
        match replaced.stale {
            1 => "1 of them".to_owned(),
            stale => format!("{} of them", units::count(stale)),
        },
        units::count(first),
    );
    Text::fact(fact)
        .means(format!("the loader still has {}, so it gives that to each open of the path", name(most)))
        .help("fix what keeps it loaded; until then, load each build from a path of its own")
}

/// What each of them leaves on the heap.
pub(super) fn leaks(replaced: &Replaced) -> Text {
    let each = |build: &Build| match build.heap_per_load {
        Some(bytes) if bytes != 0 => {
            let amount = rate(Metric::Heap, bytes as f64).replace(" per cycle", "");
            format!("{} leaks {amount} each time it is loaded", name(build))
        }
        _ => format!("{} leaks nothing", name(build)),
    };
    let [one, other] = &replaced.builds;
    let text = Text::fact(format!("{}, and {}", each(one), each(other)));
    if replaced.stale > 0 {
        return text;
    }
    text.means("a cycle loads one of the two, so the growth per cycle is the mean of both")
}

/// A build by its file, and where both files have one name, by its build id.
fn name(build: &Build) -> String {
    let id = build.build_id.as_deref().map(|id| id.get(..8).unwrap_or(id));
    let id = id.map(|id| format!(" (build {id})")).unwrap_or_default();
    format!("{}{id}", file_name(&build.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(answered: [u64; 2], stale: u64, first_stale: Option<u64>) -> Replaced {
        let build = |path: &str, build_id: Option<&str>, answered| Build {
            path: path.to_owned(),
            build_id: build_id.map(str::to_owned),
            answered,
            heap_per_load: None,
        };
        let [one, other] = answered;
        let builds =
            [build("/l/libgame.so", Some("0123456789abcdef"), one), build("/l/libgame_v2.so", None, other)];
        Replaced { builds, stale, first_stale }
    }

    #[test]
    fn builds_that_take_turns_are_counted() {
        assert_eq!(
            answers(&replaced([758, 758], 0, None)).lines().collect::<Vec<_>>(),
            [
                "libgame.so (build 01234567) answered 758 opens, and libgame_v2.so answered 758 opens, each while it was at the path"
            ]
        );
    }

    #[test]
    fn the_build_that_stays_is_named_with_the_first_wrong_answer() {
        let lines: Vec<String> = answers(&replaced([1516, 0], 758, Some(1))).lines().collect();
        assert_eq!(
            lines[0],
            "hot reload runs old code: libgame.so (build 01234567) answered 1,516 opens, and libgame_v2.so answered 0 opens; 758 of them came after the file had been replaced by the other build, the first in cycle 1"
        );
        assert!(lines[1].starts_with("the loader still has libgame.so"), "{lines:?}");
        assert!(answers(&replaced([1, 3], 1, Some(2))).lines().nth(1).unwrap().contains("libgame_v2.so"));
    }

    #[test]
    fn what_each_build_leaks_stands_side_by_side() {
        let mut both = replaced([758, 758], 0, None);
        both.builds[1].heap_per_load = Some(32);
        assert_eq!(
            leaks(&both).fact,
            "libgame.so (build 01234567) leaks nothing, and libgame_v2.so leaks 32 B each time it is loaded"
        );
    }
}
