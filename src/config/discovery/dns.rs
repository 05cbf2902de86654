//! Targets from DNS.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::config::loader::Loader;
use crate::config::raw::{is_zero, time};
use crate::config::section::{Section, is_empty};

/// The kind of record a DNS discovery asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DnsRecordType {
    /// Service records; they bring their own port.
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// IPv4 and IPv6 addresses, each asked for by itself.
    Addresses,
    /// Mail exchangers.
    Mx,
    /// Name servers.
    Ns,
}

impl DnsRecordType {
    const ALL: [(&'static str, Self); 6] = [
        ("SRV", Self::Srv),
        ("A", Self::A),
        ("AAAA", Self::Aaaa),
        ("A+AAAA", Self::Addresses),
        ("MX", Self::Mx),
        ("NS", Self::Ns),
    ];

    /// The type called `text`, in any case of letters.
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, kind)| *kind)
    }

    /// The name it has in a configuration file.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl Serialize for DnsRecordType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Targets found by asking DNS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DnsSdConfig {
    /// Names to look up, at least one.
    pub names: Vec<String>,
    /// How often to ask; at most, where TTLs are followed. Default 30s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
    /// Default SRV.
    #[serde(rename = "type")]
    pub record_type: DnsRecordType,
    /// Port of the targets; needed for all types but SRV.
    #[serde(skip_serializing_if = "is_zero")]
    pub port: u16,
    /// Ask again when the smallest TTL of an answer is over, not before a second and not after `refresh_interval`.
    /// Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub follow_ttl: bool,
}

impl<'a> Loader<'a> {
    pub(super) fn dns_sd(&self, raw: &Section<'a>) -> DnsSdConfig {
        let names = raw.texts("names").unwrap_or_default();
        if raw.get("names").is_none_or(|item| is_empty(item.node)) {
            self.complain(raw, "names", "DNS discovery needs at least one name");
        }
        let text = raw.text("type").unwrap_or_else(|| "SRV".to_owned());
        let record_type = DnsRecordType::from_name(&text);
        if record_type.is_none() {
            let reason = format!("invalid DNS record type {text:?}: SRV, A, AAAA, A+AAAA, MX or NS");
            self.complain(raw, "type", reason);
        }
        let port = raw.port("port");
        if port == 0 && record_type.is_some_and(|kind| kind != DnsRecordType::Srv) {
            self.complain(raw, "port", "a port is required for all record types except SRV");
        }
        DnsSdConfig {
            names: names.into_iter().map(|(name, _)| name).collect(),
            refresh_interval: Self::pace(raw, 30),
            record_type: record_type.unwrap_or(DnsRecordType::Srv),
            port,
            follow_ttl: raw.boolean("follow_ttl", false),
        }
    }
}
