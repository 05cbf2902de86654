//! Rows that are kept for later uses of equal parts of a plan.
//!
//! **Locking**: one lock, held while rows are put in, taken or dropped; nothing else is locked under it.

use std::sync::{Arc, Mutex};

use super::batch::{Batch, Row};
use super::record::{Held, Record};
use crate::promql::plan::Shares;
use crate::promql::syntax::ast::Span;
use crate::util::lock::lock;

/// The part of the memory of a query that kept rows may take.
pub(super) const PART_KEPT: usize = 16;

/// What is kept of each group of equal nodes.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) entries: Mutex<Vec<Entry>>,
    pub(super) held: Arc<Held>,
    pub(super) max_bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) state: State,
    /// Uses that have not begun yet.
    pub(super) to_come: usize,
    /// Uses that are taking rows.
    pub(super) readers: usize,
    /// As they were handed on; empty where the last use has taken the rows themselves.
    pub(super) batches: Vec<Batch>,
    pub(super) bytes: usize,
    /// Positions of the node that was computed.
    pub(super) spans: Vec<Span>,
    /// What happened when it was opened.
    pub(super) opened: Record,
    /// What happened while it was pulled.
    pub(super) pulled: Record,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    /// Nobody has computed it yet.
    #[default]
    Open,
    /// The first use is at it.
    Writing,
    /// All rows are there.
    Complete,
    /// Too many rows, or no room any more: each use computes for itself.
    GivenUp,
}

/// What a use is to do.
pub(super) enum Part {
    Write,
    Read { batches: usize, opened: Box<Record>, pulled: Box<Record> },
    Alone,
}

impl Entry {
    /// Drops the rows and what happened: from now on each use computes for itself.
    pub(super) fn give_up(&mut self, held: &Held) {
        self.state = State::GivenUp;
        self.bytes = 0;
        (self.opened, self.pulled) = (Record::default(), Record::default());
        let batches = std::mem::take(&mut self.batches);
        held.release(batches.iter().flatten().map(Row::count).sum());
    }

    /// Ends the first use, which has not come to its end.
    pub(super) fn stop_writing(&mut self, held: &Held) {
        if self.state == State::Writing {
            self.give_up(held);
        }
    }

    /// Drops the rows when nobody will come for them.
    pub(super) fn drop_unwanted(&mut self, held: &Held) {
        if self.to_come == 0 && self.readers == 0 && self.state == State::Complete {
            self.give_up(held);
        }
    }
}

impl Kept {
    /// Room for the groups of `shares` in a query that may hold `max_memory` bytes.
    pub(super) fn new(shares: &Shares, held: &Arc<Held>, max_memory: usize) -> Self {
        let entry = |uses: &usize| Entry { to_come: *uses, ..Entry::default() };
        let entries: Vec<Entry> = shares.uses().iter().map(entry).collect();
        Self { entries: Mutex::new(entries), held: Arc::clone(held), max_bytes: max_memory / PART_KEPT }
    }

    /// Drops everything that is kept, so that a query can go on that is at a limit.
    pub(super) fn give_up_all(&self) {
        let mut entries = lock(&self.entries);
        let kept = entries.iter_mut().filter(|entry| entry.state != State::Open);
        kept.for_each(|entry| entry.give_up(&self.held));
    }

    /// Works on the entry of `group`.
    pub(super) fn with<T>(&self, group: usize, work: impl FnOnce(&mut Entry, &Held) -> T) -> Option<T> {
        lock(&self.entries).get_mut(group).map(|entry| work(entry, &self.held))
    }

    /// Begins a use of `group`. What is noted beside the rows takes `bytes_noted`, which are counted here alone.
    pub(super) fn begin(&self, group: usize, bytes_noted: usize) -> Part {
        let others: usize = lock(&self.entries).iter().map(|entry| entry.bytes).sum();
        let part = self.with(group, |entry, held| {
            entry.to_come = entry.to_come.saturating_sub(1);
            match entry.state {
                State::Open if others + bytes_noted > self.max_bytes => {
                    entry.give_up(held);
                    Part::Alone
                }
                State::Open if entry.to_come > 0 => {
                    entry.state = State::Writing;
                    entry.bytes = bytes_noted;
                    Part::Write
                }
                State::Complete => {
                    entry.readers += 1;
                    let (opened, pulled) = (Box::new(entry.opened.clone()), Box::new(entry.pulled.clone()));
                    Part::Read { batches: entry.batches.len(), opened, pulled }
                }
                _ => Part::Alone,
            }
        });
        part.unwrap_or(Part::Alone)
    }

    /// Keeps a copy of `rows`; says whether the writer should go on.
    pub(super) fn add(&self, group: usize, rows: &[Row]) -> bool {
        let mut entries = lock(&self.entries);
        let others: usize = entries.iter().map(|entry| entry.bytes).sum();
        let Some(entry) = entries.get_mut(group).filter(|entry| entry.state == State::Writing) else {
            return false;
        };
        let more: usize = rows.iter().map(|row| row.bytes().max(row.memory.bytes())).sum();
        if others + more > self.max_bytes {
            entry.give_up(&self.held);
            return false;
        }
        entry.bytes += more;
        entry.batches.push(rows.to_vec());
        true
    }

    /// Batch number `at` and how many samples of it are copies; nothing when it is gone.
    pub(super) fn take(&self, group: usize, at: usize) -> Option<(Batch, usize)> {
        let taken = self.with(group, |entry, _| {
            let last = entry.to_come == 0 && entry.readers == 1;
            let batch = entry.batches.get_mut(at).filter(|_| entry.state == State::Complete)?;
            if last {
                return Some((std::mem::take(batch), 0));
            }
            Some((batch.clone(), batch.iter().map(Row::count).sum()))
        });
        taken.flatten()
    }
}
