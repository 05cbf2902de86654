//! A small HTTP server that plays an Alertmanager in tests.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::util::lock::lock;

/// What it does with a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Sends these bytes.
    Bytes(String),
    /// Resets the connection.
    Reset,
    /// Says nothing.
    Silence,
}

/// A reply with this status line and these headers, without a body.
pub(super) fn reply(status: &str, headers: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{headers}\r\n"))
}

/// Listens on a port of its own until it is dropped.
pub(super) struct StandIn {
    pub(super) address: SocketAddr,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: mpsc::UnboundedReceiver<(String, String)>,
    task: JoinHandle<()>,
}

impl StandIn {
    /// Starts one that takes everything, after it has given `replies`.
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let replies: Arc<Mutex<VecDeque<Reply>>> = Arc::new(Mutex::new(replies.into_iter().collect()));
        let (sender, seen) = mpsc::unbounded_channel();
        let ahead = Arc::clone(&replies);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&ahead), sender.clone()));
            }
        });
        Self { address, replies, seen, task }
    }

    /// Where it takes alerts.
    pub(super) fn url(&self) -> String {
        format!("http://{}/api/v2/alerts", self.address)
    }

    /// Sets what comes next.
    pub(super) fn then(&self, next: Reply) {
        lock(&self.replies).push_back(next);
    }

    /// Head and body of the next request.
    pub(super) async fn next(&mut self) -> (String, String) {
        let next = tokio::time::timeout(Duration::from_secs(20), self.seen.recv());
        next.await.expect("a request in time").expect("it runs")
    }

    /// What has come and was not looked at yet.
    pub(super) fn rest(&mut self) -> usize {
        std::iter::from_fn(|| self.seen.try_recv().ok()).count()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: mpsc::UnboundedSender<(String, String)>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let (head, body) = loop {
            if let Some(whole) = request(&mut buffer) {
                break whole;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let next = lock(&replies).pop_front();
        let _ = seen.send((head, body));
        match next.unwrap_or_else(|| reply("200 OK", "")) {
            Reply::Bytes(text) => stream.write_all(text.as_bytes()).await?,
            Reply::Reset => return stream.set_zero_linger(),
            Reply::Silence => std::future::pending().await,
        }
    }
}

/// Takes a whole request out of `buffer`.
fn request(buffer: &mut Vec<u8>) -> Option<(String, String)> {
    let text = String::from_utf8(buffer.clone()).expect("text");
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
    let length = length.unwrap_or(0);
    let body = rest.get(..length)?;
    buffer.drain(..head.len() + 4 + length);
    Some((head.to_owned(), body.to_owned()))
}
