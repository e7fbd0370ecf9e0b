//! The figures of a soak as cells of a table, the same in the terminal, the page and Markdown.

use dlsoak_record::{Latency, Metric, Soak};

use super::summary::{self, Figure};
use super::units;

/// Loads per cycle, or nothing where it never ran.
pub(super) fn loads(soak: &Soak) -> String {
    if soak.cycles.completed == 0 {
        return units::NONE.to_owned();
    }
    // A count per cycle that is whole reads as one.
    let loads = soak.unload.loads_per_cycle;
    match loads {
        l if l.abs() >= 1e3 => units::number(l),
        l if (l - l.round()).abs() < 5e-4 => format!("{l:.0}"),
        l => format!("{l:.3}"),
    }
}

/// Median and 99th percentile of a phase; marked where other soaks ran at the same time.
pub(super) fn median_and_p99(soak: &Soak, latency: Option<&Latency>) -> [String; 2] {
    let mark = if soak.beside > 0 { "~" } else { "" };
    let Some(latency) = latency else { return [units::NONE.to_owned(), units::NONE.to_owned()] };
    [latency.p50, latency.p99].map(|ns| format!("{mark}{}", units::nanos(ns as f64)))
}

/// Growth as bytes per cycle and per second. `with_units` where no column title names them.
pub(super) fn growth(soak: &Soak, with_units: bool) -> (String, String) {
    let bytes = |x: f64| if with_units { units::bytes(x) } else { units::number(x) };
    let rate = |x: f64| if with_units { units::mb_per_second(x) } else { units::megabytes(x) };
    let Some(headline) = summary::headline(soak) else {
        return (units::NONE.to_owned(), units::NONE.to_owned());
    };
    let (amount, rate) = (bytes(headline.per_cycle), rate(headline.per_second));
    let amount = match headline.figure {
        Figure::Leak => amount,
        Figure::Exact => format!("{amount} exact"),
        Figure::Below => format!("<{amount}"),
        Figure::Within => format!("{amount} ok"),
        Figure::Unclear => format!("{amount} ?"),
        Figure::Fading => format!("{amount} fades"),
    };
    // The heap goes without saying: the notes below the table do.
    let amount = match headline.metric {
        Metric::Heap => amount,
        other => format!("{amount} {other}"),
    };
    let marked = headline.figure == Figure::Below && !rate.starts_with('<');
    (amount, if marked { format!("<{rate}") } else { rate })
}
