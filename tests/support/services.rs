//! Small HTTP services that expose metrics, on loopback addresses.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes the body for a path; none is answered with 404.
pub type Pages = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A running service. Dropping it closes its port.
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Service {
    /// Starts it on `address`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(address: SocketAddr, pages: Pages) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopping.load(Ordering::Relaxed) {
                    break;
                }
                let pages = Arc::clone(&pages);
                let stopping = Arc::clone(&stopping);
                std::thread::spawn(move || answer(&stream, &pages, &stopping));
            }
        });
        Ok(Self { address, stop })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it should end.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(stream: &TcpStream, pages: &Pages, stopping: &AtomicBool) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        let mut header = String::new();
        while reader.read_line(&mut header).ok()? > 2 {
            header.clear();
        }
        if stopping.load(Ordering::Relaxed) {
            return None;
        }
        let path = first.split(' ').nth(1)?.to_owned();
        let (status, body) = pages(&path).map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
        let mut writer = stream;
        let kind = if body.ends_with("# EOF\n") {
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        } else {
            "text/plain; version=0.0.4"
        };
        write!(
            writer,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .ok()?;
    }
}
