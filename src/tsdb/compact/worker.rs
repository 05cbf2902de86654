//! The one maintenance thread: cut the head, merge blocks, drop expired ones, checkpoint the log.
//!
//! **Invariants**: it changes the catalog in turns with deletions, imports and repairs. A block is durable before the catalog names it, the catalog is
//! durable before the head and the log let go of what the block holds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{plan, retention};
use crate::model::TimeRange;
use crate::storage::SelectRequest;
use crate::tsdb::block::BlockMeta;
use crate::tsdb::error::Result;
use crate::tsdb::exemplars::BlockSources;
use crate::tsdb::head::SeriesExemplars;
use crate::tsdb::head::read::Part;
use crate::tsdb::inner::Inner;
use crate::tsdb::points::{Point, reach};
use crate::tsdb::publish::{self, Pending, Window};
use crate::tsdb::read::select_blocks;
use crate::tsdb::store::BlockId;
use crate::tsdb::wal::checkpoint;
use crate::util::lock::lock;

/// How often the thread looks whether something is due.
const PERIOD: Duration = Duration::from_secs(1);
/// How long it waits after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);
/// How long it waits when the disk is nearly full: room may come back at any moment.
const PAUSE_WHILE_FULL: Duration = Duration::from_secs(3);

/// Runs until the database stops.
pub(in crate::tsdb) fn run(inner: &Inner) {
    while !inner.stop.is_stopped() {
        // A panic is a bug, but without this thread the head would grow without bound.
        let wait =
            inner.metrics.restarts.guard("maintenance of the database", || turn(inner)).unwrap_or_else(
                || {
                    inner.metrics.compactions_failed.inc();
                    PAUSE_AFTER_FAILURE
                },
            );
        std::thread::park_timeout(wait);
    }
}

/// Does what is due; says how long to wait then.
fn turn(inner: &Inner) -> Duration {
    match run_due(inner) {
        Ok(()) => PERIOD,
        // What was broken off because of that is no failure.
        Err(_) if inner.stop.is_stopped() => Duration::ZERO,
        Err(error) => {
            inner.metrics.compactions_failed.inc();
            tracing::error!(%error, "database maintenance failed; retrying later");
            inner.look_at_disk();
            if inner.space.is_full() { PAUSE_WHILE_FULL } else { PAUSE_AFTER_FAILURE }
        }
    }
}

/// Does everything that is due.
///
/// # Errors
/// The first there was. What does not need the step that failed is done nevertheless: the head must not grow because
/// one old block cannot be removed.
pub(in crate::tsdb) fn run_due(inner: &Inner) -> Result<()> {
    inner.replay.wait()?;
    let tidied = {
        let _alone = inner.maintenance.take();
        inner.look_at_disk();
        // What is past its retention makes room for what follows.
        quarantine_suspects(inner).and(make_room(inner))
    };
    let mut changed = false;
    let worked = cut_and_merge(inner, &mut changed);
    let tidied_again = if changed {
        let _alone = inner.maintenance.take();
        make_room(inner)
    } else {
        Ok(())
    };
    tidied.and(worked).and(tidied_again)
}

/// Each step in a turn of its own: a deletion or a snapshot does not wait for all of them. Nor does the head wait for
/// more than one merge.
fn cut_and_merge(inner: &Inner, changed: &mut bool) -> Result<()> {
    let mut unmergeable = BTreeSet::new();
    let mut failed = Ok(());
    while !inner.stop.is_stopped() {
        let cut = in_turn(inner, cut_head)?;
        if !cut {
            match in_turn(inner, |inner| merge_blocks(inner, &mut unmergeable)) {
                Ok(true) => {}
                Ok(false) => break,
                // What cannot be merged does not keep the others; it is tried again the next time.
                Err(error) => {
                    failed = failed.and(Err(error));
                    continue;
                }
            }
        }
        *changed = true;
    }
    failed
}

fn make_room(inner: &Inner) -> Result<()> {
    expire(inner).and(remove_unused(inner))
}

fn in_turn(inner: &Inner, step: impl FnOnce(&Inner) -> Result<bool>) -> Result<bool> {
    let _alone = inner.maintenance.take();
    step(inner)
}

/// Writes the oldest complete window of the head as a block, and late samples before it as blocks of their windows;
/// says whether there was one.
fn cut_head(inner: &Inner) -> Result<bool> {
    let range = inner.options.block_range_ms;
    let Some(held) = inner.head.time_range() else { return Ok(false) };
    // From where the catalog ends, not from where samples are refused: a window that was closed but could not be
    // written (a full disk) is still the next one to write.
    let head_start = inner.catalog.load().head_start.unwrap_or(i64::MIN);
    if held.end < held.start.max(head_start).saturating_add(range / 2) {
        return Ok(false);
    }
    // The next sample may lie far ahead: windows without samples are passed over.
    let Some(oldest) = inner.head.first_from(head_start) else { return Ok(false) };
    let start = oldest.checked_sub(oldest.rem_euclid(range)).unwrap_or(i64::MIN);
    let end = start.saturating_add(range);
    // Samples may still come in up to half a block behind the newest one.
    if held.end < end.saturating_add(range / 2) {
        return Ok(false);
    }
    let mut pending = Pending::new(inner)?;
    // What is logged from this moment on may hold late samples that these blocks do not have.
    let segment = inner.head.close_before(end, || inner.wal.current_segment());
    reach(Point::WindowClosed);
    // Taken after the segment was noted: whatever is in the log up to there is among them.
    let (exemplars, taken) = inner.head.leaving_exemplars(end);
    let late = inner.head.leaving_windows(range, start);
    let oldest_late = late.iter().min().copied();
    for window in late {
        let set = inner.head.window(Part::Leaving);
        let window = Window::new(window, window.saturating_add(range).min(start));
        pending.write(window, &set, &SeriesExemplars::new())?;
    }
    pending.write(Window::new(start, end), &inner.head.window(Part::All), &exemplars)?;
    let written = pending.publish(&[], Some(end), |catalog| {
        let segment = || inner.wal.current_segment();
        inner.head.truncate(end, taken, segment, || inner.catalog.store(catalog));
    })?;
    for meta in &written {
        inner.metrics.compactions.inc();
        tracing::info!(block = %meta.id, series = meta.series, samples = meta.samples, "cut a block from the head");
    }
    reach(Point::HeadTruncated);
    if let Some(oldest) = oldest_late {
        // Of a late sample and one in a block with the same time, the other one may be shown now.
        inner.head.changes().note(oldest);
    }
    if let Some(upto) =
        inner.wal.last_segment_before(end).map(|upto| upto.min(segment - 1)).filter(|upto| *upto > 0)
    {
        checkpoint::write(&**inner.wal.fs(), upto, &inner.head)?;
        inner.wal.forget(upto);
        inner.head.forget_departed(upto);
        inner.metrics.checkpoints.inc();
    }
    Ok(true)
}

/// Merges one set of blocks, none of them `unmergeable`, to which those are added with which it fails; says whether
/// there was one.
fn merge_blocks(inner: &Inner, unmergeable: &mut BTreeSet<BlockId>) -> Result<bool> {
    let catalog = inner.catalog.load_full();
    let head_start = catalog.head_start.unwrap_or(i64::MIN);
    let blocks: Vec<_> = catalog.blocks.iter().filter(|b| !unmergeable.contains(&b.id)).cloned().collect();
    let Some(job) = plan::next(&blocks, &inner.options.compaction_ranges(), head_start) else {
        return Ok(false);
    };
    let level = job.sources.iter().map(|b| b.level).max().unwrap_or(1) + 1;
    let sources = job.sources.len();
    let replaced = replace(inner, &job, level);
    if replaced.is_err() {
        unmergeable.extend(job.sources.iter().map(|block| block.id.clone()));
    }
    if let Some(meta) = replaced? {
        tracing::info!(block = %meta.id, sources, samples = meta.samples, "merged blocks");
    }
    Ok(true)
}

/// Writes block `meta` again without what was deleted from it.
pub(in crate::tsdb) fn rewrite(inner: &Inner, meta: &Arc<BlockMeta>) -> Result<()> {
    let job = plan::Job { start: meta.start, end: meta.end, sources: vec![Arc::clone(meta)] };
    let left = replace(inner, &job, meta.level)?.map_or(0, |meta| meta.samples);
    tracing::info!(block = %meta.id, before = meta.samples, after = left, "removed deleted samples from disk");
    Ok(())
}

/// Writes the sources of `job` as one block in their place; none if nothing is left of them.
fn replace(inner: &Inner, job: &plan::Job, level: u32) -> Result<Option<BlockMeta>> {
    let range = TimeRange { start: job.start, end: job.end - 1 };
    let querier = select_blocks(inner, &job.sources, range);
    let set = querier.select(&SelectRequest::new(&[], range)).map_err(|error| crate::tsdb::Error::Store {
        block: job.sources[0].id.to_string(),
        action: "merge",
        reason: error.to_string(),
    })?;
    let window = Window {
        start: job.start,
        end: job.end,
        level,
        sources: job.sources.iter().map(|b| b.id.clone()).collect(),
    };
    let exemplars = BlockSources::new(inner, &job.sources)?;
    let mut pending = Pending::new(inner)?;
    pending.write(window, &*set, &exemplars)?;
    drop(exemplars);
    drop(set);
    inner.metrics.compactions.inc();
    let mut written = pending.publish(&job.sources, None, |catalog| inner.catalog.store(catalog))?;
    Ok(written.pop())
}

/// Looks closely at the blocks in which damage was met, and sets aside those that are damaged; the rest goes on.
///
/// # Errors
/// The first of the disk's. The others are looked at nevertheless, and whatever failed again the next time.
pub(in crate::tsdb) fn quarantine_suspects(inner: &Inner) -> Result<()> {
    let suspects = std::mem::take(&mut *lock(&inner.suspects));
    let mut first_error = None;
    for id in suspects {
        let catalog = inner.catalog.load_full();
        let Some(meta) = catalog.blocks.iter().find(|b| b.id == id) else { continue };
        inner.cache.forget(&id);
        let Err(error) = inner.block(meta).verify() else { continue };
        if error.is_damage() {
            tracing::error!(block = %id, %error, start = meta.start, end = meta.end, "block is damaged");
            let Err(error) = set_aside(inner, meta) else { continue };
            tracing::error!(block = %id, %error, "failed to set a damaged block aside; retrying later");
            first_error = first_error.or(Some(error));
        } else {
            tracing::warn!(block = %id, %error, "failed to check a block that showed damage; retrying later");
        }
        lock(&inner.suspects).insert(id);
    }
    first_error.map_or(Ok(()), Err)
}

/// Renames a damaged block and takes it out of the catalog.
fn set_aside(inner: &Inner, meta: &Arc<BlockMeta>) -> Result<()> {
    // Renamed first: the next start removes whatever block no catalog names.
    inner.store.quarantine(&meta.id)?;
    reach(Point::BlockSetAside);
    inner.metrics.blocks_quarantined.inc();
    inner.cache.forget(&meta.id);
    inner.forget_size(&meta.id);
    let gone = std::slice::from_ref(meta);
    let published = Pending::new(inner)
        .and_then(|pending| pending.publish(gone, None, |catalog| inner.catalog.store(catalog)));
    if published.is_err() {
        // A catalog that names it does no harm after a restart; until then nobody should look for it.
        inner.catalog.store(Arc::new(inner.catalog.load().with(gone, Vec::new(), None)));
    }
    inner.head.changes().note(i64::MIN);
    published.map(|_| ())
}

fn expire(inner: &Inner) -> Result<()> {
    let catalog = inner.catalog.load_full();
    // From the newest block on, not from the newest sample: one that comes while the clock is ahead must not expire all
    // others, and a window is cut only when samples go on for longer. Nor may a file in other units, hence the clock.
    let newest = catalog.blocks.iter().map(|b| b.end).max().unwrap_or(i64::MIN).min(inner.clock.now_ms());
    let mut gone = retention::expired(&catalog.blocks, newest, inner.limits.load().retention_ms);
    let max_bytes = inner.max_bytes();
    if max_bytes > 0 {
        let kept: Vec<_> =
            catalog.blocks.iter().filter(|b| !gone.iter().any(|g| g.id == b.id)).cloned().collect();
        let large = retention::too_large(&kept, |b| inner.block_bytes(&b.id), inner.wal_bytes(), max_bytes);
        inner.metrics.size_retentions.inc_by(large.len() as u64);
        gone.extend(large);
    }
    if gone.is_empty() {
        return Ok(());
    }
    publish::retire(inner, &gone)?;
    inner.head.changes().note(i64::MIN);
    for block in &gone {
        tracing::info!(block = %block.id, "removing a block past its retention");
    }
    Ok(())
}

/// Removes blocks that the catalog no longer names, once no query that began before holds them any more. A process
/// that ends before does not matter: the next start removes what the catalog does not name.
pub(in crate::tsdb) fn remove_unused(inner: &Inner) -> Result<()> {
    let mut retired = lock(&inner.retired);
    let (mut free, held): (Vec<_>, Vec<_>) =
        retired.drain(..).partition(|block| Arc::strong_count(block) == 1);
    *retired = held;
    drop(retired);
    let mut first_error = None;
    free.retain(|block| {
        inner.cache.forget(&block.id);
        inner.forget_size(&block.id);
        reach(Point::BlockRetired);
        let removed = inner.store.remove(&block.id);
        let failed = removed.is_err();
        first_error = first_error.take().or(removed.err());
        failed
    });
    // Those that are still there are tried again the next time.
    lock(&inner.retired).append(&mut free);
    first_error.map_or(Ok(()), Err)
}
