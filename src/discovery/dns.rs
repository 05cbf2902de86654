//! DNS: look-ups of names again and again, each turned into a target group.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::metrics::DiscoveryMetrics;
use super::parts::Parts;
use super::{Discoverer, GroupSender, TargetGroup};
use crate::config::{DnsRecordType, DnsSdConfig};
use crate::model::{Labels, LabelsBuf};
use crate::net::{DnsError, DnsRecord, RecordKind, Resolver};

/// The longest a look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);

/// Looks names up, each at its own pace: one that takes long does not hold up the others.
pub(super) struct DnsDiscoverer {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) metrics: DiscoveryMetrics,
    pub(super) config: DnsSdConfig,
}

impl Discoverer for DnsDiscoverer {
    fn what(&self) -> String {
        self.config.names.join(", ")
    }

    fn run<'a>(&'a self, groups: &'a GroupSender) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let names: BTreeSet<&str> = self.config.names.iter().map(String::as_str).collect();
            let sources: HashSet<String> = names.iter().map(|name| source(&self.config, name)).collect();
            let parts = Parts::new(groups.clone());
            let unasked = AtomicUsize::new(names.len());
            let follow = async |name: &str| {
                let mut timer = interval(self.config.refresh_interval);
                timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
                timer.tick().await;
                self.ask(name, &parts).await;
                // What stood for other names goes when each of these was asked once.
                if unasked.fetch_sub(1, Ordering::Relaxed) == 1 {
                    groups.retain(|source| sources.contains(source));
                }
                loop {
                    timer.tick().await;
                    self.ask(name, &parts).await;
                }
            };
            join_all(names.into_iter().map(follow)).await;
        })
    }
}

impl DnsDiscoverer {
    /// A definite answer replaces the group, a failure leaves it.
    async fn ask(&self, name: &str, parts: &Parts) {
        self.metrics.dns_lookups.inc();
        let begun = Instant::now();
        let answer = timeout(LOOKUP_TIMEOUT, look_up(&*self.resolver, &self.config, name)).await;
        let pace = self.config.refresh_interval;
        let reason = match answer {
            Ok(Ok(group)) => {
                parts.groups().put(vec![group]);
                return parts.succeeded(name, begun.elapsed(), pace);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("cannot look up {name:?}: no answer in time"),
        };
        self.metrics.dns_failures.inc();
        parts.failed(name, &reason, pace);
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
fn source(config: &DnsSdConfig, name: &str) -> String {
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
