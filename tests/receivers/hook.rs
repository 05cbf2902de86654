//! A webhook that remembers what it was sent.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::server::wait_for;

/// Listens until the process ends.
pub(crate) struct Hook {
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Value>>>,
    statuses: Arc<Mutex<VecDeque<u16>>>,
}

impl Hook {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
        let (got, statuses) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::<Mutex<VecDeque<u16>>>::default());
        let (book, next) = (Arc::clone(&got), Arc::clone(&statuses));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (book, next) = (Arc::clone(&book), Arc::clone(&next));
                std::thread::spawn(move || while serve(&stream, &book, &next).is_some() {});
            }
        });
        Self { url, got, statuses }
    }

    /// The statuses of the next answers; 200 behind them.
    pub(crate) fn then(&self, statuses: &[u16]) {
        self.statuses.lock().expect("lock").extend(statuses);
    }

    /// What has come.
    pub(crate) fn got(&self) -> Vec<Value> {
        self.got.lock().expect("lock").clone()
    }

    /// Waits until so much has come; gives all of it.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} notifications"), || Some(self.got()).filter(|got| got.len() >= count))
    }
}

fn serve(mut stream: &TcpStream, book: &Mutex<Vec<Value>>, next: &Mutex<VecDeque<u16>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.to_ascii_lowercase().starts_with("authorization:") {
            authorization = line.split_once(' ').map(|(_, value)| value.trim().to_owned());
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut body: Value = serde_json::from_slice(&body).ok()?;
    if let Some(value) = authorization {
        body["authorization"] = value.into();
    }
    book.lock().expect("lock").push(body);
    let status = next.lock().expect("lock").pop_front().unwrap_or(200);
    stream.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes()).ok()
}
