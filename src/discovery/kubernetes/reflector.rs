//! Follows the objects of one kind: lists them, then watches what changes, and lists them again when that breaks off for
//! good.
//!
//! **Invariants**: a watch begins at the state that the list, or the last watch, ended with, so nothing is missed. Lists,
//! lines of watches and pauses are bounded.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::kind::Watched;
use super::object::{MAX_OBJECTS, Page, Placed, Reader, Told};
use crate::discovery::api::{Api, ApiError, parameter};
use crate::discovery::metrics::DiscoveryMetrics;
use crate::net::HttpResponse;
use crate::util::brief;

/// Objects to a page of a list.
const PAGE: usize = 500;
/// The longest a page may take, and the head of the answer to a watch.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pages of a list at most, were they all empty.
const MAX_PAGES: usize = 10_000;
/// Bytes of all pages of a list at most.
const MAX_LIST_BYTES: usize = 4 << 30;
/// Bytes of a line of a watch at most; the store of a cluster takes far smaller objects only.
const MAX_LINE_BYTES: usize = 16 << 20;
/// How long a watch is asked for. A connection that died unnoticed is noticed then.
const WATCH: Duration = Duration::from_secs(240);
/// How much longer it may take.
const GRACE: Duration = Duration::from_secs(30);
/// A watch that went on for so long was a good one, even if it told nothing.
const GOOD_WATCH: Duration = Duration::from_secs(10);
/// Pause before the server is asked again, at first and at most; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Watches in a row that fail before there is a list again: three seconds after the first one.
const MAX_FAILURES: u32 = 5;

/// What came of it.
#[derive(Debug)]
pub(super) struct News {
    /// Which of all reflectors says so.
    pub(super) from: usize,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// These are all objects there are; it took so long to find out.
    All(Vec<Placed>, Duration),
    /// What a watch told.
    Told(Box<Told>),
    /// A watch is open.
    Well,
    /// The server is not heard; it is asked again after the pause.
    Failed(String, Duration),
}

/// Why a list or a watch ended.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("cannot read what the server tells: {source}: {line}")]
    Line { source: serde_json::Error, line: String },
    #[error("the server ended the watch: {message}")]
    Ended { code: i64, message: String },
    #[error("no answer within {0:?}")]
    Slow(Duration),
    #[error("the list is larger than {0} {1}")]
    LargeList(usize, &'static str),
    #[error("an object is larger than {MAX_LINE_BYTES} bytes")]
    LargeObject,
}

impl Fault {
    /// Whether the state that a watch or a page was to go on from is not known any more. That happens now and then.
    fn is_gone(&self) -> bool {
        matches!(self, Self::Api(ApiError::Status { code: 410, .. }) | Self::Ended { code: 410, .. })
    }

    /// Whether another watch from the same state may do better.
    fn is_passing(&self) -> bool {
        match self {
            Self::Api(ApiError::Status { code, .. }) => matches!(code, 429 | 500..),
            Self::Api(ApiError::Http(_)) | Self::Slow(_) => true,
            _ => false,
        }
    }
}

pub(super) struct Reflector<'a> {
    pub(super) at: usize,
    pub(super) api: &'a Api,
    pub(super) watched: &'a Watched,
    pub(super) news: mpsc::Sender<News>,
    pub(super) metrics: &'a DiscoveryMetrics,
}

impl Reflector<'_> {
    /// Runs until nobody wants the news.
    pub(super) async fn run(self) {
        let mut pause = FIRST_PAUSE;
        while !self.news.is_closed() {
            let begun = Instant::now();
            match self.list().await {
                Ok((objects, version)) => {
                    self.tell(What::All(objects, begun.elapsed())).await;
                    self.follow(version, &mut pause).await;
                }
                Err(fault) => self.failed(&fault, &mut pause).await,
            }
        }
    }

    async fn tell(&self, what: What) {
        // If nobody listens, it is over soon.
        let _ = self.news.send(News { from: self.at, what }).await;
    }

    /// Tells of a fault and waits.
    async fn failed(&self, fault: &Fault, pause: &mut Duration) {
        self.metrics.kubernetes_failures.inc();
        self.tell(What::Failed(format!("{}: {fault}", self.watched.name), *pause)).await;
        wait(pause).await;
    }

    /// All objects, and the state of the cluster they belong to.
    async fn list(&self) -> Result<(Vec<Placed>, String), Fault> {
        match self.list_by(Some(PAGE)).await {
            // It took too long to go through the pages: the whole list at once does not break.
            Err(fault) if fault.is_gone() => self.list_by(None).await,
            other => other,
        }
    }

    async fn list_by(&self, limit: Option<usize>) -> Result<(Vec<Placed>, String), Fault> {
        let reader = Reader::of(self.watched.kind);
        let (mut objects, mut next, mut bytes) = (Vec::new(), String::new(), 0);
        for _ in 0..MAX_PAGES {
            let mut query = self.watched.selector.clone();
            limit.into_iter().for_each(|limit| parameter(&mut query, "limit", &limit.to_string()));
            if !next.is_empty() {
                parameter(&mut query, "continue", &next);
            }
            let path = format!("{}?{}", self.watched.path, query.trim_start_matches('&'));
            let body = timeout(PATIENCE, self.api.bytes(path.trim_end_matches('?'))).await;
            let body = body.map_err(|_| Fault::Slow(PATIENCE))??;
            bytes += body.len();
            if bytes > MAX_LIST_BYTES {
                return Err(Fault::LargeList(MAX_LIST_BYTES, "bytes"));
            }
            let page: Page = (reader.page)(&body).map_err(ApiError::from)?;
            objects.extend(page.objects.into_iter().filter(|one| self.is_ours(one)));
            if objects.len() > MAX_OBJECTS {
                return Err(Fault::LargeList(MAX_OBJECTS, "objects"));
            }
            if page.next.is_empty() {
                return Ok((objects, page.version));
            }
            next = page.next;
        }
        Err(Fault::LargeList(MAX_PAGES, "pages"))
    }

    /// Whether an object is one that was asked for.
    fn is_ours(&self, one: &Placed) -> bool {
        self.watched.namespace.as_ref().is_none_or(|namespace| *namespace == one.namespace)
    }

    /// Watches what changes after `version`, until a list is needed.
    async fn follow(&self, mut version: String, pause: &mut Duration) {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let before = version.clone();
            let end = self.watch(&mut version).await;
            // A server that tells something and then knows it no more is asked less and less often.
            let is_gone = end.as_ref().is_err_and(Fault::is_gone);
            if version != before && !is_gone || begun.elapsed() >= GOOD_WATCH {
                *pause = FIRST_PAUSE;
                failures = 0;
            }
            match end {
                // Watches end now and then.
                Ok(()) => wait(pause).await,
                Err(fault) if fault.is_passing() => {
                    self.failed(&fault, pause).await;
                    failures += 1;
                    if failures == MAX_FAILURES {
                        // Where nothing can be watched, lists still tell what there is.
                        return;
                    }
                }
                Err(fault) => {
                    if is_gone {
                        self.metrics.kubernetes_failures.inc();
                        wait(pause).await;
                    } else {
                        self.failed(&fault, pause).await;
                    }
                    return;
                }
            }
        }
    }

    /// Watches once; `version` becomes that of what was told last.
    async fn watch(&self, version: &mut String) -> Result<(), Fault> {
        let reader = Reader::of(self.watched.kind);
        let mut query = String::from("watch=true&allowWatchBookmarks=true");
        parameter(&mut query, "resourceVersion", version);
        parameter(&mut query, "timeoutSeconds", &WATCH.as_secs().to_string());
        let path = format!("{}?{query}{}", self.watched.path, self.watched.selector);
        let response = timeout(PATIENCE, self.api.open(&path)).await.map_err(|_| Fault::Slow(PATIENCE))??;
        self.tell(What::Well).await;
        let deadline = Instant::now() + WATCH + GRACE;
        let mut lines = Lines::new(response);
        // A connection that breaks is not the end: the next watch goes on from there.
        while let Ok(line) = timeout_at(deadline, lines.next()).await {
            let Some(line) = line? else { break };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let told = (reader.told)(line).map_err(|source| {
                let line = brief(String::from_utf8_lossy(&line[..line.len().min(256)]));
                Fault::Line { source, line }
            })?;
            match &told {
                Told::Error { code, message } => {
                    return Err(Fault::Ended { code: *code, message: brief(message) });
                }
                Told::Put { version: now, .. }
                | Told::Gone { version: now, .. }
                | Told::Bookmark { version: now } => {
                    if !now.is_empty() {
                        version.clone_from(now);
                    }
                }
            }
            let is_ours = match &told {
                Told::Put { placed, .. } | Told::Gone { placed, .. } => self.is_ours(placed),
                _ => true,
            };
            if is_ours {
                self.tell(What::Told(Box::new(told))).await;
            }
        }
        Ok(())
    }
}

async fn wait(pause: &mut Duration) {
    sleep(*pause).await;
    *pause = (*pause * 2).min(MAX_PAUSE);
}

/// The lines of a body that goes on.
struct Lines {
    response: HttpResponse,
    buffer: Vec<u8>,
    /// Where the next line begins, and up to where there is no end of one.
    begin: usize,
    searched: usize,
}

impl Lines {
    fn new(response: HttpResponse) -> Self {
        Self { response, buffer: Vec::new(), begin: 0, searched: 0 }
    }

    /// The next line; none at the end, or when the connection breaks.
    async fn next(&mut self) -> Result<Option<&[u8]>, Fault> {
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let (begin, end) = (self.begin, self.searched + length);
                self.begin = end + 1;
                self.searched = self.begin;
                return Ok(Some(&self.buffer[begin..end]));
            }
            self.buffer.drain(..self.begin);
            self.begin = 0;
            self.searched = self.buffer.len();
            if self.buffer.len() > MAX_LINE_BYTES {
                return Err(Fault::LargeObject);
            }
            match self.response.next_piece().await {
                Ok(Some(piece)) => self.buffer.extend_from_slice(&piece),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}
