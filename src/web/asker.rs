//! Who asks, as logs tell it.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::Method;
use axum::http::request::Parts;

use crate::promql::QueryOrigin;

/// The other end of a connection, which requests carry with them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// Where a request comes from, and what it goes to.
#[derive(Debug, Clone)]
pub struct Asker {
    peer: Option<IpAddr>,
    method: Method,
    /// The route with its prefix. None stands for a path that no route has.
    route: Option<MatchedPath>,
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            peer: parts.extensions.get().map(|Peer(ip)| *ip),
            method: parts.method.clone(),
            route: parts.extensions.get().cloned(),
        })
    }
}

impl Asker {
    /// The same as the origin of a query.
    pub(super) fn origin(&self) -> QueryOrigin<'_> {
        QueryOrigin::Request {
            client_ip: self.peer,
            method: self.method.as_str(),
            path: self.route.as_ref().map_or("", MatchedPath::as_str),
        }
    }
}
