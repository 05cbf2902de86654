//! What is sent.

use bytes::Bytes;

/// What is asked for.
#[derive(Debug, Clone)]
pub enum HttpMethod {
    /// To be given something.
    Get,
    /// To take this body. It may arrive twice, when a connection breaks before anything is answered.
    Post(Bytes),
    /// To have this body there, however often it arrives.
    Put(Bytes),
}

/// A request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// What is asked for.
    pub method: HttpMethod,
    /// Where to.
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
}
