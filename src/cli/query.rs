//! `query`: ask a running server.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Failure, output};
use crate::model::Labels;
use crate::net::{ApiClient, shown_url};
use crate::promql::short_float;

#[derive(Debug, Subcommand)]
pub(super) enum QueryCommand {
    /// Evaluate a query at one time.
    Instant(InstantArgs),
    /// Evaluate a query over a range.
    Range(RangeArgs),
    /// List series.
    Series(SeriesArgs),
    /// List the values of a label.
    Labels(LabelsArgs),
}

#[derive(Debug, Args)]
struct Target {
    /// Address of the server.
    #[arg(long, default_value = "http://localhost:9090")]
    url: String,
    /// Print the reply as JSON.
    #[arg(long)]
    json: bool,
    /// Print the result alone as JSON, without its type.
    #[arg(long, conflicts_with = "json")]
    json_result: bool,
}

#[derive(Debug, Args)]
pub(super) struct InstantArgs {
    /// The query.
    query: String,
    /// Evaluation time, RFC 3339 or seconds since the epoch; now if absent.
    #[arg(long)]
    time: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(super) struct RangeArgs {
    /// The query.
    query: String,
    /// Start, RFC 3339 or seconds since the epoch; an hour before the end if absent.
    #[arg(long)]
    start: Option<String>,
    /// End; now if absent.
    #[arg(long)]
    end: Option<String>,
    /// Step, as a duration or in seconds.
    #[arg(long, default_value = "1m")]
    step: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct Period {
    /// Start, RFC 3339 or seconds since the epoch; the beginning if absent.
    #[arg(long)]
    start: Option<String>,
    /// End; the end if absent.
    #[arg(long)]
    end: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct SeriesArgs {
    /// Series that match, as `{job="node"}`; may be given several times.
    #[arg(long = "match", value_name = "SELECTOR", required = true)]
    selectors: Vec<String>,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(super) struct LabelsArgs {
    /// Name of the label.
    name: String,
    /// Only of series that match, as `{job="node"}`; may be given several times.
    #[arg(long = "match", value_name = "SELECTOR")]
    selectors: Vec<String>,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    target: Target,
}

/// The parameters of a look at series.
fn selection(selectors: Vec<String>, period: Period) -> Vec<(&'static str, String)> {
    let selectors = selectors.into_iter().map(|selector| ("match[]", selector));
    let start = period.start.map(|start| ("start", start));
    selectors.chain(start).chain(period.end.map(|end| ("end", end))).collect()
}

pub(super) fn run(command: QueryCommand) -> Result<(), Failure> {
    match command {
        QueryCommand::Instant(args) => {
            let mut form = vec![("query", args.query)];
            form.extend(args.time.map(|time| ("time", time)));
            ask(&args.target, "query", &form)
        }
        QueryCommand::Range(args) => {
            let now = jiff::Timestamp::now();
            let seconds = |t: jiff::Timestamp| t.as_second().to_string();
            let end = args.end.unwrap_or_else(|| seconds(now));
            let hour_before = |end: &str| match (end.parse::<f64>(), end.parse::<jiff::Timestamp>()) {
                (Ok(end), _) => (end - 3600.0).to_string(),
                (_, Ok(end)) => (end.as_second() - 3600).to_string(),
                // The server says what is wrong with it.
                _ => end.to_owned(),
            };
            let start = args.start.unwrap_or_else(|| hour_before(&end));
            let form = [("query", args.query), ("start", start), ("end", end), ("step", args.step)];
            ask(&args.target, "query_range", &form)
        }
        QueryCommand::Series(args) => ask(&args.target, "series", &selection(args.selectors, args.period)),
        QueryCommand::Labels(args) => {
            let name: String = form_urlencoded::byte_serialize(args.name.as_bytes()).collect();
            // In a path a plus is a plus.
            let endpoint = format!("label/{}/values", name.replace('+', "%20"));
            ask(&args.target, &endpoint, &selection(args.selectors, args.period))
        }
    }
}

fn ask(target: &Target, endpoint: &str, form: &[(&str, String)]) -> Result<(), Failure> {
    let url = format!("{}/api/v1/{endpoint}", target.url.trim_end_matches('/'));
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = ApiClient::new()?;
    let reply = if endpoint.starts_with("label/") {
        // The one that takes no form.
        runtime.block_on(client.get(&format!("{url}?{body}")))?
    } else {
        runtime.block_on(client.post_form(&url, body))?
    };
    let reply: Value = serde_json::from_slice(&reply)
        .map_err(|error| format!("{} did not answer like a Prometheus API: {error}", shown_url(&url)))?;
    if reply["status"] != "success" {
        let text = |key: &str| reply[key].as_str().unwrap_or("unknown").to_owned();
        return Err(format!("{}: {}", text("errorType"), text("error")).into());
    }
    for key in ["warnings", "infos"] {
        for annotation in reply[key].as_array().into_iter().flatten() {
            output::error(annotation.as_str().unwrap_or_default());
        }
    }
    if target.json_result {
        // Series and values of labels have no type.
        output::line(&reply["data"].get("result").unwrap_or(&reply["data"]).to_string());
    } else if target.json {
        output::line(&reply["data"].to_string());
    } else {
        print_result(&reply["data"]);
    }
    Ok(())
}

/// Prints a result as promtool does: one series a line, then its samples, histograms last.
fn print_result(data: &Value) {
    let pair = |pair: &Value| format!("{} @[{}]", sample(&pair[1]), pair[0]);
    match data["resultType"].as_str() {
        Some("vector") => {
            for series in data["result"].as_array().into_iter().flatten() {
                let value = series.get("histogram").unwrap_or(&series["value"]);
                output::line(&format!("{} => {}", metric(&series["metric"]), pair(value)));
            }
        }
        Some("matrix") => {
            for series in data["result"].as_array().into_iter().flatten() {
                output::line(&format!("{} =>", metric(&series["metric"])));
                for samples in [&series["values"], &series["histograms"]] {
                    samples.as_array().into_iter().flatten().for_each(|value| output::line(&pair(value)));
                }
            }
        }
        Some("string") => output::line(data["result"][1].as_str().unwrap_or_default()),
        Some(_) => output::line(&format!("scalar: {}", pair(&data["result"]))),
        // Series, or values of a label.
        None => {
            for item in data.as_array().into_iter().flatten() {
                output::line(&item.as_str().map_or_else(|| output::labels(&labels(item)), str::to_owned));
            }
        }
    }
}

/// A value: a number, or a native histogram with its populated buckets.
fn sample(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.parse().map_or_else(|_| text.to_owned(), decimal);
    }
    let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
    let bucket = |bucket: &Value| {
        // 0: open to the left, 1: to the right, 2: on both sides, 3: on none.
        let (open, close) = match bucket[0].as_u64() {
            Some(0) => ("(", "]"),
            Some(1) => ("[", ")"),
            Some(3) => ("[", "]"),
            _ => ("(", ")"),
        };
        let (lower, upper) = (short_float(number(&bucket[1])), short_float(number(&bucket[2])));
        format!("{open}{lower},{upper}{close}:{}", decimal(number(&bucket[3])))
    };
    let buckets: Vec<String> = value["buckets"].as_array().into_iter().flatten().map(bucket).collect();
    let (count, sum) = (number(&value["count"]), number(&value["sum"]));
    format!("Count: {count:.6}, Sum: {sum:.6}, Buckets: [{}]", buckets.join(" "))
}

/// A number without an exponent, as Go writes it.
fn decimal(value: f64) -> String {
    if value.is_infinite() {
        format!("{}Inf", if value > 0.0 { '+' } else { '-' })
    } else {
        value.to_string()
    }
}

fn metric(value: &Value) -> String {
    labels(value).to_string()
}

fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    Labels::from_pairs(pairs.map(|(n, v)| (n.as_str(), v.as_str().unwrap_or_default())))
}
