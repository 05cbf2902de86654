//! What a query cost, as replies say it: statistics, and the plan with what each node took.

use std::time::Duration;

use serde::Serialize;

use crate::promql::{ExplainNode, QueryResult, StepStats};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
struct Timings {
    eval_total_time: f64,
    result_sort_time: f64,
    query_preparation_time: f64,
    inner_eval_time: f64,
    exec_queue_time: f64,
    exec_total_time: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleCounts {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    total_queryable_samples_per_step: Vec<(Seconds, u64)>,
    total_queryable_samples: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    samples_read_per_step: Vec<(Seconds, u64)>,
    samples_read: u64,
    peak_samples: u64,
    peak_bytes: u64,
}

/// A time in milliseconds, written in seconds.
struct Seconds(i64);

impl Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1000 == 0 {
            serializer.serialize_i64(self.0 / 1000)
        } else {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        }
    }
}

/// The `stats` part of a reply, in seconds.
#[derive(Serialize)]
pub(super) struct StatsReply {
    timings: Timings,
    samples: SampleCounts,
}

impl StatsReply {
    /// What the query took; with `per_step` the samples of each step besides.
    pub(super) fn new(result: &QueryResult, queue_time: Duration, per_step: bool) -> Self {
        let stats = &result.stats;
        let steps = || result.steps.iter().filter(|_| per_step).flat_map(StepStats::iter);
        let total = stats.prepare + stats.evaluate + stats.sort;
        Self {
            timings: Timings {
                eval_total_time: total.as_secs_f64(),
                result_sort_time: stats.sort.as_secs_f64(),
                query_preparation_time: stats.prepare.as_secs_f64(),
                inner_eval_time: stats.evaluate.as_secs_f64(),
                exec_queue_time: queue_time.as_secs_f64(),
                exec_total_time: (queue_time + total).as_secs_f64(),
            },
            samples: SampleCounts {
                total_queryable_samples_per_step: steps().map(|(t, all, _)| (Seconds(t), all)).collect(),
                total_queryable_samples: stats.total_samples,
                samples_read_per_step: steps().map(|(t, _, read)| (Seconds(t), read)).collect(),
                samples_read: result.steps.as_ref().map_or(0, StepStats::total_read),
                peak_samples: stats.peak_samples,
                peak_bytes: stats.peak_bytes,
            },
        }
    }
}

/// The `explain` part of a reply: one node of the plan. Times are in seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExplainReply<'a> {
    text: &'a str,
    series: u64,
    samples: u64,
    bytes: u64,
    /// Those who read nothing themselves do not say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    series_read: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples_read: Option<u64>,
    self_time: f64,
    total_time: f64,
    /// Only told where it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<ExplainReply<'a>>,
}

impl<'a> ExplainReply<'a> {
    /// `node` and all below it.
    pub(super) fn new(node: &'a ExplainNode) -> Self {
        let reads = node.series_read > 0;
        Self {
            text: &node.text,
            series: node.series,
            samples: node.samples,
            bytes: node.bytes,
            series_read: reads.then_some(node.series_read),
            samples_read: reads.then_some(node.samples_read),
            self_time: node.self_time.as_secs_f64(),
            total_time: node.total_time.as_secs_f64(),
            shared: node.shared,
            inputs: node.inputs.iter().map(Self::new).collect(),
        }
    }
}
