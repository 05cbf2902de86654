//! The real binary as a child process, and a client for it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `check` again and again until it gives a value; panics with `what` after [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn command(dir: &Path, args: &[&str], address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emberkeep"));
    command
        .arg("serve")
        .arg("--storage.tsdb.path")
        .arg(dir)
        .args(["--web.listen-address", address])
        .args(args)
        // Away from any prometheus.yml of the working directory.
        .current_dir(dir.parent().expect("a parent"))
        .stdin(Stdio::null());
    command
}

fn free_address() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.expect("a port").to_string()
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:<port>`
    pub url: String,
    log: Arc<Mutex<Option<String>>>,
}

impl Server {
    /// Starts `emberkeep serve` on a free port with data in `dir`, and waits until it listens.
    pub fn start(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = command(dir, args, "127.0.0.1:0");
        command.envs(env.iter().copied());
        Self::spawn(command)
    }

    /// As [`Server::start`], where `hosts` is the hosts file of the system; none where mounts are not allowed.
    pub fn start_with_hosts(dir: &Path, args: &[&str], hosts: &Path) -> Option<Self> {
        let in_namespace = |script: &str| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", script]).arg(hosts);
            command
        };
        let mount = "mount --bind \"$0\" /etc/hosts";
        let allowed = in_namespace(mount).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !allowed {
            println!("skipped: mounts are not allowed");
            return None;
        }
        Some(Self::start_by(in_namespace(&format!("{mount} && exec \"$@\"")), dir, args))
    }

    /// As [`Server::start`], in a shell that has run `script` before.
    pub fn start_after(script: &str, dir: &Path, args: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{script} && exec \"$@\""), "sh"]);
        Self::start_by(shell, dir, args)
    }

    /// Starts what `starter` is to start, whose arguments come last.
    fn start_by(mut starter: Command, dir: &Path, args: &[&str]) -> Self {
        let plain = command(dir, args, "127.0.0.1:0");
        starter.arg(plain.get_program()).args(plain.get_args());
        starter.current_dir(plain.get_current_dir().expect("set")).stdin(Stdio::null());
        Self::spawn(starter)
    }

    /// Starts the program in `dir` with a command line as Prometheus has it, without a command, on a free port.
    pub fn start_as(dir: &Path, args: &[String]) -> Self {
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_emberkeep"));
        command.args(args).arg(format!("--web.listen-address={address}"));
        Self::wait_for(command.current_dir(dir).stdin(Stdio::null()).stderr(Stdio::null()), &address)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("start the server");
        let log = Arc::new(Mutex::new(Some(String::new())));
        let (found, address) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("web requests address=") {
                    let _ = found.send(address.trim().to_owned());
                }
                let mut log = lines.lock().expect("log");
                let Some(log) = &mut *log else { return };
                log.push_str(&line);
                log.push('\n');
            }
        });
        let Ok(address) = address.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("the server did not start:\n{:?}", log.lock().expect("log"));
        };
        Self { child, url: format!("http://{address}"), log }
    }

    /// As [`Server::start`], with its log going to `stderr`.
    pub fn start_silent(dir: &Path, args: &[&str], stderr: Stdio) -> Self {
        let address = free_address();
        Self::wait_for(command(dir, args, &address).stderr(stderr), &address)
    }

    /// Starts what listens on `address`, whatever it logs.
    fn wait_for(command: &mut Command, address: &str) -> Self {
        let mut child = command.spawn().expect("start the server");
        wait_for("the server listens", || {
            let ended = child.try_wait().expect("wait");
            assert!(ended.is_none(), "the server ended: {ended:?}");
            std::net::TcpStream::connect(address).ok()
        });
        Self { child, url: format!("http://{address}"), log: Arc::default() }
    }

    /// Reads one more line of the log; those after it cannot be written.
    pub fn close_log(&self) {
        *self.log.lock().expect("log") = None;
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("log").clone().unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(done.expect("kill").success());
    }

    /// Ends it with TERM and waits for it.
    pub fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for its end; panics after [`PATIENCE`].
    pub fn wait(mut self) -> ExitStatus {
        wait_for("the server to end", || self.child.try_wait().expect("wait"))
    }

    /// Whether nobody listens any more.
    pub fn refuses_connections(&self) -> bool {
        let address = self.url.strip_prefix("http://").expect("a plain url");
        std::net::TcpStream::connect(address).is_err()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A blocking HTTP client.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

impl Client {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("client");
        Self { runtime, client }
    }

    /// Status and body of a GET; an error when nobody answers.
    pub fn get(&self, url: &str) -> Result<(u16, String), String> {
        self.runtime.block_on(async {
            let reply = self.client.get(url).send().await.map_err(|e| e.to_string())?;
            let status = reply.status().as_u16();
            Ok((status, reply.text().await.map_err(|e| e.to_string())?))
        })
    }

    /// Status and body of a POST.
    pub fn post(&self, url: &str, content_type: &str, body: Vec<u8>) -> Result<(u16, String), String> {
        self.runtime.block_on(async {
            let request = self.client.post(url).header("Content-Type", content_type).body(body);
            let reply = request.send().await.map_err(|e| e.to_string())?;
            let status = reply.status().as_u16();
            Ok((status, reply.text().await.map_err(|e| e.to_string())?))
        })
    }

    /// The `data` of an API call with form parameters; panics unless it succeeds.
    pub fn api(&self, server: &str, endpoint: &str, form: &[(&str, &str)]) -> Value {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let url = format!("{server}/api/v1/{endpoint}");
        let sent = if matches!(endpoint, "query" | "query_range" | "series" | "labels") {
            self.post(&url, "application/x-www-form-urlencoded", body.into_bytes())
        } else {
            self.get(&format!("{url}?{body}"))
        };
        let (status, text) = sent.unwrap_or_else(|error| panic!("{url}: {error}"));
        let mut reply: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{url}: {e}: {text}"));
        assert_eq!((status, &reply["status"]), (200, &Value::from("success")), "{form:?}: {text}");
        reply["data"].take()
    }

    /// The vector an instant query gives: labels and values.
    pub fn vector(&self, server: &str, query: &str) -> Vec<(Value, f64)> {
        let data = self.api(server, "query", &[("query", query)]);
        let rows = data["result"].as_array().expect("vector").iter();
        rows.map(|row| (row["metric"].clone(), number(&row["value"][1]))).collect()
    }
}

/// The number in a sample of a reply.
pub fn number(value: &Value) -> f64 {
    match value.as_str().expect("a text") {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().expect("a number"),
    }
}
