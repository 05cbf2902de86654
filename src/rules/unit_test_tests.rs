//! Unit tests of unit tests: which evaluation counts, what is compared, what ends a test.

use super::*;
use crate::config::unit_test_file::parse_unit_tests;

const RULES: &str = "groups:\n- name: second\n  rules:\n  - {record: b, expr: a * 2}\n- name: first\n  rules:\n  \
                     - {record: a, expr: x}\n  - {alert: High, expr: x > 2, for: 1m, labels: {severity: page}, \
                     annotations: {at: '{{ $value }} in {{ $externalLabels.dc }} of {{ $externalURL }}'}}\n  \
                     - {alert: High, expr: x > 3, labels: {severity: call}}\n";

/// What the tests in `text` say, each failure in one line; `rules` is their rule file.
fn run_over(rules: &str, text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("r.yml"), rules).expect("written");
    let name = folder.path().join("t.yml");
    let text = format!("rule_files: [r.yml]\n{text}");
    let file = parse_unit_tests(&text, &name.display().to_string()).expect("a good file");
    let options = Options::default();
    let suite = Suite::new(&file, &options).expect("good rules");
    assert!(suite.unmatched.is_empty());
    let mut told = Vec::new();
    for test in &file.tests {
        for Failure { line, subject, reason } in suite.run(test).failures {
            let reason = match reason {
                Reason::Error(error) => error,
                Reason::Differs(all) => {
                    let one = |(side, text): &(Side, String)| {
                        let sign = match side {
                            Side::Both => '=',
                            Side::Expected => '-',
                            Side::Got => '+',
                        };
                        format!("{sign}{}", text.replace('\n', " "))
                    };
                    all.iter().map(one).collect::<Vec<_>>().join("; ")
                }
            };
            told.push(format!("{line}: {subject}: {reason}"));
        }
    }
    told
}

fn run(text: &str) -> Vec<String> {
    run_over(RULES, text)
}

#[test]
fn alerts_are_those_of_the_evaluation_before() {
    let text = "tests:\n- input_series: [{series: 'x{l=\"v\"}', values: 3 3 4 1}]\n  external_labels: {dc: e}\n  \
                external_url: http://s/p\n  alert_rule_test:\n  \
                - {eval_time: 59s, alertname: High}\n  \
                - {eval_time: 1m59s, alertname: High, exp_alerts: [{exp_labels: {l: v, severity: page}, \
                exp_annotations: {at: 3 in e of http://s/p}}]}\n  \
                - {eval_time: 2m, alertname: High, exp_alerts: [{exp_labels: {l: v, severity: call}}, \
                {exp_labels: {l: v, severity: page, alertname: other}, exp_annotations: {at: 4 in e of http://s/p}}]}\n  \
                - {eval_time: 3m, alertname: High, exp_alerts: [{}]}\n  - {eval_time: 0, alertname: ''}\n";
    assert_eq!(
        run(text),
        [
            "11: alert \"\" at 0s: alertname is missing",
            "10: alert \"High\" at 3m: -labels: {alertname=\"High\"} annotations: {}",
        ]
    );
}

#[test]
fn groups_run_in_the_order_that_is_given() {
    let text = |order: &str, expected: &str| {
        format!(
            "{order}\ntests:\n- input_series: [{{series: x, values: 1}}]\n  promql_expr_test:\n  \
             - {{expr: b, eval_time: 0, exp_samples: [{expected}]}}\n"
        )
    };
    assert_eq!(run(&text("group_eval_order: [first, second]", "{labels: b, value: 2}")), [""; 0]);
    assert_eq!(run(&text("", "")), [""; 0]);
    assert_eq!(run(&text("", "{labels: b, value: 2}")), ["6: query \"b\" at 0s: -b 2"]);
}

#[test]
fn queries_see_what_the_last_evaluation_left() {
    // The series goes on, but time does not until the next evaluation.
    let text = "evaluation_interval: 1m\ntests:\n- interval: 10s\n  start_timestamp: 1609459200\n  \
                input_series: [{series: y, values: 0+1x20}]\n  promql_expr_test:\n  \
                - {expr: y, eval_time: 1m30s, exp_samples: [{labels: y, value: 6}]}\n  \
                - {expr: timestamp(y) - time(), eval_time: 1m30s, exp_samples: [{value: -30}]}\n  \
                - {expr: 'count_over_time(y[2m:])', eval_time: 1m30s, exp_samples: [{value: 2}]}\n  \
                - {expr: time(), eval_time: 5s, exp_samples: [{value: 1609459205}]}\n  \
                - {expr: '\"text\"', eval_time: 0}\n  - {expr: 'y +', eval_time: 0}\n";
    let told = run(text);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "12: query \"\\\"text\\\"\" at 0s: rule result is not a vector or scalar");
    assert!(told[1].starts_with("13: query \"y +\" at 0s: 1:"), "{told:?}");
}

#[test]
fn samples_are_compared_to_the_last_bit_unless_fuzzy() {
    let text = |fuzzy: bool, value: &str| {
        format!(
            "fuzzy_compare: {fuzzy}\ntests:\n- input_series: [{{series: y, values: '{value}'}}]\n  promql_expr_test:\n  \
             - {{expr: y, eval_time: 0, exp_samples: [{{labels: 'y{{}}', value: 3}}]}}\n"
        )
    };
    assert_eq!(run(&text(false, "3")), [""; 0]);
    for near in ["2.9999999999999996", "3.0000000000000004"] {
        assert_eq!(run(&text(true, near)), [""; 0]);
        assert_eq!(run(&text(false, near)), [format!("6: query \"y\" at 0s: -y 3; +y {near}")]);
    }
    assert_eq!(run(&text(true, "2.9999999999999987")).len(), 1);
}

#[test]
fn every_kind_of_sample_can_be_expected() {
    let text = "tests:\n- input_series:\n  - {series: h, values: '{{sum:3 count:2 buckets:[2]}}x1'}\n  \
                - {series: n, values: NaN}\n  - {series: i, values: -Inf}\n  promql_expr_test:\n  \
                - {expr: h, eval_time: 1m, exp_samples: [{labels: h, histogram: '{{count:2 sum:3 \
                counter_reset_hint:not_reset buckets:[2 0]}}'}]}\n  \
                - {expr: n, eval_time: 0, exp_samples: [{labels: n, value: .NaN}]}\n  \
                - {expr: i, eval_time: 0, exp_samples: [{labels: i, value: -.Inf}]}\n  \
                - {expr: h, eval_time: 0, exp_samples: [{labels: h, value: 0}]}\n  \
                - {expr: h, eval_time: 0, exp_samples: [{labels: h, histogram: '1'}]}\n  \
                - {expr: h, eval_time: 0, exp_samples: [{labels: 'h{'}]}\n";
    let told = run(text);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert_eq!(told[0], "11: query \"h\" at 0s: -h 0; +h {{count:2 sum:3 buckets:[2]}}");
    assert_eq!(told[1], "12: query \"h\" at 0s: histogram of h: must be one native histogram");
    assert!(told[2].starts_with("13: query \"h\" at 0s: labels \"h{\": "), "{told:?}");
}

#[test]
fn a_rule_that_fails_ends_its_test_and_no_other() {
    let rules = "groups:\n- name: g\n  rules:\n  - {record: y, expr: x * 2}\n";
    let text = "tests:\n- input_series: [{series: x, values: 1 1}, {series: y, values: 2 3 4}]\n  promql_expr_test:\n  \
                - {expr: y, eval_time: 2m}\n- promql_expr_test: [{expr: '1', eval_time: 0, exp_samples: [{value: 1}]}]\n";
    assert_eq!(
        run_over(rules, text),
        [
            "3: rule \"y\" of group \"g\" at 1m: 1 of 1 samples were not stored: duplicate sample for timestamp"
        ]
    );
}

#[test]
fn input_that_cannot_be_read_and_endless_tests_are_told() {
    let text = "tests:\n- input_series: [{series: 'x{', values: 1}]\n- input_series:\n  - {series: x, values: 1x1000001}\n\
                - evaluation: {}\n";
    let error = parse_unit_tests(text, "t.yml").expect_err("a key nobody knows");
    assert!(error.to_string().contains("t.yml:5"), "{error}");
    let text = "evaluation_interval: 1ms\ntests:\n- input_series: [{series: 'x{', values: 1}]\n- input_series:\n  \
                - {series: x, values: 1x1000001}\n- promql_expr_test: [{expr: x, eval_time: 1d}]\n";
    let told = run(text);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("4: input series \"x{\": "), "{told:#?}");
    assert!(told[1].starts_with("6: input series \"x\": "), "{told:#?}");
    assert!(told[2].contains("1d at intervals of 1ms are more than 10000000 evaluations"), "{told:#?}");
}

#[test]
fn what_a_test_holds_can_be_looked_at() {
    let text =
        "tests: [{input_series: [{series: x, values: 1 _ 4}], promql_expr_test: [{expr: x, eval_time: 2m}]}]";
    let file = parse_unit_tests(text, "t.yml").expect("a good file");
    let options = Options::default();
    let outcome = Suite::new(&file, &options).expect("no rules").run(&file.tests[0]);
    assert_eq!(outcome.dump().expect("series"), ["x =>", "1 @[0]", "4 @[120000]"]);
}
