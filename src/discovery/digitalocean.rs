//! DigitalOcean: droplets, and clusters of managed databases.

use std::collections::HashSet;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::api::{Api, ApiError, host_port, list, or_default};
use super::{Refresh, TargetGroup};
use crate::config::{DigitalOceanRole, DigitalOceanSdConfig};
use crate::model::{Labels, LabelsBuf};

/// Where the API is.
pub(super) const URL: &str = "https://api.digitalocean.com";
/// Pages of one list at most.
const MAX_PAGES: u64 = 1000;

/// Asks the API.
#[derive(Debug)]
pub(super) struct DigitalOcean {
    pub(super) api: Api,
    pub(super) config: Box<DigitalOceanSdConfig>,
}

#[derive(Debug, Deserialize)]
struct Droplets {
    #[serde(default, deserialize_with = "or_default")]
    droplets: Vec<Droplet>,
    #[serde(default, deserialize_with = "or_default")]
    links: Links,
}

#[derive(Debug, Deserialize)]
struct Databases {
    #[serde(default, deserialize_with = "or_default")]
    databases: Vec<Database>,
}

#[derive(Debug, Default, Deserialize)]
struct Links {
    #[serde(default, deserialize_with = "or_default")]
    pages: Pages,
}

#[derive(Debug, Default, Deserialize)]
struct Pages {
    #[serde(default, deserialize_with = "or_default")]
    last: String,
}

#[derive(Debug, Deserialize)]
struct Droplet {
    id: u64,
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    status: String,
    #[serde(default, deserialize_with = "or_default")]
    size_slug: String,
    #[serde(default, deserialize_with = "or_default")]
    vpc_uuid: String,
    #[serde(default, deserialize_with = "or_default")]
    features: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    image: Named,
    #[serde(default, deserialize_with = "or_default")]
    region: Named,
    #[serde(default, deserialize_with = "or_default")]
    networks: Networks,
}

#[derive(Debug, Default, Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    slug: String,
}

#[derive(Debug, Default, Deserialize)]
struct Networks {
    #[serde(default, deserialize_with = "or_default")]
    v4: Vec<Address>,
    #[serde(default, deserialize_with = "or_default")]
    v6: Vec<Address>,
}

#[derive(Debug, Deserialize)]
struct Address {
    #[serde(default)]
    ip_address: String,
    #[serde(default, rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Database {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    engine: String,
    #[serde(default, deserialize_with = "or_default")]
    version: String,
    #[serde(default, deserialize_with = "or_default")]
    status: String,
    #[serde(default, deserialize_with = "or_default")]
    region: String,
    #[serde(default, deserialize_with = "or_default")]
    size: String,
    #[serde(default)]
    num_nodes: u64,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<String>,
    connection: Option<DatabaseHost>,
    private_connection: Option<DatabaseHost>,
}

#[derive(Debug, Deserialize)]
struct DatabaseHost {
    #[serde(default)]
    host: String,
}

impl Refresh for DigitalOcean {
    fn what(&self) -> String {
        self.api.base().to_owned()
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Vec<TargetGroup>, String>> {
        Box::pin(async {
            let (source, found) = match self.config.role {
                DigitalOceanRole::Droplets => ("DigitalOcean", self.droplets().await),
                DigitalOceanRole::Databases => ("DigitalOcean Databases", self.databases().await),
            };
            let targets = found.map_err(|error| error.to_string())?;
            Ok(vec![TargetGroup { source: source.to_owned(), targets, labels: Labels::default() }])
        })
    }
}

impl DigitalOcean {
    async fn droplets(&self) -> Result<Vec<Labels>, ApiError> {
        let mut targets = Vec::new();
        for page in 1..=MAX_PAGES {
            let found: Droplets = self.api.json(&format!("/v2/droplets?page={page}&per_page=200")).await?;
            targets.extend(found.droplets.iter().filter_map(|droplet| self.droplet(droplet)));
            if found.links.pages.last.is_empty() {
                return Ok(targets);
            }
        }
        Err(ApiError::Pages(MAX_PAGES))
    }

    /// None for one without an address.
    fn droplet(&self, droplet: &Droplet) -> Option<Labels> {
        let Networks { v4, v6 } = &droplet.networks;
        if v4.is_empty() {
            return None;
        }
        let first = |addresses: &'_ [Address], kind: &str| {
            let mut of_kind = addresses.iter().filter(|address| address.kind == kind);
            of_kind.next().map(|address| address.ip_address.clone()).unwrap_or_default()
        };
        let public = first(v4, "public");
        let mut labels = LabelsBuf::new();
        labels.set("__address__", &host_port(&public, self.config.port));
        let mut set = |name: &str, value: &str| labels.set(&format!("__meta_digitalocean_{name}"), value);
        set("droplet_id", &droplet.id.to_string());
        set("droplet_name", &droplet.name);
        set("features", &list(&droplet.features, ","));
        set("image", &droplet.image.slug);
        set("image_name", &droplet.image.name);
        set("private_ipv4", &first(v4, "private"));
        set("public_ipv4", &public);
        set("public_ipv6", &first(v6, "public"));
        set("region", &droplet.region.slug);
        set("size", &droplet.size_slug);
        set("status", &droplet.status);
        set("tags", &list(&droplet.tags, ","));
        set("vpc", &droplet.vpc_uuid);
        Some(labels.to_labels())
    }

    /// The API does not say how many pages there are: the last one is empty, or brings nothing new.
    async fn databases(&self) -> Result<Vec<Labels>, ApiError> {
        let (mut targets, mut seen) = (Vec::new(), HashSet::new());
        for page in 1..=MAX_PAGES {
            let found: Databases = self.api.json(&format!("/v2/databases?page={page}&per_page=100")).await?;
            let before = seen.len();
            for database in found.databases {
                if !seen.contains(&database.id) {
                    targets.push(self.database(&database));
                    seen.insert(database.id);
                }
            }
            if seen.len() == before {
                return Ok(targets);
            }
        }
        Err(ApiError::Pages(MAX_PAGES))
    }

    fn database(&self, database: &Database) -> Labels {
        let host = |connection: &Option<DatabaseHost>| {
            connection.as_ref().map(|connection| connection.host.clone()).unwrap_or_default()
        };
        let (private, public) = (host(&database.private_connection), host(&database.connection));
        let mut labels = LabelsBuf::new();
        let address = if private.is_empty() { &public } else { &private };
        if !address.is_empty() {
            labels.set("__address__", &host_port(address, self.config.port));
        }
        let mut set = |name: &str, value: &str| labels.set(&format!("__meta_digitalocean_db_{name}"), value);
        set("engine", &database.engine);
        set("host", &public);
        set("id", &database.id);
        set("name", &database.name);
        set("num_nodes", &database.num_nodes.to_string());
        set("private_host", &private);
        set("region", &database.region);
        set("size", &database.size);
        set("status", &database.status);
        set("version", &database.version);
        for tag in &database.tags {
            // As it is written, unlike the names of other free labels.
            set(&format!("tag_{tag}"), "true");
        }
        labels.to_labels()
    }
}

#[cfg(test)]
#[path = "digitalocean_tests.rs"]
mod tests;
