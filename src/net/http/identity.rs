//! Who a client is: the headers with which it says so. They go to the server of the URL alone, never where that one
//! redirects to.

use std::fmt;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::error::HttpError;
use super::oauth2::Tokens;
use super::request::Headers;
use super::secret::{LiveText, basic};
use crate::config::{Auth, HttpConfig, Source};
use crate::net::dial::Dialer;

/// Where the header `Authorization` comes from.
enum Who {
    Basic { username: Option<LiveText>, password: Option<LiveText> },
    Header { kind: String, credentials: Option<LiveText> },
    OAuth2(Box<Tokens>),
}

/// Headers of every request of a client, as they are now.
pub(super) struct Identity {
    who: Option<Who>,
    headers: Vec<(HeaderName, Vec<LiveText>)>,
}

fn live(source: Option<&Source>) -> Option<LiveText> {
    source.map(LiveText::new)
}

/// The text, or nothing where there is none.
fn read(text: Option<&LiveText>) -> Result<Arc<crate::config::Secret>, HttpError> {
    text.map_or_else(|| Ok(Arc::default()), LiveText::read)
}

impl Identity {
    /// What `config` says.
    ///
    /// # Errors
    /// When the name of a header is none, or the client that asks for tokens cannot be set up.
    pub(super) fn new(config: &HttpConfig, dialer: &Arc<Dialer>) -> Result<Self, HttpError> {
        let who = match &config.auth {
            None => None,
            Some(Auth::Basic { username, password }) => {
                Some(Who::Basic { username: live(username.as_ref()), password: live(password.as_ref()) })
            }
            Some(Auth::Header { kind, credentials }) => {
                Some(Who::Header { kind: kind.clone(), credentials: live(credentials.as_ref()) })
            }
            Some(Auth::OAuth2(oauth2)) => Some(Who::OAuth2(Box::new(Tokens::new(oauth2, dialer)?))),
        };
        let mut headers = Vec::new();
        for header in &config.headers {
            let name = HeaderName::from_bytes(header.name.as_bytes())
                .map_err(|_| HttpError::Setup(format!("invalid header name {:?}", header.name)))?;
            let shown = header.values.iter().map(|value| LiveText::Fixed(crate::config::Secret::new(value)));
            let hidden = header.secrets.iter().cloned().map(LiveText::Fixed);
            let files = header.files.iter().cloned().map(LiveText::file);
            headers.push((name, shown.chain(hidden).chain(files).collect()));
        }
        Ok(Self { who, headers })
    }

    /// The headers now. May ask for a token.
    ///
    /// # Errors
    /// When a file cannot be read, there is no token, or what is to be sent cannot stand in a header.
    pub(super) async fn headers(&self) -> Result<Headers, HttpError> {
        let mut out = Vec::new();
        let mut put = |name: &HeaderName, text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| {
                HttpError::Request(format!("the value of header {name} has characters that no header has"))
            })?;
            value.set_sensitive(true);
            out.push((name.clone(), value));
            Ok::<_, HttpError>(())
        };
        match &self.who {
            None => {}
            Some(Who::Basic { username, password }) => {
                let (username, password) = (read(username.as_ref())?, read(password.as_ref())?);
                put(&AUTHORIZATION, &basic(username.reveal(), password.reveal()))?;
            }
            Some(Who::Header { kind, credentials }) => {
                put(&AUTHORIZATION, format!("{kind} {}", read(credentials.as_ref())?.reveal()).trim_end())?;
            }
            Some(Who::OAuth2(tokens)) => put(&AUTHORIZATION, tokens.authorization().await?.reveal())?,
        }
        for (name, values) in &self.headers {
            for value in values {
                put(name, value.read()?.reveal())?;
            }
        }
        Ok(out)
    }

    /// The server did not take what was said: a token that was valid until now may be so no more.
    pub(super) fn refused(&self) {
        if let Some(Who::OAuth2(tokens)) = &self.who {
            tokens.forget();
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
