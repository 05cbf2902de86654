//! When counting began, as OpenMetrics text says it: in a line `name_created` behind those of a metric.
//!
//! **Cost**: the lines up to the next one of that kind are read ahead, once for all samples before it.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::number;
use super::parser::{Entry, Parser, quoted_start};
use super::series::parse_exposed;
use crate::model::{LabelsBuf, METRIC_NAME, MetricType};

const SUFFIX: &str = "_created";

/// Looks ahead for such lines.
#[derive(Debug, Default)]
pub(super) struct Created {
    /// Where the line begins that the search ended at: one of that kind, or the first behind the family.
    stop: Option<usize>,
    /// What it says, if it is one of that kind.
    millis: Option<i64>,
    /// Its labels, the name without its end.
    labels: LabelsBuf,
    scratch: LabelsBuf,
}

impl Created {
    /// Whether `series` in a family of type `kind` is such a line.
    pub(super) fn is_one(kind: MetricType, series: &[u8]) -> bool {
        if !matches!(kind, MetricType::Counter | MetricType::Summary | MetricType::Histogram) {
            return false;
        }
        let name = match series.strip_prefix(b"{") {
            Some(inside) => quoted_start(inside),
            None => series.split(|b| *b == b'{').next().unwrap_or_default(),
        };
        name.ends_with(SUFFIX.as_bytes())
    }

    /// When counting began for `series`, which `parser` read last, in milliseconds.
    pub(super) fn of(&mut self, parser: &Parser<'_>, series: &[u8]) -> Option<i64> {
        let kind = parser.kind();
        if !matches!(kind, MetricType::Counter | MetricType::Summary | MetricType::Histogram) {
            return None;
        }
        if self.stop.is_none_or(|stop| parser.offset() > stop) {
            self.search(parser.clone());
        }
        let millis = self.millis?;
        parse_exposed(series, kind, &mut self.scratch).ok()?;
        // Lines of another family stand here only by mistake.
        let family = self.labels.metric_name();
        if !self.scratch.metric_name().starts_with(family) || parser.family() != family.as_bytes() {
            return None;
        }
        let own = |name: &str| match kind {
            MetricType::Histogram => name == "le",
            MetricType::Summary => name == "quantile",
            _ => false,
        };
        let shared = self.scratch.iter().filter(|(name, _)| *name != METRIC_NAME && !own(name));
        shared.eq(self.labels.iter().filter(|(name, _)| *name != METRIC_NAME)).then_some(millis)
    }

    fn search(&mut self, mut parser: Parser<'_>) {
        self.millis = None;
        loop {
            match parser.next_entry(None) {
                Ok(Some(Entry::Sample(sample))) if !Self::is_one(parser.kind(), sample.series) => {}
                Ok(Some(Entry::Sample(sample))) => {
                    self.stop = Some(parser.start());
                    let read = parse_exposed(sample.series, parser.kind(), &mut self.labels);
                    let name = self.labels.metric_name().strip_suffix(SUFFIX).unwrap_or_default().to_owned();
                    self.labels.set(METRIC_NAME, &name);
                    if read.is_ok() {
                        self.millis = number::to_millis(sample.value).filter(|millis| *millis != 0);
                    }
                    return;
                }
                Ok(Some(_)) => {
                    self.stop = Some(parser.start());
                    return;
                }
                // The end, or a line that ends the scrape when it is come to.
                Ok(None) | Err(_) => {
                    self.stop = Some(usize::MAX);
                    return;
                }
            }
        }
    }
}
