//! DNS: look-ups of one name again and again, each turned into a target group.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::metrics::DiscoveryMetrics;
use super::{Discoverer, GroupSender, TargetGroup};
use crate::config::{DnsRecordType, DnsSdConfig};
use crate::model::{Labels, LabelsBuf};
use crate::net::{DnsError, DnsRecord, RecordKind, Resolver};

/// The longest a look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);

/// Looks one name up.
pub(super) struct DnsDiscoverer {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) metrics: DiscoveryMetrics,
    pub(super) config: DnsSdConfig,
    pub(super) name: String,
}

impl Discoverer for DnsDiscoverer {
    fn name(&self) -> String {
        format!("look-up of {}", self.name)
    }

    fn run<'a>(&'a self, groups: &'a GroupSender) -> BoxFuture<'a, ()> {
        Box::pin(self.refresh(groups))
    }
}

impl DnsDiscoverer {
    /// A definite answer replaces the group, a failure leaves it.
    async fn refresh(&self, groups: &GroupSender) {
        let mut timer = interval(self.config.refresh_interval);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            timer.tick().await;
            self.metrics.dns_lookups.inc();
            let answer = timeout(LOOKUP_TIMEOUT, look_up(&*self.resolver, &self.config, &self.name)).await;
            let reason = match answer {
                Ok(Ok(group)) => {
                    if failing {
                        tracing::info!(name = self.name, "DNS lookup succeeded again");
                    }
                    failing = false;
                    groups.send(group);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            self.metrics.dns_failures.inc();
            if !failing {
                tracing::warn!(name = self.name, reason, "DNS lookup failed; keeping the last targets");
            }
            failing = true;
        }
    }
}

/// Asks for `name`; an answer without records is a group without targets.
async fn look_up(resolver: &dyn Resolver, config: &DnsSdConfig, name: &str) -> Result<TargetGroup, DnsError> {
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
