//! A DNS server on loopback whose answers a test can change.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::A;
use hickory_resolver::proto::rr::{RData, Record, RecordType};

/// What is known about names.
#[derive(Debug, Default)]
struct Zone {
    addresses: BTreeMap<String, Vec<Ipv4Addr>>,
    failing: bool,
    asked: u64,
}

/// A running server; its thread ends with the process.
#[derive(Debug, Clone)]
pub struct DnsServer {
    /// Where it listens.
    pub address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl DnsServer {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let address = socket.local_addr().expect("address");
        let zone = Arc::new(Mutex::new(Zone::default()));
        let shared = Arc::clone(&zone);
        std::thread::spawn(move || {
            let mut buffer = [0u8; 4096];
            while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
                let Ok(request) = Message::from_vec(&buffer[..len]) else { continue };
                let reply = shared.lock().expect("zone").answer(&request);
                let _ = socket.send_to(&reply.to_vec().expect("encode"), peer);
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

    /// From now on every look-up fails (or works again).
    pub fn fail(&self, failing: bool) {
        self.zone.lock().expect("zone").failing = failing;
    }

    /// Number of questions so far.
    pub fn asked(&self) -> u64 {
        self.zone.lock().expect("zone").asked
    }
}

impl Zone {
    fn answer(&mut self, request: &Message) -> Message {
        self.asked += 1;
        let mut reply = request.clone();
        reply.metadata.message_type = MessageType::Response;
        if self.failing {
            reply.metadata.response_code = ResponseCode::ServFail;
            return reply;
        }
        let Some(question) = request.queries.first() else { return reply };
        let name = question.name().to_string();
        match self.addresses.get(name.trim_end_matches('.')) {
            None => reply.metadata.response_code = ResponseCode::NXDomain,
            Some(addresses) if question.query_type() == RecordType::A => {
                for address in addresses {
                    let data = RData::A(A(*address));
                    reply.add_answer(Record::from_rdata(question.name().clone(), 0, data));
                }
            }
            // The name is there, but has no records of this type.
            Some(_) => {}
        }
        reply
    }
}
