//! Who asks, in the ways that only clouds know.
//!
//! Files that these sections name are relative to the folder the server was started in, as in Prometheus.

use std::path::PathBuf;

use serde::Serialize;

use crate::config::loader::Loader;
use crate::config::section::Section;
use crate::config::{Secret, SigV4Config};

/// One of the ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CloudAuth {
    /// Requests are signed as AWS wants it.
    SigV4(SigV4Config),
    /// Tokens of Microsoft Entra ID.
    AzureAd(AzureAdConfig),
    /// Tokens of Google Cloud.
    #[serde(rename = "google_iam")]
    GoogleIam(GoogleIamConfig),
}

/// Tokens of Google Cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GoogleIamConfig {
    /// The key of a service account; none is what the tools of Google would take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}

/// A cloud of Microsoft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum AzureCloud {
    /// For everybody.
    #[default]
    AzurePublic,
    /// For the government of the USA.
    AzureGovernment,
    /// In China.
    AzureChina,
}

/// Tokens of Microsoft Entra ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AzureAdConfig {
    /// Who asks.
    #[serde(flatten)]
    pub method: Option<AzureAdMethod>,
    /// In which cloud. Default `AzurePublic`.
    pub cloud: AzureCloud,
    /// What the token is to be good for; empty is what the cloud has for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
}

/// Who asks Microsoft Entra ID for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AzureAdMethod {
    /// The identity of the machine.
    ManagedIdentity(AzureManagedIdentity),
    /// The identity of a pod.
    WorkloadIdentity(AzureWorkloadIdentity),
    /// An application with a secret.
    #[serde(rename = "oauth")]
    OAuth(AzureOAuth),
    /// Whoever the tools of Azure take.
    Sdk(AzureSdk),
    /// An application with a certificate.
    Certificate(AzureCertificate),
}

/// The identity of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AzureManagedIdentity {
    /// Which of its identities; empty is the one of the system.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_id: String,
}

/// The identity of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AzureWorkloadIdentity {
    /// The application or identity.
    pub client_id: String,
    /// Where it is registered.
    pub tenant_id: String,
    /// The token of the pod. Default what `AZURE_FEDERATED_TOKEN_FILE` names, or else
    /// `/var/run/secrets/azure/tokens/azure-identity-token`.
    pub token_file_path: PathBuf,
}

/// An application with a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AzureOAuth {
    /// The application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Where it is registered.
    pub tenant_id: String,
}

/// Whoever the tools of Azure take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AzureSdk {
    /// Where they are registered; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tenant_id: String,
}

/// An application with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AzureCertificate {
    /// The application.
    pub client_id: String,
    /// Where it is registered.
    pub tenant_id: String,
    /// The certificate, as PEM or PFX.
    pub certificate_path: PathBuf,
    /// Its key, as PEM, where the certificate's file does not hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_key_path: Option<PathBuf>,
    /// What the file of the certificate is encrypted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_password: Option<Secret>,
    /// Send the whole chain with each request. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub send_certificate_chain: bool,
}

/// The keys of who asks, of which one must be there.
const AZURE_METHODS: [&str; 5] = ["managed_identity", "workload_identity", "oauth", "sdk", "certificate"];

const DEFAULT_TOKEN_FILE: &str = "/var/run/secrets/azure/tokens/azure-identity-token";

impl<'a> Loader<'a> {
    /// Who asks, where one of these sections says so; no other may stand beside it, nor the client say so.
    pub(super) fn cloud_auth(&self, raw: &Section<'a>, client_says: bool) -> Option<CloudAuth> {
        let mut found = None;
        let mut others = client_says;
        for key in ["sigv4", "azuread", "google_iam"] {
            let Some(own) = raw.given(key) else { continue };
            if others {
                let all = "basic_auth, authorization, oauth2, sigv4, azuread, google_iam";
                self.complain(raw, key, format!("at most one of {all} must be configured"));
            }
            others = true;
            let auth = match key {
                "sigv4" => CloudAuth::SigV4(self.sigv4(&own)),
                "azuread" => CloudAuth::AzureAd(self.azure_ad(&own)),
                _ => {
                    CloudAuth::GoogleIam(GoogleIamConfig { credentials_file: path(&own, "credentials_file") })
                }
            };
            found = found.or(Some(auth));
        }
        found
    }

    fn azure_ad(&self, raw: &Section<'a>) -> AzureAdConfig {
        let cloud = raw.text("cloud").unwrap_or_default();
        let cloud = match cloud.as_str() {
            "" | "AzurePublic" => AzureCloud::AzurePublic,
            "AzureGovernment" => AzureCloud::AzureGovernment,
            "AzureChina" => AzureCloud::AzureChina,
            _ => {
                let reason = format!("must be AzurePublic, AzureGovernment or AzureChina, not {cloud:?}");
                self.complain(raw, "cloud", reason);
                AzureCloud::AzurePublic
            }
        };
        let scope = raw.text("scope").unwrap_or_default();
        let in_scope = |c: char| c.is_ascii_alphanumeric() || " \t\n\r\u{c}_:/.-".contains(c);
        if !scope.chars().all(in_scope) {
            self.complain(raw, "scope", "holds characters that no scope has");
        }
        let mut given = AZURE_METHODS.into_iter().filter_map(|key| Some((key, raw.given(key)?)));
        let method = given.next().map(|(key, own)| self.azure_method(key, &own));
        for (other, own) in given {
            let reason = format!("at most one of {} must be configured", AZURE_METHODS.join(", "));
            self.complain(raw, other, reason);
            // What is wrong inside of it is told too.
            self.azure_method(other, &own);
        }
        if method.is_none() {
            let reason = format!("one of {} must be configured", AZURE_METHODS.join(", "));
            self.notes.value(raw.line, &raw.path, reason);
        }
        AzureAdConfig { method, cloud, scope }
    }

    fn azure_method(&self, key: &str, raw: &Section<'a>) -> AzureAdMethod {
        let text = |key: &str| raw.text(key).unwrap_or_default();
        let required = |key: &'static str| {
            let text = text(key);
            if text.is_empty() {
                self.complain(raw, key, format!("{key} is missing"));
            }
            text
        };
        let uuid = |key: &'static str, text: String| {
            if !text.is_empty() && !is_uuid(&text) {
                self.complain(raw, key, format!("must be a UUID, not {text:?}"));
            }
            text
        };
        match key {
            "managed_identity" => {
                let client_id = uuid("client_id", text("client_id"));
                AzureAdMethod::ManagedIdentity(AzureManagedIdentity { client_id })
            }
            "workload_identity" => AzureAdMethod::WorkloadIdentity(AzureWorkloadIdentity {
                client_id: uuid("client_id", required("client_id")),
                tenant_id: uuid("tenant_id", required("tenant_id")),
                token_file_path: path(raw, "token_file_path").unwrap_or_else(token_file),
            }),
            "oauth" => AzureAdMethod::OAuth(AzureOAuth {
                client_id: uuid("client_id", required("client_id")),
                client_secret: Secret::new(required("client_secret")),
                tenant_id: required("tenant_id"),
            }),
            "sdk" => AzureAdMethod::Sdk(AzureSdk { tenant_id: text("tenant_id") }),
            _ => AzureAdMethod::Certificate(AzureCertificate {
                client_id: uuid("client_id", required("client_id")),
                tenant_id: required("tenant_id"),
                certificate_path: required("certificate_path").into(),
                certificate_key_path: path(raw, "certificate_key_path"),
                certificate_password: secret(raw, "certificate_password"),
                send_certificate_chain: raw.boolean("send_certificate_chain", false),
            }),
        }
    }
}

fn path(raw: &Section<'_>, key: &str) -> Option<PathBuf> {
    raw.text(key).filter(|text| !text.is_empty()).map(PathBuf::from)
}

fn secret(raw: &Section<'_>, key: &str) -> Option<Secret> {
    raw.text(key).filter(|text| !text.is_empty()).map(Secret::new)
}

fn token_file() -> PathBuf {
    let variable = std::env::var_os("AZURE_FEDERATED_TOKEN_FILE").filter(|value| !value.is_empty());
    variable.map_or_else(|| DEFAULT_TOKEN_FILE.into(), PathBuf::from)
}

/// Whether `text` is a UUID in one of its notations: plain, in braces, as a URN, or without hyphens.
fn is_uuid(text: &str) -> bool {
    let has_urn = text.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("urn:uuid:"));
    let text = match text.len() {
        32 => return text.bytes().all(|b| b.is_ascii_hexdigit()),
        45 if has_urn => &text[9..],
        38 => text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default(),
        _ => text,
    };
    let is_hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36
        && text.bytes().enumerate().all(
            |(at, b)| {
                if is_hyphen(at) { b == b'-' } else { b.is_ascii_hexdigit() }
            },
        )
}

#[cfg(test)]
mod tests {
    use super::is_uuid;

    #[test]
    fn uuids_have_several_notations() {
        let plain = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
        for text in
            [plain.to_owned(), format!("{{{plain}}}"), format!("URN:uuid:{plain}"), plain.replace('-', "")]
        {
            assert!(is_uuid(&text), "{text}");
        }
        for text in [
            "",
            "a",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c",
            "6ba7b810-9dad-11d1-80b4-00c04fd430cg",
            "6ba7b8109dad-11d1-80b4-00c04fd430c8-",
            "urn:uu\u{e9}:6ba7b810-9dad-11d1-80b4-00c04fd430c",
        ] {
            assert!(!is_uuid(text), "{text}");
        }
    }
}
