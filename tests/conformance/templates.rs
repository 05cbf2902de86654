//! Templates of rule files of other projects: every label and annotation is read and expanded.
//!
//! The files are looked for in `EMBERKEEP_CONFORMANCE`, then beside the checkout. Without them the test says so and
//! passes, unless `EMBERKEEP_REQUIRE_ALL=1`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use emberkeep::model::Labels;
use emberkeep::template::{Data, Limits, QuerySample, SampleValue, Source, Template};

/// Folders with rule files, below that of the conformance data.
const FOLDERS: [&str; 3] = ["real/rules", "rules/files", "rules/promtool"];

/// Templates of these files that Prometheus refuses too, with the reason.
const FAULTY: [(&str, &str); 3] = [
    ("rules-bad.yml", "undefined variable \"$label\""),
    ("test.yaml", "can't evaluate field labels in type struct"),
    ("test_aliases.yaml", "can't evaluate field labels in type struct"),
];

/// Every query gives two samples.
struct Samples;

impl Source for Samples {
    fn query(&self, _: &str) -> Result<Vec<QuerySample>, String> {
        let sample = |instance: &str, value| QuerySample {
            labels: Labels::from_pairs([("instance", instance)]),
            value: SampleValue::Float(value),
        };
        Ok(vec![sample("b", 2.5), sample("a", 1.0)])
    }
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn files() -> Option<Vec<PathBuf>> {
    let root = std::env::var_os("EMBERKEEP_CONFORMANCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance"), PathBuf::from);
    let mut files = Vec::new();
    for folder in FOLDERS.map(|folder| root.join(folder)) {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            let required = std::env::var("EMBERKEEP_REQUIRE_ALL").is_ok_and(|value| value == "1");
            assert!(!required, "{} is missing", folder.display());
            println!("skipped: {} is missing", folder.display());
            return None;
        };
        files.extend(entries.map(|entry| entry.expect("readable entry").path()));
    }
    files.retain(|path| path.extension().is_some_and(|e| e == "yml" || e == "yaml"));
    files.sort();
    Some(files)
}

/// Texts of labels and annotations of alerts, wherever they stand.
fn templates(value: &serde_yaml::Value, out: &mut Vec<String>) {
    match value {
        serde_yaml::Value::Mapping(mapping) => {
            for (key, value) in mapping {
                match value {
                    serde_yaml::Value::Mapping(texts) if key == "labels" || key == "annotations" => {
                        out.extend(texts.values().filter_map(|text| text.as_str().map(str::to_owned)));
                    }
                    value => templates(value, out),
                }
            }
        }
        serde_yaml::Value::Sequence(values) => values.iter().for_each(|value| templates(value, out)),
        _ => {}
    }
}

#[test]
fn templates_of_real_rules_expand() {
    let Some(files) = files() else { return };
    let labels = Labels::from_pairs([("instance", "a.example.com:9090"), ("job", "node")]);
    let external_labels = Labels::from_pairs([("cluster", "eu")]);
    let data = Data {
        labels: &labels,
        external_labels: &external_labels,
        external_url: "http://localhost:9090",
        path_prefix: "",
        value: SampleValue::Float(0.123),
        timestamp_ms: 1_700_000_000_000,
    };
    let (mut count, mut with_actions, mut wrong, mut refused) = (0, 0, Vec::new(), BTreeSet::new());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        let mut texts = Vec::new();
        for document in serde_yaml::Deserializer::from_str(&text) {
            // Some are to be refused as YAML already.
            let Ok(value) = <serde_yaml::Value as serde::Deserialize>::deserialize(document) else { break };
            templates(&value, &mut texts);
        }
        for text in texts {
            count += 1;
            with_actions += usize::from(text.contains("{{"));
            let result = Template::parse("test", &text)
                .and_then(|template| template.expand(&data, &Samples, &Limits::default()));
            match result {
                Ok(text) if text.contains("{{") || text.contains("<no value>") => {
                    wrong.push(format!("{}: {text}", file.display()));
                }
                Ok(_) => {}
                Err(error) => match FAULTY.iter().find(|(name, _)| file.ends_with(name)) {
                    Some((name, reason)) if error.reason().starts_with(reason) => drop(refused.insert(*name)),
                    _ => wrong.push(format!("{}: {text}: {error}", file.display())),
                },
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(refused.into_iter().eq(FAULTY.map(|(name, _)| name)), "each of {FAULTY:?} is refused");
    assert!(with_actions > 50, "{with_actions} of {count} have actions");
}
