//! Which keys the ways to find targets have, and which ways this server does not know.

use super::client_keys::{AWS, CLIENT, PROXY};
use super::key::Below::{List, Section, Value};
use super::key::{Below, Keys, NONE};

/// Sections that say where targets come from.
pub(super) const DISCOVERY: &[(&str, Below)] = &[
    ("static_configs", List(&STATIC)),
    ("consul_sd_configs", List(&CONSUL)),
    ("dns_sd_configs", List(&DNS)),
    ("docker_sd_configs", List(&DOCKER)),
    ("dockerswarm_sd_configs", List(&DOCKER_SWARM)),
    ("ec2_sd_configs", List(&EC2)),
    ("digitalocean_sd_configs", List(&DIGITALOCEAN)),
    ("eureka_sd_configs", List(&EUREKA)),
    ("hetzner_sd_configs", List(&HETZNER)),
    ("linode_sd_configs", List(&LINODE)),
    ("nomad_sd_configs", List(&NOMAD)),
    ("gce_sd_configs", List(&GCE)),
    ("file_sd_configs", List(&FILE)),
    ("http_sd_configs", List(&HTTP)),
    ("kubernetes_sd_configs", List(&KUBERNETES)),
    ("vultr_sd_configs", List(&VULTR)),
];

/// Those that this server does not know.
pub(super) const OTHERS: &[&str] = &[
    "aws_sd_configs",
    "azure_sd_configs",
    "ecs_sd_configs",
    "elasticache_sd_configs",
    "ionos_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "marathon_sd_configs",
    "msk_sd_configs",
    "nerve_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "rds_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
];

pub(super) static STATIC: Keys = Keys { supported: &[("targets", Value), ("labels", Value)], ..NONE };

static DNS: Keys = Keys {
    supported: &[
        ("names", Value),
        ("type", Value),
        ("port", Value),
        ("refresh_interval", Value),
        ("follow_ttl", Value),
    ],
    ..NONE
};

static FILE: Keys = Keys { supported: &[("files", Value), ("refresh_interval", Value)], ..NONE };

static HTTP: Keys =
    Keys { supported: &[("url", Value), ("refresh_interval", Value)], shared: &[CLIENT, PROXY], ..NONE };

static DOCKER: Keys = Keys {
    supported: &[
        ("host", Value),
        ("port", Value),
        ("filters", List(&NAMED_VALUES)),
        ("host_networking_host", Value),
        ("refresh_interval", Value),
        ("match_first_network", Value),
    ],
    shared: &[CLIENT, PROXY],
    ..NONE
};

static DOCKER_SWARM: Keys = Keys {
    supported: &[
        ("host", Value),
        ("role", Value),
        ("port", Value),
        ("filters", List(&NAMED_VALUES)),
        ("refresh_interval", Value),
    ],
    shared: &[CLIENT, PROXY],
    ..NONE
};

static NAMED_VALUES: Keys = Keys { supported: &[("name", Value), ("values", Value)], ..NONE };

static EC2: Keys = Keys {
    supported: &[
        ("endpoint", Value),
        ("region", Value),
        ("refresh_interval", Value),
        ("port", Value),
        ("filters", List(&NAMED_VALUES)),
    ],
    shared: &[AWS, CLIENT, PROXY],
    ..NONE
};

static DIGITALOCEAN: Keys = Keys {
    supported: &[("refresh_interval", Value), ("port", Value), ("role", Value)],
    shared: &[CLIENT, PROXY],
    ..NONE
};

static EUREKA: Keys =
    Keys { supported: &[("server", Value), ("refresh_interval", Value)], shared: &[CLIENT, PROXY], ..NONE };

static HETZNER: Keys = Keys {
    supported: &[("refresh_interval", Value), ("port", Value), ("role", Value), ("label_selector", Value)],
    shared: &[CLIENT, PROXY],
    ..NONE
};

static LINODE: Keys = Keys {
    supported: &[("refresh_interval", Value), ("port", Value), ("tag_separator", Value), ("region", Value)],
    shared: &[CLIENT, PROXY],
    ..NONE
};

static NOMAD: Keys = Keys {
    supported: &[
        ("allow_stale", Value),
        ("namespace", Value),
        ("refresh_interval", Value),
        ("region", Value),
        ("server", Value),
        ("tag_separator", Value),
    ],
    shared: &[CLIENT, PROXY],
    ..NONE
};

static GCE: Keys = Keys {
    supported: &[
        ("project", Value),
        ("zone", Value),
        ("filter", Value),
        ("refresh_interval", Value),
        ("port", Value),
        ("tag_separator", Value),
    ],
    ..NONE
};

static VULTR: Keys =
    Keys { supported: &[("refresh_interval", Value), ("port", Value)], shared: &[CLIENT, PROXY], ..NONE };

static CONSUL: Keys = Keys {
    supported: &[
        ("server", Value),
        ("path_prefix", Value),
        ("token", Value),
        ("datacenter", Value),
        ("namespace", Value),
        ("partition", Value),
        ("tag_separator", Value),
        ("scheme", Value),
        ("username", Value),
        ("password", Value),
        ("allow_stale", Value),
        ("refresh_interval", Value),
        ("services", Value),
        ("tags", Value),
        ("node_meta", Value),
        ("filter", Value),
        ("health_filter", Value),
    ],
    shared: &[CLIENT, PROXY],
    ..NONE
};

static KUBERNETES: Keys = Keys {
    supported: &[
        ("api_server", Value),
        ("role", Value),
        ("kubeconfig_file", Value),
        ("namespaces", Section(&KUBERNETES_NAMESPACES)),
        ("selectors", List(&KUBERNETES_SELECTOR)),
        ("attach_metadata", Section(&KUBERNETES_METADATA)),
    ],
    shared: &[CLIENT, PROXY],
    ..NONE
};

static KUBERNETES_NAMESPACES: Keys =
    Keys { supported: &[("own_namespace", Value), ("names", Value)], ..NONE };

static KUBERNETES_SELECTOR: Keys =
    Keys { supported: &[("role", Value), ("label", Value), ("field", Value)], ..NONE };

static KUBERNETES_METADATA: Keys = Keys {
    supported: &[
        ("node", Value),
        ("namespace", Value),
        ("deployment", Value),
        ("job", Value),
        ("cronjob", Value),
    ],
    ..NONE
};
