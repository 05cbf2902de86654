//! Credentials and the region from servers of the machine: the metadata service of EC2, and that of containers.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;

use super::sign::Credentials;
use crate::discovery::api::{or_default, place};
use crate::discovery::surroundings::{Surroundings, read_text};
use crate::net::{HttpMethod, HttpRequest};
use crate::util::brief;

/// Where the metadata service is on every instance.
const METADATA: &str = "http://169.254.169.254";
/// Where credentials of containers are, if a path is all that is known.
const CONTAINERS: &str = "http://169.254.170.2";
/// Hosts that may be asked without TLS for credentials of a container, besides those on loopback.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
/// The longest an answer may take: the servers are near, or there are none.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers are not larger.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// Seconds for which the token of a session is good.
const SESSION_SECONDS: &str = "60";

/// Credentials as both kinds of servers give them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    access_key_id: String,
    #[serde(default)]
    secret_access_key: String,
    #[serde(default, deserialize_with = "or_default")]
    token: String,
    #[serde(default, deserialize_with = "or_default")]
    expiration: String,
}

#[derive(Deserialize)]
struct Identity {
    region: String,
}

/// The credentials of the role that the instance has.
///
/// # Errors
/// When there is no metadata service, or no role.
pub(super) async fn of_instance(around: &Surroundings) -> Result<Credentials, String> {
    let service = Metadata::open(around).await?;
    let roles = service.get("/latest/meta-data/iam/security-credentials/").await?;
    let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty());
    let role = role.ok_or("the instance has no role")?;
    given(&service.get(&format!("/latest/meta-data/iam/security-credentials/{role}")).await?)
}

/// The region in which the instance is.
///
/// # Errors
/// When there is no metadata service.
pub(super) async fn region(around: &Surroundings) -> Result<String, String> {
    let document = Metadata::open(around).await?.get("/latest/dynamic/instance-identity/document").await?;
    let identity: Identity = serde_json::from_str(&document)
        .map_err(|error| format!("cannot read the identity of the instance: {error}"))?;
    Ok(identity.region)
}

/// Whether the variables name a server for credentials of containers.
pub(super) fn is_in_container(around: &Surroundings) -> bool {
    let names = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    around.first_of(&names).is_some()
}

/// The credentials that the container has.
///
/// # Errors
/// When its server gives none.
pub(super) async fn of_container(around: &Surroundings) -> Result<Credentials, String> {
    let url = match around.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        Some(path) => format!("{CONTAINERS}{path}"),
        None => around.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").unwrap_or_default(),
    };
    if !is_trusted(&url) {
        return Err(format!(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https or a host of this machine, not {:?}",
            brief(&url)
        ));
    }
    let token = match around.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(path) => Some(read_text(&PathBuf::from(path))?),
        None => around.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    let headers = token.into_iter().map(|token| ("Authorization", token)).collect();
    let (code, body) = exchange(around, HttpMethod::Get, url, headers).await?;
    match code {
        200 => given(&body),
        _ => Err(format!("the server of container credentials returned HTTP status {code}: {}", brief(body))),
    }
}

/// Whether credentials may be asked for there, and a token be sent.
fn is_trusted(url: &str) -> bool {
    if url.starts_with("https://") {
        return true;
    }
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || CONTAINER_HOSTS.contains(&host) || address.is_some_and(|a| a.is_loopback())
}

fn given(body: &str) -> Result<Credentials, String> {
    let given: Given =
        serde_json::from_str(body).map_err(|error| format!("cannot read credentials: {}", place(&error)))?;
    if !matches!(given.code.as_str(), "" | "Success") {
        return Err(format!("no credentials: {}: {}", given.code, given.message));
    }
    let Given { access_key_id, secret_access_key, token, expiration, .. } = given;
    Credentials::new(access_key_id, secret_access_key, token, &expiration)
}

/// A session with the metadata service.
struct Metadata<'a> {
    around: &'a Surroundings,
    base: String,
    /// None with a service that knows no sessions.
    token: Option<String>,
}

impl<'a> Metadata<'a> {
    async fn open(around: &'a Surroundings) -> Result<Self, String> {
        if around
            .variable("AWS_EC2_METADATA_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        {
            return Err("AWS_EC2_METADATA_DISABLED forbids to ask the metadata service".to_owned());
        }
        let base =
            around.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| METADATA.to_owned());
        let base = base.trim_end_matches('/').to_owned();
        let headers = vec![("X-aws-ec2-metadata-token-ttl-seconds", SESSION_SECONDS.to_owned())];
        let method = HttpMethod::Put(bytes::Bytes::new());
        let asked = exchange(around, method, format!("{base}/latest/api/token"), headers).await;
        match asked.map_err(|reason| format!("the metadata service does not answer: {reason}"))? {
            (200, token) => Ok(Self { around, base, token: Some(token) }),
            (403..=405, _) => Ok(Self { around, base, token: None }),
            (code, body) => {
                Err(format!("the metadata service returned HTTP status {code}: {}", brief(body.trim())))
            }
        }
    }

    async fn get(&self, path: &str) -> Result<String, String> {
        let token = self.token.clone();
        let headers = token.into_iter().map(|token| ("X-aws-ec2-metadata-token", token)).collect();
        match exchange(self.around, HttpMethod::Get, format!("{}{path}", self.base), headers).await? {
            (200, body) => Ok(body),
            (404, _) if path.contains("security-credentials") => Err("the instance has no role".to_owned()),
            (code, _) => Err(format!("the metadata service returned HTTP status {code} for {path}")),
        }
    }
}

/// Sends a request to a server that is near; its status and its body.
async fn exchange(
    around: &Surroundings,
    method: HttpMethod,
    url: String,
    headers: Vec<(&'static str, String)>,
) -> Result<(u16, String), String> {
    let ask = async {
        let response = around.near.send(HttpRequest { method, url, headers }).await?;
        let (code, mut body) = (response.status(), Vec::new());
        response.read_body(MAX_ANSWER_BYTES, &mut body).await?;
        Ok::<_, crate::net::HttpError>((code, String::from_utf8_lossy(&body).into_owned()))
    };
    match timeout(PATIENCE, ask).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_containers_go_to_hosts_of_the_machine_only() {
        for url in [
            "https://h/x",
            "http://localhost:1/x",
            "http://127.0.0.2/x",
            "http://[::1]:80/x",
            "http://169.254.170.23/v1",
            "http://[fd00:ec2::23]/v1",
        ] {
            assert!(is_trusted(url), "{url}");
        }
        for url in [
            "",
            "http://h/x",
            "http://10.0.0.1/",
            "http://localhost.evil/",
            "ftp://localhost/",
            "http://localhost@evil/",
        ] {
            assert!(!is_trusted(url), "{url}");
        }
    }
}
