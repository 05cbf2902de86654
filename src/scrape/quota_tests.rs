//! Tests of soft quotas against a real database.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::tests::{Bench, T0};
use super::*;
use crate::scrape::explosion::Explosion;
use crate::scrape::target::Target;
use crate::tsdb::{Limits, MemoryUse, NoNewSeries};

/// A body with series `name` with label `n` of each number.
fn body(name: &str, numbers: std::ops::Range<u32>) -> String {
    let mut text = String::new();
    for number in numbers {
        writeln!(text, "{name}{{n=\"{number}\"}} 1").expect("written");
    }
    text
}

/// How many series were refused in a scrape, and why.
fn refused(summary: &Summary) -> (u64, Option<QuotaReached>) {
    let refused = summary.refused_series.as_ref();
    (refused.map_or(0, |refused| refused.count), refused.map(|refused| refused.reason.clone()))
}

/// Samples of each of the series called `name`, stale markers left out.
fn counts(b: &Bench, name: &str) -> Vec<usize> {
    let values = b.values(name);
    values.iter().map(|(_, values)| values.split(' ').filter(|value| *value != "s").count()).collect()
}

#[test]
fn a_target_over_its_quota_keeps_its_series_and_gets_no_new_ones() {
    let mut b = Bench::new("  target_series_quota: 10\n");
    assert_eq!(refused(&b.scrape(&body("a", 0..10))), (0, None));
    let summary = b.scrape(&format!("{}{}", body("b", 0..5), body("a", 0..10)));
    assert_eq!(refused(&summary), (5, Some(QuotaReached::Target(10))));
    assert_eq!(summary.error, None);
    assert_eq!((summary.counts.scraped, summary.counts.kept, summary.counts.added), (15, 15, 0));
    assert_eq!(counts(&b, "a"), [2; 10]);
    assert!(counts(&b, "b").is_empty());
    let told = b.values("scrape_series_refused");
    assert_eq!(told.iter().map(|(_, values)| values.as_str()).collect::<Vec<_>>(), ["0 5"]);
    assert_eq!(b.metrics.series_refused.get(), 5);
    // Four series went, and four of five take their place, once that is known.
    b.scrape(&format!("{}{}", body("b", 0..5), body("a", 0..6)));
    let summary = b.scrape(&format!("{}{}", body("b", 0..5), body("a", 0..6)));
    assert_eq!(refused(&summary), (1, Some(QuotaReached::Target(10))));
    assert_eq!(counts(&b, "b"), [1; 4]);
}

#[test]
fn without_a_quota_nothing_is_told() {
    let mut b = Bench::new("");
    b.scrape(&body("a", 0..100));
    assert!(b.values("scrape_series_refused").is_empty());
}

#[test]
fn what_explodes_is_named() {
    let mut b = Bench::new("  target_series_quota: 3\n");
    let text = format!("{}x 1\ny 1\n", body("a", 0..7));
    let summary = b.scrape(&text);
    let explosion = Explosion { metric: "a".into(), series: 7, label: Some("n".into()), values: 7 };
    assert_eq!(summary.refused_series.and_then(|refused| refused.explosion), Some(explosion));
    assert_eq!(
        b.scrape(&text).refused_series.and_then(|refused| refused.explosion),
        None,
        "now and then only"
    );
}

#[test]
fn what_metric_relabelling_drops_does_not_explode() {
    let job = "  target_series_quota: 1\n  metric_relabel_configs:\n  - source_labels: [__name__]\n    regex: a\n    action: drop\n";
    let mut b = Bench::new(job);
    let summary = b.scrape(&format!("{}{}", body("a", 0..7), body("b", 0..2)));
    assert_eq!(refused(&summary), (1, Some(QuotaReached::Target(1))));
    let metric = summary.refused_series.and_then(|refused| refused.explosion).map(|found| found.metric);
    assert_eq!(metric.as_deref(), Some("b"));
}

/// A second target of the job of `b`, with its loop's quota.
fn another(b: &Bench, instance: &str, quota: &Arc<JobQuota>) -> Ingest {
    let labels = Labels::from_pairs([("instance", instance), ("job", "j")]);
    let target = Target::plain(&b.ingest.job, labels);
    let job = Arc::clone(&b.ingest.job);
    let families = Families::new(&Arc::default());
    Ingest::new(job, &target, ScrapeOptions::default(), families, quota, &b.db)
}

fn scrape(b: &mut Bench, ingest: &mut Ingest, text: &str) -> Summary {
    b.now += 1000;
    let body = Ok((text.as_bytes(), Encoding::Text(crate::expfmt::Format::Text)));
    ingest.scrape(&b.db, &b.metrics, b.now, body, || Duration::ZERO)
}

#[test]
fn targets_of_a_job_share_its_quota() {
    let mut b = Bench::new("  job_series_quota: 10\n");
    let quota = JobQuota::new(&b.ingest.job);
    let (mut one, mut two) = (another(&b, "one", &quota), another(&b, "two", &quota));
    assert_eq!(refused(&scrape(&mut b, &mut one, &body("a", 0..6))), (0, None));
    assert_eq!(refused(&scrape(&mut b, &mut two, &body("a", 0..6))), (2, Some(QuotaReached::Job(10))));
    assert_eq!(refused(&scrape(&mut b, &mut one, &body("a", 0..7))), (1, Some(QuotaReached::Job(10))));
    // A scrape that fails holds what the target had.
    let failed = one.scrape(&b.db, &b.metrics, b.now + 1, Err(Failure::new("down")), || Duration::ZERO);
    assert!(failed.error.is_some());
    assert_eq!(refused(&scrape(&mut b, &mut two, &body("a", 0..6))).0, 2);
    // A target that goes makes room.
    drop(one);
    assert_eq!(refused(&scrape(&mut b, &mut two, &body("a", 0..6))), (0, None));
}

#[test]
fn a_target_that_fails_gives_back_its_share_when_the_database_lets_go_of_its_series() {
    let mut b = Bench::new("  job_series_quota: 20\n");
    let quota = JobQuota::new(&b.ingest.job);
    let (mut one, mut two) = (another(&b, "one", &quota), another(&b, "two", &quota));
    scrape(&mut b, &mut one, &body("a", 0..18));
    let fail = |b: &Bench, one: &mut Ingest| {
        let failed = one.scrape(&b.db, &b.metrics, b.now, Err(Failure::new("down")), || Duration::ZERO);
        assert!(failed.error.is_some());
    };
    b.now += 1000;
    fail(&b, &mut one);
    assert_eq!(refused(&scrape(&mut b, &mut two, &body("a", 0..6))).0, 4);
    // Half a day later all but the newest are in blocks.
    b.now = T0 + 12 * 3_600_000;
    b.clock.set(b.now);
    scrape(&mut b, &mut two, &body("a", 0..2));
    b.db.maintain().expect("cuts");
    fail(&b, &mut one);
    assert_eq!(refused(&scrape(&mut b, &mut two, &body("a", 0..6))), (0, None));
}

#[test]
fn scrapes_that_fail_make_no_more_series_than_the_quota() {
    let mut b = Bench::new("  target_series_quota: 10\n");
    for round in 0..6 {
        let text = format!("{}garbage\n", body("a", round * 10..round * 10 + 10));
        let summary = b.scrape(&text);
        assert!(summary.error.is_some());
        assert_eq!(refused(&summary), (0, None), "a scrape that fails refuses nothing else");
    }
    assert_eq!(refused(&b.scrape(&body("a", 0..60))), (50, Some(QuotaReached::Target(10))));
    assert_eq!(counts(&b, "a"), [1; 10]);
}

#[test]
fn series_count_and_neither_texts_nor_samples() {
    let job = "  target_series_quota: 2\n  metric_relabel_configs: [{action: labeldrop, regex: n}]\n";
    let mut b = Bench::new(job);
    b.scrape(&body("a", 0..30));
    assert_eq!(refused(&b.scrape(&format!("{}b 1\n", body("a", 0..30)))), (0, None));
    let timed = format!("c 1 {}\nc 2 {}\n", T0 + 1, T0 + 2);
    let summary = b.scrape(&format!("{}b 1\n{timed}", body("a", 0..30)));
    assert_eq!(refused(&summary), (1, Some(QuotaReached::Target(2))));
}

#[test]
fn who_was_told_of_refused_series_is_told_after_a_reload() {
    let mut b = Bench::new("  target_series_quota: 2\n");
    b.scrape(&body("a", 0..5));
    let quota = JobQuota::new(&b.ingest.job);
    let mut job = ScrapeConfig::clone(&b.ingest.job);
    job.limits.target_series_quota = 0;
    let target = Target::plain(&job, b.ingest.labels.clone());
    let families = Families::new(&Arc::default());
    let fresh = Ingest::new(Arc::new(job), &target, ScrapeOptions::default(), families, &quota, &b.db);
    let mut old = std::mem::replace(&mut b.ingest, fresh);
    b.ingest.inherit(old.take_legacy());
    b.scrape(&body("a", 0..5));
    assert_eq!(b.values("scrape_series_refused")[0].1, "3 0");
}

#[test]
fn after_a_start_series_of_before_come_first() {
    let mut b = Bench::new("  job_series_quota: 10\n  target_series_quota: 8\n  scrape_interval: 10s\n");
    let quota = JobQuota::new(&b.ingest.job);
    let (mut one, mut two) = (another(&b, "one", &quota), another(&b, "two", &quota));
    scrape(&mut b, &mut one, &body("a", 0..5));
    scrape(&mut b, &mut two, &body("a", 0..5));
    drop((one, two));
    // Loops that know nothing, as after a restart; the new series stand first in the body.
    let quota = JobQuota::new(&b.ingest.job);
    let (mut one, mut two) = (another(&b, "one", &quota), another(&b, "two", &quota));
    let text = format!("{}{}", body("b", 0..5), body("a", 0..5));
    let first = scrape(&mut b, &mut one, &text);
    assert_eq!(refused(&first).0, 5, "{first:?}");
    assert_eq!(refused(&scrape(&mut b, &mut two, &body("a", 0..5))), (0, None));
    assert_eq!(counts(&b, "a"), [2; 10]);
    assert!(counts(&b, "b").is_empty());
    // One that does not come back is not waited for.
    drop(two);
    b.now += 20_000;
    assert_eq!(refused(&scrape(&mut b, &mut one, &text)), (2, Some(QuotaReached::Target(8))));
}

#[test]
fn after_a_start_the_series_of_a_target_come_first_without_a_quota_of_its_job() {
    let mut b = Bench::new("  target_series_quota: 8\n");
    let quota = JobQuota::new(&b.ingest.job);
    let mut before = another(&b, "one", &quota);
    scrape(&mut b, &mut before, &body("a", 0..5));
    let mut after = another(&b, "one", &quota);
    let text = format!("{}{}", body("b", 0..5), body("a", 0..5));
    assert_eq!(refused(&scrape(&mut b, &mut after, &text)), (5, Some(QuotaReached::Target(8))));
    assert_eq!(counts(&b, "a"), [2; 5]);
    assert_eq!(refused(&scrape(&mut b, &mut after, &text)), (2, Some(QuotaReached::Target(8))));
}

#[test]
fn the_quota_of_the_server_counts_all_series_in_memory() {
    let mut b = Bench::new("");
    b.scrape(&body("a", 0..3));
    let there = b.db.head().series_count() as u64;
    b.db.set_limits(Limits { max_series: there + 2, ..b.db.limits() }).expect("limits");
    let summary = b.scrape(&body("a", 0..9));
    let reason = NoNewSeries::Quota { series: there + 2 };
    assert_eq!(refused(&summary), (4, Some(QuotaReached::Server(reason.clone()))));
    assert_eq!(b.db.refuses_new_series(), Some(reason));
    assert_eq!(counts(&b, "a"), [2, 2, 2, 1, 1]);
    b.db.set_limits(Limits { max_series: 0, ..b.db.limits() }).expect("limits");
    assert_eq!(refused(&b.scrape(&body("a", 0..9))), (0, None));
}

/// What the process is said to hold.
static HELD: AtomicU64 = AtomicU64::new(0);

#[test]
fn over_the_memory_budget_known_series_go_on_and_the_report_is_written() {
    const MIB: u64 = 1 << 20;
    let mut b = Bench::with(|options| {
        options.memory_budget = Some(10 * MIB);
        options.memory_probe = || {
            let held = HELD.load(Ordering::Relaxed);
            Some(MemoryUse { held, limit: 100 * MIB, available: 50 * MIB })
        };
    });
    b.scrape(&body("a", 0..3));
    HELD.store(11 * MIB, Ordering::Relaxed);
    while b.db.refuses_new_series().is_none() {
        std::thread::yield_now();
    }
    let summary = b.scrape(&body("a", 0..5));
    let reason = NoNewSeries::Budget { held: 11 * MIB, budget: 10 * MIB };
    assert_eq!(refused(&summary), (2, Some(QuotaReached::Server(reason))));
    assert_eq!(b.values("scrape_series_refused")[0].1, "2", "a report is always taken");
    assert_eq!(counts(&b, "a"), [2; 3]);
}
