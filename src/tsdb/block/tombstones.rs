//! What was deleted from blocks and not yet rewritten: for each block, series numbers and a time range.
//!
//! Beside the catalog in a file of its own; entries of blocks that are no longer live mean nothing.
//!
//! **Format**: `docs/format/tombstones.md`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::codec::CodecError;
use crate::codec::envelope::{self, Control};
use crate::model::{Exemplar, Samples, TimeRange};
use crate::tsdb::durable::replace_file;
use crate::tsdb::error::{Error, IoContext as _, Result};
use crate::tsdb::points::{Point, reach};
use crate::tsdb::store::BlockId;

const NAME: &str = "tombstones";
/// The same once more: what was deleted must not come back because of one damaged file.
const COPY: &str = "tombstones.copy";

/// One deletion from one block.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tsdb) struct Tombstone {
    /// Numbers of the series in the block.
    pub(in crate::tsdb) series: RoaringBitmap,
    /// What is deleted of them.
    pub(in crate::tsdb) range: TimeRange,
}

/// Deletions by block.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::tsdb) struct Tombstones(BTreeMap<BlockId, Arc<Vec<Tombstone>>>);

#[derive(bincode::Encode, bincode::Decode)]
struct Stored(Vec<(BlockId, Vec<StoredTombstone>)>);

#[derive(bincode::Encode, bincode::Decode)]
struct StoredTombstone {
    series: Vec<u8>,
    start: i64,
    end: i64,
}

impl Control for Stored {
    const MAGIC: [u8; 4] = *b"EKTS";
    const VERSION: u8 = 1;
    const NAME: &'static str = "tombstones";
}

impl Tombstones {
    /// Reads those of data directory `dir`; none if there is no file. A file that is damaged or lost is made up for by
    /// its copy. If neither can be used both are set aside, and the error is given beside what is then nothing: what
    /// was deleted from blocks is there again.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(in crate::tsdb) fn load(dir: &Path) -> Result<(Self, Option<Error>)> {
        let (mut damage, mut newer) = (None, None);
        for name in [NAME, COPY] {
            match Self::load_file(&dir.join(name)) {
                Ok(Some(found)) => return Ok((found, None)),
                Ok(None) => {}
                Err(error) if error.is_damage() => {
                    tracing::warn!(%error, "tombstones unreadable");
                    damage = Some(error);
                }
                Err(error @ Error::Corrupt { .. }) => newer = Some(error),
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = newer {
            return Err(error);
        }
        if damage.is_some() {
            for name in [NAME, COPY] {
                match std::fs::rename(dir.join(name), dir.join(format!("{name}.corrupt"))) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    renamed => renamed.at("rename", dir.join(name))?,
                }
            }
        }
        Ok((Self::default(), damage))
    }

    fn load_file(path: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.at("read", path)?,
        };
        let corrupt = |source| Error::Corrupt { what: path.display().to_string(), source };
        let stored: Stored = envelope::open(&bytes).map_err(corrupt)?;
        let mut all = BTreeMap::new();
        for (id, tombstones) in stored.0 {
            let read = |one: StoredTombstone| {
                let series = RoaringBitmap::deserialize_from(one.series.as_slice())
                    .map_err(|_| corrupt(CodecError::Invalid { what: "series numbers", at: 0 }))?;
                Ok(Tombstone { series, range: TimeRange::new(one.start, one.end) })
            };
            all.insert(id, Arc::new(tombstones.into_iter().map(read).collect::<Result<Vec<_>>>()?));
        }
        Ok(Some(Self(all)))
    }

    /// Whether both files are as they are to be; with nothing to keep they need not be there.
    pub(in crate::tsdb) fn is_saved(&self, dir: &Path) -> bool {
        [NAME, COPY].iter().all(|name| match Self::load_file(&dir.join(name)) {
            Ok(found) => found.unwrap_or_default() == *self,
            Err(_) => false,
        })
    }

    /// Replaces the file of data directory `dir` and its copy, durably.
    pub(in crate::tsdb) fn save(&self, dir: &Path) -> Result<()> {
        let store = |one: &Tombstone| {
            let mut series = Vec::with_capacity(one.series.serialized_size());
            one.series.serialize_into(&mut series).expect("writing to memory cannot fail");
            StoredTombstone { series, start: one.range.start, end: one.range.end }
        };
        let blocks = self.0.iter().map(|(id, all)| (id.clone(), all.iter().map(store).collect()));
        let bytes = envelope::seal(&Stored(blocks.collect()))
            .map_err(|source| Error::TooLarge { what: dir.join(NAME).display().to_string(), source })?;
        // The copy last: while the two differ the file, which is newer, is the one that is read.
        replace_file(dir, NAME, &bytes)?;
        reach(Point::TombstonesReplaced);
        replace_file(dir, COPY, &bytes)
    }

    /// Those of block `id`.
    pub(in crate::tsdb) fn of(&self, id: &BlockId) -> Option<&Arc<Vec<Tombstone>>> {
        self.0.get(id)
    }

    /// Adds one for block `id`. What it covers of earlier ones is not kept twice.
    pub(in crate::tsdb) fn add(&mut self, id: &BlockId, mut tombstone: Tombstone) {
        let all = Arc::make_mut(self.0.entry(id.clone()).or_default());
        for one in all.iter_mut() {
            if one.range.start >= tombstone.range.start && one.range.end <= tombstone.range.end {
                one.series -= &tombstone.series;
            } else if one.range.start <= tombstone.range.start && one.range.end >= tombstone.range.end {
                tombstone.series -= &one.series;
            }
        }
        all.retain(|one| !one.series.is_empty());
        if tombstone.series.is_empty() {
            return;
        }
        // The same series, and ranges that touch: one longer range.
        let joined = all.iter_mut().find(|one| {
            let (a, b) = (one.range, tombstone.range);
            one.series == tombstone.series
                && a.start <= b.end.saturating_add(1)
                && b.start <= a.end.saturating_add(1)
        });
        if let Some(one) = joined {
            one.range.start = one.range.start.min(tombstone.range.start);
            one.range.end = one.range.end.max(tombstone.range.end);
            return;
        }
        match all.iter_mut().find(|one| one.range == tombstone.range) {
            Some(same) => same.series |= tombstone.series,
            None => all.push(tombstone),
        }
    }

    /// Keeps those of the blocks for which `live` says true; says whether any went.
    pub(in crate::tsdb) fn retain(&mut self, live: impl Fn(&BlockId) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|id, _| live(id));
        self.0.len() != before
    }
}

/// Takes the deleted exemplars of series `number` out.
pub(in crate::tsdb) fn take_out_exemplars(tombstones: &[Tombstone], number: u32, out: &mut Vec<Exemplar>) {
    for one in tombstones.iter().filter(|one| one.series.contains(number)) {
        out.retain(|exemplar| !one.range.contains(exemplar.timestamp));
    }
}

/// Takes the deleted samples of series `number` out of those of `out` from index `from` on.
pub(in crate::tsdb) fn take_out(tombstones: &[Tombstone], number: u32, from: usize, out: &mut Samples) {
    let ranges: Vec<TimeRange> =
        tombstones.iter().filter(|one| one.series.contains(number)).map(|one| one.range).collect();
    if ranges.is_empty() {
        return;
    }
    let kept = |timestamp: i64| !ranges.iter().any(|range| range.contains(timestamp));
    let mut to = from;
    let mut histograms = std::mem::take(&mut out.histograms).into_iter().peekable();
    while let Some(before) = histograms.next_if(|(at, _)| *at < from) {
        out.histograms.push(before);
    }
    for at in from..out.len() {
        let histogram = histograms.next_if(|(index, _)| *index == at);
        if !kept(out.timestamps[at]) {
            continue;
        }
        out.timestamps[to] = out.timestamps[at];
        out.values[to] = out.values[at];
        let start = out.start(at);
        if let Some(slot) = out.starts.get_mut(to) {
            *slot = start;
        }
        out.histograms.extend(histogram.map(|(_, content)| (to, content)));
        to += 1;
    }
    out.timestamps.truncate(to);
    out.values.truncate(to);
    out.starts.truncate(to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Histogram;

    fn example() -> (BlockId, Tombstone) {
        let series = RoaringBitmap::from_iter([1, 5]);
        (BlockId::new(0, 10, 3), Tombstone { series, range: TimeRange::new(4, 6) })
    }

    #[test]
    fn come_back_and_refuse_damage() {
        let dir = tempfile::tempdir().expect("dir");
        let load = || Tombstones::load(dir.path()).map(|(found, damage)| (found, damage.is_some()));
        assert_eq!(load().expect("load"), (Tombstones::default(), false));
        let (id, one) = example();
        let mut all = Tombstones::default();
        all.add(&id, one.clone());
        all.add(&id, Tombstone { range: TimeRange::new(6, 9), series: RoaringBitmap::from_iter([7]) });
        all.save(dir.path()).expect("save");
        assert_eq!(load().expect("load"), (all.clone(), false));
        let (path, copy) = (dir.path().join(NAME), dir.path().join(COPY));
        let bytes = std::fs::read(&path).expect("read");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).expect("write");
            assert_eq!(load().expect("load"), (all.clone(), false), "byte {at}");
            std::fs::write(&copy, damaged).expect("write");
            assert_eq!(load().expect("load"), (Tombstones::default(), true), "byte {at} of both");
            assert!(!path.exists() && dir.path().join("tombstones.corrupt").exists(), "byte {at}");
            std::fs::write(&copy, &bytes).expect("write");
            assert_eq!(load().expect("load"), (all.clone(), false), "the copy alone");
        }
        assert!(all.retain(|other| *other != id));
        assert_eq!(all, Tombstones::default());
    }

    #[test]
    fn what_is_deleted_twice_is_kept_once() {
        let (id, one) = example();
        let tombstone = |series: &[u32], start, end| Tombstone {
            series: series.iter().copied().collect(),
            range: TimeRange::new(start, end),
        };
        let check = |added: &[Tombstone], expected: &[Tombstone]| {
            let mut all = Tombstones::default();
            added.iter().for_each(|one| all.add(&id, one.clone()));
            assert_eq!(all.of(&id).map_or(&[][..], |all| all), expected, "{added:?}");
        };
        check(&[one.clone(), one.clone()], std::slice::from_ref(&one));
        check(&[one, tombstone(&[1, 5, 6], 0, 9)], &[tombstone(&[1, 5, 6], 0, 9)]);
        check(
            &[tombstone(&[1, 2], 0, 9), tombstone(&[2, 3], 1, 8)],
            &[tombstone(&[1, 2], 0, 9), tombstone(&[3], 1, 8)],
        );
        check(&[tombstone(&[1], 0, 9), tombstone(&[2], 0, 9)], &[tombstone(&[1, 2], 0, 9)]);
        check(
            &[tombstone(&[1], 0, 4), tombstone(&[1], 5, 9), tombstone(&[1], 3, 12)],
            &[tombstone(&[1], 0, 12)],
        );
        check(
            &[tombstone(&[1], 0, 4), tombstone(&[1], 6, 9)],
            &[tombstone(&[1], 0, 4), tombstone(&[1], 6, 9)],
        );
    }

    #[test]
    fn more_than_can_be_read_again_is_not_written() {
        let dir = tempfile::tempdir().expect("dir");
        let (id, one) = example();
        let mut all = Tombstones::default();
        all.add(&id, one);
        all.save(dir.path()).expect("save");
        let kept = all.clone();
        // Every other series of many: nothing that a bitmap could shorten. A few megabytes each.
        let series = RoaringBitmap::from_sorted_iter((0..32 << 20).step_by(2)).expect("sorted");
        for n in 0..20i64 {
            all.add(&id, Tombstone { series: series.clone(), range: TimeRange::new(n * 10, n * 10 + 5) });
        }
        assert!(matches!(all.save(dir.path()), Err(Error::TooLarge { .. })));
        assert_eq!(Tombstones::load(dir.path()).expect("load").0, kept);
    }

    #[test]
    fn deleted_samples_are_taken_out() {
        let (_, one) = example();
        let read = |number: u32| {
            let mut samples = Samples::new();
            for time in 0..10i64 {
                if time % 2 == 0 {
                    samples.push_histogram(
                        time,
                        Arc::new(Histogram { sum: time as f64, ..Histogram::default() }),
                    );
                } else {
                    samples.push(time, time as f64);
                }
            }
            take_out(std::slice::from_ref(&one), number, 2, &mut samples);
            samples
        };
        assert_eq!(read(2).len(), 10);
        let left = read(5);
        assert_eq!(left.timestamps, [0, 1, 2, 3, 7, 8, 9]);
        assert_eq!(
            left.values.iter().filter(|v| !v.is_nan()).copied().collect::<Vec<_>>(),
            [1.0, 3.0, 7.0, 9.0]
        );
        let sums: Vec<_> = left.histograms.iter().map(|(at, h)| (*at, h.sum)).collect();
        assert_eq!(sums, [(0, 0.0), (2, 2.0), (5, 8.0)]);
    }
}
