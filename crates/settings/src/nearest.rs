//! "Did you mean": the one known word that a mistyped one is closest to. Shared by the suite file's keys and
//! a library's exports, so that both suggest by the same rule.

/// Longest word, in bytes, that is compared; mangled names beyond it are not mistyped but generated.
const LONGEST: usize = 256;

/// The candidate that `word` most likely stands for: the one with the fewest edits (insert, delete, replace,
/// swap; letter case counts for nothing), as long as no more than a third of the word has to change.
/// `None` when nothing is close.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let wanted = word.to_lowercase();
    // At most 3 edits, so that the length alone rules out almost all of a large library's exports.
    let mut most = (word.chars().count() / 3).clamp(1, 3);
    let mut best = None;
    for candidate in candidates {
        if candidate.len().abs_diff(wanted.len()) > most {
            continue;
        }
        let edits = strsim::osa_distance(&wanted, &candidate.to_lowercase());
        if edits <= most && (best.is_none() || edits < most) {
            best = Some(candidate);
            most = edits;
        }
        if edits == 0 {
            break;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_fewest_edits_and_the_first_of_equals() {
        let keys = ["cycles", "calls", "call", "mode"];
        assert_eq!(nearest("cycle", keys), Some("cycles"));
        assert_eq!(nearest("clal", keys), Some("call"));
        assert_eq!(nearest("Mode", keys), Some("mode"));
        assert_eq!(nearest("callz", keys), Some("calls"));
    }

    #[test]
    fn suggests_nothing_when_nothing_is_close() {
        assert_eq!(nearest("threads", ["mode", "call"]), None);
        assert_eq!(nearest("", ["a"]), None);
        assert_eq!(nearest("xy", ["ab"]), None);
    }

    #[test]
    fn multi_byte_words_are_compared_by_letter() {
        assert_eq!(nearest("größe", ["grösse", "große"]), Some("große"));
    }
}
