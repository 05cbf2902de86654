//! The command line of promtool, for scripts: a symlink of that name to this program answers its words.
//!
//! Each command that there is has a row in [`COMMANDS`] with the words of ours and its flags; the rest is refused by
//! name. What is printed and the exit codes are those of our commands.

use std::ffi::OsString;
use std::path::Path;

/// A command that both have.
struct Row {
    /// Its words in promtool.
    words: &'static [&'static str],
    /// Our words.
    ours: &'static [&'static str],
    flags: &'static [Flag],
    /// Most arguments.
    arguments: usize,
    /// What stands before ours where promtool has the address of the server.
    server: bool,
    /// The argument that is left out.
    default: Option<(usize, &'static str)>,
}

/// A flag of a command; one that takes a value ends in `=`.
struct Flag(&'static str, Fate);

/// What becomes of a flag.
enum Fate {
    /// We have it too.
    Same,
    /// We have no use for it.
    Nothing,
    /// Of its values this one is a switch of ours; the other one changes nothing.
    Switch { value: &'static str, ours: &'static str, other: &'static str },
}

use Fate::{Nothing, Same, Switch};

const FORMAT: Fate = Switch { value: "json", ours: "--json-result", other: "promql" };
const MANY: usize = usize::MAX;

/// A row whose arguments are the same.
const fn row(words: &'static [&'static str], flags: &'static [Flag], arguments: usize) -> Row {
    Row { words, ours: words, flags, arguments, server: false, default: None }
}

const COMMANDS: &[Row] = &[
    row(
        &["check", "config"],
        &[
            Flag("agent", Same),
            Flag("syntax-only", Same),
            Flag("lint=", Same),
            Flag("lint-fatal", Same),
            Flag("query.lookback-delta=", Same),
            Flag("ignore-unknown-fields", Same),
            Flag("enable-feature=", Same),
        ],
        MANY,
    ),
    row(
        &["check", "rules"],
        &[
            Flag("lint=", Same),
            Flag("lint-fatal", Same),
            Flag("ignore-unknown-fields", Same),
            Flag("enable-feature=", Same),
        ],
        MANY,
    ),
    row(&["check", "metrics"], &[Flag("extended", Same), Flag("lint=", Same)], 0),
    row(&["check", "web-config"], &[], MANY),
    row(
        &["test", "rules"],
        &[
            Flag("run=", Same),
            Flag("diff", Same),
            Flag("debug", Same),
            Flag("junit=", Same),
            Flag("ignore-unknown-fields", Same),
            Flag("enable-feature=", Same),
        ],
        MANY,
    ),
    Row {
        server: true,
        ..row(&["query", "instant"], &[Flag("time=", Same), Flag("format=", FORMAT), Flag("o=", FORMAT)], 2)
    },
    Row {
        server: true,
        ..row(
            &["query", "range"],
            &[
                Flag("start=", Same),
                Flag("end=", Same),
                Flag("step=", Same),
                Flag("format=", FORMAT),
                Flag("o=", FORMAT),
            ],
            2,
        )
    },
    Row {
        server: true,
        ..row(
            &["query", "series"],
            &[
                Flag("match=", Same),
                Flag("start=", Same),
                Flag("end=", Same),
                Flag("format=", FORMAT),
                Flag("o=", FORMAT),
            ],
            1,
        )
    },
    Row {
        server: true,
        ..row(
            &["query", "labels"],
            &[
                Flag("match=", Same),
                Flag("start=", Same),
                Flag("end=", Same),
                Flag("format=", FORMAT),
                Flag("o=", FORMAT),
            ],
            2,
        )
    },
    Row {
        default: Some((0, DATA)),
        ..row(&["tsdb", "list"], &[Flag("human-readable", Nothing), Flag("r", Nothing)], 1)
    },
    Row { default: Some((0, DATA)), ..row(&["tsdb", "analyze"], &[Flag("limit=", Same)], 1) },
    Row {
        default: Some((0, DATA)),
        ..row(
            &["tsdb", "dump"],
            &[
                Flag("min-time=", Same),
                Flag("max-time=", Same),
                Flag("match=", Same),
                Flag("format=", Switch { value: "prom", ours: "--format=lines", other: "prom" }),
                Flag("sandbox-dir-root=", Nothing),
            ],
            1,
        )
    },
    Row {
        ours: &["tsdb", "dump", "--format=openmetrics"],
        default: Some((0, DATA)),
        ..row(
            &["tsdb", "dump-openmetrics"],
            &[
                Flag("min-time=", Same),
                Flag("max-time=", Same),
                Flag("match=", Same),
                Flag("sandbox-dir-root=", Nothing),
            ],
            1,
        )
    },
    Row {
        ours: &["tsdb", "import", "openmetrics"],
        default: Some((1, DATA)),
        ..row(
            &["tsdb", "create-blocks-from", "openmetrics"],
            &[Flag("human-readable", Nothing), Flag("r", Nothing)],
            2,
        )
    },
    Row {
        ours: &["rules", "backfill"],
        ..row(
            &["tsdb", "create-blocks-from", "rules"],
            &[
                Flag("start=", Same),
                Flag("end=", Same),
                Flag("url=", Same),
                Flag("output-dir=", Same),
                Flag("eval-interval=", Same),
                Flag("human-readable", Nothing),
                Flag("r", Nothing),
            ],
            MANY,
        )
    },
    row(&["promql", "format"], &[], 1),
];

/// The server that promtool asks when it is not told.
const SERVER: &str = "http://localhost:9090";

/// Where promtool looks for data when it is not told.
const DATA: &str = "data/";

/// Flags of promtool that take a value where no row says so, so that the words of the command are found.
const OTHER_VALUES: &[&str] = &[
    "enable-feature",
    "http.config.file",
    "query.lookback-delta",
    "url",
    "header",
    "timeout",
    "label",
    "max-block-duration",
    "start",
    "end",
    "output-dir",
    "eval-interval",
    "server",
    "type",
    "duration",
];

/// What becomes of a command line of promtool.
pub(super) enum Translated {
    /// It is this one of ours.
    Ours(Vec<OsString>),
    /// It asks what there is.
    Help(String),
    /// This of it is not there.
    Refused(String),
}

/// The command line translated, if this program is called promtool.
pub(super) fn translated(args: &[OsString]) -> Option<Translated> {
    let program = args.first()?;
    let name = Path::new(program).file_stem()?.to_string_lossy().into_owned();
    if !name.ends_with("promtool") {
        return None;
    }
    let texts: Option<Vec<String>> = args.iter().skip(1).map(|arg| arg.to_str().map(str::to_owned)).collect();
    let Some(texts) = texts else {
        return Some(Translated::Refused("an argument is not valid UTF-8".to_owned()));
    };
    let ours = match texts.as_slice() {
        [one] if matches!(one.as_str(), "--help" | "-h" | "help") => return Some(Translated::Help(known())),
        [one] if one == "--version" => texts,
        _ => match translate(&texts) {
            Ok(ours) => ours,
            Err(reason) => return Some(Translated::Refused(reason)),
        },
    };
    let ours = std::iter::once(program.clone()).chain(ours.into_iter().map(OsString::from));
    Some(Translated::Ours(ours.collect()))
}

/// The commands there are.
fn known() -> String {
    let names: Vec<String> = COMMANDS.iter().map(|row| row.words.join(" ")).collect();
    format!("commands of promtool that this program answers: {}", names.join(", "))
}

/// Flags with their values, and what stands between them.
fn split(args: &[String]) -> (Vec<(String, Option<String>)>, Vec<String>) {
    let takes_value = |name: &str| {
        let of_rows = COMMANDS.iter().flat_map(|row| row.flags).map(|Flag(name, _)| *name);
        OTHER_VALUES.contains(&name)
            || of_rows.filter_map(|flag| flag.strip_suffix('=')).any(|flag| flag == name)
    };
    let (mut flags, mut words) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            words.extend(args.by_ref().cloned());
        } else if let Some(flag) =
            arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).filter(|f| !f.is_empty())
        {
            let (name, mut value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            if value.is_none() && takes_value(name) {
                value = args.next().cloned();
            }
            flags.push((name.to_owned(), value));
        } else {
            words.push(arg.clone());
        }
    }
    (flags, words)
}

fn translate(args: &[String]) -> Result<Vec<String>, String> {
    let (flags, words) = split(args);
    let begins =
        |row: &&Row| row.words.iter().enumerate().all(|(at, word)| words.get(at).is_some_and(|w| w == word));
    let is_help =
        flags.iter().any(|(name, _)| matches!(name.as_str(), "help" | "h" | "help-long" | "help-man"));
    let Some(row) = COMMANDS.iter().find(begins) else {
        if words.is_empty() {
            return Err(format!("a command is missing; {}", known()));
        }
        let asked: Vec<&str> = words.iter().take(3).map(String::as_str).collect();
        return Err(format!("\"promtool {}\" is not supported; {}", asked.join(" "), known()));
    };
    let name = row.words.join(" ");
    let mut ours: Vec<String> = row.ours.iter().map(|word| (*word).to_owned()).collect();
    if is_help {
        ours.push("--help".to_owned());
        return Ok(ours);
    }
    let mut given: Vec<String> = words.get(row.words.len()..).unwrap_or_default().to_vec();
    if given.len() > row.arguments {
        return Err(format!("argument {:?} of \"promtool {name}\" is not supported", given[row.arguments]));
    }
    for (flag, value) in flags {
        ours.extend(translated_flag(row, &name, &flag, value)?);
    }
    if row.server {
        if given.is_empty() {
            return Err(format!("\"promtool {name}\" needs the address of a server"));
        }
        let server = given.remove(0);
        let has_scheme = server.contains("://");
        ours.push(format!("--url={}{server}", if has_scheme { "" } else { "http://" }));
    }
    if let Some((place, default)) = row.default
        && given.len() == place
    {
        given.push(default.to_owned());
    }
    if row.words == ["query", "range"] {
        ours = with_range(ours);
    }
    if row.ours == ["rules", "backfill"] {
        for (flag, default) in [("--url=", SERVER), ("--output-dir=", DATA)] {
            if !ours.iter().any(|arg| arg.starts_with(flag)) {
                ours.push(format!("{flag}{default}"));
            }
        }
    }
    // What follows are no flags, whatever it begins with.
    ours.push("--".to_owned());
    ours.extend(given);
    Ok(ours)
}

/// Our words for a flag of the command of `row`.
fn translated_flag(
    row: &Row,
    command: &str,
    flag: &str,
    value: Option<String>,
) -> Result<Vec<String>, String> {
    let refused = |what: &str| Err(format!("flag {what} of \"promtool {command}\" is not supported"));
    let dashed = if flag.len() == 1 { format!("-{flag}") } else { format!("--{flag}") };
    // Every command has these; functions that are experimental are read anyway, and no command needs the other one.
    let is_global = matches!(flag, "experimental" | "enable-feature");
    let name_of = |entry: &&Flag| entry.0.trim_end_matches('=') == flag;
    let Some(Flag(entry, fate)) = row.flags.iter().find(name_of) else {
        return if is_global { Ok(Vec::new()) } else { refused(&dashed) };
    };
    if entry.ends_with('=') != value.is_some() {
        let what = if value.is_some() { "takes no value" } else { "needs a value" };
        return Err(format!("flag {dashed} of \"promtool {command}\" {what}"));
    }
    let value = value.unwrap_or_default();
    match fate {
        Same if entry.ends_with('=') => Ok(vec![format!("--{flag}={value}")]),
        Same => Ok(vec![format!("--{flag}")]),
        Nothing => Ok(Vec::new()),
        Switch { value: on, ours, .. } if value == *on => Ok(vec![(*ours).to_owned()]),
        Switch { other, .. } if value == *other => Ok(Vec::new()),
        Switch { .. } => refused(&format!("{dashed}={value}")),
    }
}

/// What promtool assumes of a range: five minutes to now, in at most 250 steps.
fn with_range(mut ours: Vec<String>) -> Vec<String> {
    let given =
        |ours: &[String], name: &str| ours.iter().find_map(|arg| arg.strip_prefix(name).map(str::to_owned));
    let seconds = |text: &str| {
        let date = || text.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond() as f64 / 1e3);
        text.parse::<f64>().ok().or_else(date)
    };
    let end = given(&ours, "--end=").unwrap_or_else(|| {
        let now = jiff::Timestamp::now().as_second().to_string();
        ours.push(format!("--end={now}"));
        now
    });
    // What is no time is for the server to refuse.
    let Some(end) = seconds(&end) else { return ours };
    let start = given(&ours, "--start=").unwrap_or_else(|| {
        let start = (end - 300.0).to_string();
        ours.push(format!("--start={start}"));
        start
    });
    if let (Some(start), None) = (seconds(&start), given(&ours, "--step=")) {
        ours.push(format!("--step={}", ((end - start) / 250.0).floor().max(1.0)));
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<String, String> {
        let args: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        translate(&args).map(|ours| ours.join(" "))
    }

    #[test]
    fn command_lines_are_translated() {
        let check = |theirs: &str, ours: &str| assert_eq!(line(theirs), Ok(ours.to_owned()), "{theirs}");
        check("check config --syntax-only a.yml b.yml", "check config --syntax-only -- a.yml b.yml");
        check("check rules --lint none a", "check rules --lint=none -- a");
        check("check rules", "check rules --");
        check(
            "--enable-feature promql-experimental-functions test --junit=o rules --run a --run=b f",
            "test rules --enable-feature=promql-experimental-functions --junit=o --run=a --run=b -- f",
        );
        check("--enable-feature=x check rules a", "check rules --enable-feature=x -- a");
        check(
            "query instant -o json localhost:9090 -- -up",
            "query instant --json-result --url=http://localhost:9090 -- -up",
        );
        check(
            "query --format=promql series https://s/p --match up",
            "query series --match=up --url=https://s/p --",
        );
        check("query labels http://s job", "query labels --url=http://s -- job");
        check(
            "query range --start=0 --end=1970-01-01T01:00:00Z http://s up",
            "query range --start=0 --end=1970-01-01T01:00:00Z --url=http://s --step=14 -- up",
        );
        check(
            "query range --end=1000.5 --step=5s http://s up",
            "query range --end=1000.5 --step=5s --url=http://s --start=700.5 -- up",
        );
        check("tsdb list -r", "tsdb list -- data/");
        check(
            "tsdb dump --format=prom --match={a=\"b\"} d",
            "tsdb dump --format=lines --match={a=\"b\"} -- d",
        );
        check("tsdb dump-openmetrics --max-time=5 d", "tsdb dump --format=openmetrics --max-time=5 -- d");
        check("check web-config a b", "check web-config -- a b");
        check("check metrics --lint none --extended", "check metrics --lint=none --extended --");
        check("tsdb create-blocks-from openmetrics in", "tsdb import openmetrics -- in data/");
        check(
            "tsdb create-blocks-from rules --start 0 --eval-interval=15s --url http://s a.yml b.yml",
            "rules backfill --start=0 --eval-interval=15s --url=http://s --output-dir=data/ -- a.yml b.yml",
        );
        check(
            "tsdb create-blocks-from rules --start 0 --output-dir d a.yml",
            "rules backfill --start=0 --output-dir=d --url=http://localhost:9090 -- a.yml",
        );
        check("promql --experimental format up", "promql format -- up");
        check("tsdb dump --help", "tsdb dump --help");
    }

    #[test]
    fn what_is_not_there_is_refused_by_name() {
        let check = |theirs: &str, part: &str| {
            let refused = line(theirs).expect_err(theirs);
            assert!(refused.contains(part), "{theirs}: {refused}");
        };
        check(
            "check healthy",
            "\"promtool check healthy\" is not supported; commands of promtool that this program answers: check config",
        );
        check("push metrics http://s", "promtool push metrics");
        check("check rules --agent a", "flag --agent of \"promtool check rules\"");
        check("query instant --header a=b http://s up", "flag --header");
        check("query instant --format=xml http://s up", "flag --format=xml");
        check("query instant", "address of a server");
        check("tsdb analyze d block", "argument \"block\"");
        check("tsdb dump --format seriesjson", "--format=seriesjson");
        check("test rules --run", "needs a value");
        check("test rules --diff=x f", "takes no value");
        check("", "a command is missing; commands of promtool");
    }

    #[test]
    fn only_that_name_is_read_as_promtool() {
        let words = |program: &str| [program, "check", "rules"].map(OsString::from).to_vec();
        assert!(matches!(translated(&words("/usr/bin/promtool")), Some(Translated::Ours(_))));
        let help = ["promtool", "--help"].map(OsString::from);
        assert!(matches!(translated(&help), Some(Translated::Help(_))));
        assert!(translated(&words("my-promtool.exe")).is_some());
        assert!(translated(&words("emberkeep")).is_none());
        assert!(translated(&[]).is_none());
    }

    #[test]
    fn every_row_is_a_command_of_ours() {
        for row in COMMANDS {
            let mut command = crate::cli::command();
            for word in row.ours.iter().filter(|word| !word.starts_with("--")) {
                command = command.find_subcommand(word).unwrap_or_else(|| panic!("{word}")).clone();
            }
            for Flag(name, fate) in row.flags {
                let name = name.trim_end_matches('=');
                let has = |long: &str| command.get_arguments().any(|arg| arg.get_long() == Some(long));
                match fate {
                    // A flag that stands above both words.
                    Same => assert!(has(name) || name == "junit", "{name}"),
                    Switch { ours, .. } => {
                        let long = ours.trim_start_matches('-').split('=').next().unwrap_or_default();
                        assert!(has(long), "{ours}");
                    }
                    Nothing => assert!(!has(name), "{name}"),
                }
            }
        }
    }
}
