//! Signatures of requests to AWS: version 4, over the method, the path, headers and the body.

use sha2::{Digest as _, Sha256};

use crate::config::Secret;
use crate::net::HttpUrl;
use crate::util::brief;

/// How the signature is made, in the words of AWS.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Bytes in a block of SHA-256.
const BLOCK: usize = 64;

/// Who sends requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    /// The name of the key; not a secret.
    pub(super) access_key: String,
    pub(super) secret_key: Secret,
    /// Stands beside keys that end.
    pub(super) session_token: Option<Secret>,
    /// When they end, in milliseconds since the epoch; none: never.
    pub(super) until_ms: Option<i64>,
}

impl Credentials {
    /// Those that a server gave; an empty token is none. `until` is a time as RFC 3339 writes it; empty: never.
    ///
    /// # Errors
    /// When they lack a key, or the time is none.
    pub(super) fn new(
        access_key: String,
        secret_key: String,
        token: String,
        until: &str,
    ) -> Result<Self, String> {
        if access_key.is_empty() || secret_key.is_empty() {
            return Err("no credentials: the answer has no keys".to_owned());
        }
        let parsed = (!until.is_empty()).then(|| until.parse::<jiff::Timestamp>()).transpose();
        let until = parsed.map_err(|_| format!("no credentials: they end at {:?}", brief(until)))?;
        Ok(Self {
            access_key,
            secret_key: Secret::new(secret_key),
            session_token: (!token.is_empty()).then(|| Secret::new(token)),
            until_ms: until.map(jiff::Timestamp::as_millisecond),
        })
    }
}

/// What a signature is good for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// The headers besides `content-type` that a POST of `body` to `url` needs, which is sent now. The URL has no query.
pub(super) fn signature(
    credentials: &Credentials,
    scope: Scope<'_>,
    url: &HttpUrl,
    content_type: &str,
    body: &[u8],
    now_ms: i64,
) -> Vec<(&'static str, String)> {
    let (host, length) = (url.host_header(), body.len().to_string());
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut signed = Vec::with_capacity(5);
    if !body.is_empty() {
        signed.push(("content-length", length.as_str()));
    }
    signed.extend([("content-type", content_type), ("host", &host), ("x-amz-date", &date)]);
    let mut sent = vec![("X-Amz-Date", date.clone())];
    if let Some(token) = &credentials.session_token {
        signed.push(("x-amz-security-token", token.reveal()));
        sent.push(("X-Amz-Security-Token", token.reveal().to_owned()));
    }
    let message = Message { method: "POST", path: url.path(), headers: &signed, body };
    sent.push(("Authorization", authorization(credentials, scope, &message, &date)));
    sent
}

/// A request without a query.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// All that are signed, with names in lower case, in their order; the host and the date are among them.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

/// The value of the header `Authorization` of `message`, which is sent at `date`: `20150830T123600Z`.
pub(super) fn authorization(
    credentials: &Credentials,
    scope: Scope<'_>,
    message: &Message<'_>,
    date: &str,
) -> String {
    let Scope { region, service } = scope;
    let day = date.split('T').next().unwrap_or_default();
    let mut headers = String::new();
    for (name, value) in message.headers {
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        headers.extend([name, ":", &words.join(" "), "\n"]);
    }
    let names: Vec<&str> = message.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let (method, path) = (message.method, escaped(message.path));
    let canonical = format!("{method}\n{path}\n\n{headers}\n{names}\n{}", hex(&Sha256::digest(message.body)));
    let place = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("{ALGORITHM}\n{date}\n{place}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = hmac(format!("AWS4{}", credentials.secret_key.reveal()).as_bytes(), day.as_bytes());
    for part in [region, service, "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    let signature = hex(&hmac(&key, text.as_bytes()));
    let access_key = &credentials.access_key;
    format!("{ALGORITHM} Credential={access_key}/{place}, SignedHeaders={names}, Signature={signature}")
}

/// RFC 2104 with SHA-256.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// A path as signatures see it: what was escaped in the URL is escaped once more.
fn escaped(path: &str) -> String {
    let one = |byte: u8| match byte {
        b'-' | b'_' | b'.' | b'~' | b'/' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(one).collect()
}

/// Whether the signature in the header `Authorization` of a POST is that of `secret_key`, over the headers that it names.
/// As AWS looks at it: what has to be signed is.
#[cfg(test)]
pub(crate) fn is_signed<'a>(
    path: &str,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &str,
    place: (&str, &str),
    keys: (&str, &str),
) -> bool {
    let date = header("x-amz-date").expect("a date");
    let names =
        header("authorization").and_then(|text| text.split("SignedHeaders=").nth(1)).expect("a signature");
    let names = names.split(',').next().unwrap_or_default().split(';');
    let headers: Vec<_> = names.map(|name| (name, header(name).expect("a header that is signed"))).collect();
    let has = |wanted: &str| headers.iter().any(|(name, _)| *name == wanted);
    assert!(has("host") && has("x-amz-date") && has("content-type") && date.len() == 16, "{headers:?}");
    assert_eq!(has("x-amz-security-token"), header("x-amz-security-token").is_some());
    let credentials = Credentials {
        access_key: keys.0.to_owned(),
        secret_key: Secret::new(keys.1),
        session_token: None,
        until_ms: None,
    };
    let message = Message { method: "POST", path, headers: &headers, body: body.as_bytes() };
    let scope = Scope { region: place.0, service: place.1 };
    header("authorization") == Some(&authorization(&credentials, scope, &message, date))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "20150830T123600Z";
    const HOST: (&str, &str) = ("host", "example.amazonaws.com");

    fn check(message: &Message<'_>, signature: &str) {
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: None,
            until_ms: None,
        };
        let scope = Scope { region: "us-east-1", service: "service" };
        let names: Vec<&str> = message.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            authorization(&credentials, scope, message, DATE),
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders={}, Signature={signature}",
                names.join(";")
            )
        );
    }

    /// Of the suite that AWS published for version 4: `get-vanilla`, `post-vanilla` and
    /// `post-x-www-form-urlencoded`.
    #[test]
    fn requests_are_signed_as_in_the_published_suite() {
        let date = ("x-amz-date", DATE);
        check(
            &Message { method: "GET", path: "/", headers: &[HOST, date], body: b"" },
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        );
        check(
            &Message { method: "POST", path: "/", headers: &[HOST, date], body: b"" },
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        );
        let form = ("content-type", "application/x-www-form-urlencoded");
        check(
            &Message { method: "POST", path: "/", headers: &[form, HOST, date], body: b"Param1=value1" },
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        );
    }

    /// RFC 4231, cases 2 and 6.
    #[test]
    fn hmac_is_that_of_the_rfc() {
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials {
            access_key: "a".to_owned(),
            secret_key: Secret::new("geheim"),
            session_token: Some(Secret::new("geheim")),
            until_ms: None,
        };
        assert!(!format!("{credentials:?}").contains("geheim"));
    }
}
