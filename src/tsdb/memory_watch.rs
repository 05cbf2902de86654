//! The thread that looks at memory twice a second, also while the log is replayed: [`super::admission`] decides what
//! follows, and [`super::deaths`] keeps on disk whether memory was short when the process ended.

use std::time::{Duration, Instant};

use super::admission::{Judge, MemoryUse, at_start, is_in_danger};
use super::deaths::Deaths;
use super::inner::Inner;

/// How often memory is looked at.
const PERIOD: Duration = Duration::from_millis(500);

/// Looks at memory as long as a database is open.
pub(super) struct MemoryWatch {
    judge: Judge,
    deaths: Deaths,
}

impl MemoryWatch {
    /// Looks for the first time, before there are new series. None where the use of memory cannot be read.
    pub(super) fn begin(inner: &Inner) -> Option<Self> {
        let deaths = Deaths::begin(&inner.options.dir);
        inner.metrics.deaths.set(i64::from(deaths.count()));
        let Some(first) = (inner.options.memory_probe)() else {
            tracing::warn!("memory use cannot be read; new series are taken whatever it is");
            return None;
        };
        let budget = inner.options.memory_budget.unwrap_or_else(|| first.default_budget());
        inner.metrics.memory_budget.set(as_gauge(budget));
        let reason = at_start(deaths.count()).filter(|_| budget > 0);
        if let Some(reason) = &reason {
            tracing::error!(%reason, "refusing new series until there has been room in memory for a while");
        }
        inner.admission.set(reason.clone());
        let mut watch = Self { judge: Judge::new(budget, reason), deaths };
        watch.look(inner, first);
        Some(watch)
    }

    /// Looks until the database stops.
    pub(super) fn run(mut self, inner: &Inner) {
        while !inner.stop.is_stopped() {
            std::thread::park_timeout(PERIOD);
            inner.metrics.restarts.guard("watch over memory", || {
                if let Some(found) = (inner.options.memory_probe)() {
                    self.look(inner, found);
                }
            });
        }
        self.deaths.end();
    }

    fn look(&mut self, inner: &Inner, found: MemoryUse) {
        let now = Instant::now();
        self.deaths.note(is_in_danger(found, self.deaths.is_in_danger()));
        let counted = inner.admission.without_others(found);
        inner.metrics.memory_held.set(as_gauge(counted.held));
        let before = inner.admission.closed();
        let after = self.judge.look(counted, now);
        if self.judge.is_calm(now) {
            self.deaths.forget();
        }
        match (&before, &after) {
            (_, Some(reason)) if before.as_ref().is_none_or(|before| !before.same_kind(reason)) => {
                tracing::error!(%reason, "refusing new series; those in memory go on");
            }
            (Some(_), None) => tracing::info!("memory recovered; accepting new series"),
            _ => {}
        }
        inner.admission.set(after);
    }
}

fn as_gauge(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::telemetry::Registry;
    use crate::tsdb::{NoNewSeries, Tsdb, TsdbOptions};
    use crate::util::SystemClock;

    fn open(options: &TsdbOptions) -> Tsdb {
        Tsdb::open(options.clone(), Arc::new(SystemClock), &mut Registry::default()).expect("opens")
    }

    #[test]
    fn after_two_deaths_by_memory_new_series_are_refused_until_it_is_closed_once() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let options = TsdbOptions {
            memory_probe: || Some(MemoryUse { held: 1, limit: 100, available: 90 }),
            ..TsdbOptions::new(dir.path())
        };
        let die = || Deaths::begin(dir.path()).note(true);
        die();
        let db = open(&options);
        assert_eq!(db.refuses_new_series(), None, "one may be chance");
        db.close().expect("closes");
        drop(db);
        die();
        die();
        let without = open(&TsdbOptions { memory_budget: Some(0), ..options.clone() });
        assert_eq!(without.refuses_new_series(), None, "who wants no budget is not protected");
        without.close().expect("closes");
        drop(without);
        die();
        die();
        let db = open(&options);
        assert_eq!(db.refuses_new_series(), Some(NoNewSeries::Deaths { count: 2 }));
        db.close().expect("closes");
        drop(db);
        assert_eq!(open(&options).refuses_new_series(), None);
    }

    #[test]
    fn danger_is_on_disk_while_memory_is_short() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let options = TsdbOptions {
            memory_probe: || Some(MemoryUse { held: 90, limit: 100, available: 90 }),
            ..TsdbOptions::new(dir.path())
        };
        let db = open(&options);
        while db.refuses_new_series().is_none() {
            std::thread::yield_now();
        }
        // As a process leaves it that is killed now.
        let copy = tempfile::tempdir().expect("temporary directory");
        std::fs::copy(dir.path().join("deaths"), copy.path().join("deaths")).expect("copied");
        assert_eq!(Deaths::begin(copy.path()).count(), 1);
        db.close().expect("closes");
        assert_eq!(Deaths::begin(dir.path()).count(), 0);
    }
}
