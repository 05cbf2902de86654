//! Where one request ends and the next begins, whatever its body looks like.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::server::PATIENCE;
use crate::{Server, start};

pub(crate) fn connect(server: &Server) -> TcpStream {
    let address = server.url.strip_prefix("http://").expect("a plain url");
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream
}

/// Reads until `text` has arrived.
pub(crate) fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).expect("read");
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&some[..count]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// The status codes of everything that comes, the reply to one last request included.
fn statuses(mut stream: TcpStream) -> Vec<String> {
    stream.write_all(b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("send");
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let all = String::from_utf8_lossy(&all).into_owned();
    all.split("HTTP/1.1 ").skip(1).map(|reply| reply[..3].to_owned()).collect()
}

/// A body that begins as a request line and ends with a request, which would be run if the line grew on its way.
fn body_like_a_request() -> String {
    let hidden = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n";
    // Each of these characters would become three.
    format!("GET /?{}{} HTTP/1.1\n{hidden}", "<".repeat(hidden.len() / 2), "x".repeat(hidden.len() % 2))
}

#[test]
fn a_body_that_looks_like_a_request_is_a_body() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let body = body_like_a_request();
    let head = |expect: &str| {
        format!(
            "POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n{expect}\
             Content-Length: {}\r\n\r\n",
            body.len()
        )
    };

    // The body comes after the server wrote that it may.
    let mut stream = connect(&server);
    stream.write_all(head("Expect: 100-continue\r\n").as_bytes()).expect("send");
    read_until(&mut stream, "100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).expect("send");
    assert_eq!(statuses(stream), ["400", "200"]);

    // The body comes after the reply to the request before.
    let mut stream = connect(&server);
    let first = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(format!("{first}{}", head("")).as_bytes()).expect("send");
    read_until(&mut stream, "Healthy");
    stream.write_all(body.as_bytes()).expect("send");
    assert_eq!(statuses(stream), ["400", "200"]);
}

#[test]
fn every_request_line_of_a_connection_may_hold_quotes() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let mut stream = connect(&server);
    for piece in ["GET /api/v1/query?query=m{instance", "=\"a\"}<9 HTTP/1.1\r\nHost: x\r", "\n\r\n"] {
        stream.write_all(piece.as_bytes()).expect("send");
    }
    read_until(&mut stream, "\"success\"");
    let two = "GET /api/v1/query?query=m{instance=\"b\"}>9 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    stream.write_all(two.as_bytes()).expect("send");
    assert_eq!(statuses(stream), ["200", "200", "200"]);
}
