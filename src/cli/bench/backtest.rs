//! `bench backtest`: fills a database with blocks of one metric and plays an alerting rule over all of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::{Failure, figure, output, report};
use crate::cli::tsdb::open_or_create;
use crate::config::parse_rule_file;
use crate::lanes::Turn;
use crate::model::{Exemplar, Labels, Samples, TimeRange};
use crate::promql::{Engine, EngineOptions};
use crate::rules::lab::play::{Lab, Plan, play};
use crate::rules::{External, load};
use crate::storage::{SeriesSet, StorageError};
use crate::telemetry::process::ProcessStats;
use crate::tsdb::Tsdb;

const START_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 24 * 3_600_000;

#[derive(Debug, Args)]
pub(in crate::cli) struct BacktestArgs {
    /// Number of series.
    #[arg(long, default_value_t = 1000)]
    series: u32,
    /// Days of samples.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Seconds between two samples, and between two evaluations.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    interval: u32,
    /// Expression of the rule, over the metric `load`.
    #[arg(long, default_value = "load > 90")]
    expr: String,
    /// Seconds before an alert fires.
    #[arg(long, default_value_t = 300)]
    hold: u32,
    /// Times the rule is played.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Data directory: filled if it does not exist, and kept. A temporary one if absent.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// All series: a slow wave with a little noise, of two decimals, above 90 for some hours of a day.
struct Waves {
    labels: Vec<Labels>,
    interval_ms: i64,
}

impl Waves {
    fn value(series: usize, at: i64) -> f64 {
        let noise = ((series as u64) << 40 ^ at.unsigned_abs())
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let noise = f64::from(u16::try_from(noise >> 48).unwrap_or(0)) / 65536.0;
        let phase = (at as f64 / DAY_MS as f64 + series as f64 / 97.0) * std::f64::consts::TAU;
        ((50.0 + 42.0 * phase.sin() + noise) * 100.0).round() / 100.0
    }
}

impl SeriesSet for Waves {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.labels[index].clone()
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        out.clear();
        let behind = (START_MS - range.start).rem_euclid(self.interval_ms);
        let mut at = range.start + behind;
        while at <= range.end {
            out.push(at, Self::value(index, at));
            at += self.interval_ms;
        }
        Ok(())
    }
}

fn fill(db: &Tsdb, args: &BacktestArgs) -> Result<(), Failure> {
    let label = |number: u32| {
        let pairs = [("__name__", "load".to_owned()), ("instance", format!("host-{number:05}:9100"))];
        Labels::from_pairs(pairs)
    };
    let waves =
        Waves { labels: (0..args.series).map(label).collect(), interval_ms: i64::from(args.interval) * 1000 };
    let bar = output::progress(u64::from(args.days), "days");
    let mut import = db.import()?;
    for day in 0..i64::from(args.days) {
        let start = START_MS + day * DAY_MS;
        import.write(&waves, &Vec::<(Labels, Vec<Exemplar>)>::new(), start, start + DAY_MS)?;
        bar.inc(1);
    }
    import.publish()?;
    bar.finish_and_clear();
    Ok(())
}

pub(super) fn run(args: &BacktestArgs) -> Result<(), Failure> {
    let temporary = tempdir(args)?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.0.clone());
    let is_filled = dir.exists() && args.dir.is_some();
    let db = open_or_create(&dir)?;
    if !is_filled {
        fill(&db, args)?;
    }
    let engine = Engine::new(EngineOptions::default());
    let text = format!(
        "groups: [{{name: bench, rules: [{{alert: Load, expr: {:?}, for: {}s}}]}}]",
        args.expr, args.hold
    );
    let file = parse_rule_file(&text, "bench")?;
    let mut errors = Vec::new();
    let groups = load::compile(&file, Duration::from_secs(60), &engine.options().features, &mut errors);
    crate::config::Error::all(errors)?;
    let rule = groups.first().and_then(|group| group.rules.first()).ok_or("there is no rule")?;
    let hold_ms = i64::from(args.hold) * 1000;
    let plan = Plan {
        start: START_MS + hold_ms,
        end: START_MS + i64::from(args.days) * DAY_MS - 1,
        interval: i64::from(args.interval) * 1000,
        offset: 0,
        limit: 0,
        alerts: 200,
        series: 20,
        points: 600,
    };
    let (external, turn) = (External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: &db, external: &external, turn: &turn };
    let mut took = Vec::new();
    let mut figures = Vec::new();
    for _ in 0..args.runs {
        let began = Instant::now();
        let history = play(&lab, rule, &plan)?;
        took.push(began.elapsed().as_secs_f64());
        let evaluations = history.evaluations as f64;
        figures = vec![
            figure("evaluations", evaluations),
            figure("series", f64::from(args.series)),
            figure("alerts", history.alert_count as f64),
            figure("firings", history.totals.firings as f64),
        ];
    }
    took.sort_by(f64::total_cmp);
    figures.push(figure("median, s", took[took.len() / 2]));
    figures.push(figure("fastest, s", took[0]));
    if let Some(stats) = ProcessStats::read(None) {
        figures.push(figure("resident memory, MiB", stats.resident_bytes as f64 / f64::from(1 << 20)));
    }
    report(args.json, &figures);
    db.close()?;
    Ok(())
}

struct TemporaryDir(PathBuf);

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where a directory is made unless one is named; removed in the end.
fn tempdir(args: &BacktestArgs) -> Result<TemporaryDir, Failure> {
    let dir = std::env::temp_dir().join(format!("emberkeep-backtest-{}", std::process::id()));
    if args.dir.is_none() && dir.exists() {
        return Err(format!("{} exists", dir.display()).into());
    }
    Ok(TemporaryDir(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_where_blocks_want_them() {
        let waves = Waves { labels: vec![Labels::empty()], interval_ms: 15_000 };
        let mut samples = Samples::new();
        waves.read(0, TimeRange::new(START_MS + 1, START_MS + 45_000), &mut samples).expect("samples");
        assert_eq!(samples.timestamps, [15_000, 30_000, 45_000].map(|at| START_MS + at));
        assert!(samples.values.iter().all(|value| (0.0..100.0).contains(value)), "{:?}", samples.values);
    }
}
