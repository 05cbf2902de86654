//! Who asks AWS, where a section says so.

use serde::Serialize;

use super::Secret;
use super::loader::Loader;
use super::section::{Section, is_empty};

/// Who asks AWS. What is empty is what the tools of AWS would take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct AwsIdentity {
    /// With the secret key: who asks.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_key: String,
    /// Belongs to the access key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<Secret>,
    /// A profile of the files that the tools of AWS share.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
    /// A role to assume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role_arn: String,
    /// What the role wants to know of who assumes it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_id: String,
}

/// How requests to AWS are signed. What is empty is what the tools of AWS would take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct SigV4Config {
    /// The region.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// Who asks.
    #[serde(flatten)]
    pub identity: AwsIdentity,
    /// Ask an endpoint that conforms to FIPS for the role. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub use_fips_sts_endpoint: bool,
    /// The service that requests are for; empty is `aps`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_name: String,
}

/// Keys that do nothing without another one.
const BELONG_TOGETHER: [(&str, &str); 3] =
    [("access_key", "secret_key"), ("secret_key", "access_key"), ("external_id", "role_arn")];

impl<'a> Loader<'a> {
    /// Who asks AWS, from among the other keys of `raw`.
    pub(super) fn aws_identity(raw: &Section<'a>) -> AwsIdentity {
        let text = |key: &str| raw.text(key).unwrap_or_default();
        AwsIdentity {
            access_key: text("access_key"),
            secret_key: Some(text("secret_key")).filter(|text| !text.is_empty()).map(Secret::new),
            profile: text("profile"),
            role_arn: text("role_arn"),
            external_id: text("external_id"),
        }
    }

    /// The keys of `raw` that do nothing because another one is missing, each with that.
    pub(super) fn aws_keys_alone(raw: &Section<'a>) -> impl Iterator<Item = (&'static str, &'static str)> {
        let given = |key: &str| raw.get(key).is_some_and(|item| !is_empty(item.node));
        BELONG_TOGETHER.into_iter().filter(move |(one, other)| given(one) && !given(other))
    }

    /// The section `sigv4`.
    pub(super) fn sigv4(&self, raw: &Section<'a>) -> SigV4Config {
        for (one, other) in Self::aws_keys_alone(raw) {
            self.complain(raw, one, format!("{one} has no meaning without {other}"));
        }
        let text = |key: &str| raw.text(key).unwrap_or_default();
        SigV4Config {
            region: text("region"),
            identity: Self::aws_identity(raw),
            use_fips_sts_endpoint: raw.boolean("use_fips_sts_endpoint", false),
            service_name: text("service_name"),
        }
    }
}
