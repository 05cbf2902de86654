//! Sections that say where targets come from.

use std::time::Duration;

use crate::model::Labels;

/// Targets written down in the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StaticConfig {
    /// Addresses as `host` or `host:port`.
    pub targets: Vec<String>,
    /// Labels of all of them.
    pub labels: Labels,
}

/// The kind of record a DNS discovery asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DnsRecordType {
    /// Service records; they bring their own port.
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Name servers.
    Ns,
}

impl DnsRecordType {
    const ALL: [(&'static str, Self); 5] =
        [("SRV", Self::Srv), ("A", Self::A), ("AAAA", Self::Aaaa), ("MX", Self::Mx), ("NS", Self::Ns)];

    /// The type called `text`, in any case of letters.
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, kind)| *kind)
    }

    /// The name it has in a configuration file.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// Targets found by asking DNS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsSdConfig {
    /// Names to look up, at least one.
    pub names: Vec<String>,
    /// Default SRV.
    pub record_type: DnsRecordType,
    /// Port of the targets; needed for all types but SRV.
    pub port: u16,
    /// How often to ask. Default 30s.
    pub refresh_interval: Duration,
}
