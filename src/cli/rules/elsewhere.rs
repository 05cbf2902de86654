//! A server whose query API evaluates rules. What fails for a reason that may pass is asked again a few times.

use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Failure, output};
use crate::model::{Labels, Samples};
use crate::net::{ApiClient, shown_url};
use crate::promql::MatrixSeries;
use crate::rules::backfill::{Answer, Evaluation, Unanswered};

/// Steps of one request: servers refuse more than eleven thousand.
const MAX_STEPS: i64 = 10_000;

/// Pauses between attempts to ask one thing: what fails after the last of them has failed.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// Why an attempt failed.
#[derive(Debug, PartialEq, Eq)]
struct Trouble {
    may_pass: bool,
    /// Whether nobody was there to ask.
    is_unreached: bool,
    reason: String,
}

/// Makes attempts until one succeeds, or fails for good, or there were enough.
async fn attempts<T>(mut attempt: impl AsyncFnMut() -> Result<T, Trouble>) -> Result<T, Trouble> {
    for pause in PAUSES {
        match attempt().await {
            Err(Trouble { may_pass: true, .. }) => tokio::time::sleep(pause).await,
            done => return done,
        }
    }
    let last = attempt().await;
    last.map_err(|trouble| {
        let reason = format!("{} (after {} attempts)", trouble.reason, PAUSES.len() + 1);
        Trouble { reason, ..trouble }
    })
}

pub(super) struct Elsewhere {
    url: String,
    client: ApiClient,
    runtime: Runtime,
}

impl Elsewhere {
    pub(super) fn new(url: &str) -> Result<Self, Failure> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        Ok(Self {
            url: format!("{}/api/v1/query_range", url.trim_end_matches('/')),
            client: ApiClient::new()?,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// What a rule gives, in as many requests as it takes.
    pub(super) fn ask(&mut self, evaluation: Evaluation<'_>) -> Answer {
        let Evaluation { rule, start, end, interval } = evaluation;
        let (mut found, mut from) = (Vec::new(), start);
        while from <= end {
            let to = end.min(from.saturating_add(interval.saturating_mul(MAX_STEPS - 1)));
            found.extend(self.piece(&rule.query, from, to, interval)?);
            from = from.saturating_add(interval.saturating_mul(MAX_STEPS));
        }
        Ok(found)
    }

    fn piece(&self, query: &str, from: i64, to: i64, interval: i64) -> Answer {
        let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
        let form = [
            ("query", query.to_owned()),
            ("start", seconds(from)),
            ("end", seconds(to)),
            ("step", seconds(interval)),
        ];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
        let ask = async || {
            let reply = self.client.ask_form(&self.url, body.clone()).await;
            let (status, body) = reply.map_err(|error| Trouble {
                may_pass: error.may_pass(),
                is_unreached: error.is_unreached(),
                reason: error.to_string(),
            })?;
            judge(status, &body, &self.url)
        };
        let reply = self.runtime.block_on(attempts(ask)).map_err(|trouble| {
            let of = if trouble.is_unreached { Unanswered::Unreached } else { Unanswered::Failed };
            of(trouble.reason)
        })?;
        for warning in reply["warnings"].as_array().into_iter().flatten() {
            output::note(&format!("warning: {}", warning.as_str().unwrap_or_default()));
        }
        read(&reply["data"]).map_err(Unanswered::Failed)
    }
}

/// What a server answers: the whole of it where it went well.
fn judge(status: u16, body: &[u8], url: &str) -> Result<Value, Trouble> {
    // Overloaded, restarting, or a proxy before it that does not reach it.
    let may_pass = status == 429 || status >= 500;
    let trouble = |reason: String| Trouble { may_pass, is_unreached: false, reason };
    let reply: Value = serde_json::from_slice(body).map_err(|error| {
        let url = shown_url(url);
        trouble(format!("{url} did not answer like a Prometheus API (status {status}): {error}"))
    })?;
    if reply["status"] != "success" {
        let text = |key: &str| reply[key].as_str().unwrap_or("unknown").to_owned();
        return Err(trouble(format!("{}: {}", text("errorType"), text("error"))));
    }
    Ok(reply)
}

/// Reads the result of a range query.
fn read(data: &Value) -> Result<Vec<MatrixSeries>, String> {
    let wrong = || "the reply is no result of a range query".to_owned();
    let series = data["result"].as_array().filter(|_| data["resultType"] == "matrix").ok_or_else(wrong)?;
    let one = |series: &Value| {
        if series["histograms"].as_array().is_some_and(|all| !all.is_empty()) {
            return Err(
                "it gives native histograms, which the query API does not tell exactly; use the data \
                        directory as the source"
                    .to_owned(),
            );
        }
        let pairs = series["metric"].as_object().ok_or_else(wrong)?;
        let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
        let labels = Labels::from_pairs(pairs);
        let mut samples = Samples::new();
        for pair in series["values"].as_array().into_iter().flatten() {
            let time = pair[0].as_f64().filter(|time| time.abs() < 1e12).ok_or_else(wrong)?;
            let value = pair[1].as_str().and_then(number).ok_or_else(wrong)?;
            #[expect(clippy::cast_possible_truncation, reason = "the line above bounds it")]
            let time = (time * 1000.0).round() as i64;
            if samples.timestamps.last().is_some_and(|last| *last >= time) {
                return Err(wrong());
            }
            samples.push(time, value);
        }
        Ok(MatrixSeries { labels, samples })
    };
    series.iter().map(one).collect()
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        other => other.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_asked_again_and_not_for_ever() {
        let trouble = |may_pass| Trouble { may_pass, is_unreached: true, reason: "busy".to_owned() };
        let began = tokio::time::Instant::now();
        let mut count = 0;
        let done = attempts(async || {
            count += 1;
            if count < 3 { Err(trouble(true)) } else { Ok(count) }
        });
        assert_eq!(done.await, Ok(3));
        assert_eq!(began.elapsed(), PAUSES[0] + PAUSES[1]);
        let mut count = 0;
        let done: Result<(), _> = attempts(async || {
            count += 1;
            Err(trouble(true))
        })
        .await;
        let last = Trouble { reason: "busy (after 5 attempts)".to_owned(), ..trouble(true) };
        assert_eq!((done, count), (Err(last), 5));
        let mut count = 0;
        let done: Result<(), _> = attempts(async || {
            count += 1;
            Err(trouble(false))
        })
        .await;
        assert_eq!((done, count), (Err(trouble(false)), 1));
    }

    #[test]
    fn servers_that_are_busy_are_told_from_queries_that_are_wrong() {
        let error = br#"{"status":"error","errorType":"execution","error":"too many samples"}"#;
        let judged =
            |status, body: &[u8]| judge(status, body, "http://h/").map_err(|trouble| trouble.may_pass);
        assert_eq!(judged(422, error), Err(false));
        assert_eq!(judged(400, error), Err(false));
        assert_eq!(judged(503, error), Err(true));
        assert_eq!(judged(429, b"slow down"), Err(true));
        assert_eq!(judged(502, b"<html>"), Err(true));
        assert_eq!(judged(404, b"<html>"), Err(false));
        assert!(judged(200, br#"{"status":"success"}"#).is_ok());
    }

    #[test]
    fn results_are_read() {
        let data = json!({ "resultType": "matrix", "result": [
            { "metric": { "a": "b" }, "values": [[1.5, "2"], [2, "+Inf"], [3, "NaN"]] },
        ] });
        let series = read(&data).expect("a result");
        assert_eq!(series[0].labels, Labels::from_pairs([("a", "b")]));
        assert_eq!(series[0].samples.timestamps, [1_500, 2_000, 3_000]);
        assert_eq!(series[0].samples.values[1], f64::INFINITY);
    }

    #[test]
    fn what_is_no_result_is_refused() {
        let with = |series: Value| json!({ "resultType": "matrix", "result": [series] });
        for data in [
            json!({ "resultType": "vector", "result": [] }),
            json!(null),
            with(json!({ "values": [[1, "2"]] })),
            with(json!({ "metric": {}, "values": [[1, "x"]] })),
            with(json!({ "metric": {}, "values": [[2, "1"], [1, "1"]] })),
            with(json!({ "metric": {}, "values": [[1e300, "1"]] })),
            with(json!({ "metric": {}, "histograms": [[1, { "count": "1" }]] })),
        ] {
            assert!(read(&data).is_err(), "{data}");
        }
    }
}
