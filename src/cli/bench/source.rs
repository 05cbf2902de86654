//! The data of the benches: which recording, how many hosts of it, how far apart.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::workload::{Capture, Fleet};

#[derive(Debug, Clone, Args)]
pub(super) struct SourceArgs {
    /// Recording of a node exporter to replay.
    #[arg(long, value_name = "FILE")]
    pub(super) capture: PathBuf,
    /// Series of each host.
    #[arg(long, default_value_t = 598)]
    pub(super) series_per_host: usize,
}

impl SourceArgs {
    /// Reads the recording.
    pub(super) fn fleet(&self) -> Result<Fleet, Failure> {
        Ok(Fleet::new(&Capture::load(&self.capture)?, self.series_per_host)?)
    }
}

/// A time on the command line, in milliseconds since the Unix epoch; now if absent.
pub(super) fn time_or_now(text: Option<&str>) -> Result<i64, Failure> {
    let Some(text) = text else { return Ok(jiff::Timestamp::now().as_millisecond()) };
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(seconds.saturating_mul(1000));
    }
    let time = text.parse::<jiff::Timestamp>();
    Ok(time
        .map_err(|_| format!("{text:?} is neither RFC 3339 nor seconds since the epoch"))?
        .as_millisecond())
}
