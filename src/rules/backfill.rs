//! Recording rules over the past, straight into blocks of the database.
//!
//! A window of time after the other: all rules of all groups are evaluated over it into memory, in the order of the
//! files, and its samples are published as one block. Evaluation times are the slots that the server gives each group,
//! so that what it wrote itself meanwhile is written over with the same timestamps, and doing it again changes nothing.
//! Alerting rules are left out: their alerts would be sent to nobody.
//!
//! **Bounds**: `MAX_SAMPLES` samples in memory; a window that has more is cut in two.

use std::sync::Arc;

use super::lab::error::Error as LabError;
use super::lab::given::{Given, MAX_SAMPLES};
use super::lab::overlay::{Overlay, Recorded};
use super::lab::pieces::Steps;
use super::lab::play::Lab;
use super::load::GroupSpec;
use super::rule::Rule;
use crate::model::{Exemplar, Labels, Samples, TimeRange};
use crate::promql::MatrixSeries;
use crate::storage::{SeriesSet, StorageError};
use crate::tsdb::{self, Tsdb};
use crate::util::{Slots, stable_hash};

/// Longest window: blocks of imports cover as much.
const WINDOW_MS: i64 = 24 * 3_600_000;
/// Shortest one; what has too many samples even then is too much.
const MIN_WINDOW_MS: i64 = 60_000;

/// Nobody is asked any more after so many evaluations in a row that did not reach who is asked.
const MAX_UNREACHED: usize = 3;

/// Why a backfill ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A minute of the rules has more samples than are held.
    #[error("a minute of what the rules give has more than {MAX_SAMPLES} samples")]
    TooMany,
    /// Blocks could not be written.
    #[error("{0}")]
    Write(#[from] tsdb::Error),
    /// Samples in memory could not be read.
    #[error("{0}")]
    Storage(#[from] StorageError),
}

/// One rule over a number of evaluations, for whoever evaluates it elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Evaluation<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Time of the first query, in milliseconds.
    pub start: i64,
    /// Time of the last one.
    pub end: i64,
    /// Milliseconds from one to the next.
    pub interval: i64,
}

/// Why a rule was not evaluated elsewhere, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// The query failed, or its reply makes no sense.
    Failed(String),
    /// Nobody was there to ask, however often that was tried.
    Unreached(String),
}

/// What a rule gives elsewhere.
pub type Answer = Result<Vec<MatrixSeries>, Unanswered>;

/// Where the rules are evaluated.
pub enum Source<'a> {
    /// The database that is written to: each rule sees what earlier ones gave.
    Database(Lab<'a>),
    /// Somewhere else: rules see what is there.
    Elsewhere(&'a mut dyn FnMut(Evaluation<'_>) -> Answer),
}

/// What is to be done.
pub struct Job<'a> {
    /// The groups, in the order in which they are evaluated.
    pub groups: &'a [GroupSpec],
    /// First time of a sample, in milliseconds.
    pub start: i64,
    /// Last time of a sample, in milliseconds.
    pub end: i64,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Report {
    /// Samples written.
    pub samples: u64,
    /// Blocks written.
    pub blocks: usize,
    /// Rules that failed, each once: what else they gave is written.
    pub failed: Vec<Failed>,
    /// That the rest was not tried.
    pub stopped: Option<Stopped>,
}

/// Why a backfill stopped before its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The time to go on with, in milliseconds.
    pub from: i64,
    /// Why who is asked was not reached.
    pub reason: String,
}

/// Evaluations in a row that did not reach who is asked.
#[derive(Debug, Default)]
struct Unreached {
    count: usize,
    /// Begin of the window of the first of them.
    from: i64,
    reason: String,
}

impl Unreached {
    fn is_enough(&self) -> bool {
        self.count >= MAX_UNREACHED
    }

    fn note(&mut self, window: TimeRange, answer: &Answer) {
        match answer {
            Err(Unanswered::Unreached(reason)) => {
                self.from = if self.count == 0 { window.start } else { self.from };
                self.count += 1;
                self.reason.clone_from(reason);
            }
            _ => self.count = 0,
        }
    }
}

/// A rule of which some or all evaluations failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failed {
    /// The name of its group.
    pub group: String,
    /// Its name.
    pub rule: String,
    /// How many evaluations failed.
    pub evaluations: u64,
    /// The windows of time in which they did, in order; adjacent ones are one.
    pub windows: Vec<TimeRange>,
    /// Why the first of these did.
    pub reason: String,
}

impl Report {
    fn fail(&mut self, window: TimeRange, (group, rule, evaluations, reason): Fault<'_>) {
        let known = |failed: &Failed| failed.group == group.name && failed.rule == rule.name;
        let evaluations = evaluations as u64;
        if let Some(failed) = self.failed.iter_mut().find(|failed| known(failed)) {
            failed.evaluations += evaluations;
            match failed.windows.last_mut() {
                Some(last) if last.end.saturating_add(1) >= window.start => last.end = window.end,
                _ => failed.windows.push(window),
            }
        } else {
            let (group, rule) = (group.name.clone(), rule.name.clone());
            self.failed.push(Failed { group, rule, evaluations, windows: vec![window], reason });
        }
    }
}

/// Evaluates the recording rules and writes what they give to `db`. `note` is told the end of each window that is done,
/// in milliseconds, and the samples so far. Where who is asked is not reached any more, it stops.
///
/// # Errors
/// When blocks cannot be written. What was written before stays.
pub fn backfill(
    job: &Job<'_>,
    source: &mut Source<'_>,
    db: &Tsdb,
    mut note: impl FnMut(i64, u64),
) -> Result<Report, Error> {
    let (mut report, mut unreached) = (Report::default(), Unreached::default());
    let (mut start, mut length) = (job.start, WINDOW_MS);
    while start <= job.end {
        let window_end = (start.div_euclid(length) + 1).saturating_mul(length) - 1;
        let window = TimeRange::new(start, window_end.min(job.end));
        match evaluate(job, source, window, &mut unreached) {
            _ if unreached.is_enough() => {
                report.stopped = Some(Stopped { from: unreached.from, reason: unreached.reason });
                break;
            }
            Some((recorded, failed)) => {
                failed.into_iter().for_each(|fault| report.fail(window, fault));
                write(&recorded, window, db, &mut report)?;
            }
            None if length / 2 < MIN_WINDOW_MS => return Err(Error::TooMany),
            None => {
                length /= 2;
                continue;
            }
        }
        note(window.end, report.samples);
        start = window.end.saturating_add(1);
    }
    Ok(report)
}

/// A rule of which so many evaluations failed, and why.
type Fault<'a> = (&'a GroupSpec, &'a Rule, usize, String);

/// What all rules give in a window, and those that failed; nothing where that is more than is held, or enough of them did
/// not reach who is asked.
fn evaluate<'a>(
    job: &Job<'a>,
    source: &mut Source<'_>,
    window: TimeRange,
    unreached: &mut Unreached,
) -> Option<(Arc<Recorded>, Vec<Fault<'a>>)> {
    let (mut recorded, mut failed) = (Arc::new(Recorded::within(window)), Vec::new());
    for group in job.groups {
        let ms = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let (interval, offset) = (ms(group.interval), ms(group.query_offset.unwrap_or_default()));
        let Some(steps) = steps(group, (interval, offset), window, job.start) else { continue };
        for rule in group.rules.iter().filter(|rule| rule.alerting.is_none()) {
            let given = match source {
                Source::Database(lab) => {
                    let overlay = Overlay { stored: lab.source, recorded: Arc::clone(&recorded) };
                    recorded.evaluate(&Lab { source: &overlay, ..*lab }, rule, steps, (offset, group.limit))
                }
                Source::Elsewhere(ask) => {
                    let answer = ask_elsewhere(*ask, rule, steps, offset);
                    unreached.note(window, &answer);
                    if unreached.is_enough() {
                        return None;
                    }
                    elsewhere(answer, &recorded, rule, steps, (offset, group.limit))
                }
            };
            match given {
                Err(LabError::TooManyRecorded { .. }) => return None,
                Err(error) => {
                    let inside = inside(steps, offset, window);
                    failed.push((group, rule, inside.count(), error.to_string()));
                }
                Ok(given) => {
                    let times = given.failed.iter().filter(|time| window.contains(**time)).count();
                    if times > 0 {
                        failed.push((group, rule, times, given.reason.clone()));
                    }
                    let mut more = Arc::into_inner(recorded).unwrap_or_else(|| Recorded::within(window));
                    more.add(given);
                    recorded = Arc::new(more);
                }
            }
        }
    }
    Some((recorded, failed))
}

/// The times of the queries that lie in the window.
fn inside(steps: Steps, offset: i64, window: TimeRange) -> impl Iterator<Item = i64> {
    let times = (0..steps.count).map(move |step| steps.time(step).saturating_sub(offset));
    times.filter(move |time| window.contains(*time))
}

/// The evaluations of a group of which the samples lie in a window. There is one more before it, unless that is before
/// everything: a series that ends there is marked stale in this window.
fn steps(group: &GroupSpec, (interval, offset): (i64, i64), window: TimeRange, start: i64) -> Option<Steps> {
    let hash = stable_hash([group.file.as_str(), group.name.as_str()]);
    let end = window.end.saturating_add(offset);
    let first = Slots::new(interval, hash).after(window.start.saturating_add(offset).saturating_sub(1));
    if first > end {
        return None;
    }
    let before = first.saturating_sub(interval);
    let first = if before.saturating_sub(offset) >= start { before } else { first };
    let count = usize::try_from((end - first) / interval).unwrap_or(usize::MAX).saturating_add(1);
    Some(Steps { first, interval, count })
}

fn ask_elsewhere(
    ask: &mut dyn FnMut(Evaluation<'_>) -> Answer,
    rule: &Rule,
    steps: Steps,
    offset: i64,
) -> Answer {
    let start = steps.time(0).saturating_sub(offset);
    let end = steps.time(steps.count - 1).saturating_sub(offset);
    ask(Evaluation { rule, start, end, interval: steps.interval })
}

fn elsewhere(
    answer: Answer,
    recorded: &Recorded,
    rule: &Rule,
    steps: Steps,
    (offset, limit): (i64, usize),
) -> Result<Given, LabError> {
    let found =
        answer.map_err(|(Unanswered::Failed(why) | Unanswered::Unreached(why))| LabError::Elsewhere(why))?;
    let mut giving = recorded.begin(rule, limit);
    found.iter().try_for_each(|series| giving.add(series))?;
    Ok(giving.finish(steps, offset))
}

fn write(recorded: &Recorded, window: TimeRange, db: &Tsdb, report: &mut Report) -> Result<(), Error> {
    let set = Set(recorded.series().iter().collect());
    let times = recorded.series().values().filter_map(|samples| {
        let inside = samples.timestamps.iter().filter(|time| window.contains(**time));
        let mut inside = inside.copied();
        let first = inside.next()?;
        Some((first, inside.next_back().unwrap_or(first)))
    });
    // No wider than the data, so that it does not seem to overlap with what comes later.
    let Some((first, last)) = times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else { return Ok(()) };
    let mut import = db.import()?;
    let none = Vec::<(Labels, Vec<Exemplar>)>::new();
    if let Some(meta) = import.write(&set, &none, first, last.saturating_add(1))? {
        report.blocks += 1;
        report.samples += meta.samples;
    }
    import.publish()?;
    Ok(())
}

/// Recorded series to write.
struct Set<'a>(Vec<(&'a Labels, &'a Samples)>);

impl SeriesSet for Set<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.0[index].0.clone()
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        out.clear();
        out.extend_from(self.0[index].1, range);
        Ok(())
    }
}

#[cfg(test)]
#[path = "backfill_tests.rs"]
mod tests;
