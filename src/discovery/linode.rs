//! Linode: its machines, with what is known of their addresses. Asked for anew when something has happened.

use std::collections::HashMap;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::api::{Api, ApiError, host_port, list, or_default};
use super::{Refresh, TargetGroup};
use crate::config::{LinodeSdConfig, Secret};
use crate::model::{Labels, LabelsBuf};
use crate::util::{Clock, SystemClock};

/// Where the API is.
pub(super) const URL: &str = "https://api.linode.com/v4";
/// Pages of one list at most.
const MAX_PAGES: u64 = 1000;
/// Everything is asked for when nothing has happened so many times: not all that happens is an event.
const MAX_QUIET: u32 = 10;

/// Asks the API.
#[derive(Debug)]
pub(super) struct Linode {
    api: Api,
    config: Box<LinodeSdConfig>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was found last, and when it was asked for, in milliseconds since the epoch.
    last: Option<(Vec<TargetGroup>, i64)>,
    /// How often nothing had happened since.
    quiet: u32,
    /// Whether events may not be asked for.
    is_blind: bool,
}

#[derive(Debug, Deserialize)]
struct Page<T> {
    data: Vec<T>,
    #[serde(default)]
    pages: u64,
}

#[derive(Debug, Deserialize)]
struct Machine {
    id: i64,
    #[serde(default, deserialize_with = "or_default")]
    label: String,
    #[serde(default, deserialize_with = "or_default")]
    image: String,
    #[serde(default, deserialize_with = "or_default")]
    region: String,
    #[serde(default, deserialize_with = "or_default", rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    status: String,
    #[serde(default, deserialize_with = "or_default")]
    group: String,
    #[serde(default, deserialize_with = "or_default")]
    hypervisor: String,
    #[serde(default, deserialize_with = "or_default")]
    ipv4: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    ipv6: String,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    backups: Backups,
    #[serde(default, deserialize_with = "or_default")]
    specs: Specs,
}

#[derive(Debug, Default, Deserialize)]
struct Backups {
    #[serde(default, deserialize_with = "or_default")]
    enabled: bool,
}

/// Sizes in MiB.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Specs {
    disk: u32,
    memory: u32,
    vcpus: u32,
    gpus: u32,
    transfer: u32,
}

#[derive(Debug, Deserialize)]
struct Known {
    address: String,
    #[serde(default, deserialize_with = "or_default")]
    public: bool,
    #[serde(default, deserialize_with = "or_default")]
    rdns: String,
}

#[derive(Debug, Deserialize)]
struct Routed {
    range: String,
    prefix: u32,
    #[serde(default, deserialize_with = "or_default")]
    route_target: String,
}

/// What is known of addresses, by their texts.
type Addresses = HashMap<String, Vec<Known>>;

impl Linode {
    pub(super) fn new(api: Api, config: Box<LinodeSdConfig>) -> Self {
        Self { api, config, state: Mutex::default() }
    }

    async fn ask(&self, now_ms: i64) -> Result<Vec<TargetGroup>, ApiError> {
        let mut state = self.state.lock().await;
        if let Some((last, at_ms)) = &state.last
            && !state.is_blind
        {
            match self.has_happened(*at_ms).await {
                Ok(false) if state.quiet + 1 < MAX_QUIET => {
                    let last = last.clone();
                    state.quiet += 1;
                    state.last = Some((last.clone(), now_ms));
                    return Ok(last);
                }
                Ok(_) => {}
                // The token is not good for events.
                Err(ApiError::Status { code: 401, .. }) => state.is_blind = true,
                Err(error) => return Err(error),
            }
        }
        let targets = self.targets().await?;
        let groups = vec![TargetGroup { source: "Linode".to_owned(), targets, labels: Labels::default() }];
        state.quiet = 0;
        state.last = Some((groups.clone(), now_ms));
        Ok(groups)
    }

    /// Whether there are events since then.
    async fn has_happened(&self, since_ms: i64) -> Result<bool, ApiError> {
        let since = jiff::Timestamp::from_millisecond(since_ms).unwrap_or_default();
        let filter =
            serde_json::json!({"created": {"+gte": since.strftime("%Y-%m-%dT%H:%M:%S").to_string()}});
        let api = self.api.clone().with_header("X-Filter", Secret::new(filter.to_string()));
        let events: Page<serde::de::IgnoredAny> = api.json("/account/events?page=1&page_size=25").await?;
        Ok(!events.data.is_empty())
    }

    async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ApiError> {
        let mut api = self.api.clone();
        if !self.config.region.is_empty() {
            let filter = serde_json::json!({"region": self.config.region}).to_string();
            api = api.with_header("X-Filter", Secret::new(filter));
        }
        let mut out = Vec::new();
        for number in 1..=MAX_PAGES {
            let page: Page<T> = api.json(&format!("{path}?page={number}&page_size=500")).await?;
            out.extend(page.data);
            if number >= page.pages {
                return Ok(out);
            }
        }
        Err(ApiError::Pages(MAX_PAGES))
    }

    async fn targets(&self) -> Result<Vec<Labels>, ApiError> {
        let machines: Vec<Machine> = self.all("/linode/instances").await?;
        let mut addresses = Addresses::new();
        for address in self.all::<Known>("/networking/ips").await? {
            addresses.entry(address.address.clone()).or_default().push(address);
        }
        let mut ranges: HashMap<String, Vec<Routed>> = HashMap::new();
        for range in self.all::<Routed>("/networking/ipv6/ranges").await? {
            ranges.entry(range.route_target.clone()).or_default().push(range);
        }
        let with_address = machines.iter().filter(|machine| !machine.ipv4.is_empty());
        Ok(with_address.map(|machine| self.target(machine, &addresses, &ranges)).collect())
    }

    fn target(
        &self,
        machine: &Machine,
        addresses: &Addresses,
        ranges: &HashMap<String, Vec<Routed>>,
    ) -> Labels {
        let of = |text: &str| addresses.get(text).into_iter().flatten();
        let (mut public, mut private, mut extra) = (None, None, Vec::new());
        for address in machine.ipv4.iter().flat_map(|text| of(text)) {
            let first = if address.public { &mut public } else { &mut private };
            if first.is_none() {
                *first = Some(address);
            } else {
                extra.push(address.address.clone());
            }
        }
        let slaac = machine.ipv6.split('/').next().unwrap_or_default();
        let public6 = of(slaac).last();
        let routed = ranges.get(slaac).into_iter().flatten().filter(|_| !slaac.is_empty());
        let routed: Vec<String> = routed.map(|one| format!("{}/{}", one.range, one.prefix)).collect();
        let text = |address: Option<&Known>| address.map(|a| a.address.clone()).unwrap_or_default();
        let name = |address: Option<&Known>| {
            address.map(|a| a.rdns.clone()).filter(|name| name != "null").unwrap_or_default()
        };
        let separator = &self.config.tag_separator;
        let mut labels = LabelsBuf::new();
        labels.set("__address__", &host_port(&text(public), self.config.port));
        let mut set = |name: &str, value: &str| labels.set(&format!("__meta_linode_{name}"), value);
        set("backups", if machine.backups.enabled { "enabled" } else { "disabled" });
        set("extra_ips", &list(&extra, separator));
        set("gpus", &machine.specs.gpus.to_string());
        set("group", &machine.group);
        set("hypervisor", &machine.hypervisor);
        set("image", &machine.image);
        set("instance_id", &machine.id.to_string());
        set("instance_label", &machine.label);
        set("ipv6_ranges", &list(&routed, separator));
        set("private_ipv4", &text(private));
        set("private_ipv4_rdns", &name(private));
        set("public_ipv4", &text(public));
        set("public_ipv4_rdns", &name(public));
        set("public_ipv6", &text(public6));
        set("public_ipv6_rdns", &name(public6));
        set("region", &machine.region);
        let bytes = |mebibytes: u32| (u64::from(mebibytes) << 20).to_string();
        set("specs_disk_bytes", &bytes(machine.specs.disk));
        set("specs_memory_bytes", &bytes(machine.specs.memory));
        set("specs_transfer_bytes", &bytes(machine.specs.transfer));
        set("specs_vcpus", &machine.specs.vcpus.to_string());
        set("status", &machine.status);
        set("tags", &list(&machine.tags, separator));
        set("type", &machine.kind);
        labels.to_labels()
    }
}

impl Refresh for Linode {
    fn what(&self) -> String {
        self.api.base().to_owned()
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Vec<TargetGroup>, String>> {
        Box::pin(async { self.ask(SystemClock.now_ms()).await.map_err(|error| error.to_string()) })
    }
}

#[cfg(test)]
#[path = "linode_tests.rs"]
mod tests;
