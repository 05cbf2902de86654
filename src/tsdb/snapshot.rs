//! Copies of the database as it is at one moment, made while it runs: data directories of their own, without a log.
//!
//! Blocks are copied value by value, checked on the way; what is in the head is written as blocks. A server started
//! on the copy goes on where it ends.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::block::BlockMeta;
use super::block::catalog::Catalog;
use super::block::writer::{BlockPlan, write_block_with};
use super::db::Tsdb;
use super::durable;
use super::error::{Error, IoContext as _, Result};
use super::head::SeriesExemplars;
use super::inner::Inner;
use super::points::{Point, Step, reach};
use super::publish::new_id;
use super::read::head_alone;
use super::store::sled::SledStore;
use super::store::{BlockStore, keys};
use crate::codec::envelope;
use crate::model::{Samples, TimeRange};
use crate::storage::{SelectRequest, SeriesSet, Watch};

/// Folder of snapshots in the data directory.
const FOLDER: &str = "snapshots";
/// How the name of a copy ends that is not complete.
const UNFINISHED: &str = "unfinished";

/// Removes the snapshots that an earlier process did not finish.
pub(super) fn remove_unfinished(dir: &Path) -> Result<()> {
    let folder = dir.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.at("read", &folder)?,
    };
    for entry in entries {
        let path = entry.at("read", &folder)?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) && path.is_dir() {
            fs::remove_dir_all(&path).at("remove", &path)?;
            tracing::info!(path = %path.display(), "removed an unfinished snapshot");
        }
    }
    Ok(())
}

impl Tsdb {
    /// Makes a snapshot below `snapshots/` of the data directory and returns its name; without the head if so wished.
    ///
    /// # Errors
    /// When a block is damaged, or the disk refuses.
    pub fn snapshot(&self, skip_head: bool) -> Result<String> {
        let now = self.inner.clock.now_ms();
        let time = jiff::Timestamp::from_millisecond(now)
            .map_or_else(|_| now.to_string(), |time| time.strftime("%Y%m%dT%H%M%SZ").to_string());
        let folder = self.inner.options.dir.join(FOLDER);
        let mut number = 0u64;
        loop {
            let name = format!("{time}-{number:016x}");
            let target = folder.join(&name);
            if !target.exists() {
                match self.copy_to(&target, skip_head) {
                    // Another snapshot of this moment was faster.
                    Err(Error::Io { path, source, .. })
                        if path == target && source.kind() == std::io::ErrorKind::AlreadyExists => {}
                    copied => return copied.map(|()| name),
                }
            }
            number += 1;
        }
    }

    /// Makes a copy at `target`, which must not exist, of this moment. Waits for another copy and for a step
    /// of maintenance under way.
    ///
    /// # Errors
    /// When the log is still being replayed, a block is damaged, or the disk refuses; nothing is left then.
    pub fn copy_to(&self, target: &Path, skip_head: bool) -> Result<()> {
        let inner = &*self.inner;
        inner.replay.check()?;
        let _alone = inner.copies.take();
        // An empty folder is as good as none: the copy takes its place.
        if target.exists() && !fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none()) {
            let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(Error::Io { action: "create", path: target.to_owned(), source });
        }
        // That of a relative name of one part is empty.
        let parent =
            target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        durable::create_dir(parent).at("create", parent)?;
        let unfinished = create_unfinished(parent, target).at("create", target)?;
        let copied = copy(inner, &unfinished, skip_head)
            .and_then(|()| {
                reach(Point::CopyWritten);
                durable::rename(&unfinished, target).at("rename", &unfinished)
            })
            .and_then(|()| {
                reach(Point::CopyRenamed);
                durable::sync(parent).at("sync", parent)
            });
        if copied.is_err() {
            let _ = fs::remove_dir_all(&unfinished);
        }
        copied
    }
}

/// Makes a folder beside `target` that was not there before, for a copy that is not complete.
fn create_unfinished(parent: &Path, target: &Path) -> std::io::Result<PathBuf> {
    let name = target.file_name().ok_or(std::io::ErrorKind::InvalidInput)?.to_string_lossy();
    let mut number = 0u64;
    loop {
        let path = parent.join(format!("{name}.{number}.{UNFINISHED}"));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            created => {
                created?;
                durable::note(Step::Created, &path);
                durable::sync(parent)?;
                return Ok(path);
            }
        }
    }
}

fn copy(inner: &Inner, target: &Path, skip_head: bool) -> Result<()> {
    let store = SledStore::new(&target.join("blocks"))?;
    // No block is cut between the two. Blocks of a catalog stay on disk for as long as somebody holds it.
    let alone = inner.maintenance.take();
    let (mut exemplars, ()) =
        inner.head.exemplars(&[], TimeRange::ALL, Watch::NONE, || {}).expect("nobody says no");
    let (head, catalog) = inner
        .head
        .select(SelectRequest::new(&[], TimeRange::ALL), || inner.catalog.load_full())
        .expect("nobody says no");
    drop(alone);
    for meta in &catalog.blocks {
        copy_block(&*inner.store, &store, meta)?;
    }
    catalog.tombstones.save(target)?;
    let mut next = Catalog::clone(&catalog);
    if !skip_head {
        let set = head_alone(head);
        let (windows, newest) = windows(&set, &exemplars, inner.options.block_range_ms)?;
        let mut metas = Vec::new();
        for start in windows {
            let end = start.saturating_add(inner.options.block_range_ms).min(newest.saturating_add(1));
            let plan = BlockPlan {
                id: new_id(inner, start, end),
                start,
                end,
                level: 1,
                sources: Vec::new(),
                lost: inner.metrics.samples_lost.clone(),
            };
            let leaving = take_before(&mut exemplars, end);
            metas.extend(write_block_with(&store, plan, &set, &leaving, &inner.stop)?);
        }
        let head_start = (!metas.is_empty()).then(|| newest.saturating_add(1));
        next = next.with(&[], metas, head_start);
    }
    next.save(target)
}

/// Takes out the exemplars before `end`.
fn take_before(exemplars: &mut SeriesExemplars, end: i64) -> SeriesExemplars {
    let mut taken = SeriesExemplars::new();
    for (labels, all) in exemplars.iter_mut() {
        let later = all.split_off(all.partition_point(|exemplar| exemplar.timestamp < end));
        let before = std::mem::replace(all, later);
        if !before.is_empty() {
            taken.push((labels.clone(), before));
        }
    }
    taken
}

/// The windows of `range` milliseconds that hold samples, or exemplars newer than all of them, by their start, and the
/// newest timestamp.
fn windows(set: &dyn SeriesSet, exemplars: &SeriesExemplars, range: i64) -> Result<(BTreeSet<i64>, i64)> {
    let mut found = BTreeSet::new();
    let mut newest = i64::MIN;
    let mut samples = Samples::new();
    for index in 0..set.len() {
        set.read(index, TimeRange::ALL, &mut samples).map_err(|error| Error::Store {
            block: "head".to_owned(),
            action: "read",
            reason: error.to_string(),
        })?;
        found.extend(samples.timestamps.iter().map(|t| t.saturating_sub(t.rem_euclid(range))));
        newest = newest.max(samples.timestamps.last().copied().unwrap_or(i64::MIN));
    }
    let times = exemplars.iter().flat_map(|(_, all)| all).map(|exemplar| exemplar.timestamp);
    let newer: Vec<i64> = times.filter(|time| *time > newest).collect();
    found.extend(newer.iter().map(|t| t.saturating_sub(t.rem_euclid(range))));
    Ok((found, newer.into_iter().max().unwrap_or(newest)))
}

/// Copies one block from store to store.
fn copy_block(from: &dyn BlockStore, to: &dyn BlockStore, meta: &BlockMeta) -> Result<()> {
    // Opened for each value: a store closes what has read much and is held by nobody.
    let get = |key: &[u8]| from.open(&meta.id)?.get(key);
    let mut writer = to.begin(&meta.id)?;
    let mut bundle = 0;
    while let Some(payload) = get(&keys::bundle(bundle))? {
        writer.put(&keys::bundle(bundle), &payload)?;
        bundle += 1;
    }
    for part in 0..meta.index_parts {
        let missing = || Error::BlockDamaged {
            block: meta.id.to_string(),
            reason: format!("index part {part} is missing"),
        };
        let payload = get(&keys::index_part(part))?.ok_or_else(missing)?;
        writer.put(&keys::index_part(part), &payload)?;
    }
    let beside = (0..meta.exemplars.parts).map(keys::exemplar_part);
    for key in beside.chain((0..meta.exemplars.directory_parts).map(keys::exemplar_directory)) {
        let missing = || Error::BlockDamaged {
            block: meta.id.to_string(),
            reason: format!("key {key:02x?} is missing"),
        };
        let payload = get(&key)?.ok_or_else(missing)?;
        writer.put(&key, &payload)?;
    }
    if writer.digest() != meta.digest {
        let reason = "it does not hold what its meta record says".to_owned();
        return Err(Error::BlockDamaged { block: meta.id.to_string(), reason });
    }
    let sealed = envelope::seal(meta)
        .map_err(|source| Error::TooLarge { what: format!("block {}", meta.id), source })?;
    writer.publish(&sealed)
}
