//! `bench ingest`: fills a database in this process: log, head, blocks and compaction without HTTP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::meter::DiskUse;
use super::{Failure, figure, output, report};
use crate::model::{Labels, TimeRange};
use crate::remote::{Receiver, message};
use crate::storage::{Queryable as _, SelectRequest};
use crate::telemetry::Registry;
use crate::telemetry::process::ProcessStats;
use crate::tsdb::{Limits, SyncPolicy, Tsdb, TsdbOptions};
use crate::util::ManualClock;

/// The way in that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Via {
    /// One commit per target and scrape, on the target's timeline.
    Scrape,
    /// Remote write bodies of 2,000 series with one sample each, compressed beforehand.
    RemoteWrite,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct IngestArgs {
    /// Number of targets.
    #[arg(long, default_value_t = 100)]
    targets: u32,
    /// Series of each target.
    #[arg(long, default_value_t = 598)]
    series: u32,
    /// Scrapes of each target.
    #[arg(long, default_value_t = 240)]
    scrapes: u32,
    /// Seconds between two scrapes of a target, in the time of the data.
    #[arg(long, default_value_t = 15)]
    interval: u32,
    /// The way in.
    #[arg(long, value_enum, default_value_t = Via::Scrape)]
    via: Via,
    /// Data directory to fill, kept afterwards; must not exist. A temporary one if absent.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// A deterministic value for a scrape of a series, shaped like an exporter's: half never change, the rest are
/// counters, gauges of few decimals, and a few full-mantissa floats.
fn value(series: u32, target: u32, scrape: u32) -> f64 {
    let noise = (u64::from(series) << 40 ^ u64::from(target) << 20 ^ u64::from(scrape))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(23)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let small = f64::from(u8::try_from(noise >> 56).unwrap_or(0));
    match series % 20 {
        0..10 => f64::from(series),
        10..15 => f64::from(scrape) * f64::from(series % 7 + 1) * 10.0 + (small / 64.0).floor(),
        15..19 => (1000.0 + small) / 100.0,
        _ => small.sqrt() * f64::from(scrape + 1),
    }
}

fn labels(target: u32, series: u32) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("node_metric_{}_total", series / 4)),
        ("cpu", (series % 4).to_string()),
        ("mode", ["idle", "user", "system", "iowait"][(series % 4) as usize].to_owned()),
        ("instance", format!("host-{target:04}.example.com:9100")),
        ("job", "node".to_owned()),
    ])
}

struct TemporaryDir(PathBuf);

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn ingest(args: &IngestArgs) -> Result<(), Failure> {
    let dir = args
        .dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("emberkeep-bench-{}", std::process::id())));
    if dir.exists() {
        return Err(format!("{} exists", dir.display()).into());
    }
    let _cleanup = args.dir.is_none().then(|| TemporaryDir(dir.clone()));
    let options = TsdbOptions {
        sync: SyncPolicy::Interval(1000),
        limits: Limits { retention_ms: 0, ..Limits::default() },
        ..TsdbOptions::new(&dir)
    };
    let clock = Arc::new(ManualClock::new(0));
    let start_ms = 1_700_000_000_000;
    let mut registry = Registry::default();
    let db = Arc::new(Tsdb::open(options.clone(), Arc::<ManualClock>::clone(&clock), &mut registry)?);
    let receiver = Receiver::new(Arc::clone(&db), &mut registry);

    let total = u64::from(args.targets) * u64::from(args.series) * u64::from(args.scrapes);
    let bar = output::progress(total, "samples");
    let mut feed = Feed::new(args, &db, &receiver, start_ms);
    let (mut cpu, mut wall) = (0.0, Duration::ZERO);
    for scrape in 0..args.scrapes {
        clock.set(feed.time(scrape, 0));
        // Making the bodies is not what is measured.
        feed.prepare(scrape);
        let (cpu_before, started) = (cpu_seconds(), Instant::now());
        bar.inc(feed.push(scrape)?);
        wall += started.elapsed();
        cpu += cpu_seconds() - cpu_before;
    }
    bar.finish_and_clear();
    let resident = ProcessStats::read(None).map_or(0, |s| s.resident_bytes);
    drop(feed);

    let maintaining = Instant::now();
    db.maintain()?;
    let maintained = maintaining.elapsed();
    db.close()?;
    drop(receiver);
    drop(db);
    let disk = DiskUse::of(&dir).apparent_bytes;
    let reopening = Instant::now();
    let db = Tsdb::open(options, clock, &mut Registry::default())?;
    let reopened = reopening.elapsed();
    let scanned = {
        let querier = db.querier(TimeRange::ALL)?;
        let set = querier.select(&SelectRequest::new(&[], TimeRange::ALL))?;
        let mut samples = crate::model::Samples::new();
        let (started, mut count) = (Instant::now(), 0u64);
        for index in 0..set.len() {
            set.read(index, TimeRange::ALL, &mut samples)?;
            count += samples.len() as u64;
        }
        if count != total {
            return Err(format!("{count} samples read back of {total}").into());
        }
        started.elapsed()
    };
    db.close()?;
    let series = u64::from(args.targets) * u64::from(args.series);
    report(
        args.json,
        &[
            figure("series", series as f64),
            figure("samples", total as f64),
            figure("samples per second", total as f64 / wall.as_secs_f64()),
            figure("CPU per sample, us (whole process)", cpu * 1e6 / total as f64),
            figure("resident memory, MiB", resident as f64 / f64::from(1 << 20)),
            figure("resident memory per series, bytes", resident as f64 / series as f64),
            figure("maintenance after the load, s", maintained.as_secs_f64()),
            figure("data directory, MiB", disk as f64 / f64::from(1 << 20)),
            figure("data directory per sample, bytes", disk as f64 / total as f64),
            figure("restart, s", reopened.as_secs_f64()),
            figure("full scan, ns per sample", scanned.as_secs_f64() * 1e9 / total as f64),
        ],
    );
    Ok(())
}

fn cpu_seconds() -> f64 {
    ProcessStats::read(None).map_or(0.0, |s| s.cpu_seconds)
}

/// Makes the batches of one scrape round and pushes them.
struct Feed<'a> {
    args: &'a IngestArgs,
    db: &'a Tsdb,
    receiver: &'a Receiver,
    start_ms: i64,
    timelines: Vec<u32>,
    references: Vec<crate::tsdb::SeriesRef>,
    labels: Vec<Labels>,
    bodies: Vec<Vec<u8>>,
}

/// Series in one remote write body.
const BODY_SERIES: u32 = 2000;

impl<'a> Feed<'a> {
    fn new(args: &'a IngestArgs, db: &'a Tsdb, receiver: &'a Receiver, start_ms: i64) -> Self {
        let all = (0..args.targets).flat_map(|t| (0..args.series).map(move |s| labels(t, s)));
        Self {
            args,
            db,
            receiver,
            start_ms,
            timelines: (0..args.targets).map(|_| db.create_timeline()).collect(),
            references: Vec::new(),
            labels: all.collect(),
            bodies: Vec::new(),
        }
    }

    fn time(&self, scrape: u32, target: u32) -> i64 {
        let interval = i64::from(self.args.interval) * 1000;
        // A few milliseconds of jitter, as real scrapes have.
        self.start_ms + i64::from(scrape) * interval + i64::from((scrape * 7 + target * 13) % 7)
    }

    fn prepare(&mut self, scrape: u32) {
        if self.args.via == Via::Scrape {
            return;
        }
        self.bodies.clear();
        let all: Vec<u32> = (0..self.args.targets * self.args.series).collect();
        for part in all.chunks(BODY_SERIES as usize) {
            let mut body = Vec::new();
            for number in part {
                let (target, series) = (number / self.args.series, number % self.args.series);
                let sample = (self.time(scrape, target), value(series, target, scrape));
                message::put_series(&mut body, self.labels[*number as usize].iter(), &[sample]);
            }
            self.bodies.push(snap::raw::Encoder::new().compress_vec(&body).unwrap_or_default());
        }
    }

    fn push(&mut self, scrape: u32) -> Result<u64, Failure> {
        if self.args.via == Via::RemoteWrite {
            for body in &self.bodies {
                self.receiver.write(body)?;
            }
            return Ok(u64::from(self.args.targets) * u64::from(self.args.series));
        }
        let mut pushed = 0;
        for target in 0..self.args.targets {
            let mut appender = self.db.appender(Some(self.timelines[target as usize]));
            let time = self.time(scrape, target);
            for series in 0..self.args.series {
                let number = (target * self.args.series + series) as usize;
                if scrape == 0 {
                    self.references.push(appender.series(&self.labels[number]));
                }
                appender.append(self.references[number], time, value(series, target, scrape));
            }
            pushed += appender.commit(crate::tsdb::CommitMode::Each)?.committed as u64;
        }
        Ok(pushed)
    }
}
