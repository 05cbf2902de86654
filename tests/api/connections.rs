//! Connections whose client sends half of something, or nothing, and how many there may be.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::framing::{connect, read_until};
use crate::support::server::wait_for;
use crate::{Server, get, open, receive, send, start};

const PING: &[u8] = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n";

/// What comes until the server closes the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("closed in good order");
    String::from_utf8_lossy(&all).into_owned()
}

fn metric(server: &Server, name: &str) -> Option<u64> {
    let text = get(server, "/metrics").text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok())
}

#[test]
fn what_does_not_come_in_time_is_not_waited_for() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &["--web.read-timeout=1s"]);
    let sent = |bytes: &[u8]| {
        let mut stream = connect(&server);
        stream.write_all(bytes).expect("send");
        stream
    };
    let write = "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234";
    let form = "POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 9\r\n\r\nquer";
    let idle = sent(PING);
    let half = [sent(b""), sent(b"GET /-/hea"), sent(b"GET /-/healthy HTTP/1.1\r\nHos")];
    let bodies = [sent(write.as_bytes()), sent(form.as_bytes())];
    assert!(rest(idle).ends_with("Healthy.\n"));
    for stream in half {
        let answer = rest(stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    for stream in bodies {
        let answer = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 4") && answer.contains("in time"), "{answer}");
    }
}

#[test]
fn connections_are_counted_and_bounded() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &["--web.max-connections=3"]);
    wait_for("the connections of the start to end", || {
        (metric(&server, "emberkeep_http_connections")? == 1).then_some(())
    });
    assert_eq!(metric(&server, "emberkeep_http_connections_max"), Some(3));
    let mut held: Vec<TcpStream> = (0..2).map(|_| connect(&server)).collect();
    for stream in &mut held {
        stream.write_all(PING).expect("send");
        read_until(stream, "Healthy");
    }
    let mut third = connect(&server);
    third.write_all(PING).expect("send");
    read_until(&mut third, "Healthy");
    // All places are taken: this one is answered once another one ends.
    let mut fourth = connect(&server);
    fourth.write_all(PING).expect("send");
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n";
    third.write_all(request.as_bytes()).expect("send");
    let metrics = read_until(&mut third, "# EOF");
    assert!(metrics.contains("emberkeep_http_connections 3\n"), "{metrics}");
    drop(held);
    read_until(&mut fourth, "Healthy");
}

#[test]
fn a_reload_asked_for_while_the_server_goes_down_is_answered() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, "scrape_configs: []").expect("write");
    let argument = format!("--config.file={}", file.display());
    let server = Server::start(&dir.path().join("data"), &[&argument, "--web.enable-lifecycle"], &[]);
    // The first reload reads its file from a pipe, and the others wait for it.
    std::fs::remove_file(&file).expect("remove");
    assert!(std::process::Command::new("mkfifo").arg(&file).status().expect("mkfifo").success());
    let mut asked = vec![open(&server, "POST /-/reload", &[], b"")];
    let pipe = std::fs::File::options().write(true).open(&file).expect("the server opens it");
    asked.extend((0..4).map(|_| open(&server, "POST /-/reload", &[], b"")));
    wait_for("all are asked", || (metric(&server, "emberkeep_http_connections")? == 6).then_some(()));
    server.signal("TERM");
    // The others find an ordinary file there again.
    let other = dir.path().join("other.yml");
    std::fs::write(&other, "scrape_configs: []").expect("write");
    std::fs::rename(&other, &file).expect("rename");
    drop(pipe);
    for stream in asked {
        let status = receive(stream).status;
        assert!(status == 200 || status == 500, "{status}");
    }
    assert!(server.wait().success());
}

#[test]
fn long_queries_come_in_the_url_and_forms_in_parts() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let answer = |reply: crate::Reply| {
        assert_eq!(reply.status, 200, "{}", reply.text());
        serde_json::from_str::<serde_json::Value>(&reply.text()).expect("JSON")["data"]["result"][1].clone()
    };
    // More than what the HTTP library takes, with characters that it refuses.
    let query = format!("scalar(vector(7)){}", "%20".repeat(100 << 10));
    assert_eq!(answer(get(&server, &format!("/api/v1/query?query={query}&x=\"<>"))), "7");
    assert_eq!(get(&server, &format!("/api/v1/query?query={}1", "%20".repeat(400 << 10))).status, 431);

    let form = "--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nscalar(vector(8))\r\n\
                --b\r\nContent-Disposition: form-data; name=\"time\"; filename=\"x\"\r\n\r\nno time\r\n--b--\r\n";
    let headers = [("Content-Type", "multipart/form-data; boundary=b")];
    assert_eq!(answer(send(&server, "POST /api/v1/query", &headers, form.as_bytes())), "8");
    // What the URL says comes first.
    let both = send(&server, "POST /api/v1/query?query=scalar(vector(9))", &headers, form.as_bytes());
    assert_eq!(answer(both), "9");
    let cut = send(&server, "POST /api/v1/query", &headers, &form.as_bytes()[..80]);
    assert_eq!(cut.status, 400);
    assert!(cut.text().contains("error parsing form values"), "{}", cut.text());
    // A part whose head has no end is a body that is too large, and no more.
    let endless = format!("--b\r\nContent-Disposition: {}", "x".repeat(11 << 20));
    let endless = send(&server, "POST /api/v1/query", &headers, endless.as_bytes());
    assert!(endless.text().contains("exceeds 10485760 bytes"), "{}", endless.text());
}
