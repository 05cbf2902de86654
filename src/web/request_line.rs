//! Request lines as people write them: `"`, `<` and `>` in a query string, which the HTTP library refuses.
//!
//! Go's library, and so Prometheus, takes these characters unescaped, and users of curl write `?query=up{job="x"}`.
//! The library below refuses such a line before any of our code sees it, so they are escaped on their way in.
//!
//! A request begins where the connection begins and where bytes arrive after a reply was sent. Only there, and only
//! when what has arrived starts with a complete line that names a method, a target and HTTP/1, is anything changed.
//! Everything else passes through untouched, so a body can never be changed unless it looks like that itself.
//!
//! **Cost:** the first bytes of a request, up to [`START_BYTES`], are copied once more.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::stall::Impatient;

/// Most that is looked at when a request begins. The library asks for a few bytes only at first.
const START_BYTES: usize = 16 << 10;

/// A listener whose connections accept such request lines.
pub(super) struct Lenient(pub(super) TcpListener);

impl Listener for Lenient {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Replies are written in few large pieces; waiting for more only delays them.
        let _ = stream.set_nodelay(true);
        let stream = Impatient::new(stream);
        (Connection { stream, at_start: true, pending: Vec::new(), given: 0 }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One connection.
pub(super) struct Connection {
    stream: Impatient<TcpStream>,
    /// Whether the next bytes begin a request.
    at_start: bool,
    /// How a request begins; the bytes before `given` were handed over.
    pending: Vec<u8>,
    given: usize,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.given == this.pending.len() {
            if !this.at_start {
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            let mut start = [0; START_BYTES];
            let mut start = ReadBuf::new(&mut start);
            std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut start))?;
            this.at_start = false;
            let arrived = start.filled();
            (this.pending, this.given) = (escape_line(arrived).unwrap_or_else(|| arrived.to_vec()), 0);
        }
        let rest = this.pending.get(this.given..).unwrap_or_default();
        let (now, _) = rest.split_at(rest.len().min(buf.remaining()));
        buf.put_slice(now);
        this.given += now.len();
        if this.given == this.pending.len() {
            (this.pending, this.given) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.at_start = true;
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.at_start = true;
        Pin::new(&mut self.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The bytes with the first line made acceptable; none when they are fine or begin with no request line.
fn escape_line(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = memchr::memchr(b'\n', bytes)?;
    let (line, rest) = bytes.split_at(end);
    memchr::memchr3(b'"', b'<', b'>', line)?;
    let mut words = line.split(|b| *b == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_method = !method.is_empty() && method.iter().all(u8::is_ascii_uppercase);
    let is_request = is_method && target.starts_with(b"/") && version.starts_with(b"HTTP/1.");
    if !is_request || words.next().is_some() {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len() + 32);
    for byte in line {
        match byte {
            b'"' => out.extend_from_slice(b"%22"),
            b'<' => out.extend_from_slice(b"%3C"),
            b'>' => out.extend_from_slice(b"%3E"),
            _ => out.push(*byte),
        }
    }
    out.extend_from_slice(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::escape_line;

    #[test]
    fn escapes_request_lines_only() {
        let check = |bytes: &str, expected: Option<&str>| {
            assert_eq!(escape_line(bytes.as_bytes()).as_deref(), expected.map(str::as_bytes), "{bytes}");
        };
        check(
            "GET /q?x=up{a=\"b\"}<1 HTTP/1.1\r\nHost: \"x\"\r\n\r\n",
            Some("GET /q?x=up{a=%22b%22}%3C1 HTTP/1.1\r\nHost: \"x\"\r\n\r\n"),
        );
        check("GET /q?x=1 HTTP/1.1\r\nHost: \"x\"\r\n\r\n", None);
        check("GET /q?x=\"1", None);
        check("{\"a\": \"GET / HTTP/1.1\"}\n", None);
        check("GET /\" x HTTP/1.1\r\n", None);
    }
}
