//! A small SMTP server that remembers what it was sent.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What one client did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    /// The lines it sent before the text.
    pub(crate) commands: Vec<String>,
    /// The text, if it came so far.
    pub(crate) text: String,
    pub(crate) encrypted: bool,
}

/// Listens as long as the runtime it was started in.
pub(crate) struct Smtp {
    pub(crate) port: u16,
    sessions: Arc<Mutex<Vec<Session>>>,
    replies: Arc<Mutex<VecDeque<&'static str>>>,
}

/// How it behaves.
#[derive(Clone)]
struct Rules {
    tls: Option<TlsAcceptor>,
    offers_auth: bool,
}

impl Smtp {
    /// Starts one that offers `STARTTLS` where it has a certificate (`name.pem` with `name.key`), and logins if asked to.
    pub(crate) fn start(runtime: &tokio::runtime::Runtime, tls: Option<&Path>, offers_auth: bool) -> Self {
        let tls = tls.map(|certificate| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let chain = vec![CertificateDer::from_pem_file(certificate).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_file(certificate.with_extension("key")).expect("a key");
            let config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .expect("a certificate that fits its key");
            TlsAcceptor::from(Arc::new(config))
        });
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("bind");
        let port = listener.local_addr().expect("bound").port();
        let (sessions, replies) =
            (Arc::<Mutex<Vec<Session>>>::default(), Arc::<Mutex<VecDeque<_>>>::default());
        let (book, next) = (Arc::clone(&sessions), Arc::clone(&replies));
        let rules = Rules { tls, offers_auth };
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, rules.clone(), Arc::clone(&book), Arc::clone(&next)));
            }
        });
        Self { port, sessions, replies }
    }

    /// What is answered to the next senders (`MAIL FROM`); they are taken behind that.
    pub(crate) fn then(&self, replies: &[&'static str]) {
        self.replies.lock().expect("lock").extend(replies);
    }

    /// What clients did that are gone.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.sessions.lock().expect("lock").clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    rules: Rules,
    book: Arc<Mutex<Vec<Session>>>,
    next: Arc<Mutex<VecDeque<&'static str>>>,
) {
    let mut session = Session::default();
    if stream.write_all(b"220 stand-in\r\n").await.is_ok() {
        let upgrade = talk(&mut stream, &rules, &mut session, &next).await;
        if let (Some(true), Some(tls)) = (upgrade, &rules.tls)
            && let Ok(mut stream) = tls.accept(stream).await
        {
            session.encrypted = true;
            talk(&mut stream, &rules, &mut session, &next).await;
        }
    }
    book.lock().expect("lock").push(session);
}

/// Answers until the client goes (none) or TLS is to begin.
async fn talk(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    rules: &Rules,
    session: &mut Session,
    next: &Mutex<VecDeque<&'static str>>,
) -> Option<bool> {
    let mut stream = BufReader::new(stream);
    loop {
        let line = read_line(&mut stream).await?;
        session.commands.push(line.clone());
        let command = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let reply = match command.as_str() {
            "EHLO" => {
                let mut reply = "250-stand-in\r\n".to_owned();
                if rules.tls.is_some() && !session.encrypted {
                    reply.push_str("250-STARTTLS\r\n");
                }
                if rules.offers_auth {
                    reply.push_str("250-AUTH PLAIN LOGIN\r\n");
                }
                reply + "250 8BITMIME"
            }
            "STARTTLS" => {
                stream.write_all(b"220 go\r\n").await.ok()?;
                return Some(true);
            }
            "AUTH" => "235 welcome".to_owned(),
            "MAIL" => next.lock().expect("lock").pop_front().unwrap_or("250 ok").to_owned(),
            "DATA" => {
                stream.write_all(b"354 go\r\n").await.ok()?;
                loop {
                    let line = read_line(&mut stream).await?;
                    if line == "." {
                        break;
                    }
                    session.text.push_str(&line);
                    session.text.push('\n');
                }
                "250 taken".to_owned()
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await.ok()?;
                return None;
            }
            _ => "250 ok".to_owned(),
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
    }
}

async fn read_line(stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}
