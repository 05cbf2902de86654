//! Configurations: what is accepted prints as what is accepted with the same meaning.
#![no_main]

use emberkeep::config::{LoadOptions, parse};
use emberkeep::model::LabelsBuf;
use emberkeep::relabel;
use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        // A line that holds this is refused wherever it stands, in a text too.
        if text.contains("!!binary") {
            return;
        }
        within(256, || {
            let options = LoadOptions::default();
            let _ = parse(text, "f.yml", &LoadOptions { expand_env: true, ..LoadOptions::default() });
            let config = match parse(text, "f.yml", &options) {
                Ok(config) => config,
                Err(error) => return assert!(!error.to_string().is_empty()),
            };
            let printed = config.to_yaml();
            let again = parse(&printed, "f.yml", &options);
            let again = again.unwrap_or_else(|error| panic!("{text:?} as {printed:?}: {error}"));
            // Secrets are not printed.
            if !printed.contains("<secret>") {
                assert_eq!(again, config, "{text:?} as {printed:?}");
            }
            assert_eq!(again.to_yaml(), printed, "{text:?}");
            for job in &config.scrape_configs {
                let mut labels = LabelsBuf::new();
                for (name, value) in [("__address__", "host:9100"), ("job", "a"), ("b", "x-y;z"), ("__name__", "up")] {
                    labels.set(name, value);
                }
                relabel::apply(&job.relabel_configs, &mut labels);
                relabel::apply(&job.metric_relabel_configs, &mut labels);
            }
        });
    }
);

/// One of everything, and the files of the conformance data where it is at hand.
fn made_seeds() -> Vec<Vec<u8>> {
    let text = "global:\n  scrape_interval: 5s\n  sample_limit: 7\n  external_labels: {a: ${HOME}}\nstorage:\n  tsdb:\n    \
        retention:\n      time: 1d\n      size: 5MB\nscrape_configs:\n- job_name: a\n  honor_labels: true\n  \
        params: {x: [y]}\n  metrics_path: /m\n  scheme: https\n  static_configs:\n  - targets: [h:1]\n    \
        labels: {v: 1.10}\n  dns_sd_configs:\n  - names: [x.y]\n    type: A\n    port: 80\n  relabel_configs:\n  \
        - source_labels: [__address__, b]\n    separator: '-'\n    regex: (.*):(\\d+)\n    target_label: c\n    \
        replacement: $1.${2}\n    action: replace\n  metric_relabel_configs:\n  - {regex: b.*, action: labeldrop}\n  \
        - {source_labels: [b], modulus: 8, target_label: m, action: hashmod}\n";
    let shared = seeds::conformance("config").into_iter().filter(|text| text.len() < 4096);
    shared.chain([text.to_owned()]).map(String::into_bytes).collect()
}
