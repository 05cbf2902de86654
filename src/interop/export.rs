//! The database, or a part of it, as blocks of Prometheus.

use std::path::Path;

use super::error::Result;
use super::prometheus::block_writer::{BlockWriter, Written, prepare};
use crate::model::{Matcher, Samples, TimeRange};
use crate::storage::{Queryable, SelectRequest, SeriesSet};

/// What to export.
#[derive(Debug, Clone)]
pub struct ExportPlan {
    /// Times to export, both ends inside, in milliseconds.
    pub range: TimeRange,
    /// Only series that match one of these; empty for all.
    pub selectors: Vec<Vec<Matcher>>,
    /// Time a block covers, in milliseconds, at least one. Blocks begin at multiples of it.
    pub window_ms: i64,
}

/// Writes the samples of `source` as blocks below folder `target`. `done` is told of each block.
///
/// # Errors
/// When data cannot be read, or the disk refuses. Blocks finished before stay.
pub fn export(
    source: &dyn Queryable,
    plan: &ExportPlan,
    target: &Path,
    mut done: impl FnMut(&Written),
) -> Result<Vec<Written>> {
    prepare(target)?;
    let mut blocks = Vec::new();
    let window = |time: i64| time.div_euclid(plan.window_ms);
    let every = vec![Vec::new()];
    let selectors = if plan.selectors.is_empty() { &every } else { &plan.selectors };
    // Runs of windows, the first one last. One without samples is left out as a whole, so that years of nothing between
    // two samples take no more than a few looks.
    let mut runs = vec![(window(plan.range.start), window(plan.range.end))];
    while let Some((first, last)) = runs.pop() {
        let range = TimeRange::new(
            first.saturating_mul(plan.window_ms).max(plan.range.start),
            last.saturating_mul(plan.window_ms).saturating_add(plan.window_ms - 1).min(plan.range.end),
        );
        let querier = source.querier(range)?;
        let mut sets = Vec::new();
        for matchers in selectors {
            sets.push(querier.select(&SelectRequest::new(matchers, range))?);
        }
        // Of equal series of two selectors the samples are the same.
        let set = super::merged::Merged::new(sets.iter().map(|set| &**set).collect());
        if first < last {
            if has_samples(&set, range)? {
                let middle = first.midpoint(last);
                runs.extend([(middle + 1, last), (first, middle)]);
            }
        } else if let Some(written) = write(&set, range, target)? {
            done(&written);
            blocks.push(written);
        }
    }
    Ok(blocks)
}

fn has_samples(set: &dyn SeriesSet, range: TimeRange) -> Result<bool> {
    let mut samples = Samples::new();
    for index in 0..set.len() {
        set.read(index, range, &mut samples)?;
        if !samples.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes the samples of `set` inside `range` as a block; none if there are none.
fn write(set: &dyn SeriesSet, range: TimeRange, target: &Path) -> Result<Option<Written>> {
    let mut samples = Samples::new();
    let mut writer = None;
    for index in 0..set.len() {
        set.read(index, range, &mut samples)?;
        if samples.is_empty() {
            continue;
        }
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(BlockWriter::new(target)?),
        };
        writer.push(set.labels(index), &samples)?;
    }
    Ok(writer.map(BlockWriter::finish).transpose()?.flatten())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::interop::prometheus::block_reader::Block;
    use crate::model::Labels;
    use crate::storage::fixed::FixedStorage;
    use crate::storage::{Querier, StorageError};

    /// Counts how often it is asked.
    struct Counted(FixedStorage, AtomicUsize);

    impl Queryable for Counted {
        fn querier(&self, range: TimeRange) -> std::result::Result<Box<dyn Querier>, StorageError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.querier(range)
        }
    }

    #[test]
    fn starts_of_floats_are_exported() {
        let dir = tempfile::tempdir().expect("dir");
        let mut storage = FixedStorage::new();
        let [with, without] = ["a", "b"].map(|name| Labels::from_pairs([("__name__", name)]));
        let start = |n: i64| [0, 500, 900][usize::try_from(n / 70).expect("small")];
        for n in 0..200i64 {
            let time = 1000 + n * 15;
            storage.add(&with, time, n as f64);
            storage.set_start(&with, time, start(n));
            storage.add(&without, time, n as f64);
        }
        let plan =
            ExportPlan { range: TimeRange::new(0, 9999), selectors: Vec::new(), window_ms: 2 * 3_600_000 };
        let blocks = export(&storage, &plan, dir.path(), |_| {}).expect("export");
        assert_eq!((blocks.len(), blocks[0].samples), (1, 400));
        let block = Block::open(&dir.path().join(&blocks[0].ulid)).expect("open");
        let mut samples = Samples::new();
        block.read(0, TimeRange::ALL, &mut samples).expect("read");
        assert_eq!(samples.values, (0..200).map(f64::from).collect::<Vec<_>>());
        let expected: Vec<i64> = (0..200).map(start).collect();
        assert_eq!((0..200).map(|at| samples.start(at)).collect::<Vec<_>>(), expected);
        block.read(1, TimeRange::ALL, &mut samples).expect("read");
        assert_eq!((samples.len(), samples.starts.len()), (200, 0));
    }

    #[test]
    fn years_without_samples_are_passed_over() {
        let dir = tempfile::tempdir().expect("dir");
        let hour = 3_600_000;
        let mut storage = FixedStorage::new();
        let times = [5, 3 * hour, 400_000 * hour, 400_001 * hour];
        times.iter().for_each(|t| storage.add(&Labels::from_pairs([("__name__", "a")]), *t, 1.0));
        let source = Counted(storage, AtomicUsize::new(0));
        let plan = ExportPlan {
            range: TimeRange::new(0, 400_001 * hour),
            selectors: Vec::new(),
            window_ms: 2 * hour,
        };
        let blocks = export(&source, &plan, dir.path(), |_| {}).expect("export");
        let found: Vec<_> = blocks.iter().map(|block| (block.min_time, block.samples)).collect();
        assert_eq!(found, [(5, 1), (3 * hour, 1), (400_000 * hour, 2)]);
        assert!(source.1.load(Ordering::Relaxed) < 200, "{} looks", source.1.load(Ordering::Relaxed));
    }
}
