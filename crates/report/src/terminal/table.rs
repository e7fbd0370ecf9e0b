//! The table of a result. It comes in three layouts, and takes the widest that leaves names room.

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Row, Table,
    TableStyle,
};

use dlsoak_record::{Latency, Run, Soak};

use super::super::cells;
use super::super::summary::{self, Mark};
use super::super::units;

/// Names longer than this are cut in the table even where it has room; the reasons below it give them whole.
const NAME: usize = 48;
/// Names of this length or less stay whole in the wide layout, or the narrow one is taken.
const ROOM: usize = 16;
/// Between columns; comfy-table draws one of it where a vertical line could be.
const GAP: u16 = 2;

/// A layout of the table.
struct Layout {
    header: &'static [&'static str],
    /// Columns from here on hold figures, which are read from the right; so not the one of words among them.
    figures: usize,
    words: usize,
    /// Columns that stand close to the one before, of which they are the second half.
    close: &'static [usize],
    row: fn(&Soak, usize) -> Row,
    /// A line between rows, where a row is more than a line.
    ruled: bool,
    /// Whether a cell that is too long is broken into lines.
    broken: bool,
}

/// Every figure has a column of its own.
const WIDE: Layout = Layout {
    header: &[
        "verdict",
        "library",
        "lang",
        "cycles",
        "loads/\ncycle",
        "unload",
        "growth\nB/cycle",
        "\nMB/s",
        "open\np50",
        "\np99",
        "close\np50",
        "\np99",
    ],
    figures: 3,
    words: 5,
    close: &[9, 11],
    row: wide_row,
    ruled: false,
    broken: false,
};

/// Related figures share a column.
const NARROW: Layout = Layout {
    header: &[
        "verdict",
        "library",
        "cycles\nloads/\ncycle",
        "unload",
        "growth\n/cycle\n/second",
        "open\np50\np99",
        "close\np50\np99",
    ],
    figures: 2,
    words: 3,
    close: &[],
    row: narrow_row,
    ruled: true,
    broken: false,
};

/// What a row is about, and the figures that decide, in any width.
const SMALL: Layout = Layout {
    header: &["verdict\nlibrary", "cycles\nloads/\ncycle", "growth\n/cycle\n/second", "open\nclose\np50"],
    figures: 1,
    words: usize::MAX,
    close: &[],
    row: small_row,
    ruled: true,
    broken: true,
};

/// The table: wide where that leaves the names room, else narrow, else small.
pub(super) fn render(run: &Run, width: u16, color: bool) -> String {
    // The first build is to measure: with names of no length the rest tells what is left for them.
    let room = |layout: &Layout| {
        let used: u16 = build(run, layout, 0, width, false).column_max_content_widths().iter().sum();
        let gaps = GAP * (layout.header.len() as u16 - 1) - layout.close.len() as u16;
        width.checked_sub(used + gaps).map(|left| usize::from(left) + "library".len())
    };
    let longest = run.soaks.iter().map(|soak| units::columns(&name(soak, NAME))).max().unwrap_or(0);
    // Those of a matrix differ within, where they are cut.
    let alike = |wide: usize| {
        let mut cut: Vec<String> = run.soaks.iter().map(|soak| name(soak, wide)).collect();
        cut.sort_unstable();
        cut.windows(2).any(|pair| pair.first() == pair.last())
    };
    match (room(&WIDE), room(&NARROW)) {
        (Some(wide), _) if wide >= longest.min(ROOM) && !alike(wide) => build(run, &WIDE, wide, width, color),
        (_, Some(narrow)) => build(run, &NARROW, narrow, width, color),
        (_, None) => build(run, &SMALL, NAME, width, color),
    }
    .to_string()
}

/// The table in one layout, with names cut to `name_width`.
fn build(run: &Run, layout: &Layout, name_width: usize, width: u16, color: bool) -> Table {
    let line = |c| LineStyle::none().fill(c).junction(c);
    let mut style = TableStyle::new().header_separator(line('='));
    if layout.ruled {
        style = style.row_separator(line('-'));
    }
    let mut table = Table::new();
    table.load_style(style);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    if color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(layout.header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for soak in &run.soaks {
        table.add_row((layout.row)(soak, name_width));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        let padding = if i == 0 || layout.close.contains(&i) { 0 } else { GAP - 1 };
        column.set_padding((padding, 0));
        if !layout.broken {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if i >= layout.figures && i != layout.words {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A row with a column for each figure.
fn wide_row(soak: &Soak, name_width: usize) -> Row {
    let (per_cycle, per_second) = cells::growth(soak, false);
    let [open, close] = [&soak.latency_ns.open, &soak.latency_ns.close]
        .map(|latency| cells::median_and_p99(soak, latency.as_ref()));
    Row::from(vec![
        verdict(soak, " "),
        Cell::new(name(soak, name_width)),
        Cell::new(summary::language_word(soak.language)),
        Cell::new(units::count(soak.cycles.completed)),
        Cell::new(cells::loads(soak)),
        Cell::new(summary::unload_word(soak)),
        Cell::new(per_cycle),
        Cell::new(per_second),
        Cell::new(&open[0]),
        Cell::new(&open[1]),
        Cell::new(&close[0]),
        Cell::new(&close[1]),
    ])
}

/// A row whose cells hold two lines.
fn narrow_row(soak: &Soak, name_width: usize) -> Row {
    let (per_cycle, per_second) = cells::growth(soak, true);
    let pair = |latency: Option<&Latency>| cells::median_and_p99(soak, latency).join("\n");
    Row::from(vec![
        verdict(soak, "\n"),
        Cell::new(format!("{}\n{}", folded_name(soak, name_width), summary::language_word(soak.language))),
        Cell::new(cycles_and_loads(soak)),
        Cell::new(summary::unload_word(soak)),
        Cell::new(format!("{per_cycle}\n{per_second}")),
        Cell::new(pair(soak.latency_ns.open.as_ref())),
        Cell::new(pair(soak.latency_ns.close.as_ref())),
    ])
}

/// A row in which no cell is long; what does not fit is broken.
fn small_row(soak: &Soak, name_width: usize) -> Row {
    let (per_cycle, per_second) = cells::growth(soak, true);
    let median = |latency: Option<&Latency>| {
        let [median, _] = cells::median_and_p99(soak, latency);
        median
    };
    let [open, close] = [&soak.latency_ns.open, &soak.latency_ns.close].map(|of| median(of.as_ref()));
    Row::from(vec![
        painted(soak, format!("{}\n{}", words(soak, " "), name(soak, name_width))),
        Cell::new(cycles_and_loads(soak)),
        Cell::new(format!("{per_cycle}\n{per_second}")),
        Cell::new(format!("{open}\n{close}")),
    ])
}

fn cycles_and_loads(soak: &Soak) -> String {
    let cycles = match soak.cycles.completed {
        n if n < 10_000_000 => units::count(n),
        n => units::short_count(n as f64),
    };
    format!("{cycles}\n{}", cells::loads(soak))
}

/// The first cell: the gate's word and the verdict, coloured as one.
fn verdict(soak: &Soak, between: &str) -> Cell {
    painted(soak, words(soak, between))
}

fn words(soak: &Soak, between: &str) -> String {
    format!("{}{between}{}", Mark::of(soak).word(), soak.judged.verdict.name())
}

fn painted(soak: &Soak, text: String) -> Cell {
    let mark = Mark::of(soak);
    let cell = Cell::new(text).fg(match mark {
        Mark::Pass => Color::Green,
        Mark::Fail => Color::Red,
        Mark::Undecided => Color::Yellow,
    });
    if mark == Mark::Pass { cell } else { cell.add_attribute(Attribute::Bold) }
}

/// The name, cut to a length that a table can hold.
fn name(soak: &Soak, width: usize) -> String {
    units::elide(&units::printable(&soak.name), NAME.min(width))
}

/// The name in lines of this width, broken between words; a word that is longer is cut.
fn folded_name(soak: &Soak, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in units::elide(&units::printable(&soak.name), 2 * NAME).split(' ') {
        match lines.last_mut() {
            Some(line) if units::columns(line) + 1 + units::columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(units::elide(word, width.min(NAME))),
        }
    }
    lines.join("\n")
}
