//! Who asks AWS, where a section says so.

use serde::Serialize;

use super::Secret;
use super::loader::Loader;
use super::section::{Section, is_empty};

/// Who asks AWS. What is empty is what the tools of AWS would take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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

impl<'a> Loader<'a> {
    /// Who asks AWS, from among the other keys of `raw`.
    pub(super) fn aws_identity(&self, raw: &Section<'a>) -> AwsIdentity {
        let text = |key: &str| raw.text(key).unwrap_or_default();
        let given = |key: &str| raw.get(key).is_some_and(|item| !is_empty(item.node));
        for (one, other) in
            [("access_key", "secret_key"), ("secret_key", "access_key"), ("external_id", "role_arn")]
        {
            if given(one) && !given(other) {
                self.complain(raw, one, format!("{one} has no meaning without {other}"));
            }
        }
        AwsIdentity {
            access_key: text("access_key"),
            secret_key: given("secret_key").then(|| Secret::new(text("secret_key"))),
            profile: text("profile"),
            role_arn: text("role_arn"),
            external_id: text("external_id"),
        }
    }
}
