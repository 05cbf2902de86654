//! Files that say where the API server of a Kubernetes cluster is and who asks it, as kubectl writes them.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use serde::Deserialize;

use super::http::{Auth, HeaderConfig, HttpConfig, ProxyConfig, Secret, Source, TlsConfig};

/// What the current context of such a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    /// URL of the API server.
    pub server: String,
    /// How it is asked.
    pub http: HttpConfig,
}

/// Why such a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubeconfigError {
    /// It is not YAML, or has other things where values are expected.
    #[error("cannot read it: {0}")]
    Syntax(String),
    /// Something that it names is not in it, or says nothing.
    #[error("{0} is missing")]
    Missing(String),
    /// Two things that exclude each other.
    #[error("{0} cannot be used together with {1}")]
    Conflict(&'static str, &'static str),
    /// Something that this server does not do.
    #[error("{0} is not supported: {1}")]
    Unsupported(&'static str, &'static str),
    /// What is not base64, or no text.
    #[error("{0} is not text in base64")]
    Data(&'static str),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: Option<String>,
    contexts: Option<Vec<Context>>,
    clusters: Option<Vec<Cluster>>,
    users: Option<Vec<User>>,
}

#[derive(Debug, Deserialize)]
struct Context {
    name: String,
    context: ContextOf,
}

#[derive(Debug, Deserialize)]
struct ContextOf {
    cluster: String,
    user: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Cluster {
    name: String,
    cluster: ClusterOf,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterOf {
    server: Option<String>,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct User {
    name: String,
    user: UserOf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct UserOf {
    client_certificate: Option<String>,
    client_certificate_data: Option<String>,
    client_key: Option<String>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    username: Option<String>,
    password: Option<String>,
    exec: Option<serde_yaml::Value>,
    auth_provider: Option<serde_yaml::Value>,
    #[serde(rename = "as")]
    impersonate: Option<String>,
    as_uid: Option<String>,
    as_groups: Option<Vec<String>>,
    as_user_extra: Option<BTreeMap<String, Vec<String>>>,
}

fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// A text in base64, or in a file whose name begins at `folder` unless it is absolute. The text counts where both are there.
fn source(
    folder: &Path,
    key: &'static str,
    data: Option<String>,
    file: Option<String>,
) -> Result<Option<Source>, KubeconfigError> {
    let Some(data) = given(data) else {
        return Ok(given(file).map(|file| Source::File(folder.join(file))));
    };
    let data: String = data.split_ascii_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(data);
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(|text| Some(Source::Text(Secret::new(text)))).ok_or(KubeconfigError::Data(key))
}

/// Where something is wrong, but not what stands there: it may be a secret.
fn place(error: &serde_yaml::Error) -> String {
    match error.location() {
        Some(at) => format!("line {}, column {} is not what is expected there", at.line(), at.column()),
        None => "something is not what is expected there".to_owned(),
    }
}

impl Kubeconfig {
    /// Reads `text`, which stands in a file in `folder`.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, KubeconfigError> {
        let file: Option<File> =
            serde_yaml::from_str(text).map_err(|error| KubeconfigError::Syntax(place(&error)))?;
        let File { current_context, contexts, clusters, users } = file.unwrap_or_default();
        let missing = |what: &str, name: &str| KubeconfigError::Missing(format!("{what} {name:?}"));
        let current = given(current_context);
        let current = current.ok_or_else(|| KubeconfigError::Missing("current-context".to_owned()))?;
        let context = contexts.into_iter().flatten().find(|one| one.name == current);
        let ContextOf { cluster, user } = context.ok_or_else(|| missing("context", &current))?.context;
        let found = clusters.into_iter().flatten().find(|one| one.name == cluster);
        let found = found.ok_or_else(|| missing("cluster", &cluster))?.cluster;
        let user = match given(user) {
            None => UserOf::default(),
            Some(name) => {
                let user = users.into_iter().flatten().find(|one| one.name == name);
                user.ok_or_else(|| missing("user", &name))?.user
            }
        };
        let tls = tls(folder, &found, &user)?;
        let proxy = proxy(given(found.proxy_url))?;
        let server = given(found.server).ok_or_else(|| missing("server of cluster", &cluster))?;
        let server = match server.contains("://") {
            true => server,
            false if tls == TlsConfig::default() => format!("http://{server}"),
            false => format!("https://{server}"),
        };
        let http = HttpConfig {
            headers: headers(&user),
            auth: auth(folder, user)?,
            tls,
            proxy,
            ..HttpConfig::default()
        };
        Ok(Self { server, http })
    }
}

fn tls(folder: &Path, cluster: &ClusterOf, user: &UserOf) -> Result<TlsConfig, KubeconfigError> {
    let tls = TlsConfig {
        ca: source(
            folder,
            "certificate-authority-data",
            cluster.certificate_authority_data.clone(),
            cluster.certificate_authority.clone(),
        )?,
        cert: source(
            folder,
            "client-certificate-data",
            user.client_certificate_data.clone(),
            user.client_certificate.clone(),
        )?,
        key: source(folder, "client-key-data", user.client_key_data.clone(), user.client_key.clone())?,
        server_name: cluster.tls_server_name.clone().unwrap_or_default(),
        insecure_skip_verify: cluster.insecure_skip_tls_verify,
        ..TlsConfig::default()
    };
    if tls.insecure_skip_verify && tls.ca.is_some() {
        return Err(KubeconfigError::Conflict("insecure-skip-tls-verify", "certificate-authority"));
    }
    match (&tls.cert, &tls.key) {
        (Some(_), None) => Err(KubeconfigError::Missing("client-key".to_owned())),
        (None, Some(_)) => Err(KubeconfigError::Missing("client-certificate".to_owned())),
        _ => Ok(tls),
    }
}

fn proxy(url: Option<String>) -> Result<ProxyConfig, KubeconfigError> {
    if url.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        return Err(KubeconfigError::Unsupported("proxy-url", "it must begin with http:// or https://"));
    }
    // Without one, the environment says by which way to go, as for kubectl.
    Ok(ProxyConfig { from_environment: url.is_none(), url: url.map(Secret::new), ..ProxyConfig::default() })
}

fn auth(folder: &Path, user: UserOf) -> Result<Option<Auth>, KubeconfigError> {
    if user.exec.is_some_and(|exec| !exec.is_null()) {
        return Err(KubeconfigError::Unsupported("exec", "no programs are run; use tokenFile"));
    }
    if user.auth_provider.is_some_and(|provider| !provider.is_null()) {
        return Err(KubeconfigError::Unsupported("auth-provider", "use tokenFile"));
    }
    let text = |text: Option<String>| given(text).map(|text| Source::Text(Secret::new(text)));
    // A file counts where both are there.
    let file = given(user.token_file).map(|file| Source::File(folder.join(file)));
    let token = file.or_else(|| text(user.token));
    let (username, password) = (text(user.username), text(user.password));
    match (token, username.is_some() || password.is_some()) {
        (Some(_), true) => Err(KubeconfigError::Conflict("token", "username and password")),
        (Some(token), false) => {
            Ok(Some(Auth::Header { kind: "Bearer".to_owned(), credentials: Some(token) }))
        }
        (None, true) => Ok(Some(Auth::Basic { username, password })),
        (None, false) => Ok(None),
    }
}

/// Headers that say as whom to act.
fn headers(user: &UserOf) -> Vec<HeaderConfig> {
    let header = |name: String, values: Vec<String>| HeaderConfig { name, values, ..HeaderConfig::default() };
    let one = |name: &str, value: &Option<String>| {
        given(value.clone()).map(|value| header(name.to_owned(), vec![value]))
    };
    let groups = user.as_groups.clone().filter(|groups| !groups.is_empty());
    let extra = user.as_user_extra.iter().flatten();
    let extra = extra.map(|(name, values)| header(format!("Impersonate-Extra-{name}"), values.clone()));
    let mut headers: Vec<HeaderConfig> =
        [one("Impersonate-User", &user.impersonate), one("Impersonate-Uid", &user.as_uid)]
            .into_iter()
            .flatten()
            .chain(groups.map(|groups| header("Impersonate-Group".to_owned(), groups)))
            .chain(extra)
            .collect();
    headers.sort_by(|a, b| a.name.cmp(&b.name));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file whose cluster and user have these keys.
    fn file(cluster: &str, user: &str) -> String {
        format!(
            "{{current-context: c, contexts: [{{name: b, context: {{cluster: x}}}}, \
             {{name: c, context: {{cluster: k, user: u, namespace: n}}}}], \
             clusters: [{{name: k, cluster: {{{cluster}}}}}], users: [{{name: u, user: {{{user}}}}}]}}"
        )
    }

    fn parse(text: &str) -> Result<Kubeconfig, String> {
        Kubeconfig::parse(text, Path::new("/kube")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_current_context_says_where_and_who() {
        let found = parse(&file(
            "server: 'https://k:6443', certificate-authority-data: YWJj, certificate-authority: unused, \
             tls-server-name: s, proxy-url: 'http://p'",
            "client-certificate: cert.pem, client-key: /abs/key.pem, token: unused, tokenFile: token, as: me, \
             as-groups: [a, b], as-user-extra: {x: [y]}",
        ));
        let found = found.expect("valid");
        assert_eq!(found.server, "https://k:6443");
        let text = |text: &str| Some(Source::Text(Secret::new(text)));
        let path = |path: &str| Some(Source::File(path.into()));
        let HttpConfig { auth, tls, proxy, headers, .. } = &found.http;
        assert_eq!(tls.ca, text("abc"));
        assert_eq!((&tls.cert, &tls.key), (&path("/kube/cert.pem"), &path("/abs/key.pem")));
        assert_eq!(tls.server_name, "s");
        assert_eq!(*auth, Some(Auth::Header { kind: "Bearer".to_owned(), credentials: path("/kube/token") }));
        assert_eq!((&proxy.url, proxy.from_environment), (&Some(Secret::new("http://p")), false));
        let headers: Vec<_> = headers.iter().map(|h| (h.name.as_str(), h.values.join(","))).collect();
        let expected =
            [("Impersonate-Extra-x", "y"), ("Impersonate-Group", "a,b"), ("Impersonate-User", "me")];
        assert_eq!(headers, expected.map(|(name, values)| (name, values.to_owned())));
        assert_eq!(found.http.files().len(), 3);

        let found = parse(&file("server: k:1, insecure-skip-tls-verify: true", "username: u, password: p"));
        let found = found.expect("valid");
        assert_eq!(found.server, "https://k:1");
        assert!(found.http.tls.insecure_skip_verify);
        assert_eq!(found.http.auth, Some(Auth::Basic { username: text("u"), password: text("p") }));
        assert_eq!(parse(&file("server: k:1", "")).expect("valid").server, "http://k:1");
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let secret = "geheim";
        for (text, reason) in [
            (String::new(), "current-context is missing"),
            ("{current-context: c}".to_owned(), "context \"c\" is missing"),
            ("[".to_owned(), "cannot read it: "),
            ("{contexts: 5}".to_owned(), "cannot read it: "),
            ("{users: [{name: v, user: geheim}]}".to_owned(), "cannot read it: line 1, column "),
            (
                "{current-context: c, contexts: [{name: c, context: {cluster: k}}]}".to_owned(),
                "cluster \"k\" is",
            ),
            (file("", ""), "server of cluster \"k\" is missing"),
            (file("server: k", "exec: {command: x}"), "exec is not supported: no programs are run"),
            (file("server: k", "auth-provider: {name: gcp}"), "auth-provider is not supported"),
            (file("server: k", "token: geheim, username: u"), "token cannot be used together with username"),
            (file("server: k", "client-certificate: a"), "client-key is missing"),
            (file("server: k", "client-key-data: geheim"), "client-key-data is not text in base64"),
            (
                file("server: k, insecure-skip-tls-verify: true, certificate-authority: a", ""),
                "insecure-skip-tls-verify cannot be used together with certificate-authority",
            ),
            (file("server: k, proxy-url: 'socks5://a'", ""), "proxy-url is not supported"),
        ] {
            let error = parse(&text).expect_err(&text);
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains(secret), "{error}");
        }
    }
}
