//! Where the time of a query went: its plan with what each node took.

use std::time::Duration;

use super::exec::{NodeStats, Profile, Reads};
use super::plan::{Node, RangeSource, SelectSet};

/// One node of a plan and what it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExplainNode {
    /// What it does, in the words of the query language, its inputs left out.
    pub text: String,
    /// Series it yielded.
    pub series: u64,
    /// Samples it yielded; a native histogram counts as several.
    pub samples: u64,
    /// Bytes of what it yielded, histograms aside.
    pub bytes: u64,
    /// Series it read from the storage itself.
    pub series_read: u64,
    /// Samples it read from the storage itself.
    pub samples_read: u64,
    /// Wall time it took itself.
    pub self_time: Duration,
    /// Wall time it took together with its inputs.
    pub total_time: Duration,
    /// Whether an equal part of the query was computed before and its series were taken. It took no time then, and
    /// its inputs are shown there.
    pub shared: bool,
    /// The nodes it took its input from, in the order of the query.
    pub inputs: Vec<ExplainNode>,
}

impl ExplainNode {
    /// A node without any cost.
    pub(super) fn free(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// `node` and all below it.
    pub(super) fn of(node: &Node, selects: &SelectSet, profile: &Profile) -> Self {
        let took = profile.of(node);
        let inputs: Vec<&Node> = if took.shared { Vec::new() } else { node.inputs() };
        Self::new(node.describe(selects), took, &inputs, selects, profile)
    }

    /// A range vector that is the answer itself, and all below it.
    pub(super) fn of_source(
        (source, range): (&RangeSource, i64),
        took: NodeStats,
        selects: &SelectSet,
        profile: &Profile,
    ) -> Self {
        let inputs: Vec<&Node> = source.input().into_iter().collect();
        Self::new(source.describe(range, selects), took, &inputs, selects, profile)
    }

    fn new(text: String, took: NodeStats, inputs: &[&Node], selects: &SelectSet, profile: &Profile) -> Self {
        let below = inputs.iter().map(|input| profile.of(input));
        let (time, reads) = below.fold((Duration::ZERO, Reads::default()), |(time, reads), input| {
            (time + input.time, reads.plus(input.read))
        });
        let read = took.read.minus(reads);
        Self {
            text,
            series: took.series,
            samples: took.samples,
            bytes: took.bytes,
            series_read: read.series,
            samples_read: read.samples,
            self_time: took.time.saturating_sub(time),
            total_time: took.time,
            shared: took.shared,
            inputs: inputs.iter().map(|input| Self::of(input, selects, profile)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;
    use crate::promql::{Engine, EngineOptions, Features, QueryOptions, QueryResult};
    use crate::storage::fixed::FixedStorage;

    fn storage() -> FixedStorage {
        let mut storage = FixedStorage::new();
        for instance in ["a", "b", "c"] {
            let labels = Labels::from_pairs([("__name__", "m_total"), ("instance", instance)]);
            for at in 0..100i32 {
                storage.add(&labels, i64::from(at) * 10_000, f64::from(at));
            }
        }
        storage
    }

    fn options() -> QueryOptions {
        QueryOptions { step_stats: true, explain: true, ..QueryOptions::default() }
    }

    fn run(query: &str, end: i64) -> QueryResult {
        let engine = Engine::new(EngineOptions { features: Features::all(), ..EngineOptions::default() });
        let result = engine.range(&storage(), query, 600_000, end, 60_000, &options());
        result.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Text, series, samples, series read and samples read of each node, inputs indented.
    fn outline(node: &ExplainNode, depth: usize, out: &mut Vec<String>) {
        let below: Duration = node.inputs.iter().map(|input| input.total_time).sum();
        assert_eq!(node.self_time, node.total_time.saturating_sub(below));
        assert_eq!(node.total_time > Duration::ZERO, !node.shared, "the time of {}", node.text);
        let ExplainNode { text, series, samples, series_read, samples_read, .. } = node;
        let reads = if *series_read > 0 { format!(" < {series_read} {samples_read}") } else { String::new() };
        let shared = if node.shared { " shared" } else { "" };
        out.push(format!("{}{text} | {series} {samples}{reads}{shared}", "  ".repeat(depth)));
        node.inputs.iter().for_each(|input| outline(input, depth + 1, out));
    }

    #[track_caller]
    fn check(query: &str, expected: &[&str]) {
        let mut out = Vec::new();
        outline(&run(query, 720_000).explain.expect("asked for"), 0, &mut out);
        assert_eq!(out, expected, "{query}");
    }

    #[test]
    fn each_node_says_what_it_is_and_took() {
        check(
            "sum without (instance) (rate(m_total{instance!=\"a\"}[1m] offset 30s)) * 2",
            &[
                "* | 1 3",
                "  sum without (instance) | 1 3",
                "    rate(m_total{instance!=\"a\"}[1m] offset 30s) | 2 6 < 2 36",
                "  2 | 1 3",
            ],
        );
        check(
            "max_over_time((m_total > bool 3)[2m:30s]) and on (instance) m_total @ 100",
            &[
                "and on (instance) | 3 9",
                "  max_over_time([2m:30s]) | 3 9",
                "    > bool | 3 24",
                "      m_total | 3 24 < 3 153",
                "      3 | 1 8",
                "  repeat | 3 9",
                "    m_total @ 100.000 | 3 3 < 3 33",
            ],
        );
        check(
            "-quantile_over_time(scalar(vector(0.5)), {__name__=\"m_total\",instance=\"a\"}[30s])",
            &[
                "- | 1 3",
                "  quantile_over_time(m_total{instance=\"a\"}[30s]) | 1 3 < 1 15",
                "    repeat | 1 3",
                "      scalar() | 1 1",
                "        vector() | 1 1",
                "          0.5 | 1 1",
            ],
        );
    }

    #[test]
    fn equal_parts_are_shown_where_they_were_computed() {
        check(
            "sum(rate(m_total[1m])) / sum(rate(m_total[1m]))",
            &["/ | 1 3", "  sum | 1 3", "    rate(m_total[1m]) | 3 9 < 3 54", "  sum | 1 3 shared"],
        );
        check(
            "m_total - on (instance) m_total offset 1m - m_total",
            &[
                "- | 3 9",
                "  - on (instance) | 3 9",
                "    m_total | 3 9 < 3 126",
                "    m_total offset 1m | 3 9 < 3 126",
                "  m_total | 3 9 shared",
            ],
        );
    }

    #[test]
    fn nothing_is_measured_unless_asked_for() {
        let engine = Engine::new(EngineOptions::default());
        let result = engine.instant(&storage(), "m_total", 600_000, &QueryOptions::default());
        let result = result.expect("a good query");
        assert_eq!((result.explain, result.steps), (None, None));
        let raw = engine.instant(&storage(), "m_total[1m]", 600_000, &options()).expect("a good query");
        let mut out = Vec::new();
        outline(&raw.explain.expect("asked for"), 0, &mut out);
        assert_eq!(out, ["m_total[1m] | 3 18 < 3 18"]);
        let text = engine.instant(&storage(), "\"x\"", 600_000, &options()).expect("a good query");
        assert_eq!(text.explain.map(|node| node.text).as_deref(), Some("a string"));
    }

    #[test]
    fn samples_are_counted_by_step() {
        #[track_caller]
        fn check(query: &str, looked_at: [u64; 3], read: [u64; 3]) {
            let result = run(query, 720_000);
            let steps = result.steps.expect("asked for");
            assert_eq!((&steps.looked_at[..], &steps.read[..]), (&looked_at[..], &read[..]), "{query}");
            assert_eq!(looked_at.iter().sum::<u64>(), result.stats.total_samples, "{query}");
            let times: Vec<i64> = steps.iter().map(|(time, ..)| time).collect();
            assert_eq!(times, [600_000, 660_000, 720_000]);
        }
        check("m_total", [3, 3, 3], [3, 3, 3]);
        check("rate(m_total[2m])", [36, 36, 36], [36, 18, 18]);
        check("rate(m_total[20s])", [6, 6, 6], [6, 6, 6]);
        check("m_total @ 100", [3, 3, 3], [3, 0, 0]);
        check("sum_over_time(m_total[2m:30s])", [12, 12, 12], [12, 6, 6]);
        check("1", [0, 0, 0], [0, 0, 0]);
    }
}
