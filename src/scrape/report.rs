//! `up` and the other series the server writes about each scrape, whether it worked or not.

use super::summary::Summary;
use super::target::Target;
use crate::config::ScrapeConfig;
use crate::model::{Labels, LabelsBuf, METRIC_NAME, stale_nan};
use crate::tsdb::DbAppender;

/// What is written about every target, then what is written where more is wanted.
const NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];
const ALWAYS: usize = 5;
/// What is written once new series may be refused: those that a quota left out.
const REFUSED: &str = "scrape_series_refused";

/// The report series of one target.
#[derive(Debug, Clone)]
pub(super) struct Report {
    series: Vec<Labels>,
    refused: Labels,
    /// Whether the target has a quota, or series of it were refused.
    pub(super) tells_refused: bool,
    timeout_s: f64,
    sample_limit: f64,
}

impl Report {
    pub(super) fn new(job: &ScrapeConfig, target: &Target) -> Self {
        let mut buffer = LabelsBuf::new();
        buffer.reset_to(&target.labels);
        let count = if job.formats.extra_scrape_metrics { NAMES.len() } else { ALWAYS };
        let series = NAMES.iter().take(count).map(|name| {
            buffer.set(METRIC_NAME, name);
            buffer.to_labels()
        });
        let series: Vec<Labels> = series.collect();
        buffer.set(METRIC_NAME, REFUSED);
        Self {
            series,
            refused: buffer.to_labels(),
            tells_refused: job.limits.job_series_quota > 0 || job.limits.target_series_quota > 0,
            timeout_s: target.timeout.as_secs_f64(),
            sample_limit: job.limits.sample_limit as f64,
        }
    }

    /// Writes the report of a scrape at `at_ms`.
    pub(super) fn write(&mut self, appender: &mut DbAppender<'_>, at_ms: i64, summary: &Summary) {
        let refused = summary.refused_series.as_ref().map_or(0, |refused| refused.count);
        self.tells_refused |= refused > 0;
        if self.tells_refused {
            let series = appender.series(&self.refused);
            appender.append(series, at_ms, refused as f64);
        }
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
                self.timeout_s,
                self.sample_limit,
                summary.body_bytes,
            ],
        );
    }

    /// Marks the report series stale.
    pub(super) fn end(&self, appender: &mut DbAppender<'_>, at_ms: i64) {
        self.append(appender, at_ms, [stale_nan(); NAMES.len()]);
        if self.tells_refused {
            let series = appender.series(&self.refused);
            appender.append(series, at_ms, stale_nan());
        }
    }

    fn append(&self, appender: &mut DbAppender<'_>, at_ms: i64, values: [f64; NAMES.len()]) {
        for (labels, value) in self.series.iter().zip(values) {
            let series = appender.series(labels);
            appender.append(series, at_ms, value);
        }
    }
}
