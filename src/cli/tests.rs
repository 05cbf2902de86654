//! Tests of reading command lines, those of Prometheus above all.

use super::*;
use crate::notify::NotifyOptions;

fn serve(
    line: &[&str],
) -> Result<(serve::ServeArgs, std::collections::BTreeMap<String, String>, foreign::Said), String> {
    let words = std::iter::once("emberkeep").chain(line.iter().copied()).map(OsString::from);
    let command = command();
    let matches =
        command.clone().try_get_matches_from(arguments(words)).map_err(|error| error.to_string())?;
    let Command::Serve(args) = Cli::from_arg_matches(&matches).map_err(|error| error.to_string())?.command
    else {
        return Err("another command".to_owned());
    };
    let given = command.find_subcommand(SERVE).zip(matches.subcommand_matches(SERVE)).expect("serve");
    let (flags, said) = serve::look_at(given);
    Ok((*args, flags, said))
}

#[test]
fn the_command_line_is_well_formed() {
    command().debug_assert();
}

#[test]
fn flags_without_a_command_mean_serve() {
    let check = |line: &[&str], expected: &[&str]| {
        let words = std::iter::once("emberkeep").chain(line.iter().copied()).map(OsString::from);
        let got = arguments(words);
        assert_eq!(got[1..].iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>(), expected);
    };
    check(&[], &["serve"]);
    check(&["--config.file=a"], &["serve", "--config.file=a"]);
    check(&["--help"], &["--help"]);
    check(&["-h"], &["-h"]);
    check(&["--version"], &["--version"]);
    check(&["serve", "--config.file=a"], &["serve", "--config.file=a"]);
    check(&["check", "config", "a"], &["check", "config", "a"]);
}

/// Every flag of Prometheus 3.14, with its default there; a switch has `true` or `false`.
const OF_PROMETHEUS: &[(&str, &str)] = &[
    ("agent", "false"),
    ("alertmanager.drain-notification-queue-on-shutdown", "true"),
    ("alertmanager.notification-batch-size", "256"),
    ("alertmanager.notification-queue-capacity", "10000"),
    ("auto-gomaxprocs", "true"),
    ("auto-gomemlimit", "true"),
    ("auto-gomemlimit.ratio", "0.9"),
    ("auto-gomemlimit.refresh-interval", "0s"),
    ("config.auto-reload", "false"),
    ("config.auto-reload-interval", "30s"),
    ("config.file", "prometheus.yml"),
    ("enable-feature", ""),
    ("log.format", "logfmt"),
    ("log.level", "info"),
    ("query.lookback-delta", "5m"),
    ("query.max-concurrency", "20"),
    ("query.max-samples", "50000000"),
    ("query.timeout", "2m"),
    ("rules.alert.for-grace-period", "10m"),
    ("rules.alert.for-outage-tolerance", "1h"),
    ("rules.alert.resend-delay", "1m"),
    ("rules.max-concurrent-evals", "4"),
    ("scrape.adjust-timestamps", "true"),
    ("scrape.discovery-reload-interval", "5s"),
    ("scrape.timestamp-tolerance", "2ms"),
    ("storage.agent.no-lockfile", "false"),
    ("storage.agent.path", "data-agent/"),
    ("storage.agent.retention.max-time", "4h"),
    ("storage.agent.retention.min-time", "5m"),
    ("storage.agent.wal-compression", "true"),
    ("storage.agent.wal-segment-size", "128MB"),
    ("storage.agent.wal-truncate-frequency", "2h"),
    ("storage.remote.flush-deadline", "1m"),
    ("storage.remote.read-concurrent-limit", "10"),
    ("storage.remote.read-max-bytes-in-frame", "1048576"),
    ("storage.remote.read-sample-limit", "50000000"),
    ("storage.tsdb.allow-overlapping-compaction", "true"),
    ("storage.tsdb.block-reload-interval", "1m"),
    ("storage.tsdb.delay-compact-file.path", ""),
    ("storage.tsdb.delayed-compaction.max-percent", "10"),
    ("storage.tsdb.head-chunks-write-queue-size", "0"),
    ("storage.tsdb.max-block-chunk-segment-size", "512MB"),
    ("storage.tsdb.max-block-duration", "36h"),
    ("storage.tsdb.min-block-duration", "2h"),
    ("storage.tsdb.no-lockfile", "false"),
    ("storage.tsdb.path", "data/"),
    ("storage.tsdb.retention.size", "0B"),
    ("storage.tsdb.retention.time", "15d"),
    ("storage.tsdb.samples-per-chunk", "120"),
    ("storage.tsdb.wal-compression", "true"),
    ("storage.tsdb.wal-compression-type", "snappy"),
    ("storage.tsdb.wal-segment-size", "128MB"),
    ("web.config.file", ""),
    ("web.console.libraries", "console_libraries"),
    ("web.console.templates", "consoles"),
    ("web.cors.origin", ".*"),
    ("web.enable-admin-api", "false"),
    ("web.enable-lifecycle", "false"),
    ("web.enable-otlp-receiver", "false"),
    ("web.enable-remote-write-receiver", "false"),
    ("web.external-url", ""),
    ("web.listen-address", "0.0.0.0:9090"),
    ("web.max-connections", "512"),
    ("web.max-notifications-subscribers", "16"),
    ("web.page-title", "Prometheus Time Series Collection and Processing Server"),
    ("web.read-timeout", "5m"),
    ("web.remote-write-receiver.accepted-protobuf-messages", "prometheus.WriteRequest"),
    ("web.route-prefix", ""),
    ("web.search.max-limit", "10000"),
    ("web.user-assets", ""),
];

#[test]
fn every_flag_of_prometheus_is_known_and_its_default_is_taken() {
    for (name, default) in OF_PROMETHEUS {
        let words = match *default {
            "true" | "false" => vec![format!("--{name}"), format!("--no-{name}")],
            value => vec![format!("--{name}={value}")],
        };
        for word in words {
            let (_, flags, said) = serve(&[&word]).unwrap_or_else(|error| panic!("{word}: {error}"));
            assert!(flags.contains_key(*name), "{name} is not among the flags");
            let refused = said.refused.iter().map(|(flag, _)| flag.as_str()).collect::<Vec<_>>();
            let is_default = word.starts_with("--no-") == (*default == "false") || word.contains('=');
            assert!(refused.is_empty() || (!is_default && refused == [word.as_str()]), "{word}: {refused:?}");
        }
    }
}

#[test]
fn flags_that_change_nothing_are_told_and_others_are_refused_by_name() {
    let ignored = |line: &[&str]| {
        let said = serve(line).expect("accepted").2;
        assert!(said.refused.is_empty(), "{line:?}: {said:?}");
        said.ignored.into_iter().map(|(flag, _)| flag).collect::<Vec<_>>()
    };
    assert_eq!(ignored(&["--web.console.templates=/a", "--web.console.libraries", "/b"]).len(), 2);
    assert_eq!(ignored(&["--no-storage.tsdb.wal-compression"]), ["--no-storage.tsdb.wal-compression"]);
    assert!(ignored(&["--no-web.enable-otlp-receiver", "--no-agent", "--web.config.file="]).is_empty());
    for line in [
        ["--web.config.file=a.yml"],
        ["--agent"],
        ["--web.enable-otlp-receiver"],
        ["--no-scrape.adjust-timestamps"],
        ["--scrape.timestamp-tolerance=5ms"],
        ["--storage.agent.path=a"],
        ["--web.user-assets=a"],
        ["--storage.tsdb.delay-compact-file.path=a"],
    ] {
        let said = serve(&line).expect("known").2;
        let name = line[0].split('=').next().expect("a name");
        assert_eq!(said.refused.iter().map(|(flag, _)| flag.as_str()).collect::<Vec<_>>(), [name]);
    }
    assert!(serve(&["--web.nonsense"]).is_err());
}

#[test]
fn the_last_of_a_switch_and_its_opposite_counts() {
    let value = |line: &[&str]| serve(line).expect("accepted").1["web.enable-lifecycle"].clone();
    assert_eq!(value(&[]), "false");
    assert_eq!(value(&["--web.enable-lifecycle"]), "true");
    assert_eq!(value(&["--web.enable-lifecycle", "--no-web.enable-lifecycle"]), "false");
    assert_eq!(value(&["--no-web.enable-lifecycle", "--web.enable-lifecycle"]), "true");
    assert_eq!(serve(&[]).expect("accepted").1["auto-gomaxprocs"], "true");
}

#[test]
fn flags_of_notification_say_how_alerts_are_sent() {
    let options = |line: &[&str]| {
        let (args, flags, said) = serve(line).expect("accepted");
        assert_eq!(said, foreign::Said::default(), "{line:?}");
        serve::settings(args, flags).notify
    };
    let default = NotifyOptions::default();
    assert_eq!(options(&[]), default);
    assert_eq!(options(&["--alertmanager.drain-notification-queue-on-shutdown"]), default);
    let off = "--no-alertmanager.drain-notification-queue-on-shutdown";
    assert_eq!(options(&[off]), NotifyOptions { drain_on_shutdown: false, ..default });
    assert_eq!(options(&[off, "--alertmanager.drain-notification-queue-on-shutdown"]), default);
    let line = ["--alertmanager.notification-queue-capacity=5", "--alertmanager.notification-batch-size=2"];
    assert_eq!(options(&line), NotifyOptions { queue_capacity: 5, batch_size: 2, ..default });
    for refused in ["queue-capacity=0", "queue-capacity=-1", "batch-size=0", "batch-size=x"] {
        assert!(serve(&[&format!("--alertmanager.notification-{refused}")]).is_err(), "{refused}");
    }
}

#[test]
fn flags_of_prometheus_1_are_recognized() {
    let check = |word: &str| single_dash(&["emberkeep".into(), "serve".into(), word.into()]);
    assert_eq!(check("-storage.local.path=/a").as_deref(), Some("-storage.local.path"));
    assert_eq!(check("-h"), None);
    assert_eq!(check("--config.file=-a.b"), None);
    assert_eq!(check("-1.5"), None);
}

#[test]
fn the_page_of_flags_names_every_flag_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations/flags.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let row = |name: &str| page.lines().find(|line| line.starts_with(&format!("| `--{name}`")));
    let command = command();
    let serve = command.find_subcommand(SERVE).expect("serve");
    let mut known = Vec::new();
    for arg in serve.get_arguments() {
        let Some(name) = arg.get_long().filter(|name| !name.starts_with(foreign::OPPOSITE)) else { continue };
        let row = row(name).unwrap_or_else(|| panic!("--{name} is not on the page"));
        for value in
            arg.get_default_values().iter().map(|value| value.to_string_lossy()).filter(|v| !v.is_empty())
        {
            assert!(row.contains(&format!("`{value}`")), "the default {value} is not in: {row}");
        }
        known.push(name);
    }
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `--")?.split('`').next());
    let unknown: Vec<&str> = rows.filter(|name| !known.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are no flags");
}
