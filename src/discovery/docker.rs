//! A Docker Engine: its containers are asked for whenever it tells of a change, and now and then.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::api::{Api, ApiError, host_port, or_default, set_all};
use super::{Discoverer, GroupSender, TargetGroup};
use crate::config::http::shown_url;
use crate::config::{DockerFilter, DockerSdConfig, HttpConfig};
use crate::model::{Labels, LabelsBuf};
use crate::net::http_url::query_escaped;
use crate::net::{Dialer, HttpError, HttpResponse};
use crate::util::lock::lock;

/// The newest version of the API that is known here.
const KNOWN_VERSION: (u32, u32) = (1, 51);
/// The longest a list may take, whatever the pace.
const MAX_PATIENCE: Duration = Duration::from_secs(60);
/// The first list waits for the engine to begin to tell of changes, but no longer.
const MAX_WAIT_FOR_EVENTS: Duration = Duration::from_secs(5);
/// Events come in bursts: so long without one means that it is over.
const QUIET: Duration = Duration::from_millis(100);
/// A burst that goes on for longer is not waited for.
const MAX_BURST: Duration = Duration::from_secs(1);
/// Lists are not asked for more often than this, nor for longer than a quarter of the time.
const MIN_DISTANCE: Duration = Duration::from_millis(500);
/// Pause before an engine that is gone is asked again, at first; then it doubles.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// An engine to ask.
#[derive(Debug)]
pub(super) struct Engine {
    api: Api,
    filters: String,
    host: String,
    /// What paths begin with, once it is known.
    version: Mutex<Option<String>>,
}

/// Follows what an engine has: asks for all of it, waits to be told of a change, and asks again.
pub(super) struct Following<S> {
    pub(super) source: S,
    pub(super) engine: Engine,
    /// How often to ask even if nothing is told.
    pub(super) pace: Duration,
}

/// What is asked for.
pub(super) trait EngineSource: Send + Sync {
    /// Events after which to ask again, as the filter of the engine wants it.
    const EVENTS: &'static str;

    /// All targets there are.
    fn targets<'a>(&'a self, engine: &'a Engine) -> BoxFuture<'a, Result<TargetGroup, ApiError>>;
}

impl Engine {
    /// The engine that listens at `host`.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(super) fn new(
        host: &str,
        http: &HttpConfig,
        filters: &[DockerFilter],
        dialer: &Arc<Dialer>,
    ) -> Result<Self, HttpError> {
        let api = match host.split_once("://") {
            Some(("unix", socket)) => Api::behind(socket, dialer)?,
            Some(("tcp", rest)) => {
                Api::new(format!("http://{}", rest.trim_end_matches('/')), &HttpConfig::default(), dialer)?
            }
            _ => Api::new(host.trim_end_matches('/').to_owned(), http, dialer)?,
        };
        let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for filter in filters {
            by_name.entry(&filter.name).or_default().extend(filter.values.iter().map(String::as_str));
        }
        // Names and texts can always be written.
        let filters = serde_json::to_string(&by_name).unwrap_or_default();
        Ok(Self { api, filters, host: shown_url(host), version: Mutex::default() })
    }

    /// What paths begin with: the version that both know.
    async fn version(&self) -> Result<String, ApiError> {
        if let Some(known) = &*lock(&self.version) {
            return Ok(known.clone());
        }
        let ping = self.api.open("/_ping").await?;
        let told = ping.header("api-version").unwrap_or_default();
        ping.discard().await;
        let parsed = told.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        // One that does not say is asked without.
        let version = parsed.map_or_else(String::new, |told: (u32, u32)| {
            let (major, minor) = told.min(KNOWN_VERSION);
            format!("/v{major}.{minor}")
        });
        *lock(&self.version) = Some(version.clone());
        Ok(version)
    }

    /// Another engine may be there the next time.
    fn forget_version(&self) {
        *lock(&self.version) = None;
    }

    /// A list of the engine; `filtered` is one that the filters are about.
    pub(super) async fn list<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        filtered: bool,
    ) -> Result<Vec<T>, ApiError> {
        let version = self.version().await?;
        let filters =
            if filtered { format!("?filters={}", query_escaped(&self.filters)) } else { String::new() };
        let list: Option<Vec<T>> = self.api.json(&format!("{version}/{what}{filters}")).await?;
        Ok(list.unwrap_or_default())
    }

    /// The labels of networks by their ids, each behind `prefix`.
    pub(super) async fn networks(&self, prefix: &str) -> Result<HashMap<String, Labels>, ApiError> {
        let networks: Vec<Network> = self.list("networks", false).await?;
        let labels = |network: Network| {
            let mut labels = LabelsBuf::new();
            let mut set = |name: &str, value: &str| labels.set(&format!("{prefix}network_{name}"), value);
            set("id", &network.id);
            set("name", &network.name);
            set("scope", &network.scope);
            set("internal", &network.internal.to_string());
            set("ingress", &network.ingress.to_string());
            set_all(&mut labels, &format!("{prefix}network_label_"), &network.labels);
            (network.id, labels.to_labels())
        };
        Ok(networks.into_iter().map(labels).collect())
    }

    /// Where the engine tells of changes.
    async fn events(&self, filter: &str) -> Result<HttpResponse, ApiError> {
        let version = self.version().await?;
        self.api.open(&format!("{version}/events?filters={}", query_escaped(filter))).await
    }
}

impl<S: EngineSource> Following<S> {
    async fn follow(&self, groups: &GroupSender) {
        let patience = self.pace.min(MAX_PATIENCE);
        let mut events: Option<HttpResponse> = None;
        let (mut retry, mut earliest) = (FIRST_RETRY, Instant::now());
        loop {
            tokio::time::sleep_until(earliest).await;
            let begun = Instant::now();
            if events.is_none() {
                // Before the list: then nothing that comes after it is missed. Engines behind a filter tell nothing; they
                // are asked at their pace.
                let events_patience = patience.min(MAX_WAIT_FOR_EVENTS);
                events =
                    timeout(events_patience, self.engine.events(S::EVENTS)).await.ok().and_then(Result::ok);
            }
            let found = timeout(patience, self.source.targets(&self.engine)).await;
            let reason = match found {
                Ok(Ok(group)) => {
                    groups.replace(vec![group]);
                    groups.succeeded(Some(begun.elapsed()), Some(self.pace));
                    retry = FIRST_RETRY;
                    None
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {patience:?}")),
            };
            if let Some(reason) = reason {
                let pause = retry.min(self.pace);
                groups.failed(&reason, Some(pause));
                self.engine.forget_version();
                retry = (retry * 2).min(self.pace.max(FIRST_RETRY));
                events = None;
                sleep(pause).await;
                continue;
            }
            earliest = begun + MIN_DISTANCE.max(begun.elapsed() * 4).min(self.pace);
            let due = begun + self.pace;
            match &mut events {
                None => tokio::time::sleep_until(due).await,
                Some(stream) => match timeout_at(due, stream.next_piece()).await {
                    Ok(Ok(Some(_))) => {
                        let end = Instant::now() + MAX_BURST;
                        while Instant::now() < end
                            && timeout(QUIET, stream.next_piece())
                                .await
                                .is_ok_and(|piece| matches!(piece, Ok(Some(_))))
                        {}
                    }
                    Ok(Ok(None) | Err(_)) => {
                        events = None;
                        sleep(FIRST_RETRY.min(self.pace)).await;
                    }
                    Err(_) => {}
                },
            }
        }
    }
}

impl<S: EngineSource> Discoverer for Following<S> {
    fn what(&self) -> String {
        self.engine.host.clone()
    }

    fn run<'a>(&'a self, groups: &'a GroupSender) -> BoxFuture<'a, ()> {
        Box::pin(self.follow(groups))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    ingress: bool,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    #[serde(default)]
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    names: Vec<String>,
    #[serde(default)]
    image: String,
    #[serde(default, rename = "ImageID")]
    image_id: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    host_config: HostConfig,
    #[serde(default, deserialize_with = "or_default")]
    network_settings: NetworkSettings,
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<Port>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    network_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default, deserialize_with = "or_default")]
    networks: BTreeMap<String, Option<Endpoint>>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    #[serde(default, rename = "NetworkID")]
    network_id: String,
    #[serde(default, rename = "IPAddress")]
    ip_address: String,
    #[serde(default, rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
}

impl Endpoint {
    fn ip(&self) -> &str {
        if self.ip_address.is_empty() { &self.global_ipv6_address } else { &self.ip_address }
    }
}

#[derive(Debug, Deserialize)]
struct Port {
    #[serde(default, rename = "IP")]
    ip: String,
    #[serde(default, rename = "PrivatePort")]
    private: u16,
    #[serde(default, rename = "PublicPort")]
    public: u16,
    #[serde(default, rename = "Type")]
    kind: String,
}

/// The containers of an engine.
#[derive(Debug)]
pub(super) struct Containers(pub(super) DockerSdConfig);

impl EngineSource for Containers {
    const EVENTS: &'static str = r#"{"type":["container","network"],"event":["start","die","pause","unpause","rename","update","destroy","connect","disconnect"]}"#;

    fn targets<'a>(&'a self, engine: &'a Engine) -> BoxFuture<'a, Result<TargetGroup, ApiError>> {
        Box::pin(async {
            let containers: Vec<Container> = engine.list("containers/json", true).await?;
            let networks = engine.networks("__meta_docker_").await?;
            Ok(targets(&self.0, &containers, &networks))
        })
    }
}

fn targets(config: &DockerSdConfig, all: &[Container], networks: &HashMap<String, Labels>) -> TargetGroup {
    let by_id: HashMap<&str, &Container> = all.iter().map(|one| (one.id.as_str(), one)).collect();
    let mut targets = Vec::new();
    for container in all {
        let Some(name) = container.names.first() else { continue };
        let mut common = LabelsBuf::new();
        let mut set = |name: &str, value: &str| common.set(&format!("__meta_docker_{name}"), value);
        set("container_id", &container.id);
        set("container_name", name);
        set("container_network_mode", &container.host_config.network_mode);
        set("container_image", &container.image);
        set("container_image_id", &container.image_id);
        set_all(&mut common, "__meta_docker_container_label_", &container.labels);
        let endpoints = endpoints(container, &by_id).values().flatten();
        // They are in the order of their names.
        let count = if config.match_first_network { 1 } else { usize::MAX };
        for endpoint in endpoints.take(count) {
            let ip = endpoint.ip();
            let mut of_network = common.clone();
            of_network.set("__meta_docker_network_ip", ip);
            for (name, value) in networks.get(&endpoint.network_id).iter().flat_map(|labels| labels.iter()) {
                of_network.set(name, value);
            }
            let mut ports = container.ports.iter().filter(|port| port.kind == "tcp").peekable();
            if ports.peek().is_none() {
                let is_host = container.host_config.network_mode == "host";
                let address =
                    if is_host { config.host_networking_host.clone() } else { host_port(ip, config.port) };
                of_network.set("__address__", &address);
                targets.push(of_network.to_labels());
                continue;
            }
            for port in ports {
                let mut labels = of_network.clone();
                labels.set("__meta_docker_port_private", &port.private.to_string());
                if port.public > 0 {
                    labels.set("__meta_docker_port_public", &port.public.to_string());
                    labels.set("__meta_docker_port_public_ip", &port.ip);
                }
                labels.set("__address__", &host_port(ip, port.private));
                targets.push(labels.to_labels());
            }
        }
    }
    // The engine lists the latest first; the order must not look like a change.
    targets.sort_unstable();
    targets.dedup();
    TargetGroup { source: "Docker".to_owned(), targets, labels: Labels::empty() }
}

/// The networks of a container, or of the one whose networks it shares.
fn endpoints<'a>(
    container: &'a Container,
    by_id: &HashMap<&str, &'a Container>,
) -> &'a BTreeMap<String, Option<Endpoint>> {
    let mut current = container;
    // More steps than there are containers would be a circle.
    for _ in 0..by_id.len() {
        if !current.network_settings.networks.is_empty() {
            break;
        }
        let shared = current.host_config.network_mode.strip_prefix("container:");
        let Some(next) = shared.and_then(|id| by_id.get(id)) else { break };
        current = next;
    }
    &current.network_settings.networks
}

#[cfg(test)]
#[path = "docker_tests.rs"]
mod tests;
