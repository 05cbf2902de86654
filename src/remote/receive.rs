//! One remote write request -> one commit.

use std::sync::Arc;

use super::message::{self, Series};
use crate::codec::CodecError;
use crate::model::{Labels, LabelsBuf, METRIC_NAME};
use crate::telemetry::Registry;
use crate::telemetry::metrics::Counter;
use crate::tsdb::{AppendOutcome, DbAppender, Error as TsdbError, SeriesRef, Tsdb};

/// Inflated requests larger than this are refused.
pub const MAX_REQUEST_BYTES: usize = 32 << 20;

/// A request that was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The body is not snappy-compressed.
    #[error("s2: corrupt input")]
    Snappy(#[from] snap::Error),
    /// The body inflates to too much.
    #[error("decoded size exceeds the {MAX_REQUEST_BYTES} bytes limit")]
    TooLarge(usize),
    /// The body is no `WriteRequest`.
    #[error("cannot decode the request: {0}")]
    Message(#[from] CodecError),
    /// A sample cannot be taken; nothing of the request was kept.
    #[error("{reason} for series {labels} at {timestamp} ms")]
    Sample {
        /// Why.
        reason: &'static str,
        /// The series.
        labels: String,
        /// Of the sample, in milliseconds.
        timestamp: i64,
    },
    /// The request held native histograms. Its float samples were kept.
    #[error("native histograms are not supported yet: {histograms} histogram samples were not stored")]
    Histograms {
        /// How many.
        histograms: usize,
    },
    /// The database could not take it.
    #[error(transparent)]
    Storage(#[from] TsdbError),
}

impl ReceiveError {
    /// Whether the sender is at fault: it must not send the request again.
    pub fn is_bad_request(&self) -> bool {
        !matches!(self, Self::Storage(_))
    }
}

/// Takes remote write requests.
#[derive(Clone)]
pub struct Receiver {
    db: Arc<Tsdb>,
    samples: Counter,
    invalid_labels: Counter,
    histograms: Counter,
}

impl Receiver {
    /// A receiver that commits to `db`.
    pub fn new(db: Arc<Tsdb>, registry: &mut Registry) -> Self {
        let new = Self {
            db,
            samples: Counter::default(),
            invalid_labels: Counter::default(),
            histograms: Counter::default(),
        };
        let r = registry.sub_registry_with_prefix("emberkeep_remote_write_receiver");
        r.register("samples", "Samples received by remote write and stored", new.samples.clone());
        r.register("invalid_labels", "Series left out because of their labels", new.invalid_labels.clone());
        r.register("histograms_refused", "Native histogram samples refused", new.histograms.clone());
        new
    }

    /// Inflates a body.
    ///
    /// # Errors
    /// When it is not compressed, or inflates to more than [`MAX_REQUEST_BYTES`].
    pub fn inflate(&self, body: &[u8]) -> Result<Vec<u8>, ReceiveError> {
        let len = snap::raw::decompress_len(body)?;
        if len > MAX_REQUEST_BYTES {
            return Err(ReceiveError::TooLarge(len));
        }
        Ok(snap::raw::Decoder::new().decompress_vec(body)?)
    }

    /// Inflates, decodes and commits one request. Blocking.
    ///
    /// # Errors
    /// See [`ReceiveError`]; unless it says otherwise nothing of the request was kept.
    pub fn write(&self, body: &[u8]) -> Result<(), ReceiveError> {
        self.commit(&self.inflate(body)?)
    }

    /// Decodes and commits one inflated request. Blocking.
    ///
    /// # Errors
    /// See [`ReceiveError`]; unless it says otherwise nothing of the request was kept.
    pub fn commit(&self, body: &[u8]) -> Result<(), ReceiveError> {
        let mut appender = self.db.appender(None);
        let mut buf = LabelsBuf::new();
        let mut refused = None;
        let mut histograms = 0;
        message::each_series(body, |series| {
            histograms += series.histograms;
            if !set_labels(series, &mut buf) {
                self.invalid_labels.inc();
                return;
            }
            if series.samples.is_empty() || refused.is_some() {
                return;
            }
            let labels = buf.to_labels();
            let reference = appender.series(&labels);
            refused = append(&mut appender, reference, &labels, &series.samples);
        })?;
        if let Some(refused) = refused {
            return Err(refused);
        }
        let stats = appender.commit()?;
        self.samples.inc_by(stats.committed as u64);
        if histograms > 0 {
            self.histograms.inc_by(histograms as u64);
            return Err(ReceiveError::Histograms { histograms });
        }
        Ok(())
    }
}

fn append(
    appender: &mut DbAppender<'_>,
    series: SeriesRef,
    labels: &Labels,
    samples: &[(i64, f64)],
) -> Option<ReceiveError> {
    let mut series = series;
    for &(timestamp, value) in samples {
        let mut outcome = appender.append(series, timestamp, value);
        if outcome == AppendOutcome::UnknownSeries {
            // Removed between the look-up and now: it had no samples.
            series = appender.series(labels);
            outcome = appender.append(series, timestamp, value);
        }
        let reason = match outcome {
            AppendOutcome::Accepted | AppendOutcome::Repeated | AppendOutcome::UnknownSeries => continue,
            AppendOutcome::DuplicateTimestamp => "duplicate sample for timestamp",
            AppendOutcome::OutOfOrder => "out of order sample",
            AppendOutcome::TooOld => "out of bounds: too old sample",
            AppendOutcome::TooFarAhead => "out of bounds: timestamp is too far in the future",
        };
        return Some(ReceiveError::Sample { reason, labels: labels.to_string(), timestamp });
    }
    None
}

/// Puts the labels of `series` in `buf`; false when they are not the labels of a series.
fn set_labels(series: &Series<'_>, buf: &mut LabelsBuf) -> bool {
    buf.clear();
    if series.damaged_labels {
        return false;
    }
    for (name, value) in &series.labels {
        if name.is_empty() || buf.get(name).is_some() {
            return false;
        }
        buf.set(name, value);
    }
    buf.get(METRIC_NAME).is_some()
}
