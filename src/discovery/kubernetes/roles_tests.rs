//! The targets of every role are those that Prometheus 3.14 finds in the same cluster.
//!
//! `testdata/targets.json` is what its package `discovery/kubernetes` handed on for each configuration when
//! `testdata/cluster.json` was served to it: group by group, the labels of each target with those of its group.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::fake_api::FakeApi;
use crate::discovery::TargetGroup;
use crate::discovery::fake::Found;

#[derive(Deserialize)]
struct Given {
    path: String,
    object: Value,
}

type Target = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Expected {
    config: String,
    groups: BTreeMap<String, Vec<Target>>,
}

/// The labels of each target with those of the group.
fn targets(group: &TargetGroup) -> Vec<Target> {
    let own = |pairs: &crate::model::Labels| -> Target {
        pairs.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let target = |target| {
        let mut all = own(&group.labels);
        all.extend(own(target));
        all
    };
    let mut targets: Vec<Target> = group.targets.iter().map(target).collect();
    targets.sort_unstable();
    targets
}

#[tokio::test]
async fn every_role_finds_what_prometheus_finds() {
    let api = FakeApi::start().await;
    let cluster: Vec<Given> = serde_json::from_str(include_str!("testdata/cluster.json")).expect("valid");
    for Given { path, object } in cluster {
        api.put(&path, object);
    }
    let all: Vec<Expected> = serde_json::from_str(include_str!("testdata/targets.json")).expect("valid");
    assert!(all.len() > 6);
    for Expected { config, groups: mut expected } in all {
        let mut found = Found::start(&format!(
            "kubernetes_sd_configs: [{{api_server: 'http://{}', {config}}}]",
            api.address
        ));
        let groups = found.until(|groups| !groups.is_empty()).await;
        for group in &groups {
            let mut theirs = expected.remove(&group.source).unwrap_or_default();
            theirs.sort_unstable();
            let ours = targets(group);
            assert_eq!(ours.len(), theirs.len(), "{config}: {}", group.source);
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours, theirs, "{config}: {}", group.source);
            }
        }
        assert!(expected.is_empty(), "{config} lacks {:?}", expected.keys());
        found.manager.stop().await;
    }
}
