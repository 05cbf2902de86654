//! A server on loopback, or behind a Unix socket, that answers discoveries in tests as real ones do.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

/// What was asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    /// Lines of the head after the first, as they came.
    pub(super) head: Vec<String>,
    pub(super) body: String,
}

impl Request {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.iter().filter_map(|line| line.split_once(':'));
        pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

/// What is answered.
pub(super) struct Reply {
    pub(super) status: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
}

pub(super) enum Body {
    Whole(String),
    /// Pieces that come when they come; the end of the channel is that of the body. At an empty one, the connection breaks.
    Pieces(mpsc::UnboundedReceiver<String>),
}

impl Reply {
    pub(super) fn json(body: impl Into<String>) -> Self {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Self { status: "200 OK", headers, body: Body::Whole(body.into()) }
    }

    pub(super) fn status(status: &'static str, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: Body::Whole(body.to_owned()) }
    }

    pub(super) fn pieces(pieces: mpsc::UnboundedReceiver<String>) -> Self {
        Self { status: "200 OK", headers: Vec::new(), body: Body::Pieces(pieces) }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Reply> + Send + Sync>;

/// Answers with what `handler` says; returns the address. Runs as long as the runtime.
pub(super) async fn serve<F>(handler: impl Fn(Request) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = Reply> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let address = listener.local_addr().expect("an address").to_string();
    let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&handler)));
        }
    });
    address
}

/// The same behind a Unix socket.
pub(super) fn serve_behind<F>(socket: &Path, handler: impl Fn(Request) -> F + Send + Sync + 'static)
where
    F: Future<Output = Reply> + Send + 'static,
{
    let listener = UnixListener::bind(socket).expect("listen");
    let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&handler)));
        }
    });
}

/// Answers the requests of one connection, until the client is gone.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: S, handler: Handler) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let (method, path) = (line.split(' ').next()?.to_owned(), line.split(' ').nth(1)?.to_owned());
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            if line == "\r\n" {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let mut request = Request { method, path, head, body: String::new() };
        let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        request.body = String::from_utf8(body).ok()?;
        let Reply { status, headers, body } = handler(request).await;
        let mut head = format!("HTTP/1.1 {status}\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", &value, "\r\n"]);
        }
        match body {
            Body::Whole(body) => {
                head.extend(["Content-Length: ", &body.len().to_string(), "\r\n\r\n", &body]);
                stream.write_all(head.as_bytes()).await.ok()?;
            }
            Body::Pieces(mut pieces) => {
                head.push_str("Transfer-Encoding: chunked\r\n\r\n");
                stream.write_all(head.as_bytes()).await.ok()?;
                while let Some(piece) = pieces.recv().await {
                    if piece.is_empty() {
                        return None;
                    }
                    let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
                    stream.write_all(chunk.as_bytes()).await.ok()?;
                }
                stream.write_all(b"0\r\n\r\n").await.ok()?;
            }
        }
    }
}

/// A manager with the job `j`, which has the sections `text`, and the targets it finds.
pub(super) struct Found {
    pub(super) manager: super::DiscoveryManager,
    pub(super) metrics: super::DiscoveryMetrics,
    targets: tokio::sync::watch::Receiver<Arc<super::TargetSets>>,
}

impl Found {
    pub(super) fn start(text: &str) -> Self {
        let resolver = Arc::new(crate::net::SystemResolver::new(None));
        let dialer = Arc::new(crate::net::Dialer::new(resolver.clone()));
        let metrics = super::DiscoveryMetrics::default();
        let manager = super::DiscoveryManager::new("scrape", resolver, dialer, metrics.clone());
        let text = format!("scrape_configs:\n- job_name: j\n  {text}\n");
        let options = crate::config::LoadOptions::default();
        let config = crate::config::parse(&text, "f", &options).expect("valid");
        let targets = manager.targets();
        manager.commit(manager.prepare(super::SetConfig::of_jobs(&config)).expect("a client"));
        Self { manager, metrics, targets }
    }

    /// The groups, once they are what is wanted.
    pub(super) async fn until(
        &mut self,
        is_wanted: impl Fn(&[Arc<super::TargetGroup>]) -> bool,
    ) -> Vec<Arc<super::TargetGroup>> {
        let patience = std::time::Duration::from_secs(30);
        let wait = self.targets.wait_for(|sets| is_wanted(sets.groups("j")));
        if let Ok(sets) = tokio::time::timeout(patience, wait).await {
            return sets.expect("published").groups("j").to_vec();
        }
        panic!("not in time: {:?} with {:?}", self.targets.borrow().groups("j"), self.manager.status())
    }

    /// Waits until the targets have just these addresses, in order.
    pub(super) async fn is(&mut self, expected: &[&str]) {
        let addresses = |groups: &[Arc<super::TargetGroup>]| {
            let targets = groups.iter().flat_map(|group| &group.targets);
            let mut out: Vec<String> =
                targets.filter_map(|target| target.get("__address__").map(str::to_owned)).collect();
            out.sort_unstable();
            out
        };
        self.until(|groups| addresses(groups) == expected).await;
    }

    /// The addresses of all targets, once there are so many.
    pub(super) async fn addresses(&mut self, count: usize) -> Vec<String> {
        let number =
            |groups: &[Arc<super::TargetGroup>]| groups.iter().map(|g| g.targets.len()).sum::<usize>();
        let groups = self.until(|groups| number(groups) == count).await;
        let targets = groups.iter().flat_map(|group| &group.targets);
        let mut out: Vec<String> =
            targets.filter_map(|target| target.get("__address__").map(str::to_owned)).collect();
        out.sort_unstable();
        out
    }

    /// Waits until the first mechanism knows what there is.
    pub(super) async fn well(&self) {
        for _ in 0..3000 {
            let health = &self.manager.status()["j"][0].health;
            if health.last_error.is_none() && health.last_refresh_ms.is_some() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("it does not get well: {:?}", self.manager.status());
    }

    /// Why the first mechanism does not know what there is, once that is so.
    pub(super) async fn error(&self) -> String {
        self.error_with("").await
    }

    /// The same, once the reason contains `part`.
    pub(super) async fn error_with(&self, part: &str) -> String {
        for _ in 0..3000 {
            if let Some(error) = &self.manager.status()["j"][0].health.last_error
                && error.contains(part)
            {
                return error.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("nothing failed with {part:?}: {:?}", self.manager.status());
    }
}

/// The API of the server at `address`, asked with a token.
pub(super) fn api(address: &str, token: &str) -> super::api::Api {
    let resolver = Arc::new(crate::net::SystemResolver::new(None));
    let dialer = Arc::new(crate::net::Dialer::new(resolver));
    let credentials = Some(crate::config::Source::Text(crate::config::Secret::new(token)));
    let auth = Some(crate::config::Auth::Header { kind: "Bearer".to_owned(), credentials });
    let http = crate::config::HttpConfig { auth, ..crate::config::HttpConfig::default() };
    super::api::Api::new(format!("http://{address}"), &http, &dialer).expect("a client")
}

/// The labels of a target as lines, without what the names of most begin with.
pub(super) fn lines(target: &crate::model::Labels, prefix: &str) -> Vec<String> {
    let line = |(name, value): (&str, &str)| format!("{}={value}", name.strip_prefix(prefix).unwrap_or(name));
    target.iter().map(line).collect()
}

/// What is wrong with the configuration of a job that has the section `section`.
pub(super) fn fault(section: &str) -> String {
    let text = format!("scrape_configs:\n- job_name: j\n  {section}\n");
    let options = crate::config::LoadOptions::default();
    crate::config::parse(&text, "f", &options).expect_err(section).to_string()
}
