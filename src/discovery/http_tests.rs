//! Answers of servers, right and wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::discovery::fake::{Found, Reply, serve};

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

#[tokio::test]
async fn a_server_that_lists_targets_is_asked_again_and_again() {
    let round = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&round);
    let address = serve(move |request| {
        let count = Arc::clone(&count);
        async move {
            let has = |line: &str| request.head.iter().any(|other| other.eq_ignore_ascii_case(line));
            assert!(has("accept: application/json"), "{request:?}");
            assert!(has("x-prometheus-refresh-interval-seconds: 0.02"), "{request:?}");
            match count.load(Ordering::SeqCst) {
                0 => Reply::json(r#"[{"targets": ["a", "b"], "labels": {"x": "y"}}, {"targets": ["c"]}]"#),
                1 => Reply::status("500 Internal Server Error", "no"),
                2 => Reply::json("[{]"),
                _ => Reply::json(r#"[{"targets": ["d"]}]"#),
            }
        }
    })
    .await;
    let url = format!("http://{address}/t");
    let mut found = Found::start(&format!("http_sd_configs: [{{url: '{url}', refresh_interval: 20ms}}]"));
    assert_eq!(found.addresses(3).await, ["a", "b", "c"]);
    let groups = found.until(|groups| groups.len() == 2).await;
    assert_eq!(groups[0].labels.get("__meta_url"), Some(url.as_str()));
    assert_eq!(groups[0].labels.get("x"), Some("y"));
    // What fails takes nothing away.
    round.store(1, Ordering::SeqCst);
    assert_eq!(found.error().await, "server returned HTTP status 500 Internal Server Error");
    assert!(found.metrics.http_failures.get() >= 1);
    round.store(2, Ordering::SeqCst);
    assert_eq!(found.addresses(3).await, ["a", "b", "c"]);
    round.store(3, Ordering::SeqCst);
    assert_eq!(found.addresses(1).await, ["d"]);
    found.manager.stop().await;
}
