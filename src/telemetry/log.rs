//! Log set-up: format and level.

pub use tracing_subscriber::filter::LevelFilter;

/// How log lines look.
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
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // The only failure is that somebody (a test) set a subscriber before.
    let _ = match format {
        Format::Logfmt => builder.try_init(),
        Format::Json => builder.json().try_init(),
    };
}
