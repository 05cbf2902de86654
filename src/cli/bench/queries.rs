//! `bench queries`: a set of dashboard queries over several ranges, each asked several times.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::client::{Client, seconds};
use super::meter::{Latencies, Meter, ProcessUse, geometric_mean};
use super::source::time_or_now;
use super::{Failure, Figure, figure, number, output, report};
use crate::model::{format_duration, parse_duration};

/// The queries when no file is named.
const QUERIES: &str = include_str!("../../../benches/queries.txt");
/// Points a panel asks for over its range.
const POINTS: u64 = 250;
/// Steps are multiples of this.
const STEP_UNIT_SECONDS: u64 = 5;
/// A rate is taken over at least so many scrapes.
const SCRAPES_OF_A_RATE: u64 = 4;

#[derive(Debug, Args)]
pub(in crate::cli) struct QueriesArgs {
    /// Address of the server.
    #[arg(long)]
    url: String,
    /// Process of the server, to report its CPU and memory.
    #[arg(long)]
    pid: Option<u32>,
    #[command(flatten)]
    asking: AskingArgs,
    /// Ranges to look at, each ending at the end.
    #[arg(long, default_value = "1h,6h,24h", value_delimiter = ',', value_parser = parse_duration)]
    over: Vec<Duration>,
    /// End of the ranges, RFC 3339 or seconds since the epoch; now if absent.
    #[arg(long)]
    end: Option<String>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// What is asked, and how often.
#[derive(Debug, Clone, Args)]
pub(super) struct AskingArgs {
    /// File of queries, in the form of benches/queries.txt; those if absent.
    #[arg(long, value_name = "FILE")]
    pub(super) queries: Option<PathBuf>,
    /// Times each query is asked and counted, after once that is not.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) runs: u32,
    /// Move the range on by one step from run to run, as a graph does that refreshes. The last run has the end asked
    /// for.
    #[arg(long)]
    pub(super) moving: bool,
    /// Ask the server not to use what it remembers of earlier replies (`nocache=1`).
    #[arg(long)]
    pub(super) no_cache: bool,
    /// Seconds between two scrapes in the data.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) scrape_interval: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Query {
    is_range: bool,
    text: String,
}

/// The queries of a file.
fn parse(text: &str) -> Result<Vec<Query>, Failure> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let query = |line: &str| match line.split_once(char::is_whitespace) {
        Some(("range", query)) => Ok(Query { is_range: true, text: query.trim().to_owned() }),
        Some(("instant", query)) => Ok(Query { is_range: false, text: query.trim().to_owned() }),
        _ => Err(format!("{line:?} does not begin with instant or range").into()),
    };
    lines.map(query).collect()
}

/// What came of the queries over one range.
#[derive(Debug)]
pub(super) struct Asked {
    over: Duration,
    /// Median seconds of each query, and the series of its reply.
    queries: Vec<(String, f64, usize)>,
    /// Geometric mean of the medians, in seconds.
    pub(super) geometric_mean: f64,
    /// Queries that gave nothing: their times say little.
    pub(super) empty: usize,
    /// What the server took for all of it.
    pub(super) server: Option<ProcessUse>,
}

impl Asked {
    /// CPU of the server for one query, in seconds, where each was asked `runs` times and once before.
    pub(super) fn cpu_seconds_each(&self, runs: u32) -> Option<f64> {
        let asked = f64::from(runs + 1) * self.queries.len() as f64;
        self.server.map(|server| server.cpu_seconds / asked)
    }
}

pub(super) fn run(args: &QueriesArgs) -> Result<(), Failure> {
    let end_ms = time_or_now(args.end.as_deref())?;
    let all = args.over.iter().map(|over| ask(&args.url, args.pid, &args.asking, *over, end_ms));
    let all: Vec<Asked> = all.collect::<Result<_, _>>()?;
    if !args.json {
        print_queries(&all);
    }
    let mut figures: Vec<Figure> = Vec::new();
    for asked in &all {
        let over = format_duration(asked.over);
        figures.push(figure(format!("{over}: geometric mean, ms"), asked.geometric_mean * 1e3));
        figures.push(figure(format!("{over}: queries without a result"), asked.empty as f64));
        if let (Some(server), Some(each)) = (asked.server, asked.cpu_seconds_each(args.asking.runs)) {
            figures.push(figure(format!("{over}: server CPU of a query, ms"), each * 1e3));
            let peak = server.peak_bytes as f64 / f64::from(1 << 20);
            figures.push(figure(format!("{over}: peak resident memory, MiB"), peak));
        }
        if args.json {
            let queries = asked.queries.iter();
            figures
                .extend(queries.map(|(text, median, _)| figure(format!("{over}: {text}, ms"), median * 1e3)));
        }
    }
    report(args.json, &figures);
    Ok(())
}

/// One line for each query: its medians over all ranges, in milliseconds, and the series of the last reply.
fn print_queries(all: &[Asked]) {
    let mut head: Vec<String> =
        all.iter().map(|asked| format!("{} ms", format_duration(asked.over))).collect();
    head.push("series".to_owned());
    head.push("query".to_owned());
    let mut rows = vec![head];
    let Some(last) = all.last() else { return };
    for (at, (text, _, series)) in last.queries.iter().enumerate() {
        let mut row: Vec<String> = all.iter().map(|asked| number(asked.queries[at].1 * 1e3)).collect();
        row.push(series.to_string());
        row.push(text.clone());
        rows.push(row);
    }
    output::table(&rows);
}

/// The step of a panel over `over`: about as many points as it has pixels for, in whole scrapes or more.
fn step_seconds(over: Duration, scrape_interval: u64) -> u64 {
    let step = over.as_secs().div_ceil(POINTS).max(scrape_interval);
    step.next_multiple_of(STEP_UNIT_SECONDS)
}

/// Asks every query over the range that ends at `end_ms`.
///
/// # Errors
/// When the server cannot be reached or refuses a query.
pub(super) fn ask(
    url: &str,
    pid: Option<u32>,
    asking: &AskingArgs,
    over: Duration,
    end_ms: i64,
) -> Result<Asked, Failure> {
    let queries = match &asking.queries {
        Some(path) => parse(&std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?)?,
        None => parse(QUERIES)?,
    };
    let step = step_seconds(over, asking.scrape_interval);
    let interval = (step + asking.scrape_interval).max(SCRAPES_OF_A_RATE * asking.scrape_interval);
    let range_ms = i64::try_from(over.as_millis())?;
    let step_ms = i64::try_from(step * 1000)?;
    let client = Client::new(url)?;
    let bar = output::progress(queries.len() as u64, "queries");
    let meter = pid.map(Meter::begin).transpose()?;
    let mut out = Vec::new();
    for query in &queries {
        let text = query.text.replace("$interval", &format!("{interval}s"));
        let text = text.replace("$range", &format!("{}s", over.as_secs()));
        let mut latencies = Latencies::default();
        let mut series = 0;
        for run in 0..=asking.runs {
            let back = if asking.moving { i64::from(asking.runs - run) * step_ms } else { 0 };
            // Panels ask for times that are multiples of the step.
            let end = (end_ms - back).div_euclid(step_ms) * step_ms;
            let (end, start) = (seconds(end), seconds(end - range_ms));
            let step = step.to_string();
            let (endpoint, times) = if query.is_range {
                ("query_range", &[("start", &*start), ("end", &end), ("step", &step)][..])
            } else {
                ("query", &[("time", &*end)][..])
            };
            let mut form = vec![("query", &*text)];
            form.extend_from_slice(times);
            form.extend(asking.no_cache.then_some(("nocache", "1")));
            let answer = client.ask(endpoint, &form)?;
            if run == 0 {
                let data = answer.data().map_err(|error| format!("{text}: {error}"))?;
                series = data["result"].as_array().map_or(0, Vec::len);
            } else {
                latencies.add(answer.took);
            }
        }
        out.push((query.text.clone(), latencies.quantile(0.5), series));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let medians: Vec<f64> = out.iter().map(|(_, median, _)| *median).collect();
    Ok(Asked {
        over,
        geometric_mean: geometric_mean(&medians),
        empty: out.iter().filter(|(_, _, series)| *series == 0).count(),
        queries: out,
        server: meter.map(|meter| meter.read()).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_has_eighteen_queries_that_parse() {
        let all = parse(QUERIES).expect("queries");
        assert_eq!(all.len(), 18);
        for query in &all {
            let text = query.text.replace("$interval", "1m").replace("$range", "1h");
            assert!(crate::promql::parse(&text, &crate::promql::Features::default()).is_ok(), "{text}");
        }
        assert!(parse("graph up").is_err());
    }

    #[test]
    fn steps_are_those_of_panels() {
        let check =
            |hours: u64, expected| assert_eq!(step_seconds(Duration::from_secs(hours * 3600), 15), expected);
        check(1, 15);
        check(6, 90);
        check(24, 350);
        check(30 * 24, 10_370);
    }
}
