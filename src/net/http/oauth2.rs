//! Tokens of OAuth 2 servers: asked for when they are needed, kept until shortly before they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::HttpError;
use super::request::Headers;
use super::request::{HttpMethod, HttpRequest};
use super::secret::{LiveText, basic};
use super::transport::Transport;
use crate::config::{HttpConfig, OAuth2Config, Secret};
use crate::net::dial::Dialer;
use crate::net::http_url::HttpUrl;
use crate::util::brief;

/// A token is not used when it ends so soon.
const MARGIN: Duration = Duration::from_secs(10);
/// Answers with tokens are not larger.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// A token, as the value of the header.
struct Token {
    authorization: Arc<Secret>,
    /// Until when it is used; none: for ever.
    until: Option<Instant>,
}

/// What a server answers.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: serde_json::Value,
}

/// Tokens for one client.
pub(super) struct Tokens {
    transport: Transport,
    url: String,
    /// The same without a password.
    shown: String,
    id: String,
    secret: Option<LiveText>,
    /// The parameters, but for who asks.
    form: Vec<(String, String)>,
    /// Whether the server wants to know who asks by parameters; most take it as a header.
    in_form: AtomicBool,
    is_known: AtomicBool,
    refused: AtomicBool,
    token: Mutex<Option<Token>>,
}

impl Tokens {
    /// Tokens as `config` says.
    ///
    /// # Errors
    /// When the client that asks for them cannot be set up.
    pub(super) fn new(config: &OAuth2Config, dialer: &Arc<Dialer>) -> Result<Self, HttpError> {
        let shown = HttpUrl::parse(config.token_url.reveal())?.to_string();
        // The request holds the secret: it goes nowhere else.
        let http = HttpConfig {
            tls: config.tls.clone(),
            proxy: config.proxy.clone(),
            follow_redirects: false,
            ..HttpConfig::default()
        };
        let mut form = vec![("grant_type".to_owned(), "client_credentials".to_owned())];
        if !config.scopes.is_empty() {
            form.push(("scope".to_owned(), config.scopes.join(" ")));
        }
        for (name, value) in &config.endpoint_params {
            form.retain(|(known, _)| known != name);
            form.push((name.clone(), value.clone()));
        }
        Ok(Self {
            transport: Transport::new(&http, Arc::clone(dialer))?,
            url: config.token_url.reveal().to_owned(),
            shown,
            id: config.client_id.clone(),
            secret: config.client_secret.as_ref().map(LiveText::new),
            form,
            in_form: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            token: Mutex::new(None),
        })
    }

    /// The value of the header `Authorization` now.
    ///
    /// # Errors
    /// When the server gives no token.
    pub(super) async fn authorization(&self) -> Result<Arc<Secret>, HttpError> {
        let mut token = self.token.lock().await;
        let refused = self.refused.swap(false, Ordering::Relaxed);
        if let Some(token) = token.as_ref().filter(|_| !refused)
            && token.until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(Arc::clone(&token.authorization));
        }
        let new = self.ask().await.map_err(|reason| HttpError::Token { url: self.shown.clone(), reason })?;
        let authorization = Arc::clone(&new.authorization);
        *token = Some(new);
        Ok(authorization)
    }

    /// The token is asked for anew before the next request.
    pub(super) fn forget(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    async fn ask(&self) -> Result<Token, String> {
        let secret =
            self.secret.as_ref().map(LiveText::read).transpose().map_err(|error| error.to_string())?;
        let secret = secret.unwrap_or_default();
        let in_form = self.in_form.load(Ordering::Relaxed);
        let first = self.ask_once(&secret, in_form).await;
        let found = match first {
            // There are servers that take the other way only.
            Err((true, reason)) if !self.is_known.load(Ordering::Relaxed) => {
                let second = self.ask_once(&secret, !in_form).await;
                if second.is_ok() {
                    self.in_form.store(!in_form, Ordering::Relaxed);
                }
                second.map_err(|_| reason)
            }
            other => other.map_err(|(_, reason)| reason),
        }?;
        self.is_known.store(true, Ordering::Relaxed);
        Ok(found)
    }

    /// What is sent to get a token.
    fn request(&self, secret: &Secret, in_form: bool) -> HttpRequest {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(&self.form);
        let mut headers = vec![
            ("Content-Type", "application/x-www-form-urlencoded".to_owned()),
            ("Accept", "application/json".to_owned()),
        ];
        if in_form {
            form.append_pair("client_id", &self.id).append_pair("client_secret", secret.reveal());
        } else {
            let escape = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            headers.push(("Authorization", basic(&escape(&self.id), &escape(secret.reveal()))));
        }
        let body = Bytes::from(form.finish());
        HttpRequest { method: HttpMethod::Post(body), url: self.url.clone(), headers }
    }

    /// Asks once; an error says whether the server refused.
    async fn ask_once(&self, secret: &Secret, in_form: bool) -> Result<Token, (bool, String)> {
        let request = self.request(secret, in_form);
        let (status, body) = self.exchange(request).await.map_err(|error| (false, error.to_string()))?;
        if !(200..300).contains(&status) {
            let said = brief(String::from_utf8_lossy(&body).trim());
            return Err((
                (400..500).contains(&status),
                format!("server answered with status {status}: {said}"),
            ));
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| (false, format!("the answer is not a JSON object with a token: {error}")))?;
        if answer.access_token.is_empty() {
            return Err((false, "the answer has no access_token".to_owned()));
        }
        let kind = match answer.token_type.to_ascii_lowercase().as_str() {
            "" | "bearer" => "Bearer",
            "mac" => "MAC",
            "basic" => "Basic",
            _ => &answer.token_type,
        };
        // Some write the number as a text, or with a fraction.
        let seconds: Option<f64> = answer.expires_in.as_f64();
        let seconds = seconds.or_else(|| answer.expires_in.as_str().and_then(|text| text.parse().ok()));
        let lasts = seconds.filter(|seconds| *seconds > 0.0);
        let lasts = lasts.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let until = lasts.map(|lasts| {
            let now = Instant::now();
            now.checked_add(lasts.saturating_sub(MARGIN)).unwrap_or(now)
        });
        Ok(Token { authorization: Arc::new(Secret::new(format!("{kind} {}", answer.access_token))), until })
    }

    async fn exchange(&self, request: HttpRequest) -> Result<(u16, Vec<u8>), HttpError> {
        let response = self.transport.send(&request.prepare()?, &Headers::new(), None).await?;
        let (status, mut body) = (response.status(), Vec::new());
        response.read_body(MAX_ANSWER_BYTES, &mut body).await?;
        Ok((status, body))
    }
}
