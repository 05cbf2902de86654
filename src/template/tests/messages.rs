//! Templates of notifications.

use super::super::{Limits, Message, MessageAlert, Template};
use super::labels;

fn message() -> Message {
    let alert = |instance: &str, resolved: bool| MessageAlert {
        resolved,
        labels: labels(&[("alertname", "Down"), ("instance", instance), ("job", "j")]),
        annotations: labels(&[("summary", "<b>it</b> & \"more\"")]),
        starts_at_ms: 1_700_000_000_000,
        ends_at_ms: resolved.then_some(1_700_000_060_000),
        generator_url: "http://h/graph?a=1&b=2".to_owned(),
        fingerprint: "0123456789abcdef".to_owned(),
    };
    Message {
        receiver: "team".to_owned(),
        alerts: vec![alert("a", false), alert("b", true)],
        group_labels: labels(&[("alertname", "Down")]),
        common_labels: labels(&[("alertname", "Down"), ("job", "j")]),
        common_annotations: labels(&[("summary", "s")]),
        external_url: "http://ember".to_owned(),
    }
}

fn expand(text: &str, html: bool) -> Result<String, String> {
    let template = Template::parse_message("t", text, html).map_err(|error| error.to_string())?;
    assert_eq!(template.text(), text);
    let expanded = template.expand_message(&message(), 1_700_000_120_000, &Limits::default());
    expanded.map_err(|error| error.to_string())
}

#[test]
fn the_data_of_alertmanager_is_there() {
    for (text, expected) in [
        ("{{ .Status }} {{ .Receiver }} {{ .ExternalURL }}", "firing team http://ember"),
        ("{{ len .Alerts }} {{ len .Alerts.Firing }} {{ .Alerts.Resolved | len }}", "2 1 1"),
        ("{{ range .Alerts }}{{ .Labels.instance }}={{ .Status }} {{ end }}", "a=firing b=resolved "),
        (
            "{{ range $i, $a := .Alerts }}{{ $i }}{{ $a.Fingerprint }} {{ end }}",
            "00123456789abcdef 10123456789abcdef ",
        ),
        ("{{ (index .Alerts 1).EndsAt.Unix }}", "1700000060"),
        ("{{ (index .Alerts 0).EndsAt.IsZero }}", "true"),
        ("{{ (index .Alerts 0).StartsAt.Format \"15:04\" }}", "22:13"),
        ("{{ .GroupLabels.alertname }}{{ .CommonLabels.none }}", "Down"),
        ("{{ .CommonLabels.SortedPairs.Names | join \",\" }}", "alertname,job"),
        ("{{ .CommonLabels.Values | join \" \" }}", "Down j"),
        ("{{ (.CommonLabels.Remove .GroupLabels.Names).Names | join \",\" }}", "job"),
        ("{{ (.CommonLabels.Remove (stringSlice \"job\" \"x\")).Names | join \",\" }}", "alertname"),
        ("{{ range .CommonLabels.SortedPairs }}{{ .Name }}={{ .Value }};{{ end }}", "alertname=Down;job=j;"),
        ("{{ range $k, $v := .CommonAnnotations }}{{ $k }}:{{ $v }}{{ end }}", "summary:s"),
        ("{{ since (index .Alerts 0).StartsAt }}", "2m0s"),
        (
            "{{ date \"2006\" (index .Alerts 0).StartsAt }}{{ trimSpace \" x \" }}{{ toUpper \"a\" }}",
            "2023xA",
        ),
        (
            "{{ reReplaceAll \"(.)o\" \"${1}0\" \"foo\" }}{{ match \"a+\" \"baab\" }}{{ title \"ab c\" }}",
            "f0otrueAb C",
        ),
        ("{{ .CommonLabels }}", "map[alertname:Down job:j]"),
        ("{{ template \"slack.default.title\" . }}", "[FIRING: 1] Down (job=j)"),
        ("{{ define \"own\" }}<{{ . }}>{{ end }}{{ template \"own\" .Status }}", "<firing>"),
    ] {
        assert_eq!(expand(text, false).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_html_prints_is_escaped_unless_it_is_vouched_for() {
    let summary = "{{ (index .Alerts 0).Annotations.summary }}";
    assert_eq!(expand(summary, false).as_deref(), Ok("<b>it</b> & \"more\""));
    assert_eq!(expand(summary, true).as_deref(), Ok("&lt;b&gt;it&lt;/b&gt; &amp; &#34;more&#34;"));
    assert_eq!(expand("<i>{{ safeHtml \"<b>\" }}</i>", true).as_deref(), Ok("<i><b></i>"));
    assert_eq!(expand("{{ safeUrl \"a\\\"b\" }}", true).as_deref(), Ok("a&#34;b"));
    let page = expand("{{ template \"email.default.html\" . }}", true).expect("a page");
    assert!(!page.contains("<b>it</b>") && page.contains("&lt;b&gt;it"), "{page}");
    assert!(page.contains("href=\"http://h/graph?a=1&amp;b=2\"") && page.contains("1 resolved"), "{page}");
    let text = expand("{{ template \"email.default.text\" . }}", false).expect("a text");
    assert!(text.contains("1 firing\n\nDown: <b>it</b>") && text.contains("  instance = a\n"), "{text}");
}

#[test]
fn functions_are_those_of_notifications() {
    for (text, expected) in [
        ("{{ query \"up\" }}", "function \"query\" not defined"),
        ("{{ $labels.a }}", "undefined variable"),
        ("{{ .Nothing }}", "can't evaluate field Nothing in type template.Data"),
        ("{{ join \",\" .Status }}", "expected []string"),
        ("{{ .CommonLabels.Remove \"x\" }}", "Remove takes a list"),
        ("{{ template \"none\" . }}", "not defined"),
        ("{{ .Alerts.Firing 1 }}", "wrong number of args"),
    ] {
        let error = expand(text, false).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let of_rules = Template::parse("t", "{{ join \",\" . }}").expect_err("no function of rules").to_string();
    assert!(of_rules.contains("function \"join\" not defined"), "{of_rules}");
}
