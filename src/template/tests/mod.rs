//! Templates and what they expand to.
//!
//! `cases.txt` holds templates with the text or error that Prometheus' own functions gave for them under Go's
//! `text/template`; where the two differ on purpose it has ours, and `docs/templates.md` says so.

mod hostile;
mod messages;
mod values;

use std::sync::Arc;

use super::{Data, Error, Limits, QuerySample, SampleValue, Source, Template};
use crate::model::Labels;

/// Answers `one`, `two` and `empty`.
struct Samples;

impl Source for Samples {
    fn query(&self, expression: &str) -> Result<Vec<QuerySample>, String> {
        let sample = |pairs: &[(&str, &str)], value| QuerySample {
            labels: labels(pairs),
            value: SampleValue::Float(value),
        };
        match expression {
            "empty" => Ok(Vec::new()),
            "one" => Ok(vec![sample(&[("__name__", "metric"), ("__value__", "v"), ("instance", "a")], 11.0)]),
            "two" => Ok(vec![
                sample(&[("__name__", "metric"), ("instance", "b")], 21.0),
                sample(&[("__name__", "metric"), ("instance", "a")], 11.5),
            ]),
            other => Err(format!("cannot query {other}")),
        }
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

/// Expands a template called `test` with the data of all cases.
fn expand_within(text: &str, value: SampleValue, limits: &Limits) -> Result<String, Error> {
    let data = Data {
        labels: &labels(&[("instance", "a:9090"), ("job", "node"), ("weird", "<x>&'\"\u{e9}")]),
        external_labels: &labels(&[("env", "prod")]),
        external_url: "http://testhost:9090/path/prefix",
        path_prefix: "/path/prefix",
        value,
        timestamp_ms: 1_353_755_652_000,
    };
    Template::parse("test", text)?.expand(&data, &Samples, limits)
}

fn expand(text: &str) -> Result<String, Error> {
    expand_within(text, SampleValue::Float(1234.5678), &Limits::default())
}

/// `\n`, `\r`, `\t`, `\0` and `\\` stand for themselves.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, c == '\\') {
            (_, true) => out.push(match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('0') => '\0',
                other => other.unwrap_or('\\'),
            }),
            (c, false) => out.push(c),
        }
    }
    out
}

#[test]
fn templates_expand_as_in_prometheus() {
    let cases = include_str!("cases.txt");
    let mut lines = cases.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (mut count, mut wrong) = (0, Vec::new());
    while let Some(line) = lines.next() {
        let template = unescaped(line.strip_prefix("template ").expect("a template"));
        let expected = lines.next().expect("what it gives");
        let result = match expand(&template) {
            Ok(text) => format!("text {text}"),
            Err(error @ Error::Parse { .. }) => format!("unreadable {}: {}", error.place(), error.reason()),
            Err(error) => format!("failing {}: {}", error.place(), error.reason()),
        };
        if result != unescaped(expected) {
            wrong.push(format!("{template}\n  expected {expected}\n  got      {result}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 200, "{count} cases");
}

#[test]
fn errors_say_where_and_what() {
    let text = |template: &str| expand(template).expect_err(template).to_string();
    assert_eq!(
        text("a\n {{ query \"empty\" | first }}"),
        "error executing template test: template: test:2:21: executing \"test\" at <first>: \
         error calling first: first() called on vector with no elements"
    );
    assert_eq!(
        text("{{ define \"x\" }}{{ .Foo }}{{ end }}{{ template \"x\" 1 }}"),
        "error executing template test: template: test:1:20: executing \"x\" at <.Foo>: \
         can't evaluate field Foo in type int"
    );
    assert_eq!(
        text("x\n{{ nope }}"),
        "error parsing template test: template: test:2:4: function \"nope\" not defined"
    );
}

#[test]
fn errors_are_short() {
    let long = "x".repeat(100_000);
    for template in [
        format!("{{{{ {long} }}}}"),
        format!("{{{{ .{long} }}}}"),
        format!("{{{{ \"{long}\" | humanize }}}}"),
        format!("{{{{ query \"{long}\" }}}}"),
        format!("{{{{ match \"({long}\" \"\" }}}}"),
        format!("{{{{ template \"{long}\" }}}}"),
        format!("{{{{ define \"{long}\" }}}}{{{{ .Foo }}}}{{{{ end }}}}{{{{ template \"{long}\" 1 }}}}"),
        format!("{{{{ \"{long}\" \"{long}\" }}}}"),
    ] {
        let error = expand(&template).expect_err("an error").to_string();
        assert!(error.len() < 2000, "{} bytes: {}", error.len(), &error[..200]);
    }
}

#[test]
fn a_template_without_actions_is_literal() {
    let parse = |text: &str| Template::parse("test", text).expect(text);
    assert!(parse("plain } text {").is_literal());
    assert!(parse("").is_literal());
    assert!(!parse("{{ 1 }}").is_literal());
    assert!(!parse("a {{/* comment */}}").is_literal());
    assert!(!parse("a{{ define \"x\" }}{{ end }}").is_literal());
    assert_eq!(parse("{{ 1 }}"), parse("{{ 1 }}"));
    assert_ne!(parse("{{ 1 }}"), parse("{{ 2 }}"));
    assert_eq!(parse("{{ 1 }}").clone().text(), "{{ 1 }}");
}

#[test]
fn templates_are_shared_between_threads() {
    fn check<T: Send + Sync>(_: &T) {}
    check(&Template::parse("test", "{{ 1 }}").expect("a template"));
    check(&Arc::new(Limits::default()));
}
