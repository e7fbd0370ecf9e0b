//! The page's style sheet: `report.css`, and the colours, which are those of the charts.

use std::fmt::Write as _;

use super::super::chart::palette::{THEME, hex};

/// The whole sheet.
pub(super) fn css() -> String {
    let colors = |dark: bool| -> String {
        THEME.iter().fold(String::new(), |mut css, (name, light, on_dark)| {
            let _ = write!(css, "--{name}:{};", hex(if dark { *on_dark } else { *light }));
            css
        })
    };
    let mut css = format!(":root{{color-scheme:light dark;{}}}\n", colors(false));
    // Paper is light.
    let _ = writeln!(css, "@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}", colors(true));
    for (name, ..) in THEME {
        let _ = write!(
            css,
            ".f-{name}{{fill:var(--{name})}}.s-{name}{{stroke:var(--{name})}}.c-{name}{{color:var(--{name})}}"
        );
    }
    css.push('\n');
    // White space at the beginning of lines is for those who edit the sheet.
    css.extend(include_str!("report.css").lines().map(|line| format!("{}\n", line.trim_start())));
    css
}
