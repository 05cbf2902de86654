//! Requests and replies byte by byte: what arrives at a target, and what is taken from one.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use emberkeep::config::HttpConfig;
use emberkeep::net::{
    Dialer, HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse, ResolverFiles, SystemResolver,
    http_url,
};
use hickory_resolver::proto::rr::RecordType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::dns::DnsServer;
use crate::target::Target;

/// A client that knows the names of `server`.
fn client(server: &DnsServer) -> HttpClient {
    let nowhere = PathBuf::from("/nonexistent/file");
    let files = ResolverFiles { hosts: nowhere.clone(), resolv_conf: nowhere };
    let resolver = SystemResolver::with_files(files, vec![server.address]);
    let dialer = Arc::new(Dialer::new(Arc::new(resolver)));
    HttpClient::new(&HttpConfig::default(), dialer).expect("a client")
}

async fn get(client: &HttpClient, url: String) -> Result<HttpResponse, HttpError> {
    send(client, HttpMethod::Get, url).await
}

async fn send(client: &HttpClient, method: HttpMethod, url: String) -> Result<HttpResponse, HttpError> {
    let request = HttpRequest { method, url, headers: vec![("Accept", "*/*".to_owned())] };
    tokio::time::timeout(Duration::from_secs(20), client.send(request)).await.expect("in time")
}

async fn body(response: HttpResponse) -> Result<String, HttpError> {
    let mut body = Vec::new();
    response.read_body(1 << 20, &mut body).await?;
    Ok(String::from_utf8(body).expect("text"))
}

#[tokio::test]
async fn request_lines_are_those_that_prometheus_sends() {
    let target = Target::start("a 1\n").await;
    let client = client(&DnsServer::start());
    let address = target.address.to_string();
    let check = async |path: &str, params: &[(&str, &str)], expected: &str| {
        let url = http_url::write("http", &address, path, params.iter().copied());
        get(&client, url).await.expect("reply");
        let request = target.requests().pop().expect("a request");
        assert_eq!(request.lines().next(), Some(format!("GET {expected} HTTP/1.1").as_str()), "{path}");
        assert!(request.contains(&format!("\r\nHost: {address}\r\n")), "{request}");
    };
    check("/metrics", &[], "/metrics").await;
    check("metrics", &[], "/metrics").await;
    check("", &[], "/").await;
    check("", &[("a", "b")], "/?a=b").await;
    check("/a?b=c", &[("d", "e f")], "/a%3Fb=c?d=e+f").await;
    check("/a#b", &[], "/a%23b").await;
    check("/a%20b c", &[], "/a%2520b%20c").await;
    check("/../a/./b//", &[], "/../a/./b//").await;
    check("//a", &[], "//a").await;
    check("/a\\b", &[], "/a%5Cb").await;
    check("/{a}|[b]\"<c>^`", &[], "/%7Ba%7D%7C%5Bb%5D%22%3Cc%3E%5E%60").await;
    check("/m", &[("match[]", "{a=~\"b|c\"}")], "/m?match%5B%5D=%7Ba%3D~%22b%7Cc%22%7D").await;
}

#[tokio::test]
async fn hosts_are_names_unless_they_are_addresses() {
    let target = Target::start("a 1\n").await;
    let port = target.address.port();
    let dns = DnsServer::start();
    let client = client(&dns);
    for name in ["DOCKER_HOST", "node_exporter", "web.1", "12345", "0x7f", "a_b.c_d."] {
        dns.set(name.trim_end_matches('.'), &[Ipv4Addr::LOCALHOST]);
        let address = format!("{name}:{port}");
        let response = get(&client, http_url::write("http", &address, "/", [])).await.expect(name);
        assert_eq!(body(response).await.expect(name), "a 1\n");
        let request = target.requests().pop().expect("a request");
        assert!(request.contains(&format!("\r\nHost: {address}\r\n")), "{request}");
    }
    let error = get(&client, http_url::write("http", "no_such", "/", [])).await.expect_err("nobody knows it");
    assert_eq!(error.to_string(), "cannot look up \"no_such\": no such host");
    dns.fail(true);
    let error = get(&client, http_url::write("http", "other", "/", [])).await.expect_err("nobody can tell");
    assert!(error.to_string().starts_with("cannot look up \"other\": "), "{error}");
}

#[tokio::test]
async fn a_family_that_is_never_answered_holds_no_scrape_up() {
    let target = Target::start("a 1\n").await;
    let dns = DnsServer::start();
    dns.set("h", &[Ipv4Addr::LOCALHOST]);
    dns.ignore(RecordType::AAAA);
    let client = client(&dns);
    let began = Instant::now();
    for _ in 0..3 {
        let response =
            get(&client, http_url::write("http", &format!("h:{}", target.address.port()), "/", [])).await;
        // Not given back to the client: each request is a look-up.
        drop(response.expect("reply"));
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_scoped_address_is_reached_and_its_zone_stays_here() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let port = listener.local_addr().expect("bound").port();
    let client = client(&DnsServer::start());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.expect("read");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("write");
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    });
    get(&client, http_url::write("http", &format!("[::1%lo]:{port}"), "/m", [])).await.expect("reply");
    let request = asked.await.expect("asked");
    assert!(request.contains(&format!("\r\nHost: [::1]:{port}\r\n")), "{request}");
}

#[tokio::test]
async fn replies_that_other_clients_take_are_taken() {
    let target = Target::start("").await;
    let client = client(&DnsServer::start());
    let url = http_url::write("http", &target.address.to_string(), "/", []);
    let many: Vec<String> = (0..150).map(|at| format!("X-Number-{at}: {at}\r\n")).collect();
    for headers in [
        "Content-Type: text/plain;\r\n  version=0.0.4\r\n",
        "Content-Type : text/plain; version=0.0.4\r\n",
        &format!("Content-Type: text/plain; version=0.0.4\r\n{}", many.concat()),
    ] {
        target.answer_with("200 OK", headers, b"a 1\n");
        let response = get(&client, url.clone()).await.expect(headers);
        let kind = response.header("content-type").expect("a type");
        assert_eq!(kind.split_whitespace().collect::<String>(), "text/plain;version=0.0.4");
        assert_eq!(body(response).await.expect("body"), "a 1\n");
    }
    for (line, shown) in [
        ("503 Service Unavailable", "503 Service Unavailable"),
        ("503 Out for lunch", "503 Out for lunch"),
        ("503", "503"),
        ("503 ", "503"),
        ("799", "799"),
        ("799 Odd", "799 Odd"),
    ] {
        target.answer_with(line, "", b"");
        let response = get(&client, url.clone()).await.expect(line);
        assert_eq!(response.status_text(), shown, "{line:?}");
    }
}

/// Answers one request per connection, then closes or resets it when the next one comes, or at once.
async fn unfriendly(how: How) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("bound");
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(answer_once(stream, how));
        }
    });
    (address, accepted)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// Reads the second request and closes.
    Close,
    /// Reads the second request and resets.
    Reset,
    /// Closes right after the first answer.
    AtOnce,
    /// Closes in the middle of the second answer.
    Midway,
}

async fn answer_once(mut stream: TcpStream, how: How) -> std::io::Result<()> {
    let mut buffer = [0; 1024];
    if stream.read(&mut buffer).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n").await?;
    if how == How::AtOnce {
        return Ok(());
    }
    if stream.read(&mut buffer).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    match how {
        How::Reset => stream.set_zero_linger()?,
        How::Midway => stream.write_all(b"HTTP/1.1 200").await?,
        How::Close | How::AtOnce => {}
    }
    Ok(())
}

#[tokio::test]
async fn a_request_on_a_connection_that_was_closed_meanwhile_is_repeated() {
    let client = client(&DnsServer::start());
    for how in [How::Close, How::Reset, How::AtOnce] {
        let (address, accepted) = unfriendly(how).await;
        for turn in 0..6 {
            let url = http_url::write("http", &address.to_string(), "/", []);
            let method =
                if turn % 2 == 0 { HttpMethod::Get } else { HttpMethod::Post(Bytes::from_static(b"x")) };
            let response = send(&client, method, url).await;
            let response = response.unwrap_or_else(|error| panic!("{how:?}: {error}"));
            assert_eq!(body(response).await.expect("body"), "a 1\n");
        }
        assert_eq!(accepted.load(Ordering::Relaxed), 6, "{how:?}: one fresh connection per request");
    }
    // A connection that waited for long is not used at all.
    let kept = Target::start("a 1\n").await;
    let url = http_url::write("http", &kept.address.to_string(), "/", []);
    for (pause, connections) in [(0, 1), (50, 1), (60, 2)] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(pause)).await;
        tokio::time::resume();
        body(get(&client, url.clone()).await.expect("reply")).await.expect("body");
        assert_eq!(kept.connections(), connections, "after {pause} s");
    }
    // Once something of an answer has come, the request is not sent again.
    let (address, accepted) = unfriendly(How::Midway).await;
    let url = http_url::write("http", &address.to_string(), "/", []);
    body(get(&client, url.clone()).await.expect("reply")).await.expect("body");
    get(&client, url).await.expect_err("half an answer");
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn connections_are_kept_and_redirects_followed() {
    let (first, second) = (Target::start("").await, Target::start("a 1\n").await);
    let dns = DnsServer::start();
    dns.set("a_b", &[Ipv4Addr::LOCALHOST]);
    let client = client(&dns);
    let location = format!("Location: http://a_b:{}/x?y=z#f\r\n", second.address.port());
    first.answer_with("302 Found", &location, b"");
    let url = http_url::write("http", &first.address.to_string(), "/", []);
    assert_eq!(body(get(&client, url.clone()).await.expect("reply")).await.expect("body"), "a 1\n");
    assert!(second.requests()[0].starts_with("GET /x?y=z HTTP/1.1\r\n"));
    first.answer_with("307 Temporary Redirect", "Location: /again\r\n", b"");
    let error = get(&client, url.clone()).await.expect_err("a circle");
    assert_eq!(error.to_string(), "stopped after 10 redirects");
    assert_eq!(first.connections(), 1, "kept over redirects");
    first.answer_with("304 Not Modified", "Location: /again\r\n", b"");
    assert_eq!(get(&client, url).await.expect("reply").status(), 304);
}
