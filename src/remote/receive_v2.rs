//! One remote write request of version 2.0 -> one commit, of which the good parts are kept.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::error::{Bad, MAX_REQUEST_BYTES, ReceiveError, Written};
use super::histogram;
use super::receive::{Inflated, MAX_ATTEMPTS, Receiver, SeriesLabels, exemplar_labels, reason_of};
use super::v2::{self, Request, Series};
use crate::codec::CodecError;
use crate::model::bounds;
use crate::model::{Exemplar, Labels, LabelsBuf, METRIC_NAME, Metadata, MetricType, TYPE_LABEL, UNIT_LABEL};
use crate::tsdb::{AppendOutcome, CommitMode, DbAppender, SeriesRef, fingerprint_packed};
use crate::util::brief;

/// Bytes of text that the symbols of one request stand for at most, in what is kept of it: as many as a request of
/// version 1.0, which spells them out, can have.
const MAX_TEXT_BYTES: usize = MAX_REQUEST_BYTES;

/// One request being staged.
#[derive(Default)]
struct Staging<'a> {
    labels: SeriesLabels,
    pairs: Vec<(&'a [u8], &'a [u8])>,
    buf: LabelsBuf,
    bad: Bad,
    /// Number of the series in the request.
    number: usize,
    counts: Counts,
    /// The series of which something was staged: number, and counts behind it.
    staged: Vec<(usize, Counts)>,
    /// Bytes of text that symbols stood for so far.
    text_bytes: usize,
    /// Families that were staged already.
    families: HashSet<&'a [u8]>,
}

/// How much was staged.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    samples: usize,
    histograms: usize,
    exemplars: usize,
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
            staging.number += 1;
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
        let Staging { mut bad, counts, staged, .. } = staging;
        let refused = counts.samples + counts.histograms - written.samples - written.histograms;
        // Of what was staged, the one behind which `count` says that there are more than `at`.
        let owner = |at: usize, count: fn(&Counts) -> usize| {
            let owner = staged.get(staged.partition_point(|(_, counts)| count(counts) <= at));
            owner.map_or_else(String::new, |(number, _)| name_of(request, self.type_and_unit_labels, *number))
        };
        let first = stats.first_refused;
        bad.add(refused, || {
            let (at, outcome) = first.unwrap_or((0, AppendOutcome::DuplicateTimestamp));
            let owner = match at.checked_sub(counts.samples) {
                Some(at) => owner(at, |counts| counts.histograms),
                None => owner(at, |counts| counts.samples),
            };
            format!("{} for series {owner}", reason_of(outcome))
        });
        bad.add(stats.exemplars.out_of_order, || {
            let at = stats.exemplars.first_out_of_order.unwrap_or(0);
            format!("out of order exemplar for series {}", owner(at, |counts| counts.exemplars))
        });
        bad.into_result(written).map(Some)
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
        if let Err(over) = bounds::check_label_count(series.labels.len() / 2) {
            receiver.invalid_labels.inc();
            let number = self.number;
            self.bad.add(1, || format!("{over} for series number {number} of the request"));
            return Ok(());
        }
        if !request.labels(&series.labels, &mut self.pairs) {
            receiver.invalid_labels.inc();
            let numbers = &series.labels;
            self.bad.add(1, || {
                format!("parsing labels for series {}: a number stands for no text", brief(Numbers(numbers)))
            });
            return Ok(());
        }
        let Some(metadata) = metadata(request, series) else {
            let pairs = &self.pairs;
            self.bad.add(1, || {
                format!("parsing metadata for series {}: a number stands for no text", brief(Pairs(pairs)))
            });
            return Ok(());
        };
        if receiver.type_and_unit_labels {
            set_type_and_unit(&mut self.pairs, &metadata);
        }
        let bytes = text_bytes(&self.pairs);
        let fits = bounds::check_packed(bytes, || 0).map_err(|over| over.to_string());
        if let Err(fault) = fits.and_then(|()| self.take_text(bytes).map_err(|fault| fault.to_string())) {
            receiver.invalid_labels.inc();
            let pairs = &self.pairs;
            self.bad.add(1, || format!("{fault} for series {}", brief(Pairs(pairs))));
            return Ok(());
        }
        if !self.labels.set(&self.pairs) {
            receiver.invalid_labels.inc();
            let pairs = &self.pairs;
            self.bad.add(1, || format!("invalid metric name or labels, got {}", brief(Pairs(pairs))));
            return Ok(());
        }
        if let Err(over) = self.labels.check() {
            receiver.invalid_labels.inc();
            let labels = &self.labels;
            self.bad.add(1, || format!("{over} for series {}", labels.text()));
            return Ok(());
        }
        if series.samples.is_empty() && series.histograms.is_empty() {
            let labels = &self.labels;
            let text = "TimeSeries must contain at least one sample or histogram for series";
            self.bad.add(1, || format!("{text} {}", labels.text()));
            return Ok(());
        }
        let fingerprint = fingerprint_packed(&self.labels.packed);
        let reference = match appender.find(fingerprint) {
            Some(known) => known,
            None => match appender.admit(&Labels::from_packed(&self.labels.packed)) {
                Ok(made) => made,
                Err(reason) => {
                    let labels = &self.labels;
                    self.bad.add(1, || format!("{reason}: new series {} is not stored", labels.text()));
                    return Ok(());
                }
            },
        };
        for (timestamp, value) in &series.samples {
            appender.append(reference, *timestamp, *value);
        }
        self.counts.samples += series.samples.len();
        for message in &series.histograms {
            let (timestamp, found) = histogram::read(message)?;
            match found {
                Ok(found) => {
                    appender.append_histogram(reference, timestamp, Arc::new(found));
                    self.counts.histograms += 1;
                }
                Err(fault) => {
                    receiver.histograms_refused.inc();
                    let labels = &self.labels;
                    self.bad.add(1, || format!("{fault} for series {}", labels.text()));
                }
            }
        }
        self.family(appender, &metadata);
        self.exemplars(appender, request, series, reference)?;
        self.staged.push((self.number, self.counts));
        Ok(())
    }

    /// Counts `bytes` of text that are about to be written out.
    fn take_text(&mut self, bytes: usize) -> Result<(), TooMuchText> {
        if self.text_bytes + bytes > MAX_TEXT_BYTES {
            return Err(TooMuchText);
        }
        self.text_bytes += bytes;
        Ok(())
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
            let fault = if known { self.take_text(text_bytes(&self.pairs)).err() } else { None };
            let usable = known && fault.is_none();
            if let Some(labels) = usable.then(|| exemplar_labels(&mut self.buf, &self.pairs)).flatten() {
                let exemplar = Exemplar { labels, value, timestamp };
                appender.append_exemplar(reference, exemplar, timestamp != 0);
                self.counts.exemplars += 1;
            } else {
                let labels = &self.labels;
                self.bad.add(1, || match fault {
                    Some(fault) => format!("{fault} for an exemplar of series {}", labels.text()),
                    None => format!("parsing exemplar for series {}", labels.text()),
                });
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
            if let Err(fault) = self.take_text(help.len() + unit.len()) {
                self.bad.add(1, || format!("{fault} for the metadata of {}", brief(name)));
                return;
            }
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

/// The symbols of the request before these took all the text there may be.
#[derive(Debug, thiserror::Error)]
#[error("request symbols expand to more than {MAX_TEXT_BYTES} bytes of text")]
struct TooMuchText;

fn text_bytes(pairs: &[(&[u8], &[u8])]) -> usize {
    pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// Labels as they were sent, which need not be labels of a series.
struct Pairs<'a>(&'a [(&'a [u8], &'a [u8])]);

impl fmt::Display for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // More of one text than is shown is not looked at.
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(&bytes[..bytes.len().min(2 * brief::MAX_BYTES)]).into_owned()
        };
        f.write_str("{")?;
        for (at, (name, value)) in self.0.iter().enumerate() {
            let between = if at == 0 { "" } else { ", " };
            write!(f, "{between}{}={:?}", text(name), text(value))?;
        }
        f.write_str("}")
    }
}

/// Numbers of texts.
struct Numbers<'a>(&'a [u32]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The labels of series `number` of the request, which was staged.
fn name_of(request: &Request<'_>, typed: bool, number: usize) -> String {
    let mut labels = SeriesLabels::default();
    let (mut pairs, mut at) = (Vec::new(), 0);
    // The request was read before, so it can be read again.
    let _ = request.each_series(|series| {
        if at == number && request.labels(&series.labels, &mut pairs) {
            if let Some(metadata) = metadata(request, series).filter(|_| typed) {
                set_type_and_unit(&mut pairs, &metadata);
            }
            labels.set(&pairs);
        }
        at += 1;
    });
    labels.text()
}
