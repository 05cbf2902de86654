//! Tests of the loop with scripted bodies and tokio's paused time.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::fetch::{FetchError, Fetched};
use super::super::ingest::tests::values;
use super::super::pool::{Pool, settle};
use super::super::target::Target;
use super::*;
use crate::config::{LoadOptions, parse};
use crate::discovery::TargetGroup;
use crate::model::Labels;
use crate::scrape::metrics::ScrapeMetrics;
use crate::scrape::shared::ScrapeOptions;
use crate::scrape::threads::ScrapeThreads;
use crate::telemetry::Registry;
use crate::tsdb::Tsdb;
use crate::tsdb::TsdbOptions;
use crate::util::Clock;

/// Wall time that follows tokio's.
struct TokioClock {
    start: Instant,
    /// How often it still panics.
    panics: AtomicU64,
}

impl TokioClock {
    fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), panics: AtomicU64::new(0) })
    }
}

impl Clock for TokioClock {
    fn now_ms(&self) -> i64 {
        let panics = self.panics.load(Ordering::Relaxed);
        self.panics.store(panics.saturating_sub(1), Ordering::Relaxed);
        assert_eq!(panics, 0, "on purpose");
        1_700_000_000_000 + i64::try_from(self.start.elapsed().as_millis()).expect("a short test")
    }
}

/// What a scripted target does with a request.
enum Step {
    Body(&'static str),
    Hang,
    Panic,
}

/// Plays its steps, then repeats what the target says, or `a 1`.
#[derive(Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    /// What targets say, by host.
    said: Mutex<HashMap<String, &'static str>>,
}

impl Fetch for Script {
    fn fetch<'a>(
        &'a self,
        _job: &'a ScrapeConfig,
        target: &'a Target,
        _request: &'a PreparedRequest,
        body: &'a mut Vec<u8>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        let said = || lock(&self.said).get(&target.url).copied().unwrap_or("a 1\n");
        let step = lock(&self.steps).pop_front().unwrap_or_else(|| Step::Body(said()));
        Box::pin(async move {
            match step {
                Step::Body(text) => body.extend_from_slice(text.as_bytes()),
                Step::Hang => std::future::pending().await,
                Step::Panic => panic!("on purpose"),
            }
            Ok(Fetched { content_type: "text/plain".to_owned(), gzip: false })
        })
    }
}

struct Bench {
    pool: Pool,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    script: Arc<Script>,
    clock: Arc<TokioClock>,
    _dir: tempfile::TempDir,
}

fn job(text: &str) -> Arc<ScrapeConfig> {
    let text = format!("scrape_configs:\n- job_name: j\n  scrape_interval: 10s\n{text}");
    Arc::clone(&parse(&text, "f", &LoadOptions::default()).expect("valid").scrape_configs[0])
}

fn group(addresses: &[&str]) -> Vec<Arc<TargetGroup>> {
    let targets = addresses.iter().map(|a| Labels::from_pairs([("__address__", a)])).collect();
    vec![Arc::new(TargetGroup { source: "s".to_owned(), targets, labels: Labels::empty() })]
}

impl Bench {
    fn new(steps: Vec<Step>) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut registry = Registry::default();
        let clock = TokioClock::new();
        let options = TsdbOptions::new(dir.path());
        let db = Arc::new(Tsdb::open(options, TokioClock::new(), &mut registry).expect("database opens"));
        let metrics = ScrapeMetrics::new(&mut registry);
        let options = ScrapeOptions::default();
        let shared = Shared {
            db,
            clock: Arc::<TokioClock>::clone(&clock),
            metrics,
            options,
            failure_logs: Arc::default(),
            families: Arc::default(),
            threads: Arc::new(ScrapeThreads::current()),
            elsewhere: Semaphore::new(2),
            seed: 0,
        };
        let shared = Arc::new(shared);
        let script = Arc::new(Script { steps: Mutex::new(steps.into()), said: Mutex::default() });
        let pool = Pool::new(Arc::clone(&shared), job(""), script.clone());
        Self { pool, shared, tasks: JoinSet::new(), script, clock, _dir: dir }
    }

    fn sync(&mut self, addresses: &[&str]) {
        self.change(addresses, None);
    }

    fn change(&mut self, addresses: &[&str], restart: Option<(Arc<ScrapeConfig>, Arc<dyn Fetch>)>) {
        let mut leaving = Vec::new();
        self.pool.sync(&group(addresses), restart, &mut self.tasks, &mut leaving);
        settle(std::iter::once(&mut self.pool), leaving);
    }

    fn say(&self, host: &str, body: &'static str) {
        lock(&self.script.said).insert(format!("http://{host}/metrics"), body);
    }

    /// Lets time pass until every one of `names` has a sample.
    async fn until_scraped(&self, names: &[&str]) {
        for _ in 0..400 {
            if names.iter().all(|name| !self.values(name).is_empty()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not all of {names:?} are there");
    }

    /// Waits until every loop that was told to has ended; the clock stands still unless it has to move.
    async fn until_settled(&mut self, running: usize) {
        while self.tasks.len() > running {
            self.tasks.join_next().await.expect("one ends").expect("no panic");
        }
    }

    fn values(&self, name: &str) -> Vec<String> {
        values(&self.shared.db, name).into_iter().map(|(_, values)| values).collect()
    }

    /// Lets time pass until `name` has `expected` values.
    async fn until(&self, name: &str, expected: &[&str]) {
        for _ in 0..400 {
            if self.values(name) == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("{name} is {:?}, not {expected:?}", self.values(name));
    }
}

#[tokio::test(start_paused = true)]
async fn scrapes_on_the_grid_and_bounds_the_time() {
    let mut b = Bench::new(vec![Step::Body("a 1\n"), Step::Hang, Step::Body("a 3\n")]);
    let before = b.shared.clock.now_ms();
    b.sync(&["h"]);
    b.until("up", &["1 0 1"]).await;
    // Three slots of ten seconds each, of which the first is at most one interval away.
    assert!(b.shared.clock.now_ms() - before <= 31_000);
    assert_eq!(b.values("a"), ["1 s 3"]);
    let view = b.pool.view();
    let last = lock(&view.active[0].last);
    assert_eq!((last.health, last.error.as_str()), (Health::Up, ""));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_is_marked_at_once() {
    let mut b = Bench::new(vec![]);
    b.sync(&["h", "k"]);
    b.until("up", &["1", "1"]).await;
    b.sync(&["k"]);
    assert!(b.tasks.join_next().await.expect("one loop ended").is_ok());
    assert_eq!(b.values("up")[0], "1 s");
    assert_eq!(b.values("a")[0], "1 s");
}

#[tokio::test(start_paused = true)]
async fn shutdown_leaves_no_markers() {
    let mut b = Bench::new(vec![]);
    b.sync(&["h"]);
    b.until("up", &["1"]).await;
    b.pool.shut_down();
    assert!(b.tasks.join_next().await.expect("the loop ended").is_ok());
    assert_eq!(values(&b.shared.db, "up")[0].1, "1");
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_target_keeps_its_loop_and_a_changed_job_hands_its_series_over() {
    let mut b = Bench::new(vec![Step::Body("a 1\nb 1\n"), Step::Body("a 2\n")]);
    b.sync(&["h"]);
    b.until("up", &["1"]).await;
    let before = Arc::clone(&b.pool.view().active[0]);
    b.sync(&["h"]);
    assert!(Arc::ptr_eq(&before, &b.pool.view().active[0]));
    let restart = (job("  honor_labels: true\n"), b.script.clone() as Arc<dyn Fetch>);
    b.change(&["h"], Some(restart));
    assert!(!Arc::ptr_eq(&before, &b.pool.view().active[0]));
    b.until("up", &["1 1"]).await;
    assert_eq!(b.values("a"), ["1 2"]);
    assert_eq!(b.values("b"), ["1 s"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_counted_and_the_loop_goes_on() {
    let mut b = Bench::new(vec![Step::Body("a 1\n"), Step::Panic, Step::Body("a 3\n")]);
    b.sync(&["h"]);
    b.until("up", &["1 1"]).await;
    assert_eq!(b.shared.metrics.panics.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn too_many_targets_are_all_down() {
    let mut b = Bench::new(vec![Step::Body("first 1\n")]);
    let restart = (job("  target_limit: 1\n"), b.script.clone() as Arc<dyn Fetch>);
    b.change(&["h", "k"], Some(restart));
    b.until("up", &["0", "0"]).await;
    assert_eq!(lock(&b.script.steps).len(), 1, "nobody is asked");
    assert!(lock(&b.pool.view().active[0].last).error.contains("target limit of 1"));
    b.sync(&["h"]);
    b.until("up", &["0 1", "0 s"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_live_before_a_panic_goes_stale_after_it() {
    let mut b = Bench::new(vec![Step::Body("a 1\nb 1\n"), Step::Panic, Step::Body("a 3\n")]);
    b.sync(&["h"]);
    b.until("up", &["1 1"]).await;
    assert_eq!((b.values("a"), b.values("b")), (vec!["1 3".to_owned()], vec!["1 s".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_when_it_ends_tries_again_some_times_and_not_at_once() {
    for (panics, marked) in [(1, true), (LEAVE_ATTEMPTS - 1, true), (100, false)] {
        let mut b = Bench::new(vec![]);
        b.sync(&["h"]);
        b.until("up", &["1"]).await;
        let before = b.clock.start.elapsed();
        b.clock.panics.store(panics, Ordering::Relaxed);
        b.sync(&[]);
        b.until_settled(0).await;
        assert_eq!(b.values("up")[0].contains('s'), marked, "{panics}");
        assert_eq!(b.values("a")[0].contains('s'), marked, "{panics}");
        assert_eq!(b.shared.metrics.panics.count(), panics.min(LEAVE_ATTEMPTS));
        // Tokio's time, which stands still unless all wait.
        let pauses = u32::try_from(panics.min(LEAVE_ATTEMPTS - 1)).expect("small");
        assert!(b.clock.start.elapsed() >= before + pauses * AFTER_PANIC, "{panics}");
    }
}

/// Targets of these addresses that are the same in all they call themselves.
const SAME_LABELS: &str = "  relabel_configs: [{target_label: instance, replacement: i}]\n";

#[tokio::test(start_paused = true)]
async fn targets_with_equal_labels_come_and_go_without_a_gap_for_the_others() {
    let mut b = Bench::new(vec![]);
    b.say("h", "own_h 1\nshared 1\n");
    b.say("k", "own_k 1\nshared 1\n");
    b.say("l", "own_l 1\nshared 1\n");
    let restart = (job(SAME_LABELS), b.script.clone() as Arc<dyn Fetch>);
    b.change(&["h", "k", "l"], Some(restart));
    b.until_scraped(&["own_h", "own_k", "own_l"]).await;
    // One goes: only what nobody else has goes stale, and that at once.
    b.sync(&["k", "l"]);
    b.until_settled(2).await;
    let stale = |b: &Bench, name: &str| b.values(name)[0].contains('s');
    assert!(stale(&b, "own_h"));
    assert!(!stale(&b, "shared") && !stale(&b, "own_k") && !stale(&b, "own_l") && !stale(&b, "up"));
    // All get new loops, each with what its URL had before.
    let restart = (job(&format!("{SAME_LABELS}  honor_labels: true\n")), b.script.clone() as Arc<dyn Fetch>);
    b.change(&["k", "l"], Some(restart));
    b.until_settled(2).await;
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert!(!stale(&b, "shared") && !stale(&b, "own_k") && !stale(&b, "own_l") && !stale(&b, "up"));
    // All but one go, and it comes under another URL.
    b.say("m", "own_k 1\nshared 1\n");
    b.sync(&["m"]);
    b.until_settled(1).await;
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert!(!stale(&b, "shared") && !stale(&b, "own_k") && stale(&b, "own_l") && !stale(&b, "up"));
    b.sync(&[]);
    b.until_settled(0).await;
    assert!(stale(&b, "shared") && stale(&b, "own_k") && stale(&b, "up"));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_gets_another_name_leaves_no_gap_where_its_labels_stay() {
    let mut b = Bench::new(vec![]);
    let labels = "  relabel_configs: [{target_label: job, replacement: same}]\n";
    let restart = (job(labels), b.script.clone() as Arc<dyn Fetch>);
    b.change(&["h"], Some(restart));
    b.until_scraped(&["a"]).await;
    let mut renamed = (*job(labels)).clone();
    renamed.job_name = "renamed".to_owned();
    let mut next = Pool::new(Arc::clone(&b.shared), Arc::new(renamed), b.script.clone());
    let mut leaving = Vec::new();
    std::mem::replace(&mut b.pool, Pool::new(Arc::clone(&b.shared), job(""), b.script.clone()))
        .leave(&mut leaving);
    next.sync(&group(&["h"]), None, &mut b.tasks, &mut leaving);
    settle(std::iter::once(&mut next), leaving);
    b.until_settled(1).await;
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert!(!b.values("a")[0].contains('s') && !b.values("up")[0].contains('s'), "{:?}", b.values("a"));
}
