//! Credentials in files.

use std::path::Path;
use std::sync::{Arc, Mutex as Lock};

use super::*;
use crate::config::HttpConfig;
use crate::discovery::fake::{Reply, Request, serve};
use crate::net::{Dialer, SystemResolver};
use crate::util::ManualClock;
use crate::util::lock::lock;

/// 2026-01-01T00:00:00Z
const START_MS: i64 = 1_767_225_600_000;
const KEY: &str = include_str!("test_key.pem");
/// The signature of `header.claims`.
const OPENSSL: &str = "LRL10R4Qmjysz7cbWz+wUt7WHz/2yBZWzrEmqg5L0FpGmG8xGBHG7IiEiwfQ1yELhAbvDwW1kU9YhS3z9jF72nYJU8UXc/aGD3y9\
    XWbOydiTDyg0X6GRxhW66Om58W8hDmZcKYmehxaDw7LRWMrsfe8hxcaI/7KxUgqQlgI3J9ClG+Q2DGyhcG+FLelQK5w9BBMdogGI\
    27tlZU+ibM82FtO55l1yXFRETUDl7w7GlEyYo6UoAEyYI8Ppr5e9+cZpd1waM+7wnUIMhBZROJ5leYiRxC3zag9Z+jxG1tf673v2\
    Xkm2MCjbuLk+tVUzUQsmFYepBxFS6Q8+274zH3fJag==";

fn tokens(file: &Path, clock: &Arc<ManualClock>) -> Tokens {
    let dialer = Arc::new(Dialer::new(Arc::new(SystemResolver::new(None))));
    let path = file.display().to_string();
    let variables = move |name: &str| (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| path.clone());
    let around = Surroundings::new(&dialer, variables, clock.clone()).expect("a client");
    Tokens::new(around, HttpClient::new(&HttpConfig::default(), dialer).expect("a client"))
}

/// Answers with the number of the request as the token.
async fn server(bodies: Arc<Lock<Vec<String>>>) -> String {
    let handler = move |request: Request| {
        let mut bodies = lock(&bodies);
        bodies.push(request.body);
        let count = bodies.len();
        async move { Reply::json(format!("{{\"access_token\": \"t{count}\", \"expires_in\": 3600}}")) }
    };
    format!("http://{}/token", serve(handler).await)
}

#[tokio::test]
async fn a_service_account_signs_for_its_tokens() {
    let bodies: Arc<Lock<Vec<String>>> = Arc::default();
    let url = server(Arc::clone(&bodies)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key.json");
    let text = serde_json::json!({"type": "service_account", "client_email": "a@b", "private_key": KEY,
        "private_key_id": "kid", "token_uri": url});
    std::fs::write(&file, text.to_string()).expect("written");
    let clock = Arc::new(ManualClock::new(START_MS));
    let tokens = tokens(&file, &clock);
    let shown = async || tokens.token().await.map(|token| token.reveal().to_owned());
    assert_eq!(shown().await.as_deref(), Ok("t1"));
    clock.set(START_MS + 3_539_000);
    assert_eq!(shown().await.as_deref(), Ok("t1"));
    clock.set(START_MS + 3_540_000);
    assert_eq!(shown().await.as_deref(), Ok("t2"));
    let body = lock(&bodies)[0].clone();
    let assertion = body
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")
        .expect("an assertion");
    let parts: Vec<&str> = assertion.split('.').collect();
    let decoded = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64");
        serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON")
    };
    assert_eq!(decoded(parts[0]), serde_json::json!({"alg": "RS256", "kid": "kid", "typ": "JWT"}));
    let claims = serde_json::json!({"iss": "a@b", "aud": url, "scope": SCOPE, "iat": 1_767_225_600,
        "exp": 1_767_229_200});
    assert_eq!(decoded(parts[1]), claims);
    let signature =
        rs256(&Secret::new(KEY), format!("{}.{}", parts[0], parts[1]).as_bytes()).expect("signed");
    assert_eq!(parts[2], URL_SAFE_NO_PAD.encode(signature));
}

/// As `openssl dgst -sha256 -sign` makes it with the same key.
#[test]
fn signatures_are_those_of_openssl() {
    use base64::engine::general_purpose::STANDARD;
    let signature = rs256(&Secret::new(KEY), b"header.claims").expect("signed");
    assert_eq!(STANDARD.encode(signature), OPENSSL);
}

#[tokio::test]
async fn users_have_tokens_to_refresh_and_other_credentials_are_refused() {
    let bodies: Arc<Lock<Vec<String>>> = Arc::default();
    let url = server(Arc::clone(&bodies)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key.json");
    let write = |text: serde_json::Value| std::fs::write(&file, text.to_string()).expect("written");
    let clock = Arc::new(ManualClock::new(START_MS));
    write(
        serde_json::json!({"type": "authorized_user", "client_id": "c", "client_secret": "s&", "refresh_token": "r",
        "token_uri": url}),
    );
    assert_eq!(
        tokens(&file, &clock).token().await.map(|token| token.reveal().to_owned()).as_deref(),
        Ok("t1")
    );
    let expected = "grant_type=refresh_token&client_id=c&client_secret=s%26&refresh_token=r";
    assert_eq!(lock(&bodies)[0], expected);
    write(serde_json::json!({"type": "external_account"}));
    let shown = file.display();
    let reason = format!("credentials of the type \"external_account\" in {shown} are not supported");
    assert_eq!(tokens(&file, &clock).token().await, Err(format!("no Google credentials: {reason}")));
    write(serde_json::json!({"type": "service_account", "private_key": "geheim"}));
    let reason = format!("{shown}: the private key is not in PEM");
    assert_eq!(tokens(&file, &clock).token().await, Err(format!("no Google credentials: {reason}")));
}
