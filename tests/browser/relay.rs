//! A relay in front of a server that can be told to be away, or to have lost a file, as gateways and upgrades do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What the relay does with requests.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It hands them on.
    Open,
    /// It closes the connection.
    Away,
    /// It answers 404 for paths with this in them.
    Lost(&'static str),
    /// As `Lost`, until the page itself is loaded again.
    LostUntilReload(&'static str),
}

/// A relay on a port of its own, for as long as the process lives.
pub(crate) struct Relay {
    /// `http://127.0.0.1:<port>`
    pub(crate) url: String,
    mood: Arc<Mutex<Mood>>,
    documents: Arc<AtomicUsize>,
}

impl Relay {
    /// Starts a relay to the server at `url`.
    pub(crate) fn start(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("address");
        let mood = Arc::new(Mutex::new(Mood::Open));
        let documents = Arc::new(AtomicUsize::new(0));
        let server = url.strip_prefix("http://").expect("plain").to_owned();
        let (shared, counted) = (Arc::clone(&mood), Arc::clone(&documents));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (server, mood, documents) = (server.clone(), Arc::clone(&shared), Arc::clone(&counted));
                // A browser that goes away is no fault.
                std::thread::spawn(move || drop(relay(&stream, &server, &mood, &documents)));
            }
        });
        Self { url: format!("http://{address}"), mood, documents }
    }

    /// Changes what is done with requests from now on.
    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().expect("mood") = mood;
    }

    /// How often the page itself was asked for.
    pub(crate) fn documents(&self) -> usize {
        self.documents.load(Ordering::Relaxed)
    }
}

/// Hands one request on and its reply back, then closes.
fn relay(
    stream: &TcpStream,
    server: &str,
    mood: &Mutex<Mood>,
    documents: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut head = first.clone();
    let mut body_bytes = 0;
    let mut is_document = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(length) = lower.strip_prefix("content-length:") {
            body_bytes = length.trim().parse().unwrap_or(0);
        }
        is_document |= lower.starts_with("sec-fetch-dest: document");
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    if is_document {
        documents.fetch_add(1, Ordering::Relaxed);
    }
    let mut writer = stream;
    {
        let mut mood = mood.lock().expect("mood");
        match *mood {
            Mood::Away => return stream.shutdown(Shutdown::Both),
            Mood::Lost(part) | Mood::LostUntilReload(part) if first.contains(part) && !is_document => {
                let reply = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                return writer.write_all(reply);
            }
            Mood::LostUntilReload(_) if is_document => *mood = Mood::Open,
            _ => {}
        }
    }
    head.push_str("Connection: close\r\n\r\n");
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(head.as_bytes())?;
    let mut body = vec![0; body_bytes];
    reader.read_exact(&mut body)?;
    upstream.write_all(&body)?;
    std::io::copy(&mut upstream, &mut writer)?;
    Ok(())
}
