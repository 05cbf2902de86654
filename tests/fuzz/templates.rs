//! Mutated templates: whatever the text, it is read and expanded or refused, within the limits, and never a panic.
//!
//! `EMBERKEEP_FUZZ_TEMPLATES` says how many (5,000 if absent), `EMBERKEEP_TEST_SEED` which.

use emberkeep::model::Labels;
use emberkeep::template::{Data, Limits, QuerySample, SampleValue, Source, Template};

use crate::support::Random;

const SEEDS: &[&str] = &[
    "{{ $labels.job | toUpper | printf \"%-10s|%5d\" 3 }}{{- /* x */ -}} {{ .Value | humanize }}",
    "{{ range $i, $s := query \"two\" | sortByLabel \"instance\" }}{{ $i }}={{ $s.Value }}{{ else }}-{{ end }}",
    "{{ if and (gt $value 1.0) (not $labels.x) }}a{{ else if eq 1 2 3 }}b{{ else }}c{{ end }}",
    "{{ with $x := args 1 \"b\" 0x1F }}{{ index . \"arg1\" | len }}{{ $x.arg0 }}{{ else with 1 }}{{ end }}",
    "{{ define \"t\" }}{{ . }}{{ if . }}{{ template \"t\" \"\" }}{{ end }}{{ end }}{{ template \"t\" 'x' }}",
    "{{ block \"b\" 1e3 }}{{ slice \"abc\" 1 2 }}{{ end }}{{ reReplaceAll \"(a+)|b\" \"${1}$$\" \"aabb\" }}",
    "{{ (toTime 1435065584.128).Format \"Mon Jan _2 15:04:05.000 2006\" }}{{ toDuration \"1.5\" }}",
    "{{ $t := now | toTime }}{{ $t.AddDate 1 2 3 }}{{ ($t.Add (toDuration 60)).Unix }}{{ $t.Month }}",
    "{{ printf \"%[2]*.[1]*f %#v %+q %x %U %c %e %b %T\" 2 8 1.5 $labels \"e\" 65 66 67 1.0 1.0 nil }}",
    "{{ range 5 }}{{ if eq . 3 }}{{ break }}{{ else }}{{ continue }}{{ end }}{{ end }}{{ html \"<\" }}{{ js `'` }}",
];

const PARTS: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    " -}}",
    "{{- ",
    "{{/*",
    "*/}}",
    "(",
    ")",
    "|",
    ".",
    "$",
    ",",
    ":=",
    "=",
    "\"",
    "`",
    "'",
    "\\",
    "{{end}}",
    "{{else}}",
    "if ",
    "else ",
    "with ",
    "range ",
    "define ",
    "template ",
    "block ",
    "break",
    "nil",
    "true",
    "1",
    "-1",
    "1.5",
    "0x",
    "1e308",
    "9223372036854775807",
    "1000000",
    "%",
    "%*d",
    "%999999d",
    "[3]",
    "$x",
    ".Labels",
    "$labels",
    "$value",
    "query ",
    "printf ",
    "print ",
    "len ",
    "index ",
    "slice ",
    "args ",
    "humanize ",
    "humanizeDuration ",
    "toTime ",
    "toDuration ",
    "match ",
    "reReplaceAll ",
    "stripDomain ",
    "[::1]:80",
    "title ",
    ".Format ",
    "\u{e9}",
    "\u{1f600}",
    "\n",
    "\0",
    "\\xff",
    "\\u00e9",
    " ",
    "eq ",
    "lt ",
    "and ",
    "or ",
    "first ",
];

struct Samples;

impl Source for Samples {
    fn query(&self, expression: &str) -> Result<Vec<QuerySample>, String> {
        let sample = |value: &str| QuerySample {
            labels: Labels::from_pairs([("instance", value)]),
            value: SampleValue::Float(1.5),
        };
        match expression.len() {
            0 => Err("no expression".to_owned()),
            1 => Ok(Vec::new()),
            _ => Ok(vec![sample("b"), sample("a")]),
        }
    }
}

fn mutated(random: &mut Random) -> String {
    let pick = |random: &mut Random, len: usize| usize::try_from(random.below(len as u64)).expect("small");
    let mut text: Vec<char> = SEEDS[pick(random, SEEDS.len())].chars().collect();
    for _ in 0..random.below(6) {
        let at = pick(random, text.len() + 1);
        let end = (at + pick(random, 12)).min(text.len());
        match random.below(6) {
            0 => drop(text.drain(at..end)),
            1 => {
                let part: Vec<char> = text[at..end].to_vec();
                text.splice(at..at, part);
            }
            2 => {
                let other: Vec<char> = SEEDS[pick(random, SEEDS.len())].chars().collect();
                let from = pick(random, other.len() + 1);
                let to = (from + pick(random, 40)).min(other.len());
                text.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let part = PARTS[pick(random, PARTS.len())];
                text.splice(at..if random.below(2) == 0 { at } else { end }, part.chars());
            }
        }
    }
    text.into_iter().collect()
}

#[test]
fn mutated_templates_are_expanded_or_refused() {
    let mut random = Random::from_env(1);
    let count = std::env::var("EMBERKEEP_FUZZ_TEMPLATES").ok().and_then(|n| n.parse().ok()).unwrap_or(5000);
    let labels = Labels::from_pairs([("instance", "a:9090"), ("job", "n\u{f6}de")]);
    let data = Data {
        labels: &labels,
        external_labels: &labels,
        external_url: "http://localhost:9090/prefix",
        path_prefix: "/prefix",
        value: SampleValue::Float(1234.5),
        timestamp_ms: 1_700_000_000_000,
    };
    let limits = Limits { max_output_bytes: 1 << 16, max_steps: 20_000, ..Limits::default() };
    let (mut read, mut expanded) = (0, 0);
    for _ in 0..count {
        let text = mutated(&mut random);
        let result = Template::parse("test", &text).and_then(|template| {
            read += 1;
            template.expand(&data, &Samples, &limits)
        });
        match result {
            Ok(result) => {
                expanded += 1;
                assert!(result.len() <= limits.max_output_bytes, "{text}");
            }
            Err(error) => {
                let place = error.place();
                assert!(
                    place.line <= text.matches('\n').count() + 1 && place.column <= text.len() + 1,
                    "{text}: {error}"
                );
                assert!(!error.reason().is_empty() && error.to_string().len() < 2000, "{text}: {error}");
            }
        }
    }
    println!("{count}: {read} read, {expanded} expanded");
    assert!(read * 20 > count && expanded * 20 > count && read < count, "{read} read, {expanded} expanded");
}
