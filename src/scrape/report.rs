//! `up` and the other series the server writes about each scrape, whether it worked or not.

use super::summary::Summary;
use crate::model::{Labels, LabelsBuf, METRIC_NAME, stale_nan};
use crate::tsdb::DbAppender;

const NAMES: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// The report series of one target.
#[derive(Debug)]
pub(super) struct Report {
    series: Vec<Labels>,
}

impl Report {
    pub(super) fn new(target: &Labels) -> Self {
        let mut buffer = LabelsBuf::new();
        buffer.reset_to(target);
        let series = NAMES.map(|name| {
            buffer.set(METRIC_NAME, name);
            buffer.to_labels()
        });
        Self { series: series.into() }
    }

    /// Writes the report of a scrape at `at_ms`.
    pub(super) fn write(&self, appender: &mut DbAppender<'_>, at_ms: i64, summary: &Summary) {
        let counts = &summary.counts;
        self.append(
            appender,
            at_ms,
            [
                if summary.error.is_none() { 1.0 } else { 0.0 },
                summary.duration.as_secs_f64(),
                counts.scraped as f64,
                counts.kept as f64,
                counts.added as f64,
            ],
        );
    }

    /// Marks the report series stale.
    pub(super) fn end(&self, appender: &mut DbAppender<'_>, at_ms: i64) {
        self.append(appender, at_ms, [stale_nan(); 5]);
    }

    fn append(&self, appender: &mut DbAppender<'_>, at_ms: i64, values: [f64; 5]) {
        for (labels, value) in self.series.iter().zip(values) {
            let series = appender.series(labels);
            appender.append(series, at_ms, value);
        }
    }
}
