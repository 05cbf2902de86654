//! Calls of the query API: a form that is posted, XML that comes back.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::sign::{Credentials, Scope, signature};
use crate::discovery::xml;
use crate::net::http_url::query_escaped;
use crate::net::{HttpClient, HttpError, HttpMethod, HttpRequest, HttpUrl};
use crate::util::{Clock, brief};

/// Answers that are larger are refused.
const MAX_BODY_BYTES: u64 = 64 << 20;
/// The longest an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
const FORM: &str = "application/x-www-form-urlencoded";

/// A service of AWS in one region.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// As signatures call it.
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) region: String,
    pub(super) endpoint: String,
    pub(super) client: HttpClient,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum CallError {
    /// AWS said so.
    Refused {
        status: u16,
        code: String,
        message: String,
    },
    Other(String),
}

impl CallError {
    /// Whether other credentials might do.
    pub(super) fn is_of_credentials(&self) -> bool {
        let codes = [
            "AuthFailure",
            "UnauthorizedOperation",
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
            "InvalidClientTokenId",
        ];
        matches!(self, Self::Refused { code, .. } if codes.contains(&code.as_str()))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, code, message } => write!(f, "{code}: {message} (HTTP status {status})"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl From<HttpError> for CallError {
    fn from(error: HttpError) -> Self {
        Self::Other(error.to_string())
    }
}

impl Service {
    /// The usual endpoint of the service called `name`.
    pub(super) fn usual_endpoint(name: &str, region: &str) -> String {
        // Each partition has a domain of its own.
        let domain = match region.split('-').next().unwrap_or_default() {
            "cn" => "amazonaws.com.cn",
            "eusc" => "amazonaws.eu",
            _ if region.starts_with("us-iso-") => "c2s.ic.gov",
            _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
            _ if region.starts_with("us-isof-") => "csp.hci.ic.gov",
            _ if region.starts_with("eu-isoe-") => "cloud.adc-e.uk",
            _ => "amazonaws.com",
        };
        format!("https://{name}.{region}.{domain}")
    }

    /// The answer to `action`. Without credentials the call is not signed.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub(super) async fn call(
        &self,
        action: &str,
        parameters: &[(String, String)],
        credentials: Option<&Credentials>,
        clock: &dyn Clock,
    ) -> Result<String, CallError> {
        let mut body = format!("Action={action}&Version={}", self.version);
        for (name, value) in parameters {
            body.extend(["&", &query_escaped(name), "=", &query_escaped(value)]);
        }
        let url = self.endpoint.clone();
        let mut headers = vec![
            ("User-Agent", concat!("Emberkeep/", env!("CARGO_PKG_VERSION")).to_owned()),
            ("Content-Type", FORM.to_owned()),
        ];
        if let Some(credentials) = credentials {
            let url = HttpUrl::parse(&url).map_err(|error| CallError::Other(error.to_string()))?;
            let scope = Scope { region: &self.region, service: self.name };
            headers.extend(signature(credentials, scope, &url, FORM, body.as_bytes(), clock.now_ms()));
        }
        let method = HttpMethod::Post(Bytes::from(body));
        let exchange = async {
            let response = self.client.send(HttpRequest { method, url, headers }).await?;
            let (status, text) = (response.status(), response.status_text());
            let mut body = Vec::new();
            response.read_body(MAX_BODY_BYTES, &mut body).await?;
            Ok::<_, HttpError>((status, text, body))
        };
        let slow = |_| CallError::Other(format!("no answer within {PATIENCE:?}"));
        let (status, text, body) = timeout(PATIENCE, exchange).await.map_err(slow)??;
        let body = String::from_utf8(body)
            .map_err(|_| CallError::Other("cannot read the answer: it is not UTF-8".to_owned()))?;
        if (200..300).contains(&status) { Ok(body) } else { Err(refusal(status, &text, &body)) }
    }
}

/// What AWS says of what it refuses: all services call it `Error`, at different depths.
fn refusal(status: u16, text: &str, body: &str) -> CallError {
    let document = xml::parse(body).ok();
    let error = document
        .as_ref()
        .and_then(|document| document.descendants().find(|node| node.tag_name().name() == "Error"));
    if let Some(error) = error {
        let (code, message) = (brief(xml::text(error, "Code")), brief(xml::text(error, "Message")));
        return CallError::Refused { status, code, message };
    }
    let reason = brief(body.trim());
    let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
    CallError::Other(format!("server returned HTTP status {text}{reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_those_of_the_partition() {
        for (region, url) in [
            ("eu-west-1", "https://ec2.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", "https://ec2.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "https://ec2.cn-north-1.amazonaws.com.cn"),
            ("us-isob-east-1", "https://ec2.us-isob-east-1.sc2s.sgov.gov"),
        ] {
            assert_eq!(Service::usual_endpoint("ec2", region), url);
        }
    }
}
