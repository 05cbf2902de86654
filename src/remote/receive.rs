//! One remote write request -> one commit.

use std::sync::{Arc, Mutex};

use super::message::{self, Series};
use crate::codec::CodecError;
use crate::model::{Labels, LabelsBuf, METRIC_NAME};
use crate::telemetry::Registry;
use crate::telemetry::metrics::Counter;
use crate::tsdb::{AppendOutcome, CommitMode, Error as TsdbError, Tsdb, fingerprint_packed};
use crate::util::lock::lock;

/// Inflated requests larger than this are refused.
pub const MAX_REQUEST_BYTES: usize = 32 << 20;

/// How often a request is tried whose series are removed while it is being stored.
const MAX_ATTEMPTS: usize = 3;

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
    /// Series of the request were removed again and again while it was being stored.
    #[error("series were removed while the request was being stored; send it again")]
    Removed,
    /// The database could not take it.
    #[error(transparent)]
    Storage(#[from] TsdbError),
}

impl ReceiveError {
    /// Whether the sender is at fault: it must not send the request again.
    pub fn is_bad_request(&self) -> bool {
        !matches!(self, Self::Storage(_) | Self::Removed)
    }
}

/// Takes remote write requests.
#[derive(Clone)]
pub struct Receiver {
    db: Arc<Tsdb>,
    /// Buffers of requests that are done, for those to come.
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
    samples: Counter,
    invalid_labels: Counter,
    histograms: Counter,
}

impl Receiver {
    /// A receiver that commits to `db`.
    pub fn new(db: Arc<Tsdb>, registry: &mut Registry) -> Self {
        let new = Self {
            db,
            buffers: Arc::default(),
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
    pub fn inflate(&self, body: &[u8]) -> Result<Inflated, ReceiveError> {
        let len = snap::raw::decompress_len(body)?;
        if len > MAX_REQUEST_BYTES {
            return Err(ReceiveError::TooLarge(len));
        }
        let bytes = lock(&self.buffers).pop().unwrap_or_default();
        let mut inflated = Inflated { bytes, len: 0, buffers: Arc::clone(&self.buffers) };
        if inflated.bytes.len() < len {
            inflated.bytes.resize(len, 0);
        }
        inflated.len = snap::raw::Decoder::new().decompress(body, &mut inflated.bytes)?;
        Ok(inflated)
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
    pub fn commit(&self, body: &Inflated) -> Result<(), ReceiveError> {
        let body = body.bytes();
        // A series can be removed between its look-up and the commit; it is then made again.
        for _ in 0..MAX_ATTEMPTS {
            if self.attempt(body)? {
                return Ok(());
            }
        }
        Err(ReceiveError::Removed)
    }

    /// False when a series was removed meanwhile; nothing was kept then.
    fn attempt(&self, body: &[u8]) -> Result<bool, ReceiveError> {
        let mut appender = self.db.appender(None);
        let mut labels = SeriesLabels::default();
        let mut histograms = 0;
        message::each_series(body, |series| {
            histograms += series.histograms;
            if !labels.set(series) {
                self.invalid_labels.inc();
                return;
            }
            if series.samples.is_empty() {
                return;
            }
            let fingerprint = fingerprint_packed(&labels.packed);
            let reference = match appender.find(fingerprint) {
                Some(known) => known,
                None => appender.series(&Labels::from_packed(&labels.packed)),
            };
            for (timestamp, value) in &series.samples {
                appender.append(reference, *timestamp, *value);
            }
        })?;
        let stats = appender.commit(CommitMode::Whole)?;
        match stats.first_refused {
            Some((_, AppendOutcome::UnknownSeries)) => return Ok(false),
            Some((at, outcome)) => return Err(refused(body, at, outcome)),
            None => {}
        }
        self.samples.inc_by(stats.committed as u64);
        if histograms > 0 {
            self.histograms.inc_by(histograms as u64);
            return Err(ReceiveError::Histograms { histograms });
        }
        Ok(true)
    }
}

/// An inflated request. Its memory is used again for the next one.
pub struct Inflated {
    bytes: Vec<u8>,
    len: usize,
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Buffers kept for later requests: more do not run at once.
const MAX_BUFFERS: usize = 16;
/// Larger ones are given back.
const MAX_BUFFER_BYTES: usize = 1 << 20;

impl Inflated {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Inflated {
    fn drop(&mut self) {
        let mut kept = lock(&self.buffers);
        if kept.len() < MAX_BUFFERS && self.bytes.capacity() <= MAX_BUFFER_BYTES {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// The error for sample number `at` of those that are stored.
fn refused(body: &[u8], at: usize, outcome: AppendOutcome) -> ReceiveError {
    let reason = match outcome {
        AppendOutcome::DuplicateTimestamp => "duplicate sample for timestamp",
        AppendOutcome::TooOld => "out of bounds: too old sample",
        AppendOutcome::TooFarAhead => "out of bounds: timestamp is too far in the future",
        _ => "out of order sample",
    };
    let mut labels = SeriesLabels::default();
    let mut left = at;
    let mut found = (String::new(), 0);
    // The body was read before, so it can be read again.
    let _ = message::each_series(body, |series| {
        if !labels.set(series) {
            return;
        }
        if let Some((timestamp, _)) = series.samples.get(left).filter(|_| left < usize::MAX) {
            found = (Labels::from_packed(&labels.packed).to_string(), *timestamp);
            left = usize::MAX;
        } else if left < usize::MAX {
            left -= series.samples.len();
        }
    });
    ReceiveError::Sample { reason, labels: found.0, timestamp: found.1 }
}

/// The labels of one series after the other, in their packed form.
#[derive(Default)]
struct SeriesLabels {
    bytes: Vec<u8>,
    packed: String,
    buf: LabelsBuf,
}

impl SeriesLabels {
    /// Takes the labels of `series`; false when they are not the labels of a series.
    fn set(&mut self, series: &Series<'_>) -> bool {
        // Senders sort; then nothing has to be moved, and one look tells that all of it is text.
        let sorted = series.labels.is_sorted_by(|(a, _), (b, _)| a < b);
        if !sorted || series.labels.first().is_some_and(|(name, _)| name.is_empty()) {
            return self.set_unsorted(series);
        }
        let mut named = false;
        self.bytes.clear();
        for (name, value) in series.labels.iter().filter(|(_, value)| !value.is_empty()) {
            named |= *name == METRIC_NAME.as_bytes();
            Labels::pack_bytes(&mut self.bytes, name, value);
        }
        self.packed.clear();
        // Cut anywhere, text is not text; the lengths between are, so the whole tells about each part.
        let whole = std::str::from_utf8(&self.bytes);
        whole.is_ok_and(|text| {
            self.packed.push_str(text);
            named
        })
    }

    fn set_unsorted(&mut self, series: &Series<'_>) -> bool {
        self.buf.clear();
        self.packed.clear();
        for (name, value) in &series.labels {
            let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
                return false;
            };
            if name.is_empty() || self.buf.get(name).is_some() {
                return false;
            }
            self.buf.set(name, value);
        }
        self.buf.iter().for_each(|(name, value)| Labels::pack(&mut self.packed, name, value));
        self.buf.get(METRIC_NAME).is_some()
    }
}
