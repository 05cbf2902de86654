//! Configurations that must be refused and bodies that must be read, from the conformance data.
//!
//! The data is looked for in `EMBERKEEP_CONFORMANCE`, then beside the checkout. Without it the tests say so and pass,
//! unless `EMBERKEEP_REQUIRE_ALL=1`.

use std::path::{Path, PathBuf};

use emberkeep::config::{Config, Error, LoadOptions, load};
use emberkeep::expfmt::{Entry, Format, Parser, parse_series};
use emberkeep::model::LabelsBuf;

use crate::support::files::conformance as folder;

fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("readable folder")
        .map(|entry| entry.expect("readable entry").path())
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no {suffix} in {}", folder.display());
    files
}

#[test]
fn faulty_configurations_are_refused_with_file_and_line() {
    let Some(folder) = folder("config") else { return };
    let mut accepted = Vec::new();
    for path in files(&folder, ".bad.yml") {
        match load(&path, &LoadOptions::default()) {
            Ok(_) => accepted.push(path),
            Err(error) => {
                let text = error.to_string();
                // A further file that it names may be the one that is wrong.
                let (file, rest) = text.split_once(".yml:").unwrap_or_default();
                let is_near = Path::new(file).starts_with(&folder);
                let line = rest.split(':').next().filter(|_| is_near);
                let has_line = line.is_some_and(|line| line.parse::<usize>().is_ok());
                // A file that is not text has no lines.
                assert!(has_line || text.contains("cannot read"), "{text}");
            }
        }
    }
    assert!(accepted.is_empty(), "accepted: {accepted:?}");
}

/// What is wrong with the file at `path`, one by one.
fn refusals(path: &Path) -> Vec<Error> {
    match load(path, &LoadOptions::default()).map(|_: Config| ()) {
        Ok(()) => Vec::new(),
        Err(Error::Several(several)) => several,
        Err(one) => vec![one],
    }
}

/// The keys that nothing is wrong with but that they are not supported.
fn unsupported_keys(path: &Path) -> Vec<String> {
    let key = |error| match error {
        Error::Unsupported { key, .. } => key,
        other => panic!("{other}"),
    };
    refusals(path).into_iter().map(key).collect()
}

#[test]
fn nothing_is_wrong_with_a_good_configuration_but_what_is_not_supported() {
    let Some(folder) = folder("config") else { return };
    let keys = unsupported_keys(&folder.join("conf.good.yml"));
    for key in ["remote_write", "remote_read", "tracing"] {
        assert!(keys.iter().any(|told| told == key), "{key} is not among {keys:?}");
    }
    assert!(!keys.iter().any(|told| told == "otlp"), "{keys:?}");
}

#[test]
fn configurations_of_others_lack_remote_storage_alone() {
    let Some(folder) = folder("real/configs") else { return };
    for (file, expected) in [
        ("009.yml", &["remote_write"][..]),
        ("013.yml", &["remote_write"]),
        ("015.yml", &["remote_write", "remote_read"]),
        ("045.yml", &["remote_write"]),
        ("059.yml", &["remote_write", "remote_read"]),
    ] {
        assert_eq!(unsupported_keys(&folder.join(file)), expected, "{file}");
    }
}

#[test]
fn each_faulty_section_is_refused_for_its_own_reason() {
    let Some(folder) = folder("config") else { return };
    let reasons = [
        ("empty_rr_config", "remote_read[0]: empty or null entry"),
        ("empty_rw_config", "remote_write[0]: empty or null entry"),
        ("remote_read_dup", "remote_read[1].name: name \"queue1\" is used twice"),
        ("remote_read_header", "setting header \"x-prometheus-remote-write-version\" is not allowed"),
        ("remote_write_authorization_header", "setting header \"authorization\" is not allowed"),
        ("remote_write_dup", "remote_write[1].name: name \"queue1\" is used twice"),
        ("remote_write_queue_capacity_zero", "queue_config.capacity: must be a positive number"),
        ("remote_write_queue_max_backoff_less_than_min", "max_backoff must not be less than min_backoff"),
        ("remote_write_queue_max_shards_zero", "queue_config.max_shards: must be a positive number"),
        ("remote_write_queue_min_shards_greater_than_max", "min_shards 100 is more than max_shards 10"),
        ("remote_write_url_missing", "remote_write[0].url: url is missing"),
        ("remote_write_wrong_msg", "not \"io.prometheus.writet.v2.Request\""),
        ("otlp_ignore_resource_attributes_without_promote_all", "needs promote_all_resource_attributes"),
        ("otlp_promote_all_resource_attributes", "together with promote_all_resource_attributes"),
        ("otlp_sanitize_promote_resource_attributes", "attribute \"k8s.job.name\" is there twice"),
        ("tracing_invalid_authorization_header", "setting header \"authorization\" is not allowed"),
        ("tracing_invalid_compression", "must be gzip or empty, not \"foo\""),
        ("tracing_missing_endpoint", "tracing.endpoint: endpoint is missing"),
    ];
    for (name, reason) in reasons {
        let told = refusals(&folder.join(format!("{name}.bad.yml")));
        assert!(told.iter().any(|error| error.to_string().contains(reason)), "{name}: {told:?}");
    }
}

#[test]
fn captured_bodies_are_read_to_their_end() {
    let Some(folder) = folder("exposition") else { return };
    for path in files(&folder, ".txt") {
        let format =
            if path.to_string_lossy().ends_with(".om.txt") { Format::OpenMetrics } else { Format::Text };
        let body = std::fs::read(&path).expect("readable file");
        let text = String::from_utf8_lossy(&body);
        let expected = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        let mut parser = Parser::new(&body, format);
        let mut labels = LabelsBuf::new();
        let mut samples = 0;
        while let Some(entry) = parser.next_entry(None).expect("valid body") {
            if let Entry::Sample(sample) = entry {
                samples += 1;
                parse_series(sample.series, parser.kind(), &mut labels).expect("valid series");
                assert!(!labels.metric_name().is_empty());
            }
        }
        assert_eq!(samples, expected, "{}", path.display());
    }
}

#[test]
fn the_sample_configuration_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/image-gallery.yml");
    let config = load(&path, &LoadOptions::default()).expect("valid configuration");
    let jobs: Vec<&str> = config.scrape_configs.iter().map(|job| job.job_name.as_str()).collect();
    assert_eq!(jobs, ["image-gallery", "iotd-api", "access-log", "docker"]);
    assert_eq!(config.scrape_configs[2].scrape_interval.as_secs(), 3);
    assert_eq!(config.scrape_configs[3].discovery.fixed[0].targets, ["${DOCKER_HOST}:9323"]);
}
