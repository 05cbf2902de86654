//! One remote write request -> one commit. Version 1.0 here; `receive_v2` has what 2.0 does otherwise.

use std::sync::{Arc, Mutex};

use super::error::{Bad, MAX_REQUEST_BYTES, ReceiveError, Written};
use super::histogram;
use super::message::{self, ExemplarParts, Series};
use crate::codec::CodecError;
use crate::model::bounds::{self, OverBound};
use crate::model::{Exemplar, Labels, LabelsBuf, METRIC_NAME};
use crate::telemetry::Registry;
use crate::telemetry::metrics::Counter;
use crate::tsdb::{AppendOutcome, CommitMode, DbAppender, SeriesRef, Tsdb, fingerprint_packed};
use crate::util::brief;
use crate::util::lock::lock;

/// How often a request is tried whose series are removed while it is being stored.
pub(super) const MAX_ATTEMPTS: usize = 3;

/// Takes remote write requests.
#[derive(Clone)]
pub struct Receiver {
    pub(super) db: Arc<Tsdb>,
    pub(super) type_and_unit_labels: bool,
    /// Buffers of requests that are done, for those to come.
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
    pub(super) samples: Counter,
    pub(super) invalid_labels: Counter,
    pub(super) histograms: Counter,
    pub(super) exemplars: Counter,
    pub(super) histograms_refused: Counter,
}

impl Receiver {
    /// A receiver that commits to `db`.
    pub fn new(db: Arc<Tsdb>, registry: &mut Registry) -> Self {
        let new = Self {
            db,
            type_and_unit_labels: false,
            buffers: Arc::default(),
            samples: Counter::default(),
            invalid_labels: Counter::default(),
            histograms: Counter::default(),
            exemplars: Counter::default(),
            histograms_refused: Counter::default(),
        };
        let r = registry.sub_registry_with_prefix("emberkeep_remote_write_receiver");
        r.register("samples", "Samples received by remote write and stored", new.samples.clone());
        r.register("invalid_labels", "Series left out because of their labels", new.invalid_labels.clone());
        let help = "Native histograms received by remote write and stored";
        r.register("histograms", help, new.histograms.clone());
        r.register("exemplars", "Exemplars received by remote write and stored", new.exemplars.clone());
        let help = "Native histograms refused because they are invalid";
        r.register("histograms_refused", help, new.histograms_refused.clone());
        new
    }

    /// Whether what series of version 2.0 say of type and unit becomes labels of theirs: `__type__`, `__unit__`.
    #[must_use]
    pub fn with_type_and_unit_labels(mut self, on: bool) -> Self {
        self.type_and_unit_labels = on;
        self
    }

    /// Inflates a body.
    ///
    /// # Errors
    /// When it is not compressed, or inflates to more than 32 MiB.
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

    /// Decodes and commits one inflated request of version 1.0. Blocking.
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
        let mut beside = Beside::default();
        let mut failed = None;
        let mut left_out = LeftOut::default();
        let metadata = message::each_series(body, |series| {
            left_out.next();
            if !labels.set(&series.labels) {
                self.invalid_labels.inc();
                return;
            }
            if series.samples.is_empty() && series.histograms.is_empty() && series.exemplars.is_empty() {
                return;
            }
            if let Err(over) = labels.check() {
                self.invalid_labels.inc();
                beside.bad.add(1, || format!("{over} for series {}", labels.text()));
                left_out.add();
                return;
            }
            let fingerprint = fingerprint_packed(&labels.packed);
            let reference = match appender.find(fingerprint) {
                Some(known) => known,
                // An exemplar alone does not make a series.
                None if series.samples.is_empty() && series.histograms.is_empty() => return,
                None => match appender.admit(&Labels::from_packed(&labels.packed)) {
                    Ok(made) => made,
                    Err(reason) => {
                        beside.bad.add(1, || format!("{reason}: new series {} is not stored", labels.text()));
                        left_out.add();
                        return;
                    }
                },
            };
            for (timestamp, value) in &series.samples {
                appender.append(reference, *timestamp, *value);
            }
            if (!series.histograms.is_empty() || !series.exemplars.is_empty()) && failed.is_none() {
                failed = beside.stage(&mut appender, reference, series, &labels).err();
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if metadata {
            message::each_family(body, |name, metadata| appender.set_metadata(name, metadata))?;
        }
        let samples = appender.staged() - beside.histograms;
        let stats = appender.commit(CommitMode::Ordered)?;
        match stats.first_refused {
            Some((_, AppendOutcome::UnknownSeries)) => return Ok(false),
            // What was there before refuses a sample, so nothing was kept: where others of the request do, those were.
            Some((at, outcome)) if stats.committed == 0 => {
                return Err(refused(body, &left_out, at, samples, outcome));
            }
            // As Prometheus does.
            Some((at, outcome)) => {
                tracing::debug!(
                    refused = stats.out_of_order + stats.duplicate,
                    first = %refused(body, &left_out, at, samples, outcome),
                    "remote write request has out-of-order samples"
                );
            }
            None => {}
        }
        self.samples.inc_by(stats.committed as u64);
        self.histograms.inc_by(stats.histograms as u64);
        self.exemplars.inc_by(stats.exemplars.committed as u64);
        self.histograms_refused.inc_by(beside.refused as u64);
        beside.bad.into_result(Written::default()).map(|_| true)
    }
}

/// Numbers of the series of a request of which nothing was staged though their labels are those of a series.
#[derive(Default)]
struct LeftOut {
    number: usize,
    left_out: Vec<usize>,
}

impl LeftOut {
    /// Goes on to the next series; the first is number 1.
    fn next(&mut self) {
        self.number += 1;
    }

    /// Notes the series.
    fn add(&mut self) {
        self.left_out.push(self.number);
    }

    fn has(&self, number: usize) -> bool {
        self.left_out.binary_search(&number).is_ok()
    }
}

/// What came with the samples of one request.
#[derive(Default)]
struct Beside {
    /// Native histograms that were staged.
    histograms: usize,
    /// Native histograms that are invalid.
    refused: usize,
    bad: Bad,
    buf: LabelsBuf,
}

impl Beside {
    fn stage(
        &mut self,
        appender: &mut DbAppender<'_>,
        reference: SeriesRef,
        series: &Series<'_>,
        labels: &SeriesLabels,
    ) -> Result<(), CodecError> {
        for message in &series.histograms {
            let (timestamp, found) = histogram::read(message)?;
            match found {
                Ok(histogram) => {
                    appender.append_histogram(reference, timestamp, Arc::new(histogram));
                    self.histograms += 1;
                }
                Err(fault) => {
                    self.refused += 1;
                    self.bad.add(1, || format!("{fault} for series {}", labels.text()));
                }
            }
        }
        for message in &series.exemplars {
            let ExemplarParts { labels, value, timestamp } = message::read_exemplar(message)?;
            // What is wrong with exemplars never fails a request.
            if let Some(labels) = exemplar_labels(&mut self.buf, &labels) {
                appender.append_exemplar(reference, Exemplar { labels, value, timestamp }, timestamp != 0);
            }
        }
        Ok(())
    }
}

/// The labels of an exemplar; none if they are no text, or one is there twice.
pub(super) fn exemplar_labels(buf: &mut LabelsBuf, labels: &[(&[u8], &[u8])]) -> Option<Labels> {
    buf.clear();
    for (name, value) in labels {
        buf.append(std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?);
    }
    buf.settle().ok()?;
    Some(buf.to_labels())
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
    pub(super) fn bytes(&self) -> &[u8] {
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

/// Why a sample is refused.
pub(super) fn reason_of(outcome: AppendOutcome) -> &'static str {
    match outcome {
        AppendOutcome::DuplicateTimestamp => "duplicate sample for timestamp",
        AppendOutcome::TooOld => "out of bounds: too old sample",
        AppendOutcome::TooFarAhead => "out of bounds: timestamp is too far in the future",
        AppendOutcome::TooLarge => "labels or native histogram larger than what is taken",
        _ => "out of order sample",
    }
}

/// The error for number `at` of the `samples` samples that were staged, and the native histograms behind them.
fn refused(
    body: &[u8],
    left_out: &LeftOut,
    at: usize,
    samples: usize,
    outcome: AppendOutcome,
) -> ReceiveError {
    let mut labels = SeriesLabels::default();
    let (is_sample, mut left) = if at < samples { (true, at) } else { (false, at - samples) };
    let mut found = None;
    let mut number = 0;
    // The body was read before, so it can be read again.
    let _ = message::each_series(body, |series| {
        number += 1;
        if found.is_some() || !labels.set(&series.labels) || left_out.has(number) {
            return;
        }
        let mut look = |timestamp: i64| {
            if left == 0 && found.is_none() {
                found = Some((labels.text(), timestamp));
            }
            left = left.saturating_sub(1);
        };
        if is_sample {
            series.samples.iter().for_each(|(timestamp, _)| look(*timestamp));
        } else {
            let valid = series.histograms.iter().filter_map(|message| histogram::read(message).ok());
            valid.filter(|(_, found)| found.is_ok()).for_each(|(timestamp, _)| look(timestamp));
        }
    });
    let (labels, timestamp) = found.unwrap_or_default();
    ReceiveError::Sample { reason: reason_of(outcome), labels, timestamp }
}

/// The labels of one series after the other, in their packed form.
#[derive(Default)]
pub(super) struct SeriesLabels {
    bytes: Vec<u8>,
    pub(super) packed: String,
    buf: LabelsBuf,
}

impl SeriesLabels {
    /// The labels as people write them, cut where they are long.
    pub(super) fn text(&self) -> String {
        brief(Labels::from_packed(&self.packed))
    }

    /// Whether they may be those of a series.
    pub(super) fn check(&self) -> Result<(), OverBound> {
        bounds::check_packed(self.packed.len(), || Labels::from_packed(&self.packed).len())
    }

    /// Takes `labels`, bytes of names and values; false when they are not the labels of a series.
    pub(super) fn set(&mut self, labels: &[(&[u8], &[u8])]) -> bool {
        // Senders sort; then nothing has to be moved, and one look tells that all of it is text.
        let sorted = labels.is_sorted_by(|(a, _), (b, _)| a < b);
        if !sorted || labels.first().is_some_and(|(name, _)| name.is_empty()) {
            return self.set_unsorted(labels);
        }
        let mut named = false;
        self.bytes.clear();
        for (name, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
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

    fn set_unsorted(&mut self, labels: &[(&[u8], &[u8])]) -> bool {
        self.buf.clear();
        self.packed.clear();
        for (name, value) in labels {
            let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
                return false;
            };
            if name.is_empty() {
                return false;
            }
            self.buf.append(name, value);
        }
        if self.buf.settle().is_err() {
            return false;
        }
        self.buf.iter().for_each(|(name, value)| Labels::pack(&mut self.packed, name, value));
        self.buf.get(METRIC_NAME).is_some()
    }
}
