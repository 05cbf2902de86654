//! The stages of storing a body whose series are known: out of gzip; read and found in the cache; log and head; all of
//! it. Reading alone is in `expfmt`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use emberkeep::config::{LoadOptions, ScrapeConfig, parse};
use emberkeep::model::Labels;
use emberkeep::scrape::{BodyStore, with_inflated};
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{CommitMode, Limits, SyncPolicy, Tsdb, TsdbOptions};
use emberkeep::util::{Clock as _, ManualClock};
use flate2::Compression;
use flate2::write::GzEncoder;

const SERIES: usize = 600;
const START: i64 = 1_700_000_000_000;
const TEXT: &str = "text/plain; version=0.0.4";

/// A body like that of a node exporter; `round` changes most values.
fn body(round: usize) -> String {
    let mut out = String::new();
    for family in 0..SERIES / 10 {
        let _ = writeln!(out, "# HELP node_family_{family}_total Something that is counted.");
        let _ = writeln!(out, "# TYPE node_family_{family}_total counter");
        for at in 0..10 {
            let value = family * 1000 + at * 17 + if at == 0 { 0 } else { round * at };
            let _ = writeln!(out, "node_family_{family}_total{{device=\"eth{at}\",mode=\"m\"}} {value}");
        }
    }
    out
}

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).and_then(|()| encoder.finish()).expect("memory")
}

struct World {
    db: Arc<Tsdb>,
    clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let clock = Arc::new(ManualClock::new(START));
        let options = TsdbOptions {
            limits: Limits { retention_ms: 0, ..Limits::default() },
            sync: SyncPolicy::Never,
            background: false,
            ..TsdbOptions::new(dir.path())
        };
        let db = Tsdb::open(options, clock.clone(), &mut Registry::default()).expect("opens");
        Self { db: Arc::new(db), clock, _dir: dir }
    }

    /// Goes on by the interval of scrapes; keeps the head as small as a server would.
    fn next(&self) -> i64 {
        let now = self.clock.now_ms() + 15_000;
        self.clock.set(now);
        if now % 3_600_000 < 15_000 {
            self.db.maintain().expect("maintained");
        }
        now
    }
}

fn job(rules: &str) -> Arc<ScrapeConfig> {
    let text = format!("scrape_configs:\n- job_name: j\n{rules}");
    Arc::clone(&parse(&text, "bench.yml", &LoadOptions::default()).expect("valid").scrape_configs[0])
}

fn labels() -> Labels {
    Labels::from_pairs([("instance", "host-1:9100"), ("job", "j")])
}

fn scrape(criterion: &mut Criterion) {
    let bodies: Vec<String> = (0..16).map(body).collect();
    let packed: Vec<Vec<u8>> = bodies.iter().map(|body| gzip(body)).collect();
    let mut group = criterion.benchmark_group("scrape");
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("inflate/600", |b| {
        b.iter(|| with_inflated(&packed[0], u64::MAX, |body| black_box(body.expect("gzip").len())));
    });
    for (name, rules, gzip) in [
        // Relabelling drops every series, which the cache remembers: nothing goes to the database but the report.
        (
            "read_and_cache/600",
            "  metric_relabel_configs: [{source_labels: [__name__], action: drop, regex: node_.*}]\n",
            false,
        ),
        ("all/600", "", true),
    ] {
        let world = World::new();
        let mut store = BodyStore::new(&job(rules), labels(), &world.db, &mut Registry::default());
        let mut round = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                round += 1;
                let (plain, packed) = (&bodies[round % 16], &packed[round % 16]);
                let body = if gzip { packed.as_slice() } else { plain.as_bytes() };
                store.store(world.next(), body, gzip, TEXT).expect("stored")
            });
        });
    }
    let world = World::new();
    let timeline = world.db.create_timeline();
    let mut appender = world.db.appender(None);
    let series: Vec<_> = (0..SERIES)
        .map(|at| appender.series(&Labels::from_pairs([("__name__", "a".to_owned()), ("n", at.to_string())])))
        .collect();
    drop(appender);
    let mut round = 0.0;
    group.bench_function("log_and_head/600", |b| {
        b.iter(|| {
            let at = world.next();
            round += 1.0;
            let mut appender = world.db.appender(Some(timeline));
            for (number, series) in (0u32..).zip(&series) {
                appender.append(*series, at, f64::from(number % 10) * round);
            }
            appender.commit(CommitMode::Each).expect("committed").committed
        });
    });
    group.finish();
}

criterion_group!(benches, scrape);
criterion_main!(benches);
