//! A DNS server on loopback, over UDP and TCP, whose answers a test can change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME, SOA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// A record of an answer.
#[derive(Debug)]
struct Answered {
    owner: String,
    data: RData,
    /// In seconds; none is that of all records.
    ttl: Option<u32>,
}

/// What is known about names.
#[derive(Debug, Default)]
struct Zone {
    addresses: BTreeMap<String, Vec<Ipv4Addr>>,
    answers: BTreeMap<(String, RecordType), Vec<Answered>>,
    silent: BTreeSet<RecordType>,
    failing: bool,
    truncating: bool,
    /// Of all records, in seconds.
    ttl: u32,
    names: Vec<String>,
}

/// A running server; its threads end with the process, or when it is stopped.
#[derive(Debug, Clone)]
pub struct DnsServer {
    /// Where it listens.
    pub address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl DnsServer {
    /// Starts it on a free port.
    pub fn start() -> Self {
        for _ in 0..100 {
            let tcp = TcpListener::bind("127.0.0.1:0").expect("bind");
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("address")) {
                return Self::serve(tcp, udp);
            }
        }
        panic!("no port is free for UDP and TCP");
    }

    /// Starts it on `address`.
    pub fn start_at(address: SocketAddr) -> Self {
        Self::serve(TcpListener::bind(address).expect("bind"), UdpSocket::bind(address).expect("bind"))
    }

    fn serve(tcp: TcpListener, udp: UdpSocket) -> Self {
        let address = udp.local_addr().expect("address");
        let zone = Arc::new(Mutex::new(Zone::default()));
        let shared = Arc::clone(&zone);
        std::thread::spawn(move || {
            let mut buffer = [0u8; 4096];
            while let Ok((len, peer)) = udp.recv_from(&mut buffer) {
                let Ok(request) = Message::from_vec(&buffer[..len]) else { continue };
                let Some(reply) = shared.lock().expect("zone").answer(&request, true) else { continue };
                let _ = udp.send_to(&reply.to_vec().expect("encode"), peer);
            }
        });
        let shared = Arc::clone(&zone);
        std::thread::spawn(move || {
            for stream in tcp.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer_stream(stream, &shared));
            }
        });
        Self { address, zone }
    }

    /// Sets the addresses of `name`; none removes it.
    pub fn set(&self, name: &str, addresses: &[Ipv4Addr]) {
        let mut zone = self.zone.lock().expect("zone");
        if addresses.is_empty() {
            zone.addresses.remove(name);
        } else {
            zone.addresses.insert(name.to_owned(), addresses.to_vec());
        }
    }

    /// Sets the whole answer to one question: owners and data, in this order.
    pub fn set_answer(&self, name: &str, kind: RecordType, records: &[(&str, RData)]) {
        let record = |(owner, data): &(&str, RData)| Answered {
            owner: (*owner).to_owned(),
            data: data.clone(),
            ttl: None,
        };
        let records = records.iter().map(record).collect();
        self.zone.lock().expect("zone").answers.insert((name.to_owned(), kind), records);
    }

    /// The same, with the TTL of each record.
    pub fn set_answer_with_ttls(&self, name: &str, kind: RecordType, records: &[(&str, RData, u32)]) {
        let record = |(owner, data, ttl): &(&str, RData, u32)| Answered {
            owner: (*owner).to_owned(),
            data: data.clone(),
            ttl: Some(*ttl),
        };
        let records = records.iter().map(record);
        self.zone.lock().expect("zone").answers.insert((name.to_owned(), kind), records.collect());
    }

    /// From now on every look-up fails (or works again).
    pub fn fail(&self, failing: bool) {
        self.zone.lock().expect("zone").failing = failing;
    }

    /// From now on records are good for so many seconds; 0 before.
    pub fn set_ttl(&self, seconds: u32) {
        self.zone.lock().expect("zone").ttl = seconds;
    }

    /// From now on answers over UDP are cut short.
    pub fn truncate(&self) {
        self.zone.lock().expect("zone").truncating = true;
    }

    /// From now on questions for records of this type are not answered.
    pub fn ignore(&self, kind: RecordType) {
        self.zone.lock().expect("zone").silent.insert(kind);
    }

    /// Number of questions so far.
    pub fn asked(&self) -> u64 {
        self.zone.lock().expect("zone").names.len() as u64
    }

    /// Names that were asked for, as they came.
    pub fn names(&self) -> Vec<String> {
        self.zone.lock().expect("zone").names.clone()
    }
}

/// Data of an A record.
pub fn a(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(10, 0, 0, last)))
}

/// Data of a CNAME record.
pub fn alias(target: &str) -> RData {
    RData::CNAME(CNAME(Name::from_ascii(target).expect("a name")))
}

/// Data of an SRV record.
pub fn service(target: &str, port: u16) -> RData {
    RData::SRV(SRV::new(0, 0, port, Name::from_ascii(target).expect("a name")))
}

fn answer_stream(mut stream: TcpStream, zone: &Mutex<Zone>) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut request = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut request).is_err() {
            return;
        }
        let Ok(request) = Message::from_vec(&request) else { return };
        let Some(reply) = zone.lock().expect("zone").answer(&request, false) else { return };
        let reply = reply.to_vec().expect("encode");
        let length = u16::try_from(reply.len()).expect("small").to_be_bytes();
        if stream.write_all(&[&length[..], &reply].concat()).is_err() {
            return;
        }
    }
}

impl Zone {
    fn answer(&mut self, request: &Message, udp: bool) -> Option<Message> {
        let mut reply = request.clone();
        reply.metadata.message_type = MessageType::Response;
        let question = request.queries.first()?;
        let labels = question.name().iter().map(|label| String::from_utf8_lossy(label).into_owned() + ".");
        let name: String = labels.collect();
        self.names.push(name.clone());
        if self.silent.contains(&question.query_type()) {
            return None;
        }
        if self.failing {
            reply.metadata.response_code = ResponseCode::ServFail;
            return Some(reply);
        }
        if udp && self.truncating {
            reply.metadata.truncation = true;
            return Some(reply);
        }
        let name = name.trim_end_matches('.');
        if let Some(records) = self.answers.get(&(name.to_owned(), question.query_type())) {
            for Answered { owner, data, ttl } in records {
                let owner = Name::from_ascii(owner).expect("a name");
                reply.add_answer(Record::from_rdata(owner, ttl.unwrap_or(self.ttl), data.clone()));
            }
            return Some(reply);
        }
        match self.addresses.get(name) {
            None => {
                reply.metadata.response_code = ResponseCode::NXDomain;
                let (root, minimum) = (Name::root(), self.ttl);
                let start = RData::SOA(SOA::new(root.clone(), root.clone(), 1, 1, 1, 1, minimum));
                // That of the record is not what counts.
                reply.add_authority(Record::from_rdata(root, u32::MAX, start));
            }
            Some(addresses) if question.query_type() == RecordType::A => {
                for address in addresses {
                    let data = RData::A(A(*address));
                    reply.add_answer(Record::from_rdata(question.name().clone(), self.ttl, data));
                }
            }
            // The name is there, but has no records of this type.
            Some(_) => {}
        }
        Some(reply)
    }
}
