//! Which keys the sections of remote storage have.

use super::client_keys::{CLIENT, PROXY, SIGV4};
use super::key::Below::{List, Section, Value};
use super::key::{Keys, NONE};
use super::relabel_keys::RELABEL;

pub(super) static REMOTE_WRITE: Keys = Keys {
    supported: &[
        ("url", Value),
        ("remote_timeout", Value),
        ("headers", Value),
        ("write_relabel_configs", List(&RELABEL)),
        ("name", Value),
        ("send_exemplars", Value),
        ("send_native_histograms", Value),
        ("round_robin_dns", Value),
        ("protobuf_message", Value),
        ("failed_request_logging", Value),
        ("queue_config", Section(&QUEUE)),
        ("metadata_config", Section(&METADATA)),
        ("sigv4", Section(&SIGV4)),
        ("azuread", Section(&AZURE_AD)),
        ("google_iam", Section(&GOOGLE_IAM)),
    ],
    shared: &[CLIENT, PROXY],
    ..NONE
};

static QUEUE: Keys = Keys {
    supported: &[
        ("capacity", Value),
        ("max_shards", Value),
        ("min_shards", Value),
        ("max_samples_per_send", Value),
        ("batch_send_deadline", Value),
        ("min_backoff", Value),
        ("max_backoff", Value),
        ("retry_on_http_429", Value),
        ("sample_age_limit", Value),
    ],
    ..NONE
};

static METADATA: Keys =
    Keys { supported: &[("send", Value), ("send_interval", Value), ("max_samples_per_send", Value)], ..NONE };

static AZURE_AD: Keys = Keys {
    supported: &[
        ("managed_identity", Section(&AZURE_MANAGED_IDENTITY)),
        ("workload_identity", Section(&AZURE_WORKLOAD_IDENTITY)),
        ("oauth", Section(&AZURE_OAUTH)),
        ("sdk", Section(&AZURE_SDK)),
        ("certificate", Section(&AZURE_CERTIFICATE)),
        ("cloud", Value),
        ("scope", Value),
    ],
    ..NONE
};

static AZURE_MANAGED_IDENTITY: Keys = Keys { supported: &[("client_id", Value)], ..NONE };

static AZURE_WORKLOAD_IDENTITY: Keys =
    Keys { supported: &[("client_id", Value), ("tenant_id", Value), ("token_file_path", Value)], ..NONE };

static AZURE_OAUTH: Keys =
    Keys { supported: &[("client_id", Value), ("client_secret", Value), ("tenant_id", Value)], ..NONE };

static AZURE_SDK: Keys = Keys { supported: &[("tenant_id", Value)], ..NONE };

static AZURE_CERTIFICATE: Keys = Keys {
    supported: &[
        ("client_id", Value),
        ("tenant_id", Value),
        ("certificate_path", Value),
        ("certificate_key_path", Value),
        ("certificate_password", Value),
        ("send_certificate_chain", Value),
    ],
    ..NONE
};

static GOOGLE_IAM: Keys = Keys { supported: &[("credentials_file", Value)], ..NONE };

pub(super) static REMOTE_READ: Keys = Keys {
    supported: &[
        ("url", Value),
        ("remote_timeout", Value),
        ("chunked_read_limit", Value),
        ("headers", Value),
        ("read_recent", Value),
        ("name", Value),
        ("required_matchers", Value),
        ("filter_external_labels", Value),
    ],
    shared: &[CLIENT, PROXY],
    ..NONE
};
