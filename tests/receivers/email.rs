//! Email, as an SMTP server gets it.

use std::path::Path;

use serde_json::Value;

use crate::Setup;
use crate::smtp::{Session, Smtp};
use crate::support::server::{Client, wait_for};

fn setup(smtp: &Smtp, more: &str) -> Setup {
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/tls/p521.pem");
    Setup::new(
        &format!(
            "  route: {{receiver: me}}\n  global: {{smtp_smarthost: 'localhost:{}', smtp_from: 'Ember <ember@example.org>', \
             smtp_hello: here}}\n  receivers:\n  - name: me\n    email_configs:\n    - to: 'a@example.org, B <b@example.org>'\n      \
             headers: {{x-priority: '{{{{ .CommonLabels.severity }}}}'}}\n      tls_config: {{ca_file: '{}'}}\n{more}",
            smtp.port,
            tls.display(),
        ),
        "",
    )
}

/// Sends a test; gives what the server says of it.
fn test(client: &Client, base: &str) -> Value {
    let url = format!("{base}/api/v1/notifications/test?receiver=me");
    let (status, text) = client.post(&url, "application/x-www-form-urlencoded", Vec::new()).expect("a reply");
    assert_eq!(status, 200, "{text}");
    let mut reply: Value = serde_json::from_str(&text).expect("JSON");
    reply["data"]["deliveries"][0].take()
}

fn sessions(smtp: &Smtp, count: usize) -> Vec<Session> {
    wait_for("sessions", || Some(smtp.sessions()).filter(|all| all.len() >= count))
}

#[test]
fn an_email_goes_out_over_starttls_after_a_login() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/tls/p521.pem");
    let smtp = Smtp::start(&runtime, Some(&tls), true);
    let setup = setup(&smtp, "      auth_username: user\n      auth_password_file: password\n");
    std::fs::write(setup.path().join("password"), "pass\n").expect("write");
    let (server, client) = (setup.start(), Client::new());
    let delivery = test(&client, &server.url);
    assert_eq!(delivery["outcome"], "delivered", "{delivery}");
    let session = sessions(&smtp, 1).remove(0);
    assert!(session.encrypted);
    let commands = session.commands.join("\n");
    // The login is what base64 makes of "\0user\0pass".
    for expected in ["EHLO here", "STARTTLS", "AUTH PLAIN AHVzZXIAcGFzcw==", "MAIL FROM:<ember@example.org>"]
    {
        assert!(commands.contains(expected), "{expected}: {commands}");
    }
    assert!(commands.contains("RCPT TO:<a@example.org>\nRCPT TO:<b@example.org>"), "{commands}");
    let place = |text: &str| commands.find(text).expect(text);
    assert!(place("STARTTLS") < place("AUTH PLAIN"), "no password before TLS: {commands}");
    for expected in [
        "From: Ember <ember@example.org>",
        "To: a@example.org, B <b@example.org>",
        "Subject: [FIRING: 1] TestNotification (severity=none)",
        "X-Priority: none",
        "multipart/alternative",
        "TestNotification: Somebody asked",
        "<b>TestNotification: Somebody asked",
    ] {
        assert!(session.text.contains(expected), "{expected}: {}", session.text);
    }
    assert!(session.text.contains("Message-ID: <") && session.text.contains("Date: "), "{}", session.text);
    assert!(!server.log().contains("pass"), "{}", server.log());
}

#[test]
fn what_may_pass_is_tried_again_and_what_is_refused_is_not() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let smtp = Smtp::start(&runtime, None, false);
    let setup = setup(&smtp, "      require_tls: false\n");
    let (server, client) = (setup.start(), Client::new());
    smtp.then(&["451 later"]);
    let delivery = test(&client, &server.url);
    assert_eq!((&delivery["outcome"], &delivery["attempts"]), (&"delivered".into(), &2.into()), "{delivery}");
    smtp.then(&["550 never"]);
    let delivery = test(&client, &server.url);
    assert_eq!((&delivery["outcome"], &delivery["attempts"]), (&"failed".into(), &1.into()), "{delivery}");
    assert!(delivery["error"].as_str().expect("a text").contains("550"), "{delivery}");
}

#[test]
fn nothing_goes_out_without_the_tls_that_is_required() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let smtp = Smtp::start(&runtime, None, true);
    let setup = setup(&smtp, "      auth_username: user\n      auth_password: pass\n");
    let (server, client) = (setup.start(), Client::new());
    let delivery = test(&client, &server.url);
    assert_eq!(delivery["outcome"], "failed", "{delivery}");
    let commands = sessions(&smtp, 1)[0].commands.join("\n");
    assert!(!commands.contains("AUTH") && !commands.contains("MAIL"), "{commands}");
}
