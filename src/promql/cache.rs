//! Results of range queries, kept so that a graph that is drawn again costs its new steps only.
//!
//! **Invariants**: what comes from here is what an evaluation would give, bit for bit: a step is used again only if it
//! depends on nothing but samples older than any that came or went since (`plan::reach`, [`Queryable::mark`]). Results
//! with annotations are not kept, so that no annotation outlives the step it was about.
//! **Cost**: sixteen bytes a value, within a budget of its own; what was not asked for again leaves first.

use std::sync::Arc;

use super::plan::{Grid, reach};
use super::syntax::ast::Expr;
use super::value::{MatrixSeries, Value};
use crate::model::{Samples, TimeRange};
use crate::storage::{Mark, Queryable};
use crate::util::ByteCache;

/// A result takes at most this part of the budget.
const LARGEST_PART: usize = 8;

/// What makes steps of two queries the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    query: Box<str>,
    step: i64,
    /// Where between multiples of the step its times lie.
    phase: i64,
    lookback: i64,
    /// The step of subqueries that name none.
    default_step: i64,
    /// The logarithm of the number of steps: a short graph does not take the place of a long one.
    length: u32,
}

/// A result as it was at `mark`.
#[derive(Debug)]
struct Kept {
    grid: Grid,
    mark: Mark,
    series: Vec<MatrixSeries>,
}

/// Results by query.
#[derive(Debug)]
pub(crate) struct ResultCache {
    kept: ByteCache<Key, Kept>,
    max_bytes: usize,
}

/// A query whose result can be kept, with what is known of it.
#[derive(Debug)]
pub(crate) struct Lookup<'c> {
    cache: &'c ResultCache,
    key: Key,
    grid: Grid,
    mark: Mark,
    known: Option<(Arc<Kept>, usize)>,
}

impl ResultCache {
    /// A cache of at most `max_bytes`.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { kept: ByteCache::new(max_bytes), max_bytes }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.kept.bytes()
    }

    /// What is known of `query`, which is `expr`, over `grid`. None if its result cannot be used for another query.
    pub(crate) fn look_up(
        &self,
        source: &dyn Queryable,
        (query, expr): (&str, &Expr),
        grid: Grid,
        (lookback, default_step): (i64, i64),
    ) -> Option<Lookup<'_>> {
        if self.max_bytes == 0 || grid.count < 2 {
            return None;
        }
        let reach = reach(expr, lookback)?;
        // First of all: a change from here on is one that the steps to come are not sure to have seen.
        let mark = source.mark()?;
        let (step, phase) = (grid.step, grid.start.rem_euclid(grid.step));
        let key =
            Key { query: query.into(), step, phase, lookback, default_step, length: grid.count.ilog2() };
        let known = self.kept.get(&key).and_then(|kept| {
            let good = kept.steps_before(source.unchanged_before(kept.mark), reach);
            let covered = kept.grid.index_of(grid.start)?;
            let used = good.checked_sub(covered).filter(|used| *used > 0)?;
            Some((kept, used.min(grid.count)))
        });
        Some(Lookup { cache: self, key, grid, mark, known })
    }
}

impl Kept {
    /// How many of the first steps look at nothing from `changed` on.
    fn steps_before(&self, changed: i64, reach: i64) -> usize {
        if changed == i64::MAX || reach == i64::MIN {
            return self.grid.count;
        }
        // The steps before `changed - reach`.
        let first_bad = i128::from(changed) - i128::from(reach);
        let ahead = first_bad - i128::from(self.grid.start);
        let step = i128::from(self.grid.step);
        let good = if ahead <= 0 { 0 } else { (ahead + step - 1) / step };
        usize::try_from(good).unwrap_or(usize::MAX).min(self.grid.count)
    }
}

impl Lookup<'_> {
    /// Steps that are known.
    pub(crate) fn known_steps(&self) -> usize {
        self.known.as_ref().map_or(0, |(_, used)| *used)
    }

    /// The steps that are to be evaluated.
    pub(crate) fn rest(&self) -> Option<Grid> {
        let used = self.known_steps();
        let count = self.grid.count.checked_sub(used).filter(|count| *count > 0)?;
        Some(Grid { start: self.grid.time(used), count, ..self.grid })
    }

    /// The known steps, followed by those of `rest`, whose series are in label order.
    pub(crate) fn join(&self, rest: Vec<MatrixSeries>) -> Vec<MatrixSeries> {
        let Some((kept, used)) = &self.known else { return rest };
        let range = TimeRange::new(self.grid.start, self.grid.time(used - 1));
        let mut out = Vec::with_capacity(kept.series.len().max(rest.len()));
        let mut rest = rest.into_iter().peekable();
        for known in &kept.series {
            while let Some(new) = rest.next_if(|new| new.labels < known.labels) {
                out.push(new);
            }
            let same = rest.next_if(|new| new.labels == known.labels);
            let mut samples = Samples::new();
            samples.timestamps.reserve_exact(self.grid.count);
            samples.values.reserve_exact(self.grid.count);
            samples.extend_from(&known.samples, range);
            if let Some(new) = same {
                samples.extend_from(&new.samples, TimeRange::ALL);
            }
            if !samples.is_empty() {
                out.push(MatrixSeries { labels: known.labels.clone(), samples });
            }
        }
        out.extend(rest);
        out
    }

    /// Keeps `series`, the whole result.
    pub(crate) fn keep(self, series: &[MatrixSeries]) {
        let Self { cache, key, grid, mark, known } = self;
        if known.is_some_and(|(kept, _)| kept.grid.contains(grid) && kept.mark == mark) {
            return;
        }
        let bytes =
            Value::bytes_of_series(series) + size_of::<Kept>() + 2 * (size_of::<Key>() + key.query.len());
        if bytes <= cache.max_bytes / LARGEST_PART {
            cache.kept.insert(&key, &Arc::new(Kept { grid, mark, series: series.to_vec() }), bytes);
        }
    }
}
