//! Series that have samples of the future, as a clock that was ahead leaves them.

use emberkeep::remote::message;

use crate::support::server::wait_for;
use crate::{Server, get, newest, write};

#[test]
fn samples_that_are_not_taken_are_shown_with_their_target() {
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("prometheus.yml");
    // Nobody listens there; that is written all the same.
    let text = "global: {scrape_interval: 200ms}\n\
                scrape_configs: [{job_name: j, static_configs: [{targets: ['127.0.0.1:1']}]}]";
    std::fs::write(&config, text).expect("write");
    let config = format!("--config.file={}", config.display());
    let server =
        Server::start(&dir.path().join("data"), &[&config, "--web.enable-remote-write-receiver"], &[]);
    let labels = [("__name__", "up"), ("instance", "127.0.0.1:1"), ("job", "j")];
    let mut body = Vec::new();
    message::put_series(&mut body, labels.into_iter(), &[((newest() + 300) * 1000, 1.0)]);
    assert_eq!(write::write(&server, &body).status, 204);
    wait_for("refused samples are shown", || {
        let targets = get(&server, "/api/v1/targets").json();
        let refused = &targets["data"]["activeTargets"][0]["refusedSamples"];
        let expected = serde_json::json!({ "outOfOrder": 1, "duplicate": 0, "tooOld": 0, "tooFarAhead": 0 });
        (*refused == expected).then_some(())
    });
    wait_for("and told", || server.log().contains("samples of a scrape are not taken").then_some(()));
    let line = "prometheus_target_scrapes_sample_out_of_order_total 0\n";
    assert!(!get(&server, "/metrics").text().contains(line));
}
