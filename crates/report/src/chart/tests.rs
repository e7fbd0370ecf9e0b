//! Checks of the charts as pictures: texts that do not touch, data that is odd, and XML that every reader takes.

use super::text::{self, Weight};
use dlsoak_record::Run;
use dlsoak_record::sample;

/// A text's box in units of the drawing: left, top, right, bottom.
#[derive(Debug)]
struct Box {
    text: String,
    sides: [f64; 4],
}

fn attribute(node: &resvg::usvg::roxmltree::Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// The boxes of all texts, from the SVG as it is written.
fn boxes(svg: &str) -> (Vec<Box>, [f64; 2]) {
    text::register().unwrap();
    let document = resvg::usvg::roxmltree::Document::parse(svg).unwrap();
    let root = document.root_element();
    let view: Vec<f64> = root.attribute("viewBox").unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
    let boxes = document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .map(|node| {
            let content = node.text().unwrap_or_default().trim().to_owned();
            let size = attribute(&node, "font-size");
            let weight = if node.attribute("font-weight").is_some() { Weight::Bold } else { Weight::Regular };
            let width = text::width(&content, size, weight);
            assert_eq!(node.attribute("dy"), Some("0.76em"));
            let left = attribute(&node, "x")
                - match node.attribute("text-anchor") {
                    Some("end") => width,
                    Some("middle") => width / 2.0,
                    _ => 0.0,
                };
            let top = attribute(&node, "y");
            Box { text: content, sides: [left, top, left + width, top + size] }
        })
        .collect();
    (boxes, [view[2], view[3]])
}

/// No text touches another or leaves the picture.
fn assert_laid_out(svg: &str, what: &str) {
    let (boxes, [width, height]) = boxes(svg);
    assert!(!boxes.is_empty(), "{what}: no text");
    for (i, a) in boxes.iter().enumerate() {
        let [left, top, right, bottom] = a.sides;
        assert!(left >= 0.0 && top >= 0.0 && right <= width && bottom <= height, "{what}: {a:?} is cut");
        for b in &boxes[i + 1..] {
            let apart = a.sides[2] <= b.sides[0]
                || b.sides[2] <= a.sides[0]
                || a.sides[3] <= b.sides[1]
                || b.sides[3] <= a.sides[1];
            assert!(apart, "{what}: {a:?} overlaps {b:?}");
        }
    }
}

/// Both charts are laid out well.
fn laid_out(run: &Run, what: &str) {
    assert_laid_out(&super::latency(run).unwrap(), &format!("{what}, latency"));
    assert_laid_out(&super::memory(run).unwrap(), &format!("{what}, memory"));
}

/// And can be turned into pixels.
fn both(run: &Run, what: &str) {
    laid_out(run, what);
    for svg in [super::latency(run).unwrap(), super::memory(run).unwrap()] {
        let png = super::png(&svg).unwrap();
        assert_eq!(&png[1..4], b"PNG");
    }
}

#[test]
fn labels_never_overlap_at_any_number_of_libraries() {
    for n in [0, 1, 2, 3, 4, 8, 13, 16, 24] {
        laid_out(&sample::run(n), &format!("{n} libraries"));
    }
}

#[test]
fn every_library_is_named_in_every_panel() {
    let run = sample::run(8);
    let svg = super::latency(&run).unwrap();
    for soak in &run.soaks {
        assert_eq!(boxes(&svg).0.iter().filter(|b| b.text == soak.name).count(), 3, "{}", soak.name);
    }
    let memory = super::memory(&run).unwrap();
    assert!(boxes(&memory).0.iter().any(|b| b.text == "+32 B/cycle, exact, growing"), "{memory}");
}

#[test]
fn a_soak_that_failed_to_load_says_so() {
    let mut run = sample::run(0);
    run.soaks.push(sample::load_failed());
    both(&run, "only a failed load");
    let texts = boxes(&super::latency(&run).unwrap()).0;
    assert_eq!(texts.iter().filter(|b| b.text == "no data").count(), 3);
    run.soaks.extend(sample::run(3).soaks);
    both(&run, "a failed load among others");
    assert!(boxes(&super::latency(&run).unwrap()).0.iter().any(|b| b.text == "no data: not-there"));
}

#[test]
fn odd_names_are_drawn_and_cut() {
    let mut run = sample::run(4);
    run.soaks[0].name = "x".repeat(200);
    run.soaks[1].name = "<a href=\"&amp;\">'\u{1}\u{0}\u{ffff}\n</text></svg>".to_owned();
    run.soaks[2].name = "\u{65e5}\u{672c}\u{8a9e}\u{1f980}".repeat(20);
    run.soaks[3].name = String::new();
    run.host.libc = "\u{7}<&>".repeat(60);
    both(&run, "odd names");
}

#[test]
fn odd_figures_are_drawn() {
    let mut run = sample::run(6);
    // One checkpoint only.
    run.soaks[0].checkpoints.rows.truncate(1);
    // As far apart as numbers go, and below nothing.
    run.soaks[1].checkpoints.rows[100][2] = i64::MAX;
    run.soaks[1].checkpoints.rows[120][3] = i64::MIN;
    for growth in &mut run.soaks[1].judged.growth {
        growth.per_cycle = -1e300;
        growth.low = -1e308;
        growth.high = 1e308;
    }
    // Rows cut short, columns missing, cycles below zero.
    run.soaks[2].checkpoints.rows[3].truncate(1);
    run.soaks[3].checkpoints.columns[0] = dlsoak_record::Column::Metric(dlsoak_record::Metric::Pss);
    for row in &mut run.soaks[4].checkpoints.rows {
        row[0] = -row[0];
        row[2] = 0;
    }
    for growth in &mut run.soaks[4].judged.growth {
        growth.per_cycle = f64::NAN;
        growth.low = f64::INFINITY;
    }
    // Histograms that are none, and a single sample.
    run.soaks[5].latency_ns.open.as_mut().unwrap().hdr = "!!".to_owned();
    run.soaks[5].latency_ns.call.as_mut().unwrap().hdr = "AAAA".to_owned();
    run.soaks[5].latency_ns.close = Some(sample::latency(0.0, 1, &mut sample::Rng::new(1)));
    both(&run, "odd figures");
}

#[test]
#[ignore = "leaves pictures in target/pictures for people to look at"]
fn pictures() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pictures");
    std::fs::create_dir_all(&dir).unwrap();
    for n in [1, 4, 8, 16, 24] {
        let mut run = sample::run(n);
        if n == 4 {
            run.soaks.push(sample::load_failed());
        }
        for (svg, chart) in
            [(super::latency(&run).unwrap(), "latency"), (super::memory(&run).unwrap(), "memory")]
        {
            std::fs::write(dir.join(format!("{chart}-{n}.svg")), &svg).unwrap();
            std::fs::write(dir.join(format!("{chart}-{n}.png")), super::png(&svg).unwrap()).unwrap();
        }
    }
}
