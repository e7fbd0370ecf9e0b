//! The page of a finding's code, as `docs/findings.md` has it: what it means, an example, and a fix.

use dlsoak_record::Code;

/// A page for each code. The file is a link, so that the crate is published with the pages in it.
const FINDINGS: &str = include_str!("../findings.md");

/// The page: its first line is the code. Empty only if the file lacked it, which a test forbids.
pub fn page(code: Code) -> &'static str {
    let found = FINDINGS.split("\n## ").skip(1).find(|page| page.lines().next() == Some(code.name()));
    found.unwrap_or_default().trim_end()
}

/// What comes below the code, and the first paragraph of it in one line.
#[cfg(feature = "files")]
pub(super) fn parts(code: Code) -> (&'static str, String) {
    let body = page(code).strip_prefix(code.name()).unwrap_or_default().trim_start();
    let first = body.split("\n\n").next().unwrap_or_default();
    (body, first.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let pages: Vec<&str> = FINDINGS.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(pages, Code::ALL.map(Code::name));
        for code in Code::ALL {
            let page = page(code);
            assert!(page.lines().count() > 3 && !page.contains("\n## "), "{page}");
            assert!(page.contains("\n**Fix**: ") || page.contains("\n**Severity**: "), "{page}");
        }
    }

    #[cfg(feature = "files")]
    #[test]
    fn a_page_begins_with_a_short_paragraph() {
        for code in Code::ALL {
            let (body, first) = parts(code);
            assert!(!first.is_empty() && first.len() < 400 && first.ends_with('.'), "{code}: {first}");
            assert!(body.starts_with(first.split(' ').next().unwrap()), "{code}");
        }
    }
}
