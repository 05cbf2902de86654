//! Which keys the settings of a client have.

use super::key::Below::{Named, Section, Value};
use super::key::{Below, Keys, NONE};

/// Settings of clients but for their way.
pub(super) const CLIENT: &[(&str, Below)] = &[
    ("basic_auth", Section(&BASIC_AUTH)),
    ("authorization", Section(&AUTHORIZATION)),
    ("oauth2", Section(&OAUTH2)),
    ("bearer_token", Value),
    ("bearer_token_file", Value),
    ("tls_config", Section(&TLS)),
    ("follow_redirects", Value),
    ("enable_http2", Value),
    ("http_headers", Named(&HEADER)),
];

/// The way of clients.
pub(super) const PROXY: &[(&str, Below)] = &[
    ("proxy_url", Value),
    ("no_proxy", Value),
    ("proxy_from_environment", Value),
    ("proxy_connect_header", Value),
];

/// Who asks AWS.
pub(super) const AWS: &[(&str, Below)] = &[
    ("access_key", Value),
    ("secret_key", Value),
    ("profile", Value),
    ("role_arn", Value),
    ("external_id", Value),
];

/// How requests to AWS are signed.
pub(super) static SIGV4: Keys = Keys {
    supported: &[("region", Value), ("use_fips_sts_endpoint", Value), ("service_name", Value)],
    shared: &[AWS],
    ..NONE
};

/// Settings of clients as a section of its own.
pub(super) static HTTP_CONFIG: Keys = Keys { shared: &[CLIENT, PROXY], ..NONE };

static BASIC_AUTH: Keys = Keys {
    supported: &[
        ("username", Value),
        ("username_file", Value),
        ("password", Value),
        ("password_file", Value),
    ],
    unsupported: &[&["username_ref", "password_ref"]],
    ..NONE
};

static AUTHORIZATION: Keys = Keys {
    supported: &[("type", Value), ("credentials", Value), ("credentials_file", Value)],
    unsupported: &[&["credentials_ref"]],
    ..NONE
};

static OAUTH2: Keys = Keys {
    supported: &[
        ("client_id", Value),
        ("client_secret", Value),
        ("client_secret_file", Value),
        ("grant_type", Value),
        ("scopes", Value),
        ("token_url", Value),
        ("endpoint_params", Value),
        ("tls_config", Section(&TLS)),
    ],
    shared: &[PROXY],
    unsupported: &[&[
        "client_secret_ref",
        "client_certificate_key",
        "client_certificate_key_file",
        "client_certificate_key_ref",
        "client_certificate_key_id",
        "signature_algorithm",
        "iss",
        "audience",
        "claims",
    ]],
    ..NONE
};

pub(super) static TLS: Keys = Keys {
    supported: &[
        ("ca", Value),
        ("ca_file", Value),
        ("cert", Value),
        ("cert_file", Value),
        ("key", Value),
        ("key_file", Value),
        ("server_name", Value),
        ("insecure_skip_verify", Value),
        ("min_version", Value),
        ("max_version", Value),
    ],
    unsupported: &[&["ca_ref", "cert_ref", "key_ref"]],
    ..NONE
};

static HEADER: Keys = Keys { supported: &[("values", Value), ("secrets", Value), ("files", Value)], ..NONE };
