//! Places where credentials lie.

use std::collections::BTreeMap;
use std::sync::Mutex as Lock;

use super::*;
use crate::config::HttpConfig;
use crate::discovery::fake::{Reply, Request, serve};
use crate::net::{Dialer, SystemResolver};
use crate::util::ManualClock;
use crate::util::lock::lock;

/// 2026-01-01T00:00:00Z
const START_MS: i64 = 1_767_225_600_000;

struct Place {
    variables: BTreeMap<String, String>,
    clock: Arc<ManualClock>,
    home: tempfile::TempDir,
}

impl Place {
    fn new(variables: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let mut all = BTreeMap::from([("HOME".to_owned(), home.path().display().to_string())]);
        all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self { variables: all, clock: Arc::new(ManualClock::new(START_MS)), home }
    }

    fn with_file(self, name: &str, text: &str) -> Self {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
        self
    }

    fn keeper(&self, login: Login) -> Keeper {
        let dialer = Arc::new(Dialer::new(Arc::new(SystemResolver::new(None))));
        let variables = self.variables.clone();
        let around = Surroundings::new(&dialer, move |name| variables.get(name).cloned(), self.clock.clone());
        let client = HttpClient::new(&HttpConfig::default(), dialer).expect("a client");
        Keeper::new(login, around.expect("a client"), client)
    }

    /// Access key, secret key and token.
    async fn found(&self, login: Login) -> Result<String, String> {
        shown(self.keeper(login).credentials("r").await)
    }
}

fn shown(found: Result<Arc<Credentials>, String>) -> Result<String, String> {
    let found = found?;
    let token = found.session_token.as_ref().map_or("", Secret::reveal);
    Ok([&found.access_key, found.secret_key.reveal(), token].join(" "))
}

fn of_profile(name: &str) -> Login {
    Login { profile: Some(name.to_owned()), ..Login::default() }
}

const VARIABLES: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "va"), ("AWS_SECRET_ACCESS_KEY", "vs"), ("AWS_SESSION_TOKEN", "vt")];

#[tokio::test]
async fn places_count_in_their_order() {
    let files = |place: Place| {
        place
            .with_file(".aws/credentials", "[default]\naws_access_key_id=da\naws_secret_access_key=ds\n")
            .with_file(
                ".aws/config",
                "[profile p]\naws_access_key_id=pa\naws_secret_access_key=ps\nregion=pr\n[profile q]\n\
                 credential_process=x\n[profile a]\nrole_arn=r\nsource_profile=b\n[profile b]\nrole_arn=r\n\
                 source_profile=a\n",
            )
    };
    let all = files(Place::new(&VARIABLES));
    let keys = Login { keys: Some(("ca".to_owned(), Secret::new("cs"))), ..of_profile("p") };
    assert_eq!(all.found(keys).await.as_deref(), Ok("ca cs "));
    assert_eq!(all.found(of_profile("p")).await.as_deref(), Ok("pa ps "));
    assert_eq!(all.found(Login::default()).await.as_deref(), Ok("va vs vt"));
    assert_eq!(files(Place::new(&[])).found(Login::default()).await.as_deref(), Ok("da ds "));
    let named = files(Place::new(&[("AWS_PROFILE", "p")]));
    assert_eq!(named.found(Login::default()).await.as_deref(), Ok("pa ps "));
    for (profile, reason) in [
        ("none", "there is no profile \"none\""),
        ("q", "credential_process of the profile \"q\" is not supported"),
        ("a", "too many profiles take credentials from each other"),
    ] {
        let found = all.found(of_profile(profile)).await;
        assert_eq!(found, Err(format!("no AWS credentials: {reason}")));
    }
    let off = Place::new(&[("AWS_EC2_METADATA_DISABLED", "true")]);
    assert_eq!(
        off.found(Login::default()).await,
        Err("no AWS credentials: AWS_EC2_METADATA_DISABLED forbids to ask the metadata service".to_owned())
    );
    assert_eq!(named.keeper(Login::default()).region().await, Ok("pr"));
    let region = Place::new(&[("AWS_DEFAULT_REGION", "dr"), ("AWS_REGION", "vr")]);
    let section = Login { region: Some("sr".to_owned()), ..Login::default() };
    assert_eq!(region.keeper(section).region().await, Ok("sr"));
    assert_eq!(region.keeper(Login::default()).region().await, Ok("vr"));
}

/// A metadata service; sessions are wanted.
fn metadata(request: &Request, count: usize) -> Reply {
    if request.path == "/latest/api/token" {
        assert_eq!(request.method, "PUT");
        assert!(request.header("x-aws-ec2-metadata-token-ttl-seconds").is_some());
        return Reply::json("session");
    }
    assert_eq!(
        (request.method.as_str(), request.header("x-aws-ec2-metadata-token")),
        ("GET", Some("session"))
    );
    match request.path.as_str() {
        "/latest/meta-data/iam/security-credentials/" => Reply::json("role\n"),
        "/latest/meta-data/iam/security-credentials/role" => Reply::json(format!(
            "{{\"Code\": \"Success\", \"AccessKeyId\": \"ia{count}\", \"SecretAccessKey\": \"is\", \"Token\": \"it\", \
             \"Expiration\": \"2026-01-01T01:00:00Z\"}}"
        )),
        "/latest/dynamic/instance-identity/document" => Reply::json("{\"region\": \"ir\"}"),
        _ => Reply::status("404 Not Found", ""),
    }
}

#[tokio::test]
async fn credentials_of_the_instance_are_renewed_before_they_end() {
    let state = Arc::new(Lock::new((0, true)));
    let known = Arc::clone(&state);
    let address = serve(move |request: Request| {
        let mut state = lock(&known);
        let reply = if state.1 { metadata(&request, state.0) } else { Reply::status("500 Broken", "") };
        state.0 += usize::from(request.path.ends_with("/role"));
        async move { reply }
    })
    .await;
    let place = Place::new(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{address}/"))]);
    let keeper = place.keeper(Login::default());
    let found = async || shown(keeper.credentials("r").await);
    assert_eq!(keeper.region().await, Ok("ir"));
    assert_eq!(found().await.as_deref(), Ok("ia0 is it"));
    place.clock.set(START_MS + 54 * 60_000);
    assert_eq!(found().await.as_deref(), Ok("ia0 is it"));
    // Five minutes before the end; while the service is broken, those that are there do.
    place.clock.set(START_MS + 56 * 60_000);
    lock(&state).1 = false;
    assert_eq!(found().await.as_deref(), Ok("ia0 is it"));
    lock(&state).1 = true;
    assert_eq!(found().await.as_deref(), Ok("ia1 is it"));
    keeper.forget().await;
    assert_eq!(found().await.as_deref(), Ok("ia2 is it"));
    place.clock.set(START_MS + 61 * 60_000);
    lock(&state).1 = false;
    let reason = "no AWS credentials: the metadata service returned HTTP status 500: ";
    assert_eq!(found().await, Err(reason.to_owned()));
}

#[tokio::test]
async fn containers_have_credentials_of_their_own() {
    let address = serve(async |request: Request| {
        if request.header("authorization") != Some("tok") {
            return Reply::status("403 Forbidden", "who?");
        }
        Reply::json("{\"AccessKeyId\": \"ka\", \"SecretAccessKey\": \"ks\", \"Token\": \"kt\"}")
    })
    .await;
    let url = format!("http://{address}/v1");
    let place = Place::new(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]);
    let reason = "no AWS credentials: the server of container credentials returned HTTP status 403: who?";
    assert_eq!(place.found(Login::default()).await, Err(reason.to_owned()));
    let mut place = place.with_file("token", "tok\n");
    let file = place.home.path().join("token").display().to_string();
    place.variables.insert("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE".to_owned(), file);
    assert_eq!(place.found(Login::default()).await.as_deref(), Ok("ka ks kt"));
}

/// Gives credentials for roles; the answer says who asked for which.
async fn roles(request: Request) -> Reply {
    let value = |name: &str| {
        let mut pairs = request.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map_or_else(String::new, |(_, value)| value.to_owned())
    };
    let by = request.header("authorization").and_then(|text| text.split("Credential=").nth(1));
    let by = by.and_then(|text| text.split('/').next()).unwrap_or("nobody");
    if value("RoleArn") == "no" {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not you</Message>\
                    </Error></ErrorResponse>";
        return Reply::status("403 Forbidden", body);
    }
    if let Some(authorization) = request.header("authorization") {
        assert!(
            authorization
                .contains("/r/sts/aws4_request, SignedHeaders=content-length;content-type;host;x-amz-date")
        );
    }
    let text =
        ["Action", "RoleArn", "ExternalId", "RoleSessionName", "WebIdentityToken"].map(value).join(".");
    Reply::json(format!(
        "<AssumeRoleResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><AssumeRoleResult><Credentials>\
         <AccessKeyId>{by}-{text}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>2026-01-01T01:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    ))
}

#[tokio::test]
async fn roles_are_assumed() {
    let address = serve(roles).await;
    let url = format!("http://{address}");
    let role = |arn: &str, external_id: Option<&str>| {
        let external_id = external_id.map(str::to_owned);
        Login { role: Some(Role { arn: arn.to_owned(), external_id, session: None }), ..Login::default() }
    };
    let signed = Place::new(&[&VARIABLES[..], &[("AWS_ENDPOINT_URL_STS", &url)]].concat()).with_file(
        ".aws/config",
        "[profile one]\nrole_arn=first\nsource_profile=two\nrole_session_name=me\n[profile two]\nrole_arn=second\n\
         credential_source=Environment\n",
    );
    assert_eq!(
        signed.found(role("arn", Some("ext"))).await.as_deref(),
        Ok("va-AssumeRole.arn.ext.emberkeep. s t")
    );
    assert_eq!(
        signed.found(of_profile("one")).await.as_deref(),
        Ok("va-AssumeRole.second..emberkeep.-AssumeRole.first..me. s t")
    );
    assert_eq!(
        signed.found(role("no", None)).await,
        Err("no AWS credentials: could not assume the role \"no\": AccessDenied: not you (HTTP status 403)"
            .to_owned())
    );
    let mut web =
        Place::new(&[("AWS_ENDPOINT_URL_STS", &url), ("AWS_ROLE_ARN", "w")]).with_file("token", "jwt\n");
    let file = web.home.path().join("token").display().to_string();
    web.variables.insert("AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(), file);
    assert_eq!(
        web.found(Login::default()).await.as_deref(),
        Ok("nobody-AssumeRoleWithWebIdentity.w..emberkeep.jwt s t")
    );
}

#[tokio::test]
async fn roles_are_asked_for_where_the_section_wants_it() {
    let check = |place: &Place, fips: bool, region: &str, expected: &str| {
        let keeper = place.keeper(Login { fips, ..Login::default() });
        assert_eq!(keeper.endpoint_of_roles(region), expected);
    };
    let place = Place::new(&[]);
    check(&place, false, "us-east-1", "https://sts.us-east-1.amazonaws.com");
    check(&place, true, "us-east-1", "https://sts-fips.us-east-1.amazonaws.com");
    check(&place, true, "us-gov-west-1", "https://sts.us-gov-west-1.amazonaws.com");
    let place = Place::new(&[("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_STS", "http://sts")]);
    check(&place, true, "us-east-1", "http://sts");
}
