//! The resolver against name servers on the loopback interface and files of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use emberkeep::config::HttpConfig;
use emberkeep::net::{
    Dialer, DnsRecord, HttpClient, HttpMethod, HttpRequest, RecordKind, Resolver as _, ResolverFiles,
    SystemResolver,
};
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::RecordType;
use tokio::net::UdpSocket;

use crate::support::dns::{DnsServer, a, alias, service};
use crate::support::server::wait_for;
use crate::support::services::Service;

const SOME: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn ip(last: u8) -> DnsRecord {
    DnsRecord::Address(IpAddr::from([10, 0, 0, last]))
}

/// A resolver whose files are in `dir`; they need not be there.
fn resolver(dir: &Path, servers: &[SocketAddr]) -> SystemResolver {
    let files = ResolverFiles { hosts: dir.join("hosts"), resolv_conf: dir.join("resolv.conf") };
    SystemResolver::with_files(files, servers.to_vec())
}

/// A server that answers everything with `code`.
async fn server_with(code: ResponseCode) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut buffer = [0u8; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let Ok(mut message) = Message::from_vec(&buffer[..length]) else { continue };
            message.metadata.message_type = MessageType::Response;
            message.metadata.response_code = code;
            let _ = socket.send_to(&message.to_vec().expect("encode"), from).await;
        }
    });
    address
}

#[tokio::test]
async fn definite_answers_and_failures_are_told_apart() {
    let dir = tempfile::tempdir().expect("dir");
    for (code, definite) in [
        (ResponseCode::NoError, true),
        (ResponseCode::NXDomain, true),
        (ResponseCode::ServFail, false),
        (ResponseCode::Refused, false),
        (ResponseCode::FormErr, false),
    ] {
        let resolver = resolver(dir.path(), &[server_with(code).await]);
        let answer = resolver.lookup("a.test", RecordKind::A).await;
        assert_eq!(
            answer.as_ref().ok().map(|answer| answer.found.len()),
            definite.then_some(0),
            "{code}: {answer:?}"
        );
        // The next server is asked where one says that it cannot tell.
        let other = DnsServer::start();
        other.set("a.test", &[SOME]);
        let servers = [server_with(code).await, other.address];
        let answer = self::resolver(dir.path(), &servers).lookup("a.test", RecordKind::A).await;
        assert_eq!(answer.expect("an answer").found.len(), usize::from(!definite), "{code}");
    }
}

#[tokio::test]
async fn names_are_asked_for_as_they_are() {
    let dir = tempfile::tempdir().expect("dir");
    let server = DnsServer::start();
    let resolver = resolver(dir.path(), &[server.address]);
    let part = "x".repeat(63);
    // With its lengths and the root, 255 bytes.
    let longest = format!("{part}.{part}.{part}.{}", "y".repeat(61));
    let mut expected = Vec::new();
    for name in [
        "DOCKER_HOST",
        "node_exporter",
        "_a_.b_",
        "web.1",
        "Upper.Case.example",
        "12345",
        "0x7f",
        "1.2.3",
        "-x-",
        "a b",
        "dot.at.the.end.",
        &longest,
    ] {
        server.set(name.trim_end_matches('.'), &[SOME]);
        let found = resolver.host(name, RecordKind::A).await;
        assert_eq!(found.expect(name).found, [IpAddr::V4(SOME)], "{name}");
        assert_eq!(resolver.lookup(name, RecordKind::A).await.expect(name).found, [ip(1)], "{name}");
        let full = format!("{}.", name.trim_end_matches('.'));
        expected.extend([full.clone(), full]);
    }
    assert_eq!(server.names(), expected);
    for name in [format!("{longest}y"), format!("{part}x"), "a..b".to_owned(), String::new()] {
        let answer = resolver.lookup(&name, RecordKind::A).await;
        answer.expect_err("a name that cannot be asked for says nothing about targets");
    }
}

#[tokio::test]
async fn the_hosts_file_goes_before_any_server() {
    let dir = tempfile::tempdir().expect("dir");
    let server = DnsServer::start();
    server.fail(true);
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("write");
    write("resolv.conf", "search a.test b.test\noptions ndots:5\n");
    write("hosts", "10.0.0.1 DOCKER_HOST web.1\nfd00::1 six\n");
    let resolver = resolver(dir.path(), &[server.address]);
    let v4 = |name: &'static str| resolver.host(name, RecordKind::A);
    for name in ["DOCKER_HOST", "docker_host", "web.1", "web.1."] {
        assert_eq!(v4(name).await.expect(name).found, [IpAddr::V4(SOME)]);
        assert_eq!(resolver.host(name, RecordKind::Aaaa).await.expect(name).found, [] as [IpAddr; 0]);
        assert_eq!(resolver.lookup(name, RecordKind::A).await.expect(name).found, [ip(1)]);
    }
    assert_eq!(v4("six").await.expect("known").found, [] as [IpAddr; 0]);
    assert_eq!(v4("localhost").await.expect("known").found, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    assert_eq!(server.asked(), 0);
    // The file is read again when it changes.
    v4("late").await.expect_err("nobody knows it");
    write("hosts", "10.0.0.2 late\n");
    assert_eq!(v4("late").await.expect("known").found, [IpAddr::from([10, 0, 0, 2])]);
    v4("web.1").await.expect_err("nobody knows it any more");
}

#[tokio::test]
async fn the_search_list_is_followed_and_read_again() {
    let dir = tempfile::tempdir().expect("dir");
    let server = DnsServer::start();
    let write = |text: &str| std::fs::write(dir.path().join("resolv.conf"), text).expect("write");
    let resolver = resolver(dir.path(), &[server.address]);
    let mut seen = 0;
    let mut check = async |name: &'static str, expected: &[&str]| {
        assert_eq!(resolver.lookup(name, RecordKind::A).await.expect("definite").found, []);
        let asked = server.names().split_off(seen);
        assert_eq!(asked, expected, "{name}");
        seen += asked.len();
    };
    check("a_b", &["a_b."]).await;
    write("search one.test. two_2\n");
    check("a_b", &["a_b.one.test.", "a_b.two_2.", "a_b."]).await;
    check("a.b", &["a.b.", "a.b.one.test.", "a.b.two_2."]).await;
    check("a.b.", &["a.b."]).await;
    write("search svc.cluster.local\noptions ndots:5\n");
    check("a.b", &["a.b.svc.cluster.local.", "a.b."]).await;
    let count = server.asked();
    write("search svc.cluster.local\noptions no-aaaa\n");
    assert_eq!(resolver.host("a", RecordKind::Aaaa).await.expect("definite").found, [] as [IpAddr; 0]);
    assert_eq!(server.asked(), count);
    std::fs::remove_file(dir.path().join("resolv.conf")).expect("remove");
    check("a", &["a."]).await;
    // One that fails does not hide what the next one knows.
    write("search one.test\n");
    server.set("a", &[SOME]);
    server.set_answer("a.one.test", RecordType::A, &[("a.one.test", alias("a.one.test"))]);
    assert_eq!(resolver.lookup("a", RecordKind::A).await.expect("found").found, [ip(1)]);
    server.set("a", &[]);
    resolver.lookup("a", RecordKind::A).await.expect_err("one of two failed");
}

#[tokio::test]
async fn a_dead_server_holds_nothing_up_and_may_come_back() {
    let dir = tempfile::tempdir().expect("dir");
    // Keeps silent.
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let live = DnsServer::start();
    live.set("h", &[SOME]);
    let dead = silent.local_addr().expect("bound");
    let both = resolver(dir.path(), &[dead, live.address]);
    let began = Instant::now();
    assert_eq!(both.lookup("h", RecordKind::A).await.expect("answer").found, [ip(1)]);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());

    std::fs::write(dir.path().join("resolv.conf"), "options timeout:1 attempts:1\n").expect("write");
    let alone = resolver(dir.path(), &[dead]);
    for _ in 0..3 {
        alone.lookup("h", RecordKind::A).await.expect_err("silence");
    }
    drop(silent);
    alone.lookup("h", RecordKind::A).await.expect_err("nobody listens");
    let back = DnsServer::start_at(dead);
    back.set("h", &[SOME]);
    assert_eq!(alone.lookup("h", RecordKind::A).await.expect("answer").found, [ip(1)]);
}

#[tokio::test]
async fn aliases_are_followed_in_any_order() {
    let dir = tempfile::tempdir().expect("dir");
    let server = DnsServer::start();
    let resolver = resolver(dir.path(), &[server.address]);
    let records = [("w", alias("x_y.")), ("x_y", alias("Z.")), ("z", a(1)), ("z", a(2))];
    for turn in 0..records.len() {
        let mut turned = records.clone();
        turned.rotate_left(turn);
        server.set_answer("w", RecordType::A, &turned);
        let mut found = resolver.lookup("w", RecordKind::A).await.expect("found").found;
        found.sort_by_key(|record| format!("{record:?}"));
        assert_eq!(found, [ip(1), ip(2)]);
        turned.reverse();
        server.set_answer("w", RecordType::A, &turned);
        assert_eq!(resolver.lookup("w", RecordKind::A).await.expect("found").found.len(), 2);
    }
    // Where nothing is said of the other name, it is asked for.
    server.set_answer("w", RecordType::A, &[("w", alias("v."))]);
    server.set("v", &[SOME]);
    assert_eq!(resolver.lookup("w", RecordKind::A).await.expect("found").found, [ip(1)]);
    server.set("v", &[]);
    assert_eq!(resolver.lookup("w", RecordKind::A).await.expect("definite").found, []);
    // Services have aliases too, and so have their hosts.
    let alias_of_service = ("_m._tcp.w", alias("_n._tcp.w."));
    server.set_answer(
        "_m._tcp.w",
        RecordType::SRV,
        &[("_n._tcp.w", service("h_1.w.", 9100)), alias_of_service, ("h_1.w", alias("h2.w."))],
    );
    let found = resolver.lookup("_m._tcp.w", RecordKind::Srv).await.expect("found").found;
    assert_eq!(found, [DnsRecord::Service { target: "h_1.w.".to_owned(), port: 9100 }]);
    // What cannot be followed is a failure and not an empty answer.
    for records in [vec![("w", alias("u.")), ("u", alias("w."))], vec![("other", a(1))]] {
        server.set_answer("w", RecordType::A, &records);
        server.set_answer("u", RecordType::A, &records);
        resolver.lookup("w", RecordKind::A).await.expect_err("cannot be followed");
    }
}

#[tokio::test]
async fn answers_that_are_cut_short_are_asked_for_over_tcp() {
    let dir = tempfile::tempdir().expect("dir");
    let server = DnsServer::start();
    server.truncate();
    let many: Vec<Ipv4Addr> = (0..200).map(|last| Ipv4Addr::new(10, 0, 1, last)).collect();
    server.set("many", &many);
    let resolver = resolver(dir.path(), &[server.address]);
    for _ in 0..2 {
        assert_eq!(resolver.lookup("many", RecordKind::A).await.expect("found").found.len(), 200);
    }
}

#[tokio::test]
async fn the_smallest_ttl_on_the_way_to_an_answer_counts() {
    let dir = tempfile::tempdir().expect("dir");
    let server = DnsServer::start();
    let resolver = resolver(dir.path(), &[server.address]);
    let ttl = async |name: &str| {
        let answer = resolver.lookup(name, RecordKind::A).await.expect("an answer");
        (answer.found.len(), answer.ttl.map(|ttl| ttl.as_secs()))
    };
    server.set("h", &[SOME]);
    for seconds in [0, 30, 86_400] {
        server.set_ttl(seconds);
        assert_eq!(ttl("h").await, (1, Some(seconds.into())));
        assert_eq!(ttl("nobody").await, (0, Some(seconds.into())));
    }
    server.set_ttl(300);
    server.set_answer("w", RecordType::A, &[("w", alias("v.")), ("v", a(1))]);
    server.set_answer_with_ttls(
        "v",
        RecordType::A,
        &[("v", alias("u."), 40), ("u", a(1), 50), ("u", a(2), 60)],
    );
    assert_eq!(ttl("v").await, (2, Some(40)));
    server.set_answer_with_ttls("v", RecordType::A, &[("v", a(1), 70), ("v", a(2), 60)]);
    assert_eq!(ttl("v").await, (2, Some(60)));
    // What an alias leads to may have to be asked for.
    server.set_answer_with_ttls("w", RecordType::A, &[("w", alias("v."), 20)]);
    assert_eq!(ttl("w").await, (2, Some(20)));
    server.set_answer_with_ttls("w", RecordType::A, &[("w", alias("v."), 90)]);
    assert_eq!(ttl("w").await, (2, Some(60)));
    // Files have no TTL.
    std::fs::write(dir.path().join("hosts"), "10.0.0.1 h\n").expect("write");
    assert_eq!(ttl("h").await, (1, None));
}

/// Asks a client for `url` and gives the body.
async fn body(client: &HttpClient, url: &str) -> String {
    let request = HttpRequest { method: HttpMethod::Get, url: url.to_owned(), headers: Vec::new() };
    let response = client.send(request).await.expect("an answer");
    let mut body = Vec::new();
    response.read_body(100, &mut body).await.expect("a body");
    String::from_utf8(body).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_kept_connection_is_given_up_when_its_name_has_another_address() {
    let dir = tempfile::tempdir().expect("dir");
    let [one, two] = [Ipv4Addr::new(127, 0, 81, 1), Ipv4Addr::new(127, 0, 81, 2)];
    let first = Service::start((one, 0).into(), Arc::new(|_| Some("one".to_owned()))).expect("a free port");
    let port = first.address.port();
    let pages = Arc::new(|_: &str| Some("two".to_owned()));
    let _second = wait_for("a free port", || Service::start((two, port).into(), pages.clone()).ok());
    let server = DnsServer::start();
    server.set("h", &[one]);
    server.set_ttl(3600);
    let dialer = Arc::new(Dialer::new(Arc::new(resolver(dir.path(), &[server.address]))));
    let client = || HttpClient::new(&HttpConfig::default(), Arc::clone(&dialer)).expect("a client");
    let url = format!("http://h:{port}/metrics");
    let long = client();
    assert_eq!(body(&long, &url).await, "one");
    let asked = server.asked();
    for _ in 0..20 {
        assert_eq!(body(&long, &url).await, "one");
    }
    assert_eq!(server.asked(), asked, "the time of the record is not over");

    // Both go on answering: only the name says which one is meant.
    server.set("h", &[two]);
    server.set_ttl(0);
    assert_eq!(body(&long, &url).await, "one");
    assert_eq!(body(&client(), &url).await, "two", "a new connection goes where the name leads now");
    assert_eq!(body(&long, &url).await, "two", "and so do those that were kept");
    server.set("h", &[one]);
    let began = Instant::now();
    while body(&long, &url).await != "one" {
        assert!(began.elapsed() < Duration::from_secs(20), "the other address is not found");
    }
    // A server that fails, or knows nothing, costs no connection.
    server.fail(true);
    let asked = server.asked();
    while server.asked() == asked {
        assert_eq!(body(&long, &url).await, "one");
        assert!(began.elapsed() < Duration::from_secs(20), "the name is not looked up");
    }
    assert_eq!(body(&long, &url).await, "one");
}
