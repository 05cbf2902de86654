//! Equal parts of a plan are computed once: what the first use yields is kept for the later ones.
//!
//! The first use hands its rows on as ever and copies them aside; with them go the annotations made and the samples
//! counted meanwhile. A later use takes the copies, the last one without copying again, repeats the annotations at its own
//! positions, and counts the same samples once more: nobody can tell from an answer whether something was shared.
//!
//! **Invariants**: keeping rows never fails a query. Kept rows take a sixteenth of the memory a query may hold; when a
//! part has more it is computed again, and nothing is kept while all queries together hold half of what they may. Kept
//! rows count as held, and are the first to go when a limit is reached: a use that finds them gone computes the rest
//! itself, in the same batches.

use std::sync::Arc;

use super::batch::{Batch, Row};
use super::context::Context;
use super::kept::{Entry, Kept, Part, State};
use super::operator::{Opened, Operator};
use super::record::Record;
use crate::promql::error::Error;
use crate::promql::plan::{Node, NodeKind, RangeSource, SampleField};
use crate::promql::syntax::ast::Span;

/// Opens the operator of a node.
pub(super) type Open = for<'p> fn(&'p Node, &Context<'_>) -> Result<Opened<'p>, Error>;

/// The operator of `node`, which computes its rows by `open` or takes those of an equal node.
pub(super) fn shared<'p>(node: &'p Node, open: Open, cx: &Context<'_>) -> Result<Opened<'p>, Error> {
    let group = cx.shares().of(node).filter(|_| !has_too_many_rows(node, cx));
    let Some(group) = group else { return open(node, cx) };
    let mut user = User { node, group, open, kept: Arc::clone(cx.kept()), turn: Turn::Waiting };
    if !begins_when_pulled(node) {
        user.begin(cx)?;
    }
    Ok(Box::new(user))
}

/// Whether it is known beforehand that the rows of `node` cannot be kept.
fn has_too_many_rows(node: &Node, cx: &Context<'_>) -> bool {
    let (NodeKind::Select { reader, .. } | NodeKind::Rollup { source: RangeSource::Select(reader, _), .. }) =
        &node.kind
    else {
        return false;
    };
    // Series without samples in the range leave no rows, but that is not known here.
    let cells = cx.selects[reader.select].len().saturating_mul(node.grid.count);
    cells.saturating_mul(8) > cx.kept().max_bytes
}

/// Whether nothing happens to `node` before its rows are asked for.
fn begins_when_pulled(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Select { shows, .. } => node.distinct || *shows == SampleField::Value,
        NodeKind::Rollup { source: RangeSource::Select(..), params, .. } => {
            node.distinct && params.iter().all(|param| matches!(param.kind, NodeKind::Number(_)))
        }
        _ => false,
    }
}

/// One use of a node that has equals.
struct User<'p> {
    node: &'p Node,
    group: usize,
    open: Open,
    kept: Arc<Kept>,
    turn: Turn<'p>,
}

enum Turn<'p> {
    Waiting,
    Writing(Opened<'p>),
    /// Takes what is kept. The record is what is to be repeated before the first rows.
    Reading {
        taken: usize,
        batches: usize,
        pulled: Option<Box<Record>>,
    },
    /// Computes for itself, without the batches that have been handed on already.
    Again {
        input: Opened<'p>,
        known: usize,
    },
    Alone(Opened<'p>),
    Done,
}

impl User<'_> {
    /// Finds out what to do.
    fn begin(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        self.turn = match self.kept.begin(self.group, 2 * cx.bytes_of_counts()) {
            Part::Alone => Turn::Alone((self.open)(self.node, cx)?),
            Part::Read { batches, opened, pulled } => {
                cx.shares_result_of(self.node, true);
                self.repeat(&opened, cx);
                Turn::Reading { taken: 0, batches, pulled: Some(pulled) }
            }
            Part::Write => {
                let (input, record) = cx.aside_kept(|| (self.open)(self.node, cx));
                cx.note(&record, |span| span);
                let input = input?;
                self.kept.with(self.group, |entry, _| {
                    entry.spans = self.node.spans();
                    entry.opened = record;
                });
                Turn::Writing(input)
            }
        };
        Ok(())
    }

    /// Notes what was noted about the node that was computed as if it were about this one.
    fn repeat(&self, record: &Record, cx: &Context<'_>) {
        let mut pairs: Vec<(Span, Span)> = Vec::new();
        if record.has_remarks() {
            let theirs = self.kept.with(self.group, |entry, _| entry.spans.clone());
            pairs = theirs.unwrap_or_default().into_iter().zip(self.node.spans()).collect();
        }
        cx.note(record, |span| {
            let found = pairs.iter().find(|(theirs, _)| *theirs == span);
            debug_assert!(found.is_some(), "an annotation is about a position of its node");
            found.map_or(span, |(_, own)| *own)
        });
    }

    /// The next rows of the first use.
    fn write(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let Turn::Writing(input) = &mut self.turn else { return Ok(None) };
        let (batch, record) = cx.aside_kept(|| input.next(cx));
        cx.note(&record, |span| span);
        let batch = batch?;
        let Some(rows) = &batch else {
            self.kept.with(self.group, |entry, held| {
                if entry.state == State::Writing {
                    entry.pulled.extend(&record);
                    entry.state = State::Complete;
                }
                entry.drop_unwanted(held);
            });
            self.turn = Turn::Done;
            return Ok(None);
        };
        if !(cx.has_memory_to_spare() && self.kept.add(self.group, rows)) {
            self.kept.with(self.group, Entry::stop_writing);
            if let Turn::Writing(input) = std::mem::replace(&mut self.turn, Turn::Done) {
                self.turn = Turn::Alone(input);
            }
            return Ok(batch);
        }
        self.kept.with(self.group, |entry, _| entry.pulled.extend(&record));
        cx.hold(rows.iter().map(Row::count).sum())?;
        Ok(batch)
    }

    /// The next rows of a later use.
    fn read(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let Turn::Reading { taken, batches, pulled } = &mut self.turn else { return Ok(None) };
        let (at, end, record) = (*taken, *taken == *batches, pulled.take());
        *taken += 1;
        if let Some(record) = record {
            self.repeat(&record, cx);
        }
        if end {
            self.leave();
            self.turn = Turn::Done;
            return Ok(None);
        }
        if let Some((rows, copied)) = self.kept.take(self.group, at) {
            cx.hold(copied)?;
            cx.check()?;
            return Ok(Some(rows));
        }
        self.leave();
        cx.shares_result_of(self.node, false);
        // What it notes is noted already.
        let (input, _) = cx.aside_kept(|| (self.open)(self.node, cx));
        self.turn = Turn::Again { input: input?, known: at };
        self.next(cx)
    }

    /// Ends the reading.
    fn leave(&self) {
        self.kept.with(self.group, |entry, held| {
            entry.readers = entry.readers.saturating_sub(1);
            entry.drop_unwanted(held);
        });
    }
}

impl Operator for User<'_> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        if matches!(self.turn, Turn::Waiting) {
            self.begin(cx)?;
        }
        match &mut self.turn {
            Turn::Waiting | Turn::Done => Ok(None),
            Turn::Alone(input) => input.next(cx),
            Turn::Writing(_) => self.write(cx),
            Turn::Reading { .. } => self.read(cx),
            Turn::Again { input, known } => loop {
                let (batch, _) = cx.aside_kept(|| input.next(cx));
                let batch = batch?;
                if *known == 0 {
                    return Ok(batch);
                }
                *known -= 1;
                cx.release(batch.iter().flatten().map(Row::count).sum());
            },
        }
    }
}

impl Drop for User<'_> {
    /// What ends early leaves nothing half done behind.
    fn drop(&mut self) {
        match self.turn {
            Turn::Writing(_) => {
                self.kept.with(self.group, Entry::stop_writing);
            }
            Turn::Reading { .. } => self.leave(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{LazyLock, Mutex};

    use super::*;
    use crate::model::histogram::Buckets;
    use crate::model::{Histogram, Labels};
    use crate::promql::exec::kept::PART_KEPT;
    use crate::promql::plan::Shares;
    use crate::promql::{Engine, EngineOptions, ExplainNode, Features, QueryOptions, QueryResult, StepStats};
    use crate::storage::fixed::FixedStorage;

    const INSTANCES: [&str; 5] = ["a", "b", "c", "d", "e"];

    /// Series of every kind that annotations are made about, and some more than fit into one batch.
    static STORAGE: LazyLock<FixedStorage> = LazyLock::new(|| {
        let mut storage = FixedStorage::new();
        for number in 0..5000 {
            let text = number.to_string();
            let labels = Labels::from_pairs([("__name__", "wide"), ("n", text.as_str())]);
            storage.add(&labels, 590_000, f64::from(number));
        }
        for (number, instance) in (0..).zip(INSTANCES) {
            let labels = |name: &str| Labels::from_pairs([("__name__", name), ("instance", instance)]);
            for at in 0..100i32 {
                let (time, value) = (i64::from(at) * 10_000, f64::from(at * (number + 1) % 37));
                storage.add(&labels("m_total"), time, f64::from(at));
                storage.add(&labels("gauge"), time, value);
                if at % 9 < 5 {
                    storage.add(&labels("gappy"), time, value);
                }
                let positive = Buckets::from_numbered([(at % 7, f64::from(at)), (9, 2.0)]);
                let count = f64::from(at + 2);
                let histogram = Arc::new(Histogram { count, positive, ..Histogram::default() });
                // Some series have both kinds.
                if number % 2 == 0 || at % 3 > 0 {
                    storage.add_histogram(&labels("native"), time, histogram);
                } else {
                    storage.add(&labels("native"), time, value);
                }
                for (bound, share) in [("1", 3), ("2", 1), ("+Inf", 4)] {
                    let labels = Labels::from_pairs([
                        ("__name__", "classic_bucket"),
                        ("instance", instance),
                        ("le", bound),
                    ]);
                    storage.add(&labels, time, f64::from(at * share));
                }
            }
        }
        storage
    });

    /// An engine that shares, and one that does not.
    fn engines(options: &EngineOptions) -> (Engine, Engine) {
        (Engine::new(options.clone()), Engine::new(options.clone()).without_sharing())
    }

    fn options() -> EngineOptions {
        EngineOptions { features: Features::all(), ..EngineOptions::default() }
    }

    fn ask(engine: &Engine, query: &str, is_range: bool) -> Result<QueryResult, String> {
        let asked = QueryOptions { step_stats: true, explain: true, ..QueryOptions::default() };
        let result = if is_range {
            engine.range(&*STORAGE, query, 100_000, 900_000, 40_000, &asked)
        } else {
            engine.instant(&*STORAGE, query, 600_000, &asked)
        };
        result.map_err(|error| error.to_string())
    }

    /// Everything that may not depend on sharing. Values are compared as text, since NaN is one of them.
    fn told(query: &str, result: QueryResult) -> (String, Vec<String>, Vec<String>, u64, Option<StepStats>) {
        let warnings = result.annotations.warnings(query, 0);
        let infos = result.annotations.infos(query, 0);
        (format!("{:?}", result.value), warnings, infos, result.stats.total_samples, result.steps)
    }

    fn shared_nodes(node: &ExplainNode) -> usize {
        assert!(!node.shared || (node.total_time.is_zero() && node.inputs.is_empty()), "{}", node.text);
        usize::from(node.shared) + node.inputs.iter().map(shared_nodes).sum::<usize>()
    }

    /// Queries with the number of nodes that take their rows from others.
    const QUERIES: [(&str, usize); 42] = [
        ("rate(m_total[1m]) / (rate(m_total[1m]) + rate(gauge[1m]))", 1),
        ("sum(gauge) / sum(gauge)", 1),
        ("(gauge - gappy) / gauge", 1),
        ("gauge + gauge + gauge + gauge", 3),
        ("gauge / ignoring (instance) group_left sum(gauge)", 1),
        ("gauge * scalar(sum(gauge))", 1),
        ("scalar(sum(gauge)) * gauge", 1),
        ("scalar(sum(gauge)) + scalar(sum(gauge))", 1),
        // Annotations, and where they stand.
        ("rate(gauge[1m]) / rate(gauge[1m])", 1),
        ("rate(gauge[1m]) or rate(gappy[1m]) or rate(gauge[1m])", 1),
        ("sum(rate(gauge[1m])) / sum(+rate(gauge[1m]))", 1),
        ("histogram_quantile(2, classic_bucket) - histogram_quantile( 2, classic_bucket)", 1),
        (
            "histogram_quantile(0.5, rate(classic_bucket[1m])) + histogram_quantile(0.5, rate(classic_bucket[1m]))",
            1,
        ),
        ("histogram_quantile(0.5, classic_bucket) + histogram_quantile(0.6, classic_bucket)", 1),
        ("sum(native) or sum(native)", 1),
        ("sum(rate(native[2m])) / sum(rate(native[2m]))", 1),
        ("(native > 3) or (native > 3)", 1),
        ("(native + gauge) or ignoring (x) (native + gauge)", 1),
        ("quantile(2, gauge) + quantile(2, gauge)", 1),
        ("quantile_over_time(2, gauge[1m]) + on (instance) quantile_over_time(2,  gauge[1m])", 1),
        (
            "quantile_over_time(scalar(sum(rate(gauge[1m]))), gauge[1m]) + on (instance) quantile_over_time(scalar(sum(rate(gauge[1m]))),  gauge[1m])",
            1,
        ),
        ("max(native) + max( native)", 1),
        ("sort(gauge) + sort(gauge)", 1),
        ("rate(gauge[1m]) + on (instance) increase(gauge[1m]) + on (instance) rate(gauge[1m])", 1),
        ("avg_over_time(native[1m]) or avg_over_time(native[1m])", 1),
        ("irate(native[1m]) or max(gauge) or irate(native[1m])", 1),
        ("rate(gauge[1m]) * scalar(count(rate(gauge[1m])))", 1),
        ("clamp_max(rate(gauge[1m]), scalar(count(rate(gauge[1m]))))", 1),
        // Contexts that count otherwise.
        ("sum(gauge @ 300) + sum(gauge @ 300)", 1),
        ("rate(gauge[1m] @ 300) + rate(gauge[1m] @ 300) + rate(gauge[1m])", 1),
        ("max_over_time(rate(gauge[1m])[5m:30s]) - max_over_time(rate(gauge[1m])[5m:30s])", 1),
        ("max_over_time(rate(gauge[1m])[5m:30s]) - min_over_time(rate(gauge[1m])[5m:30s])", 1),
        ("sum_over_time((sum(gauge) / sum(gauge))[5m:30s]) / sum(gauge)", 1),
        ("sum_over_time((sum(gauge @ 300) / sum(gauge @ 300))[5m:30s])", 1),
        ("sum(rate(gauge[1m])) / sum(rate(gauge[1m])) + avg(rate(gauge[1m]))", 2),
        ("topk(2, gauge) / topk(2, gauge)", 1),
        (
            "label_replace(gauge, \"x\", \"$1\", \"instance\", \"(.*)\") - label_replace(gauge, \"x\", \"$1\", \"instance\", \"(.*)\")",
            1,
        ),
        ("count_values(\"x\", gauge) / count_values(\"x\", gauge)", 1),
        ("absent(nothing) + absent(nothing)", 1),
        ("(absent(gauge) or absent(gauge)) or gauge", 2),
        ("timestamp(gauge) - timestamp(gauge)", 1),
        ("info(gauge) / info(gauge)", 1),
    ];

    #[test]
    fn nobody_can_tell_from_an_answer_whether_parts_are_shared() {
        for delayed_name_removal in [false, true] {
            let features = Features { delayed_name_removal, ..Features::all() };
            let (with, without) = engines(&EngineOptions { features, ..options() });
            for ((query, expected), is_range) in QUERIES.into_iter().flat_map(|q| [(q, false), (q, true)]) {
                let (one, other) = (ask(&with, query, is_range), ask(&without, query, is_range));
                let (one, other) = match (one, other) {
                    (Ok(one), Ok(other)) => (one, other),
                    (one, other) => panic!("{query}: {:?}, {:?}", one.err(), other.err()),
                };
                let shared = |result: &QueryResult| result.explain.as_ref().map_or(0, shared_nodes);
                // What is fixed by `@` is one step in an instant query as well, and equal to nothing else then.
                assert_eq!((shared(&one), shared(&other)), (expected, 0), "{query}, range: {is_range}");
                assert_eq!(told(query, one), told(query, other), "{query}, range: {is_range}");
            }
        }
    }

    #[test]
    fn remarks_of_a_later_use_stand_where_it_stands() {
        let (with, _) = engines(&options());
        for (query, place) in [
            ("rate(gauge[1m]) / rate(gauge[1m])", "(1:24)"),
            ("rate(gauge[1m]) / scalar(sum(rate(gauge[1m])))", "(1:35)"),
            ("scalar(sum(rate(gauge[1m]))) / rate(gauge[1m])", "(1:37)"),
            ("clamp_min(rate(gauge[1m]), scalar(sum(rate(gauge[1m]))))", "(1:44)"),
        ] {
            let result = ask(&with, query, true).expect("a good query");
            let infos = result.annotations.infos(query, 0);
            assert_eq!(infos.len(), 1, "{infos:?}");
            assert!(infos[0].ends_with(place), "the last one is told: {infos:?}");
        }
    }

    #[test]
    fn errors_stay_what_they_are() {
        let (with, without) = engines(&options());
        let fails = [
            "{__name__=~\"gauge|gappy\"} * 2 + on (instance) {__name__=~\"gauge|gappy\"} * 2",
            "gauge / on () gauge",
            "topk(NaN, gauge) / topk(NaN, gauge)",
            "label_replace(gauge, \"instance\", \"\", \"\", \"\") + label_replace(gauge, \"instance\", \"\", \"\", \"\")",
        ];
        for query in fails {
            let (one, other) = (ask(&with, query, true), ask(&without, query, true));
            let (one, other) = (one.expect_err(query), other.expect_err(query));
            assert_eq!(one, other, "{query}");
        }
    }

    #[test]
    fn what_fits_into_a_budget_fits_when_parts_are_shared() {
        let wide = ["wide + on (n) wide", "sum(wide) / avg(wide)", "sum(wide) / sum(wide) + avg(wide)"];
        let wide = wide.into_iter().map(|query| (query, false));
        let mut refused = 0;
        for (query, is_range) in QUERIES.into_iter().map(|(query, _)| (query, true)).chain(wide) {
            let (_, free) = engines(&options());
            let stats = ask(&free, query, is_range).expect("a good query").stats;
            let (samples, bytes) = (stats.peak_samples, stats.peak_bytes);
            for part in [14, 17, 19, 20, 21] {
                let of = |all: u64| usize::try_from(all * part / 20).expect("small");
                for bounded in [
                    EngineOptions { max_samples: of(samples), ..options() },
                    EngineOptions { max_memory: of(bytes), ..options() },
                    EngineOptions { max_total_memory: of(bytes), ..options() },
                ] {
                    let (with, without) = engines(&bounded);
                    let other = ask(&without, query, is_range);
                    refused += usize::from(other.is_err());
                    let Ok(other) = other else { continue };
                    let one = ask(&with, query, is_range).unwrap_or_else(|error| panic!("{query}: {error}"));
                    assert_eq!(told(query, one), told(query, other), "{query}");
                    assert_eq!((with.memory_used(), without.memory_used()), (0, 0), "{query}");
                }
            }
        }
        assert!(refused > 50, "budgets that are too small are among them: {refused}");
    }

    #[test]
    fn rows_are_dropped_at_the_last_use() {
        let query = "sum(gauge) + sum(gauge) + sum(gauge)";
        let (with, without) = engines(&options());
        let held = |engine: &Engine| ask(engine, query, true).expect("a good query").stats.peak_samples;
        let steps = 21;
        assert!(held(&with) <= held(&without) + steps, "{} {}", held(&with), held(&without));
    }

    #[test]
    fn too_many_rows_are_computed_again() {
        let query = "sum(gauge) / on () avg(gauge)";
        let shares = |max_memory: usize| {
            let (with, without) = engines(&EngineOptions { max_memory, ..options() });
            let (one, other) = (ask(&with, query, true), ask(&without, query, true));
            let (one, other) = (one.expect("a good query"), other.expect("a good query"));
            let shared = one.explain.as_ref().map_or(0, shared_nodes);
            assert_eq!(told(query, one), told(query, other));
            shared
        };
        assert_eq!(shares(1 << 20), 1);
        // Five rows of 21 steps: more than the part that may be kept.
        assert_eq!(shares(5 * 21 * 8 * PART_KEPT - 1), 0, "known beforehand");
        assert_eq!(shares(5 * 21 * 8 * PART_KEPT), 0, "seen when the rows are there");
    }

    #[test]
    fn a_use_goes_on_by_itself_when_rows_are_gone() {
        let row = |value: f64| {
            let mut row = Row::empty(Labels::empty(), 1);
            row.put(0, value);
            row
        };
        let shares = Shares::default();
        let mut kept = Kept::new(&shares, &Arc::default(), 1 << 20);
        kept.entries = Mutex::new(vec![Entry { to_come: 3, ..Entry::default() }]);
        assert!(matches!(kept.begin(0, 0), Part::Write));
        assert!(kept.add(0, &[row(1.0), row(2.0)]) && kept.add(0, &[row(3.0)]));
        kept.with(0, |entry, _| entry.state = State::Complete);
        assert!(matches!(kept.begin(0, 0), Part::Read { .. }));
        let values = |taken: Option<(Batch, usize)>| {
            taken.map(|(rows, copied)| (rows.iter().map(|row| row.values[0]).collect::<Vec<_>>(), copied))
        };
        assert_eq!(values(kept.take(0, 0)), Some((vec![1.0, 2.0], 2)), "another one comes, so it is a copy");
        assert!(matches!(kept.begin(0, 0), Part::Read { batches: 2, .. }));
        assert_eq!(values(kept.take(0, 1)), Some((vec![3.0], 1)), "another one is at it");
        kept.with(0, |entry, _| entry.readers -= 1);
        assert_eq!(values(kept.take(0, 0)), Some((vec![1.0, 2.0], 0)), "the last one takes it");
        kept.give_up_all();
        assert_eq!(values(kept.take(0, 1)), None);
        assert!(matches!(kept.begin(0, 0), Part::Alone));
    }
}
