//! One remote write request of version 2.0 -> one commit, of which the good parts are kept.

use std::collections::HashSet;
use std::sync::Arc;

use super::histogram;
use super::receive::{
    Inflated, MAX_ATTEMPTS, ReceiveError, Receiver, SeriesLabels, exemplar_labels, reason_of,
};
use super::v2::{self, Request, Series};
use crate::codec::CodecError;
use crate::model::{Exemplar, Labels, LabelsBuf, METRIC_NAME, Metadata, MetricType, TYPE_LABEL, UNIT_LABEL};
use crate::tsdb::{AppendOutcome, CommitMode, DbAppender, SeriesRef, fingerprint_packed};

/// What was kept of a request, what was there already included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Float samples.
    pub samples: usize,
    /// Native histograms.
    pub histograms: usize,
    /// Exemplars.
    pub exemplars: usize,
}

/// The bad parts of a request: what is wrong with the first, and how many there are.
#[derive(Default)]
struct Bad {
    first: Option<String>,
    count: usize,
}

impl Bad {
    fn add(&mut self, count: usize, text: impl FnOnce() -> String) {
        if count > 0 {
            self.first.get_or_insert_with(text);
            self.count += count;
        }
    }
}

/// One request being staged.
#[derive(Default)]
struct Staging<'a> {
    labels: SeriesLabels,
    pairs: Vec<(&'a [u8], &'a [u8])>,
    buf: LabelsBuf,
    bad: Bad,
    samples: usize,
    histograms: usize,
    /// Families that were staged already.
    families: HashSet<&'a [u8]>,
}

impl Receiver {
    /// Decodes and commits one inflated request of version 2.0. Blocking.
    ///
    /// # Errors
    /// See [`ReceiveError`]; with [`ReceiveError::Parts`] the good parts were kept, else nothing was.
    pub fn commit_v2(&self, body: &Inflated) -> Result<Written, ReceiveError> {
        let request = Request::read(body.bytes())?;
        // A series can be removed between its look-up and the commit; what was kept before is then there already.
        for _ in 0..MAX_ATTEMPTS {
            if let Some(written) = self.attempt_v2(&request)? {
                return Ok(written);
            }
        }
        Err(ReceiveError::Removed)
    }

    /// None when a series was removed meanwhile.
    fn attempt_v2(&self, request: &Request<'_>) -> Result<Option<Written>, ReceiveError> {
        let mut appender = self.db.appender(None);
        let mut staging = Staging::default();
        let mut failed = None;
        request.each_series(|series| {
            if failed.is_none() {
                failed = staging.series(self, &mut appender, request, series).err();
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        let stats = appender.commit(CommitMode::Each)?;
        if stats.unknown > 0 || stats.exemplars.unknown > 0 {
            return Ok(None);
        }
        let written = Written {
            samples: stats.committed + stats.repeated - stats.histograms,
            histograms: stats.histograms,
            exemplars: stats.exemplars.committed + stats.exemplars.repeated,
        };
        self.samples.inc_by(stats.committed as u64);
        self.histograms.inc_by(stats.histograms as u64);
        self.exemplars.inc_by(stats.exemplars.committed as u64);
        let refused = staging.samples + staging.histograms - written.samples - written.histograms;
        let mut bad = staging.bad;
        let typed = self.type_and_unit_labels;
        let is_known = |packed: &str| self.db.appender(None).find(fingerprint_packed(packed)).is_some();
        let first = stats.first_refused;
        bad.add(refused, || {
            let (at, outcome) = first.unwrap_or((0, AppendOutcome::DuplicateTimestamp));
            format!("{} for series {}", reason_of(outcome), owner(request, typed, at, staging.samples))
        });
        bad.add(stats.exemplars.out_of_order, || {
            let at = stats.exemplars.first_out_of_order.unwrap_or(0);
            format!("out of order exemplar for series {}", exemplar_owner(request, typed, at, is_known))
        });
        match bad.first {
            Some(first) => Err(ReceiveError::Parts { first, others: bad.count - 1, written }),
            None => Ok(Some(written)),
        }
    }
}

impl<'a> Staging<'a> {
    fn series(
        &mut self,
        receiver: &Receiver,
        appender: &mut DbAppender<'_>,
        request: &Request<'a>,
        series: &Series<'a>,
    ) -> Result<(), CodecError> {
        if !request.labels(&series.labels, &mut self.pairs) {
            receiver.invalid_labels.inc();
            let numbers = &series.labels;
            self.bad.add(1, || format!("parsing labels for series {numbers:?}: a number stands for no text"));
            return Ok(());
        }
        let Some(metadata) = metadata(request, series) else {
            let pairs = &self.pairs;
            self.bad.add(1, || {
                format!("parsing metadata for series {}: a number stands for no text", shown(pairs))
            });
            return Ok(());
        };
        if receiver.type_and_unit_labels {
            set_type_and_unit(&mut self.pairs, &metadata);
        }
        if !self.labels.set(&self.pairs) {
            receiver.invalid_labels.inc();
            let pairs = &self.pairs;
            self.bad.add(1, || format!("invalid metric name or labels, got {}", shown(pairs)));
            return Ok(());
        }
        let sampled = is_sampled(series);
        // Prometheus sends exemplars apart from the samples of their series.
        if !sampled && series.exemplars.is_empty() {
            let labels = &self.labels;
            let text = "TimeSeries must contain at least one sample or histogram for series";
            self.bad.add(1, || format!("{text} {}", labels.text()));
            return Ok(());
        }
        let fingerprint = fingerprint_packed(&self.labels.packed);
        let reference = match appender.find(fingerprint) {
            Some(known) => known,
            // An exemplar alone does not make a series.
            None if !sampled => return Ok(()),
            None => appender.series(&Labels::from_packed(&self.labels.packed)),
        };
        for (timestamp, value) in &series.samples {
            appender.append(reference, *timestamp, *value);
        }
        self.samples += series.samples.len();
        for message in &series.histograms {
            let (timestamp, found) = histogram::read(message)?;
            match found {
                Ok(found) => {
                    appender.append_histogram(reference, timestamp, Arc::new(found));
                    self.histograms += 1;
                }
                Err(fault) => {
                    receiver.histograms_refused.inc();
                    let labels = &self.labels;
                    self.bad.add(1, || format!("{fault} for series {}", labels.text()));
                }
            }
        }
        self.family(appender, &metadata);
        self.exemplars(appender, request, series, reference)
    }

    fn exemplars(
        &mut self,
        appender: &mut DbAppender<'_>,
        request: &Request<'a>,
        series: &Series<'a>,
        reference: SeriesRef,
    ) -> Result<(), CodecError> {
        for message in &series.exemplars {
            let v2::ExemplarParts { labels, value, timestamp } = v2::read_exemplar(message)?;
            let known = request.labels(&labels, &mut self.pairs);
            if let Some(labels) = exemplar_labels(&mut self.buf, &self.pairs).filter(|_| known) {
                let exemplar = Exemplar { labels, value, timestamp };
                appender.append_exemplar(reference, exemplar, timestamp != 0);
            } else {
                let labels = &self.labels;
                self.bad.add(1, || format!("parsing exemplar for series {}", labels.text()));
            }
        }
        Ok(())
    }

    /// Stages what the series says of its family, once in a request.
    fn family(&mut self, appender: &mut DbAppender<'_>, metadata: &SeriesMetadata<'a>) {
        let kind = metadata.kind;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let (Some(help), Some(unit)) = (text(metadata.help), text(metadata.unit)) else { return };
        if kind == MetricType::Unknown && help.is_empty() && unit.is_empty() {
            return;
        }
        let name = self.pairs.iter().find(|(name, _)| *name == METRIC_NAME.as_bytes()).map(|(_, name)| *name);
        let name = name.map(|name| family_name(name, kind)).filter(|name| self.families.insert(name));
        if let Some(name) = name.and_then(|name| std::str::from_utf8(name).ok()) {
            appender.set_metadata(name, Metadata { kind, unit: unit.to_owned(), help: help.to_owned() });
        }
    }
}

/// What a series says of its family.
struct SeriesMetadata<'a> {
    kind: MetricType,
    help: &'a [u8],
    unit: &'a [u8],
}

/// None when a number stands for nothing.
fn metadata<'a>(request: &Request<'a>, series: &Series<'_>) -> Option<SeriesMetadata<'a>> {
    let (kind, help, unit) = series.metadata;
    // The first text is always the empty one; a request without metadata may have no texts at all.
    let text = |number| if number == 0 { Some(&b""[..]) } else { request.symbol(number) };
    Some(SeriesMetadata { kind: MetricType::from_number(kind), help: text(help)?, unit: text(unit)? })
}

/// Makes labels of type and unit where the series has either; labels of these names that were sent are left out then.
fn set_type_and_unit<'a>(pairs: &mut Vec<(&'a [u8], &'a [u8])>, metadata: &SeriesMetadata<'a>) {
    if metadata.kind == MetricType::Unknown && metadata.unit.is_empty() {
        return;
    }
    let names = [TYPE_LABEL.as_bytes(), UNIT_LABEL.as_bytes()];
    pairs.retain(|(name, _)| !names.contains(name));
    if metadata.kind != MetricType::Unknown {
        pairs.push((names[0], metadata.kind.name().as_bytes()));
    }
    if !metadata.unit.is_empty() {
        pairs.push((names[1], metadata.unit));
    }
    pairs.sort_by_key(|(name, _)| *name);
}

fn is_sampled(series: &Series<'_>) -> bool {
    !series.samples.is_empty() || !series.histograms.is_empty()
}

/// The family of a series called `name`: its parts are told apart by what the name ends with.
fn family_name(name: &[u8], kind: MetricType) -> &[u8] {
    let endings: &[&[u8]] = match kind {
        MetricType::Histogram => &[b"_bucket", b"_count", b"_sum"],
        MetricType::GaugeHistogram => &[b"_bucket", b"_gcount", b"_gsum"],
        MetricType::Summary => &[b"_count", b"_sum"],
        _ => &[],
    };
    endings.iter().find_map(|ending| name.strip_suffix(*ending)).unwrap_or(name)
}

fn shown(pairs: &[(&[u8], &[u8])]) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={:?}", text(name), text(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Calls `visit` with the series that may have been staged.
fn each_staged<'a>(request: &Request<'a>, typed: bool, mut visit: impl FnMut(&SeriesLabels, &Series<'a>)) {
    let mut labels = SeriesLabels::default();
    let mut pairs = Vec::new();
    // The request was read before, so it can be read again.
    let _ = request.each_series(|series| {
        let (true, Some(metadata)) = (request.labels(&series.labels, &mut pairs), metadata(request, series))
        else {
            return;
        };
        if typed {
            set_type_and_unit(&mut pairs, &metadata);
        }
        if labels.set(&pairs) {
            visit(&labels, series);
        }
    });
}

/// The series of number `at` of the `samples` samples that were staged, and the native histograms behind them.
fn owner(request: &Request<'_>, typed: bool, at: usize, samples: usize) -> String {
    let mut left = if at < samples { at } else { at - samples };
    let mut found = None;
    each_staged(request, typed, |labels, series| {
        let valid = |message: &&&[u8]| histogram::read(message).is_ok_and(|(_, found)| found.is_ok());
        let here =
            if at < samples { series.samples.len() } else { series.histograms.iter().filter(valid).count() };
        if found.is_none() && left < here {
            found = Some(labels.text());
        }
        left = left.saturating_sub(here);
    });
    found.unwrap_or_default()
}

/// The series of exemplar number `at` of those that were staged; they are of series that are known.
fn exemplar_owner(request: &Request<'_>, typed: bool, at: usize, is_known: impl Fn(&str) -> bool) -> String {
    let mut left = at;
    let mut found = None;
    let (mut pairs, mut buf) = (Vec::new(), LabelsBuf::new());
    each_staged(request, typed, |labels, series| {
        let staged = series.exemplars.iter().filter(|message| {
            v2::read_exemplar(message).is_ok_and(|parts| {
                request.labels(&parts.labels, &mut pairs) && exemplar_labels(&mut buf, &pairs).is_some()
            })
        });
        let here = if is_known(&labels.packed) { staged.count() } else { 0 };
        if found.is_none() && left < here {
            found = Some(labels.text());
        }
        left = left.saturating_sub(here);
    });
    found.unwrap_or_default()
}
