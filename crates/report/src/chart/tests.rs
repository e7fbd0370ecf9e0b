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
    assert_laid_out(&super::loads(run).unwrap(), &format!("{what}, loads"));
}

/// And can be turned into pixels.
fn both(run: &Run, what: &str) {
    laid_out(run, what);
    for svg in [super::latency(run).unwrap(), super::memory(run).unwrap(), super::loads(run).unwrap()] {
        let png = super::png(&svg).unwrap();
        assert_eq!(&png[1..4], b"PNG");
    }
}

#[test]
fn labels_never_overlap_at_any_number_of_libraries() {
    for n in [0, 1, 2, 3, 4, 8, 13, 16, 24, 121, 500] {
        laid_out(&sample::run(n), &format!("{n} libraries"));
    }
}

#[test]
fn every_library_is_named_beside_its_latencies() {
    let run = sample::run(8);
    let svg = super::latency(&run).unwrap();
    for soak in &run.soaks {
        assert_eq!(boxes(&svg).0.iter().filter(|b| b.text == soak.name).count(), 3, "{}", soak.name);
    }
}

/// The texts of a chart.
fn texts(svg: &str) -> Vec<String> {
    boxes(svg).0.into_iter().map(|b| b.text).collect()
}

#[test]
fn what_does_not_grow_is_a_line_of_text() {
    let run = sample::run(8);
    let texts = texts(&super::memory(&run).unwrap());
    let has = |text: &str| texts.iter().any(|of| of == text);
    // One leaks, and of one it is not decided.
    assert!(has("c-leak-constructor") && has("libz.so.1") && has("+32 B/cycle, exact, growing"), "{texts:?}");
    let flat = "no growth (6 libraries): c-clean, cpp-clean, cpp-unique, rust-clean, rust-tls-destructor and go-clean";
    assert!(has(flat), "{texts:?}");
    assert_eq!(texts.iter().filter(|text| *text == "heap").count(), 2);
    assert!(has("cycles that the line was fitted on") && !has("limit of the gate") && !has("baseline"));
}

#[test]
fn the_gate_and_the_baseline_have_lines_with_a_key() {
    let mut run = sample::run(2);
    let soak = &mut run.soaks[1];
    let older = dlsoak_record::BaselineSoak { growth: soak.judged.growth.clone(), ..Default::default() };
    soak.baseline = Some(dlsoak_record::Baseline { name: "main".to_owned(), soak: Some(older) });
    soak.judged.gate.rules = vec![dlsoak_record::Rule {
        name: dlsoak_record::RuleName::MaxLeakRate,
        metric: None,
        limit: None,
        limit_per_cycle: Some(16.0),
        measured: dlsoak_record::RuleMeasured::Nothing,
        passed: Some(false),
    }];
    both(&run, "a gate and a baseline");
    let texts = texts(&super::memory(&run).unwrap());
    for text in ["limit of the gate", "baseline", "+32 B/cycle, exact, growing; gate: 16 B/cycle"] {
        assert!(texts.iter().any(|of| of == text), "{texts:?}");
    }
}

#[test]
fn many_libraries_are_a_picture_that_can_be_seen_as_a_whole() {
    let run = sample::run(500);
    for svg in [super::latency(&run).unwrap(), super::memory(&run).unwrap(), super::loads(&run).unwrap()] {
        let [_, height] = boxes(&svg).1;
        assert!(height < 2.0 * 2_100.0 && svg.len() < 1_000_000, "{height}, {} bytes", svg.len());
    }
    assert!(texts(&super::latency(&run).unwrap())[1].starts_with("the 24 slowest of 500 libraries, "));
}

#[test]
fn a_library_that_stays_parts_from_its_opens() {
    let texts = texts(&super::loads(&sample::run(8)).unwrap());
    let once = ["cpp-unique", "rust-tls-destructor", "go-clean"].map(|name| format!("{name}: loaded once"));
    assert!(once.iter().all(|name| texts.contains(name)), "{texts:?}");
    let each =
        "loaded each time (5 libraries): c-clean, c-leak-constructor, cpp-clean, rust-clean and libz.so.1";
    assert!(texts.iter().any(|text| text == each) && texts.iter().any(|text| text == "opened"), "{texts:?}");
}

#[test]
fn lines_that_cover_each_other_are_drawn_once_with_all_names() {
    // Data has the widest lines, 2 pixels.
    let lines = |svg: &str| {
        let shapes = svg.split("<polyline").skip(1).filter_map(|rest| rest.split('>').next());
        shapes.filter(|shape| shape.contains("stroke-width=\"4\"")).count()
    };
    let mut run = sample::run(1);
    assert_eq!(lines(&super::latency(&run).unwrap()), 3);
    run.soaks.push(run.soaks[0].clone());
    run.soaks[1].name = "its-twin".to_owned();
    let twins = super::latency(&run).unwrap();
    assert_eq!(lines(&twins), 3);
    assert_eq!(texts(&twins).iter().filter(|text| *text == "its-twin").count(), 3);
    // All that stay are one line beside that of the opens.
    assert_eq!(lines(&super::loads(&sample::run(8)).unwrap()), 2);
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
        for (svg, chart) in [
            (super::latency(&run).unwrap(), "latency"),
            (super::memory(&run).unwrap(), "memory"),
            (super::loads(&run).unwrap(), "loads"),
        ] {
            std::fs::write(dir.join(format!("{chart}-{n}.svg")), &svg).unwrap();
            std::fs::write(dir.join(format!("{chart}-{n}.png")), super::png(&svg).unwrap()).unwrap();
        }
    }
}
