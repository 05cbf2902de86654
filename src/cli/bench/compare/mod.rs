//! `bench compare`: the same work for several servers, one after another, as a table.
//!
//! [`server`] starts, stops and kills them; [`rules`] writes rule files; [`table`] holds the rows and their goals; this file does the work. Each
//! piece of work ([`Scenario`]) has a fresh directory and a fresh process, and gives the figures of several rows.

mod rules;
mod server;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::client::Client;
use super::meter::{DiskUse, ProcessUse};
use super::queries::{self, AskingArgs};
use super::remote_write::{self, Pushed, SendingArgs};
use super::restart::{self, Restarted};
use super::scrape_targets::{self, Exporters};
use super::source::{SourceArgs, time_or_now};
use super::{Failure, output};
use crate::workload::{Fleet, LoadPlan};
use server::{Candidate, Kind, PATIENCE, Running};
use table::{Column, Manner, Work};

/// Seconds after a load whose CPU still belongs to it.
const SETTLE_SECONDS: u64 = 5;
/// A data directory is at rest when it has not changed for so long: servers look once a minute for work to do.
const QUIET: Duration = Duration::from_secs(75);
/// Longest wait for a data directory to come to rest.
const REST_PATIENCE: Duration = Duration::from_secs(1200);
/// How long a server gets to answer after a start, and then to show all it had.
const PATIENCES: (Duration, Duration) = (PATIENCE, Duration::from_secs(5));
/// The metric whose samples are counted after a crash.
const COUNTED: &str = "node_cpu_seconds_total";
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A piece of work, named as on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// 59,800 series by remote write, one sample a body, then a crash.
    Write,
    /// 24 hours of 11,960 series by remote write, disk, queries.
    Day,
    /// 300 targets scraped every 5 s.
    Scrape,
    /// A million series by remote write, then a crash.
    Million,
    /// 30 days of 1,196 series by remote write, disk, a clean restart, queries.
    Month,
    /// 10,000 rules in 500 groups every 15 s over 100,464 scraped series, for servers that evaluate rules.
    Rules,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CompareArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Binary of Emberkeep.
    #[arg(long, value_name = "BIN")]
    emberkeep: Option<PathBuf>,
    /// Binary of Prometheus.
    #[arg(long, value_name = "BIN")]
    prometheus: Option<PathBuf>,
    /// Binary of VictoriaMetrics, single node.
    #[arg(long, value_name = "BIN")]
    victoriametrics: Option<PathBuf>,
    /// Work to do.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "write,day,scrape,million,month,rules")]
    rows: Vec<Scenario>,
    /// Do about a tenth of the work; the figures say less.
    #[arg(long)]
    quick: bool,
    /// Directory for the data of the servers, one below it for each piece of work; the system's temporary one if
    /// absent.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Keep the data, configuration and logs of the servers.
    #[arg(long)]
    keep: bool,
    /// Print one JSON object instead of a Markdown table.
    #[arg(long)]
    json: bool,
}

/// Removes a directory in the end, unless it is to be kept.
struct Directory {
    path: PathBuf,
    keep: bool,
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

pub(super) fn run(args: &CompareArgs) -> Result<(), Failure> {
    let given = [
        (Kind::Prometheus, &args.prometheus),
        (Kind::VictoriaMetrics, &args.victoriametrics),
        (Kind::Emberkeep, &args.emberkeep),
    ];
    let candidates: Vec<Candidate> = given
        .into_iter()
        .filter_map(|(kind, binary)| Some(Candidate { kind, binary: binary.clone()? }))
        .collect();
    if candidates.is_empty() {
        return Err("name at least one binary".into());
    }
    let versions: Vec<String> = candidates.iter().map(Candidate::version).collect::<Result<_, _>>()?;
    let fleet = Arc::new(args.source.fleet()?);
    let root = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut columns: Vec<(Kind, Column)> = candidates.iter().map(|c| (c.kind, Column::default())).collect();
    for scenario in &args.rows {
        for (candidate, (kind, column)) in candidates.iter().zip(&mut columns) {
            let name = format!("emberkeep-compare-{}-{}-{scenario:?}", std::process::id(), kind.name());
            let path = root.join(name.to_lowercase());
            if path.exists() {
                return Err(format!("{} exists", path.display()).into());
            }
            let directory = Directory { path, keep: args.keep };
            let started = Instant::now();
            let bench = Bench { candidate, fleet: &fleet, dir: &directory.path, quick: args.quick };
            bench
                .run(*scenario, column)
                .map_err(|error| format!("{}, {scenario:?}: {error}", kind.name()))?;
            let took = started.elapsed().as_secs();
            output::note(&format!("{}, {scenario:?}: {took} s; {}", kind.name(), column.to_json()));
        }
    }
    if args.json {
        let columns = columns.iter().map(|(kind, column)| (kind.name().to_owned(), column.to_json()));
        output::line(&serde_json::Value::Object(columns.collect()).to_string());
        return Ok(());
    }
    output::line(&format!("Machine: {}.", machine()));
    for ((kind, _), version) in columns.iter().zip(versions) {
        output::line(&format!("{}: {version}.", kind.name()));
    }
    if args.quick {
        output::line("A quick run: about a tenth of the work that the rows name.");
    }
    output::line("");
    output::line(table::markdown(&columns).trim_end());
    Ok(())
}

/// Processor, cores and memory, as far as the system tells.
fn machine() -> String {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(':'))?;
        Some(line.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    format!("{processor}, {cores} cores, {} GiB", memory.unwrap_or(0) >> 20)
}

/// One piece of work for one server.
struct Bench<'a> {
    candidate: &'a Candidate,
    fleet: &'a Arc<Fleet>,
    dir: &'a Path,
    quick: bool,
}

impl Bench<'_> {
    fn run(&self, scenario: Scenario, column: &mut Column) -> Result<(), Failure> {
        match scenario {
            Scenario::Write => self.write(column),
            Scenario::Day => self.day(column),
            Scenario::Scrape => self.scrape(column),
            Scenario::Million => self.million(column),
            Scenario::Month => self.month(column),
            // It has a program of its own for rules.
            Scenario::Rules if self.candidate.kind == Kind::VictoriaMetrics => Ok(()),
            Scenario::Rules => self.rules(column),
        }
    }

    fn write(&self, column: &mut Column) -> Result<(), Failure> {
        let mut running = self.candidate.start(self.dir, None)?;
        let plan = plan(100, self.less(240, 60), 1)?;
        let (pushed, server) = self.push(&running, plan)?;
        column.set(Work::WriteCpu, per_sample(&pushed, server));
        column.set(Work::WriteRate, pushed.samples_per_second() / 1e6);
        column.set(Work::WriteMemory, kilobytes_per_series(server, pushed.active_series));
        let restarted = self.crash(&mut running, plan)?;
        let note = loss(restarted, "samples counted", self.counted_samples(plan));
        column.set_with_note(Work::WriteRestart, restarted.answering, note);
        Ok(())
    }

    fn day(&self, column: &mut Column) -> Result<(), Failure> {
        let running = self.candidate.start(self.dir, None)?;
        let scrapes = self.less(5760, 1440);
        let plan = plan(20, scrapes, 20)?;
        let (pushed, server) = self.push(&running, plan)?;
        column.set(Work::DayCpu, per_sample(&pushed, server));
        self.disk(&running, &pushed, Work::DayDisk, column);
        let ranges = [1, 6, 24].map(|hours| (hours, u64::from(hours) * HOUR));
        queries(&running, plan, &ranges, Work::DayQueries, column)
    }

    fn scrape(&self, column: &mut Column) -> Result<(), Failure> {
        const TARGETS: u32 = 300;
        const INTERVAL_SECONDS: u32 = 5;
        let seconds = u64::from(self.less(180, 45));
        let warm_up = u64::from(INTERVAL_SECONDS) * 3;
        let bodies = (seconds + warm_up) / u64::from(INTERVAL_SECONDS) + 3;
        let exporters = Exporters::start(self.fleet, TARGETS, usize::try_from(bodies)?, 0)?;
        let config = scrape_targets::config(exporters.address, TARGETS, INTERVAL_SECONDS);
        let running = self.candidate.start(self.dir, Some(&config))?;
        let times = (Duration::from_secs(warm_up), Duration::from_secs(seconds));
        let scraped = exporters.measure(Some(running.pid()), times)?;
        let server = scraped.server.ok_or("the process was not measured")?;
        let expected = seconds / u64::from(INTERVAL_SECONDS) * u64::from(TARGETS);
        if scraped.scrapes < expected * 9 / 10 {
            return Err(format!("{} scrapes of {expected} came", scraped.scrapes).into());
        }
        column.set(Work::ScrapeCpu, server.cpu_seconds * 1e6 / scraped.samples as f64);
        column.set(Work::ScrapeMemory, kilobytes_per_series(server, scraped.series));
        Ok(())
    }

    fn million(&self, column: &mut Column) -> Result<(), Failure> {
        const COUNT: &str = "count({job=\"node\"})";
        let mut running = self.candidate.start(self.dir, None)?;
        let plan = plan(self.less(1672, 167), 24, 1)?;
        let (pushed, server) = self.push(&running, plan)?;
        column.set(Work::MillionCpu, per_sample(&pushed, server));
        column.set(Work::MillionMemory, kilobytes_per_series(server, pushed.active_series));
        let started = running.crash_and_start()?;
        let hosts = f64::from(plan.hosts);
        let query = ("count(node_load1)", plan.end_ms, hosts);
        let restarted = restart::watch(&running.url, &mut running.child, started, query, PATIENCES)?;
        column.set_with_note(
            Work::MillionRestart,
            restarted.answering,
            loss(restarted, "hosts", u64::from(plan.hosts)),
        );
        let asked = Instant::now();
        let found = Client::new(&running.url)?.number(COUNT, plan.end_ms)?.unwrap_or(0.0);
        let took = asked.elapsed().as_secs_f64();
        let expected = pushed.active_series as f64;
        let note = (found != expected).then(|| format!("{found} of {expected} series"));
        column.set_with_note(Work::MillionCount, took, note);
        Ok(())
    }

    fn month(&self, column: &mut Column) -> Result<(), Failure> {
        let mut running = self.candidate.start(self.dir, None)?;
        let plan = plan(2, self.less(172_800, 17_280), 60)?;
        let (pushed, server) = self.push(&running, plan)?;
        column.set(Work::MonthCpu, per_sample(&pushed, server));
        self.disk(&running, &pushed, Work::MonthDisk, column);
        let started = running.stop_and_start()?;
        let query = ("count({job=\"node\"})", plan.end_ms, pushed.active_series as f64);
        let restarted = restart::watch(&running.url, &mut running.child, started, query, PATIENCES)?;
        let note = loss(restarted, "series", pushed.active_series);
        column.set_with_note(Work::MonthRestart, restarted.answering, note);
        let ranges = [7, 30].map(|days| (days, u64::from(days) * DAY));
        queries(&running, plan, &ranges, Work::MonthQueries, column)
    }

    fn rules(&self, column: &mut Column) -> Result<(), Failure> {
        const TARGETS: u32 = 168;
        let number = self.less(10_000, 1000);
        let seconds = u64::from(self.less(120, 45));
        // The second evaluation sees two scrapes.
        let warm_up = rules::INTERVAL_SECONDS * 4;
        let bodies = (seconds + warm_up) / rules::INTERVAL_SECONDS + 3;
        let exporters = Exporters::start(self.fleet, TARGETS, usize::try_from(bodies)?, 0)?;
        let config =
            scrape_targets::config(exporters.address, TARGETS, u32::try_from(rules::INTERVAL_SECONDS)?);
        let config = rules::write(self.dir, &config, self.fleet, number)?;
        let running = self.candidate.start(self.dir, Some(&config))?;
        let client = Client::new(&running.url)?;
        let times = (Duration::from_secs(warm_up), Duration::from_secs(seconds));
        let scraped = exporters.measure(Some(running.pid()), times)?;
        let server = scraped.server.ok_or("the process was not measured")?;
        let metrics = client.own_metrics()?;
        let expected = f64::from(number) * (seconds / rules::INTERVAL_SECONDS) as f64;
        let evaluated = rules::sum(&metrics, rules::EVALUATED);
        if evaluated < expected {
            return Err(format!("{evaluated} rules were evaluated, at least {expected} are expected").into());
        }
        let missed = rules::sum(&metrics, rules::MISSED);
        let note = (missed > 0.0).then(|| format!("{missed} evaluations of groups missed"));
        column.set_with_note(Work::RulesCpu, server.cpu_seconds / scraped.took.as_secs_f64(), note);
        column.set(Work::RulesMemory, server.resident_bytes as f64 / f64::from(1 << 20));
        Ok(())
    }

    /// The size that is meant, or the one of a quick run.
    fn less(&self, full: u32, quick: u32) -> u32 {
        if self.quick { quick } else { full }
    }

    fn push(&self, running: &Running, plan: LoadPlan) -> Result<(Pushed, ProcessUse), Failure> {
        let settle = if self.quick { 1 } else { SETTLE_SECONDS };
        let sending = SendingArgs { connections: 2, rate: None, ahead_mib: 1024, settle };
        let pushed = remote_write::push(&running.url, Some(running.pid()), self.fleet, plan, &sending)?;
        if let Some(text) = &pushed.first_refusal {
            return Err(format!("{} samples were refused, the first with {text}", pushed.refused).into());
        }
        let server = pushed.server.ok_or("the process was not measured")?;
        Ok((pushed, server))
    }

    /// Kills and starts the server, and counts the samples that are there again.
    fn crash(&self, running: &mut Running, plan: LoadPlan) -> Result<Restarted, Failure> {
        let hosts = f64::from(plan.hosts);
        let started = running.crash_and_start()?;
        let first = ("count(node_load1)", plan.end_ms, hosts);
        let answered = restart::watch(&running.url, &mut running.child, started, first, PATIENCES)?;
        let seconds = u64::from(plan.scrapes) * u64::from(plan.interval_ms) / 1000 + 60;
        // Counting drops the name, so only one metric can be counted at a time.
        let all = format!("sum(count_over_time({COUNTED}[{seconds}s]))");
        let found = Client::new(&running.url)?.number(&all, plan.end_ms)?.unwrap_or(0.0);
        let is_complete = found == self.counted_samples(plan) as f64;
        Ok(Restarted { found, complete: answered.complete.filter(|_| is_complete), ..answered })
    }

    /// Samples of [`COUNTED`] in a plan.
    fn counted_samples(&self, plan: LoadPlan) -> u64 {
        let series = self.fleet.series().iter().filter(|series| series.labels.metric_name() == COUNTED);
        series.count() as u64 * u64::from(plan.hosts) * u64::from(plan.scrapes)
    }

    fn disk(&self, running: &Running, pushed: &Pushed, work: Work, column: &mut Column) {
        let quiet = if self.quick { QUIET / 3 } else { QUIET };
        let (disk, is_at_rest) = DiskUse::when_settled(&running.data, quiet, REST_PATIENCE);
        let apparent = disk.apparent_bytes as f64 / pushed.accepted as f64;
        let mut note = format!("{apparent:.2} by length");
        if !is_at_rest {
            note.push_str(", not at rest");
        }
        column.set_with_note(work, disk.allocated_bytes as f64 / pushed.accepted as f64, Some(note));
    }
}

/// Asks the queries, in every manner, over those ranges that the data covers: a number and the same in seconds.
fn queries(
    running: &Running,
    plan: LoadPlan,
    ranges: &[(u8, u64)],
    work: fn(Manner, u8) -> Work,
    column: &mut Column,
) -> Result<(), Failure> {
    let covered = u64::from(plan.scrapes) * u64::from(plan.interval_ms) / 1000;
    for manner in [Manner::Fresh, Manner::Moving, Manner::Again] {
        let (moving, no_cache) = (manner == Manner::Moving, manner == Manner::Fresh);
        let asking = AskingArgs { queries: None, runs: 7, moving, no_cache, scrape_interval: 15 };
        for (number, over) in ranges.iter().filter(|(_, over)| *over <= covered) {
            let over = Duration::from_secs(*over);
            let asked = queries::ask(&running.url, Some(running.pid()), &asking, over, plan.end_ms)?;
            let mut notes = Vec::new();
            if let Some(server) = asked.server {
                let each = asked.cpu_seconds_each(asking.runs).unwrap_or_default() * 1e3;
                let peak = server.peak_bytes as f64 / f64::from(1 << 20);
                notes.push(format!("{each:.1} ms of CPU, {peak:.0} MiB"));
            }
            if asked.empty > 0 {
                notes.push(format!("{} without a result", asked.empty));
            }
            let note = (!notes.is_empty()).then(|| notes.join(", "));
            column.set_with_note(work(manner, *number), asked.geometric_mean * 1e3, note);
        }
    }
    Ok(())
}

fn plan(hosts: u32, scrapes: u32, samples_per_series: u32) -> Result<LoadPlan, Failure> {
    Ok(LoadPlan {
        hosts,
        scrapes,
        samples_per_series,
        series_per_body: 2000,
        interval_ms: 15_000,
        end_ms: time_or_now(None)?,
        churn: 0.0,
    })
}

/// Microseconds of CPU for a sample.
fn per_sample(pushed: &Pushed, server: ProcessUse) -> f64 {
    server.cpu_seconds * 1e6 / pushed.accepted as f64
}

fn kilobytes_per_series(server: ProcessUse, series: u64) -> f64 {
    server.resident_bytes as f64 / 1000.0 / series as f64
}

/// What has to be said of a restart after which not everything is there.
fn loss(restarted: Restarted, what: &str, expected: u64) -> Option<String> {
    let lost = restarted.complete.is_none() && restarted.found != expected as f64;
    lost.then(|| format!("{} of {expected} {what}", restarted.found))
}
