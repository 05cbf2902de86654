//! The exemplars of the head, as they are read and as they leave for a block.

use super::Head;
use super::table::Table;
use crate::model::{Exemplar, Labels, Matcher, TimeRange};
use crate::storage::{StorageError, Watch};
use crate::tsdb::SeriesRef;
use crate::util::lock::{read, write};

/// Exemplars of some series, in label order.
pub(in crate::tsdb) type SeriesExemplars = Vec<(Labels, Vec<Exemplar>)>;

impl Head {
    /// Sets how many exemplars are kept over all series; 0 takes none.
    pub(in crate::tsdb) fn set_max_exemplars(&self, limit: usize) {
        let mut table = write(&self.table);
        if table.exemplars.limit != limit {
            table.exemplars.set_limit(limit);
        }
    }

    /// Number of exemplars in memory, and of the series they are of.
    pub(in crate::tsdb) fn exemplar_counts(&self) -> (usize, usize) {
        let table = read(&self.table);
        (table.exemplars.count, table.exemplars.series().len())
    }

    /// The exemplars inside `range` that no block holds, of series that match one of `selectors`; no selector is all
    /// series. `then` runs at the same moment.
    pub(in crate::tsdb) fn exemplars<T>(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        watch: Watch<'_>,
        then: impl FnOnce() -> T,
    ) -> Result<(SeriesExemplars, T), StorageError> {
        let selectors: Vec<&[Matcher]> = selectors.iter().map(Vec::as_slice).collect();
        let (table, wanted) = self.resolved(&selectors, watch)?;
        let beside = then();
        let is_wanted = |series: &SeriesRef| selectors.is_empty() || wanted.contains(series.slot());
        Ok((collect(&table, is_wanted, range), beside))
    }

    /// The exemplars before `end` (milliseconds) that no block holds, and a mark that tells them from those that come
    /// later; see [`Head::truncate`].
    pub(in crate::tsdb) fn leaving_exemplars(&self, end: i64) -> (SeriesExemplars, u64) {
        let table = read(&self.table);
        let range = TimeRange { start: i64::MIN, end: end.saturating_sub(1) };
        (collect(&table, |_| true, range), table.exemplars.next)
    }
}

fn collect(table: &Table, wanted: impl Fn(&SeriesRef) -> bool, range: TimeRange) -> SeriesExemplars {
    let series = table.exemplars.series().filter(|series| wanted(series)).filter_map(|reference| {
        let series = table.get(reference)?;
        let found = table.exemplars.shown(reference, range);
        let texts = series.pairs.iter().map(|id| table.pairs.texts().get(*id));
        (!found.is_empty()).then(|| (Labels::from_sorted(texts), found))
    });
    let mut all: Vec<_> = series.collect();
    all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    all
}
