//! Request lines as people write them: `"`, `<` and `>` in a query string, which the HTTP library refuses.
//!
//! Go's library, and so Prometheus, takes these characters unescaped, and users of curl write `?query=up{job="x"}`.
//! The library below refuses such a line before any of our code sees it, so they are escaped on their way in.
//!
//! It also refuses request lines above 64 KiB, which Go takes. The query string of such a line is taken out of it and
//! handed to its request beside it, as a [`LongQuery`].
//!
//! **Invariants**: only bytes that begin a request are changed. That is known without understanding bodies: a
//! connection begins with a request, and after the head of a GET or HEAD that announces no body comes the next one.
//! From anything else on, be it a head that announces a body or a line that is not understood, the rest of the
//! connection passes through untouched.
//!
//! **Cost:** the heads of such requests are copied once more; other connections cost nothing. Long lines count in the
//! room for forms.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::bodies::{Counted, Room};
use crate::util::lock::lock;

/// A longer request line is left as it is, and so refused: as much as Go's library takes.
const MAX_LINE_BYTES: usize = 1 << 20;
/// The query string of a longer request line is handed on beside it. The library takes somewhat more.
const MAX_PLAIN_LINE_BYTES: usize = 60 << 10;
/// A line counts in steps of so many bytes once it is longer than that.
const COUNTED_BYTES: usize = 64 << 10;
/// As much of a header line as tells whether it announces a body.
const MAX_NAME_BYTES: usize = 24;
/// Read at once while heads are looked at.
const READ_BYTES: usize = 4 << 10;

/// A connection on which such request lines are accepted.
#[derive(Debug)]
pub(super) struct Lenient<S> {
    stream: S,
    heads: Heads,
    /// What was looked at; the bytes before `given` were handed over.
    pending: Vec<u8>,
    given: usize,
}

impl<S> Lenient<S> {
    /// Long request lines count in `room`; their query strings are put into `long`.
    pub(super) fn new(stream: S, room: Room, long: LongQueries) -> Self {
        Self { stream, heads: Heads::new(room, long), pending: Vec::new(), given: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.given == this.pending.len() {
            if this.heads.at == At::Elsewhere {
                this.pending = Vec::new();
                this.given = 0;
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            let mut bytes = [0; READ_BYTES];
            let mut bytes = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut bytes))?;
            this.pending.clear();
            this.given = 0;
            if bytes.filled().is_empty() {
                this.heads.end(&mut this.pending);
                if this.pending.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            this.heads.pass(bytes.filled(), &mut this.pending);
        }
        let rest = this.pending.get(this.given..).unwrap_or_default();
        let (now, _) = rest.split_at(rest.len().min(buf.remaining()));
        buf.put_slice(now);
        this.given += now.len();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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

/// Where in a connection the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// In a request line.
    #[default]
    RequestLine,
    /// In a later line of the head of a request that has announced no body so far.
    Header,
    /// Somewhere where nothing is known, and so nothing may be changed, any more.
    Elsewhere,
}

/// The query string of a request whose line would be too long with it.
#[derive(Debug, Clone)]
pub(super) struct LongQuery {
    pub(super) text: Arc<[u8]>,
    _counted: Arc<Counted>,
}

/// The long query strings of a connection whose requests have not come up yet, with the numbers of these. Clones share
/// them.
#[derive(Debug, Clone, Default)]
pub(super) struct LongQueries(Arc<Mutex<VecDeque<(u64, LongQuery)>>>);

impl LongQueries {
    /// That of request `number` of the connection, from 0, if it had one. Asked for each request in turn.
    pub(super) fn take(&self, number: u64) -> Option<LongQuery> {
        let mut all = lock(&self.0);
        let (first, _) = all.front()?;
        if *first == number { all.pop_front().map(|(_, query)| query) } else { None }
    }
}

/// Follows the heads of a connection.
#[derive(Debug)]
struct Heads {
    at: At,
    /// The request line so far, or the beginning of the header line.
    line: Vec<u8>,
    /// Of a long request line as many steps as it has.
    counted: (Counted, usize),
    room: Room,
    /// Number of the request whose line is next.
    request: u64,
    long: LongQueries,
}

impl Heads {
    fn new(room: Room, long: LongQueries) -> Self {
        let counted = (Counted::default(), 0);
        Self { at: At::default(), line: Vec::new(), counted, room, request: 0, long }
    }

    /// Hands `bytes` on to `out`, request lines made acceptable. The end of an unfinished request line is kept back.
    fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.at == At::Elsewhere {
                out.extend_from_slice(bytes);
                return;
            }
            let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            bytes = rest;
            if self.at == At::Header {
                out.extend_from_slice(part);
                let room = MAX_NAME_BYTES.saturating_sub(self.line.len());
                self.line.extend(part.iter().take(room));
            } else {
                self.line.extend_from_slice(part);
            }
            if end.is_some() {
                self.end_line(out);
            } else if self.at == At::RequestLine && !self.has_room() {
                self.end(out);
            }
        }
    }

    /// Whether the request line may be as long as it is.
    fn has_room(&mut self) -> bool {
        if self.line.len() > MAX_LINE_BYTES {
            return false;
        }
        let (counted, steps) = &mut self.counted;
        while self.line.len() > MAX_PLAIN_LINE_BYTES + *steps * COUNTED_BYTES {
            if counted.grow(COUNTED_BYTES, &self.room).is_err() {
                return false;
            }
            *steps += 1;
        }
        true
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        let has_room = self.at != At::RequestLine || self.has_room();
        let line = std::mem::take(&mut self.line);
        if self.at == At::RequestLine {
            let (counted, _) = std::mem::take(&mut self.counted);
            let followed = has_room && has_no_body_of_itself(&line);
            self.at = if followed { At::Header } else { At::Elsewhere };
            if !followed || line.len() <= MAX_PLAIN_LINE_BYTES {
                put_escaped(&line, out);
            } else if let Some(text) = put_without_query(&line, out) {
                let query = LongQuery { text, _counted: Arc::new(counted) };
                lock(&self.long.0).push_back((self.request, query));
            }
            self.request += 1;
        } else if matches!(line.as_slice(), b"\n" | b"\r\n") {
            self.at = At::RequestLine;
        } else if announces_body(&line) {
            self.at = At::Elsewhere;
        }
    }

    /// Gives up following the connection: hands on what was kept back.
    fn end(&mut self, out: &mut Vec<u8>) {
        if self.at == At::RequestLine {
            out.append(&mut self.line);
        }
        self.at = At::Elsewhere;
    }
}

/// Whether `line` is a whole request line whose request ends with its head unless a header says otherwise.
fn has_no_body_of_itself(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|b| *b == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    matches!(method, Some(b"GET" | b"HEAD"))
        && target.is_some_and(|target| target.starts_with(b"/"))
        && version == Some(b"HTTP/1.1")
        && words.next().is_none()
}

/// Whether a header line that begins like this says how long a body is, or what the connection is for from now on.
fn announces_body(line: &[u8]) -> bool {
    ["content-length", "transfer-encoding", "upgrade"]
        .iter()
        .any(|name| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes())))
}

/// Appends a request line without its query string, which is returned; all of it if it has none.
fn put_without_query(line: &[u8], out: &mut Vec<u8>) -> Option<Arc<[u8]>> {
    let Some(start) = memchr::memchr(b'?', line) else {
        out.extend_from_slice(line);
        return None;
    };
    let (before, query) = line.split_at(start);
    let (query, after) = query.split_at(memchr::memchr(b' ', query).unwrap_or(query.len()));
    put_escaped(&[before, after].concat(), out);
    query.get(1..).map(Arc::from)
}

/// Appends a line that begins a request, with the characters that the library refuses escaped where they can stand.
fn put_escaped(line: &[u8], out: &mut Vec<u8>) {
    let mut words = line.split(|b| *b == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let is_method = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_uppercase);
    let is_request = method.is_some_and(is_method)
        && target.is_some_and(|target| target.starts_with(b"/"))
        && version.is_some_and(|version| version.starts_with(b"HTTP/1."));
    if !is_request || words.next().is_some() || memchr::memchr3(b'"', b'<', b'>', line).is_none() {
        return out.extend_from_slice(line);
    }
    for byte in line {
        match byte {
            b'"' => out.extend_from_slice(b"%22"),
            b'<' => out.extend_from_slice(b"%3C"),
            b'>' => out.extend_from_slice(b"%3E"),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when `bytes` arrive in pieces of every size.
    fn passed(bytes: &str) -> String {
        let in_pieces = |size: usize| {
            let (mut heads, mut out) = (Heads::new(Room::new(0), LongQueries::default()), Vec::new());
            bytes.as_bytes().chunks(size).for_each(|piece| heads.pass(piece, &mut out));
            heads.end(&mut out);
            String::from_utf8(out).expect("text")
        };
        let whole = in_pieces(bytes.len());
        for size in 1..bytes.len() {
            assert_eq!(in_pieces(size), whole, "in pieces of {size}");
        }
        whole
    }

    #[test]
    fn escapes_request_lines_only() {
        let check = |bytes: &str, expected: &str| assert_eq!(passed(bytes), expected);
        let same = |bytes: &str| check(bytes, bytes);
        check(
            "GET /q?x=up{a=\"b\"}<1 HTTP/1.1\r\nHost: \"x\"\r\n\r\n",
            "GET /q?x=up{a=%22b%22}%3C1 HTTP/1.1\r\nHost: \"x\"\r\n\r\n",
        );
        check(
            "POST /\" HTTP/1.1\r\n\r\nGET /\" HTTP/1.1\r\n\r\n",
            "POST /%22 HTTP/1.1\r\n\r\nGET /\" HTTP/1.1\r\n\r\n",
        );
        check(
            "GET / HTTP/1.1\nA: b\n\nHEAD /> HTTP/1.1\n\n",
            "GET / HTTP/1.1\nA: b\n\nHEAD /%3E HTTP/1.1\n\n",
        );
        same("GET /q?x=1 HTTP/1.1\r\nHost: \"x\"\r\n\r\n");
        same("GET /q?x=\"1");
        same("{\"a\": \"GET / HTTP/1.1\"}\nGET /\" HTTP/1.1\r\n");
        same("GET /\" x HTTP/1.1\r\n");
    }

    #[test]
    fn changes_nothing_behind_a_head_that_announces_a_body() {
        let next = "GET /\" HTTP/1.1\r\n\r\n";
        for header in ["Content-Length: 21", "CONTENT-LENGTH:0", "transfer-Encoding: chunked", "Upgrade: h2c"]
        {
            let bytes = format!("GET / HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n{next}");
            assert_eq!(passed(&bytes), bytes);
        }
        for line in ["CONNECT / HTTP/1.1", "GET / HTTP/1.0", "GET http://x/ HTTP/1.1", "", "\r"] {
            let bytes = format!("{line}\n\r\n{next}");
            assert_eq!(passed(&bytes), bytes);
        }
    }

    #[test]
    fn long_query_strings_come_beside_their_requests() {
        let query = format!("x=\"{}\"", "y".repeat(100 << 10));
        let room = Room::new(3 * COUNTED_BYTES);
        let long = LongQueries::default();
        let (mut heads, mut out) = (Heads::new(room.clone(), long.clone()), Vec::new());
        let bytes = format!(
            "GET /a?b HTTP/1.1\r\n\r\nGET /q?{query} HTTP/1.1\r\nC: d\r\n\r\nGET /e HTTP/1.1\r\n\r\n"
        );
        bytes.as_bytes().chunks(1000).for_each(|piece| heads.pass(piece, &mut out));
        let expected = "GET /a?b HTTP/1.1\r\n\r\nGET /q HTTP/1.1\r\nC: d\r\n\r\nGET /e HTTP/1.1\r\n\r\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
        assert_eq!(room.free(), 2 * COUNTED_BYTES);
        assert!(long.take(0).is_none());
        let found = long.take(1).expect("the second request has one");
        assert!(*found.text == *query.as_bytes() && long.take(2).is_none());
        drop(found);
        assert_eq!(room.free(), 3 * COUNTED_BYTES);
    }

    #[test]
    fn lines_without_room_or_end_are_left_to_be_refused() {
        for (length, steps) in [(200 << 10, 1), (2 << 20, 100)] {
            let room = Room::new(steps * COUNTED_BYTES);
            let long = LongQueries::default();
            let (mut heads, mut out) = (Heads::new(room.clone(), long.clone()), Vec::new());
            let bytes = format!("GET /q?{} HTTP/1.1\r\n\r\n", "y".repeat(length));
            bytes.as_bytes().chunks(1000).for_each(|piece| heads.pass(piece, &mut out));
            assert!(out == bytes.as_bytes() && long.take(0).is_none());
            drop(heads);
            assert_eq!(room.free(), steps * COUNTED_BYTES);
        }
    }
}
