//! Signs what others send to servers that want to know who asks as AWS does.

use std::sync::Arc;

use super::credentials::{Keeper, Login};
use super::sign::{Scope, signature};
use crate::config::{HttpConfig, ProxyConfig, SigV4Config};
use crate::discovery::surroundings::Surroundings;
use crate::net::{Dialer, HttpClient, HttpError, HttpUrl};

/// The service that signatures are for where the section names none.
const SERVICE: &str = "aps";

/// Signs requests with the credentials that a section `sigv4` describes.
#[derive(Debug)]
pub struct AwsSigner {
    service: String,
    keeper: Keeper,
    around: Surroundings,
}

impl AwsSigner {
    /// A signer as `config` describes it. Where credentials come from is asked when a request is signed.
    ///
    /// # Errors
    /// When the client that asks for credentials cannot be set up.
    pub fn new(config: &SigV4Config, dialer: &Arc<Dialer>) -> Result<Self, HttpError> {
        Self::with(config, dialer, Surroundings::of_process(dialer)?)
    }

    fn with(config: &SigV4Config, dialer: &Arc<Dialer>, around: Surroundings) -> Result<Self, HttpError> {
        let proxy = ProxyConfig { from_environment: true, ..ProxyConfig::default() };
        let http = HttpConfig { follow_redirects: false, proxy, ..HttpConfig::default() };
        let client = HttpClient::new(&http, Arc::clone(dialer))?;
        let login =
            Login { fips: config.use_fips_sts_endpoint, ..Login::new(&config.region, &config.identity) };
        let service = Some(config.service_name.clone()).filter(|name| !name.is_empty());
        Ok(Self {
            service: service.unwrap_or_else(|| SERVICE.to_owned()),
            keeper: Keeper::new(login, around.clone(), client),
            around,
        })
    }

    /// A signer that finds made-up variables around.
    #[cfg(test)]
    pub(crate) fn among(
        config: &SigV4Config,
        dialer: &Arc<Dialer>,
        variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let clock = Arc::new(crate::util::SystemClock);
        let around = Surroundings::new(dialer, variables, clock).expect("a client");
        Self::with(config, dialer, around).expect("a client")
    }

    /// The headers that a POST of `body` to `url` needs besides the header `Content-Type`. The URL has no query.
    ///
    /// # Errors
    /// When the region or credentials are not to be had, with the reason.
    pub async fn sign(
        &self,
        url: &HttpUrl,
        content_type: &str,
        body: &[u8],
    ) -> Result<Vec<(&'static str, String)>, String> {
        let region = self.keeper.region().await?;
        let credentials = self.keeper.credentials(region).await?;
        let scope = Scope { region, service: &self.service };
        Ok(signature(&credentials, scope, url, content_type, body, self.around.clock.now_ms()))
    }

    /// A request was refused: credentials are looked for anew before the next one. Says whether others may be found then.
    pub async fn refused(&self) -> bool {
        self.keeper.forget().await
    }
}

#[cfg(test)]
mod tests {
    use super::super::sign::is_signed;
    use super::*;
    use crate::config::{AwsIdentity, Secret};
    use crate::net::SystemResolver;
    use crate::util::ManualClock;

    /// 2015-08-30T12:36:00Z
    const NOW_MS: i64 = 1_440_938_160_000;

    async fn signed(
        config: &SigV4Config,
        variables: &'static [(&str, &str)],
        url: &str,
        body: &str,
    ) -> Vec<(&'static str, String)> {
        let dialer = Arc::new(Dialer::new(Arc::new(SystemResolver::new(None))));
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let clock = Arc::new(ManualClock::new(NOW_MS));
        let around = Surroundings::new(&dialer, variable, clock).expect("a client");
        let signer = AwsSigner::with(config, &dialer, around).expect("a client");
        let url = HttpUrl::parse(url).expect("a URL");
        signer.sign(&url, "application/json", body.as_bytes()).await.expect("signed")
    }

    #[tokio::test]
    async fn region_service_and_credentials_come_from_the_section_or_from_around() {
        let url = "https://aps.example/workspaces/w%20s/alertmanager/api/v2/alerts";
        let check = async |config: &SigV4Config, variables, expected: (&str, &str), keys: (&str, &str)| {
            let sent = signed(config, variables, url, "[1]").await;
            let header = |name: &str| match name {
                "host" => Some("aps.example"),
                "content-length" => Some("3"),
                "content-type" => Some("application/json"),
                name => sent
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.as_str()),
            };
            let path = "/workspaces/w%20s/alertmanager/api/v2/alerts";
            assert!(is_signed(path, header, "[1]", expected, keys), "{sent:?}");
            assert_eq!(header("x-amz-date"), Some("20150830T123600Z"));
        };
        let own = SigV4Config {
            region: "r".to_owned(),
            identity: AwsIdentity {
                access_key: "AK".to_owned(),
                secret_key: Some(Secret::new("geheim")),
                ..AwsIdentity::default()
            },
            ..SigV4Config::default()
        };
        check(&own, &[], ("r", "aps"), ("AK", "geheim")).await;
        let own = SigV4Config { service_name: "execute-api".to_owned(), ..own };
        check(&own, &[], ("r", "execute-api"), ("AK", "geheim")).await;
        let variables = &[
            ("AWS_REGION", "vr"),
            ("AWS_ACCESS_KEY_ID", "VK"),
            ("AWS_SECRET_ACCESS_KEY", "vs"),
            ("AWS_SESSION_TOKEN", "vt"),
        ];
        check(&SigV4Config::default(), variables, ("vr", "aps"), ("VK", "vs")).await;
    }
}
