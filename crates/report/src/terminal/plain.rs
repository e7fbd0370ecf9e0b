//! A table of words and figures, each row as high as it must be.

use std::ops::Range;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

/// Adds a table; `figures` are the columns that are read from the right.
pub(crate) fn table(
    out: &mut String,
    titles: &[&str],
    rows: Vec<Vec<String>>,
    figures: Range<usize>,
    width: u16,
) {
    let line = |c| LineStyle::none().fill(c).junction(c);
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(line('=')));
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width).force_no_tty();
    table.set_header(titles.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { 0 } else { 2 }, 0));
        if figures.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in table.to_string().lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
