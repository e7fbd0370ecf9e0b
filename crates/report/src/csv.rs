//! `checkpoints.csv`: every checkpoint of every soak in one table (RFC 4180), for a spreadsheet or a data frame. The
//! first column names the soak, so that one file can be filtered and pivoted.

use dlsoak_record::{Column, Run};

use super::Error;

/// Renders the file.
///
/// # Errors
///
/// Never for writing to memory; the crate's writer has them.
pub(super) fn render(run: &Run) -> Result<Vec<u8>, Error> {
    // Soaks of records that were joined may differ in their columns: all that any has, in the order of appearance.
    let mut columns: Vec<Column> = Vec::new();
    let watched =
        run.watch.as_ref().map(|watch| [watch.soaks(), vec![watch.host_soak()]].concat()).unwrap_or_default();
    let verdicts = run.watch.iter().flat_map(|watch| &watch.libraries).map(|library| library.verdict.name());
    let of_soaks = run.soaks.iter().map(|soak| (soak, soak.judged.verdict.name()));
    let soaks: Vec<_> = of_soaks.chain(watched.iter().zip(verdicts.chain([""]))).collect();
    for column in soaks.iter().flat_map(|(soak, _)| &soak.checkpoints.columns) {
        if !columns.contains(column) {
            columns.push(*column);
        }
    }
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let failed = |error: csv::Error| Error::Export(error.to_string());
    let header = ["soak", "verdict"].into_iter().chain(columns.iter().map(|column| column.name()));
    writer.write_record(header.map(harmless)).map_err(failed)?;
    for (soak, verdict) in soaks {
        let position = |column: &Column| soak.checkpoints.position(*column);
        let places: Vec<Option<usize>> = columns.iter().map(position).collect();
        for row in &soak.checkpoints.rows {
            let cell = |place: &Option<usize>| {
                place.and_then(|i| row.get(i)).map_or_else(String::new, i64::to_string)
            };
            let cells = [harmless(&soak.name), verdict.to_owned()].into_iter().chain(places.iter().map(cell));
            writer.write_record(cells).map_err(failed)?;
        }
    }
    writer.into_inner().map_err(|error| Error::Export(error.to_string()))
}

/// Text that a spreadsheet would take for a formula is marked as text, as they themselves write it.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;

    #[test]
    fn each_checkpoint_is_a_row_and_comes_back() {
        let mut run = sample::run(3);
        run.soaks[1].name = "=cmd,\"x\"\ny".to_owned();
        run.soaks[2].checkpoints.columns[3] = Column::Metric(dlsoak_record::Metric::Pss);
        run.soaks.push(sample::load_failed());
        let bytes = render(&run).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let head = reader.headers().unwrap().clone();
        assert_eq!(head.iter().take(4).collect::<Vec<_>>(), ["soak", "verdict", "cycle", "active_ns"]);
        assert_eq!(head.iter().next_back(), Some("pss"));
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 3 * 201);
        assert_eq!(&rows[201][0], "'=cmd,\"x\"\ny");
        assert_eq!(rows[200][2], "100000".to_owned());
        assert_eq!((&rows[0][head.len() - 1], &rows[402][5]), ("", ""));
        assert!(String::from_utf8(bytes).unwrap().ends_with("\r\n"));
    }

    #[test]
    fn each_step_of_a_watch_is_a_row() {
        let text = String::from_utf8(render(&sample::watched()).unwrap()).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 1 + 13 + 3 + 13 + 13);
        assert_eq!(rows[1], "leaking.so,leak,1,6008,,,,,");
        assert!(rows[rows.len() - 1].starts_with("host,,12,"), "{text}");
    }
}
