//! Answers of servers, right and wrong.

use super::*;

#[test]
fn json_is_told_by_its_media_type() {
    for kind in ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=\"UTF-8\""]
    {
        assert!(is_json(kind), "{kind}");
    }
    for kind in ["", "text/plain", "application/json; charset=latin1", "application/jsonx"] {
        assert!(!is_json(kind), "{kind}");
    }
}
