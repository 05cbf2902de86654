//! What commands print: tables, lines, errors, progress bars.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is where the command line talks")]

use indicatif::{ProgressBar, ProgressStyle};

/// One line on standard output.
pub(super) fn line(text: &str) {
    println!("{text}");
}

/// One error line on standard error.
pub(super) fn error(text: &str) {
    eprintln!("error: {text}");
}

/// One line on standard error about how a long command is getting on.
pub(super) fn note(text: &str) {
    eprintln!("{text}");
}

/// Rows in aligned columns, the first row as head. Numbers are aligned right.
pub(super) fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|r| r.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let is_number = cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            let padded = if is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            text.push_str(&padded);
            text.push_str("  ");
        }
        line(text.trim_end());
    }
}

/// A progress bar on standard error, with rate and time left; hidden when that is no terminal.
pub(super) fn progress(total: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template = format!("{{bar:40}} {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// Milliseconds since the epoch as a date.
pub(super) fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |t| t.to_string())
}
