//! Which targets a job has, and what is told of those that it has not.

use std::collections::BTreeMap;

use super::*;
use crate::config::{LoadOptions, parse};
use crate::discovery::TargetGroup;
use crate::net::PreparedRequest;
use crate::scrape::fetch::{FetchError, Fetched};
use crate::scrape::metrics::ScrapeMetrics;
use crate::scrape::shared::ScrapeOptions;
use crate::scrape::threads::ScrapeThreads;
use crate::telemetry::Registry;
use crate::tsdb::{Tsdb, TsdbOptions};
use crate::util::ManualClock;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// Targets that never answer.
struct Silence;

impl Fetch for Silence {
    fn fetch<'a>(
        &'a self,
        _job: &'a ScrapeConfig,
        _target: &'a Target,
        _request: &'a PreparedRequest,
        _body: &'a mut Vec<u8>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        Box::pin(std::future::pending())
    }
}

struct Bench {
    pool: Pool,
    tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new(job: &str) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut registry = Registry::default();
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        let db =
            Tsdb::open(TsdbOptions::new(dir.path()), clock.clone(), &mut registry).expect("database opens");
        let shared = Shared {
            db: Arc::new(db),
            clock,
            metrics: ScrapeMetrics::new(&mut registry),
            options: ScrapeOptions::default(),
            failure_logs: Arc::default(),
            families: Arc::default(),
            threads: Arc::new(ScrapeThreads::current()),
            elsewhere: Semaphore::new(2),
            seed: 0,
        };
        let text = format!("scrape_configs:\n- job_name: j\n{job}");
        let job = Arc::clone(&parse(&text, "f", &LoadOptions::default()).expect("valid").scrape_configs[0]);
        let pool = Pool::new(Arc::new(shared), job, Arc::new(Silence));
        Self { pool, tasks: JoinSet::new(), _dir: dir }
    }

    /// Gives the pool targets with these labels; says which addresses are scraped.
    fn sync(&mut self, targets: &[&[(&str, &str)]]) -> Vec<String> {
        let targets = targets.iter().map(|labels| Labels::from_pairs(labels.iter().copied())).collect();
        let group = TargetGroup { source: "s".to_owned(), targets, labels: Labels::empty() };
        let mut leaving = Vec::new();
        self.pool.sync(&[Arc::new(group)], None, &mut self.tasks, &mut leaving);
        settle(std::iter::once(&mut self.pool), leaving);
        let active = self.pool.view().active;
        active.iter().map(|state| state.target.url.clone()).collect()
    }

    fn failed(&self) -> u64 {
        self.pool.shared.metrics.sync_failed.get()
    }
}

#[tokio::test]
async fn targets_that_are_the_same_are_scraped_once() {
    let mut b = Bench::new("  relabel_configs: [{action: labeldrop, regex: shard}]\n");
    let h: &[(&str, &str)] = &[("__address__", "h")];
    let also_h: &[(&str, &str)] = &[("__address__", "h"), ("shard", "2")];
    let other: &[(&str, &str)] = &[("__address__", "h"), ("a", "b")];
    let path: &[(&str, &str)] = &[("__address__", "h"), ("__metrics_path__", "/p")];
    assert_eq!(b.sync(&[h, also_h, h]), ["http://h/metrics"]);
    assert_eq!(b.sync(&[h, other, path]).len(), 3, "other labels or another URL are another target");
}

#[tokio::test]
async fn a_target_that_cannot_be_scraped_takes_no_other_one_with_it() {
    let mut b = Bench::new("  relabel_configs: [{target_label: a, replacement: b}]\n");
    let targets: &[&[(&str, &str)]] = &[
        &[("__address__", "good")],
        &[("x", "no address")],
        &[("__address__", "http://x")],
        &[("__address__", "a"), ("__scrape_interval__", "0s")],
        &[("__address__", "a"), ("__scrape_timeout__", "0s")],
        &[("__address__", "a"), ("__scrape_timeout__", "2m")],
        &[("__address__", "a"), ("__scrape_interval__", "often")],
        &[("__address__", "a"), ("__scrape_native_histograms__", "maybe")],
    ];
    assert_eq!(b.sync(targets), ["http://good/metrics"]);
    assert_eq!(b.failed(), 7);
    // They are told again as long as they are there.
    assert_eq!(b.sync(&targets[..2]), ["http://good/metrics"]);
    assert_eq!((b.failed(), b.pool.view().dropped_count), (8, 0));
}

#[tokio::test]
async fn some_dropped_targets_are_kept_and_all_are_counted() {
    let rule = "  relabel_configs: [{action: drop, source_labels: [__address__], regex: 'd.*'}]\n";
    for (keep, kept) in [("", 3), ("  keep_dropped_targets: 2\n", 2), ("  keep_dropped_targets: 9\n", 3)] {
        let mut b = Bench::new(&format!("{keep}{rule}"));
        let targets: [&[(&str, &str)]; 4] = [
            &[("__address__", "d1")],
            &[("__address__", "a")],
            &[("__address__", "d2")],
            &[("__address__", "d3")],
        ];
        assert_eq!(b.sync(&targets), ["http://a/metrics"]);
        let view = b.pool.view();
        assert_eq!((view.dropped.len(), view.dropped_count, b.failed()), (kept, 3, 0), "{keep}");
        // What is shown of them is what they were before the rules.
        let shown: BTreeMap<&str, &str> = view.dropped[0].iter().collect();
        assert_eq!((shown["__address__"], shown["job"], shown["__scheme__"]), ("d1", "j", "http"));
    }
}

#[tokio::test]
async fn dropped_and_equal_targets_do_not_count_for_the_limit() {
    let rule =
        "  target_limit: 2\n  relabel_configs: [{action: drop, source_labels: [__address__], regex: d}]\n";
    let mut b = Bench::new(rule);
    let [one, two, three, dropped]: [&[(&str, &str)]; 4] =
        [&[("__address__", "1")], &[("__address__", "2")], &[("__address__", "3")], &[("__address__", "d")]];
    let forbidden = |b: &Bench| lock(&b.pool.forbidden).clone();
    b.sync(&[one, two, two, dropped]);
    assert_eq!(forbidden(&b), None);
    b.sync(&[one, two, three]);
    assert_eq!(forbidden(&b).as_deref(), Some("target limit of 2 exceeded: the job has 3 targets"));
    assert_eq!(b.pool.shared.metrics.over_target_limit.get(), 1);
    b.sync(&[one]);
    assert_eq!(forbidden(&b), None);
}
