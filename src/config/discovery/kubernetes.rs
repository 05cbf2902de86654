//! Targets in a Kubernetes cluster.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::selector::{check_field_selector, check_label_selector};
use crate::config::HttpConfig;
use crate::config::loader::Loader;
use crate::config::raw::{client, url};
use crate::config::section::{Section, is_empty};

/// What the targets of a cluster are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KubernetesRole {
    /// The ports of its containers.
    Pod,
    /// The ports of its services.
    Service,
    /// The addresses behind services.
    Endpoints,
    /// The same, from slices of them.
    EndpointSlice,
    /// Its machines.
    Node,
    /// The paths of its ingresses.
    Ingress,
}

impl KubernetesRole {
    /// All roles.
    pub const ALL: [Self; 6] =
        [Self::Pod, Self::Service, Self::Endpoints, Self::EndpointSlice, Self::Node, Self::Ingress];

    /// The name it has in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Service => "service",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice => "endpointslice",
            Self::Node => "node",
            Self::Ingress => "ingress",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// The roles whose objects selectors may choose from.
    fn selectable(self) -> &'static [Self] {
        match self {
            Self::Pod => &[Self::Pod, Self::Node],
            Self::Service => &[Self::Service],
            Self::Endpoints => &[Self::Pod, Self::Service, Self::Endpoints],
            Self::EndpointSlice => &[Self::Pod, Self::Service, Self::EndpointSlice],
            Self::Node => &[Self::Node],
            Self::Ingress => &[Self::Ingress],
        }
    }
}

impl Serialize for KubernetesRole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// In which namespaces to look; all of them where nothing is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct KubernetesNamespaces {
    /// That of the pod the server runs in. Default false.
    pub own_namespace: bool,
    /// Those with these names.
    pub names: Vec<String>,
}

/// Which objects of a role are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KubernetesSelector {
    /// Whose objects.
    pub role: KubernetesRole,
    /// What their labels must be, in the language of label selectors.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What their fields must be, in the language of field selectors.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// Labels of other objects that targets get. All are off by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct KubernetesMetadata {
    /// Of the node they run on.
    pub node: bool,
    /// Of their namespace.
    pub namespace: bool,
    /// The name of the deployment of their pod.
    pub deployment: bool,
    /// The name of the job of their pod.
    pub job: bool,
    /// The name of the cron job of their pod.
    pub cronjob: bool,
}

/// Targets found in a Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KubernetesSdConfig {
    /// URL of the API server. Empty where `kubeconfig_file` names it, or where the server runs in the cluster.
    #[serde(serialize_with = "url", skip_serializing_if = "String::is_empty")]
    pub api_server: String,
    /// What the targets are.
    pub role: KubernetesRole,
    /// A file that says where the API server is and who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig_file: Option<PathBuf>,
    /// The client; only with `api_server`.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// In which namespaces to look.
    #[serde(skip_serializing_if = "is_default")]
    pub namespaces: KubernetesNamespaces,
    /// Which objects are looked at; at most one for each role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub selectors: Vec<KubernetesSelector>,
    /// Which labels of other objects targets get.
    #[serde(skip_serializing_if = "is_default")]
    pub attach_metadata: KubernetesMetadata,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Keys of the settings of a client, in the order in which they are looked for.
const CLIENT_KEYS: [&str; 13] = [
    "basic_auth",
    "authorization",
    "oauth2",
    "bearer_token",
    "bearer_token_file",
    "tls_config",
    "follow_redirects",
    "enable_http2",
    "http_headers",
    "proxy_url",
    "no_proxy",
    "proxy_from_environment",
    "proxy_connect_header",
];

impl<'a> Loader<'a> {
    pub(super) fn kubernetes_sd(&self, raw: &Section<'a>) -> KubernetesSdConfig {
        let role = self.kubernetes_role(raw);
        let given = |key: &str| raw.get(key).is_some_and(|item| !is_empty(item.node));
        let api_server = if given("api_server") { self.api_server(raw) } else { String::new() };
        let kubeconfig = raw.text("kubeconfig_file").filter(|text| !text.is_empty());
        if kubeconfig.is_some() && given("api_server") {
            self.complain(raw, "kubeconfig_file", "cannot be used together with api_server");
        }
        let http = self.http(raw);
        if http != HttpConfig::default() && (kubeconfig.is_some() || !given("api_server")) {
            let key = CLIENT_KEYS.into_iter().find(|key| raw.get(key).is_some()).unwrap_or("api_server");
            let reason = if kubeconfig.is_some() {
                "client settings cannot be used together with kubeconfig_file"
            } else {
                "client settings can be used only with an explicit api_server"
            };
            self.complain(raw, key, reason);
        }
        let namespaces = raw.section("namespaces").map(|raw| {
            let names = raw.texts("names").unwrap_or_default();
            KubernetesNamespaces {
                own_namespace: raw.boolean("own_namespace", false),
                names: names.into_iter().map(|(name, _)| name).collect(),
            }
        });
        let namespaces = namespaces.unwrap_or_default();
        if namespaces.own_namespace {
            let other = [("api_server", given("api_server")), ("kubeconfig_file", kubeconfig.is_some())];
            for (key, _) in other.into_iter().filter(|(_, given)| *given) {
                self.complain(raw, key, "cannot be used together with namespaces.own_namespace");
            }
        }
        let attach = raw.section("attach_metadata").map(|raw| KubernetesMetadata {
            node: raw.boolean("node", false),
            namespace: raw.boolean("namespace", false),
            deployment: raw.boolean("deployment", false),
            job: raw.boolean("job", false),
            cronjob: raw.boolean("cronjob", false),
        });
        KubernetesSdConfig {
            api_server,
            role: role.unwrap_or(KubernetesRole::Pod),
            kubeconfig_file: kubeconfig.map(|text| self.file(&text)),
            http,
            namespaces,
            selectors: self.kubernetes_selectors(raw, role),
            attach_metadata: attach.unwrap_or_default(),
        }
    }

    fn kubernetes_role(&self, raw: &Section<'a>) -> Option<KubernetesRole> {
        let text = raw.text("role").unwrap_or_default();
        let role = KubernetesRole::from_name(&text);
        if role.is_none() {
            let what =
                if text.is_empty() { "role missing".to_owned() } else { format!("unknown role {text:?}") };
            let reason = format!("{what}: pod, service, endpoints, endpointslice, node or ingress");
            self.complain(raw, "role", reason);
        }
        role
    }

    /// The URL of the API server; `http://` may be left out.
    fn api_server(&self, raw: &Section<'a>) -> String {
        let text = raw.text("api_server").unwrap_or_default();
        let text = if text.contains("://") { text } else { format!("http://{text}") };
        self.checked_url(raw, "api_server", text)
    }

    /// The selectors, checked against the role whose they are, if that is known.
    fn kubernetes_selectors(
        &self,
        raw: &Section<'a>,
        role: Option<KubernetesRole>,
    ) -> Vec<KubernetesSelector> {
        let mut selectors: Vec<KubernetesSelector> = Vec::new();
        for raw in raw.sections("selectors") {
            let text = |key: &str| raw.text(key).unwrap_or_default();
            let (name, label, field) = (text("role"), text("label"), text("field"));
            if let Err(reason) = check_label_selector(&label) {
                self.complain(&raw, "label", reason);
            }
            if let Err(reason) = check_field_selector(&field) {
                self.complain(&raw, "field", reason);
            }
            let Some(role) = role else { continue };
            let of = KubernetesRole::from_name(&name).filter(|of| role.selectable().contains(of));
            match of {
                None => {
                    let allowed: Vec<_> = role.selectable().iter().map(|role| role.name()).collect();
                    let allowed = allowed.join(", ");
                    let role = role.name();
                    let reason = format!(
                        "the role {role} takes only selectors with the roles {allowed}, not {name:?}"
                    );
                    self.complain(&raw, "role", reason);
                }
                Some(of) if selectors.iter().any(|known| known.role == of) => {
                    self.complain(&raw, "role", format!("there are two selectors with the role {name}"));
                }
                Some(of) => selectors.push(KubernetesSelector { role: of, label, field }),
            }
        }
        selectors
    }
}
