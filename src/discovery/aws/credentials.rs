//! Who we are: the places where AWS' own tools look for credentials, in their order, and roles that are assumed with them.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, OnceCell};

use super::metadata;
use super::profile::{self, Profile};
use super::query::Service;
use super::sign::Credentials;
use crate::config::{AwsIdentity, Secret};
use crate::discovery::surroundings::{Surroundings, read_text};
use crate::discovery::xml;
use crate::net::HttpClient;

/// Credentials are asked for anew so long before they end, in milliseconds.
const MARGIN_MS: i64 = 5 * 60 * 1000;
/// Profiles that take credentials from each other are no more than this.
const MAX_PROFILES: usize = 8;
const SESSION_NAME: &str = "emberkeep";

/// What a section says of who we are, and where.
#[derive(Debug, Clone, Default)]
pub(super) struct Login {
    pub(super) region: Option<String>,
    pub(super) keys: Option<(String, Secret)>,
    pub(super) profile: Option<String>,
    pub(super) role: Option<Role>,
    /// Roles are asked for at an endpoint that conforms to FIPS.
    pub(super) fips: bool,
}

impl Login {
    /// What is empty in a section is not said there.
    pub(super) fn new(region: &str, identity: &AwsIdentity) -> Self {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let AwsIdentity { access_key, secret_key, profile, role_arn, external_id } = identity;
        let role = |arn| Role { arn, external_id: given(external_id), session: None };
        Self {
            region: given(region),
            keys: given(access_key).zip(secret_key.clone()),
            profile: given(profile),
            role: given(role_arn).map(role),
            fips: false,
        }
    }
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) external_id: Option<String>,
    /// What the session is called in AWS' logs.
    pub(super) session: Option<String>,
}

/// Where credentials come from.
#[derive(Debug)]
enum Origin {
    Keys(Credentials),
    WebIdentity { role: Role, token_file: PathBuf },
    Container,
    Instance,
    Assumed { role: Role, with: Box<Origin> },
}

/// Keeps credentials until shortly before they end.
#[derive(Debug)]
pub(super) struct Keeper {
    login: Login,
    around: Surroundings,
    client: HttpClient,
    region: OnceCell<String>,
    kept: Mutex<Option<Arc<Credentials>>>,
}

impl Keeper {
    /// `client` speaks to the service that gives credentials for roles.
    pub(super) fn new(login: Login, around: Surroundings, client: HttpClient) -> Self {
        Self { login, around, client, region: OnceCell::new(), kept: Mutex::default() }
    }

    /// The region that the section, variables, the profile or the instance name.
    ///
    /// # Errors
    /// When none does.
    pub(super) async fn region(&self) -> Result<&str, String> {
        self.region.get_or_try_init(|| self.find_region()).await.map(String::as_str)
    }

    async fn find_region(&self) -> Result<String, String> {
        if let Some(region) = &self.login.region {
            return Ok(region.clone());
        }
        if let Some(region) = self.around.first_of(&["AWS_REGION", "AWS_DEFAULT_REGION"]) {
            return Ok(region);
        }
        let of_profile = self.own_profile().map(|found| found?.get("region").map(str::to_owned));
        let region = match of_profile {
            Ok(Some(region)) => Ok(region),
            Ok(None) => metadata::region(&self.around).await,
            Err(reason) => Err(reason),
        };
        region.map_err(|reason| format!("could not determine the AWS region: {reason}"))
    }

    /// Credentials that are good now.
    ///
    /// # Errors
    /// When there are none.
    pub(super) async fn credentials(&self, region: &str) -> Result<Arc<Credentials>, String> {
        let mut kept = self.kept.lock().await;
        let now = self.around.clock.now_ms();
        let is_good = |kept: &&Arc<Credentials>, margin: i64| {
            kept.until_ms.is_none_or(|until| now < until.saturating_sub(margin))
        };
        if let Some(kept) = kept.as_ref().filter(|kept| is_good(kept, MARGIN_MS)) {
            return Ok(Arc::clone(kept));
        }
        match self.find(region).await {
            Ok(found) => Ok(Arc::clone(kept.insert(Arc::new(found)))),
            // What is not over yet still does.
            Err(reason) => match kept.as_ref().filter(|kept| is_good(kept, 0)) {
                Some(kept) => Ok(Arc::clone(kept)),
                None => Err(format!("no AWS credentials: {reason}")),
            },
        }
    }

    /// The credentials are looked for anew before the next request; says whether others may be found then.
    pub(super) async fn forget(&self) -> bool {
        *self.kept.lock().await = None;
        self.login.keys.is_none() || self.login.role.is_some()
    }

    async fn find(&self, region: &str) -> Result<Credentials, String> {
        let found = self.origin()?;
        let origin = match &self.login.role {
            Some(role) => Origin::Assumed { role: role.clone(), with: Box::new(found) },
            None => found,
        };
        self.obtain(&origin, region).await
    }

    /// The profile that is meant where none is asked for by name need not be there.
    fn own_profile(&self) -> Result<Option<Profile>, String> {
        profile::load(&self.profile_name(), &self.around)
    }

    fn profile_name(&self) -> String {
        let named = self.login.profile.clone();
        let named = named.or_else(|| self.around.first_of(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]));
        named.unwrap_or_else(|| "default".to_owned())
    }

    fn origin(&self) -> Result<Origin, String> {
        if let Some((access_key, secret_key)) = &self.login.keys {
            return Ok(Origin::Keys(Credentials {
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
                session_token: None,
                until_ms: None,
            }));
        }
        if self.login.profile.is_none() {
            if let Some(keys) = self.keys_of_variables() {
                return Ok(Origin::Keys(keys));
            }
            if let Some(token_file) = self.around.variable("AWS_WEB_IDENTITY_TOKEN_FILE") {
                let arn = self.around.variable("AWS_ROLE_ARN");
                let arn = arn.ok_or("AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not")?;
                let session = self.around.variable("AWS_ROLE_SESSION_NAME");
                let role = Role { arn, external_id: None, session };
                return Ok(Origin::WebIdentity { role, token_file: token_file.into() });
            }
        }
        let name = self.profile_name();
        match profile::load(&name, &self.around)? {
            Some(profile) => self.of_profile(&name, &profile, MAX_PROFILES),
            None if name == "default" && self.login.profile.is_none() => Ok(self.of_machine()),
            None => Err(format!("there is no profile {name:?}")),
        }
    }

    fn keys_of_variables(&self) -> Option<Credentials> {
        Some(Credentials {
            access_key: self.around.first_of(&["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"])?,
            secret_key: self
                .around
                .first_of(&["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"])
                .map(Secret::new)?,
            session_token: self.around.variable("AWS_SESSION_TOKEN").map(Secret::new),
            until_ms: None,
        })
    }

    fn of_machine(&self) -> Origin {
        if metadata::is_in_container(&self.around) { Origin::Container } else { Origin::Instance }
    }

    /// `more` bounds how many profiles may follow.
    fn of_profile(&self, name: &str, profile: &Profile, more: usize) -> Result<Origin, String> {
        let role = profile.get("role_arn").map(|arn| Role {
            arn: arn.to_owned(),
            external_id: profile.get("external_id").map(str::to_owned),
            session: profile.get("role_session_name").map(str::to_owned),
        });
        let keys = || {
            Some(Origin::Keys(Credentials {
                access_key: profile.get("aws_access_key_id")?.to_owned(),
                secret_key: profile.get("aws_secret_access_key").map(Secret::new)?,
                session_token: profile.get("aws_session_token").map(Secret::new),
                until_ms: None,
            }))
        };
        for key in ["credential_process", "sso_session", "sso_start_url", "mfa_serial", "login_session"] {
            if profile.get(key).is_some() && keys().is_none() {
                return Err(format!("{key} of the profile {name:?} is not supported"));
            }
        }
        let with = if let (Some(source), Some(_)) = (profile.get("source_profile"), &role) {
            if source == name {
                // A profile may assume a role with its own keys.
                keys().ok_or_else(|| format!("the profile {name:?} has no keys of its own"))?
            } else {
                let more = more.checked_sub(1).ok_or("too many profiles take credentials from each other")?;
                let next = profile::load(source, &self.around)?;
                let next = next.ok_or_else(|| format!("there is no profile {source:?}"))?;
                self.of_profile(source, &next, more)?
            }
        } else if let Some(keys) = keys() {
            keys
        } else if let (Some(source), Some(_)) = (profile.get("credential_source"), &role) {
            match source {
                "Environment" => {
                    let keys = self.keys_of_variables().map(Origin::Keys);
                    keys.ok_or_else(|| format!("the variables that the profile {name:?} wants are not set"))?
                }
                "Ec2InstanceMetadata" => Origin::Instance,
                "EcsContainer" => Origin::Container,
                other => {
                    return Err(format!("credential_source {other:?} of the profile {name:?} is unknown"));
                }
            }
        } else if let Some(token_file) = profile.get("web_identity_token_file") {
            let role = role.ok_or_else(|| format!("the profile {name:?} has no role_arn"))?;
            return Ok(Origin::WebIdentity { role, token_file: token_file.into() });
        } else {
            self.of_machine()
        };
        Ok(match role {
            Some(role) => Origin::Assumed { role, with: Box::new(with) },
            None => with,
        })
    }

    fn obtain<'a>(
        &'a self,
        origin: &'a Origin,
        region: &'a str,
    ) -> BoxFuture<'a, Result<Credentials, String>> {
        Box::pin(async move {
            match origin {
                Origin::Keys(keys) => Ok(keys.clone()),
                Origin::Container => metadata::of_container(&self.around).await,
                Origin::Instance => metadata::of_instance(&self.around).await,
                Origin::WebIdentity { role, token_file } => {
                    let token = ("WebIdentityToken".to_owned(), read_text(token_file)?);
                    self.assume("AssumeRoleWithWebIdentity", role, Some(token), None, region).await
                }
                Origin::Assumed { role, with } => {
                    let with = self.obtain(with, region).await?;
                    self.assume("AssumeRole", role, None, Some(&with), region).await
                }
            }
        })
    }

    /// Where roles are asked for.
    fn endpoint_of_roles(&self, region: &str) -> String {
        // Where all endpoints conform, none is called so.
        let fips = self.login.fips && !region.starts_with("us-gov-");
        let usual = || Service::usual_endpoint(if fips { "sts-fips" } else { "sts" }, region);
        self.around.first_of(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]).unwrap_or_else(usual)
    }

    async fn assume(
        &self,
        action: &str,
        role: &Role,
        token: Option<(String, String)>,
        with: Option<&Credentials>,
        region: &str,
    ) -> Result<Credentials, String> {
        let service = Service {
            name: "sts",
            version: "2011-06-15",
            region: region.to_owned(),
            endpoint: self.endpoint_of_roles(region),
            client: self.client.clone(),
        };
        let session = role.session.as_deref().unwrap_or(SESSION_NAME);
        let mut parameters = vec![
            ("RoleArn".to_owned(), role.arn.clone()),
            ("RoleSessionName".to_owned(), session.to_owned()),
        ];
        parameters.extend(token);
        parameters.extend(role.external_id.iter().map(|id| ("ExternalId".to_owned(), id.clone())));
        let clock = &*self.around.clock;
        let failed = |reason: String| format!("could not assume the role {:?}: {reason}", role.arn);
        let answer = service.call(action, &parameters, with, clock).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        let document = xml::parse(&answer).map_err(failed)?;
        let given = document.descendants().find(|node| node.tag_name().name() == "Credentials");
        let given = given.ok_or_else(|| failed("the answer has no credentials".to_owned()))?;
        let text = |name: &str| xml::text(given, name).to_owned();
        let new = Credentials::new(
            text("AccessKeyId"),
            text("SecretAccessKey"),
            text("SessionToken"),
            &text("Expiration"),
        );
        new.map_err(failed)
    }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
