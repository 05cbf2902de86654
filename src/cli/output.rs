//! What commands print: tables, lines, errors, progress bars.

use std::io::Write as _;

use indicatif::{ProgressBar, ProgressStyle};

use crate::model::Labels;
use crate::model::name::{Quoted, is_plain_label_name};
use crate::telemetry::log;

/// One line on standard output. Once nobody takes it, the rest of the command would be in vain.
pub(super) fn line(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        error("cannot write to standard output");
        std::process::exit(1);
    }
}

/// One error line on standard error.
pub(super) fn error(text: &str) {
    log::write_line(&format!("error: {text}"));
}

/// One line on standard error about how a long command is getting on.
pub(super) fn note(text: &str) {
    log::write_line(text);
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

/// Labels as Prometheus' own tools print them, the name of the metric among them.
pub(super) fn labels(labels: &Labels) -> String {
    let pairs = labels.iter().map(|(name, value)| {
        if is_plain_label_name(name) {
            format!("{name}={}", Quoted(value))
        } else {
            format!("{}={}", Quoted(name), Quoted(value))
        }
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}
