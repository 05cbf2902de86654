//! `Target`: what is scraped. Built from a discovered target, its group, its job and the relabelling rules.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::timing::stable_hash;
use crate::config::ScrapeConfig;
use crate::discovery::TargetGroup;
use crate::expfmt::ReadOptions;
use crate::model::{Labels, LabelsBuf, format_duration, parse_duration};
use crate::net::http_url;
use crate::relabel;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const NATIVE: &str = "__scrape_native_histograms__";
const CLASSIC_TOO: &str = "__always_scrape_classic_histograms__";
const CONVERT: &str = "__convert_classic_histograms_to_nhcb__";
const SOCKET: &str = "__unix_socket__";
const PARAM: &str = "__param_";

/// A target as it is scraped.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    /// Before relabelling.
    pub(super) discovered: Labels,
    /// On every series.
    pub(super) labels: Labels,
    /// Where to.
    pub(super) url: String,
    /// The Unix socket that leads there, whatever the URL says.
    pub(super) socket: Option<Arc<str>>,
    /// How often.
    pub(super) interval: Duration,
    /// At most the interval.
    pub(super) timeout: Duration,
    /// What is made of its histograms.
    pub(super) histograms: ReadOptions,
    /// Of labels, URL and socket; two targets of a job with the same hash are one.
    pub(super) hash: u64,
}

/// What became of a discovered target.
#[derive(Debug, PartialEq)]
pub(super) enum Built {
    /// It is scraped.
    Active(Box<Target>),
    /// A rule dropped it; its discovered labels.
    Dropped(Labels),
}

/// Why a invalid target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BuildError {
    #[error("no address")]
    NoAddress,
    #[error("{0:?} is not a valid hostname")]
    BadAddress(String),
    #[error("cannot read {name}: {value:?}")]
    BadDuration { name: &'static str, value: String },
    #[error("cannot read {name}: {value:?} is neither true nor false")]
    BadSwitch { name: &'static str, value: String },
    #[error("scrape timeout is greater than the scrape interval")]
    TimeoutAboveInterval,
}

/// Adds the labels that each target of `job` has before its rules, unless they are there.
pub fn set_defaults(job: &ScrapeConfig, labels: &mut LabelsBuf) {
    let mut set = |name: &str, value: &str| {
        if labels.get(name).is_none() {
            labels.set(name, value);
        }
    };
    set("job", &job.job_name);
    set(INTERVAL, &format_duration(job.scrape_interval));
    set(TIMEOUT, &format_duration(job.scrape_timeout));
    set(PATH, &job.metrics_path);
    set(SCHEME, job.scheme.name());
    let formats = &job.formats;
    for (name, on) in [
        (CONVERT, formats.convert_classic_histograms_to_nhcb),
        (CLASSIC_TOO, formats.always_scrape_classic_histograms),
        (NATIVE, formats.scrape_native_histograms),
    ] {
        set(name, if on { "true" } else { "false" });
    }
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            set(&format!("{PARAM}{name}"), first);
        }
    }
}

/// Builds the target that `own` of `group` stands for in `job`.
pub(super) fn build(
    job: &ScrapeConfig,
    group: &TargetGroup,
    own: &Labels,
    labels: &mut LabelsBuf,
) -> Result<Built, BuildError> {
    labels.reset_to(own);
    for (name, value) in &group.labels {
        if labels.get(name).is_none() {
            labels.set(name, value);
        }
    }
    set_defaults(job, labels);
    let discovered = labels.to_labels();
    if !relabel::apply(&job.relabel_configs, labels) {
        return Ok(Built::Dropped(discovered));
    }
    let address = match labels.get(ADDRESS) {
        None => return Err(BuildError::NoAddress),
        Some(address) if address.contains('/') => return Err(BuildError::BadAddress(address.to_owned())),
        Some(address) => address.to_owned(),
    };
    let interval = duration(labels, INTERVAL)?;
    let timeout = duration(labels, TIMEOUT)?;
    if timeout > interval {
        return Err(BuildError::TimeoutAboveInterval);
    }
    let histograms = ReadOptions {
        native_histograms: switch(labels, NATIVE, job.formats.scrape_native_histograms)?,
        classic_too: switch(labels, CLASSIC_TOO, job.formats.always_scrape_classic_histograms)?,
        convert_classic: switch(labels, CONVERT, job.formats.convert_classic_histograms_to_nhcb)?,
        created: false,
    };
    let url = target_url(job, labels, &address);
    let socket: Option<Arc<str>> = labels.get(SOCKET).filter(|path| !path.is_empty()).map(Arc::from);
    if labels.get("instance").is_none() {
        labels.set("instance", &address);
    }
    labels.remove_where(|name, _| name.starts_with("__"));
    let labels = labels.to_labels();
    let hash = stable_hash(&labels, [url.as_str()].into_iter().chain(socket.as_deref()));
    let target = Target { discovered, labels, url, socket, interval, timeout, histograms, hash };
    Ok(Built::Active(Box::new(target)))
}

fn duration(labels: &LabelsBuf, name: &'static str) -> Result<Duration, BuildError> {
    let text = labels.get(name).unwrap_or("");
    parse_duration(text)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| BuildError::BadDuration { name, value: text.to_owned() })
}

/// A switch that rules may have set; without a value it is as the job has it.
fn switch(labels: &LabelsBuf, name: &'static str, of_job: bool) -> Result<bool, BuildError> {
    match labels.get(name) {
        None => Ok(of_job),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(value) => Err(BuildError::BadSwitch { name, value: value.to_owned() }),
    }
}

fn target_url(job: &ScrapeConfig, labels: &LabelsBuf, address: &str) -> String {
    let mut params: BTreeMap<&str, Vec<&str>> =
        job.params.iter().map(|(k, v)| (k.as_str(), v.iter().map(String::as_str).collect())).collect();
    for (name, value) in labels.iter() {
        if let Some(name) = name.strip_prefix(PARAM) {
            let values = params.entry(name).or_default();
            match values.first_mut() {
                Some(first) => *first = value,
                None => values.push(value),
            }
        }
    }
    let params = params.iter().flat_map(|(name, values)| values.iter().map(|value| (*name, *value)));
    let scheme = labels.get(SCHEME).unwrap_or("http");
    http_url::write(scheme, address, labels.get(PATH).unwrap_or(""), params)
}

impl Target {
    /// A target of `job` with `labels` that is nowhere.
    pub(super) fn plain(job: &ScrapeConfig, labels: Labels) -> Self {
        let formats = &job.formats;
        Self {
            discovered: Labels::empty(),
            labels,
            url: String::new(),
            socket: None,
            interval: job.scrape_interval,
            timeout: job.scrape_timeout,
            histograms: ReadOptions {
                native_histograms: formats.scrape_native_histograms,
                classic_too: formats.always_scrape_classic_histograms,
                convert_classic: formats.convert_classic_histograms_to_nhcb,
                created: false,
            },
            hash: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, parse};

    fn built(job: &str, own: &[(&str, &str)]) -> Result<Built, BuildError> {
        let config = parse(&format!("scrape_configs:\n- job_name: j\n{job}"), "f", &LoadOptions::default())
            .expect("valid");
        let group = TargetGroup {
            source: "s".to_owned(),
            targets: Vec::new(),
            labels: Labels::from_pairs([("env", "x"), ("own", "group")]),
        };
        let own = Labels::from_pairs(own.iter().copied());
        build(&config.scrape_configs[0], &group, &own, &mut LabelsBuf::new())
    }

    #[test]
    fn labels_and_url_follow_the_job() {
        let check = |job: &str, own: &[(&str, &str)], url: &str, labels: &[(&str, &str)]| {
            let Ok(Built::Active(target)) = built(job, own) else { panic!("{job}: {:?}", built(job, own)) };
            assert_eq!(target.url, url);
            assert_eq!(target.labels, Labels::from_pairs(labels.iter().copied()));
        };
        let common = [("env", "x"), ("instance", "h"), ("job", "j"), ("own", "group")];
        check("", &[(ADDRESS, "h")], "http://h/metrics", &common);
        check(
            "  scheme: https\n  params: {a: ['1 2', b]}\n  metrics_path: /p",
            &[(ADDRESS, "h"), ("own", "mine"), ("__meta_x", "y")],
            "https://h/p?a=1+2&a=b",
            &[("env", "x"), ("instance", "h"), ("job", "j"), ("own", "mine")],
        );
        check(
            "  params: {a: [b]}\n  relabel_configs:\n  - {target_label: __param_a, replacement: z}\n  \
             - {target_label: __address__, replacement: 'k:1'}\n  - {target_label: instance, replacement: i}",
            &[(ADDRESS, "h")],
            "http://k:1/metrics?a=z",
            &[("env", "x"), ("instance", "i"), ("job", "j"), ("own", "group")],
        );
    }

    fn active(job: &str, own: &[(&str, &str)]) -> Target {
        match built(job, own) {
            Ok(Built::Active(target)) => *target,
            other => panic!("{job}: {other:?}"),
        }
    }

    #[test]
    fn each_target_has_the_labels_of_its_job_before_the_rules() {
        let job = "  scrape_interval: 90s\n  scrape_timeout: 5s\n  scheme: https\n  metrics_path: /p\n  \
                   params: {a: [b, c], none: []}\n  always_scrape_classic_histograms: true\n";
        let expected = [
            (ADDRESS, "h"),
            (CLASSIC_TOO, "true"),
            (CONVERT, "false"),
            (PATH, "/p"),
            ("__param_a", "b"),
            (SCHEME, "https"),
            (INTERVAL, "1m30s"),
            (NATIVE, "false"),
            (TIMEOUT, "5s"),
            ("env", "x"),
            ("job", "j"),
            ("own", "group"),
        ];
        assert_eq!(active(job, &[(ADDRESS, "h")]).discovered, Labels::from_pairs(expected));
        // Those of the target go before.
        let own = [(ADDRESS, "h"), ("job", "mine"), (PATH, "/q"), (SCHEME, "http"), ("__param_a", "z")];
        let target = active(job, &own);
        assert_eq!(target.url, "http://h/q?a=z&a=c");
        assert_eq!((target.labels.get("job"), target.discovered.get("job")), (Some("mine"), Some("mine")));
    }

    #[test]
    fn labels_of_a_target_say_when_it_is_scraped() {
        let times = |target: &Target| (target.interval.as_millis(), target.timeout.as_millis());
        assert_eq!(times(&active("", &[(ADDRESS, "h")])), (60_000, 10_000));
        let own = [(ADDRESS, "h"), (INTERVAL, "5s"), (TIMEOUT, "500ms")];
        assert_eq!(times(&active("", &own)), (5_000, 500));
        let rules = "  relabel_configs:\n  - {target_label: __scrape_interval__, replacement: 2m}\n  \
                     - {target_label: __scrape_timeout__, replacement: 2m}\n";
        assert_eq!(times(&active(rules, &own)), (120_000, 120_000));
        for (name, value) in [(INTERVAL, "0s"), (INTERVAL, "1.5s"), (TIMEOUT, "0s"), (TIMEOUT, "-1s")] {
            let error = built("", &[(ADDRESS, "h"), (name, value)]);
            assert_eq!(error, Err(BuildError::BadDuration { name, value: value.to_owned() }));
        }
    }

    #[test]
    fn what_begins_with_two_underscores_is_on_no_series() {
        let rules = "  relabel_configs:\n  - {target_label: __tmp_x, replacement: a}\n  \
                     - {source_labels: [__tmp_x, __meta_y], target_label: kept}\n  \
                     - {target_label: instance, replacement: ''}\n";
        let target = active(rules, &[(ADDRESS, "h:1"), ("__meta_y", "b"), ("__other", "c"), ("_one", "d")]);
        let expected = [
            ("_one", "d"),
            ("env", "x"),
            ("instance", "h:1"),
            ("job", "j"),
            ("kept", "a;b"),
            ("own", "group"),
        ];
        assert_eq!(target.labels, Labels::from_pairs(expected));
    }

    #[test]
    fn a_socket_makes_another_target() {
        let of = |own: &[(&str, &str)]| match built("", own) {
            Ok(Built::Active(target)) => target,
            other => panic!("{other:?}"),
        };
        let plain = of(&[(ADDRESS, "h")]);
        let [a, b] = ["/a", "/b"].map(|path| of(&[(ADDRESS, "h"), (SOCKET, path)]));
        assert_eq!((plain.socket.as_deref(), a.socket.as_deref()), (None, Some("/a")));
        assert_eq!((&a.labels, &a.url), (&plain.labels, &plain.url));
        assert!(a.hash != b.hash && a.hash != plain.hash);
        assert_eq!(of(&[(ADDRESS, "h"), (SOCKET, "")]).hash, plain.hash);
    }

    #[test]
    fn rules_decide_on_histograms() {
        let job = "  scrape_native_histograms: true\n  relabel_configs:\n  \
                   - {target_label: __convert_classic_histograms_to_nhcb__, replacement: 'T'}\n  \
                   - {target_label: __scrape_native_histograms__, source_labels: [own]}";
        let check = |own: &str, native_histograms| {
            let Ok(Built::Active(target)) = built(job, &[(ADDRESS, "h"), ("own", own)]) else {
                panic!("{own}: {:?}", built(job, &[(ADDRESS, "h"), ("own", own)]))
            };
            let expected =
                ReadOptions { native_histograms, classic_too: false, convert_classic: true, created: false };
            assert_eq!(target.histograms, expected);
            assert_eq!(target.discovered.get(NATIVE), Some("true"));
            assert_eq!(target.discovered.get(CLASSIC_TOO), Some("false"));
        };
        check("false", false);
        check("1", true);
        let bad = built(job, &[(ADDRESS, "h"), ("own", "maybe")]);
        assert_eq!(bad, Err(BuildError::BadSwitch { name: NATIVE, value: "maybe".to_owned() }));
    }

    #[test]
    fn what_cannot_be_scraped_is_refused() {
        assert_eq!(built("", &[]), Err(BuildError::NoAddress));
        assert_eq!(
            built("  relabel_configs: [{target_label: a}]", &[(ADDRESS, "a/b")]),
            Err(BuildError::BadAddress("a/b".to_owned()))
        );
        let error = built("", &[(ADDRESS, "a"), (INTERVAL, "x")]);
        assert_eq!(error, Err(BuildError::BadDuration { name: INTERVAL, value: "x".to_owned() }));
        assert_eq!(built("", &[(ADDRESS, "a"), (TIMEOUT, "1h")]), Err(BuildError::TimeoutAboveInterval));
        let dropped =
            built("  relabel_configs: [{action: drop, source_labels: [job], regex: j}]", &[(ADDRESS, "a")]);
        assert!(matches!(dropped, Ok(Built::Dropped(labels)) if labels.get(SCHEME) == Some("http")));
    }
}
