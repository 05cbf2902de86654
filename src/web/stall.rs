//! An end for connections whose client takes nothing any more: they would hold the value they ask for, and with it the
//! memory of queries, for as long as the client lives. One that takes a little now and then is no better.
//!
//! **Cost:** a timer while a write waits for the client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a client may take over [`MIN_TAKEN_BYTES`] of what is waiting for it.
pub(super) const MAX_STALL: Duration = Duration::from_secs(300);
/// What a client has to take in that time, if so much is waiting: 218 bytes a second, slower than any modem.
const MIN_TAKEN_BYTES: usize = 64 << 10;

/// A stream whose writes fail once the other side has let something wait for [`MAX_STALL`] and has taken less than
/// [`MIN_TAKEN_BYTES`] meanwhile.
#[derive(Debug)]
pub(super) struct Impatient<S> {
    stream: S,
    /// Ends when what waits has waited for too long.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Bytes taken since then.
    taken: usize,
}

impl<S> Impatient<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, stalled: None, taken: 0 }
    }

    /// Notes that everything, or enough of it, was taken.
    fn goes_on(&mut self) {
        (self.stalled, self.taken) = (None, 0);
    }

    fn judge_write(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(taken)) = &polled {
            self.taken = self.taken.saturating_add(*taken);
            if self.taken >= MIN_TAKEN_BYTES {
                self.goes_on();
            }
        }
        self.judge(cx, polled)
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            return polled;
        }
        let stalled = self.stalled.get_or_insert_with(|| {
            self.taken = 0;
            Box::pin(sleep(MAX_STALL))
        });
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, data);
        self.judge_write(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.judge_write(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if polled.is_ready() {
            // Whoever writes flushes once nothing waits any more.
            self.goes_on();
        }
        self.judge(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    /// Time is paused: it moves on when everything waits.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (server, client) = duplex(10);
        let mut server = Impatient::new(server);
        let started = Instant::now();
        let error = server.write_all(&[0; 11]).await.expect_err("nobody reads");
        assert_eq!((error.kind(), started.elapsed()), (io::ErrorKind::TimedOut, MAX_STALL));
        drop(client);
    }

    /// What a client has read when it or the server ends, and whether the server could write everything.
    async fn read_in_pieces_of(piece_bytes: usize, pieces: usize) -> (usize, bool) {
        let (server, mut client) = duplex(piece_bytes);
        let mut server = Impatient::new(server);
        let reader = tokio::spawn(async move {
            let (mut piece, mut all) = (vec![0; piece_bytes], 0);
            loop {
                sleep(MAX_STALL * 9 / 10).await;
                match client.read(&mut piece).await.expect("open") {
                    0 => return all,
                    read => all += read,
                }
            }
        });
        let written = server.write_all(&vec![1; piece_bytes * pieces]).await;
        drop(server);
        (reader.await.expect("no panic"), written.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_gets_everything() {
        assert_eq!(read_in_pieces_of(MIN_TAKEN_BYTES, 10).await, (10 * MIN_TAKEN_BYTES, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_byte_now_and_then_is_given_up() {
        let (read, all) = read_in_pieces_of(1, 10).await;
        assert!(read < 10 && !all, "{read}");
    }
}
