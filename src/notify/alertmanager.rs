//! Whom to tell: the URLs that discovered Alertmanagers stand for.

use std::sync::Arc;

use crate::config::AlertmanagerConfig;
use crate::discovery::TargetGroup;
use crate::model::{Labels, LabelsBuf};
use crate::net::{HttpUrl, UrlError, http_url};
use crate::relabel;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__alerts_path__";

/// What became of the discovered Alertmanagers of a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Where alerts are sent; each URL once.
    pub(super) active: Vec<String>,
    /// Where they would be, had no rule dropped it.
    pub(super) dropped: Vec<String>,
}

/// Why nothing can be sent to an Alertmanager.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum BuildError {
    #[error("no address")]
    NoAddress,
    #[error("{0:?} is not a valid hostname")]
    BadAddress(String),
    #[error(transparent)]
    Url(#[from] UrlError),
}

/// The Alertmanagers of `config` among `groups`. One that nothing can be sent to is told in the log and left out.
pub(super) fn find(config: &AlertmanagerConfig, groups: &[Arc<TargetGroup>]) -> Found {
    let mut found = Found::default();
    let mut labels = LabelsBuf::new();
    let path = post_path(&config.path_prefix);
    for group in groups {
        for own in &group.targets {
            discovered(config, &path, group, own, &mut labels);
            let before = url(&labels);
            if !relabel::apply(&config.relabel_configs, &mut labels) {
                found.dropped.push(before);
                continue;
            }
            if config.sigv4.is_some() {
                // Signatures are for paths without doubled slashes and dots.
                let path = clean(labels.get(PATH).unwrap_or(""));
                labels.set(PATH, &path);
            }
            match usable(&labels) {
                Ok(url) if found.active.contains(&url) => {}
                Ok(url) => found.active.push(url),
                Err(error) => tracing::error!(target = %own, %error, "invalid Alertmanager target"),
            }
        }
    }
    found
}

/// Fills `labels` with those before relabelling: scheme and path of the configuration go before those of a target, and
/// behind those of its group, as in Prometheus.
fn discovered(
    config: &AlertmanagerConfig,
    path: &str,
    group: &TargetGroup,
    own: &Labels,
    labels: &mut LabelsBuf,
) {
    labels.reset_to(own);
    labels.set(SCHEME, config.scheme.name());
    labels.set(PATH, path);
    for (name, value) in &group.labels {
        if own.get(name).is_none() {
            labels.set(name, value);
        }
    }
}

fn url(labels: &LabelsBuf) -> String {
    let get = |name| labels.get(name).unwrap_or("");
    http_url::write(get(SCHEME), get(ADDRESS), get(PATH), [])
}

fn usable(labels: &LabelsBuf) -> Result<String, BuildError> {
    match labels.get(ADDRESS) {
        None => return Err(BuildError::NoAddress),
        Some(address) if address.contains('/') => return Err(BuildError::BadAddress(address.to_owned())),
        Some(_) => {}
    }
    let url = url(labels);
    HttpUrl::parse(&url)?;
    Ok(url)
}

/// Where alerts are posted below `prefix`, without doubled slashes and dots.
fn post_path(prefix: &str) -> String {
    clean(&format!("{prefix}/api/v2/alerts"))
}

/// A path without doubled slashes and dots.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, parse};

    fn check(config: &str, groups: &[Vec<Labels>], active: &[&str], dropped: &[&str]) {
        let text = format!("alerting: {{alertmanagers: [{{{config}}}]}}\n");
        let config = parse(&text, "f", &LoadOptions::default()).expect(&text);
        let group = |targets: &Vec<Labels>| {
            Arc::new(TargetGroup {
                source: "s".to_owned(),
                targets: targets.clone(),
                labels: Labels::from_pairs([("team", "a")]),
            })
        };
        let groups: Vec<_> = groups.iter().map(group).collect();
        let found = find(&config.alerting.alertmanagers[0], &groups);
        assert_eq!((found.active, found.dropped), (owned(active), owned(dropped)), "{text}");
    }

    fn owned(urls: &[&str]) -> Vec<String> {
        urls.iter().map(|url| (*url).to_owned()).collect()
    }

    fn at(address: &str) -> Labels {
        Labels::from_pairs([("__address__", address)])
    }

    #[test]
    fn urls_are_those_that_prometheus_makes() {
        let two = [vec![at("a:9093"), at("b")], vec![at("a:9093")]];
        check("", &two, &["http://a:9093/api/v2/alerts", "http://b/api/v2/alerts"], &[]);
        let one = &[vec![at("a")]];
        for prefix in ["/am", "am", "/am/", "//x/../am/."] {
            let config = format!("scheme: HTTPS, path_prefix: {prefix:?}");
            check(&config, one, &["https://a/am/api/v2/alerts"], &[]);
        }
        let rules = "relabel_configs: [{source_labels: [__address__], regex: b, action: drop}, \
                     {target_label: __alerts_path__, replacement: /x y}, {target_label: __scheme__, replacement: https}]";
        check(rules, &two, &["https://a:9093/x%20y"], &["http://b/api/v2/alerts"]);
        let rules = "relabel_configs: [{source_labels: [team], target_label: __address__}]";
        check(rules, &two, &["http://a/api/v2/alerts"], &[]);
    }

    #[test]
    fn scheme_and_path_of_a_group_go_before_those_of_the_configuration() {
        let config = AlertmanagerConfig::default();
        let labels = Labels::from_pairs([("__scheme__", "https"), ("__alerts_path__", "/p")]);
        let own = Labels::from_pairs([("__address__", "a"), ("__alerts_path__", "/own")]);
        let group = Arc::new(TargetGroup { source: "s".to_owned(), targets: vec![own], labels });
        assert_eq!(find(&config, &[group]).active, ["https://a/api/v2/alerts"]);
    }

    #[test]
    fn what_cannot_be_sent_to_takes_no_other_one_with_it() {
        let odd = [vec![Labels::empty(), at("http://x"), at("a b"), at("a:99999"), at("good")]];
        check("relabel_configs: [{target_label: x}]", &odd, &["http://good/api/v2/alerts"], &[]);
        let rule = "relabel_configs: [{target_label: __scheme__, replacement: ftp}]";
        check(rule, &[vec![at("a")]], &[], &[]);
    }
}
