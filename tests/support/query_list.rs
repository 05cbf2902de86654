//! The list of queries for comparing two servers, its templates expanded.

// Not every test binary that has it uses all of it.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::print_stdout)]

use std::path::Path;

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

/// One query of the list.
#[derive(Debug)]
pub struct Listed {
    pub query: String,
    /// Whether it must be refused.
    pub should_fail: bool,
}

/// All queries of the list, or none, with a message, if there is no list.
pub fn load() -> Option<Vec<Listed>> {
    let folders =
        std::env::var("PROMQL_TESTDATA").unwrap_or_else(|_| "../shared/conformance/promql".to_owned());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = folders.split(':').find_map(|folder| {
        std::fs::read_to_string(root.join(folder).with_file_name("promql-test-queries.yml")).ok()
    });
    let Some(list) = list else {
        assert!(std::env::var("EMBERKEEP_REQUIRE_ALL").as_deref() != Ok("1"), "no query list");
        println!("query list: not found, nothing was run");
        return None;
    };
    let list: Value = serde_yaml::from_str(&list).expect("the list is YAML");
    let mut out = Vec::new();
    for case in list["test_cases"].as_sequence().expect("a list of cases") {
        let should_fail = case["should_fail"].as_bool() == Some(true);
        let queries = expand(case["query"].as_str().expect("a query"));
        for query in &queries {
            assert!(!query.contains("{{."), "{query}: an argument that is not known");
        }
        out.extend(queries.into_iter().map(|query| Listed { query, should_fail }));
    }
    Some(out)
}
