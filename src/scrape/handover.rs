//! What becomes of the live series of a loop that ends while others write the same series: those that the others have
//! stay theirs, the rest goes to the loop that takes its place, and what nobody takes is marked stale.
//!
//! Loops write the same series when their targets have equal labels: before and after a change of a job, in a job that
//! got another name, or side by side under two URLs. A loop that is told to end may be in the midst of a scrape; until
//! it is through, those that it was told of may have ended as well, and what they were told counts.
//!
//! **Locking**: a loop that ends holds its own [`Ingest`] and takes those of loops that were told to end after it, or
//! not at all, one at a time; loops that go on never take another one.

use std::sync::{Arc, Mutex};

use hashbrown::HashSet;

use super::ingest::{Ingest, Legacy, Live};
use super::shared::Shared;
use crate::util::lock::lock;

/// Where a loop finds series that it has to mark unless it scrapes them itself.
#[derive(Default)]
pub(super) struct Inbox(Mutex<State>);

enum State {
    Open(Legacy),
    /// The loop has ended in this way.
    Closed(Arc<Leaving>),
}

impl Default for State {
    fn default() -> Self {
        Self::Open(Legacy::default())
    }
}

impl Inbox {
    /// Takes out what is there.
    pub(super) fn take(&self) -> Legacy {
        match &mut *lock(&self.0) {
            State::Open(there) => std::mem::take(there),
            State::Closed(_) => Legacy::default(),
        }
    }

    /// Takes out what is there; what comes later goes the way of `leaving`.
    fn close(&self, leaving: Arc<Leaving>) -> Legacy {
        match std::mem::replace(&mut *lock(&self.0), State::Closed(leaving)) {
            State::Open(there) => there,
            State::Closed(_) => Legacy::default(),
        }
    }

    /// Puts in all of `legacy`, unless the loop has ended: then says how.
    fn put(&self, legacy: &mut Legacy) -> Option<Arc<Leaving>> {
        match &mut *lock(&self.0) {
            State::Open(there) => {
                there.add(std::mem::take(legacy));
                None
            }
            State::Closed(leaving) => Some(Arc::clone(leaving)),
        }
    }
}

/// How a loop ends whose target is gone, or is scraped by another loop from now on.
#[derive(Default)]
pub(super) struct Leaving {
    /// The loop that takes its place and has not scraped yet.
    pub(super) heir: Option<Arc<Inbox>>,
    /// Other loops that write the same series and go on: what they have, and their inboxes.
    pub(super) others: Vec<(Arc<Mutex<Ingest>>, Arc<Inbox>)>,
}

impl Leaving {
    /// Ends the loop that has `ingest` and `inbox`. Blocking.
    pub(super) fn carry_out(self: &Arc<Self>, shared: &Shared, ingest: &Mutex<Ingest>, inbox: &Inbox) {
        let mut ingest = lock(ingest);
        ingest.inherit(inbox.close(Arc::clone(self)));
        let mut legacy = ingest.take_legacy();
        let shares_reports = self.hand_over(&mut legacy);
        let nothing_left = legacy.live.is_empty();
        ingest.inherit(legacy);
        if !shares_reports || !nothing_left {
            ingest.end(&shared.db, &shared.metrics, shared.clock.now_ms(), !shares_reports);
        }
    }

    /// Takes from `legacy` what loops that go on have, and gives the rest to an heir that goes on; leaves what has to be
    /// marked. Says whether any loop goes on.
    fn hand_over(&self, legacy: &mut Legacy) -> bool {
        let mut any = false;
        for (ingest, inbox) in &self.others {
            let ingest = lock(ingest);
            // With that in hand: a loop that ends closes its inbox so.
            let ended = inbox.put(&mut Legacy { live: Vec::new(), ..*legacy });
            if ended.is_none() {
                let theirs: HashSet<Live> = ingest.live().collect();
                legacy.live.retain(|series| !theirs.contains(series));
            }
            drop(ingest);
            any |= ended.is_none_or(|leaving| leaving.hand_over(legacy));
        }
        if let Some(heir) = &self.heir {
            any |= heir.put(legacy).is_none_or(|leaving| leaving.hand_over(legacy));
        }
        any
    }
}

#[cfg(test)]
#[path = "handover_tests.rs"]
mod tests;
