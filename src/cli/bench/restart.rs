//! `bench restart`: kills a server as a crash would, starts it again, and reports when it answers with what it had.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use super::client::Client;
use super::meter::is_running;
use super::source::time_or_now;
use super::{Failure, figure, output, report};

/// How long it waits between two looks.
const LOOK: Duration = Duration::from_millis(2);

#[derive(Debug, Args)]
pub(in crate::cli) struct RestartArgs {
    /// Address of the server.
    #[arg(long)]
    url: String,
    /// Process of the server, to be killed.
    #[arg(long)]
    pid: u32,
    /// Instant query that gives one number, such as a count of series or samples.
    #[arg(long, default_value = "count({job=\"node\"})")]
    query: String,
    /// Number it must give after the start; the one it gives before the kill if absent.
    #[arg(long)]
    expect: Option<f64>,
    /// Instant query that is timed once after the first.
    #[arg(long)]
    second_query: Option<String>,
    /// Time at which the queries are evaluated, RFC 3339 or seconds since the epoch; now if absent.
    #[arg(long)]
    time: Option<String>,
    /// Seconds to wait for the first answer, and after it for the expected number.
    #[arg(long, default_value_t = 120)]
    patience: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// File to which what the started server prints is appended; thrown away if absent.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How to start the server; it is left running.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// What came of a restart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restarted {
    /// Seconds from the start of the process to the first answer.
    pub(super) answering: f64,
    /// Seconds to the expected number; `None` if it never came.
    pub(super) complete: Option<f64>,
    /// The number it gave last.
    pub(super) found: f64,
}

pub(super) fn run(args: &RestartArgs) -> Result<(), Failure> {
    let client = Client::new(&args.url)?;
    let time_ms = time_or_now(args.time.as_deref())?;
    let before = match args.expect {
        Some(expected) => expected,
        None => client.number(&args.query, time_ms)?.ok_or("the query gives nothing before the kill")?,
    };
    let patience = Duration::from_secs(args.patience);
    signal(args.pid, "KILL")?;
    let killed = Instant::now();
    while is_running(args.pid) {
        if killed.elapsed() > patience {
            return Err(format!("process {} does not end", args.pid).into());
        }
        std::thread::sleep(LOOK);
    }
    let started = Instant::now();
    let [program, arguments @ ..] = &args.command[..] else { return Err("no command to start".into()) };
    // It outlives this process, so it must not hold its output open.
    let (stdout, stderr) = match &args.log {
        Some(path) => {
            let log = File::options().create(true).append(true).open(path)?;
            (Stdio::from(log.try_clone()?), Stdio::from(log))
        }
        None => (Stdio::null(), Stdio::null()),
    };
    let mut command = Command::new(program);
    let spawned = command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn();
    let mut child = spawned.map_err(|error| format!("{program}: {error}"))?;
    let restarted =
        watch(&args.url, &mut child, started, (&args.query, time_ms, before), (patience, patience))?;
    let mut figures = vec![
        figure("process", f64::from(child.id())),
        figure("seconds to the first answer", restarted.answering),
        figure("expected", before),
        figure("found", restarted.found),
    ];
    figures.extend(restarted.complete.map(|complete| figure("seconds to the expected number", complete)));
    if let Some(query) = &args.second_query {
        let asked = Instant::now();
        client.number(query, time_ms)?;
        figures.push(figure("second query, s", asked.elapsed().as_secs_f64()));
    }
    report(args.json, &figures);
    match restarted.complete {
        Some(_) => Ok(()),
        None => Err(format!("{} of {before} are there", restarted.found).into()),
    }
}

/// Sends a signal by name.
pub(super) fn signal(pid: u32, name: &str) -> Result<(), Failure> {
    let done = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status()?;
    if done.success() { Ok(()) } else { Err(format!("cannot send {name} to process {pid}").into()) }
}

/// Waits until a server that began to start at `started` answers a query, at most the first patience, and then until it
/// gives the number expected, at most the second.
///
/// # Errors
/// When it does not answer in time, or ends.
pub(super) fn watch(
    url: &str,
    child: &mut Child,
    started: Instant,
    (query, time_ms, expected): (&str, i64, f64),
    (to_answer, to_complete): (Duration, Duration),
) -> Result<Restarted, Failure> {
    let client = Client::new(url)?;
    let is_alive = || matches!(child.try_wait(), Ok(None));
    let mut found = client.until_answering(query, time_ms, to_answer, is_alive)?.unwrap_or(0.0);
    let answering = started.elapsed();
    while found != expected && started.elapsed() < answering + to_complete {
        std::thread::sleep(LOOK);
        found = client.number(query, time_ms)?.unwrap_or(0.0);
    }
    let complete = (found == expected).then(|| started.elapsed().as_secs_f64());
    if complete.is_none() {
        output::note(&format!("{found} of {expected} found after the restart"));
    }
    Ok(Restarted { answering: answering.as_secs_f64(), complete, found })
}
