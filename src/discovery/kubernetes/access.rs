//! Where the API server is and who asks it: as configured, as a kubeconfig says, or as a pod of the cluster finds it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::http::shown_url;
use crate::config::{
    Auth, HttpConfig, Kubeconfig, KubeconfigError, KubernetesSdConfig, ProxyConfig, Source, TlsConfig,
};
use crate::discovery::api::Api;
use crate::net::{Dialer, HttpError, read_file, read_source};
use crate::util::Stamp;

/// Where a pod finds who it is.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccessError {
    #[error("{}: {source}", path.display())]
    Kubeconfig { path: PathBuf, source: KubeconfigError },
    #[error(
        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: not in a cluster, and neither \
             api_server nor kubeconfig_file is configured"
    )]
    NotInCluster,
    #[error("cannot tell the own namespace: {0} is empty")]
    NoNamespace(PathBuf),
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// How to get to the API server.
#[derive(Debug)]
pub(super) enum Access {
    /// As it is configured.
    Configured(Box<Api>, String),
    /// As a file says, whenever it is read.
    Kubeconfig(PathBuf, Arc<Dialer>),
    /// As a pod finds it.
    InCluster { dialer: Arc<Dialer>, wants_namespace: bool },
}

/// An API server to ask.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) api: Api,
    /// The namespace of the pod that asks, where it is wanted.
    pub(super) own_namespace: Option<String>,
    /// The file that said so, as it was.
    file: Option<(PathBuf, Option<Stamp>)>,
}

impl Access {
    /// As `config` says.
    ///
    /// # Errors
    /// When the client that is configured cannot be set up.
    pub(super) fn new(config: &KubernetesSdConfig, dialer: &Arc<Dialer>) -> Result<Self, HttpError> {
        let dialer = Arc::clone(dialer);
        if !config.api_server.is_empty() {
            let api = api(&config.api_server, &config.http, &dialer)?;
            return Ok(Self::Configured(Box::new(api), shown_url(&config.api_server)));
        }
        Ok(match &config.kubeconfig_file {
            Some(path) => Self::Kubeconfig(path.clone(), dialer),
            None => Self::InCluster { dialer, wants_namespace: config.namespaces.own_namespace },
        })
    }

    /// Where that is, for people.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Configured(_, url) => url.clone(),
            Self::Kubeconfig(path, _) => path.display().to_string(),
            Self::InCluster { .. } => "the own cluster".to_owned(),
        }
    }

    /// The server to ask now. Reads files.
    ///
    /// # Errors
    /// When it is not known.
    pub(super) fn open(&self) -> Result<Opened, AccessError> {
        match self {
            Self::Configured(api, _) => Ok(Opened { api: (**api).clone(), own_namespace: None, file: None }),
            Self::Kubeconfig(path, dialer) => {
                // Looked at before it is read: a change in between is seen the next time.
                let stamp = Stamp::of(path);
                let bytes = read_file(path)?;
                let folder = path.parent().unwrap_or(Path::new(""));
                let found = Kubeconfig::parse(&String::from_utf8_lossy(&bytes), folder)
                    .map_err(|source| AccessError::Kubeconfig { path: path.clone(), source })?;
                let api = api(&found.server, &found.http, dialer)?;
                Ok(Opened { api, own_namespace: None, file: Some((path.clone(), stamp)) })
            }
            Self::InCluster { dialer, wants_namespace } => {
                let folder = Path::new(SERVICE_ACCOUNT);
                let (server, http) = in_cluster(folder, |name| std::env::var(name).ok())?;
                let own_namespace = wants_namespace.then(|| own_namespace(folder)).transpose()?;
                Ok(Opened { api: api(&server, &http, dialer)?, own_namespace, file: None })
            }
        }
    }
}

impl Opened {
    /// Whether the file that said where the server is has changed.
    pub(super) fn is_outdated(&self) -> bool {
        self.file.as_ref().is_some_and(|(path, stamp)| Stamp::of(path) != *stamp)
    }
}

fn api(server: &str, http: &HttpConfig, dialer: &Arc<Dialer>) -> Result<Api, HttpError> {
    Api::new(server.trim_end_matches('/').to_owned(), http, dialer)
}

/// The server that the environment of a pod names, with the account whose files are in `folder`.
fn in_cluster(
    folder: &Path,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(String, HttpConfig), AccessError> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    let host = given("KUBERNETES_SERVICE_HOST").ok_or(AccessError::NotInCluster)?;
    let port = given("KUBERNETES_SERVICE_PORT").ok_or(AccessError::NotInCluster)?;
    let file = |name: &str| Some(Source::File(folder.join(name)));
    let http = HttpConfig {
        auth: Some(Auth::Header { kind: "Bearer".to_owned(), credentials: file("token") }),
        tls: TlsConfig { ca: file("ca.crt"), ..TlsConfig::default() },
        proxy: ProxyConfig { from_environment: true, ..ProxyConfig::default() },
        ..HttpConfig::default()
    };
    Ok((format!("https://{}", crate::discovery::api::host_port(&host, port)), http))
}

fn own_namespace(folder: &Path) -> Result<String, AccessError> {
    let path = folder.join("namespace");
    let name = read_source(&Source::File(path.clone()))?;
    if name.reveal().is_empty() { Err(AccessError::NoNamespace(path)) } else { Ok(name.reveal().to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_finds_its_server_in_the_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |host: &'static str, port: &'static str| {
            in_cluster(folder.path(), move |name| {
                let value = if name.ends_with("HOST") { host } else { port };
                Some(value.to_owned())
            })
        };
        let (server, http) = of("10.0.0.1", "443").expect("a server");
        assert_eq!(server, "https://10.0.0.1:443");
        let files: Vec<_> = http.files().into_iter().cloned().collect();
        assert_eq!(files, ["ca.crt", "token"].map(|name| folder.path().join(name)));
        assert_eq!(of("fd00::1", "6443").expect("a server").0, "https://[fd00::1]:6443");
        for (host, port) in [("", "443"), ("10.0.0.1", "")] {
            let error = of(host, port).expect_err("no server").to_string();
            assert!(
                error.starts_with("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"),
                "{error}"
            );
        }
        let path = folder.path().join("namespace");
        assert!(matches!(own_namespace(folder.path()), Err(AccessError::Http(_))));
        std::fs::write(&path, " \n").expect("written");
        assert!(matches!(own_namespace(folder.path()), Err(AccessError::NoNamespace(_))));
        std::fs::write(&path, "mine\n").expect("written");
        assert_eq!(own_namespace(folder.path()).expect("a name"), "mine");
    }
}
