//! Deleting series and making snapshots over HTTP.

use crate::{Server, get, send, start};

fn post(server: &Server, path: &str) -> crate::Reply {
    send(server, &format!("POST /api/v1/admin/tsdb/{path}"), &[], b"")
}

#[test]
fn is_off_unless_allowed() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    for path in ["delete_series?match[]=m", "clean_tombstones", "snapshot"] {
        let reply = post(&server, path);
        assert_eq!(reply.status, 503, "{path}");
        assert_eq!(reply.json()["errorType"], "unavailable");
        assert_eq!(reply.json()["error"], "admin APIs disabled");
    }
}

#[test]
fn series_are_counted_deleted_and_cleaned_and_a_snapshot_starts() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &["--web.enable-admin-api"]);
    let count = |server: &Server| {
        let reply = get(server, "/api/v1/query?query=sum(count_over_time(m[10m]))").json();
        reply["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    };
    assert_eq!(count(&server).as_deref(), Some("15"));
    assert_eq!(get(&server, "/api/v1/admin/tsdb/snapshot").status, 405);
    let reply = post(&server, "delete_series");
    assert_eq!((reply.status, reply.json()["error"].as_str()), (400, Some("no match[] parameter provided")));
    let reply = post(&server, "delete_series?match[]=m&dry_run=perhaps");
    assert_eq!(reply.status, 400, "{}", reply.text());
    let reply = post(&server, "delete_series?match[]=m{instance=%22a%22}&dry_run=true");
    assert_eq!(reply.json()["data"], serde_json::json!({ "series": 1, "samples": 5 }));
    assert_eq!(count(&server).as_deref(), Some("15"), "nothing was deleted yet");
    assert_eq!(post(&server, "delete_series?match[]=m{instance=%22a%22}").status, 204);
    assert_eq!(count(&server).as_deref(), Some("10"));
    assert_eq!(post(&server, "clean_tombstones").status, 204);
    let reply = post(&server, "snapshot");
    let name = reply.json()["data"]["name"].as_str().expect("name").to_owned();
    let empty =
        post(&server, "snapshot?skip_head=true").json()["data"]["name"].as_str().expect("name").to_owned();
    let snapshots = dir.path().join("data/snapshots");
    let copy = Server::start(&snapshots.join(name), &[], &[]);
    assert_eq!(count(&copy).as_deref(), Some("10"));
    let copy = Server::start(&snapshots.join(empty), &[], &[]);
    assert_eq!(count(&copy), None, "all of it was in the head");
    // What is deleted stays so after a kill.
    server.kill();
    let again = Server::start(&dir.path().join("data"), &[], &[]);
    assert_eq!(count(&again).as_deref(), Some("10"));
}
