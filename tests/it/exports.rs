//! Every format is made from the committed record of a real run, and what other tools would read is read back by others
//! than ourselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use dlsoak::record::Run;
use tempfile::TempDir;

use crate::support::{DECIDED, dlsoak, fixture, installed, sample};

/// Makes a format from a record; the directory goes with the test.
fn made(record: &Path, format: &str) -> (TempDir, Vec<PathBuf>) {
    let out = tempfile::tempdir().unwrap();
    let output =
        dlsoak().args(["report", "--to", format, "-o"]).arg(out.path()).arg(record).output().unwrap();
    assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
    let files: Vec<PathBuf> = String::from_utf8(output.stdout).unwrap().lines().map(PathBuf::from).collect();
    assert!(!files.is_empty() && files.iter().all(|file| file.starts_with(out.path()) && file.is_file()));
    (out, files)
}

/// The first file of a format, as text.
fn text(format: &str) -> String {
    let (_out, files) = made(&sample(), format);
    std::fs::read_to_string(&files[0]).unwrap()
}

fn sample_run() -> Run {
    serde_json::from_slice(&std::fs::read(sample()).unwrap()).unwrap()
}

#[test]
fn markdown_of_the_sample() {
    insta::assert_snapshot!(text("markdown"));
}

#[test]
fn junit_of_the_sample() {
    insta::assert_snapshot!(text("junit"));
}

#[test]
fn sarif_of_the_sample() {
    insta::assert_snapshot!(text("sarif"));
}

#[test]
fn bencher_of_the_sample() {
    insta::assert_snapshot!(text("bencher"));
}

#[test]
fn csv_of_the_sample() {
    let text = text("csv");
    assert_eq!(
        text.lines().count(),
        1 + sample_run().soaks.iter().map(|s| s.checkpoints.rows.len()).sum::<usize>()
    );
    let every_fiftieth: Vec<&str> = text.lines().step_by(50).collect();
    insta::assert_snapshot!(every_fiftieth.join("\n"));
}

#[test]
fn hgrm_of_the_sample() {
    let (_out, files) = made(&sample(), "hgrm");
    let run = sample_run();
    assert_eq!(files.len(), run.soaks.len() * 5);
    insta::assert_snapshot!(std::fs::read_to_string(&files[0]).unwrap());
}

#[test]
fn hlog_of_the_sample() {
    // The histograms themselves are compared below, by an independent reader.
    let tags: Vec<String> = text("hlog")
        .lines()
        .map(|line| line.rsplit_once(',').map_or(line, |(head, _)| head).to_owned())
        .collect();
    insta::assert_snapshot!(tags.join("\n"));
}

#[test]
fn the_page_of_the_sample_has_every_part() {
    let page = text("html");
    let heads = |tag: &str| -> Vec<String> {
        let open = format!("<{tag}");
        let parts = page.split(open.as_str()).skip(1);
        parts.filter_map(|part| Some(part.split_once('>')?.1.split_once("</")?.0.to_owned())).collect()
    };
    let mut outline = [heads("h1"), heads("h2"), heads("figcaption")].concat();
    outline.dedup();
    insta::assert_snapshot!(outline.join("\n"));
}

#[test]
fn the_text_of_the_sample_is_on_stdout() {
    let output = dlsoak().args(["report", "--to", "text"]).arg(sample()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(sample_run().soaks.iter().all(|soak| text.contains(&soak.name[..6])), "{text}");
}

/// Reads the files with the HdrHistogram of another language, and prints each tag with its count, median, 99th
/// percentile and largest value.
const READER: &str = r#"
import sys
from hdrh.log import HistogramLogReader
from hdrh.histogram import HdrHistogram
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 60_000_000_000, 3))
while True:
    h = reader.get_next_interval_histogram()
    if h is None:
        break
    print(h.get_tag(), h.get_total_count(), h.get_value_at_percentile(50), h.get_value_at_percentile(99), h.get_max_value())
"#;

#[test]
fn an_independent_reader_reads_the_log() {
    let python = Command::new("python3").args(["-c", "import hdrh"]).output();
    let there = python.is_ok_and(|output| output.status.success());
    if !installed("HdrHistogram for Python", there, "python3 -m pip install hdrhistogram==0.10.8") {
        return;
    }
    let (_out, files) = made(&sample(), "hlog");
    let output = Command::new("python3").args(["-c", READER]).arg(&files[0]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = String::from_utf8(output.stdout).unwrap();
    let mut expected = String::new();
    for soak in sample_run().soaks {
        let of = &soak.latency_ns;
        let phases = [
            ("open", &of.open),
            ("symbol", &of.symbol),
            ("call", &of.call),
            ("close", &of.close),
            ("cycle", &of.cycle),
        ];
        for (phase, latency) in phases {
            let l = latency.as_ref().unwrap();
            // That reader gives the largest value of a bucket, as ours does.
            expected += &format!("{}:{phase} {} {} {} {}\n", soak.name, l.count, l.p50, l.p99, l.max);
        }
    }
    assert_eq!(read, expected);
}

#[test]
fn a_percentile_file_is_read_as_its_plotters_read_it() {
    let (_out, files) = made(&sample(), "hgrm");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.lines().next().unwrap().split_whitespace().eq([
            "Value",
            "Percentile",
            "TotalCount",
            "1/(1-Percentile)"
        ]));
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|field| field.parse().unwrap()).collect())
            .collect();
        assert!(rows.windows(2).all(|w| w[0][..3].iter().zip(&w[1][..3]).all(|(a, b)| a <= b)), "{file:?}");
        assert_eq!(rows.last().unwrap()[1], 1.0);
        assert!(rows.iter().rev().skip(1).all(|row| row.len() == 4), "{file:?}");
    }
}

/// A run of two fixtures in an environment, and what it wrote.
fn in_actions(args: &[&str], summary: &Path) -> std::process::Output {
    let out = tempfile::tempdir().unwrap();
    let libraries = [fixture("c-clean"), fixture("c-leak-constructor")];
    let mut command = dlsoak();
    command.arg("run").args(libraries).args(DECIDED).arg("-o").arg(out.path()).args(args);
    command.env("GITHUB_WORKSPACE", xtask::fixtures::root());
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", summary).output().unwrap()
}

#[test]
fn in_github_actions_a_run_annotates_and_sums_up() {
    let dir = tempfile::tempdir().unwrap();
    let summary = dir.path().join("summary.md");
    std::fs::write(&summary, "before\n").unwrap();
    let output = in_actions(&[], &summary);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let annotations: Vec<&str> = stdout.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(annotations.len(), 1, "{stdout}");
    assert!(annotations[0].starts_with("::error file=") && annotations[0].contains("c-leak-constructor"));
    let text = std::fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("before\n## dlsoak: 2 soaks: 1 clean, 1 leak"), "{text}");
    // A summary that can't be written is no reason to fail.
    let output = in_actions(&["--trace-on-leak"], &dir.path().join("no/such/file"));
    assert_eq!(output.status.code(), Some(1));
    // The line that leaks, relative to the root of the repository.
    let stdout = String::from_utf8(output.stdout).unwrap();
    let annotation = stdout.lines().find(|line| line.starts_with("::")).unwrap();
    assert!(
        annotation.starts_with("::error file=cdylib-fixtures/c/leak-constructor.c,line="),
        "{annotation}"
    );
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot append to the step summary"));
}

#[test]
fn events_are_all_that_stdout_carries() {
    let dir = tempfile::tempdir().unwrap();
    let output = in_actions(&["--message-format", "json"], &dir.path().join("summary.md"));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let events: Vec<serde_json::Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["begin", "soak", "begin", "soak", "end"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("::error file="));
    let fields =
        |event: &serde_json::Value| -> Vec<String> { event.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(fields(&events[0]), ["event", "index", "name", "of"]);
    assert_eq!(fields(&events[4]), ["event", "exit_code", "out", "passed"]);
    assert_eq!((events[4]["exit_code"].as_i64(), events[4]["passed"].as_bool()), (Some(1), Some(false)));
    // A soak is that of the record, without its series.
    assert_eq!(events[3]["verdict"], "leak");
    for series in ["checkpoints", "latency_over_time", "resident_by_kind"] {
        assert!(events[1].get(series).is_none(), "{series}");
    }
    // And each event is documented.
    let documented = std::fs::read_to_string(xtask::fixtures::root().join("docs/reports.md")).unwrap();
    for event in ["begin", "soak", "end"] {
        assert!(documented.contains(&format!("\"event\":\"{event}\"")), "docs/reports.md lacks {event}");
    }
}

#[test]
fn a_record_that_is_none_gets_one_line_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.json");
    let whole = std::fs::read_to_string(sample()).unwrap();
    let broken = [
        ("{\"schema\":\"dlsoak.run/3\",\"soaks\":[]}".to_owned(), "dlsoak.run/3"),
        ("[1, 2]".to_owned(), "no `schema`"),
        (whole[..whole.len() / 2].to_owned(), "no JSON"),
        (whole.replacen("\"seconds\": ", "\"seconds\": \"soon\", \"was\": ", 1), "broken record"),
        (String::new(), "no JSON"),
    ];
    for format in
        ["html", "svg", "png", "markdown", "junit", "sarif", "bencher", "csv", "hgrm", "hlog", "text"]
    {
        for (text, expected) in &broken {
            std::fs::write(&path, text).unwrap();
            let output = dlsoak().args(["report", "--to", format]).arg(&path).output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{format}: {stderr}");
            assert!(stderr.contains(expected) && stderr.lines().count() == 1, "{format}: {stderr}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "{format} left a file");
        }
    }
}

#[test]
fn the_sample_of_go_versions_is_what_its_record_tells() {
    let directory = xtask::fixtures::root().join("reports/sample/go");
    let record = directory.join("record.json");
    let (_out, files) = made(&record, "costs");
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["costs.md", "costs.svg", "costs.png"]);
    for file in &files[..2] {
        let kept = std::fs::read_to_string(directory.join(file.file_name().unwrap())).unwrap();
        assert!(std::fs::read_to_string(file).unwrap() == kept, "{}", file.display());
    }
    let run: Run = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    let versions: std::collections::BTreeSet<&str> =
        run.soaks.iter().filter_map(|soak| soak.toolchain.go.as_deref()).collect();
    assert!(versions.len() >= 3 && versions.iter().any(|go| go.starts_with("go1.21.")), "{versions:?}");
    // The page that states the answer has the table of this record.
    let page = std::fs::read_to_string(xtask::fixtures::root().join("docs/go.md")).unwrap();
    let table = std::fs::read_to_string(directory.join("costs.md")).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| libgo-")).collect();
    assert!(rows.len() > versions.len());
    for row in rows {
        // All but the file's name and the figures that are the same in all rows.
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [
            _,
            built,
            settings,
            _,
            open,
            close,
            _,
            resident,
            anonymous,
            threads,
            mappings,
            space,
            calls @ ..,
        ] = cells.as_slice()
        else {
            panic!("{row}")
        };
        let shown: Vec<&str> = [built, settings, open, close, resident, anonymous, threads, mappings, space]
            .into_iter()
            .chain(calls)
            .copied()
            .collect();
        assert!(page.contains(&format!("| {} |", shown.join(" | "))), "{}", shown.join(" | "));
    }
}
