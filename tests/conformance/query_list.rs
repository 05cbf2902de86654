//! The list of queries for comparing two servers: without a second server it is a parse corpus.

use emberkeep::promql::{Features, format, parse, to_json};

use crate::list::{Listed, load};

#[test]
fn comparison_queries_parse_and_print() {
    let Some(list) = load() else { return };
    let features = Features::default();
    let mut parsed = 0;
    for Listed { query, should_fail } in list {
        let expr = match parse(&query, &features) {
            Ok(expr) => expr,
            // Selecting everything is refused at once; other failures come with the data.
            Err(_) if should_fail => continue,
            Err(error) => panic!("{query}: {error}"),
        };
        let printed = expr.to_string();
        let again = parse(&printed, &features).unwrap_or_else(|error| panic!("{printed}: {error}"));
        assert_eq!(again.to_string(), printed, "{query}");
        let pretty = format(&expr).expect("a thread");
        assert_eq!(parse(&pretty, &features).expect("pretty text parses").to_string(), printed);
        assert!(to_json(&expr).is_ok_and(|json| json.get().starts_with('{')), "{query}");
        parsed += 1;
    }
    println!("query list: {parsed} parsed");
    assert!(parsed > 500, "only {parsed} queries");
}
