//! Tokens, by the credentials that Google's own tools take: a file that a variable names, that of `gcloud`, the account of
//! the instance.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::config::Secret;
use crate::discovery::api::place;
use crate::discovery::surroundings::{Surroundings, read_text};
use crate::net::http_url::query_escaped;
use crate::net::signature::rs256;
use crate::net::{HttpClient, HttpMethod, HttpRequest, HttpResponse};
use crate::util::brief;

/// What tokens are to be good for.
const SCOPE: &str = "https://www.googleapis.com/auth/compute.readonly";
/// Who gives tokens to users, and to accounts whose file does not say.
const TOKENS: &str = "https://oauth2.googleapis.com/token";
/// Where the metadata service is on every instance.
const METADATA: &str = "169.254.169.254";
/// A token is asked for anew so long before it ends, in milliseconds.
const MARGIN_MS: i64 = 60_000;
/// How long a signed request for a token is good, in seconds.
const REQUEST_SECONDS: i64 = 3600;
/// The longest that getting one may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers are not larger.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// A file with credentials.
#[derive(Deserialize)]
struct Credentials {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    client_email: String,
    #[serde(default)]
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default)]
    token_uri: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    refresh_token: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: i64,
}

/// Keeps a token until shortly before it ends.
#[derive(Debug)]
pub(super) struct Tokens {
    around: Surroundings,
    /// For servers of Google.
    client: HttpClient,
    kept: Mutex<Option<(Secret, i64)>>,
}

impl Tokens {
    pub(super) fn new(around: Surroundings, client: HttpClient) -> Self {
        Self { around, client, kept: Mutex::default() }
    }

    /// A token that is good now.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn token(&self) -> Result<Secret, String> {
        let mut kept = self.kept.lock().await;
        let now = self.around.clock.now_ms();
        if let Some((token, until)) = kept.as_ref()
            && now < until.saturating_sub(MARGIN_MS)
        {
            return Ok(token.clone());
        }
        let answer = timeout(PATIENCE, self.ask(now)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        let answer = answer.map_err(|reason| format!("no Google credentials: {reason}"))?;
        let token = Secret::new(answer.access_token);
        *kept = Some((token.clone(), now.saturating_add(answer.expires_in.saturating_mul(1000))));
        Ok(token)
    }

    async fn ask(&self, now_ms: i64) -> Result<Answer, String> {
        let own = ".config/gcloud/application_default_credentials.json";
        let named = self.around.variable("GOOGLE_APPLICATION_CREDENTIALS").is_some();
        let path = self.around.file_at("GOOGLE_APPLICATION_CREDENTIALS", own);
        let Some(path) = path.filter(|path| named || path.exists()) else {
            return self.of_instance().await;
        };
        let shown = path.display();
        let credentials: Credentials = serde_json::from_str(&read_text(&path)?)
            .map_err(|error| format!("cannot read credentials in {shown}: {}", place(&error)))?;
        let url = if credentials.token_uri.is_empty() { TOKENS } else { &credentials.token_uri };
        let form = match credentials.kind.as_str() {
            "service_account" => {
                let assertion = assertion(&credentials, url, now_ms / 1000);
                let assertion = assertion.map_err(|reason| format!("{shown}: {reason}"))?;
                let grant = query_escaped("urn:ietf:params:oauth:grant-type:jwt-bearer");
                format!("grant_type={grant}&assertion={assertion}")
            }
            "authorized_user" => format!(
                "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
                query_escaped(&credentials.client_id),
                query_escaped(&credentials.client_secret),
                query_escaped(&credentials.refresh_token)
            ),
            other => return Err(format!("credentials of the type {other:?} in {shown} are not supported")),
        };
        let headers = vec![("Content-Type", "application/x-www-form-urlencoded".to_owned())];
        let request =
            HttpRequest { method: HttpMethod::Post(Bytes::from(form)), url: url.to_owned(), headers };
        read(self.client.send(request).await.map_err(|error| error.to_string())?).await
    }

    async fn of_instance(&self) -> Result<Answer, String> {
        let host = self.around.variable("GCE_METADATA_HOST").unwrap_or_else(|| METADATA.to_owned());
        let path = "computeMetadata/v1/instance/service-accounts/default/token";
        let url = format!("http://{host}/{path}?scopes={}", query_escaped(SCOPE));
        let headers = vec![("Metadata-Flavor", "Google".to_owned())];
        let request = HttpRequest { method: HttpMethod::Get, url, headers };
        let answer = self.around.near.send(request).await;
        let answer = answer.map_err(|error| format!("the metadata service does not answer: {error}"))?;
        read(answer).await
    }
}

async fn read(response: HttpResponse) -> Result<Answer, String> {
    let (code, text) = (response.status(), response.status_text());
    let mut body = Vec::new();
    response.read_body(MAX_ANSWER_BYTES, &mut body).await.map_err(|error| error.to_string())?;
    if code != 200 {
        let reason = brief(String::from_utf8_lossy(&body).trim());
        return Err(format!("server returned HTTP status {text}: {reason}"));
    }
    let answer: Answer =
        serde_json::from_slice(&body).map_err(|error| format!("cannot read a token: {error}"))?;
    if answer.access_token.is_empty() { Err("the answer has no token".to_owned()) } else { Ok(answer) }
}

/// A request for a token, signed by a service account.
fn assertion(credentials: &Credentials, url: &str, now_seconds: i64) -> Result<String, String> {
    let encoded = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": credentials.private_key_id});
    let claims = serde_json::json!({
        "iss": credentials.client_email,
        "scope": SCOPE,
        "aud": url,
        "iat": now_seconds,
        "exp": now_seconds.saturating_add(REQUEST_SECONDS),
    });
    let text = format!("{}.{}", encoded(&header), encoded(&claims));
    let signature = rs256(&Secret::new(credentials.private_key.as_str()), text.as_bytes())?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
