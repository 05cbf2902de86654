//! Configuration: YAML text in, one validated, compiled, immutable [`Config`] out.
//!
//! Read `global`, `scrape`, `formats`, `http`, `discovery`, `alerting`, `notifications`, `remote`, `otlp` and `traces` (the typed sections), then `load` (text to typed: environment,
//! keys, decoding, validation) with `document` (text to its top), `loader` and `aws` (what several sections are made of), `key`, `keys`, `client_keys`, `mechanism_keys`, `relabel_keys` and `remote_keys` (which keys exist and which of them are not supported), `tree` (YAML as a tree with
//! lines), `section` (values of it, read key by key), `raw` (the file as it is printed). `kubeconfig` reads files of another kind. Nothing here opens a socket or
//! keeps a file open.

pub mod alerting;
mod aws;
mod client_keys;
pub mod discovery;
mod document;
mod environment;
pub mod error;
mod files;
pub mod formats;
mod formats_loader;
pub mod global;
pub mod http;
mod http_load;
mod key;
mod keys;
pub mod kubeconfig;
pub mod load;
mod loader;
mod mechanism_keys;
pub mod notifications;
mod notifications_loader;
pub mod otlp;
mod printed;
mod raw;
mod relabel_keys;
pub mod remote;
mod remote_keys;
pub mod rule_file;
pub mod scrape;
mod section;
pub mod storage;
pub mod target_file;
pub mod traces;
mod tree;
pub mod unit_test_file;
pub mod web_config;

use std::sync::Arc;
use std::time::Duration;

pub use alerting::{AlertingConfig, AlertmanagerConfig};
pub use aws::{AwsIdentity, SigV4Config};
pub use discovery::{
    ConsulSdConfig, DigitalOceanRole, DigitalOceanSdConfig, DiscoveryConfig, DnsRecordType, DnsSdConfig,
    DockerFilter, DockerSdConfig, DockerSwarmRole, DockerSwarmSdConfig, Ec2Filter, Ec2SdConfig,
    EurekaSdConfig, FileSdConfig, GceSdConfig, HetznerRole, HetznerSdConfig, HttpSdConfig,
    KubernetesMetadata, KubernetesNamespaces, KubernetesRole, KubernetesSdConfig, KubernetesSelector,
    LinodeSdConfig, MechanismConfig, NomadSdConfig, StaticConfig, VultrSdConfig,
};
pub use error::{Error, RuleError};
pub use files::{files_and_faults, matching_files};
pub use formats::{FormatConfig, NameEscaping, ScrapeProtocol};
pub use global::{GlobalConfig, Limits};
pub use http::{
    Auth, HeaderConfig, HttpConfig, OAuth2Config, ProxyConfig, Scheme, Secret, Source, TlsConfig, TlsVersion,
};
pub use kubeconfig::{Kubeconfig, KubeconfigError};
pub use load::{LoadOptions, Mode, load, parse};
pub use notifications::{
    EmailConfig, GroupBy, InhibitRuleConfig, IntegrationConfig, NotificationsConfig, ReceiverConfig,
    RouteConfig, SlackConfig, WebhookConfig,
};
pub use otlp::{NameTranslation, OtlpConfig, ResourceAttributes};
pub use printed::parse_size;
pub use remote::{RemoteReadConfig, RemoteWriteConfig};
pub use rule_file::{
    Place, RuleFile, RuleGroup, RuleKind, RuleSpec, load_rule_file, parse_rule_file, parse_rule_file_with,
};
pub use scrape::ScrapeConfig;
pub use section::UnknownKeys;
pub use storage::StorageConfig;
pub use target_file::{parse_targets_json, parse_targets_yaml};
pub use traces::{TraceProtocol, TracingConfig};
pub use unit_test_file::{
    AlertTest, ExpectedAlert, ExpectedSample, InputSeries, QueryTest, UnitTest, UnitTestFile, load_unit_tests,
};

pub use web_config::{WebConfig, load_web_config};

/// The whole configuration. Two equal values mean the same server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// Defaults for all jobs.
    pub global: GlobalConfig,
    /// Who is told of alerts.
    pub alerting: AlertingConfig,
    /// Who is told of alerts by this server itself.
    pub notifications: Option<Arc<NotificationsConfig>>,
    /// The jobs, in file order, with unique names; those of further files after those of this one.
    pub scrape_configs: Vec<Arc<ScrapeConfig>>,
    /// How many of them stand in further files.
    pub jobs_of_files: usize,
    /// Patterns of the names of further files with jobs, as those of rule files.
    pub scrape_config_files: Vec<String>,
    /// Patterns of the names of rule files, those that are relative made to begin at the folder of the configuration.
    pub rule_files: Vec<String>,
    /// What the database keeps and takes.
    pub storage: StorageConfig,
    /// Servers that samples are sent to.
    pub remote_write: Vec<RemoteWriteConfig>,
    /// Servers that are asked for samples.
    pub remote_read: Vec<RemoteReadConfig>,
    /// What is made of metrics that come by OTLP, if the file says.
    pub otlp: Option<OtlpConfig>,
    /// Where traces of the server itself are sent.
    pub tracing: Option<TracingConfig>,
}

impl Config {
    /// What the server runs with when it has no file: it scrapes itself at `address`, below `prefix`.
    pub fn self_scrape(address: &str, prefix: &str) -> Self {
        let global = GlobalConfig { scrape_interval: Duration::from_secs(5), ..GlobalConfig::default() }
            .with_timeout_within_interval();
        let job = ScrapeConfig {
            discovery: DiscoveryConfig {
                fixed: vec![StaticConfig {
                    targets: vec![address.to_owned()],
                    labels: crate::model::Labels::empty(),
                }],
                mechanisms: Vec::new(),
            },
            metrics_path: format!("{prefix}/metrics"),
            ..ScrapeConfig::new("emberkeep", &global)
        };
        Self { global, scrape_configs: vec![Arc::new(job)], ..Self::default() }
    }

    /// The files that its clients read when they are needed.
    pub fn files(&self) -> Vec<&std::path::PathBuf> {
        let jobs = self.scrape_configs.iter().map(|job| (&job.http, &job.discovery));
        let alertmanagers = self.alerting.alertmanagers.iter().map(|group| (&group.http, &group.discovery));
        let clients = jobs.chain(alertmanagers).flat_map(|(http, discovery)| {
            let mechanisms = discovery.mechanisms.iter().flat_map(MechanismConfig::files);
            http.files().into_iter().chain(mechanisms)
        });
        let own = self.notifications.iter().flat_map(|own| &own.receivers);
        let receivers = own.flat_map(|receiver| receiver.integrations.iter().flat_map(|one| one.files()));
        let remote = self.remote_write.iter().map(|one| &one.http);
        let remote = remote.chain(self.remote_read.iter().map(|one| &one.http)).flat_map(HttpConfig::files);
        let tracing = self.tracing.iter().flat_map(|tracing| tracing.tls.files());
        clients.chain(receivers).chain(remote).chain(tracing).collect()
    }

    /// The job called `name`.
    pub fn job(&self, name: &str) -> Option<&Arc<ScrapeConfig>> {
        self.scrape_configs.iter().find(|job| job.job_name == name)
    }
}
