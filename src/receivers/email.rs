//! Email over SMTP. The only user of lettre.

use std::time::Duration;

pub(super) use lettre::Message as Mail;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use super::error::Failure;
use super::post::read_secret;
use super::render::Renderer;
use crate::config::EmailConfig;
use crate::net::read_file;

/// On this port TLS comes before anything else.
const IMPLICIT_TLS_PORT: u16 = 465;

/// Headers that tell who an email is from and for, unless the file gives others.
const FROM: &str = "From";
const TO: &str = "To";

/// Puts an email together.
pub(super) fn mail(config: &EmailConfig, renderer: &Renderer<'_>) -> Result<Mail, Failure> {
    let from_text = renderer.text("from", &config.from)?;
    let to_text = renderer.text("to", &config.to)?;
    let from: Mailbox = from_text
        .trim()
        .parse()
        .map_err(|error| Failure::permanent(format!("from {from_text:?}: {error}")))?;
    let to: Mailboxes =
        to_text.trim().parse().map_err(|error| Failure::permanent(format!("to {to_text:?}: {error}")))?;
    let recipients: Vec<Address> = to.iter().map(|one| one.email.clone()).collect();
    let envelope = Envelope::new(Some(from.email.clone()), recipients).map_err(Failure::permanent)?;
    let mut builder = Mail::builder().envelope(envelope).date_now().message_id(Some(message_id(&from.email)));
    if !config.headers.contains_key(FROM) {
        builder = builder.from(from);
    }
    if !config.headers.contains_key(TO) {
        builder = to.into_iter().fold(builder, lettre::message::MessageBuilder::to);
    }
    for (name, template) in &config.headers {
        // A line break in a value would begin another header.
        let value: String =
            renderer.text(name, template)?.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let name = HeaderName::new_from_ascii(name.clone()).map_err(Failure::permanent)?;
        builder = builder.raw_header(HeaderValue::new(name, value.trim().to_owned()));
    }
    let (text, html) = (renderer.text("text", &config.text)?, renderer.text("html", &config.html)?);
    let plain = |text| SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text);
    let made = match (text.is_empty(), html.is_empty()) {
        (false, false) => builder.multipart(MultiPart::alternative_plain_html(text, html)),
        (true, false) => builder.singlepart(SinglePart::builder().header(ContentType::TEXT_HTML).body(html)),
        _ => builder.singlepart(plain(text)),
    };
    made.map_err(Failure::permanent)
}

/// A name for a message that no other has.
fn message_id(from: &Address) -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    let half = || std::hash::RandomState::new().build_hasher().finish();
    format!("<{:016x}{:016x}@{}>", half(), half(), from.domain())
}

/// Sends an email within `timeout`.
///
/// # Errors
/// When the server did not take it; what it refuses for good (5xx) may not pass.
pub(super) async fn send(config: &EmailConfig, mail: &Mail, timeout: Duration) -> Result<(), Failure> {
    let password = match &config.auth_password {
        Some(secret) => read_secret(secret).await?,
        None => String::new(),
    };
    let ca_file = match &config.ca_file {
        Some(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
            Some(read.map_err(Failure::passing)?.map_err(Failure::passing)?)
        }
        None => None,
    };
    let parameters = tls(config, ca_file.as_deref())?;
    let is_local = matches!(config.host.as_str(), "localhost" | "127.0.0.1" | "::1");
    let logs_in = !config.auth_username.is_empty();
    let tls = if config.port == IMPLICIT_TLS_PORT {
        Tls::Wrapper(parameters)
    } else if config.require_tls || (logs_in && !is_local) {
        // A password is never sent over a network for all to read.
        Tls::Required(parameters)
    } else {
        Tls::Opportunistic(parameters)
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.host.clone())
        .port(config.port)
        .tls(tls)
        .hello_name(ClientId::Domain(config.hello.clone()))
        .timeout(Some(timeout));
    if logs_in {
        transport = transport
            .authentication(vec![Mechanism::Plain, Mechanism::Login])
            .credentials(Credentials::new(config.auth_username.clone(), password));
    }
    let transport = transport.build();
    let sent = tokio::time::timeout(timeout, transport.send(mail.clone())).await;
    match sent {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            let text = describe(&error);
            let for_good = error.is_permanent() || error.is_client();
            Err(if for_good { Failure::permanent(text) } else { Failure::passing(text) })
        }
        Err(_) => Err(Failure::passing(format!("no response within {timeout:?}"))),
    }
}

/// An error with its causes.
fn describe(error: &lettre::transport::smtp::Error) -> String {
    let mut text = format!("SMTP: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn tls(config: &EmailConfig, ca_file: Option<&[u8]>) -> Result<TlsParameters, Failure> {
    let mut builder = TlsParameters::builder(config.host.clone())
        .dangerous_accept_invalid_certs(config.insecure_skip_verify);
    if let Some(pem) = ca_file {
        let certificate = Certificate::from_pem(pem).map_err(|error| Failure::permanent(describe(&error)))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| Failure::permanent(describe(&error)))
}
