//! The memory queries take: what each holds is counted, for the query and for all together.
//!
//! **Invariants**: what is counted is given back when its [`Ticket`] is dropped, however the query ends. Operators count by
//! `Context::reserve` and `Context::grow`, which refuse what does not fit, before they take it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::Error;

/// Bytes held by all queries of an engine.
#[derive(Debug)]
pub(crate) struct TotalMemory {
    used: AtomicUsize,
    limit: usize,
}

impl TotalMemory {
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// Bytes held by one query.
#[derive(Debug)]
pub(crate) struct Memory {
    used: AtomicUsize,
    peak: AtomicUsize,
    limit: usize,
    total: Arc<TotalMemory>,
}

impl Memory {
    pub(crate) fn new(limit: usize, total: &Arc<TotalMemory>) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            limit,
            total: Arc::clone(total),
        })
    }

    /// Most bytes held at once.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Most bytes that may be held.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Fails when the query, or all together, hold more than they may.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.used.load(Ordering::Relaxed) > self.limit {
            return Err(Error::TooMuchMemory { limit: self.limit });
        }
        if self.total.used() > self.total.limit {
            return Err(Error::TooMuchMemoryInAll { limit: self.total.limit });
        }
        Ok(())
    }

    /// Whether all together hold at most half of what they may.
    pub(crate) fn is_plenty(&self) -> bool {
        self.total.used() <= self.total.limit / 2
    }

    fn add(&self, bytes: usize) {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.peak.fetch_max(used, Ordering::Relaxed);
        self.total.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds `bytes` if that many more fit.
    fn try_add(&self, bytes: usize) -> Result<(), Error> {
        // Sums of what threads ask for at once stay far from the end of the numbers.
        if bytes > self.limit {
            return Err(Error::TooMuchMemory { limit: self.limit });
        }
        self.add(bytes);
        self.check().inspect_err(|_| self.subtract(bytes))
    }

    fn subtract(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.total.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes counted for something as long as it lives. The default counts nothing.
#[derive(Debug, Default)]
pub struct Ticket(Option<(Arc<Memory>, usize)>);

impl Ticket {
    pub(crate) fn new(memory: &Arc<Memory>, bytes: usize) -> Self {
        memory.add(bytes);
        Self(Some((Arc::clone(memory), bytes)))
    }

    /// Counts `bytes` if that many more fit.
    pub(crate) fn try_new(memory: &Arc<Memory>, bytes: usize) -> Result<Self, Error> {
        memory.try_add(bytes)?;
        Ok(Self(Some((Arc::clone(memory), bytes))))
    }

    /// Counts `more` bytes if they fit. What nobody counts always fits.
    pub(crate) fn try_grow(&mut self, more: usize) -> Result<(), Error> {
        if let Some((memory, bytes)) = &mut self.0 {
            memory.try_add(more)?;
            *bytes += more;
        }
        Ok(())
    }

    /// Bytes counted.
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |(_, bytes)| *bytes)
    }

    /// Counts `more` bytes, whether they fit or not.
    pub(crate) fn grow(&mut self, more: usize) {
        if let Some((memory, bytes)) = &mut self.0 {
            memory.add(more);
            *bytes += more;
        }
    }

    /// No longer counts `fewer` bytes, or all there are.
    pub(crate) fn shrink(&mut self, fewer: usize) {
        if let Some((memory, bytes)) = &mut self.0 {
            let fewer = fewer.min(*bytes);
            memory.subtract(fewer);
            *bytes -= fewer;
        }
    }
}

impl Clone for Ticket {
    fn clone(&self) -> Self {
        self.0.as_ref().map_or_else(Self::default, |(memory, bytes)| Self::new(memory, *bytes))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some((memory, bytes)) = &self.0 {
            memory.subtract(*bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_long_as_tickets_live() {
        let total = Arc::new(TotalMemory::new(250));
        let (one, other) = (Memory::new(100, &total), Memory::new(200, &total));
        let ticket = Ticket::new(&one, 90);
        assert!(one.check().is_ok());
        let copy = ticket.clone();
        assert!(matches!(one.check(), Err(Error::TooMuchMemory { limit: 100 })));
        drop(copy);
        assert!(one.check().is_ok());
        assert!(one.is_plenty());
        let mut third = Ticket::new(&other, 150);
        assert!(!one.is_plenty() && !other.is_plenty());
        assert!(other.check().is_ok());
        third.grow(20);
        assert!(matches!(other.check(), Err(Error::TooMuchMemoryInAll { limit: 250 })));
        assert!(one.check().is_err(), "all share the total");
        third.shrink(60);
        assert_eq!(total.used(), 200);
        third.shrink(usize::MAX);
        assert_eq!(total.used(), 90);
        assert!(third.try_grow(161).is_err() && third.try_grow(usize::MAX).is_err());
        assert!(Ticket::try_new(&one, 11).is_err() && Ticket::try_new(&one, 10).is_ok());
        assert_eq!(total.used(), 90, "what is refused is not counted");
        drop((ticket, third));
        assert_eq!((total.used(), one.peak(), other.peak()), (0, 180, 170));
    }
}
