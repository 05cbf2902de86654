//! DNS: look-ups of names again and again, each turned into a target group.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::time::{Instant, sleep_until, timeout};

use super::metrics::DiscoveryMetrics;
use super::parts::Parts;
use super::{Discoverer, GroupSender, TargetGroup};
use crate::config::{DnsRecordType, DnsSdConfig};
use crate::model::{Labels, LabelsBuf};
use crate::net::{DnsError, DnsRecord, RecordKind, Resolver};

/// The longest a look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);
/// The shortest time between two look-ups where TTLs are followed.
const MIN_PACE: Duration = Duration::from_secs(1);

/// Looks names up, each at its own pace: one that takes long does not hold up the others.
pub(super) struct DnsDiscoverer {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) metrics: DiscoveryMetrics,
    pub(super) config: DnsSdConfig,
}

/// What is asked for again and again: one kind of records of a name.
struct Question<'a> {
    name: &'a str,
    kind: RecordKind,
    /// What its group is called.
    source: String,
}

impl Discoverer for DnsDiscoverer {
    fn what(&self) -> String {
        self.config.names.join(", ")
    }

    fn run<'a>(&'a self, groups: &'a GroupSender) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let questions = questions(&self.config);
            let sources: HashSet<&str> = questions.iter().map(|question| &*question.source).collect();
            let parts = Parts::new(groups.clone());
            let unasked = AtomicUsize::new(questions.len());
            let follow = async |question: &Question<'_>| {
                let mut begun = Instant::now();
                let mut pause = self.ask(question, &parts).await;
                // What stood for other questions goes when each of these was asked once.
                if unasked.fetch_sub(1, Ordering::Relaxed) == 1 {
                    groups.retain(|source| sources.contains(source));
                }
                loop {
                    sleep_until(begun + pause).await;
                    begun = Instant::now();
                    pause = self.ask(question, &parts).await;
                }
            };
            join_all(questions.iter().map(follow)).await;
        })
    }
}

impl DnsDiscoverer {
    /// A definite answer replaces the group, a failure leaves it. Says how long after this question the next one is due.
    async fn ask(&self, question: &Question<'_>, parts: &Parts) -> Duration {
        self.metrics.dns_lookups.inc();
        let begun = Instant::now();
        let answer = timeout(LOOKUP_TIMEOUT, look_up(&*self.resolver, &self.config, question)).await;
        let usual = self.config.refresh_interval;
        let reason = match answer {
            Ok(Ok((group, ttl))) => {
                let followed = ttl.filter(|_| self.config.follow_ttl);
                // The time of records begins when they are told.
                let pause = followed.map_or(usual, |ttl| (begun.elapsed() + ttl).max(MIN_PACE).min(usual));
                parts.groups().put(vec![group]);
                parts.succeeded(&question.source, begun.elapsed(), pause);
                return pause;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("cannot look up {:?}: no answer in time", question.name),
        };
        self.metrics.dns_failures.inc();
        parts.failed(&question.source, &reason, usual);
        usual
    }
}

/// Everything that `config` asks for, each once.
fn questions(config: &DnsSdConfig) -> Vec<Question<'_>> {
    let kinds: &[RecordKind] = match config.record_type {
        DnsRecordType::Srv => &[RecordKind::Srv],
        DnsRecordType::A => &[RecordKind::A],
        DnsRecordType::Aaaa => &[RecordKind::Aaaa],
        DnsRecordType::Addresses => &[RecordKind::A, RecordKind::Aaaa],
        DnsRecordType::Mx => &[RecordKind::Mx],
        DnsRecordType::Ns => &[RecordKind::Ns],
    };
    let names: BTreeSet<&str> = config.names.iter().map(String::as_str).collect();
    let question = |name, kind| Question { name, kind, source: source(config, kind, name) };
    names.into_iter().flat_map(|name| kinds.iter().map(move |kind| question(name, *kind))).collect()
}

/// Asks a question; an answer without records is a group without targets. Says also how long the answer is good for.
async fn look_up(
    resolver: &dyn Resolver,
    config: &DnsSdConfig,
    question: &Question<'_>,
) -> Result<(TargetGroup, Option<Duration>), DnsError> {
    let answer = resolver.lookup(question.name, question.kind).await?;
    let mut targets: Vec<Labels> =
        answer.found.iter().map(|record| target(config, question.name, record)).collect();
    // Servers rotate their answers; the order must not look like a change.
    targets.sort_unstable();
    targets.dedup();
    Ok((TargetGroup { source: question.source.clone(), targets, labels: Labels::empty() }, answer.ttl))
}

/// What the group of a question is called.
fn source(config: &DnsSdConfig, kind: RecordKind, name: &str) -> String {
    let kind = match kind {
        RecordKind::A => "A",
        RecordKind::Aaaa => "AAAA",
        RecordKind::Srv => "SRV",
        RecordKind::Mx => "MX",
        RecordKind::Ns => "NS",
    };
    format!("dns/{kind}/{}/{name}", config.port)
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

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
