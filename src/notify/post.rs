//! One request: the seam, and the implementations over HTTP.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::config::{AlertmanagerConfig, HttpConfig};
use crate::discovery::AwsSigner;
use crate::net::{Dialer, HttpClient, HttpError, HttpUrl, JSON, PostError, post_json, post_json_with};

/// Posts alerts.
pub(super) trait Post: Send + Sync {
    /// Posts `body` to `url`. The caller bounds the time.
    fn post<'a>(&'a self, url: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), PostError>>;
}

impl Post for HttpClient {
    fn post<'a>(&'a self, url: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), PostError>> {
        Box::pin(post_json(self, url.to_owned(), body))
    }
}

/// A client whose requests are signed for AWS.
struct SignedClient {
    client: HttpClient,
    signer: AwsSigner,
}

impl Post for SignedClient {
    fn post<'a>(&'a self, url: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), PostError>> {
        Box::pin(async move {
            let parsed = HttpUrl::parse(url).map_err(HttpError::from)?;
            let post = async || {
                let headers = self.signer.sign(&parsed, JSON, &body).await.map_err(PostError::Signature)?;
                post_json_with(&self.client, url.to_owned(), body.clone(), headers).await
            };
            match post().await {
                // The credentials were exchanged, perhaps: these alerts are not lost for that.
                Err(PostError::Status { code: 401 | 403, .. }) if self.signer.refused().await => post().await,
                posted => posted,
            }
        })
    }
}

/// The client of a group of Alertmanagers.
///
/// # Errors
/// When it cannot be set up.
pub(super) fn client(group: &AlertmanagerConfig, dialer: &Arc<Dialer>) -> Result<Arc<dyn Post>, HttpError> {
    let Some(sigv4) = &group.sigv4 else {
        return Ok(Arc::new(HttpClient::new(&group.http, Arc::clone(dialer))?));
    };
    // A signature is for one URL: whoever sends us elsewhere gets none.
    let http = HttpConfig { follow_redirects: false, ..group.http.clone() };
    let client = HttpClient::new(&http, Arc::clone(dialer))?;
    Ok(Arc::new(SignedClient { client, signer: AwsSigner::new(sigv4, dialer)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AwsIdentity, Secret, SigV4Config};
    use crate::net::SystemResolver;
    use crate::notify::stand_in::{Reply, StandIn, reply};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn client(follow_redirects: bool) -> HttpClient {
        let dialer = Arc::new(Dialer::new(Arc::new(SystemResolver::new(None))));
        HttpClient::new(&HttpConfig { follow_redirects, ..HttpConfig::default() }, dialer).expect("a client")
    }

    async fn post(client: &HttpClient, url: &str) -> Result<(), PostError> {
        let posted = client.post(url, Bytes::from_static(b"[1]"));
        tokio::time::timeout(Duration::from_secs(20), posted).await.expect("in time")
    }

    #[tokio::test]
    async fn outcomes_are_told_apart() {
        let mut am = StandIn::start([]).await;
        let client = client(true);
        let mut check = async |next: Reply, expected: Option<(&str, bool)>| {
            am.then(next.clone());
            let failed = post(&client, &am.url()).await.err();
            let shown = failed.map(|error| (error.to_string(), error.may_pass()));
            let shown = shown.as_ref().map(|(text, may_pass)| (text.as_str(), *may_pass));
            match (shown, expected) {
                (Some((text, may_pass)), Some((begins, expected))) => {
                    assert!(text.starts_with(begins) && may_pass == expected, "{next:?}: {text}, {may_pass}");
                }
                (shown, expected) => assert_eq!(shown, expected, "{next:?}"),
            }
            let (head, body) = am.next().await;
            assert!(head.starts_with("POST /api/v2/alerts HTTP/1.1\r\n") && body == "[1]", "{head}");
            assert!(head.contains("\r\nContent-Length: 3"), "{head}");
        };
        check(reply("200 OK", ""), None).await;
        check(reply("202 Accepted", ""), None).await;
        check(reply("204 No Content", ""), None).await;
        let refused = "HTTP/1.1 400 Bad Request\r\nContent-Length: 8\r\n\r\nno name\n";
        check(
            Reply::Bytes(refused.to_owned()),
            Some(("bad response status 400 Bad Request: no name", false)),
        )
        .await;
        check(reply("404 Not Found", ""), Some(("bad response status 404 Not Found", false))).await;
        check(reply("429 Too Many Requests", ""), Some(("bad response status 429", true))).await;
        check(reply("503 Service Unavailable", ""), Some(("bad response status 503", true))).await;
        check(Reply::Bytes("nonsense\r\n\r\n".to_owned()), Some(("", true))).await;
        check(Reply::Reset, Some(("", true))).await;
        let endless = format!("HTTP/1.1 500 Oh\r\n\r\n{}", "x".repeat(5000));
        check(Reply::Bytes(endless), Some(("bad response status 500 Oh", true))).await;
    }

    #[tokio::test]
    async fn alerts_that_old_credentials_cost_are_posted_with_new_ones() {
        let dialer = Arc::new(Dialer::new(Arc::new(SystemResolver::new(None))));
        let config = |identity| SigV4Config { region: "r".to_owned(), identity, ..SigV4Config::default() };
        // Exchanged whenever they are looked for.
        let looked = AtomicUsize::new(0);
        let variables = move |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some(format!("K{}", looked.fetch_add(1, Ordering::Relaxed))),
            "AWS_SECRET_ACCESS_KEY" => Some("s".to_owned()),
            _ => None,
        };
        let signed = |signer| SignedClient { client: client(false), signer };
        let found = signed(AwsSigner::among(&config(AwsIdentity::default()), &dialer, variables));
        let own = AwsIdentity {
            access_key: "K0".to_owned(),
            secret_key: Some(Secret::new("s")),
            ..AwsIdentity::default()
        };
        let given = signed(AwsSigner::among(&config(own), &dialer, |_| None));
        let refusal = reply("403 Forbidden", "");
        for (client, refusals, keys, taken) in [
            (&found, 1, &["K0", "K1"][..], true),
            (&found, 2, &["K1", "K2"], false),
            // There are no others to be found.
            (&given, 1, &["K0"], false),
        ] {
            let mut am = StandIn::start(vec![refusal.clone(); refusals]).await;
            let posted = client.post(&am.url(), Bytes::from_static(b"[1]")).await;
            assert_eq!(posted.is_ok(), taken, "{posted:?}");
            for key in keys {
                let (head, body) = am.next().await;
                assert!(head.contains(&format!("Credential={key}/")) && body == "[1]", "{key}: {head}");
            }
            assert_eq!(am.rest(), 0);
        }
    }

    #[tokio::test]
    async fn who_does_not_listen_may_do_so_later() {
        let gone = StandIn::start([]).await;
        let url = gone.url();
        drop(gone);
        // The port may be another one's by now, but it is nobody's who takes alerts.
        let error = post(&client(true), &url).await.expect_err("nobody is there");
        assert!(error.may_pass(), "{error}");
        let error = post(&client(true), "ftp://x").await.expect_err("no URL");
        assert!(!error.may_pass(), "{error}");
    }

    #[tokio::test]
    async fn redirects_are_followed_as_long_as_alerts_arrive() {
        let mut to = StandIn::start([]).await;
        let location = format!("Location: {}\r\n", to.url());
        for status in [307, 308] {
            let mut from = StandIn::start([reply(&format!("{status} Moved"), &location)]).await;
            post(&client(true), &from.url()).await.expect("taken");
            assert_eq!(from.next().await.1, "[1]");
            let (head, body) = to.next().await;
            assert!(head.starts_with("POST ") && head.contains("application/json"), "{head}");
            assert_eq!(body, "[1]");
        }
        for status in [301, 302, 303] {
            let from = StandIn::start([reply(&format!("{status} Moved"), &location)]).await;
            let error = post(&client(true), &from.url()).await.expect_err("not posted");
            assert!(matches!(error, PostError::BecameGet) && !error.may_pass(), "{error}");
            let (head, body) = to.next().await;
            assert!(head.starts_with("GET ") && !head.contains("application/json"), "{head}");
            assert_eq!(body, "");
        }
        let from = StandIn::start([reply("307 Moved", &location)]).await;
        let error = post(&client(false), &from.url()).await.expect_err("not followed");
        assert_eq!(error.to_string(), "bad response status 307 Moved");
        assert_eq!(to.rest(), 0);
    }
}
