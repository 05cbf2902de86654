//! The program under the name promtool.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::conformance::said_by;
use crate::support::files::conformance as folder;

/// A folder with a link of that name.
fn promtool_link() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("promtool");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_emberkeep"), &link).expect("a link");
    (folder, link)
}

#[test]
fn under_the_name_promtool_its_command_lines_work() {
    let Some(folder) = folder("rules") else { return };
    let (bin, link) = promtool_link();
    let promtool = |args: &[&str]| said_by(Command::new(&link), &folder, args);
    let check = |args: &[&str], code: i32, part: &str| {
        let (ours, said) = promtool(args);
        assert!(ours == code && said.contains(part), "{args:?}: {ours}, {said}");
    };
    let rules = "promtool/rules.yml";
    check(&["check", "rules", rules], 0, "Checking promtool/rules.yml\n  SUCCESS: 5 rules found\n");
    check(&["check", "rules", "promtool/rules-bad.yml"], 1, "  FAILED:\n");
    check(&["check", "rules", "--lint-fatal", "promtool/rules_duplicates.yml"], 3, "duplicate rule");
    let config = bin.path().join("c.yml");
    std::fs::write(&config, format!("rule_files: [{}]", folder.join(rules).display())).expect("written");
    let config = config.to_string_lossy();
    check(&["check", "config", &config], 0, "  SUCCESS: 1 rule files found\n SUCCESS: ");
    check(&["check", "config", "--lint", "none", &config], 0, "  SUCCESS: 5 rules found\n");
    let slow = bin.path().join("slow.yml");
    std::fs::write(&slow, "scrape_configs: [{job_name: s, scrape_interval: 10m}]\n").expect("a file");
    let slow = slow.display().to_string();
    let told = "job \"s\": scrape interval of 10m is not shorter than the lookback of queries, 5m";
    check(&["check", "config", "--lint=all", "--lint-fatal", &slow], 3, told);
    check(
        &["check", "config", "--lint=all", "--lint-fatal", "--query.lookback-delta=20m", &slow],
        0,
        "SUCCESS",
    );
    check(
        &["check", "config", "--lint=too-long-scrape-interval,x", &slow],
        0,
        "WARNING: unknown lint option: \"x\"",
    );
    check(&["check", "config", "--lint-fatal", &slow], 0, "SUCCESS");
    let missing = bin.path().join("m.yml");
    std::fs::write(&missing, "rule_files: [none.yml]").expect("written");
    check(&["check", "config", &missing.to_string_lossy()], 1, "does not point to an existing file");
    check(&["test", "rules", "--run", "correct", "promtool/rules_run.yml"], 0, "  SUCCESS\n");
    check(&["promql", "--experimental", "format", "sum( up )by(job)"], 0, "sum by (job) (up)\n");
    check(&["query", "instant", "127.0.0.1:1", "up"], 1, "request to http://127.0.0.1:1/api/v1/query");
    check(&["check", "healthy"], 2, "\"promtool check healthy\" is not supported");
    let web = bin.path().join("web.yml");
    std::fs::write(&web, "basic_auth_users: {a: b}").expect("written");
    check(&["check", "web-config", &web.to_string_lossy()], 1, "web.yml FAILED: ");
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/tls");
    let pair = |cert: &str, key: &str| {
        let text = format!("tls_server_config: {{cert_file: {tls}/{cert}, key_file: {tls}/{key}}}");
        std::fs::write(&web, text).expect("written");
    };
    pair("server.pem", "server.key");
    check(&["check", "web-config", &web.to_string_lossy()], 0, "web.yml SUCCESS");
    pair("server.pem", "client.key");
    check(&["check", "web-config", &web.to_string_lossy()], 1, "web.yml FAILED: ");
    check(&["--version"], 0, "emberkeep ");
    check(&["--help"], 0, "check config, check rules, check metrics, check web-config, test rules, ");
}

/// Runs the command against a server that answers one request with `data`; the request, the exit code, what was said.
fn asked(before: &[&str], after: &[&str], data: &str) -> (String, i32, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let body = format!("{{\"status\":\"success\",\"data\":{data}}}");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        // The form comes with the head or right after it.
        while !is_whole(&request) {
            let read = stream.read(&mut buffer).expect("a request");
            assert!(read > 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&buffer[..read]);
        }
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        stream.write_all([head, body].concat().as_bytes()).expect("a reply");
        String::from_utf8_lossy(&request).into_owned()
    });
    let (_bin, link) = promtool_link();
    let args = [before, &[&address], after].concat();
    let (code, said) = said_by(Command::new(link), Path::new("."), &args);
    (server.join().expect("it answered"), code, said)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

#[test]
fn servers_are_asked_and_answers_printed_as_promtool_does() {
    let check = |(before, after, data): (&[&str], &[&str], &str), parts: &[&str], expected: &str| {
        let (request, code, said) = asked(before, after, data);
        assert_eq!((code, said.as_str()), (0, expected), "{request}");
        for part in parts {
            assert!(request.contains(part), "no {part:?} in {request}");
        }
    };
    let vector =
        r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","j":"a"},"value":[1.5,"1"]}]}"#;
    check(
        (&["query", "instant", "--time=1.5"], &["up"], vector),
        &["POST /api/v1/query HTTP", "query=up&time=1.5"],
        "up{j=\"a\"} => 1 @[1.5]\n",
    );
    check(
        (&["query", "instant", "-o", "json"], &["up"], vector),
        &[],
        "[{\"metric\":{\"__name__\":\"up\",\"j\":\"a\"},\"value\":[1.5,\"1\"]}]\n",
    );
    check(
        (&["query", "instant"], &["1"], r#"{"resultType":"scalar","result":[1.5,"1"]}"#),
        &[],
        "scalar: 1 @[1.5]\n",
    );
    let histogram = concat!(
        r#"{"count":"10","sum":"3897.5","buckets":[[1,"-4870.99","-4466.8","1"],[0,"4466.8","4870.99","7.5"],"#,
        r#"[3,"-0.001","0.001","2"],[0,"1e+09","+Inf","2e+07"]]}"#
    );
    // As promtool 3.14 printed it.
    let shown = "Count: 10.000000, Sum: 3897.500000, Buckets: [[-4870.99,-4466.8):1 (4466.8,4870.99]:7.5 \
                 [-0.001,0.001]:2 (1e+09,+Inf]:20000000]";
    let vector = format!(
        r#"{{"resultType":"vector","result":[{{"metric":{{"__name__":"h"}},"histogram":[1.5,{histogram}]}},{{"metric":{{"__name__":"f"}},"value":[1.5,"1e+09"]}}]}}"#
    );
    let expected = format!("h => {shown} @[1.5]\nf => 1000000000 @[1.5]\n");
    check((&["query", "instant"], &["h"], &vector), &[], &expected);
    let matrix = format!(
        r#"{{"resultType":"matrix","result":[{{"metric":{{"__name__":"h"}},"values":[[1.5,"3"]],"histograms":[[2.5,{histogram}]]}}]}}"#
    );
    let expected = format!("h =>\n3 @[1.5]\n{shown} @[2.5]\n");
    check((&["query", "range"], &["h", "--start=1", "--end=3"], &matrix), &[], &expected);
    check(
        (&["query", "range", "--end=1000"], &["up"], r#"{"resultType":"matrix","result":[]}"#),
        &["POST /api/v1/query_range HTTP", "query=up&start=700&end=1000&step=1"],
        "",
    );
    check(
        (&["query", "series", "--match", "up", "--start=5"], &[], r#"[{"__name__":"up","j":"a"}]"#),
        &["POST /api/v1/series HTTP", "match%5B%5D=up&start=5"],
        "{__name__=\"up\", j=\"a\"}\n",
    );
    check(
        (&["query", "labels", "--match=up"], &["a b"], r#"["x","y z"]"#),
        &["GET /api/v1/label/a%20b/values?match%5B%5D=up HTTP"],
        "x\ny z\n",
    );
}
