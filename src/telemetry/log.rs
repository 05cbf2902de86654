//! Log set-up: format and level.
//!
//! **Invariants**: a line that cannot be written, because standard error is a closed pipe or on a full disk, is
//! counted and otherwise forgotten; logging never fails and never panics.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
pub use tracing_subscriber::filter::LevelFilter;

/// Lines that could not be written. Of the process, as its standard error is.
static LOST_LINES: AtomicU64 = AtomicU64::new(0);

/// Format of log messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `key=value` text.
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error. Later calls have no effect.
pub fn init(level: LevelFilter, format: Format) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| StandardError)
        // What goes wrong with a line would be told on standard error, by a macro that panics when it cannot.
        .log_internal_errors(false)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    // The only failure is that somebody (a test) set a subscriber before.
    let _ = match format {
        Format::Logfmt => builder.try_init(),
        Format::Json => builder.json().try_init(),
    };
}

/// Writes one line of text to standard error; one that cannot be written is counted.
pub fn write_line(text: &str) {
    let _ = StandardError.write_all(format!("{text}\n").as_bytes());
}

/// Takes everything, whatever becomes of it.
struct StandardError;

impl io::Write for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if io::stderr().write_all(line).is_err() {
            // Relaxed: nothing else is read on its word.
            LOST_LINES.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reports how many log lines could not be written.
#[derive(Debug)]
pub struct LogCollector;

impl Collector for LogCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let lost = ConstCounter::new(LOST_LINES.load(Ordering::Relaxed));
        let help = "Log lines that could not be written";
        let encoder =
            encoder.encode_descriptor("emberkeep_log_lines_lost", help, None, lost.metric_type())?;
        lost.encode(encoder)
    }
}
