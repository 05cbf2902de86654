//! Whether new series are taken: series that are in memory always go on, new ones are refused while the server has as
//! many as it may have, or while memory gets short.
//!
//! [`super::memory_watch`] looks at memory and asks here what follows.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::util::lock::lock;
use crate::util::machine;

/// After this long with room in memory new series are taken again: bodies that are being stored come and go.
const REOPEN: Duration = Duration::from_secs(10);
/// After this long with room in memory a server that had died of it takes new series again.
const CALM: Duration = Duration::from_secs(600);
/// Deaths by memory in a row after which a server starts with new series refused.
const DEATHS: u32 = 2;

/// What is known of memory at one moment, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// What the process holds; files that are mapped do not count.
    pub held: u64,
    /// What the process may hold: the memory of the machine, or the limit of its control group.
    pub limit: u64,
    /// What the machine can still give away.
    pub available: u64,
}

/// Asks for the use of memory; none where it cannot be known.
pub type MemoryProbe = fn() -> Option<MemoryUse>;

/// How long a limit is taken for the same. It stands in several files.
const LIMIT_HOLDS: Duration = Duration::from_secs(10);

/// The probe of the operating system.
pub(super) fn probe() -> Option<MemoryUse> {
    static LIMIT: Mutex<Option<(Instant, u64)>> = Mutex::new(None);
    let mut kept = lock(&LIMIT);
    let limit = match *kept {
        Some((since, limit)) if since.elapsed() < LIMIT_HOLDS => limit,
        _ => kept.insert((Instant::now(), machine::memory_bytes()?)).1,
    };
    Some(MemoryUse { held: machine::held_bytes()?, limit, available: machine::available_bytes()? })
}

impl MemoryUse {
    /// The budget where nobody says how much: what is left of the limit beside the quarter for queries and some room.
    pub fn default_budget(&self) -> u64 {
        self.limit / 20 * 13
    }

    fn share_held(&self) -> f64 {
        self.held as f64 / (self.limit as f64).max(1.0)
    }

    fn share_available(&self) -> f64 {
        self.available as f64 / (self.limit as f64).max(1.0)
    }
}

/// Why no new series are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoNewSeries {
    /// There are as many in memory as there may be.
    Quota {
        /// The quota.
        series: u64,
    },
    /// The process holds more memory than it may, what queries hold aside.
    Budget {
        /// What it holds, in bytes.
        held: u64,
        /// The budget, in bytes.
        budget: u64,
    },
    /// The machine has hardly any memory left, whoever took it.
    Machine {
        /// What is left, in bytes.
        available: u64,
    },
    /// The server died again and again because memory ran out.
    Deaths {
        /// How often in a row.
        count: u32,
    },
}

impl NoNewSeries {
    /// The same reason, whatever its figures.
    pub(super) fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for NoNewSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes >> 20;
        match self {
            Self::Quota { series } => write!(f, "server series quota of {series} reached"),
            Self::Budget { held, budget } => {
                write!(f, "memory budget of {} MiB exceeded: {} MiB are held", mib(*budget), mib(*held))
            }
            Self::Machine { available } => {
                write!(f, "the machine is running out of memory: {} MiB are left", mib(*available))
            }
            Self::Deaths { count } => {
                write!(f, "started after running out of memory {count} times in a row")
            }
        }
    }
}

/// What memory says about new series.
#[derive(Default)]
pub(super) struct Admission {
    /// Why memory forbids them, if it does.
    closed: ArcSwapOption<NoNewSeries>,
    /// What queries hold, which is not counted: it comes and goes, and has bounds of its own.
    others: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
}

impl Admission {
    /// Refuses new series, or takes them again.
    pub(super) fn set(&self, closed: Option<NoNewSeries>) {
        self.closed.store(closed.map(Arc::new));
    }

    /// Why no new series are taken, if memory forbids them.
    pub(super) fn closed(&self) -> Option<NoNewSeries> {
        self.closed.load().as_deref().cloned()
    }

    /// See [`super::Tsdb::exclude_memory`].
    pub(super) fn exclude(&self, bytes: Box<dyn Fn() -> u64 + Send + Sync>) {
        // Asked for once, by whoever builds the server.
        let _ = self.others.set(bytes);
    }

    pub(super) fn without_others(&self, mut found: MemoryUse) -> MemoryUse {
        found.held = found.held.saturating_sub(self.others.get().map_or(0, |bytes| bytes()));
        found
    }
}

/// Decides, from one look to the next.
pub(super) struct Judge {
    /// Bytes the process may hold; 0 for no budget.
    budget: u64,
    reason: Option<NoNewSeries>,
    /// Since when there is room.
    calm_since: Option<Instant>,
}

impl Judge {
    /// One that goes on from `reason`, under a budget in bytes or none.
    pub(super) fn new(budget: u64, reason: Option<NoNewSeries>) -> Self {
        Self { budget, reason, calm_since: None }
    }

    /// Why no new series are taken from now on. What is closed opens only well below the bound.
    pub(super) fn look(&mut self, found: MemoryUse, now: Instant) -> Option<NoNewSeries> {
        let short = self.is_short(found);
        if short.is_some() {
            self.calm_since = None;
        } else {
            self.calm_since.get_or_insert(now);
        }
        let calm = self.calm_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.reason = match (short, self.reason.take()) {
            // That it died of memory stays the reason until it is over.
            (_, Some(deaths @ NoNewSeries::Deaths { .. })) if calm < CALM => Some(deaths),
            (None, Some(reason)) if calm < REOPEN => Some(reason),
            (short, _) => short,
        };
        self.reason.clone()
    }

    fn is_short(&self, found: MemoryUse) -> Option<NoNewSeries> {
        let (over, low) = match &self.reason {
            Some(NoNewSeries::Budget { .. }) => (self.budget / 20 * 19, 0.04),
            Some(NoNewSeries::Machine { .. }) => (self.budget, 0.06),
            _ => (self.budget, 0.04),
        };
        if self.budget > 0 && found.held > over {
            return Some(NoNewSeries::Budget { held: found.held, budget: self.budget });
        }
        let low = self.budget > 0 && found.share_available() < low;
        low.then_some(NoNewSeries::Machine { available: found.available })
    }

    /// Whether there has been room for so long that what happened before does not count any more.
    pub(super) fn is_calm(&self, now: Instant) -> bool {
        self.reason.is_none()
            && self.calm_since.is_some_and(|since| now.saturating_duration_since(since) >= CALM)
    }
}

/// Whether the process may be killed for memory soon; `was` says what was found before.
pub(super) fn is_in_danger(found: MemoryUse, was: bool) -> bool {
    let (held, available) = if was { (0.7, 0.06) } else { (0.8, 0.04) };
    found.share_held() >= held || found.share_available() < available
}

/// Why a database that died `deaths` times in a row starts with new series refused, if it does.
pub(super) fn at_start(deaths: u32) -> Option<NoNewSeries> {
    (deaths >= DEATHS).then_some(NoNewSeries::Deaths { count: deaths })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn found(held: u64) -> MemoryUse {
        MemoryUse { held, limit: 10 * GIB, available: 5 * GIB }
    }

    #[test]
    fn closes_over_the_budget_and_opens_when_it_was_well_below_for_a_while() {
        let mut judge = Judge::new(6 * GIB, None);
        let start = Instant::now();
        let mut look = |held, seconds| judge.look(found(held), start + Duration::from_secs(seconds));
        assert_eq!(look(6 * GIB, 0), None);
        assert_eq!(look(6 * GIB + 1, 1), Some(NoNewSeries::Budget { held: 6 * GIB + 1, budget: 6 * GIB }));
        assert!(look(6 * GIB - GIB / 5, 2).is_some());
        assert!(look(6 * GIB - GIB / 5, 100).is_some(), "not far enough below");
        assert!(look(5 * GIB, 101).is_some());
        assert!(look(6 * GIB, 110).is_some());
        assert!(look(5 * GIB, 111).is_some());
        assert!(look(5 * GIB, 120).is_some(), "not for long enough");
        assert_eq!(look(5 * GIB, 121), None);
        assert_eq!(look(6 * GIB, 122), None);
    }

    #[test]
    fn closes_while_the_machine_has_hardly_any_memory() {
        let mut judge = Judge::new(6 * GIB, None);
        let start = Instant::now();
        let mut look = |available, seconds| {
            judge.look(MemoryUse { available, ..found(GIB) }, start + Duration::from_secs(seconds))
        };
        assert_eq!(look(GIB / 2, 0), None);
        assert_eq!(look(GIB / 3, 1), Some(NoNewSeries::Machine { available: GIB / 3 }));
        assert!(look(GIB / 2, 2).is_some());
        assert!(look(GIB / 2, 20).is_some());
        assert!(look(GIB, 21).is_some());
        assert_eq!(look(GIB, 31), None);
    }

    #[test]
    fn what_others_hold_is_left_out() {
        let admission = Admission::default();
        assert_eq!(admission.without_others(found(7)), found(7));
        admission.exclude(Box::new(|| 3));
        assert_eq!(admission.without_others(found(7)), found(4));
        assert_eq!(admission.without_others(found(2)), found(0));
    }

    #[test]
    fn without_a_budget_memory_forbids_nothing() {
        let mut judge = Judge::new(0, None);
        let full = MemoryUse { held: 10 * GIB, limit: 10 * GIB, available: 0 };
        assert_eq!(judge.look(full, Instant::now()), None);
    }

    #[test]
    fn after_two_deaths_it_opens_when_there_was_room_for_a_while() {
        assert_eq!(at_start(1), None);
        let mut judge = Judge::new(6 * GIB, at_start(2));
        let start = Instant::now();
        let mut look = |held, seconds| judge.look(found(held), start + Duration::from_secs(seconds));
        let deaths = Some(NoNewSeries::Deaths { count: 2 });
        assert_eq!(look(GIB, 0), deaths);
        assert_eq!(look(GIB, 599), deaths);
        assert_eq!(look(7 * GIB, 599), deaths, "over the budget: the time begins again");
        assert_eq!(look(GIB, 600), deaths);
        assert_eq!(look(GIB, 1199), deaths);
        assert_eq!(look(GIB, 1200), None);
        assert_eq!(look(GIB, 1201), None);
        assert!(judge.is_calm(start + Duration::from_secs(1201)));
    }

    #[test]
    fn danger_is_being_near_the_limit() {
        assert!(!is_in_danger(found(7 * GIB), false));
        assert!(is_in_danger(found(8 * GIB), false));
        assert!(is_in_danger(found(7 * GIB), true));
        assert!(!is_in_danger(found(6 * GIB), true));
        assert!(is_in_danger(MemoryUse { available: GIB / 3, ..found(GIB) }, false));
    }

    #[test]
    fn reasons_are_told_with_their_figures() {
        let told: Vec<String> = [
            NoNewSeries::Quota { series: 7 },
            NoNewSeries::Budget { held: 3 << 20, budget: 2 << 20 },
            NoNewSeries::Machine { available: 5 << 20 },
            NoNewSeries::Deaths { count: 2 },
        ]
        .iter()
        .map(ToString::to_string)
        .collect();
        assert_eq!(
            told,
            [
                "server series quota of 7 reached",
                "memory budget of 2 MiB exceeded: 3 MiB are held",
                "the machine is running out of memory: 5 MiB are left",
                "started after running out of memory 2 times in a row",
            ]
        );
    }
}
