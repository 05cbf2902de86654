//! Targets that are instances of EC2.

use std::time::Duration;

use serde::Serialize;

use crate::config::key;
use crate::config::loader::Loader;
use crate::config::raw::{client, time, url};
use crate::config::section::{Section, is_empty};
use crate::config::{AwsIdentity, HttpConfig};

/// What AWS is asked to leave out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ec2Filter {
    /// Such as `tag:team`.
    pub name: String,
    /// Any of them, at least one.
    pub values: Vec<String>,
}

/// Targets that are instances of EC2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ec2SdConfig {
    /// Whom to ask; empty is the endpoint of the region.
    #[serde(serialize_with = "url")]
    pub endpoint: String,
    /// Empty is the one that the process or the instance is in.
    pub region: String,
    /// Who asks.
    #[serde(flatten)]
    pub identity: AwsIdentity,
    /// How often to ask. Default 60s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
    /// Port of the targets. Default 80.
    pub port: u16,
    /// Which instances: those that pass each of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Ec2Filter>,
    /// The client.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
}

impl<'a> Loader<'a> {
    pub(super) fn ec2_sd(&self, raw: &Section<'a>) -> Ec2SdConfig {
        let text = |key: &str| raw.text(key).unwrap_or_default();
        let given = |key: &str| raw.get(key).is_some_and(|item| !is_empty(item.node));
        // AWS looks at the signature, which has the place of all these.
        for key in ["basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file"] {
            if given(key) {
                self.complain(raw, key, "requests to AWS are signed; use access_key, profile or role_arn");
            }
        }
        // Such a section works in Prometheus: who asks is looked for elsewhere.
        for (one, other) in Self::aws_keys_alone(raw) {
            tracing::warn!(section = key::show(&raw.path), "{one} has no effect without {other}");
        }
        if given("endpoint") && self.server_url(raw, "endpoint").contains(['?', '#']) {
            self.complain(raw, "endpoint", "the endpoint must have no query");
        }
        let filter = |raw: &Section<'a>| {
            let values = raw.texts("values").unwrap_or_default();
            let name = raw.text("name").unwrap_or_default();
            if name.is_empty() {
                self.complain(raw, "name", "the name of a filter is missing");
            }
            if values.is_empty() {
                self.complain(raw, "values", "the values of a filter cannot be empty");
            }
            Ec2Filter { name, values: values.into_iter().map(|(value, _)| value).collect() }
        };
        Ec2SdConfig {
            endpoint: text("endpoint"),
            region: text("region"),
            identity: Self::aws_identity(raw),
            refresh_interval: Self::pace(raw, 60),
            port: Self::port_or(raw, 80),
            filters: raw.sections("filters").iter().map(filter).collect(),
            http: self.http(raw),
        }
    }
}
