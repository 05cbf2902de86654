//! One DNS look-up turned into a target group.

use super::TargetGroup;
use crate::config::{DnsRecordType, DnsSdConfig};
use crate::model::{Labels, LabelsBuf};
use crate::net::{DnsError, DnsRecord, RecordKind, Resolver};

/// Asks for `name`; an answer without records is a group without targets.
pub(super) async fn look_up(
    resolver: &dyn Resolver,
    config: &DnsSdConfig,
    name: &str,
) -> Result<TargetGroup, DnsError> {
    let kind = match config.record_type {
        DnsRecordType::Srv => RecordKind::Srv,
        DnsRecordType::A => RecordKind::A,
        DnsRecordType::Aaaa => RecordKind::Aaaa,
        DnsRecordType::Mx => RecordKind::Mx,
        DnsRecordType::Ns => RecordKind::Ns,
    };
    let mut targets: Vec<Labels> =
        resolver.lookup(name, kind).await?.iter().map(|record| target(config, name, record)).collect();
    // Servers rotate their answers; the order must not look like a change.
    targets.sort_unstable();
    targets.dedup();
    Ok(TargetGroup { source: source(config, name), targets, labels: Labels::empty() })
}

/// What the group of `name` is called.
pub(super) fn source(config: &DnsSdConfig, name: &str) -> String {
    format!("dns/{}/{}/{name}", config.record_type.name(), config.port)
}

fn target(config: &DnsSdConfig, name: &str, record: &DnsRecord) -> Labels {
    let mut labels = LabelsBuf::new();
    labels.set("__meta_dns_name", name);
    let address = match record {
        DnsRecord::Address(ip) => std::net::SocketAddr::new(*ip, config.port).to_string(),
        DnsRecord::Service { target, port } => {
            labels.set("__meta_dns_srv_record_target", target);
            labels.set("__meta_dns_srv_record_port", &port.to_string());
            format!("{}:{port}", target.trim_end_matches('.'))
        }
        DnsRecord::Host(host) => {
            let meta = match config.record_type {
                DnsRecordType::Mx => "__meta_dns_mx_record_target",
                _ => "__meta_dns_ns_record_target",
            };
            labels.set(meta, host);
            format!("{}:{}", host.trim_end_matches('.'), config.port)
        }
    };
    labels.set("__address__", &address);
    labels.to_labels()
}
