//! The servers that are compared: how each is started on a fresh directory, stopped and killed.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::client::Client;
use super::super::restart::signal;
use super::Failure;

/// How long a server may take to start or to stop.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);
/// Configuration of a server that scrapes nobody.
const SCRAPE_NOBODY: &str = "global:\n  scrape_interval: 15s\nscrape_configs: []\n";

/// Which server a binary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Prometheus,
    VictoriaMetrics,
    Emberkeep,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "Prometheus",
            Self::VictoriaMetrics => "VictoriaMetrics",
            Self::Emberkeep => "Emberkeep",
        }
    }

    /// Arguments that give each the same task: keep everything, take remote write, scrape what `config` says.
    fn arguments(self, address: SocketAddr, data: &Path, config: &Path) -> Vec<String> {
        let (data, config) = (data.display(), config.display());
        match self {
            Self::Emberkeep | Self::Prometheus => {
                let serve = (self == Self::Emberkeep).then(|| "serve".to_owned());
                let retention = if self == Self::Emberkeep { "0" } else { "100y" };
                let common = [
                    format!("--config.file={config}"),
                    format!("--storage.tsdb.path={data}"),
                    format!("--storage.tsdb.retention.time={retention}"),
                    format!("--web.listen-address={address}"),
                    "--web.enable-remote-write-receiver".to_owned(),
                ];
                serve.into_iter().chain(common).collect()
            }
            Self::VictoriaMetrics => vec![
                format!("-promscrape.config={config}"),
                format!("-storageDataPath={data}"),
                "-retentionPeriod=100y".to_owned(),
                format!("-httpListenAddr={address}"),
            ],
        }
    }
}

/// A binary to measure.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) kind: Kind,
    pub(super) binary: PathBuf,
}

impl Candidate {
    /// The first line of what it says of its version.
    ///
    /// # Errors
    /// When it cannot be run.
    pub(super) fn version(&self) -> Result<String, Failure> {
        let argument = if self.kind == Kind::VictoriaMetrics { "-version" } else { "--version" };
        let output = Command::new(&self.binary)
            .arg(argument)
            .output()
            .map_err(|error| format!("{}: {error}", self.binary.display()))?;
        let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
    }

    /// Starts it on `dir`, which holds its data, configuration and log, and waits until it answers.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn start(&self, dir: &Path, config: Option<&str>) -> Result<Running, Failure> {
        std::fs::create_dir_all(dir)?;
        let config_file = dir.join("config.yml");
        std::fs::write(&config_file, config.unwrap_or(SCRAPE_NOBODY))?;
        // The port is free a moment before the server takes it.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let data = dir.join("data");
        let arguments = self.kind.arguments(address, &data, &config_file);
        let child = spawn(&self.binary, &arguments, dir)?;
        let url = format!("http://{address}");
        let mut running =
            Running { binary: self.binary.clone(), arguments, child, url, dir: dir.to_owned(), data };
        let is_alive = || matches!(running.child.try_wait(), Ok(None));
        let answered = Client::new(&running.url)?.until_answering("vector(1)", 1000, PATIENCE, is_alive);
        answered.map_err(|error| format!("{error}; see {}", log_file(dir).display()))?;
        Ok(running)
    }
}

/// A server that runs; dropping it kills it.
#[derive(Debug)]
pub(super) struct Running {
    binary: PathBuf,
    arguments: Vec<String>,
    pub(super) child: Child,
    /// `http://127.0.0.1:<port>`
    pub(super) url: String,
    dir: PathBuf,
    /// Its data directory.
    pub(super) data: PathBuf,
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("server.log")
}

fn spawn(binary: &Path, arguments: &[String], dir: &Path) -> Result<Child, Failure> {
    let log = File::options().create(true).append(true).open(log_file(dir))?;
    Command::new(binary)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{}: {error}", binary.display()).into())
}

impl Running {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash would and starts it again at once; gives the moment of the start.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn crash_and_start(&mut self) -> Result<Instant, Failure> {
        self.child.kill()?;
        self.child.wait()?;
        self.start_again()
    }

    /// Lets it end by itself and starts it again; gives the moment of the start.
    ///
    /// # Errors
    /// When it does not end in time or cannot be started.
    pub(super) fn stop_and_start(&mut self) -> Result<Instant, Failure> {
        signal(self.pid(), "TERM")?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > PATIENCE {
                return Err(format!("process {} does not end", self.pid()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.start_again()
    }

    fn start_again(&mut self) -> Result<Instant, Failure> {
        let started = Instant::now();
        self.child = spawn(&self.binary, &self.arguments, &self.dir)?;
        Ok(started)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
