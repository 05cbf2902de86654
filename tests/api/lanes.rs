//! Requests that look things up: they have the time of queries, limits that end them early, and texts of any kind to read.

use serde_json::{Value, json};

use crate::{get, newest, start};

/// Everything that is looked up in the lane of metadata.
const PATHS: [&str; 8] = [
    "/api/v1/series?match[]=m",
    "/api/v1/labels",
    "/api/v1/labels?match[]=m",
    "/api/v1/label/n/values",
    "/api/v1/query_exemplars?query=m",
    "/api/v1/format_query?query=m",
    "/api/v1/parse_query?query=m",
    "/api/v1/targets/metadata",
];

#[test]
fn whatever_is_looked_up_has_the_time_of_queries() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &["--query.timeout=0s"]);
    for path in PATHS {
        let reply = get(&server, path);
        assert_eq!((reply.status, &reply.json()["errorType"]), (503, &json!("timeout")), "{path}");
    }
    // Nothing of that kind stands in the way of the rest.
    for path in ["/-/healthy", "/-/ready", "/metrics", "/api/v1/status/tsdb"] {
        assert_ne!(get(&server, path).status, 503, "{path}");
    }
}

#[test]
fn limits_show_the_first_and_say_that_there_are_more() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let range = format!("start={}&end={}", newest() - 3600, newest() + 3600);
    for path in [
        "/api/v1/series?match[]=m&match[]={__name__=~\"m|n\"}",
        "/api/v1/labels?",
        "/api/v1/labels?match[]=m",
        "/api/v1/label/__name__/values?",
        "/api/v1/label/instance/values?match[]=m",
    ] {
        for bounds in ["", range.as_str()] {
            let ask = |limit: usize| get(&server, &format!("{path}&{bounds}&limit={limit}")).json();
            let all = ask(0);
            let list = |reply: &Value| reply["data"].as_array().expect("a list").clone();
            let count = list(&all).len();
            assert!(count > 0, "{path}: {all}");
            for limit in 1..=count + 1 {
                let some = ask(limit);
                assert_eq!(list(&some), list(&all)[..limit.min(count)], "{path} {limit}");
                let cut = (limit < count).then(|| json!(["results truncated due to limit"]));
                assert_eq!(some.get("warnings"), cut.as_ref(), "{path} {limit}");
            }
        }
    }
}

#[test]
fn large_expressions_are_taken_and_too_many_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let large = "%7Bl%3D~%22%5C%5CpL%7B300%7D%22%7D";
    for path in ["/api/v1/parse_query?query=", "/api/v1/query?query=", "/api/v1/series?match[]="] {
        let reply = get(&server, &format!("{path}{large}"));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }
    let matcher = "l%3D~%22(a%7B1000%7Db%7B1000%7D)%7B50%7D%22";
    let many = vec![matcher; 100].join(",");
    for path in ["/api/v1/format_query?query=", "/api/v1/query?query=", "/api/v1/series?match[]="] {
        let reply = get(&server, &format!("{path}%7B{many}%7D"));
        assert_eq!((reply.status, &reply.json()["errorType"]), (400, &json!("bad_data")), "{path}");
        assert!(reply.text().contains("too large together"), "{path}: {}", reply.text());
    }
}
