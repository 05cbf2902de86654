//! The reader of request lines: what it changes is three characters of request lines, however the bytes arrive.
#![no_main]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[path = "../../../../src/web/request_line.rs"]
#[expect(dead_code, reason = "what long lines leave is not asked for here")]
mod request_line;

/// What the reader takes from the server around it.
mod util {
    pub mod lock {
        pub use emberkeep::util::lock::lock;
    }
}

/// Room that never ends.
mod bodies {
    #[derive(Debug, Clone)]
    pub struct Room;

    #[derive(Debug, Default)]
    pub(super) struct Counted;

    impl Counted {
        pub(super) fn grow(&mut self, _: usize, _: &Room) -> Result<(), ()> {
            Ok(())
        }
    }
}

use bodies::Room;
use request_line::{Lenient, LongQueries};

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        within(64, || {
            let Some((sizes, bytes)) = data.split_first_chunk::<4>() else { return };
            let whole = pass(bytes, usize::MAX, usize::MAX, false);
            assert_eq!(pass(bytes, 1, 1, true), whole, "byte by byte");
            let size = |at: usize| usize::from(sizes[at]) + 1;
            assert_eq!(pass(bytes, size(0), size(1), true), whole);
            assert_eq!(pass(bytes, size(2) * 17, size(3) * 31, false), whole);
            check(bytes, &whole);
        });
    }
);

/// A client that sends `bytes`, at most `size` at once.
struct Client<'a> {
    bytes: &'a [u8],
    size: usize,
    /// Whether it lets wait before each piece.
    slow: bool,
    waited: bool,
}

impl AsyncRead for Client<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.waited = self.slow && !self.waited;
        if self.waited {
            return Poll::Pending;
        }
        let (now, rest) = self.bytes.split_at(self.bytes.len().min(self.size).min(buf.remaining()));
        buf.put_slice(now);
        self.bytes = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What comes out when pieces of `sent` come in, and the reader has room for `room`.
fn pass(bytes: &[u8], sent: usize, room: usize, slow: bool) -> Vec<u8> {
    let mut reader = Lenient::new(Client { bytes, size: sent, slow, waited: false }, Room, LongQueries::default());
    let mut cx = Context::from_waker(Waker::noop());
    let (mut out, mut space) = (Vec::new(), vec![0; room.min(8192)]);
    let (mut ends, mut polls) = (0, 0);
    while ends < 2 {
        polls += 1;
        assert!(polls < 20 * bytes.len() + 100, "it ends");
        let mut buf = ReadBuf::new(&mut space);
        match Pin::new(&mut reader).poll_read(&mut cx, &mut buf) {
            Poll::Pending => {}
            Poll::Ready(read) => {
                read.expect("memory can be read");
                // The end is the end when asked again.
                assert!(ends == 0 || buf.filled().is_empty());
                ends += usize::from(buf.filled().is_empty());
                out.extend_from_slice(buf.filled());
            }
        }
    }
    out
}

/// Walks over both: they differ where a character of a line of a request head was escaped, and nowhere else.
fn check(bytes: &[u8], out: &[u8]) {
    let mut rest = out;
    let (mut line, mut may_change, mut escaped) = (0, true, 0);
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"%22",
            b'<' => b"%3C",
            b'>' => b"%3E",
            _ => b"",
        };
        if let Some(after) = rest.strip_prefix(std::slice::from_ref(byte)) {
            rest = after;
        } else {
            let line_end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| at + end);
            let text = &bytes[line..line_end];
            assert!(!escape.is_empty(), "only three characters are changed");
            rest = rest.strip_prefix(escape).expect("escaped as what it is");
            escaped += 1;
            assert!(may_change, "behind a head with a body nothing is changed");
            let words: Vec<&[u8]> = text.strip_suffix(b"\r").unwrap_or(text).split(|b| *b == b' ').collect();
            assert_eq!(words.len(), 3, "in request lines only");
            assert!(words[0].iter().all(u8::is_ascii_uppercase) && words[1].starts_with(b"/"));
            assert!(words[2].starts_with(b"HTTP/1."));
        }
        if *byte == b'\n' {
            let text = bytes[line..at].to_ascii_lowercase();
            let has_body = [&b"content-length"[..], b"transfer-encoding", b"upgrade"];
            may_change &= !has_body.iter().any(|name| text.starts_with(name));
            line = at + 1;
        }
    }
    assert!(rest.is_empty(), "nothing is added");
    assert_eq!(out.len(), bytes.len() + 2 * escaped);
}

/// Requests one after another, with and without what may be escaped.
fn made_seeds() -> Vec<Vec<u8>> {
    let requests = [
        "GET /q?x=up{a=\"b\"}<1 HTTP/1.1\r\nHost: \"x\"\r\n\r\nHEAD /> HTTP/1.1\n\n",
        "GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nGET /\" HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\"<>\r\n",
        "GET / HTTP/1.1\r\nUpgrade: h2c\r\nA: b\r\n\r\nGET /\"",
        "POST /\" HTTP/1.1\r\n\r\nGET /\" HTTP/1.1\r\n\r\n",
        "PUT /<> HTTP/1.0\n\n",
    ];
    requests.iter().map(|text| [&[0, 9, 3, 2], text.as_bytes()].concat()).collect()
}
