//! Room on the disk: intake stops while some is left, so that blocks can still be written and expired.
//!
//! The state is looked at once a second by the maintenance thread, after every failed write, and by intake itself
//! while it is stopped. Intake begins again by itself.

use std::io;
use std::path::Path;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use super::error::Error;
use crate::util::lock::{read, write};

/// Bytes of the file system that holds the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// In all.
    pub total: u64,
    /// Still to be had.
    pub available: u64,
}

/// Asks for the room below a path.
pub type SpaceProbe = fn(&Path) -> io::Result<DiskSpace>;

/// The probe of the operating system.
///
/// # Errors
/// When the path cannot be looked at.
pub fn probe(path: &Path) -> io::Result<DiskSpace> {
    let found = fs4::statvfs(path)?;
    Ok(DiskSpace { total: found.total_space(), available: found.available_space() })
}

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Space {
    last: RwLock<Seen>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    space: Option<DiskSpace>,
    /// Bytes that intake leaves free.
    reserve: u64,
    full: bool,
    at: Option<Instant>,
}

/// While intake is stopped the disk is looked at again after so long, whatever keeps the maintenance thread.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Space {
    /// Looks again. Intake stops below `reserve` bytes, or a fiftieth of a small disk, and begins again at a quarter
    /// more. Returns the change, if there is one: whether the disk is full now.
    pub(super) fn look(&self, found: DiskSpace, reserve: u64) -> Option<bool> {
        let reserve = reserve.min(found.total / 50);
        let mut last = write(&self.last);
        let enough = if last.full { reserve + reserve / 4 } else { reserve };
        let full = found.available < enough;
        let changed = full != last.full;
        *last = Seen { space: Some(found), reserve, full, at: Some(Instant::now()) };
        changed.then_some(full)
    }

    /// The room seen last.
    pub(super) fn seen(&self) -> Option<DiskSpace> {
        read(&self.last).space
    }

    /// Whether intake is stopped.
    pub(super) fn is_full(&self) -> bool {
        read(&self.last).full
    }

    /// Whether intake is stopped and nobody has looked for a while.
    pub(super) fn is_stale(&self) -> bool {
        let last = read(&self.last);
        last.full && last.at.is_none_or(|at| at.elapsed() >= LOOK_AGAIN)
    }

    /// An error while intake is stopped.
    pub(super) fn check(&self) -> Result<(), Error> {
        let last = *read(&self.last);
        let available = last.space.map_or(0, |space| space.available);
        if last.full { Err(Error::DiskFull { available, reserve: last.reserve }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intake_stops_at_the_reserve_and_begins_again_above_it() {
        let space = Space::default();
        let look = |available| space.look(DiskSpace { total: 100_000, available }, 1000);
        assert_eq!(look(50_000), None);
        assert_eq!(look(1000), None);
        assert_eq!(look(999), Some(true));
        assert!(matches!(space.check(), Err(Error::DiskFull { available: 999, reserve: 1000 })));
        assert_eq!(look(1249), None);
        assert_eq!(look(1250), Some(false));
        assert!(space.check().is_ok());
        let small = Space::default();
        assert_eq!(small.look(DiskSpace { total: 10_000, available: 250 }, 1000), None, "a fiftieth is 200");
    }
}
