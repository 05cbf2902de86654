//! `bench remote-write`: pushes recorded scrapes of many hosts to a running server.
//!
//! Bodies are made before they are sent, a memory's worth at a time; the clock of the sender stands still meanwhile,
//! the server's CPU is counted throughout. With a rate they are made beside the sending instead, to keep the rate.
//! Connections take the parts of the series in turn, so that every series arrives in order; they wait for each other
//! every few minutes of data, because servers refuse what is much older than the newest they have.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::try_join_all;
use tokio::time::{Instant as TokioInstant, sleep_until};

use super::client::Client;
use super::meter::{Latencies, Meter, ProcessUse};
use super::source::{SourceArgs, time_or_now};
use super::{Failure, Figure, figure, output, report};
use crate::workload::{Body, Fleet, Load, LoadPlan};

/// How far one connection may be ahead of another, in the time of the data.
const MAX_LEAD_MS: u64 = 20 * 60 * 1000;

#[derive(Debug, Args)]
pub(in crate::cli) struct RemoteWriteArgs {
    /// Address of the server.
    #[arg(long)]
    url: String,
    /// Process of the server, to report its CPU and memory.
    #[arg(long)]
    pid: Option<u32>,
    #[command(flatten)]
    source: SourceArgs,
    /// Hosts.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    hosts: u32,
    /// Scrapes of each host.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..))]
    scrapes: u32,
    /// Seconds between two scrapes, in the time of the data.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    interval: u32,
    /// Samples of each series in one body.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    samples_per_series: u32,
    /// Series in one body.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    series_per_body: u32,
    /// Time of the last scrape, RFC 3339 or seconds since the epoch; now if absent.
    #[arg(long)]
    end: Option<String>,
    /// Share of the hosts that is replaced by new ones in each interval, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    churn: f64,
    #[command(flatten)]
    sending: SendingArgs,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// How bodies are sent.
#[derive(Debug, Clone, Args)]
pub(super) struct SendingArgs {
    /// Connections that send at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) connections: u32,
    /// Samples a second to send; as fast as the server takes them if absent. Latencies then count from the moment a
    /// body was due.
    #[arg(long, value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Bodies that are made ahead, in MiB.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) ahead_mib: u64,
    /// Seconds to wait after the last body; the CPU the server takes in them is counted.
    #[arg(long, default_value_t = 0)]
    pub(super) settle: u64,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "must be 0 to 1".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|rate| *rate >= 1.0).ok_or_else(|| "must be at least 1".to_owned())
}

/// What came of a push.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    /// Series that were active at a time.
    pub(super) active_series: u64,
    /// All series, those of replaced hosts included.
    pub(super) series: u64,
    /// Samples in bodies that the server accepted.
    pub(super) accepted: u64,
    /// Samples in bodies that it refused.
    pub(super) refused: u64,
    /// Bodies sent.
    pub(super) bodies: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Time of sending, without the time it took to make bodies.
    pub(super) sending: Duration,
    /// Of each body.
    pub(super) latencies: Latencies,
    /// The first refusal.
    pub(super) first_refusal: Option<String>,
    /// What the server took.
    pub(super) server: Option<ProcessUse>,
}

impl Pushed {
    /// Lines of a report.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let mut out = vec![
            figure("active series", self.active_series as f64),
            figure("series in all", self.series as f64),
            figure("samples accepted", self.accepted as f64),
            figure("samples in refused bodies", self.refused as f64),
            figure("bodies", self.bodies as f64),
            figure("bytes of a body", self.bytes as f64 / self.bodies as f64),
            figure("seconds of sending", self.sending.as_secs_f64()),
            figure("samples per second", self.samples_per_second()),
            figure("latency of a body, median, ms", self.latencies.quantile(0.5) * 1e3),
            figure("latency of a body, p99, ms", self.latencies.quantile(0.99) * 1e3),
            figure("latency of a body, most, ms", self.latencies.quantile(1.0) * 1e3),
        ];
        out.extend(self.server.iter().flat_map(|used| used.figures(self.accepted, self.active_series)));
        out
    }

    /// Accepted samples a second of sending.
    pub(super) fn samples_per_second(&self) -> f64 {
        self.accepted as f64 / self.sending.as_secs_f64()
    }
}

pub(super) fn run(args: &RemoteWriteArgs) -> Result<(), Failure> {
    let fleet = args.source.fleet()?;
    let plan = LoadPlan {
        hosts: args.hosts,
        scrapes: args.scrapes,
        samples_per_series: args.samples_per_series,
        series_per_body: args.series_per_body,
        interval_ms: args.interval * 1000,
        end_ms: time_or_now(args.end.as_deref())?,
        churn: args.churn,
    };
    let pushed = push(&args.url, args.pid, &fleet, plan, &args.sending)?;
    report(args.json, &pushed.figures());
    match pushed.first_refusal {
        Some(text) => Err(format!("the server refused bodies, the first with {text}").into()),
        None => Ok(()),
    }
}

/// Pushes a plan and reads what process `pid` took for it.
///
/// # Errors
/// When the server cannot be reached; refused bodies are counted and are no error.
pub(super) fn push(
    url: &str,
    pid: Option<u32>,
    fleet: &Fleet,
    plan: LoadPlan,
    sending: &SendingArgs,
) -> Result<Pushed, Failure> {
    let client = Client::new(url)?;
    let mut load = Load::new(fleet, plan);
    let round_ms = u64::from(plan.samples_per_series) * u64::from(plan.interval_ms);
    let shape = Shape {
        rounds_together: usize::try_from((MAX_LEAD_MS / round_ms).max(1)).unwrap_or(1),
        connections: sending.connections as usize,
        rate: sending.rate,
    };
    let bar = output::progress(load.samples(), "samples");
    let meter = pid.map(Meter::begin).transpose()?;
    let mut pushed = Pushed { active_series: load.active_series(), ..Pushed::default() };
    let mut next = prepare(&mut load, sending.ahead_mib << 20);
    let started = Instant::now();
    let mut due_samples = 0;
    while !next.is_empty() {
        let rounds = std::mem::take(&mut next);
        let samples: u64 = rounds.iter().flatten().map(|body| body.samples).sum();
        let sent = if sending.rate.is_some() {
            // Made beside the sending; sending itself stays on this thread.
            std::thread::scope(|scope| {
                let making = scope.spawn(|| prepare(&mut load, sending.ahead_mib << 20));
                let sent = client.block_on(send(&client, &rounds, shape, (started, due_samples)));
                next = making.join().map_err(|_| "making bodies panicked")?;
                sent
            })?
        } else {
            let sent = client.block_on(send(&client, &rounds, shape, (started, due_samples)))?;
            next = prepare(&mut load, sending.ahead_mib << 20);
            sent
        };
        due_samples += samples;
        bar.inc(samples);
        pushed.absorb(sent);
    }
    bar.finish_and_clear();
    pushed.series = load.series_made();
    std::thread::sleep(Duration::from_secs(sending.settle));
    pushed.server = meter.map(|meter| meter.read()).transpose()?;
    Ok(pushed)
}

impl Pushed {
    fn absorb(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.bodies += other.bodies;
        self.bytes += other.bytes;
        self.sending += other.sending;
        self.latencies.extend(other.latencies);
        self.first_refusal = self.first_refusal.take().or(other.first_refusal);
    }
}

/// Rounds of together at least `bytes`, or what is left.
fn prepare(load: &mut Load<'_>, bytes: u64) -> Vec<Vec<Body>> {
    let mut out = Vec::new();
    let mut made = 0;
    while made < bytes {
        let Some(round) = load.next_round() else { break };
        made += round.iter().map(|body| body.bytes.len() as u64).sum::<u64>();
        out.push(round);
    }
    out
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    /// Rounds within which connections do not wait for each other.
    rounds_together: usize,
    connections: usize,
    rate: Option<f64>,
}

/// Sends rounds. `since` is when the first body of the whole push was due, and the samples that were due before these.
async fn send(
    client: &Client,
    rounds: &[Vec<Body>],
    shape: Shape,
    since: (Instant, u64),
) -> Result<Pushed, Failure> {
    let started = Instant::now();
    let total = Mutex::new(Pushed::default());
    let (first_due, mut due_samples) = since;
    for together in rounds.chunks(shape.rounds_together) {
        let mut queues: Vec<Vec<(&Body, Option<Instant>)>> = vec![Vec::new(); shape.connections];
        for body in together.iter().flatten() {
            let due = shape.rate.map(|rate| first_due + Duration::from_secs_f64(due_samples as f64 / rate));
            queues[body.part % shape.connections].push((body, due));
            due_samples += body.samples;
        }
        try_join_all(queues.into_iter().map(|queue| send_in_order(client, queue, &total))).await?;
    }
    let mut total = total.into_inner().unwrap_or_default();
    total.sending = started.elapsed();
    Ok(total)
}

async fn send_in_order(
    client: &Client,
    queue: Vec<(&Body, Option<Instant>)>,
    total: &Mutex<Pushed>,
) -> Result<(), Failure> {
    for (body, due) in queue {
        if let Some(due) = due {
            sleep_until(TokioInstant::from_std(due)).await;
        }
        let started = due.unwrap_or_else(Instant::now);
        let (status, text) = client.push(body.bytes.clone()).await?;
        let took = started.elapsed();
        let Ok(mut total) = total.lock() else { return Err("a sender panicked".into()) };
        total.bodies += 1;
        total.bytes += body.bytes.len() as u64;
        total.latencies.add(took);
        if (200..300).contains(&status) {
            total.accepted += body.samples;
        } else {
            total.refused += body.samples;
            total.first_refusal.get_or_insert_with(|| format!("status {status}: {}", text.trim()));
        }
    }
    Ok(())
}
