//! A blocking client of one measured server.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use super::Failure;
use crate::net::ApiClient;

/// How long it waits between two tries to reach a server that is starting.
const RETRY: Duration = Duration::from_millis(2);

/// Asks one server; all of it runs on the calling thread.
#[derive(Debug)]
pub(super) struct Client {
    runtime: tokio::runtime::Runtime,
    api: ApiClient,
    url: String,
}

/// A reply of the query API.
#[derive(Debug)]
pub(super) struct Answer {
    /// The body.
    pub(super) body: Vec<u8>,
    /// From sending to the last byte of the body.
    pub(super) took: Duration,
}

impl Client {
    /// A client of the server at `url`, such as `http://127.0.0.1:9090`.
    pub(super) fn new(url: &str) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, api: ApiClient::new()?, url: url.trim_end_matches('/').to_owned() })
    }

    /// Runs `work` on the thread's runtime.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Sends a remote write body; gives status and text of the reply.
    pub(super) async fn push(&self, body: Bytes) -> Result<(u16, String), Failure> {
        Ok(self.api.post_remote_write(&format!("{}/api/v1/write", self.url), body).await?)
    }

    /// Posts a form to an endpoint of the API.
    pub(super) fn ask(&self, endpoint: &str, form: &[(&str, &str)]) -> Result<Answer, Failure> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let url = format!("{}/api/v1/{endpoint}", self.url);
        let started = Instant::now();
        let body = self.runtime.block_on(self.api.post_form(&url, body))?;
        Ok(Answer { body, took: started.elapsed() })
    }

    /// What the server says of itself, in the text format.
    pub(super) fn own_metrics(&self) -> Result<String, Failure> {
        let body = self.runtime.block_on(self.api.get(&format!("{}/metrics", self.url)))?;
        Ok(String::from_utf8(body)?)
    }

    /// The single number an instant query gives at `time_ms`; `None` where the result is empty.
    pub(super) fn number(&self, query: &str, time_ms: i64) -> Result<Option<f64>, Failure> {
        let time = seconds(time_ms);
        let data = self.ask("query", &[("query", query), ("time", &time)])?.data()?;
        let value = match data["resultType"].as_str() {
            Some("scalar") => &data["result"][1],
            _ => &data["result"][0]["value"][1],
        };
        Ok(value.as_str().and_then(|text| text.parse().ok()))
    }

    /// Asks `query` again and again until the server answers it successfully; gives the number.
    ///
    /// # Errors
    /// When that takes longer than `patience`, or `is_alive` says that the server is gone.
    pub(super) fn until_answering(
        &self,
        query: &str,
        time_ms: i64,
        patience: Duration,
        mut is_alive: impl FnMut() -> bool,
    ) -> Result<Option<f64>, Failure> {
        let started = Instant::now();
        loop {
            match self.number(query, time_ms) {
                Ok(value) => return Ok(value),
                Err(error) if started.elapsed() > patience => {
                    return Err(format!("no answer from {} in {patience:?}: {error}", self.url).into());
                }
                Err(_) if !is_alive() => return Err("the server ended while it was starting".into()),
                Err(_) => std::thread::sleep(RETRY),
            }
        }
    }
}

impl Answer {
    /// The `data` of the reply.
    ///
    /// # Errors
    /// When the reply is no success.
    pub(super) fn data(&self) -> Result<Value, Failure> {
        let mut reply: Value = serde_json::from_slice(&self.body)
            .map_err(|_| format!("not a reply of the API: {}", String::from_utf8_lossy(&self.body)))?;
        if reply["status"] != "success" {
            return Err(format!("{}: {}", reply["errorType"], reply["error"]).into());
        }
        Ok(reply["data"].take())
    }
}

/// Milliseconds as the API takes them.
pub(super) fn seconds(time_ms: i64) -> String {
    format!("{}.{:03}", time_ms.div_euclid(1000), time_ms.rem_euclid(1000))
}
