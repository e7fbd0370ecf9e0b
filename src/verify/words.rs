//! Pure: the conclusion of a verification in sentences.

use super::reconcile::{Looks, bytes};
use super::trend::Trend;
use super::{Accord, Agreement, Answer, Instrument, Place, PlaceKind, State};
use crate::record::{Soak, Unit};
use crate::settings::units;

/// What follows, the growth first and then who agrees on it.
pub(super) fn conclusion(
    answer: Answer,
    soak: &Soak,
    looks: &Looks<'_>,
    places: &[Place],
    agreements: &[Agreement],
    doubts: Vec<String>,
) -> Vec<String> {
    let mut lines = Vec::new();
    match answer {
        Answer::EndedEarly => {
            let detail = soak.outcome.detail.as_deref().unwrap_or("it did not complete");
            lines.push(format!("the soak ended early, so nothing else was asked: {detail}"));
            return lines;
        }
        Answer::Interrupted => lines.push("interrupted: not every instrument has looked".to_owned()),
        Answer::Grows | Answer::NothingGrows | Answer::Undecided => {}
    }
    for place in places {
        let amount = match place.unit {
            Unit::Bytes => bytes(place.per_cycle),
            Unit::Count => format!("{} per cycle", units::number(place.per_cycle)),
        };
        let by: Vec<_> = place.seen_by.iter().map(|instrument| instrument.name()).collect();
        lines.push(format!(
            "it grows: {}, {amount}: {} (seen by {})",
            place.place.name(),
            place.detail,
            by.join(" and ")
        ));
    }
    let grows = |kind: PlaceKind| places.iter().any(|place| place.place == kind);
    if grows(PlaceKind::Mappings) && !grows(PlaceKind::CHeap) && looks.of(Instrument::Memcheck).is_some() {
        lines.push("valgrind sees nothing of it: it counts blocks from malloc, and this is mmap".to_owned());
    }
    if let Some(figure) = looks.figure(Instrument::Gctrace, "live Go heap").filter(|f| f.trend == Trend::Flat)
    {
        lines.push(format!("Go's heap does not grow, by {} or more", bytes(figure.smallest)));
    }
    if grows(PlaceKind::GoHeap)
        && looks.figure(Instrument::Dlsoak, "heap").is_some_and(|figure| figure.trend == Trend::Flat)
    {
        lines.push("the C heap does not grow".to_owned());
    }
    if answer == Answer::NothingGrows {
        let who: Vec<_> =
            looks.0.iter().filter(|look| look.state == State::Looked).map(|l| l.instrument.name()).collect();
        lines.push(match who.as_slice() {
            [one] => format!("nothing grows, and only {one} has looked"),
            _ => format!("nothing grows, by any that looked: {}", who.join(", ")),
        });
        let smallest = |what: &str| looks.figure(Instrument::Dlsoak, what).map(|figure| figure.smallest);
        if let (Some(heap), Some(anon)) = (smallest("heap"), smallest("anon")) {
            lines.push(format!(
                "what could hide: less than {} in the C heap, less than {} in resident memory (-n sees less)",
                bytes(heap),
                bytes(anon)
            ));
        }
    }
    if answer == Answer::Undecided {
        lines.extend(doubts);
    }
    let heap = agreements.iter().find(|agreement| agreement.about == "C heap");
    for agreement in agreements.iter().filter(|a| a.accord == Accord::Disagree).chain(heap) {
        let verb = match agreement.accord {
            Accord::Agree => "agree",
            Accord::Disagree => "disagree",
            Accord::CannotTell => "can't be held against each other",
        };
        let [a, b] = agreement.between.map(Instrument::name);
        let line = format!("on the {} {a} and {b} {verb}: {}", agreement.about, agreement.detail);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}
