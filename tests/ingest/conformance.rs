//! Configurations that must be refused and bodies that must be read, from the conformance data.
//!
//! The data is looked for in `EMBERKEEP_CONFORMANCE`, then beside the checkout. Without it the tests say so and pass,
//! unless `EMBERKEEP_REQUIRE_ALL=1`.

use std::path::{Path, PathBuf};

use emberkeep::config::{Config, LoadOptions, load};
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

#[test]
fn a_configuration_with_unsupported_sections_is_refused_by_name() {
    let Some(folder) = folder("config") else { return };
    let error = load(&folder.join("conf.good.yml"), &LoadOptions::default()).map(|_: Config| ());
    assert!(error.expect_err("unsupported").to_string().contains("is not supported yet"));
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
