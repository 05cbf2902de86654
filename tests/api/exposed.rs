//! Protobuf from a target to the reply of a query, by the real binary.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use emberkeep::codec::protobuf::{put_bytes, put_float, put_varint};
use serde_json::{Value, json};

use crate::support::server::wait_for;
use crate::{Server, get};

pub(crate) fn message(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out);
    out
}

/// One family with one metric, behind its length.
pub(crate) fn family(name: &str, kind: u64, number: u64, value: &[u8]) -> Vec<u8> {
    let family = message(|out| {
        put_bytes(out, 1, name.as_bytes());
        put_bytes(out, 2, b"Some help.");
        put_varint(out, 3, kind);
        put_bytes(out, 4, &message(|out| put_bytes(out, number, value)));
    });
    let mut tagged = message(|out| put_bytes(out, 0, &family));
    // Only the length stands before a family.
    tagged.split_off(1)
}

/// A counter that began to count at `created_s`, and a histogram with classic and native buckets.
fn body(created_s: u64) -> Vec<u8> {
    let counter = message(|out| {
        put_float(out, 1, 5.0);
        put_bytes(out, 3, &message(|out| put_varint(out, 1, created_s)));
    });
    let histogram = message(|out| {
        put_varint(out, 1, 3);
        put_float(out, 2, 4.5);
        let bucket = message(|out| {
            put_varint(out, 1, 3);
            put_float(out, 2, 10.0);
        });
        put_bytes(out, 3, &bucket);
        // Buckets 1 and 2 of schema 0: (1, 2] and (2, 4].
        let span = message(|out| {
            put_varint(out, 1, 2);
            put_varint(out, 2, 2);
        });
        put_bytes(out, 12, &span);
        put_bytes(out, 13, &[2, 2]);
    });
    [family("c_total", 0, 3, &counter), family("h", 4, 7, &histogram)].concat()
}

/// What a target says, which may change: media type and body.
pub(crate) type Said = Arc<Mutex<(&'static str, Vec<u8>)>>;

/// The media type of delimited protobuf.
pub(crate) const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Answers each request with what is `said`, whatever is asked for; notes what that was.
fn answer(stream: &TcpStream, said: &Said, accepted: &Mutex<String>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        while reader.read_line(&mut line).ok().filter(|read| *read > 0)? > 2 {
            if let Some(accept) = line.strip_prefix("accept: ").or_else(|| line.strip_prefix("Accept: ")) {
                accept.trim_end().clone_into(&mut accepted.lock().expect("unpoisoned"));
            }
            line.clear();
        }
        let mut writer = stream;
        let (kind, body) = said.lock().expect("unpoisoned").clone();
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len())
            .ok()?;
        writer.write_all(&body).ok()?;
    }
}

/// A target that says what `said` holds: its address, and what it was asked for last.
pub(crate) fn target(said: Said) -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let accepted = Arc::new(Mutex::new(String::new()));
    let shared = (said, Arc::clone(&accepted));
    // It ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (said, accepted) = shared.clone();
            std::thread::spawn(move || answer(&stream, &said, &accepted));
        }
    });
    (address, accepted)
}

fn result(server: &Server, query: &str) -> Vec<Value> {
    let reply = get(server, &format!("/api/v1/query?query={query}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["data"]["result"].as_array().cloned().expect("a result")
}

#[test]
fn native_histograms_and_starts_of_counting_come_by_protobuf() {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch").as_secs();
    let (address, accepted) = target(Arc::new(Mutex::new((PROTOBUF, body(now_s - 30)))));
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("exposed.yml");
    let job = |name: &str, more: &str| {
        format!("- {{job_name: {name}, static_configs: [{{targets: ['{address}']}}]{more}}}\n")
    };
    let jobs = [
        job("classic", ""),
        job("native", ", scrape_native_histograms: true"),
        job("converted", ", convert_classic_histograms_to_nhcb: true"),
    ];
    let text = format!("global: {{scrape_interval: 200ms}}\nscrape_configs:\n{}", jobs.concat());
    std::fs::write(&config, text).expect("config");
    let file = format!("--config.file={}", config.display());
    let args = [file.as_str(), "--enable-feature=created-timestamp-zero-ingestion"];
    let server = Server::start(&dir.path().join("data"), &args, &[]);
    wait_for("scrapes of all jobs", || (result(&server, "c_total").len() == 3).then_some(()));

    let accept = accepted.lock().expect("unpoisoned").clone();
    assert!(accept.starts_with("application/vnd.google.protobuf;proto="), "{accept}");
    let native = result(&server, "h{job=\"native\"}");
    let shown = json!({
        "count": "3", "sum": "4.5",
        "buckets": [[0, "1", "2", "1"], [0, "2", "4", "2"]],
    });
    assert_eq!(native[0]["histogram"][1], shown);
    let converted = result(&server, "h{job=\"converted\"}");
    assert_eq!(
        converted[0]["histogram"][1],
        json!({"count": "3", "sum": "4.5", "buckets": [[3, "-Inf", "10", "3"]]})
    );
    let classic = result(&server, "h_bucket");
    let found: Vec<_> = classic.iter().map(|row| &row["metric"]["le"]).collect();
    assert_eq!(found, ["+Inf", "10.0"]);
    assert_eq!(classic[0]["metric"]["job"], "classic");
    let counted = result(&server, "c_total{job=\"native\"}[1m]");
    assert_eq!(counted[0]["values"][0], json!([now_s - 30, "0"]));
    assert_eq!(counted[0]["values"][1][1], "5");
    let metadata = get(&server, "/api/v1/metadata?metric=h").json()["data"]["h"][0].clone();
    assert_eq!(metadata, json!({"type": "histogram", "unit": "", "help": "Some help."}));
}
