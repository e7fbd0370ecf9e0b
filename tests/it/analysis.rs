//! Holds `analysis` against recorded series of known truth.

use crate::reference;
use dlsoak::analysis::{Policy, judge};
use dlsoak::record::Verdict;

#[test]
fn a_soak_without_checkpoints_is_inconclusive() {
    let soak = reference::soak("empty", 1, 0, Vec::new());
    let judgement = judge(&soak, &Policy::default());
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.gate.passed, None);
    assert!(reference::parse("").is_empty());
}
