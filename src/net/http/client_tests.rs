//! The client against servers, proxies and token servers on the loopback interface.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::{Auth, HeaderConfig, OAuth2Config, ProxyConfig, Secret, Source, TlsConfig, TlsVersion};
use crate::net::SystemResolver;
use crate::util::lock::lock;

fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/tls").join(name)
}

/// A server that answers every request with what `answer` makes of its head and body; the heads are kept.
struct Served {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    _runs: JoinSet<()>,
}

impl Served {
    async fn start(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer, mut runs) = (Arc::clone(&heads), Arc::new(answer), JoinSet::new());
        runs.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer, tls) = (Arc::clone(&seen), Arc::clone(&answer), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &seen, &*answer).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &seen, &*answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, heads, _runs: runs }
    }

    fn heads(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.heads))
    }
}

/// The next request with its body, or nothing at the end.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 1024];
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.to_ascii_lowercase().split("content-length: ").nth(1).and_then(|rest| {
                    rest.split("\r\n").next().and_then(|length| length.parse::<usize>().ok())
                });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match stream.read(&mut piece).await {
            Ok(read @ 1..) => bytes.extend_from_slice(&piece[..read]),
            _ => return None,
        }
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Mutex<Vec<String>>,
    answer: &(impl Fn(&str) -> String + Sync),
) {
    while let Some(head) = request(&mut stream).await {
        let reply = answer(&head);
        lock(seen).push(head);
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

fn client(config: &HttpConfig) -> HttpClient {
    HttpClient::new(config, Arc::new(Dialer::new(Arc::new(SystemResolver::new(None))))).expect("a client")
}

async fn get(client: &HttpClient, url: &str) -> Result<(u16, String), HttpError> {
    let request = HttpRequest { method: HttpMethod::Get, url: url.to_owned(), headers: Vec::new() };
    let response = client.send(request).await?;
    let (status, mut body) = (response.status(), Vec::new());
    response.read_body(1 << 20, &mut body).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn text(text: &str) -> Source {
    Source::Text(Secret::new(text))
}

#[tokio::test]
async fn a_client_says_who_it_is_but_not_where_it_is_redirected_to() {
    let other = Served::start(None, |_| reply("200 OK", "", "other")).await;
    let location = format!("Location: http://localhost:{}/x\r\n", other.port);
    let beside = format!("Location: http://127.0.0.1:{}/y\r\n", other.port);
    let own = Served::start(None, move |head| match head.split(' ').nth(1) {
        Some("/away") => reply("302 Found", &location, ""),
        Some("/beside") => reply("302 Found", &beside, ""),
        Some("/here") => reply("307 Moved", "Location: /\r\n", ""),
        _ => reply("200 OK", "", "own"),
    })
    .await;
    let dir = tempfile::tempdir().expect("dir");
    let token = dir.path().join("token");
    std::fs::write(&token, "first\n").expect("written");
    let headers = vec![HeaderConfig {
        name: "X-Tenant".to_owned(),
        values: vec!["a".to_owned()],
        secrets: vec![Secret::new("b")],
        files: vec![token.clone()],
    }];
    let basic = Auth::Basic { username: Some(text("me")), password: Some(text("pa:ss")) };
    let with_basic = client(&HttpConfig { auth: Some(basic), headers, ..HttpConfig::default() });
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", own.port);
    assert_eq!(get(&with_basic, &url("/here")).await.expect("an answer").1, "own");
    for head in own.heads() {
        assert!(head.contains("\r\nAuthorization: Basic bWU6cGE6c3M=\r\n"), "{head}");
        assert!(head.contains("\r\nX-Tenant: a\r\nX-Tenant: b\r\nX-Tenant: first\r\n"), "{head}");
    }
    assert_eq!(get(&with_basic, &url("/beside")).await.expect("an answer").1, "other");
    let head = other.heads().concat();
    assert!(head.contains("\r\nAuthorization: Basic ") && head.contains("\r\nX-Tenant: a\r\n"), "{head}");
    assert_eq!(get(&with_basic, &url("/away")).await.expect("an answer").1, "other");
    let head = other.heads().concat().to_ascii_lowercase();
    assert!(
        head.starts_with("get /x ") && !head.contains("authorization") && !head.contains("x-tenant"),
        "{head}"
    );

    // Nor is that told where another host leads back to: ports stand in the paths here.
    let turns = Served::start(None, |head| {
        let back = head.split(['/', ' ']).nth(2).unwrap_or_default();
        reply("302 Found", &format!("Location: http://127.0.0.1:{back}/end\r\n"), "")
    })
    .await;
    let begins = Served::start(None, |head| {
        let parts: Vec<&str> = head.split(['/', ' ']).collect();
        let location = format!("Location: http://localhost:{}/{}\r\n", parts[2], parts[3]);
        if parts[2] == "end" { reply("200 OK", "", "back") } else { reply("302 Found", &location, "") }
    })
    .await;
    let round = format!("http://127.0.0.1:{}/{}/{}", begins.port, turns.port, begins.port);
    assert_eq!(get(&with_basic, &round).await.expect("an answer").1, "back");
    let heads = begins.heads();
    let told: Vec<bool> = heads.iter().map(|head| head.contains("\r\nAuthorization: ")).collect();
    assert_eq!(told, [true, false], "{heads:?}");

    let plain = client(&HttpConfig::default());
    let with_user = format!("http://a%40b:p%3aw@127.0.0.1:{}/away", own.port);
    own.heads();
    assert_eq!(get(&plain, &with_user).await.expect("an answer").1, "other");
    assert!(own.heads().concat().contains("\r\nAuthorization: Basic YUBiOnA6dw==\r\n"));
    assert!(!other.heads().concat().contains("uthorization"));
    let both = client(&HttpConfig {
        auth: Some(Auth::Header { kind: "Bearer".to_owned(), credentials: Some(text("t")) }),
        ..HttpConfig::default()
    });
    get(&both, &with_user).await.expect("an answer");
    let head = own.heads().concat();
    assert!(
        head.contains("\r\nAuthorization: Bearer t\r\n") && head.matches("uthorization").count() == 1,
        "{head}"
    );

    let bearer = Auth::Header { kind: "Bearer".to_owned(), credentials: Some(Source::File(token.clone())) };
    let with_token = client(&HttpConfig { auth: Some(bearer), ..HttpConfig::default() });
    own.heads();
    for text in ["first", "second"] {
        std::fs::write(&token, text).expect("written");
        get(&with_token, &url("/")).await.expect("an answer");
        assert!(own.heads().concat().contains(&format!("\r\nAuthorization: Bearer {text}\r\n")));
    }
    std::fs::write(&token, "a\nb").expect("written");
    let told = get(&with_token, &url("/")).await.expect_err("no header").to_string();
    assert_eq!(told, "the value of header authorization has characters that no header has");
    std::fs::remove_file(&token).expect("removed");
    let told = get(&with_token, &url("/")).await.expect_err("no token").to_string();
    assert!(told.starts_with("cannot read ") && own.heads().is_empty(), "{told}");
}

/// A server that wants certificates of clients.
fn mutual() -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(tls_file("ca.pem")).expect("a certificate"))
        .expect("an authority");
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(clients.build().expect("a verifier"))
        .with_single_cert(
            vec![CertificateDer::from_pem_file(tls_file("server.pem")).expect("a certificate")],
            PrivateKeyDer::from_pem_file(tls_file("server.key")).expect("a key"),
        )
        .expect("a certificate that fits its key");
    TlsAcceptor::from(Arc::new(config))
}

fn file(name: &str) -> Source {
    Source::File(tls_file(name))
}

#[tokio::test]
async fn certificates_are_shown_and_asked_for_and_read_again_when_they_change() {
    let server = Served::start(Some(mutual()), |_| reply("200 OK", "", "secret")).await;
    let tls = TlsConfig {
        ca: Some(file("ca.pem")),
        cert: Some(file("client.pem")),
        key: Some(file("client.key")),
        ..TlsConfig::default()
    };
    let ask = async |tls: &TlsConfig, host: &str| {
        let client = client(&HttpConfig { tls: tls.clone(), ..HttpConfig::default() });
        get(&client, &format!("https://{host}:{}/", server.port)).await.map_err(|error| error.to_string())
    };
    assert_eq!(ask(&tls, "127.0.0.1").await, Ok((200, "secret".to_owned())));
    let inline = |name: &str| text(&std::fs::read_to_string(tls_file(name)).expect("a file"));
    let inline = TlsConfig {
        ca: Some(inline("ca.pem")),
        cert: Some(inline("client.pem")),
        key: Some(inline("client.key")),
        ..TlsConfig::default()
    };
    assert_eq!(ask(&inline, "localhost").await, Ok((200, "secret".to_owned())));
    for (tls, part) in [
        (TlsConfig { ca: None, ..tls.clone() }, "UnknownIssuer"),
        (TlsConfig { cert: None, key: None, ..tls.clone() }, "ertificate"),
        (TlsConfig { server_name: "else.example".to_owned(), ..tls.clone() }, "else.example"),
        (TlsConfig { ca: Some(file("none.pem")), ..tls.clone() }, "none.pem: No such file"),
        (
            TlsConfig { ca: Some(file("ca.pem")), cert: Some(file("client.key")), ..tls.clone() },
            "client.key: no certificate in PEM form",
        ),
    ] {
        let told = ask(&tls, "127.0.0.1").await.expect_err(part);
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    for tls in [
        TlsConfig { ca: None, insecure_skip_verify: true, ..tls.clone() },
        TlsConfig { server_name: "metrics.example".to_owned(), ..tls.clone() },
        TlsConfig { max_version: Some(TlsVersion::Tls12), ..tls.clone() },
        TlsConfig { min_version: Some(TlsVersion::Tls13), ..tls.clone() },
    ] {
        assert_eq!(ask(&tls, "127.0.0.1").await, Ok((200, "secret".to_owned())), "{tls:?}");
    }
    let bad = HttpConfig {
        tls: TlsConfig { ca: Some(text("x")), ..TlsConfig::default() },
        ..HttpConfig::default()
    };
    let told = HttpClient::new(&bad, Arc::new(Dialer::new(Arc::new(SystemResolver::new(None)))))
        .expect_err("no PEM");
    assert!(told.to_string().contains("tls_config: certificate: "), "{told}");

    let dir = tempfile::tempdir().expect("dir");
    let ca = dir.path().join("ca.pem");
    std::fs::copy(tls_file("p521.pem"), &ca).expect("copied");
    let changing = client(&HttpConfig {
        tls: TlsConfig { ca: Some(Source::File(ca.clone())), ..tls },
        ..HttpConfig::default()
    });
    let url = format!("https://127.0.0.1:{}/", server.port);
    assert!(get(&changing, &url).await.is_err());
    std::fs::copy(tls_file("ca.pem"), &ca).expect("copied");
    assert_eq!(get(&changing, &url).await.expect("trusted").0, 200);
    std::fs::copy(tls_file("p521.pem"), &ca).expect("copied");
    assert!(get(&changing, &url).await.is_err(), "the old connection is not used");
}

/// A proxy: plain requests are answered by itself, tunnels lead to `to` wherever they are asked to.
async fn proxy(to: u16) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let (seen, mut runs) = (Arc::clone(&heads), JoinSet::new());
    runs.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let head = request(&mut stream).await.expect("a request");
                lock(&seen).push(head.clone());
                let answer = match head.split_once(' ') {
                    Some(("CONNECT", rest)) if rest.starts_with("refused") => reply("403 Forbidden", "", ""),
                    Some(("CONNECT", _)) => "HTTP/1.1 200 Yes\r\n\r\n".to_owned(),
                    _ => reply("200 OK", "", "by proxy"),
                };
                stream.write_all(answer.as_bytes()).await.expect("answered");
                if let Ok(mut target) = TcpStream::connect(("127.0.0.1", to)).await {
                    let _ = copy_bidirectional(&mut stream, &mut target).await;
                }
            });
        }
    });
    Served { port, heads, _runs: runs }
}

#[tokio::test]
async fn proxies_are_asked_for_urls_and_for_tunnels() {
    let server = Served::start(Some(mutual()), |_| reply("200 OK", "", "secret")).await;
    let proxy = proxy(server.port).await;
    let config = HttpConfig {
        tls: TlsConfig {
            ca: Some(file("ca.pem")),
            cert: Some(file("client.pem")),
            key: Some(file("client.key")),
            ..TlsConfig::default()
        },
        proxy: ProxyConfig {
            url: Some(Secret::new(format!("http://u:p%20w@127.0.0.1:{}", proxy.port))),
            connect_headers: vec![("X-Way".to_owned(), vec![Secret::new("w")])],
            ..ProxyConfig::default()
        },
        ..HttpConfig::default()
    };
    let client = client(&config);
    assert_eq!(get(&client, "http://nowhere.example/a?b").await.expect("an answer").1, "by proxy");
    let head = proxy.heads().concat();
    assert!(head.starts_with("GET http://nowhere.example/a?b HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nHost: nowhere.example\r\n"), "{head}");
    assert!(
        head.contains("\r\nProxy-Authorization: Basic dTpwIHc=\r\n") && !head.contains("X-Way"),
        "{head}"
    );
    for _ in 0..2 {
        assert_eq!(get(&client, "https://metrics.example/").await.expect("an answer").1, "secret");
    }
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1, "the tunnel is used again");
    assert!(heads[0].starts_with("CONNECT metrics.example:443 HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("\r\nHost: metrics.example:443\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("\r\nProxy-Authorization: Basic dTpwIHc=\r\nX-Way: w\r\n"), "{}", heads[0]);
    assert!(!server.heads().concat().contains("Proxy-Authorization"));
    let told = get(&client, "https://refused.example/").await.expect_err("no tunnel").to_string();
    assert!(
        told.contains("no tunnel to refused.example:443: 403 Forbidden") && !told.contains("p%20w"),
        "{told}"
    );
}

#[tokio::test]
async fn tokens_are_asked_for_when_they_are_needed() {
    let tokens = Served::start(None, |head| {
        if head.contains("\r\nAuthorization: ") {
            return reply("401 Unauthorized", "", "{\"error\":\"use parameters\"}");
        }
        assert!(head.starts_with("POST /token HTTP/1.1\r\n"), "{head}");
        reply("200 OK", "", "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":\"3600\"}")
    })
    .await;
    let server = Served::start(None, |head| {
        reply(if head.contains(" /denied") { "401 Unauthorized" } else { "200 OK" }, "", "")
    })
    .await;
    let config = |path: &str| HttpConfig {
        auth: Some(Auth::OAuth2(Box::new(OAuth2Config {
            client_id: "me".to_owned(),
            client_secret: Some(text("s&")),
            scopes: vec!["a".to_owned(), "b".to_owned()],
            token_url: Secret::new(format!("http://127.0.0.1:{}{path}", tokens.port)),
            endpoint_params: vec![("audience".to_owned(), "x y".to_owned())],
            tls: TlsConfig::default(),
            proxy: ProxyConfig::default(),
        }))),
        ..HttpConfig::default()
    };
    let client = client(&config("/token"));
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", server.port);
    for _ in 0..2 {
        get(&client, &url("/")).await.expect("an answer");
    }
    assert!(server.heads().iter().all(|head| head.contains("\r\nAuthorization: Bearer t\r\n")));
    let asked = tokens.heads();
    assert_eq!(
        asked.len(),
        2,
        "as a header, then as parameters; the second request has the token of the first"
    );
    assert!(asked[0].contains("\r\nAuthorization: Basic bWU6cyUyNg==\r\n"), "{}", asked[0]);
    let form = "grant_type=client_credentials&scope=a+b&audience=x+y";
    assert!(asked[0].ends_with(&format!("\r\n\r\n{form}")), "{}", asked[0]);
    assert!(asked[1].ends_with(&format!("{form}&client_id=me&client_secret=s%26")), "{}", asked[1]);
    // A token that is taken no more is asked for again, the way that is known by now.
    assert_eq!(get(&client, &url("/denied")).await.expect("an answer").0, 401);
    get(&client, &url("/")).await.expect("an answer");
    assert_eq!(tokens.heads().len(), 1);
    let refusing =
        Served::start(None, |_| reply("400 Bad Request", "", "{\"error\":\"invalid_client\"}")).await;
    let mut config = config("/token");
    if let Some(Auth::OAuth2(oauth2)) = &mut config.auth {
        oauth2.token_url = Secret::new(format!("http://u:hush@127.0.0.1:{}/", refusing.port));
    }
    let told = get(&super::tests::client(&config), &url("/")).await.expect_err("no token").to_string();
    assert!(!told.contains("hush"), "{told}");
    assert!(told.contains("server answered with status 400: {\"error\":\"invalid_client\"}"), "{told}");
}

#[tokio::test]
async fn each_socket_leads_to_its_own_server_whatever_the_url_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut runs = JoinSet::new();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for name in ["a", "b"] {
        let listener = UnixListener::bind(path(name)).expect("bound");
        runs.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{name}");
                tokio::spawn(
                    async move { serve(stream, &Mutex::default(), &|_: &str| answer.clone()).await },
                );
            }
        });
    }
    let dialer = Arc::new(Dialer::new(Arc::new(SystemResolver::new(None))));
    let client = HttpClient::new(&HttpConfig::default(), dialer).expect("a client").over_socket(&path("a"));
    let sockets: [Arc<str>; 2] = ["a", "b"].map(|name| path(name).into());
    let mut said = String::new();
    // Connections are kept, and not mistaken for each other.
    for socket in [Some(&sockets[1]), Some(&sockets[0]), Some(&sockets[1]), None] {
        let url = "http://nowhere.invalid/metrics".to_owned();
        let request = HttpRequest { method: HttpMethod::Get, url, headers: Vec::new() };
        let response =
            client.send_prepared(socket, &request.prepare().expect("valid")).await.expect("an answer");
        let mut body = Vec::new();
        response.read_body(10, &mut body).await.expect("a body");
        said.push_str(&String::from_utf8_lossy(&body));
    }
    assert_eq!(said, "baba");
}
