//! Consul: its catalog says which services there are, its health API which instances each has. Both answer when
//! something has changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::api::{Api, ApiError, host_port, or_default, parameter, set_all};
use super::parts::Parts;
use super::{Discoverer, GroupSender, TargetGroup};
use crate::config::ConsulSdConfig;
use crate::model::{Labels, LabelsBuf};
use crate::net::http_url::query_escaped;
use crate::net::{Dialer, HttpError};
use crate::util::lock::lock;

/// How long the server may wait for a change before it answers.
const WAIT: Duration = Duration::from_secs(120);
/// How long it may take beyond that.
const GRACE: Duration = Duration::from_secs(15);
/// Pause after a failure at most; it is no longer than the pace.
const RETRY: Duration = Duration::from_secs(15);
/// What the catalog is called among the parts; no service is called so.
const CATALOG: &str = "";

/// Asks one server.
#[derive(Debug)]
pub(super) struct ConsulDiscoverer {
    client: Arc<Client>,
}

#[derive(Debug)]
struct Client {
    api: Api,
    config: ConsulSdConfig,
    /// Parameters of every request.
    common: String,
    /// The services whose instances are wanted; held while what was found of one is handed on.
    wanted: Mutex<BTreeSet<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Service,
    #[serde(default, deserialize_with = "or_default")]
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default, rename = "Node")]
    name: String,
    #[serde(default)]
    address: String,
    #[serde(default, deserialize_with = "or_default")]
    meta: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    tagged_addresses: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(default, rename = "ID")]
    id: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: u32,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    meta: BTreeMap<String, String>,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    partition: String,
}

#[derive(Debug, Deserialize)]
struct Check {
    #[serde(default, rename = "CheckID")]
    id: String,
    #[serde(default, rename = "Status")]
    status: String,
}

#[derive(Debug, Deserialize)]
struct AgentSelf {
    #[serde(rename = "Config")]
    config: AgentConfig,
}

#[derive(Debug, Deserialize)]
struct AgentConfig {
    #[serde(rename = "Datacenter")]
    datacenter: String,
}

/// The services of the catalog with their tags.
type Catalog = BTreeMap<String, Option<Vec<String>>>;

impl ConsulDiscoverer {
    /// Of the server that `config` names.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(super) fn new(config: ConsulSdConfig, dialer: &Arc<Dialer>) -> Result<Self, HttpError> {
        let prefix = config.path_prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        let mut api = match config.server.split_once("://") {
            Some(("unix", socket)) => Api::behind(socket, dialer)?,
            Some((scheme, host)) => Api::new(format!("{scheme}://{host}{prefix}"), &config.http, dialer)?,
            None => Api::new(format!("{}://{}{prefix}", config.scheme, config.server), &config.http, dialer)?,
        };
        if let Some(token) = &config.token {
            api = api.with_header("X-Consul-Token", token.clone());
        }
        let mut common = String::new();
        for (name, value) in
            [("dc", &config.datacenter), ("ns", &config.namespace), ("partition", &config.partition)]
        {
            if !value.is_empty() {
                parameter(&mut common, name, value);
            }
        }
        for (name, value) in &config.node_meta {
            parameter(&mut common, "node-meta", &format!("{name}:{value}"));
        }
        if config.allow_stale {
            parameter(&mut common, "stale", "");
        }
        Ok(Self { client: Arc::new(Client { api, config, common, wanted: Mutex::default() }) })
    }

    async fn follow(&self, groups: &GroupSender) {
        let config = &self.client.config;
        let parts = Parts::new(groups.clone());
        let datacenter = self.client.datacenter(&parts).await;
        let mut tasks = JoinSet::new();
        let watch = |name: &str, tasks: &mut JoinSet<()>| {
            let (client, parts) = (Arc::clone(&self.client), parts.clone());
            let (name, datacenter) = (name.to_owned(), datacenter.clone());
            tasks.spawn(async move { client.follow_service(&name, &datacenter, &parts).await })
        };
        if !config.services.is_empty() && config.tags.is_empty() && config.filter.is_empty() {
            let wanted: BTreeSet<String> = config.services.iter().cloned().collect();
            groups.retain(|source| wanted.contains(source));
            lock(&self.client.wanted).clone_from(&wanted);
            for name in &wanted {
                watch(name, &mut tasks);
            }
            // None ends but by a panic: then all begins anew.
            let _ = tasks.join_next().await;
            return;
        }
        let mut services: HashMap<String, AbortHandle> = HashMap::new();
        let mut timer = pacer(config.refresh_interval);
        let mut index = 0;
        loop {
            timer.tick().await;
            let begun = Instant::now();
            let mut filter = String::new();
            if !config.filter.is_empty() {
                parameter(&mut filter, "filter", &config.filter);
            }
            let catalog: Catalog = match self.client.watch("/v1/catalog/services", &filter, &mut index).await
            {
                Ok(None) => {
                    parts.succeeded(CATALOG, begun.elapsed(), config.refresh_interval);
                    continue;
                }
                Ok(Some(catalog)) => catalog,
                Err(reason) => {
                    parts.failed(CATALOG, &reason, self.client.retry());
                    sleep(self.client.retry()).await;
                    continue;
                }
            };
            let is_wanted = |(name, tags): &(&String, &Option<Vec<String>>)| {
                let has = |tag: &String| tags.iter().flatten().any(|other| other == tag);
                (config.services.is_empty() || config.services.contains(name)) && config.tags.iter().all(has)
            };
            let names = catalog.iter().filter(is_wanted).map(|(name, _)| name.clone());
            {
                let mut wanted = lock(&self.client.wanted);
                *wanted = names.collect();
                groups.retain(|source| wanted.contains(source));
                services.retain(|name, task| {
                    let keep = wanted.contains(name);
                    if !keep {
                        task.abort();
                        parts.gone(name);
                    }
                    keep
                });
                for name in wanted.iter() {
                    services.entry(name.clone()).or_insert_with(|| watch(name, &mut tasks));
                }
            }
            while let Some(end) = tasks.try_join_next() {
                if end.is_err_and(|error| error.is_panic()) {
                    return;
                }
            }
            parts.succeeded(CATALOG, begun.elapsed(), config.refresh_interval);
        }
    }
}

impl Discoverer for ConsulDiscoverer {
    fn what(&self) -> String {
        crate::config::http::shown_url(&self.client.config.server)
    }

    fn run<'a>(&'a self, groups: &'a GroupSender) -> BoxFuture<'a, ()> {
        Box::pin(self.follow(groups))
    }
}

/// A request at most so often. Where one takes longer, the next may follow at once.
fn pacer(pace: Duration) -> tokio::time::Interval {
    let mut timer = interval(pace);
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    timer
}

impl Client {
    /// Pause after a failure.
    fn retry(&self) -> Duration {
        RETRY.min(self.config.refresh_interval)
    }

    /// The datacenter that is asked; that of the server where none is configured.
    async fn datacenter(&self, parts: &Parts) -> String {
        if !self.config.datacenter.is_empty() {
            return self.config.datacenter.clone();
        }
        loop {
            let own = timeout(GRACE, self.api.json::<AgentSelf>("/v1/agent/self")).await;
            match own {
                Ok(Ok(own)) => {
                    parts.gone(CATALOG);
                    return own.config.datacenter;
                }
                Ok(Err(error)) => parts.failed(CATALOG, &error.to_string(), self.retry()),
                Err(_) => parts.failed(CATALOG, &format!("no answer within {GRACE:?}"), self.retry()),
            }
            sleep(self.retry()).await;
        }
    }

    /// What is at `path`, once it is something else than at `index`; none if nothing has changed for a long time.
    async fn watch<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        more: &str,
        index: &mut u64,
    ) -> Result<Option<T>, String> {
        let wait = WAIT.as_millis();
        let path = format!("{path}?index={index}&wait={wait}ms{}{more}", self.common);
        let ask = async {
            let response = self.api.open(&path).await?;
            let told = response.header("x-consul-index").and_then(|text| text.parse::<u64>().ok());
            let body = Api::body(response).await?;
            let value: T = serde_json::from_slice(&body)?;
            Ok::<_, ApiError>((told.unwrap_or(0), value))
        };
        let patience = WAIT + GRACE;
        let (told, value) = match timeout(patience, ask).await {
            Ok(answer) => answer.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("no answer within {patience:?}")),
        };
        if told == *index && told > 0 {
            return Ok(None);
        }
        // A number that falls means that the server was put back to an earlier state.
        *index = if told < *index { 0 } else { told };
        Ok(Some(value))
    }

    async fn follow_service(&self, name: &str, datacenter: &str, parts: &Parts) {
        let mut more = String::new();
        self.config.tags.iter().for_each(|tag| parameter(&mut more, "tag", tag));
        if !self.config.health_filter.is_empty() {
            parameter(&mut more, "filter", &self.config.health_filter);
        }
        let path = format!("/v1/health/service/{}", query_escaped(name).replace('+', "%20"));
        let mut timer = pacer(self.config.refresh_interval);
        let mut index = 0;
        loop {
            timer.tick().await;
            let begun = Instant::now();
            match self.watch::<Vec<Entry>>(&path, &more, &mut index).await {
                Ok(found) => {
                    let wanted = lock(&self.wanted);
                    // It may have gone while it was asked for.
                    if !wanted.contains(name) {
                        return;
                    }
                    if let Some(entries) = found {
                        parts.groups().put(vec![self.group(name, datacenter, &entries)]);
                    }
                    parts.succeeded(name, begun.elapsed(), self.config.refresh_interval);
                }
                Err(reason) => {
                    {
                        let wanted = lock(&self.wanted);
                        if !wanted.contains(name) {
                            return;
                        }
                        parts.failed(name, &format!("service {name:?}: {reason}"), self.retry());
                    }
                    sleep(self.retry()).await;
                }
            }
        }
    }

    fn group(&self, name: &str, datacenter: &str, entries: &[Entry]) -> TargetGroup {
        let mut targets: Vec<Labels> = entries.iter().map(|entry| self.target(entry)).collect();
        targets.sort_unstable();
        targets.dedup();
        let labels = Labels::from_pairs([("__meta_consul_dc", datacenter), ("__meta_consul_service", name)]);
        TargetGroup { source: name.to_owned(), targets, labels }
    }

    fn target(&self, entry: &Entry) -> Labels {
        let Entry { node, service, checks } = entry;
        let separator = &self.config.tag_separator;
        let host = if service.address.is_empty() { &node.address } else { &service.address };
        let mut labels = LabelsBuf::new();
        labels.set("__address__", &host_port(host, service.port));
        let mut set = |name: &str, value: &str| labels.set(&format!("__meta_consul_{name}"), value);
        set("address", &node.address);
        set("node", &node.name);
        set("namespace", &service.namespace);
        set("partition", &service.partition);
        // The separator stands around all, so that expressions need not care where a tag is.
        set("tags", &format!("{separator}{}{separator}", service.tags.join(separator)));
        set("service_address", &service.address);
        set("service_port", &service.port.to_string());
        set("service_id", &service.id);
        set("health", health(checks));
        set_all(&mut labels, "__meta_consul_metadata_", &node.meta);
        set_all(&mut labels, "__meta_consul_service_metadata_", &service.meta);
        set_all(&mut labels, "__meta_consul_tagged_address_", &node.tagged_addresses);
        labels.to_labels()
    }
}

/// The worst of what checks say.
fn health(checks: &[Check]) -> &'static str {
    let mut worst = 0;
    for check in checks {
        let is_maintenance = check.id == "_node_maintenance" || check.id.starts_with("_service_maintenance:");
        let rank = match check.status.as_str() {
            _ if is_maintenance => 3,
            "critical" => 2,
            "warning" => 1,
            "passing" => 0,
            _ => return "",
        };
        worst = worst.max(rank);
    }
    ["passing", "warning", "critical", "maintenance"][worst]
}

#[cfg(test)]
#[path = "consul_tests.rs"]
mod tests;
