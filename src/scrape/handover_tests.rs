//! Tests of what becomes of the series of loops that end in whatever order, against a real database.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::super::families::Families;
use super::super::ingest::tests::values;
use super::super::metrics::ScrapeMetrics;
use super::super::quotas::JobQuota;
use super::super::shared::ScrapeOptions;
use super::super::summary::Failure;
use super::super::target::Target;
use super::super::threads::ScrapeThreads;
use super::*;
use crate::config::{LoadOptions, parse};
use crate::expfmt::{Encoding, Format};
use crate::model::Labels;
use crate::telemetry::Registry;
use crate::tsdb::{Tsdb, TsdbOptions};
use crate::util::ManualClock;

const T0: i64 = 1_700_000_000_000;

struct Bench {
    shared: Shared,
    _dir: tempfile::TempDir,
}

/// Of targets with equal labels.
struct Loop {
    ingest: Arc<Mutex<Ingest>>,
    inbox: Arc<Inbox>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut registry = Registry::default();
        let clock = Arc::new(ManualClock::new(T0 + 10_000));
        let options = TsdbOptions::new(dir.path());
        let db =
            Tsdb::open(options, Arc::<ManualClock>::clone(&clock), &mut registry).expect("database opens");
        let metrics = ScrapeMetrics::new(&mut registry);
        let options = ScrapeOptions::default();
        let shared = Shared {
            db: Arc::new(db),
            clock,
            metrics,
            options,
            failure_logs: Arc::default(),
            families: Arc::default(),
            threads: Arc::new(ScrapeThreads::current()),
            elsewhere: Semaphore::new(1),
            seed: 0,
        };
        Self { shared, _dir: dir }
    }

    fn start(&self) -> Loop {
        let text = "scrape_configs:\n- job_name: j\n";
        let config = parse(text, "f", &LoadOptions::default()).expect("valid");
        let labels = Labels::from_pairs([("instance", "h"), ("job", "j")]);
        let job = Arc::clone(&config.scrape_configs[0]);
        let ingest = Ingest::new(
            Arc::clone(&job),
            &Target::plain(&job, labels),
            ScrapeOptions::default(),
            Families::new(&self.shared.families),
            &JobQuota::new(&job),
            &self.shared.db,
        );
        Loop { ingest: Arc::new(Mutex::new(ingest)), inbox: Arc::default() }
    }

    /// Has `of` scrape series `a`, or find its target down, at `seconds`.
    fn scrape(&self, of: &Loop, seconds: i64, up: bool) {
        let body =
            if up { Ok((&b"a 1\n"[..], Encoding::Text(Format::Text))) } else { Err(Failure::new("down")) };
        let mut ingest = lock(&of.ingest);
        ingest.inherit(of.inbox.take());
        let Shared { db, metrics, .. } = &self.shared;
        ingest.scrape(db, metrics, T0 + seconds * 1000, body, || Duration::ZERO);
    }

    fn end(&self, of: &Loop, heir: Option<&Loop>, others: &[&Loop]) {
        let heir = heir.map(|heir| Arc::clone(&heir.inbox));
        let others = others.iter().map(|other| (Arc::clone(&other.ingest), Arc::clone(&other.inbox)));
        let leaving = Arc::new(Leaving { heir, others: others.collect() });
        leaving.carry_out(&self.shared, &of.ingest, &of.inbox);
    }

    /// The values of `a` and of `up`.
    fn values(&self) -> [String; 2] {
        ["a", "up"].map(|name| values(&self.shared.db, name).pop().map_or_else(String::new, |(_, all)| all))
    }
}

#[test]
fn an_heir_that_ended_first_takes_nothing_and_all_is_marked() {
    let b = Bench::new();
    let (old, heir) = (b.start(), b.start());
    b.scrape(&old, 1, true);
    b.end(&heir, None, &[]);
    assert_eq!(b.values(), ["1", "1"]);
    b.end(&old, Some(&heir), &[]);
    assert_eq!(b.values(), ["1 s", "1 s"]);
}

#[test]
fn reports_of_a_target_that_is_down_are_marked_by_an_heir_that_never_scraped() {
    let b = Bench::new();
    let (old, heir) = (b.start(), b.start());
    b.scrape(&old, 1, false);
    b.end(&old, Some(&heir), &[]);
    assert_eq!(b.values(), ["", "0"]);
    b.end(&heir, None, &[]);
    assert_eq!(b.values(), ["", "0 s"]);
}

#[test]
fn series_go_to_the_heir_of_an_heir_that_ended_first() {
    let b = Bench::new();
    let (old, heir, next) = (b.start(), b.start(), b.start());
    b.scrape(&old, 1, true);
    b.end(&heir, Some(&next), &[]);
    b.end(&old, Some(&heir), &[]);
    assert_eq!(b.values(), ["1", "1"]);
    b.scrape(&next, 2, true);
    assert_eq!(b.values(), ["1 1", "1 1"]);
    b.end(&next, None, &[]);
    assert_eq!(b.values(), ["1 1 s", "1 1 s"]);
}

#[test]
fn series_of_a_loop_that_goes_on_beside_an_heir_that_ended_first_stay() {
    let b = Bench::new();
    let (old, heir, beside) = (b.start(), b.start(), b.start());
    b.scrape(&old, 1, true);
    b.scrape(&beside, 2, true);
    b.end(&heir, None, &[&beside]);
    b.end(&old, Some(&heir), &[]);
    assert_eq!(b.values(), ["1 1", "1 1"]);
    b.end(&beside, None, &[]);
    assert_eq!(b.values(), ["1 1 s", "1 1 s"]);
}

#[test]
fn reports_are_marked_whichever_of_two_loops_ends_last_though_it_never_scraped() {
    for beside_first in [true, false] {
        let b = Bench::new();
        let (old, beside) = (b.start(), b.start());
        b.scrape(&old, 1, true);
        if beside_first {
            b.end(&beside, None, &[]);
        }
        b.end(&old, None, &[&beside]);
        if !beside_first {
            assert_eq!(b.values(), ["1 s", "1"]);
            b.end(&beside, None, &[]);
        }
        assert_eq!(b.values(), ["1 s", "1 s"], "{beside_first}");
    }
}
