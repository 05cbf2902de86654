//! Connections that wait for the next request to the same place.
//!
//! **Locking**: one mutex, never held across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::connection::Connection;
use crate::net::http_url::HttpUrl;
use crate::util::lock::lock;

/// Less than what common servers and balancers wait before they close (60 s and more), so that it is mostly us who
/// close. Servers that wait less are seen to have closed, or the request is repeated.
const MAX_IDLE: Duration = Duration::from_secs(55);
/// Connections kept per place; as many targets may be behind one exporter.
const MAX_PER_ORIGIN: usize = 1000;
/// How long a connection may take to be done with its last answer.
const SETTLE: Duration = Duration::from_millis(100);

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    https: bool,
    host: String,
    port: u16,
    /// The socket that leads there instead of an address.
    socket: Option<Arc<str>>,
}

impl Origin {
    pub(super) fn of(url: &HttpUrl, socket: Option<&Arc<str>>) -> Self {
        Self { https: url.https, host: url.host.clone(), port: url.port, socket: socket.cloned() }
    }
}

/// Idle connections of one client.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    by_origin: HashMap<Origin, Vec<(Instant, Connection)>>,
    swept: Option<Instant>,
}

impl Pool {
    /// A connection that still works, the one that was used last.
    pub(super) async fn take(&self, origin: &Origin) -> Option<Connection> {
        loop {
            let (since, mut connection) = lock(&self.idle).by_origin.get_mut(origin)?.pop()?;
            if since.elapsed() < MAX_IDLE
                && !connection.is_closed()
                && timeout(SETTLE, connection.ready()).await.unwrap_or(false)
            {
                return Some(connection);
            }
        }
    }

    /// Forgets all connections.
    pub(super) fn clear(&self) {
        lock(&self.idle).by_origin.clear();
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn put(&self, origin: Origin, connection: Connection) {
        if connection.is_closed() {
            return;
        }
        let now = Instant::now();
        let mut idle = lock(&self.idle);
        if idle.swept.is_none_or(|swept| now - swept > MAX_IDLE / 4) {
            idle.swept = Some(now);
            // Places that nobody asks any more are forgotten.
            idle.by_origin.retain(|_, connections| {
                connections.retain(|(since, connection)| now - *since < MAX_IDLE && !connection.is_closed());
                !connections.is_empty()
            });
        }
        let connections = idle.by_origin.entry(origin).or_default();
        if connections.len() < MAX_PER_ORIGIN {
            connections.push((now, connection));
        }
    }
}
