//! An end for connections whose client takes nothing any more: they would hold the value they ask for, and with it the
//! memory of queries, for as long as the client lives.
//!
//! **Cost:** a timer while a write waits for the client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a client may take none of what is waiting for it. One that reads slowly, a byte now and then, goes on.
pub(super) const MAX_STALL: Duration = Duration::from_secs(300);

/// A stream whose writes fail once the other side has taken nothing for [`MAX_STALL`].
#[derive(Debug)]
pub(super) struct Impatient<S> {
    stream: S,
    /// Ends when the write that waits has waited for too long.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, stalled: None }
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(MAX_STALL)));
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
        self.judge(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.judge(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
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

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_gets_everything() {
        let (server, mut client) = duplex(10);
        let mut server = Impatient::new(server);
        let started = Instant::now();
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            loop {
                sleep(MAX_STALL * 9 / 10).await;
                let mut some = [0; 10];
                match client.read(&mut some).await.expect("open") {
                    0 => return all,
                    read => all.extend_from_slice(&some[..read]),
                }
            }
        });
        let data: Vec<u8> = (0..100).collect();
        server.write_all(&data).await.expect("read in the end");
        drop(server);
        assert_eq!(reader.await.expect("no panic"), data);
        assert!(started.elapsed() > MAX_STALL * 5);
    }
}
