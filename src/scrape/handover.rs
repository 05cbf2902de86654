//! What becomes of the live series of a loop that ends while others write the same series: those that the others have
//! stay theirs, the rest goes to the loop that takes its place, and what nobody takes is marked stale.
//!
//! Loops write the same series when their targets have equal labels: before and after a change of a job, in a job that
//! got another name, or side by side under two URLs.
//!
//! **Locking**: a loop that ends holds its own [`Ingest`] and takes those of loops that go on, one at a time; they
//! never take another one.

use std::sync::{Arc, Mutex};

use hashbrown::HashSet;

use super::ingest::{Ingest, Live};
use super::scrape_loop::Shared;
use crate::util::lock::lock;

/// Where a loop finds series that it has to mark unless it scrapes them itself.
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<State>);

#[derive(Debug)]
enum State {
    Open(Vec<Live>),
    /// The loop has ended; its own heir, if it has one.
    Closed(Option<Arc<Inbox>>),
}

impl Default for State {
    fn default() -> Self {
        Self::Open(Vec::new())
    }
}

impl Inbox {
    /// Takes out what is there.
    pub(super) fn take(&self) -> Vec<Live> {
        match &mut *lock(&self.0) {
            State::Open(live) => std::mem::take(live),
            State::Closed(_) => Vec::new(),
        }
    }

    /// Takes out what is there; what comes later goes to `heir`.
    fn close(&self, heir: Option<Arc<Self>>) -> Vec<Live> {
        match std::mem::replace(&mut *lock(&self.0), State::Closed(heir)) {
            State::Open(live) => live,
            State::Closed(_) => Vec::new(),
        }
    }

    /// Puts in `live`, or into the inbox of the heir; gives it back when nobody is there any more.
    fn put(&self, live: Vec<Live>) -> Result<(), Vec<Live>> {
        let heir = match &mut *lock(&self.0) {
            State::Open(there) => {
                there.extend(live);
                return Ok(());
            }
            State::Closed(heir) => heir.clone(),
        };
        match heir {
            Some(heir) => heir.put(live),
            None => Err(live),
        }
    }
}

/// How a loop ends whose target is gone, or is scraped by another loop from now on.
#[derive(Default)]
pub(super) struct Leaving {
    /// The loop that takes its place and has not scraped yet.
    pub(super) heir: Option<Arc<Inbox>>,
    /// What other loops have that write the same series and go on.
    pub(super) others: Vec<Arc<Mutex<Ingest>>>,
}

impl Leaving {
    /// Ends the loop that has `ingest` and `inbox`. Blocking.
    pub(super) fn carry_out(&self, shared: &Shared, ingest: &Mutex<Ingest>, inbox: &Inbox) {
        let mut ingest = lock(ingest);
        ingest.inherit(inbox.close(self.heir.clone()));
        let mut live = ingest.take_live();
        for other in &self.others {
            let theirs: HashSet<Live> = lock(other).live().collect();
            live.retain(|series| !theirs.contains(series));
        }
        let left = match &self.heir {
            Some(heir) => heir.put(live),
            None => Err(live),
        };
        let Err(live) = left else { return };
        ingest.inherit(live);
        let shares_reports = self.heir.is_some() || !self.others.is_empty();
        ingest.end(&shared.db, &shared.metrics, shared.clock.now_ms(), !shares_reports);
    }
}
