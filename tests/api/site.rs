//! Prefixes, addresses from outside, the title of the page, who may read, who may change.

use super::*;

const PAGE: (&str, &str) = ("Accept", "text/html");

fn location(server: &Server, path: &str) -> (u16, String) {
    let reply = get(server, path);
    (reply.status, reply.header("location").unwrap_or_default().to_owned())
}

#[test]
fn everything_is_served_below_the_prefix_and_redirects_stay_inside() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = ["--web.external-url=http://example.org/prom/eu/", "--web.page-title=North <1>"];
    let server = Server::start(&dir.path().join("data"), &flags, &[]);
    for path in ["/metrics", "/version", "/-/healthy", "/-/ready", "/api/v1/query?query=m", "/favicon.svg"] {
        assert_eq!(get(&server, &format!("/prom/eu{path}")).status, 200, "{path}");
        assert_eq!(get(&server, path).status, 404, "{path}");
    }
    assert_eq!(location(&server, "/"), (302, "/prom/eu/".to_owned()));
    let query = (302, "/prom/eu/query".to_owned());
    for path in ["/prom/eu", "/prom/eu/", "/prom/eu/graph", "/prom/eu/query/"] {
        assert_eq!(location(&server, path), query, "{path}");
    }
    assert_eq!(location(&server, "/prom/eu/graph?g0.expr=m").1, "/prom/eu/query?g0.expr=m");

    let page = send(&server, "GET /prom/eu/query", &[PAGE], b"");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<title>North &lt;1&gt;</title>"), "{}", page.text());
    let lost = send(&server, "GET /prom/eu/a/b/query", &[PAGE], b"");
    assert_eq!(lost.status, 404);
    assert!(lost.text().contains("src=\"./../../assets/"), "{}", lost.text());
    assert!(page.header("etag") != lost.header("etag"));

    let flags = get(&server, "/prom/eu/api/v1/status/flags").json();
    let flag = |name: &str| flags["data"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(flag("web.external-url"), "http://example.org/prom/eu/");
    assert_eq!(flag("web.page-title"), "North <1>");
    assert_eq!(flag("web.cors.origin"), ".*");
    support::server::wait_for("the server scrapes itself below the prefix", || {
        let reply = get(&server, "/prom/eu/api/v1/targets").json();
        let target = &reply["data"]["activeTargets"][0];
        (target["health"] == "up")
            .then(|| assert_eq!(target["globalUrl"], "http://example.org/prom/eu/metrics"))
    });
    // The same name with and without a prefix.
    let metrics = get(&server, "/prom/eu/metrics").text();
    assert!(metrics.contains("handler=\"/api/v1/query\""), "{metrics}");
}

#[test]
fn a_proxy_may_take_the_prefix_away() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(&dir, &["--web.external-url=https://example.org/prom", "--web.route-prefix=/"]);
    assert_eq!(get(&server, "/-/healthy").status, 200);
    assert_eq!(location(&server, "/"), (302, "/prom/query".to_owned()));
    assert_eq!(location(&server, "/query/"), (302, "/prom/query".to_owned()));
    let targets = support::server::wait_for("the server scrapes itself", || {
        let reply = get(&server, "/api/v1/targets").json();
        reply["data"]["activeTargets"][0]["globalUrl"].as_str().map(str::to_owned)
    });
    assert_eq!(targets, "https://example.org/metrics");
}

#[test]
fn without_a_prefix_no_page_is_blank() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(&dir, &[]);
    assert_eq!(location(&server, "/"), (302, "/query".to_owned()));
    assert_eq!(location(&server, "/query/?a=b"), (302, "/query?a=b".to_owned()));
    let lost = send(&server, "GET /a/b/query", &[PAGE], b"");
    assert_eq!((lost.status, lost.text().contains("src=\"./../../assets/")), (404, true));
}

#[test]
fn pages_of_other_origins_read_as_the_flag_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(&dir, &["--web.cors.origin=https?://(.+\\.)?example\\.org"]);
    let allowed = |origin: &str| {
        let reply = send(&server, "GET /api/v1/query?query=m", &[("Origin", origin)], b"");
        assert_eq!(reply.status, 200);
        reply.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(allowed("https://a.example.org").as_deref(), Some("https://a.example.org"));
    assert_eq!(allowed("https://example.org.evil.example"), None);
    assert_eq!(allowed("https://evil.example"), None);
}

#[test]
fn pages_of_other_origins_change_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(&dir, &["--web.enable-admin-api"]);
    let evil = [("Origin", "https://evil.example")];
    let modern = [("Sec-Fetch-Site", "cross-site"), ("Origin", "http://x")];
    let own = [("Origin", "http://x")];
    let delete = "/api/v1/admin/tsdb/delete_series?match[]=m&dry_run=true";
    for head in [
        &format!("POST {delete}"),
        &format!("PUT {delete}"),
        "POST /api/v1/admin/tsdb/clean_tombstones",
        "POST /api/v1/admin/tsdb/snapshot",
        "POST /api/v1/write",
        "POST /-/reload",
        "PUT /-/quit",
    ] {
        for headers in [&evil[..], &modern[..]] {
            let reply = send(&server, head, headers, b"");
            assert_eq!(reply.status, 403, "{head}: {}", reply.text());
            assert!(reply.text().contains("other origins"), "{}", reply.text());
        }
    }
    assert_eq!(send(&server, &format!("POST {delete}"), &own, b"").status, 200);
    assert_eq!(send(&server, &format!("POST {delete}"), &[], b"").status, 200);
    assert_eq!(send(&server, "POST /-/reload", &own, b"").status, 200);
    // Reading is another matter.
    assert_eq!(send(&server, "POST /api/v1/query", &[evil[0], FORM], b"query=m").status, 200);
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(&dir, &[]);
    let plain = get(&server, "/metrics");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = plain.text();
    assert!(text.contains("# TYPE prometheus_http_requests_total counter"), "{text}");
    assert!(!text.contains("# EOF"), "{text}");
    let accept = ("Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    let open = send(&server, "GET /metrics", &[accept], b"");
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(openmetrics));
    assert!(open.text().ends_with("# EOF\n"), "{}", open.text());
}

#[test]
fn a_changed_file_is_loaded_without_being_asked() {
    for flag in ["--config.auto-reload", "--enable-feature=auto-reload-config"] {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("f.yml");
        let write = |interval: &str| {
            std::fs::write(&file, format!("global: {{scrape_interval: {interval}}}\n")).expect("write");
        };
        write("41s");
        let name = file.to_string_lossy().into_owned();
        let flags = ["--config.file", &name, "--config.auto-reload-interval=20ms", flag];
        let server = Server::start(&dir.path().join("data"), &flags, &[]);
        let says = |text: &str| get(&server, "/api/v1/status/config").text().contains(text);
        assert!(says("scrape_interval: 41s"));
        write("nonsense");
        support::server::wait_for("the fault is told", || {
            server.log().contains("configuration reload failed").then_some(())
        });
        assert!(says("scrape_interval: 41s"));
        write("43s");
        support::server::wait_for("the change is loaded", || says("scrape_interval: 43s").then_some(()));
    }
}
