//! The resolver against name servers on the loopback interface and files of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use emberkeep::net::{DnsRecord, RecordKind, Resolver as _, ResolverFiles, SystemResolver};
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::RecordType;
use tokio::net::UdpSocket;

use crate::support::dns::{DnsServer, a, alias, service};

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
        assert_eq!(answer.as_ref().ok().map(Vec::len), definite.then_some(0), "{code}: {answer:?}");
        // The next server is asked where one says that it cannot tell.
        let other = DnsServer::start();
        other.set("a.test", &[SOME]);
        let servers = [server_with(code).await, other.address];
        let answer = self::resolver(dir.path(), &servers).lookup("a.test", RecordKind::A).await;
        assert_eq!(answer.expect("an answer").len(), usize::from(!definite), "{code}");
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
        assert_eq!(found.expect(name), [IpAddr::V4(SOME)], "{name}");
        assert_eq!(resolver.lookup(name, RecordKind::A).await.expect(name), [ip(1)], "{name}");
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
        assert_eq!(v4(name).await.expect(name), [IpAddr::V4(SOME)]);
        assert_eq!(resolver.host(name, RecordKind::Aaaa).await.expect(name), [] as [IpAddr; 0]);
        assert_eq!(resolver.lookup(name, RecordKind::A).await.expect(name), [ip(1)]);
    }
    assert_eq!(v4("six").await.expect("known"), [] as [IpAddr; 0]);
    assert_eq!(v4("localhost").await.expect("known"), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    assert_eq!(server.asked(), 0);
    // The file is read again when it changes.
    v4("late").await.expect_err("nobody knows it");
    write("hosts", "10.0.0.2 late\n");
    assert_eq!(v4("late").await.expect("known"), [IpAddr::from([10, 0, 0, 2])]);
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
        assert_eq!(resolver.lookup(name, RecordKind::A).await.expect("definite"), []);
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
    assert_eq!(resolver.host("a", RecordKind::Aaaa).await.expect("definite"), [] as [IpAddr; 0]);
    assert_eq!(server.asked(), count);
    std::fs::remove_file(dir.path().join("resolv.conf")).expect("remove");
    check("a", &["a."]).await;
    // One that fails does not hide what the next one knows.
    write("search one.test\n");
    server.set("a", &[SOME]);
    server.set_answer("a.one.test", RecordType::A, &[("a.one.test", alias("a.one.test"))]);
    assert_eq!(resolver.lookup("a", RecordKind::A).await.expect("found"), [ip(1)]);
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
    assert_eq!(both.lookup("h", RecordKind::A).await.expect("answer"), [ip(1)]);
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
    assert_eq!(alone.lookup("h", RecordKind::A).await.expect("answer"), [ip(1)]);
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
        let mut found = resolver.lookup("w", RecordKind::A).await.expect("found");
        found.sort_by_key(|record| format!("{record:?}"));
        assert_eq!(found, [ip(1), ip(2)]);
        turned.reverse();
        server.set_answer("w", RecordType::A, &turned);
        assert_eq!(resolver.lookup("w", RecordKind::A).await.expect("found").len(), 2);
    }
    // Where nothing is said of the other name, it is asked for.
    server.set_answer("w", RecordType::A, &[("w", alias("v."))]);
    server.set("v", &[SOME]);
    assert_eq!(resolver.lookup("w", RecordKind::A).await.expect("found"), [ip(1)]);
    server.set("v", &[]);
    assert_eq!(resolver.lookup("w", RecordKind::A).await.expect("definite"), []);
    // Services have aliases too, and so have their hosts.
    let alias_of_service = ("_m._tcp.w", alias("_n._tcp.w."));
    server.set_answer(
        "_m._tcp.w",
        RecordType::SRV,
        &[("_n._tcp.w", service("h_1.w.", 9100)), alias_of_service, ("h_1.w", alias("h2.w."))],
    );
    let found = resolver.lookup("_m._tcp.w", RecordKind::Srv).await.expect("found");
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
        assert_eq!(resolver.lookup("many", RecordKind::A).await.expect("found").len(), 200);
    }
}
