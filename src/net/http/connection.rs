//! One connection: a request is sent, the head of its answer comes back.
//!
//! What servers answer is taken as other clients take it: folded headers, spaces before colons, very many headers.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::{http1, http2};
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::http::response::Parts;
use hyper::http::uri::{PathAndQuery, Scheme, Uri};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::{HttpError, chain};
use super::request::{Headers, HttpMethod};
use crate::net::dial::Dialed;
use crate::net::http_url::{HttpUrl, UrlError};

/// More headers than any server sends.
const MAX_HEADERS: usize = 1024;

/// A connection that is used by one request at a time.
pub(super) struct Connection {
    sender: Sender,
    /// Whether a proxy is at the other end, and what that wants to know.
    by_proxy: bool,
    authorization: Option<HeaderValue>,
    received: Arc<AtomicU64>,
    /// The name it was opened by; none where that was an address or a socket.
    pub(super) dialed: Option<Dialed>,
}

enum Sender {
    Http1(http1::SendRequest<Payload>),
    Http2(http2::SendRequest<Payload>),
}

impl Connection {
    /// Begins to speak HTTP on `stream`. The connection works as long as the returned future is driven.
    pub(super) async fn open<S>(
        stream: S,
        speaks_http2: bool,
    ) -> Result<(Self, Pin<Box<dyn Future<Output = ()> + Send>>), HttpError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let received = Arc::new(AtomicU64::new(0));
        let stream = TokioIo::new(Counted { stream, received: Arc::clone(&received) });
        let failed = |error: hyper::Error| HttpError::Request(chain(&error));
        // What goes wrong on a connection is told to the request that runs on it.
        if speaks_http2 {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), stream).await.map_err(failed)?;
            let driver = Box::pin(async { drop(connection.await) });
            return Ok((Self::new(Sender::Http2(sender), received), driver));
        }
        let (sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .max_headers(MAX_HEADERS)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .handshake(stream)
            .await
            .map_err(failed)?;
        let driver = Box::pin(async { drop(connection.await) });
        Ok((Self::new(Sender::Http1(sender), received), driver))
    }

    /// The same where a proxy is at the other end, which gets whole URLs and `authorization`.
    pub(super) fn by_proxy(self, authorization: Option<HeaderValue>) -> Self {
        Self { by_proxy: true, authorization, ..self }
    }

    fn new(sender: Sender, received: Arc<AtomicU64>) -> Self {
        Self { sender, by_proxy: false, authorization: None, received, dialed: None }
    }

    /// Sends a request.
    pub(super) async fn send(
        &mut self,
        url: &HttpUrl,
        method: &HttpMethod,
        headers: &Headers,
        identity: &Headers,
    ) -> Result<(Parts, Incoming), HttpError> {
        let mut request = match method {
            HttpMethod::Get => Request::new(Payload(None)),
            HttpMethod::Post(body) | HttpMethod::Put(body) => {
                let mut request = Request::new(Payload(Some(body.clone())));
                let is_post = matches!(method, HttpMethod::Post(_));
                *request.method_mut() = if is_post { Method::POST } else { Method::PUT };
                request
            }
        };
        for (name, value) in headers.iter().chain(identity) {
            request.headers_mut().append(name.clone(), value.clone());
        }
        let bad_host = || HttpError::Url(UrlError::Host(url.authority.clone()));
        let host = url.host_header();
        let target = PathAndQuery::from_maybe_shared(url.path_and_query.clone())
            .map_err(|error| HttpError::Request(format!("{url}: {error}")))?;
        let sent = match &mut self.sender {
            Sender::Http1(sender) => {
                *request.uri_mut() = if self.by_proxy {
                    if let Some(value) = &self.authorization {
                        request.headers_mut().insert(PROXY_AUTHORIZATION, value.clone());
                    }
                    let uri = Uri::builder().scheme(Scheme::HTTP).authority(host.as_str());
                    uri.path_and_query(target).build().map_err(|_| bad_host())?
                } else {
                    Uri::from(target)
                };
                let host = HeaderValue::from_str(&host).map_err(|_| bad_host())?;
                request.headers_mut().insert(HOST, host);
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                let scheme = if url.https { Scheme::HTTPS } else { Scheme::HTTP };
                let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(target).build();
                *request.uri_mut() = uri.map_err(|_| bad_host())?;
                sender.send_request(request).await
            }
        };
        sent.map(Response::into_parts).map_err(|error| HttpError::Request(chain(&error)))
    }

    /// Bytes received so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether a request that failed may be sent again: nothing of an answer had come.
    pub(super) fn may_repeat(&self, received_before: u64) -> bool {
        // With HTTP/2 the server says other things as well; there, no head means no answer.
        matches!(self.sender, Sender::Http2(_)) || self.received() == received_before
    }

    /// Whether it is of no more use.
    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Waits until a request can be sent; says whether one can.
    pub(super) async fn ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("received", &self.received()).finish_non_exhaustive()
    }
}

/// The body of a request: all of it at once, or nothing.
pub(super) struct Payload(pub(super) Option<Bytes>);

impl Body for Payload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |body| body.len() as u64))
    }
}

/// Counts what is received.
struct Counted<S> {
    stream: S,
    received: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.received.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper::server::conn;
    use hyper::service::service_fn;

    use super::*;

    /// Answers with the method and the length of what was sent.
    async fn answer(request: Request<Incoming>) -> Result<Response<Payload>, hyper::Error> {
        let method = request.method().to_string();
        let length = request.headers().get("content-length").map(|value| format!("{value:?}"));
        let mut body = request.into_body();
        let mut received = 0;
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            received += frame?.into_data().map_or(0, |data| data.len());
        }
        let said = format!("{method} {received} {}", length.as_deref().unwrap_or("none"));
        Ok(Response::builder().header("said", said).body(Payload(None)).expect("a response"))
    }

    #[tokio::test]
    async fn a_body_arrives_whole_in_both_versions_of_http() {
        for http2 in [false, true] {
            let (ours, theirs) = tokio::io::duplex(4096);
            tokio::spawn(async move {
                let stream = TokioIo::new(theirs);
                if http2 {
                    let server = conn::http2::Builder::new(TokioExecutor::new());
                    server.serve_connection(stream, service_fn(answer)).await
                } else {
                    conn::http1::Builder::new().serve_connection(stream, service_fn(answer)).await
                }
            });
            let (mut connection, driver) = Connection::open(ours, http2).await.expect("open");
            tokio::spawn(driver);
            let url = HttpUrl::parse("http://h/p").expect("a URL");
            let large = HttpMethod::Post(Bytes::from(vec![b'x'; 300_000]));
            let none = HttpMethod::Post(Bytes::new());
            for (method, expected) in [
                (HttpMethod::Get, "GET 0 none"),
                (large, "POST 300000 \"300000\""),
                (none, "POST 0 \"0\""),
                (HttpMethod::Get, "GET 0 none"),
            ] {
                let (head, _) = connection
                    .send(&url, &method, &Headers::new(), &Headers::new())
                    .await
                    .expect("a response");
                assert_eq!(head.headers["said"], expected, "HTTP/2: {http2}");
                assert!(connection.ready().await);
            }
        }
    }
}
