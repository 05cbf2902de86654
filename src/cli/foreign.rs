//! Flags of Prometheus that this server has no use for, or does not have yet.
//!
//! The first are accepted, with one line in the log for each that is given; the others are refused by name, unless they
//! are given their default. Both are listed by `/api/v1/status/flags`, with the values they would have in Prometheus.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// What becomes of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is accepted and changes nothing, for this reason.
    Nothing(&'static str),
    /// Any value but the default is refused, for this reason.
    Refused(&'static str),
}

use Fate::{Nothing, Refused};

/// A flag of Prometheus. A switch has the default `true` or `false`.
#[derive(Debug)]
struct Flag {
    name: &'static str,
    default: &'static str,
    fate: Fate,
}

const CONSOLES: Fate = Nothing("there are no console templates");
const GO: Fate = Nothing("there is no Go runtime");
const BLOCKS: Fate = Nothing("log and blocks have a format of their own");
const READ: Fate = Nothing("there is no remote read yet");
const AGENT: Fate = Refused("there is no agent mode yet");
const TIMESTAMPS: Fate = Refused("timestamps of scrapes are aligned to their slots by up to 2ms");

const fn flag(name: &'static str, default: &'static str, fate: Fate) -> Flag {
    Flag { name, default, fate }
}

const FLAGS: &[Flag] = &[
    flag("agent", "false", AGENT),
    flag("auto-gomaxprocs", "true", GO),
    flag("auto-gomemlimit", "true", GO),
    flag("auto-gomemlimit.ratio", "0.9", GO),
    flag("auto-gomemlimit.refresh-interval", "0s", GO),
    flag("scrape.adjust-timestamps", "true", TIMESTAMPS),
    flag("scrape.discovery-reload-interval", "5s", Nothing("targets are followed as they are discovered")),
    flag("scrape.timestamp-tolerance", "2ms", TIMESTAMPS),
    flag("storage.agent.checkpoint-from-in-memory-series", "false", AGENT),
    flag("storage.agent.no-lockfile", "false", AGENT),
    flag("storage.agent.path", "data-agent/", AGENT),
    flag("storage.agent.retention.max-time", "4h", AGENT),
    flag("storage.agent.retention.min-time", "5m", AGENT),
    flag("storage.agent.wal-compression", "true", AGENT),
    flag("storage.agent.wal-compression-type", "snappy", AGENT),
    flag("storage.agent.wal-segment-size", "128MB", AGENT),
    flag("storage.agent.wal-truncate-frequency", "2h", AGENT),
    flag("storage.remote.flush-deadline", "1m", Nothing("nothing is sent by remote write yet")),
    flag("storage.remote.read-concurrent-limit", "10", READ),
    flag("storage.remote.read-max-bytes-in-frame", "1048576", READ),
    flag("storage.remote.read-sample-limit", "50000000", READ),
    flag("storage.tsdb.allow-overlapping-compaction", "true", BLOCKS),
    flag("storage.tsdb.block-reload-interval", "1m", BLOCKS),
    flag(
        "storage.tsdb.delay-compact-file.path",
        "",
        Refused("blocks have a format of their own, which cannot be uploaded by others"),
    ),
    flag("storage.tsdb.delayed-compaction.max-percent", "10", BLOCKS),
    flag("storage.tsdb.head-chunks-write-queue-size", "0", BLOCKS),
    flag("storage.tsdb.max-block-chunk-segment-size", "", BLOCKS),
    flag("storage.tsdb.max-block-duration", "", BLOCKS),
    flag("storage.tsdb.min-block-duration", "2h", BLOCKS),
    flag("storage.tsdb.no-lockfile", "false", Nothing("the data directory is always locked")),
    flag("storage.tsdb.samples-per-chunk", "120", BLOCKS),
    flag("storage.tsdb.wal-compression", "true", BLOCKS),
    flag("storage.tsdb.wal-compression-type", "snappy", BLOCKS),
    flag("storage.tsdb.wal-segment-size", "128MB", BLOCKS),
    flag("web.config.file", "", Refused("there are neither TLS nor users yet; put a reverse proxy in front")),
    flag("web.console.libraries", "console_libraries", CONSOLES),
    flag("web.console.templates", "consoles", CONSOLES),
    flag("web.enable-otlp-receiver", "false", Refused("there is no OTLP receiver yet")),
    flag("web.max-notifications-subscribers", "16", Nothing("there are no notifications yet")),
    flag(
        "web.remote-write-receiver.accepted-protobuf-messages",
        "prometheus.WriteRequest,io.prometheus.write.v2.Request",
        Nothing("messages of remote write 1.0 and 2.0 are both taken"),
    ),
    flag("web.search.max-limit", "10000", Nothing("there is no search API yet")),
    flag("web.user-assets", "", Refused("files of your own are not served")),
];

impl Flag {
    fn is_switch(&self) -> bool {
        matches!(self.default, "true" | "false")
    }

    fn arg(&self) -> Arg {
        let help = match self.fate {
            Nothing(why) => format!("Accepted, changes nothing: {why}."),
            Refused(why) => format!("Refused: {why}."),
        };
        let arg = Arg::new(self.name).long(self.name).help(help).hide(true);
        match self.default {
            "true" => arg.action(ArgAction::SetTrue).default_value("true"),
            "false" => arg.action(ArgAction::SetTrue),
            "" => arg.value_name("VALUE").action(ArgAction::Append),
            default => arg.value_name("VALUE").action(ArgAction::Append).default_value(default),
        }
    }
}

/// The `serve` command with the flags of this table, and with the opposite of every switch, `--no-<name>`.
pub(super) fn extend(command: Command) -> Command {
    let command = command.args(FLAGS.iter().map(Flag::arg));
    let is_switch = |arg: &Arg| matches!(arg.get_action(), ArgAction::SetTrue);
    let opposite = |arg: &Arg| [OPPOSITE, arg.get_long().unwrap_or_default()].concat();
    let opposites: Vec<Arg> = command
        .get_arguments()
        .filter(|arg| is_switch(arg))
        .map(|arg| {
            let name = opposite(arg);
            let new = Arg::new(name.clone()).long(name).action(ArgAction::SetTrue);
            new.overrides_with(arg.get_id()).hide(true)
        })
        .collect();
    let with_opposite = |arg: Arg| {
        if !is_switch(&arg) {
            return arg;
        }
        let name = opposite(&arg);
        arg.overrides_with(name)
    };
    command.mut_args(with_opposite).args(opposites)
}

/// What the opposite of a switch begins with.
pub(super) const OPPOSITE: &str = "no-";

/// The value of an argument of the command line of `serve`; values of one that is repeated are joined by commas.
pub(super) fn value(matches: &ArgMatches, arg: &Arg) -> String {
    let id = arg.get_id().as_str();
    if !arg.get_action().takes_values() {
        let off = arg.get_long().is_some_and(|name| given(matches, &format!("{OPPOSITE}{name}")));
        return (matches.get_flag(id) && !off).to_string();
    }
    let raw = matches.try_get_raw(id).ok().flatten();
    let values: Vec<String> = raw.into_iter().flatten().map(|v| v.to_string_lossy().into_owned()).collect();
    values.join(",")
}

fn given(matches: &ArgMatches, id: &str) -> bool {
    matches!(matches.try_contains_id(id), Ok(true))
        && matches.value_source(id) == Some(ValueSource::CommandLine)
}

/// What is said of the flags of this table that are given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Flags that change nothing, each with the reason.
    pub(super) ignored: Vec<(String, &'static str)>,
    /// Flags that are refused, each with the reason.
    pub(super) refused: Vec<(String, &'static str)>,
}

/// Looks for flags of this table on the command line of `serve`.
pub(super) fn judge(command: &Command, matches: &ArgMatches) -> Said {
    let mut said = Said::default();
    for flag in FLAGS {
        let opposite = format!("{OPPOSITE}{}", flag.name);
        let is_off = flag.is_switch() && given(matches, &opposite);
        if !is_off && !given(matches, flag.name) {
            continue;
        }
        let Some(arg) = command.get_arguments().find(|arg| arg.get_long() == Some(flag.name)) else {
            continue;
        };
        let shown = format!("--{}", if is_off { &opposite } else { flag.name });
        match flag.fate {
            Nothing(why) => said.ignored.push((shown, why)),
            Refused(why) if value(matches, arg) != flag.default => said.refused.push((shown, why)),
            Refused(_) => {}
        }
    }
    said
}

/// What becomes of a feature of Prometheus that has no switch here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// It is always on.
    Always,
    /// It says how Prometheus works inside.
    Meaningless,
    /// It stays off.
    Missing,
    /// Prometheus does not know it either.
    Unknown,
}

/// What becomes of the feature called `name`.
pub(super) fn feature(name: &str) -> Feature {
    match name {
        "exemplar-storage"
        | "expand-external-labels"
        | "memory-snapshot-on-shutdown"
        | "metadata-wal-records"
        | "native-histograms"
        | "no-default-scrape-port"
        | "promql-at-modifier"
        | "promql-duration-expr"
        | "promql-negative-offset"
        | "promql-per-step-stats"
        | "utf8-names" => Feature::Always,
        "auto-gomaxprocs"
        | "auto-gomemlimit"
        | "concurrent-rule-eval"
        | "delayed-compaction"
        | "histograms-st-encoding"
        | "new-service-discovery-manager"
        | "use-uncached-io"
        | "xor2-encoding" => Feature::Meaningless,
        "old-ui"
        | "otlp-deltatocumulative"
        | "otlp-native-delta-ingestion"
        | "search-api"
        | "st-synthesis" => Feature::Missing,
        _ => Feature::Unknown,
    }
}
