//! The `alerting` section: who is told of alerts, and how.

use std::sync::Arc;
use std::time::Duration;

use super::loader::Loader;
use super::section::Section;
use super::{DiscoveryConfig, HttpConfig, Scheme, SigV4Config};
use crate::model::name::NameScheme;
use crate::relabel::Rule;

/// The `alerting` section.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlertingConfig {
    /// Rules for every alert, before it goes to anybody.
    pub alert_relabel_configs: Vec<Rule>,
    /// Groups of Alertmanagers, in file order.
    pub alertmanagers: Vec<Arc<AlertmanagerConfig>>,
}

/// Alertmanagers that are found and spoken to in one way.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertmanagerConfig {
    /// Default http.
    pub scheme: Scheme,
    /// What goes before `/api/v2/alerts`. Default none.
    pub path_prefix: String,
    /// Time a request may take; never zero. Default 10s.
    pub timeout: Duration,
    /// The client.
    pub http: HttpConfig,
    /// How requests are signed for AWS; none: they are not. Only where the client does not say who it is.
    pub sigv4: Option<SigV4Config>,
    /// Where they come from.
    pub discovery: DiscoveryConfig,
    /// Rules for Alertmanagers.
    pub relabel_configs: Vec<Rule>,
    /// Rules for alerts that go to these Alertmanagers, after those for every alert.
    pub alert_relabel_configs: Vec<Rule>,
}

impl Default for AlertmanagerConfig {
    fn default() -> Self {
        Self {
            scheme: Scheme::Http,
            path_prefix: String::new(),
            timeout: Duration::from_secs(10),
            http: HttpConfig::default(),
            sigv4: None,
            discovery: DiscoveryConfig::default(),
            relabel_configs: Vec::new(),
            alert_relabel_configs: Vec::new(),
        }
    }
}

impl<'a> Loader<'a> {
    pub(super) fn alerting(&self, raw: &Section<'a>, names: NameScheme) -> AlertingConfig {
        let managers = raw.sections("alertmanagers");
        AlertingConfig {
            alert_relabel_configs: self.rules(raw, "alert_relabel_configs", names),
            alertmanagers: managers.iter().map(|raw| Arc::new(self.alertmanager(raw, names))).collect(),
        }
    }

    fn alertmanager(&self, raw: &Section<'a>, names: NameScheme) -> AlertmanagerConfig {
        let complain = |key: &str, reason: String| {
            raw.get(key).inspect(|item| self.notes.value(item.line, &item.path, reason));
        };
        let timeout = raw.duration("timeout");
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            complain("timeout", "must be longer than nothing".to_owned());
        }
        if let Some(version) = raw.text("api_version").filter(|v| !matches!(v.as_str(), "" | "v2")) {
            complain("api_version", format!("must be v2, not {version:?}"));
        }
        let relabel_configs = self.rules(raw, "relabel_configs", names);
        let http = self.http(raw);
        let sigv4 = raw.given("sigv4").map(|own| self.sigv4(&own));
        if sigv4.is_some() && http.auth.is_some() {
            let reason = "at most one of basic_auth, authorization, oauth2 and sigv4 must be configured";
            self.complain(raw, "sigv4", reason);
        }
        AlertmanagerConfig {
            scheme: self.scheme(raw),
            path_prefix: raw.text("path_prefix").unwrap_or_default(),
            timeout: timeout.unwrap_or(AlertmanagerConfig::default().timeout),
            http,
            sigv4,
            discovery: self.discovery(raw, relabel_configs.is_empty()),
            relabel_configs,
            alert_relabel_configs: self.rules(raw, "alert_relabel_configs", names),
        }
    }
}
