//! `bench scrape-targets`: many exporters on one port of the loopback address, one path each, for a server to scrape.
//!
//! Bodies are compressed before they are asked for, as far as they are kept ahead; a target that is asked more often
//! makes its next body then. Values move on with every scrape as they did in the recording.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::oneshot;

use super::meter::{Meter, ProcessUse};
use super::source::SourceArgs;
use super::{Failure, figure, output, report};
use crate::telemetry::Registry;
use crate::web::{self, Router};
use crate::workload::exposition::put_exposition;
use crate::workload::{Fleet, Host};

/// How long a server may leave a connection idle.
const IDLE: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub(in crate::cli) struct ScrapeTargetsArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Exporters.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    targets: u32,
    /// Seconds between two scrapes of a target, for the configuration that is printed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    interval: u32,
    /// Port on 127.0.0.1.
    #[arg(long, default_value_t = 9500)]
    port: u16,
    /// Scrapes of each target whose bodies are made before serving.
    #[arg(long, default_value_t = 60)]
    prepared: usize,
    /// Seconds to measure.
    #[arg(long, default_value_t = 180)]
    duration: u64,
    /// Seconds to serve before measuring.
    #[arg(long, default_value_t = 15)]
    warm_up: u64,
    /// Process of the server that scrapes, to report its CPU and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// Print the configuration for the server that is to scrape, and end.
    #[arg(long)]
    print_config: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ScrapeTargetsArgs) -> Result<(), Failure> {
    if args.print_config {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
        output::line(config(address, args.targets, args.interval).trim_end());
        return Ok(());
    }
    let fleet = Arc::new(args.source.fleet()?);
    let exporters = Exporters::start(&fleet, args.targets, args.prepared, args.port)?;
    output::note(&format!("{} targets on {}", args.targets, exporters.address));
    let times = (Duration::from_secs(args.warm_up), Duration::from_secs(args.duration));
    let scraped = exporters.measure(args.pid, times)?;
    let mut figures = vec![
        figure("series", scraped.series as f64),
        figure("scrapes", scraped.scrapes as f64),
        figure("samples", scraped.samples as f64),
        figure("samples per second", scraped.samples as f64 / scraped.took.as_secs_f64()),
    ];
    figures.extend(scraped.server.iter().flat_map(|used| used.figures(scraped.samples, scraped.series)));
    report(args.json, &figures);
    if scraped.scrapes == 0 { Err("nobody scraped".into()) } else { Ok(()) }
}

/// The configuration with which a server scrapes `targets` exporters at `address`.
pub(super) fn config(address: SocketAddr, targets: u32, interval_seconds: u32) -> String {
    let mut out = format!(
        "global:\n  scrape_interval: {interval_seconds}s\n  scrape_timeout: {interval_seconds}s\n\
         scrape_configs:\n  - job_name: node\n    static_configs:\n"
    );
    for number in 0..targets {
        let _ = writeln!(
            out,
            "      - targets: ['{address}']\n        labels: {{__metrics_path__: /metrics/{number}, \
             instance: 'host-{number:05}'}}"
        );
    }
    out
}

/// What was scraped in the measured time.
#[derive(Debug)]
pub(super) struct Scraped {
    /// Series of all targets, without those a server adds.
    pub(super) series: u64,
    /// Bodies handed out.
    pub(super) scrapes: u64,
    /// Samples in them.
    pub(super) samples: u64,
    /// The measured time.
    pub(super) took: Duration,
    /// What the server took.
    pub(super) server: Option<ProcessUse>,
}

/// Running exporters; dropping them ends them.
#[derive(Debug)]
pub(super) struct Exporters {
    /// Where they listen.
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    fleet: Arc<Fleet>,
    targets: Vec<Mutex<Target>>,
    scrapes: AtomicU64,
}

#[derive(Debug)]
struct Target {
    host: Host,
    ready: VecDeque<Bytes>,
}

impl Target {
    /// Makes the body of the next scrape.
    fn make(&mut self, fleet: &Fleet) -> std::io::Result<Bytes> {
        let mut text = String::new();
        put_exposition(fleet, self.host.place(), &mut text);
        self.host.advance();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes())?;
        Ok(encoder.finish()?.into())
    }
}

impl Exporters {
    /// Starts `targets` exporters with `prepared` bodies each, on `port` of 127.0.0.1 or a free one if that is 0.
    ///
    /// # Errors
    /// When the port is taken.
    pub(super) fn start(
        fleet: &Arc<Fleet>,
        targets: u32,
        prepared: usize,
        port: u16,
    ) -> Result<Self, Failure> {
        let bar = output::progress(u64::from(targets), "targets");
        let mut all = Vec::new();
        for number in 0..targets {
            let mut target = Target { host: fleet.host(number), ready: VecDeque::new() };
            for _ in 0..prepared {
                let body = target.make(fleet)?;
                target.ready.push_back(body);
            }
            all.push(Mutex::new(target));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let shared = Arc::new(Shared { fleet: Arc::clone(fleet), targets: all, scrapes: AtomicU64::new(0) });
        let router = Router::new().route("/metrics/{number}", get(scrape)).with_state(Arc::clone(&shared));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let connections = web::Connections::new(usize::MAX, IDLE, web::forms(), &mut Registry::default());
        let thread = std::thread::Builder::new().name("exporters".to_owned()).spawn(move || {
            runtime.block_on(async {
                // Connections a server keeps open must not hold up the end.
                tokio::select! {
                    _ = web::serve(listener, router, connections, std::future::pending()) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Serves for `warm_up` and then measures for `duration`.
    pub(super) fn measure(
        &self,
        pid: Option<u32>,
        (warm_up, duration): (Duration, Duration),
    ) -> Result<Scraped, Failure> {
        std::thread::sleep(warm_up);
        let meter = pid.map(Meter::begin).transpose()?;
        let (before, started) = (self.scrapes(), Instant::now());
        std::thread::sleep(duration);
        let server = meter.map(|meter| meter.read()).transpose()?;
        let scrapes = self.scrapes() - before;
        let series = self.shared.fleet.series().len() as u64;
        Ok(Scraped {
            series: series * self.shared.targets.len() as u64,
            scrapes,
            samples: scrapes * series,
            took: started.elapsed(),
            server,
        })
    }

    fn scrapes(&self) -> u64 {
        // Relaxed: a count, read after the fact.
        self.shared.scrapes.load(Ordering::Relaxed)
    }
}

impl Drop for Exporters {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn scrape(
    State(shared): State<Arc<Shared>>,
    Path(number): Path<usize>,
    headers: HeaderMap,
) -> Response {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    if !accepted.is_some_and(|accepted| accepted.contains("gzip")) {
        return (StatusCode::NOT_ACCEPTABLE, "only gzip here").into_response();
    }
    let Some(target) = shared.targets.get(number) else { return StatusCode::NOT_FOUND.into_response() };
    let body = {
        let mut target = target.lock().unwrap_or_else(PoisonError::into_inner);
        match target.ready.pop_front() {
            Some(body) => Ok(body),
            None => target.make(&shared.fleet),
        }
    };
    let Ok(body) = body else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    shared.scrapes.fetch_add(1, Ordering::Relaxed);
    let headers = [
        (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (header::CONTENT_ENCODING, "gzip"),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpStream;

    use super::*;
    use crate::workload::fleet::small_capture;

    fn get(address: SocketAddr, path: &str, header: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(address).expect("connect");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).expect("send");
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).expect("reply");
        let end = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("head") + 4;
        (String::from_utf8_lossy(&reply[..end]).into_owned(), reply.split_off(end))
    }

    #[test]
    fn a_target_moves_on_with_every_scrape_even_past_what_was_prepared() {
        let fleet = Arc::new(Fleet::new(&small_capture(), 5).expect("fleet"));
        let exporters = Exporters::start(&fleet, 3, 2, 0).expect("exporters");
        let mut host = fleet.host(1);
        for _ in 0..4 {
            let (head, body) = get(exporters.address, "/metrics/1", "Accept-Encoding: gzip\r\n");
            assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-encoding: gzip"), "{head}");
            let mut text = String::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).expect("gzip");
            let mut expected = String::new();
            put_exposition(&fleet, host.place(), &mut expected);
            assert_eq!(text, expected);
            host.advance();
        }
        assert!(get(exporters.address, "/metrics/3", "Accept-Encoding: gzip\r\n").0.contains(" 404 "));
        assert!(get(exporters.address, "/metrics/1", "").0.contains(" 406 "));
        assert_eq!(exporters.scrapes(), 4);
    }

    #[test]
    fn the_configuration_names_every_target() {
        let text = config(SocketAddr::from((Ipv4Addr::LOCALHOST, 9500)), 2, 5);
        let config = crate::config::parse(&text, "printed", &crate::config::LoadOptions::default());
        assert!(config.expect("a configuration").job("node").is_some());
        assert_eq!(text.matches("127.0.0.1:9500").count(), 2);
    }
}
