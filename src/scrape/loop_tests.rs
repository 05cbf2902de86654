//! Tests of the loop with scripted bodies and tokio's paused time.

use std::collections::VecDeque;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use super::super::fetch::{FetchError, Fetched};
use super::super::ingest::tests::values;
use super::super::pool::Pool;
use super::super::target::Target;
use super::*;
use crate::config::{LoadOptions, parse};
use crate::discovery::TargetGroup;
use crate::model::Labels;
use crate::telemetry::Registry;
use crate::tsdb::TsdbOptions;

/// Wall time that follows tokio's.
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).expect("a short test")
    }
}

/// What a scripted target does with a request.
enum Step {
    Body(&'static str),
    Hang,
    Panic,
}

/// Plays its steps, then repeats `a 1`.
#[derive(Default)]
struct Script(Mutex<VecDeque<Step>>);

impl Fetch for Script {
    fn fetch<'a>(
        &'a self,
        _job: &'a ScrapeConfig,
        _target: &'a Target,
        body: &'a mut Vec<u8>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        let step = lock(&self.0).pop_front().unwrap_or(Step::Body("a 1\n"));
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
        let clock: Arc<dyn Clock> = Arc::new(TokioClock(Instant::now()));
        let options = TsdbOptions::new(dir.path());
        let db = Arc::new(Tsdb::open(options, Arc::clone(&clock), &mut registry).expect("database opens"));
        let metrics = ScrapeMetrics::new(&mut registry);
        let options = ScrapeOptions::default();
        let shared = Arc::new(Shared { db, clock, metrics, options, threads: Semaphore::new(2), seed: 0 });
        let script = Arc::new(Script(Mutex::new(steps.into())));
        let pool = Pool::new(Arc::clone(&shared), job(""), script.clone());
        Self { pool, shared, tasks: JoinSet::new(), script, _dir: dir }
    }

    fn sync(&mut self, addresses: &[&str]) {
        self.pool.sync(&group(addresses), None, &mut self.tasks);
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
    b.pool.end(Run::Shutdown);
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
    b.pool.sync(&group(&["h"]), Some(restart), &mut b.tasks);
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
    let mut b = Bench::new(vec![]);
    let restart = (job("  target_limit: 1\n"), b.script.clone() as Arc<dyn Fetch>);
    b.pool.sync(&group(&["h", "k"]), Some(restart), &mut b.tasks);
    b.until("up", &["0", "0"]).await;
    assert!(lock(&b.pool.view().active[0].last).error.contains("target limit of 1"));
    b.sync(&["h"]);
    b.until("up", &["0 1", "0 s"]).await;
}
