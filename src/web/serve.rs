//! Connections: how many there may be at once, how long a request may take to arrive, and their end.
//!
//! **Invariants**: a connection holds one of the places from its first byte to its last; a request has arrived whole,
//! and the next one has begun, within the read timeout, or the connection ends. How long a client may take over a
//! reply is in [`super::stall`].

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::map_request;
use axum::serve::Listener;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

use super::asker::Peer;
use super::bodies::Room;
use super::request_line::{Lenient, LongQueries};
use super::stall::Impatient;
use crate::telemetry::Registry;
use crate::telemetry::metrics::Gauge;

/// What all listeners of a server share. Clones share the places.
#[derive(Debug, Clone)]
pub struct Connections {
    places: Arc<Semaphore>,
    read_timeout: Duration,
    room: Room,
    open: Gauge,
}

impl Connections {
    /// At most `max` connections at once; further ones wait to be accepted. A request has to arrive whole within
    /// `read_timeout`, and an idle connection is closed after it. Long request lines count in `room`.
    pub fn new(max: usize, read_timeout: Duration, room: Room, registry: &mut Registry) -> Self {
        let (open, most) = (Gauge::default(), Gauge::<i64>::default());
        most.set(i64::try_from(max).unwrap_or(i64::MAX));
        let r = registry.sub_registry_with_prefix("emberkeep_http");
        r.register("connections", "Open connections", open.clone());
        r.register("connections_max", "Most connections that are open at once", most);
        let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self { places, read_timeout, room, open }
    }
}

/// Serves `router` on `listener` until `stopped` ends and open requests are done.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    connections: Connections,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    let read_timeout = connections.read_timeout;
    let router = router.layer(map_request(move |request: Request| async move {
        request
            .map(|body| if body.is_end_stream() { body } else { Body::new(Timed::new(body, read_timeout)) })
    }));
    let (stop, stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut stopped = pin!(stopped);
    loop {
        let next = async {
            let place = Arc::clone(&connections.places).acquire_owned().await;
            let (stream, _) = Listener::accept(&mut listener).await;
            (place, stream)
        };
        tokio::select! {
            () = &mut stopped => break,
            // Nobody closes the semaphore.
            (Ok(place), stream) = next => {
                let open = Open::new(place, connections.open.clone());
                tasks.spawn(connection(stream, router.clone(), connections.clone(), stopping.clone(), open));
            }
            // What went wrong on a connection concerns its client alone.
            Some(_) = tasks.join_next() => {}
        }
    }
    drop(listener);
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

async fn connection(
    stream: TcpStream,
    router: Router,
    Connections { read_timeout, room, .. }: Connections,
    mut stopping: watch::Receiver<bool>,
    _open: Open,
) {
    let peer = stream.peer_addr().ok().map(|address| Peer(address.ip()));
    // Replies are written in few large pieces; waiting for more only delays them.
    let _ = stream.set_nodelay(true);
    let long = LongQueries::default();
    let stream = TokioIo::new(Lenient::new(Impatient::new(stream), room, long.clone()));
    let (router, requests) = (TowerToHyperService::new(router), AtomicU64::new(0));
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        // Relaxed: the requests of a connection come one after the other.
        if let Some(query) = long.take(requests.fetch_add(1, Ordering::Relaxed)) {
            request.extensions_mut().insert(query);
        }
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(read_timeout)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    // The request that runs is answered, no other one is read.
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// A place among the connections; free again when dropped.
struct Open {
    _place: OwnedSemaphorePermit,
    open: Gauge,
}

impl Open {
    fn new(place: OwnedSemaphorePermit, open: Gauge) -> Self {
        open.inc();
        Self { _place: place, open }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// A body of a request that fails when it is not there in time.
struct Timed {
    body: Body,
    over: Pin<Box<Sleep>>,
}

impl Timed {
    fn new(body: Body, timeout: Duration) -> Self {
        Self { body, over: Box::pin(sleep(timeout)) }
    }
}

impl HttpBody for Timed {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        self.over.as_mut().poll(cx).map(|()| {
            let error =
                io::Error::new(io::ErrorKind::TimedOut, "the body of the request did not arrive in time");
            Some(Err(axum::Error::new(error)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
