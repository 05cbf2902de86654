//! The life of one group: wait for its slot, evaluate, and again; how it begins and how it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;

use super::alert::Alert;
use super::backend::GroupBackend;
use super::evaluate::{External, Listener, Scene, evaluate_each};
use super::metrics::name;
use super::restore;
use super::shared::Shared;
use super::state::{Group, LastRun};
use super::store::{Change, SavedGroup};
use crate::lanes::Lane;
use crate::model::Labels;
use crate::notify;
use crate::util::lock::lock;
use crate::util::{Slots, brief, stable_hash};

/// Pause before a group that panicked goes on.
const AFTER_PANIC: Duration = Duration::from_secs(1);
/// The wall clock is looked at as often while a group waits: it may be set, and stands still while a machine sleeps.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(30);
/// Rules that took less than this together are not shared by threads.
const WORTH_A_THREAD: Duration = Duration::from_millis(5);
/// An alert that is not told again is over after as many intervals.
const VALID_INTERVALS: i64 = 4;

/// Whether a group goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// It does.
    On,
    /// Another one takes over its state.
    HandOver,
    /// It is gone from the configuration.
    Leave,
    /// The server stops: leave everything as it is.
    Shutdown,
}

/// How the states of alerts come back to a group that begins.
pub(super) enum Begin {
    /// There are none.
    Anew,
    /// From the store.
    Saved(Box<SavedGroup>),
    /// From the series of the alerts, after the second evaluation.
    Series,
    /// From the group that was there before, once that has ended.
    After(Arc<Group>, tokio::task::JoinHandle<()>),
}

/// Runs `group` until it is told to end.
pub(super) async fn run(group: Arc<Group>, begin: Begin, shared: Arc<Shared>, mut run: watch::Receiver<Run>) {
    let mut begin = begin;
    if let Begin::After(old, ended) = begin {
        // It ends after the evaluation that runs.
        let _ = ended.await;
        group.take_over(&old);
        *lock(&group.before) = None;
        begin = if group.is_unrestored() { Begin::Series } else { Begin::Anew };
        if old.is_unrestored() && !group.is_unrestored() {
            shared.restored_one().await;
        }
    }
    shared.ready.clone().await;
    let end = evaluate_on(&group, begin, &shared, &mut run).await;
    if end == Run::Leave {
        if group.is_unrestored() {
            shared.restored_one().await;
        }
        if !shared.known.load().contains_key(&group.key()) {
            shared.metrics.forget(&group.key());
        }
        leave(&group, &shared, &mut run).await;
    }
}

async fn evaluate_on(
    group: &Arc<Group>,
    begin: Begin,
    shared: &Arc<Shared>,
    run: &mut watch::Receiver<Run>,
) -> Run {
    let interval_ms = interval_ms(group);
    let hash = stable_hash([group.spec.file.as_str(), group.spec.name.as_str()]);
    let slots = Slots::new(interval_ms, hash);
    let mut slot = slots.after(shared.clock.now_ms());
    if let Begin::Saved(saved) = &begin {
        restore_from_store(group, saved, slot, shared).await;
    }
    let mut before_restore = if matches!(begin, Begin::Series) { 2 } else { 0 };
    let metrics = &shared.metrics;
    let what = format!("group {:?} of {}", group.spec.name, group.spec.file);
    let count_missed = |missed: i64| {
        let missed = u64::try_from(missed).unwrap_or(0);
        if missed > 0 {
            let name = name(&group.key());
            metrics.missed.get_or_create(&name).inc_by(missed);
            metrics.iterations.get_or_create(&name).inc_by(missed);
        }
    };
    loop {
        let due = match wait_until_due(slot, slots, shared, run).await {
            Ok(due) => due,
            Err(end) => return end,
        };
        count_missed(due.saturating_sub(slot) / interval_ms);
        slot = due;
        if metrics.panics.guard_future(&what, iterate(group, slot, shared)).await.is_none() {
            let _ = tokio::time::timeout(AFTER_PANIC, run.wait_for(|run| *run != Run::On)).await;
        }
        if before_restore > 0 {
            before_restore -= 1;
            if before_restore == 0 {
                restore_from_series(group, shared).await;
            }
        }
        // A clock that was set back a little would give the same slot again.
        let next = match slots.next(Some(slot), shared.clock.now_ms()) {
            next if next == slot => slot.saturating_add(interval_ms),
            next => next,
        };
        count_missed(next.saturating_sub(slot) / interval_ms - 1);
        slot = next;
    }
}

/// Waits until `slot` is due, and returns it; a later or earlier one where the clock was set, or stood still, meanwhile.
async fn wait_until_due(
    mut slot: i64,
    slots: Slots,
    shared: &Shared,
    run: &mut watch::Receiver<Run>,
) -> Result<i64, Run> {
    loop {
        let now = shared.clock.now_ms();
        let next = slots.after(now);
        if slot > next {
            slot = next;
        }
        let Ok(wait @ 1..) = u64::try_from(slot.saturating_sub(now)) else {
            // The last one that is due.
            return Ok(slots.before(now).max(slot));
        };
        let wait = Duration::from_millis(wait).min(LOOK_AT_CLOCK);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            end = run.wait_for(|run| *run != Run::On) => return Err(end.map_or(Run::Shutdown, |end| *end)),
        }
    }
}

fn interval_ms(group: &Group) -> i64 {
    i64::try_from(group.spec.interval.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// Evaluates all rules of a group for the time `at` (milliseconds).
async fn iterate(group: &Arc<Group>, at: i64, shared: &Arc<Shared>) {
    let (began, began_ms) = (Instant::now(), shared.clock.now_ms());
    let key = group.key();
    let (name, metrics) = (name(&key), &shared.metrics);
    metrics.iterations.get_or_create(&name).inc();
    let mut samples = 0;
    // Batches that are worth no second thread are one piece of work: to hand it over costs more than many a rule.
    let mut quick: Vec<usize> = Vec::new();
    for batch in &group.batches {
        let threads = threads_for(group, batch, shared);
        if threads == 1 {
            quick.extend(batch);
            continue;
        }
        samples += evaluate_piece(group, std::mem::take(&mut quick), at, (shared, &shared.groups)).await;
        // The first piece has a place whatever other groups do; the places of all groups together bound the others.
        let lanes = std::iter::once(&shared.groups).chain(std::iter::repeat(&shared.lane));
        let pieces = batch.chunks(batch.len().div_ceil(threads)).zip(lanes);
        let work = pieces.map(|(numbers, lane)| evaluate_piece(group, numbers.to_vec(), at, (shared, lane)));
        samples += join_all(work).await.into_iter().sum::<usize>();
    }
    samples += evaluate_piece(group, quick, at, (shared, &shared.groups)).await;
    if shared.stop.is_stopped() {
        return;
    }
    let has_alerts = group.rules.iter().any(|state| lock(&state.now).alerts.iter().next().is_some());
    let is_settled = !has_alerts && lock(&group.orphans).is_empty();
    let (ended, settled) = (Arc::clone(group), Arc::clone(shared));
    if !is_settled && let Ok(place) = shared.groups.wait().await {
        let _ = place.run(move || settle(&ended, at, &settled)).await;
    }
    let took = began.elapsed();
    *lock(&group.last) = LastRun { began_ms: Some(began_ms), took };
    metrics.group_duration.observe(took.as_secs_f64());
    metrics.samples.get_or_create(&name).set(i64::try_from(samples).unwrap_or(i64::MAX));
    metrics.last_evaluation.get_or_create(&name).set(began_ms as f64 / 1000.0);
    metrics.last_duration.get_or_create(&name).set(took.as_secs_f64());
    let sum: Duration = group.rules.iter().map(|state| lock(&state.now).took).sum();
    metrics.last_rule_sum.get_or_create(&name).set(sum.as_secs_f64());
}

/// How many threads share the rules of a batch: one for each [`WORTH_A_THREAD`] that they took the last time.
fn threads_for(group: &Group, batch: &[usize], shared: &Shared) -> usize {
    let states = batch.iter().filter_map(|number| group.rules.get(*number));
    let took: Duration = states.map(|state| lock(&state.now).took).sum();
    let threads = usize::try_from(took.as_nanos() / WORTH_A_THREAD.as_nanos()).unwrap_or(usize::MAX);
    threads.clamp(1, shared.lane.width().max(1))
}

/// Evaluates some rules one after the other on a thread of the lane; returns how many samples they gave.
async fn evaluate_piece(
    group: &Arc<Group>,
    numbers: Vec<usize>,
    at: i64,
    (shared, lane): (&Arc<Shared>, &Lane),
) -> usize {
    if numbers.is_empty() || shared.stop.is_stopped() {
        return 0;
    }
    let Ok(place) = lane.wait().await else { return 0 };
    let (group, shared) = (Arc::clone(group), Arc::clone(shared));
    let work = place.run(move || {
        let external = shared.external.load_full();
        let listener = Told { shared: &shared, group: &group, at };
        let offset = group.spec.query_offset.unwrap_or(**shared.query_offset.load());
        let backend = GroupBackend {
            inner: &shared.backend,
            group: (&group.spec.file, &group.spec.name),
            clock: &*shared.clock,
        };
        let scene = Scene {
            backend: &backend,
            listener: &listener,
            external: &external,
            at,
            offset: i64::try_from(offset.as_millis()).unwrap_or(i64::MAX),
            limit: group.spec.limit,
            resend_delay: shared.options.resend_delay_ms(),
            now_ms: shared.clock.now_ms(),
            stop: &shared.stop,
        };
        let results = evaluate_each(&group.rules, &numbers, &scene);
        note(&group, &numbers, &results, &shared);
        results.into_iter().flatten().sum()
    });
    work.await.unwrap_or_else(|_| {
        tracing::error!("rule evaluation panicked; please report this bug");
        0
    })
}

/// Counts and logs what became of rules.
fn note(group: &Group, numbers: &[usize], results: &[Result<usize, String>], shared: &Shared) {
    let metrics = &shared.metrics;
    let name = name(&group.key());
    metrics.evaluations.get_or_create(&name).inc_by(results.len() as u64);
    for (number, result) in numbers.iter().zip(results) {
        let Some(state) = group.rules.get(*number) else { continue };
        metrics.rule_duration.observe(lock(&state.now).took.as_secs_f64());
        let Err(error) = result else { continue };
        if shared.stop.is_stopped() {
            continue;
        }
        metrics.failures.get_or_create(&name).inc();
        let (rule, number) = (&state.rule.name, number + 1);
        tracing::warn!(
            file = group.spec.file,
            group = group.spec.name,
            rule,
            number,
            error = brief(error),
            "failed to evaluate a rule"
        );
    }
}

/// What is done after all rules: series of rules that are gone are marked stale, and the store knows of the time.
fn settle(group: &Group, at: i64, shared: &Shared) {
    let orphans = std::mem::take(&mut *lock(&group.orphans));
    if !orphans.is_empty() {
        mark_stale(group, orphans, at, shared);
    }
    shared.stored(shared.store.evaluated(&group.key(), at));
}

fn mark_stale(group: &Group, series: Vec<Labels>, at: i64, shared: &Shared) {
    let offset = group.spec.query_offset.unwrap_or(**shared.query_offset.load());
    let time = at.saturating_sub(i64::try_from(offset.as_millis()).unwrap_or(i64::MAX));
    if let Err(error) = shared.backend.write_stale(&series, time) {
        tracing::warn!(
            file = group.spec.file,
            group = group.spec.name,
            error,
            "failed to mark series of removed rules as stale"
        );
        lock(&group.orphans).extend(series);
    }
}

/// Marks all series of a group that is gone as stale, after two intervals: a rule that was only renamed has written them
/// by then.
async fn leave(group: &Arc<Group>, shared: &Arc<Shared>, run: &mut watch::Receiver<Run>) {
    let left = shared.clock.now_ms();
    let pause = group.spec.interval.saturating_mul(2);
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        _ = run.wait_for(|run| *run == Run::Shutdown) => return,
    }
    let (group, settled) = (Arc::clone(group), Arc::clone(shared));
    if let Ok(place) = shared.groups.wait().await {
        let _ = place.run(move || mark_stale(&group, group.take_series(), left, &settled)).await;
    }
}

/// Takes over the stored alerts, and stores them as they are now: with what the outage changed.
async fn restore_from_store(group: &Arc<Group>, saved: &SavedGroup, first: i64, shared: &Arc<Shared>) {
    let restored = restore::from_store(group, saved, first, shared.options.tolerance());
    let (group, shared) = (Arc::clone(group), Arc::clone(shared));
    let Ok(place) = shared.groups.wait().await else { return };
    let work = place.run(move || {
        // As if somebody had looked one interval ago: the rest of the outage is in the times of the alerts now.
        let told = Told { shared: &shared, group: &group, at: first.saturating_sub(interval_ms(&group)) };
        for (number, alerts, left) in &restored {
            told.changed(*number, alerts, left, true);
        }
    });
    let _ = work.await;
}

async fn restore_from_series(group: &Arc<Group>, shared: &Arc<Shared>) {
    let Ok(place) = shared.groups.wait().await else { return };
    let began = Instant::now();
    let (restored, source) = (Arc::clone(group), Arc::clone(shared));
    let now = shared.clock.now_ms();
    let work = place.run(move || {
        let alerts = restore::from_series(&restored, &*source.backend.db, now, source.options.tolerance());
        let told = Told { shared: &source, group: &restored, at: now };
        for (number, alerts) in &alerts {
            told.changed(*number, alerts, &[], true);
        }
    });
    let _ = work.await;
    shared.restored_one().await;
    shared.metrics.last_restore.get_or_create(&name(&group.key())).set(began.elapsed().as_secs_f64());
}

/// Stores what becomes of alerts, and hands them to those who notify.
struct Told<'a> {
    shared: &'a Shared,
    group: &'a Group,
    at: i64,
}

impl Listener for Told<'_> {
    fn changed(&self, number: usize, changed: &[Alert], forgotten: &[Labels], durably: bool) {
        let Some(rule) = self.group.keys.get(number) else { return };
        let known = self.shared.known.load();
        if !known.get(&self.group.key()).is_some_and(|rules| rules.contains(rule)) {
            // A reload has removed it meanwhile, and what was stored of it.
            return;
        }
        let change = Change { group: &self.group.key(), rule, at: self.at, changed, forgotten };
        self.shared.stored(self.shared.store.record(&change, durably));
    }

    fn send(&self, query: &str, alerts: Vec<Alert>) {
        let external: Arc<External> = self.shared.external.load_full();
        let generator_url = crate::template::table_link(query);
        let generator_url = format!("{}{generator_url}", external.url);
        let longest = interval_ms(self.group).max(self.shared.options.resend_delay_ms());
        let valid_until = self.at.saturating_add(longest.saturating_mul(VALID_INTERVALS));
        let told = |alert: Alert| {
            let times = (alert.fired_at.unwrap_or(alert.active_at), alert.resolved_at.unwrap_or(valid_until));
            notify::Alert::new(alert.labels, alert.annotations, times, generator_url.clone())
        };
        self.shared.notify.send(alerts.into_iter().map(told).collect());
    }
}
