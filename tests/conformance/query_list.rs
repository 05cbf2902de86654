//! The list of queries for comparing two servers: without a second server it is a parse corpus.

use std::path::Path;

use emberkeep::promql::{Features, format, parse, parse_to_json};
use serde_yaml::Value;

/// The values each template argument takes.
const ARGUMENTS: [(&str, &str); 14] = [
    ("range", "1s 15s 1m 5m 15m 1h"),
    ("offset", "1m 5m 10m"),
    ("simpleAggrOp", "sum avg max min count stddev stdvar"),
    ("simpleTimeAggrOp", "sum avg max min count stddev stdvar absent last"),
    ("topBottomOp", "topk bottomk"),
    ("quantile", "-0.5 0.1 0.5 0.75 0.95 0.90 0.99 1 1.5"),
    ("arithBinOp", "+ - * / % ^"),
    ("compBinOp", "== != < > <= >="),
    ("binOp", "+ - * / % ^ == != < > <= >="),
    ("simpleMathFunc", "abs ceil floor exp sqrt ln log2 log10 round"),
    ("extrapolatedRateFunc", "delta rate increase"),
    ("clampFunc", "clamp_min clamp_max"),
    ("instantRateFunc", "idelta irate"),
    ("dateFunc", "day_of_month day_of_week days_in_month hour minute month year"),
];

/// Every combination of the arguments a template names.
fn expand(template: &str) -> Vec<String> {
    let mut out = vec![template.to_owned()];
    for (name, values) in ARGUMENTS {
        let hole = format!("{{{{.{name}}}}}");
        if template.contains(&hole) {
            out = out
                .iter()
                .flat_map(|text| values.split(' ').map(|value| text.replace(&hole, value)))
                .collect();
        }
    }
    out
}

#[test]
fn comparison_queries_parse_and_print() {
    let folders =
        std::env::var("PROMQL_TESTDATA").unwrap_or_else(|_| "../shared/conformance/promql".to_owned());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = folders.split(':').find_map(|folder| {
        std::fs::read_to_string(root.join(folder).with_file_name("promql-test-queries.yml")).ok()
    });
    let Some(list) = list else {
        assert!(std::env::var("EMBERKEEP_REQUIRE_ALL").as_deref() != Ok("1"), "no query list");
        println!("query list: not found, nothing was run");
        return;
    };
    let list: Value = serde_yaml::from_str(&list).expect("the list is YAML");
    let features = Features::default();
    let mut parsed = 0;
    for case in list["test_cases"].as_sequence().expect("a list of cases") {
        let template = case["query"].as_str().expect("a query");
        for query in expand(template) {
            let expr = match parse(&query, &features) {
                Ok(expr) => expr,
                // Selecting everything is refused at once; other failures come with the data.
                Err(_) if case["should_fail"].as_bool() == Some(true) => continue,
                Err(error) => panic!("{query}: {error}"),
            };
            let printed = expr.to_string();
            let again = parse(&printed, &features).unwrap_or_else(|error| panic!("{printed}: {error}"));
            assert_eq!(again.to_string(), printed, "{query}");
            let pretty = format(&query).expect("what parses can be formatted");
            assert_eq!(parse(&pretty, &features).expect("pretty text parses").to_string(), printed);
            parse_to_json(&query, &features).expect("what parses has a tree");
            parsed += 1;
        }
    }
    println!("query list: {parsed} parsed");
    assert!(parsed > 500, "only {parsed} queries");
}
