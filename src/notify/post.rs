//! One request: the seam, the HTTP implementation, and which failures may pass.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::net::{HttpClient, HttpError, HttpMethod, HttpRequest};
use crate::util::brief::brief;

/// What an Alertmanager says of what it refuses is read up to this size.
const MAX_REASON_BYTES: u64 = 1024;

/// Why alerts were not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("no response within {0:?}")]
    Timeout(Duration),
    #[error("bad response status {text}{reason}")]
    Status { code: u16, text: String, reason: String },
    #[error("redirected with a status that turns the request into a GET, so the alerts did not arrive")]
    BecameGet,
}

impl PostError {
    /// Whether the same request may succeed later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Timeout(_) => true,
            Self::Status { code, .. } => *code == 429 || *code >= 500,
            Self::BecameGet => false,
            Self::Http(error) => {
                matches!(
                    error,
                    HttpError::Dial(_)
                        | HttpError::Tls { .. }
                        | HttpError::Request(_)
                        | HttpError::File { .. }
                        | HttpError::Token { .. }
                        | HttpError::Proxy { .. }
                )
            }
        }
    }

    /// Whether the body was more than the Alertmanager, or what is before it, takes.
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self, Self::Status { code: 413, .. })
    }
}

/// Time to wait for the body of an answer, which decides nothing.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Posts alerts.
pub(super) trait Post: Send + Sync {
    /// Posts `body` to `url`. The caller bounds the time.
    fn post<'a>(&'a self, url: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), PostError>>;
}

impl Post for HttpClient {
    fn post<'a>(&'a self, url: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), PostError>> {
        let headers = vec![
            ("User-Agent", concat!("Emberkeep/", env!("CARGO_PKG_VERSION")).to_owned()),
            ("Content-Type", "application/json".to_owned()),
        ];
        let request = HttpRequest { method: HttpMethod::Post(body), url: url.to_owned(), headers };
        Box::pin(async move {
            let response = self.send(request).await?;
            let (code, text) = (response.status(), response.status_text());
            if (200..300).contains(&code) {
                let posted = response.answers_post();
                // The head says that it was taken, whatever becomes of the body.
                let _ = tokio::time::timeout(BODY_TIMEOUT, response.discard()).await;
                return if posted { Ok(()) } else { Err(PostError::BecameGet) };
            }
            let mut reason = Vec::new();
            // What came before it broke off or grew too long says enough.
            let read = response.read_body(MAX_REASON_BYTES, &mut reason);
            let _ = tokio::time::timeout(BODY_TIMEOUT, read).await;
            let reason = brief(String::from_utf8_lossy(&reason).trim());
            let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
            Err(PostError::Status { code, text, reason })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HttpConfig;
    use crate::net::{Dialer, SystemResolver};
    use crate::notify::stand_in::{Reply, StandIn, reply};
    use std::sync::Arc;

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
