//! The resolver against a name server on the loopback interface that answers from a script.

use std::net::{IpAddr, SocketAddr};

use emberkeep::net::{DnsRecord, RecordKind, Resolver as _, SystemResolver};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const NO_ERROR: u8 = 0;
const SERVER_FAILURE: u8 = 2;
const NO_SUCH_NAME: u8 = 3;
const REFUSED: u8 = 5;

/// Answers by the first letter of the name: `a` with records, `e` with none, `n` with no such name, `s` with a server
/// failure, `r` refuses.
async fn start() -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        let mut buffer = [0u8; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let answer = answer(&buffer[..length]);
            if socket.send_to(&answer, from).await.is_err() {
                return;
            }
        }
    });
    (address, task)
}

fn answer(query: &[u8]) -> Vec<u8> {
    // Header of 12 bytes, then the name as length-prefixed parts, then type and class.
    let mut end = 12;
    while query[end] != 0 {
        end += usize::from(query[end]) + 1;
    }
    let question = &query[12..end + 5];
    let kind = query[end + 2];
    let (code, records): (u8, Vec<Vec<u8>>) = match (query[13].to_ascii_lowercase(), kind) {
        (b'a', 1) => (NO_ERROR, vec![vec![10, 0, 0, 1], vec![10, 0, 0, 2]]),
        // Priority, weight, port 9100, target "h.x.".
        (b'a', 33) => (NO_ERROR, vec![vec![0, 0, 0, 0, 0x23, 0x8c, 1, b'h', 1, b'x', 0]]),
        (b'n', _) => (NO_SUCH_NAME, vec![]),
        (b's', _) => (SERVER_FAILURE, vec![]),
        (b'r', _) => (REFUSED, vec![]),
        _ => (NO_ERROR, vec![]),
    };
    let mut out = query[..2].to_vec();
    let count = u8::try_from(records.len()).expect("few");
    out.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    out.extend(question);
    for data in records {
        // The name points at the question; type, class IN, 60 seconds.
        out.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).expect("short")]);
        out.extend(data);
    }
    out
}

#[tokio::test]
async fn definite_answers_and_failures_are_told_apart() {
    let (server, task) = start().await;
    let resolver = SystemResolver::new(Some(server)).expect("resolver");
    let found = resolver.lookup("a.test.", RecordKind::A).await.expect("answer");
    let ip = |last| DnsRecord::Address(IpAddr::from([10, 0, 0, last]));
    assert_eq!(found.len(), 2);
    assert!(found.contains(&ip(1)) && found.contains(&ip(2)), "{found:?}");
    let service = resolver.lookup("a.test.", RecordKind::Srv).await.expect("answer");
    assert_eq!(service, [DnsRecord::Service { target: "h.x.".to_owned(), port: 9100 }]);
    assert_eq!(resolver.addresses("a.test.").await.expect("answer").len(), 2);
    for (name, definite) in
        [("empty.test.", true), ("no.test.", true), ("serv.test.", false), ("ref.test.", false)]
    {
        let answer = resolver.lookup(name, RecordKind::A).await;
        assert_eq!(answer.as_ref().ok().map(Vec::len), definite.then_some(0), "{name}: {answer:?}");
    }
    // The hosts file goes before any server.
    let local = resolver.addresses("localhost").await.expect("answer");
    assert!(local.iter().any(IpAddr::is_loopback), "{local:?}");
    task.abort();
}
