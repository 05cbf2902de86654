//! Requests over connections, direct or by a proxy, and the redirects they meet.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{AUTHORIZATION, LOCATION};
use hyper::http::response::Parts;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::error::{HttpError, MAX_REDIRECTS, chain};
use super::pool::{Origin, Pool};
use super::proxy::{Proxy, ProxyServer};
use super::request::{Headers, HttpMethod, PreparedRequest};
use super::secret::basic_header;
use super::tls::Tls;
use crate::config::HttpConfig;
use crate::net::dial::Dialer;
use crate::net::http_url::HttpUrl;
use crate::util::lock::lock;

/// Bodies that nobody wants are read up to this size, so that the connection can be used again.
const MAX_DISCARDED_BYTES: u64 = 2048;

/// Sends requests and follows redirects; clones share connections.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    follow_redirects: bool,
    proxy: Arc<Proxy>,
    dialer: Arc<Dialer>,
    pool: Arc<Pool>,
    tls: Tls,
    /// What drives the connections; they end with the client.
    drivers: Arc<Mutex<JoinSet<()>>>,
}

impl Transport {
    /// A transport with these settings, whoever the client is.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub(super) fn new(config: &HttpConfig, dialer: Arc<Dialer>) -> Result<Self, HttpError> {
        Ok(Self {
            follow_redirects: config.follow_redirects,
            proxy: Arc::new(Proxy::new(&config.proxy, |name| std::env::var(name).ok())?),
            dialer,
            pool: Arc::default(),
            tls: Tls::new(&config.tls, config.enable_http2)?,
            drivers: Arc::default(),
        })
    }

    /// Sends `request` and waits for the head of the answer. Redirects are followed as Go does it: 307 and 308 with the same
    /// request, all others with a GET. `identity` goes to the server of the URL, and to no other one.
    /// With `socket` all connections lead to the Unix socket of this path, whatever the URLs say.
    ///
    /// # Errors
    /// When there is no answer.
    pub(super) async fn send(
        &self,
        request: &PreparedRequest,
        identity: &Headers,
        socket: Option<&Arc<str>>,
    ) -> Result<HttpResponse, HttpError> {
        let PreparedRequest { method, url, headers } = request;
        let (mut method, mut url) = (Cow::Borrowed(method), Cow::Borrowed(url));
        let (mut headers, mut identity) = (Cow::Borrowed(headers), Cow::Borrowed(identity));
        for _ in 0..=MAX_REDIRECTS {
            let is_named = headers.iter().chain(&*identity).any(|(name, _)| *name == AUTHORIZATION);
            let mut said = Cow::Borrowed(&*identity);
            if let Some((name, password)) = url.user().filter(|_| !is_named) {
                said.to_mut().push((AUTHORIZATION, basic_header(&name, password.reveal())?));
            }
            let response = self.send_once(&url, &method, &headers, &said, socket).await?;
            match response.redirect().filter(|_| self.follow_redirects) {
                Some(location) => {
                    if !matches!(response.status(), 307 | 308) && !matches!(*method, HttpMethod::Get) {
                        method = Cow::Owned(HttpMethod::Get);
                        headers.to_mut().retain(|(name, _)| !name.as_str().starts_with("content-"));
                    }
                    response.discard().await;
                    let next = url.join(&location)?;
                    // Another host is not told who we are, nor is anybody that it sends us to.
                    if !next.may_know(&request.url) {
                        identity = Cow::Owned(Headers::new());
                        headers.to_mut().retain(|(name, _)| is_for_anybody(name.as_str()));
                    }
                    url = Cow::Owned(next);
                }
                None => return Ok(response),
            }
        }
        Err(HttpError::TooManyRedirects)
    }

    async fn send_once(
        &self,
        url: &HttpUrl,
        method: &HttpMethod,
        headers: &Headers,
        identity: &Headers,
        socket: Option<&Arc<str>>,
    ) -> Result<HttpResponse, HttpError> {
        let origin = Origin::of(url, socket);
        if url.https && self.tls.is_outdated() {
            // What was agreed on with other certificates is over.
            self.pool.clear();
        }
        let give_back = |(head, body, connection)| HttpResponse {
            head,
            body,
            connection,
            answers_post: matches!(method, HttpMethod::Post(_)),
            origin: origin.clone(),
            pool: Arc::clone(&self.pool),
        };
        if let Some(mut idle) = self.idle(&origin).await {
            let before = idle.received();
            match idle.send(url, method, headers, identity).await {
                Ok((head, body)) => return Ok(give_back((head, body, idle))),
                // The server may have closed it the moment it was taken. Nothing was answered, so nothing is lost
                // by asking again.
                Err(error) if idle.may_repeat(before) => {
                    tracing::debug!(%error, "an idle connection was closed: the request is repeated");
                }
                Err(error) => return Err(error),
            }
        }
        let mut fresh = self.connect(url, socket).await?;
        let (head, body) = fresh.send(url, method, headers, identity).await?;
        Ok(give_back((head, body, fresh)))
    }

    /// The same with connections of its own.
    pub(super) fn with_own_connections(self) -> Self {
        Self { pool: Arc::default(), drivers: Arc::default(), ..self }
    }

    /// A connection that waits, and leads where its name does.
    async fn idle(&self, origin: &Origin) -> Option<Connection> {
        loop {
            let idle = self.pool.take(origin).await?;
            match &idle.dialed {
                Some(dialed) if !self.dialer.still_leads(dialed) => {
                    tracing::debug!(?dialed, "a name has other addresses now: its connection is given up");
                }
                _ => return Some(idle),
            }
        }
    }

    async fn connect(&self, url: &HttpUrl, socket: Option<&Arc<str>>) -> Result<Connection, HttpError> {
        let mut dialed = None;
        let (mut connection, driver) = match self.proxy.of(url) {
            _ if let Some(path) = socket => {
                let failed = |source| HttpError::Socket { path: path.to_string(), source };
                self.open(url, UnixStream::connect(&**path).await.map_err(failed)?).await?
            }
            None => {
                let stream;
                (stream, dialed) = self.dialer.connect(&url.host, url.port).await?;
                self.open(url, stream).await?
            }
            Some(server) => {
                let stream;
                (stream, dialed) = self.dialer.connect(&server.url.host, server.url.port).await?;
                if server.url.https {
                    let (stream, _) = self.tls.wrap(&server.url.host, stream, false).await?;
                    self.open_by(server, url, stream).await?
                } else {
                    self.open_by(server, url, stream).await?
                }
            }
        };
        connection.dialed = dialed;
        let mut drivers = lock(&self.drivers);
        while drivers.try_join_next().is_some() {}
        drivers.spawn(driver);
        Ok(connection)
    }
}

/// Whether a header of a request, in lower case, says nothing that only the server of its URL is to know.
fn is_for_anybody(name: &str) -> bool {
    let beginnings = ["accept", "content-", "user-agent", "x-prometheus-"];
    beginnings.iter().any(|beginning| name.starts_with(beginning))
}

/// A connection, and what drives it.
type Opened = (Connection, Pin<Box<dyn Future<Output = ()> + Send>>);

impl Transport {
    /// Speaks HTTP with the server of `url` over `stream`, which leads to it.
    async fn open<S>(&self, url: &HttpUrl, stream: S) -> Result<Opened, HttpError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        if !url.https {
            return Connection::open(stream, false).await;
        }
        let (stream, http2) = self.tls.wrap(&url.host, stream, true).await?;
        Connection::open(stream, http2).await
    }

    /// The same over a `stream` that leads to a proxy.
    async fn open_by<S>(&self, server: &ProxyServer, url: &HttpUrl, stream: S) -> Result<Opened, HttpError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        if url.https {
            return self.open(url, self.proxy.tunnel(server, stream, url).await?).await;
        }
        let (connection, driver) = Connection::open(stream, false).await?;
        Ok((connection.by_proxy(server.authorization.clone()), driver))
    }
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct HttpResponse {
    head: Parts,
    body: Incoming,
    connection: Connection,
    answers_post: bool,
    origin: Origin,
    pool: Arc<Pool>,
}

impl HttpResponse {
    /// Whether it answers a POST. That of a POST may not: see `HttpClient::send`.
    pub fn answers_post(&self) -> bool {
        self.answers_post
    }

    /// Status code.
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Status code with the words that came with it. HTTP/2 has none: there they are the usual ones.
    pub fn status_text(&self) -> String {
        let code = self.head.status.as_str();
        let words = match self.head.extensions.get::<ReasonPhrase>() {
            Some(words) => String::from_utf8_lossy(words.as_bytes()),
            None => self.head.status.canonical_reason().unwrap_or("").into(),
        };
        if words.is_empty() { code.to_owned() } else { format!("{code} {words}") }
    }

    /// A header, where it is there; what is not UTF-8 in it is replaced.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Where the server sends us.
    fn redirect(&self) -> Option<String> {
        let moved = matches!(self.status(), 301 | 302 | 303 | 307 | 308);
        self.header(LOCATION.as_str()).filter(|_| moved)
    }

    /// Reads the body to its end into `out`, and no more than the limit of one that is too large.
    ///
    /// # Errors
    /// When the connection breaks or the body has more than `limit_bytes`.
    pub async fn read_body(mut self, limit_bytes: u64, out: &mut Vec<u8>) -> Result<(), HttpError> {
        while let Some(piece) = self.next_piece().await? {
            if (out.len() + piece.len()) as u64 > limit_bytes {
                let room = usize::try_from(limit_bytes).unwrap_or(usize::MAX).saturating_sub(out.len());
                out.extend_from_slice(&piece[..room.min(piece.len())]);
                return Err(HttpError::TooLarge { limit_bytes });
            }
            out.extend_from_slice(&piece);
        }
        self.pool.put(self.origin, self.connection);
        Ok(())
    }

    /// Passes over the body. The connection is kept if that is quickly done.
    pub async fn discard(self) {
        if self.body.size_hint().exact().is_some_and(|bytes| bytes <= MAX_DISCARDED_BYTES) {
            // If it fails, the connection is gone, and that is all.
            let _ = self.read_body(MAX_DISCARDED_BYTES, &mut Vec::new()).await;
        }
    }

    /// The next piece of the body; none at its end. For bodies that go on for as long as the server lives.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let body = &mut self.body;
            let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
            match frame.transpose().map_err(|error| HttpError::Request(chain(&error)))? {
                None => return Ok(None),
                // Trailers say nothing of interest.
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}
