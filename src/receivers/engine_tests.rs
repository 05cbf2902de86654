//! The state machine, with the time passed in. Times are in seconds.

use super::*;
use crate::config::{self, LoadOptions};
use crate::model::parse_matchers;
use crate::receivers::silence::{MAX_SILENCES, SilenceRequest};

const CONFIG: &str = "
  route:
    receiver: all
    group_by: [alertname]
    group_wait: 30s
    group_interval: 5m
    repeat_interval: 4h
    routes:
    - receiver: db
      matchers: ['team=\"db\"']
      continue: true
    - receiver: quiet
      matchers: [severity=info]
      group_by: ['...']
  inhibit_rules:
  - source_matchers: [severity=critical]
    target_matchers: [severity=~\"warning|critical\"]
    equal: [instance]
  receivers:
  - name: all
    webhook_configs: [{url: 'http://h/'}]
  - name: db
    webhook_configs: [{url: 'http://h/', send_resolved: false}, {url: 'http://i/'}]
  - name: quiet
";

fn notifications(text: &str) -> Arc<NotificationsConfig> {
    let text = format!("notifications:{text}");
    let config = config::parse(&text, "f.yml", &LoadOptions::default()).expect("a configuration");
    config.notifications.expect("the section")
}

fn labels(text: &str) -> Labels {
    Labels::from_pairs(text.split(' ').filter_map(|pair| pair.split_once('=')))
}

fn held(text: &str, starts_at: i64, ends_at: i64) -> HeldAlert {
    HeldAlert {
        labels: labels(text),
        annotations: Labels::empty(),
        starts_at: starts_at * 1000,
        ends_at: ends_at * 1000,
        end_is_assumed: false,
        updated_at: starts_at * 1000,
        generator_url: String::new(),
    }
}

/// The engine, with what happened as text.
struct Bench {
    engine: Engine,
    now: i64,
}

impl Bench {
    fn new(text: &str) -> Self {
        let engine = Engine::new(notifications(text), NotificationLog::default(), Silences::default());
        Self { engine, now: 1_000_000 }
    }

    fn fires(&mut self, text: &str) {
        self.alert(text, self.now, self.now + 3600);
    }

    fn resolves(&mut self, text: &str) {
        self.alert(text, self.now - 1, self.now);
    }

    fn alert(&mut self, text: &str, starts_at: i64, ends_at: i64) {
        let mut alert = held(text, starts_at, ends_at);
        alert.updated_at = self.now * 1000;
        self.engine.take(alert, self.now * 1000).expect("room");
        self.survey();
    }

    /// Finds out what silences alerts.
    fn survey(&mut self) {
        let now = self.now * 1000;
        while let Some(survey) = self.engine.survey(now) {
            self.engine.surveyed(survey.run(SURVEY_TIME), now);
        }
    }

    fn put(&mut self, silence: Silence) {
        let alerts = self.engine.to_match(&silence);
        let matched = Matched::new(&silence, alerts, SURVEY_TIME * 100).expect("quick");
        self.engine.put_silence(silence, &matched);
    }

    /// What is to be told after so many seconds.
    fn jobs_after(&mut self, seconds: i64) -> Vec<Job> {
        self.now += seconds;
        self.engine.turn(self.now * 1000).0
    }

    /// The same as text, after everything was delivered.
    fn after(&mut self, seconds: i64) -> Vec<String> {
        let jobs = self.jobs_after(seconds);
        let mut told: Vec<String> = jobs.iter().map(show).collect();
        jobs.iter().for_each(|job| self.engine.finish(job, true));
        told.sort();
        told
    }

    fn reconfigure(&mut self, text: &str) {
        self.engine.reconfigure(notifications(text), self.now * 1000).expect("room");
    }

    /// Another engine that knows what the one before has told, and tells nobody for so many seconds.
    fn restart(&mut self, hold: i64) {
        self.engine = Engine::new(notifications(CONFIG), self.engine.log.clone(), Silences::default());
        self.engine.hold(self.now * 1000, hold * 1000);
    }

    fn silence(&mut self, matchers: &str, seconds: i64) -> String {
        let now = self.now * 1000;
        let request = SilenceRequest {
            id: None,
            matchers: parse_matchers(matchers).expect("matchers"),
            starts_at_ms: now,
            ends_at_ms: now + seconds * 1000,
            created_by: "me".to_owned(),
            comment: "why".to_owned(),
        };
        let silences = self.engine.silences.plan(&request, now).expect("a silence");
        let id = silences[0].id.clone();
        silences.into_iter().for_each(|silence| self.put(silence));
        id
    }
}

fn show(job: &Job) -> String {
    let alert = |told: &ToldAlert| {
        let instance = told.alert.labels.get("instance").unwrap_or("?");
        format!("{instance}{}", if told.resolved { "-" } else { "" })
    };
    let alerts: Vec<String> = job.alerts.iter().map(alert).collect();
    let name = job.group.1.get("alertname").unwrap_or("");
    format!("{} {name}: {}", job.key.receiver.to_string() + "/" + &job.key.integration, alerts.join(" "))
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_group_waits_then_goes_by_its_interval_and_repeats() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a");
    assert_eq!(bench.after(29), NOTHING);
    bench.fires("alertname=A instance=b");
    assert_eq!(bench.after(1), ["all/webhook/0 A: a b"]);
    // News wait for the interval.
    bench.fires("alertname=A instance=c");
    assert_eq!(bench.after(299), NOTHING);
    assert_eq!(bench.after(1), ["all/webhook/0 A: a b c"]);
    // What is the same is not repeated before its time.
    assert_eq!(bench.after(300), NOTHING);
    for name in ["a", "b", "c"] {
        bench.alert(&format!("alertname=A instance={name}"), bench.now - 900, bench.now + 100_000);
    }
    for _ in 0..46 {
        assert_eq!(bench.after(300), NOTHING);
    }
    assert_eq!(bench.after(300), NOTHING, "exactly four hours are not more than four hours");
    assert_eq!(bench.after(300), ["all/webhook/0 A: a b c"]);
    // Another name is another group.
    bench.fires("alertname=B instance=a");
    assert_eq!(bench.after(30), ["all/webhook/0 B: a"]);
}

#[test]
fn what_is_resolved_is_told_once() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a");
    bench.fires("alertname=A instance=b");
    assert_eq!(bench.after(30), ["all/webhook/0 A: a b"]);
    bench.resolves("alertname=A instance=a");
    assert_eq!(bench.after(300), ["all/webhook/0 A: a- b"]);
    assert_eq!(bench.after(300), NOTHING);
    bench.resolves("alertname=A instance=b");
    assert_eq!(bench.after(300), ["all/webhook/0 A: b-"]);
    assert_eq!(bench.engine.group_count(), 0);
    assert_eq!(bench.after(100_000), NOTHING);
    // One that came and went within the wait is nobody's business.
    bench.fires("alertname=C instance=a");
    bench.now += 5;
    bench.resolves("alertname=C instance=a");
    assert_eq!(bench.after(30), NOTHING);
    assert_eq!(bench.engine.group_count(), 0);
}

#[test]
fn what_nobody_refreshes_is_resolved_at_its_end() {
    let mut bench = Bench::new(CONFIG);
    bench.alert("alertname=A instance=a", bench.now, bench.now + 200);
    assert_eq!(bench.after(30), ["all/webhook/0 A: a"]);
    assert_eq!(bench.after(300), ["all/webhook/0 A: a-"]);
}

#[test]
fn receivers_that_do_not_want_to_know_are_remembered_to_know() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a team=db");
    assert_eq!(
        bench.after(30),
        ["db/webhook/0 A: a", "db/webhook/1 A: a"],
        "the route above is taken only where no route below is"
    );
    bench.resolves("alertname=A instance=a team=db");
    let jobs = bench.jobs_after(300);
    assert_eq!(jobs.len(), 2, "the log of one that is not told changes as well");
    jobs.iter().for_each(|job| bench.engine.finish(job, true));
    // So that it is told when it fires again.
    bench.fires("alertname=A instance=a team=db");
    assert_eq!(bench.after(30), ["db/webhook/0 A: a", "db/webhook/1 A: a"]);
}

#[test]
fn a_delivery_that_failed_is_tried_with_the_next_one() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a");
    let jobs = bench.jobs_after(30);
    assert_eq!(jobs.len(), 1);
    // Nothing else is said meanwhile, however long it takes.
    bench.fires("alertname=A instance=b");
    assert!(bench.jobs_after(400).is_empty());
    bench.engine.finish(&jobs[0], false);
    assert_eq!(bench.after(0), ["all/webhook/0 A: a b"]);
    // An alert that is resolved stays until everybody knows.
    bench.resolves("alertname=A instance=b");
    let jobs = bench.jobs_after(300);
    assert_eq!(show(&jobs[0]), "all/webhook/0 A: a b-");
    bench.engine.finish(&jobs[0], false);
    assert_eq!(bench.after(300), ["all/webhook/0 A: a b-"]);
    assert_eq!(bench.after(300), NOTHING);
}

#[test]
fn one_that_fires_again_during_its_delivery_is_not_lost() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a");
    assert_eq!(bench.after(30), ["all/webhook/0 A: a"]);
    bench.resolves("alertname=A instance=a");
    let jobs = bench.jobs_after(300);
    bench.now += 10;
    bench.fires("alertname=A instance=a");
    bench.engine.finish(&jobs[0], true);
    assert_eq!(bench.after(290), ["all/webhook/0 A: a"]);
}

#[test]
fn silences_begin_and_end() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a");
    bench.fires("alertname=A instance=b");
    let id = bench.silence("instance=a", 400);
    assert_eq!(bench.after(30), ["all/webhook/0 A: b"]);
    assert_eq!(
        bench
            .engine
            .alerts(bench.now * 1000)
            .iter()
            .filter(|a| a.silenced_by[..].iter().any(|s| s.id == id))
            .count(),
        1
    );
    assert_eq!(bench.after(300), NOTHING);
    assert_eq!(bench.after(300), ["all/webhook/0 A: a b"], "the silence is over");
    // Ending it by hand.
    bench.fires("alertname=B instance=x");
    let id = bench.silence("alertname=B", 100_000);
    assert_eq!(bench.after(300), NOTHING);
    let ended = bench.engine.silences.plan_end(&id, bench.now * 1000).expect("active");
    bench.put(ended);
    assert_eq!(bench.after(300), ["all/webhook/0 B: x"]);
    assert!(bench.engine.silences.plan_end(&id, bench.now * 1000).is_err(), "it is over");
}

#[test]
fn nobody_is_told_before_it_is_known_what_is_silenced() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=B instance=b");
    bench.silence("instance=~\"a|x\"", 100_000);
    assert!(
        bench.engine.survey(bench.now * 1000).is_none(),
        "a new silence was asked about all alerts there were"
    );
    for instance in ["a", "b"] {
        let alert = held(&format!("alertname=A instance={instance}"), bench.now, bench.now + 3600);
        bench.engine.take(alert, bench.now * 1000).expect("room");
    }
    let unknown = AlertCounts { active: 1, suppressed: 0, unprocessed: 2 };
    assert_eq!(bench.engine.count(bench.now * 1000), unknown);
    let (jobs, next) = bench.engine.turn((bench.now + 30) * 1000);
    assert_eq!(jobs.iter().map(show).collect::<Vec<_>>(), ["all/webhook/0 B: b"], "others do not wait");
    assert!(next > (bench.now + 30) * 1000, "it is not asked again and again meanwhile");
    // A silence that is made meanwhile is seen to as well.
    let survey = bench.engine.survey(bench.now * 1000).expect("two alerts");
    let id = bench.silence("instance=b", 100);
    bench.engine.surveyed(survey.run(SURVEY_TIME), bench.now * 1000);
    assert!(bench.engine.survey(bench.now * 1000).is_none());
    let known = AlertCounts { active: 0, suppressed: 3, unprocessed: 0 };
    assert_eq!(bench.engine.count(bench.now * 1000), known);
    let ended = bench.engine.silences.plan_end(&id, bench.now * 1000).expect("active");
    bench.put(ended);
    assert_eq!(bench.after(30), ["all/webhook/0 A: b"]);
    // What is known of an alert stays known.
    bench.fires("alertname=A instance=a");
    assert!(!bench.engine.has_unknown());
    bench.engine.forget_alerts();
    assert!(!bench.engine.has_unknown());
}

#[test]
fn the_place_of_a_silence_that_is_gone_means_another() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a");
    bench.fires("alertname=A instance=b");
    let silenced = |bench: &Bench| -> Vec<String> {
        let views = bench.engine.alerts(bench.now * 1000);
        let muted = views.iter().filter(|view| view.is_suppressed());
        muted.map(|view| view.alert.labels.get("instance").unwrap_or_default().to_owned()).collect()
    };
    bench.silence("instance=a", 10);
    assert_eq!(silenced(&bench), ["a"]);
    bench.now += 10;
    assert_eq!(silenced(&bench), NOTHING);
    bench.now += 200 * 3600;
    assert!(bench.engine.silences.sweep(bench.now * 1000));
    bench.fires("alertname=A instance=a");
    bench.fires("alertname=A instance=b");
    bench.silence("instance=b", 10);
    assert_eq!(silenced(&bench), ["b"]);
}

#[test]
fn rules_of_inhibition_change_with_the_configuration() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a severity=critical");
    bench.fires("alertname=B instance=a severity=warning");
    assert_eq!(bench.engine.count(bench.now * 1000).suppressed, 1);
    bench.reconfigure(&CONFIG.replace("equal: [instance]", "equal: [instance, alertname]"));
    assert_eq!(bench.engine.count(bench.now * 1000).suppressed, 0);
}

#[test]
fn a_silence_changes_in_place_or_gives_way_to_another() {
    let mut bench = Bench::new(CONFIG);
    let id = bench.silence("instance=a", 400);
    let now = bench.now * 1000;
    let old = bench.engine.silences.get(&id).expect("there");
    let request = |matchers: &str, ends_at_ms: i64| SilenceRequest {
        id: Some(id.clone()),
        matchers: parse_matchers(matchers).expect("matchers"),
        starts_at_ms: old.starts_at_ms,
        ends_at_ms,
        created_by: String::new(),
        comment: String::new(),
    };
    let plan = |request| bench.engine.silences.plan(&request, now + 1000);
    let longer = plan(request("instance=a", now + 900_000)).expect("longer");
    assert_eq!((longer.len(), &longer[0].id), (1, &id));
    let other = plan(request("instance=b", now + 900_000)).expect("another");
    assert_eq!((other.len(), &other[1].id, other[1].ends_at_ms), (2, &id, now + 1000));
    assert_eq!(other[0].starts_at_ms, now + 1000, "the new one is on disk before the old one ends");
    assert!(plan(request("instance=a", now)).is_err(), "in the past");
    assert!(plan(request("instance=~\".*\"", now + 900_000)).is_err(), "everything");
    let unknown = SilenceRequest { id: Some("x".to_owned()), ..request("instance=a", now + 900_000) };
    assert!(matches!(plan(unknown), Err(crate::receivers::SilenceError::NotFound)));
}

#[test]
fn alerts_inhibit_others_but_not_themselves() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=Down instance=a severity=critical");
    bench.fires("alertname=Slow instance=a severity=warning");
    bench.fires("alertname=Slow instance=b severity=warning");
    assert_eq!(bench.after(30), ["all/webhook/0 Down: a", "all/webhook/0 Slow: b"]);
    bench.fires("alertname=Down2 instance=a severity=critical");
    assert_eq!(
        bench.after(30),
        ["all/webhook/0 Down2: a"],
        "one that is source and target is not inhibited by its like"
    );
    bench.resolves("alertname=Down instance=a severity=critical");
    bench.resolves("alertname=Down2 instance=a severity=critical");
    assert_eq!(
        bench.after(300),
        ["all/webhook/0 Down2: a-", "all/webhook/0 Down: a-", "all/webhook/0 Slow: a b"]
    );
}

#[test]
fn a_receiver_without_integrations_swallows_and_all_labels_make_a_group() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a severity=info");
    bench.fires("alertname=A instance=b severity=info");
    assert_eq!(bench.engine.group_count(), 2);
    assert_eq!(bench.after(30), NOTHING);
    // Both routes, since the first one goes on.
    bench.fires("alertname=A instance=c severity=info team=db");
    assert_eq!(bench.after(30), ["db/webhook/0 A: c", "db/webhook/1 A: c"]);
    let view = bench.engine.alerts(bench.now * 1000);
    let view = view.iter().find(|view| view.alert.labels.get("team").is_some()).expect("there");
    assert_eq!(view.receivers.iter().map(|name| &**name).collect::<Vec<_>>(), ["db", "quiet"]);
}

#[test]
fn after_a_restart_nobody_is_told_again_and_what_waited_is_told() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a");
    assert_eq!(bench.after(30), ["all/webhook/0 A: a"]);
    bench.fires("alertname=B instance=b");
    let began = bench.now;
    bench.now += 20;
    bench.engine = Engine::new(notifications(CONFIG), bench.engine.log.clone(), Silences::default());
    bench.alert("alertname=A instance=a", began - 30, bench.now + 3600);
    bench.alert("alertname=B instance=b", began, bench.now + 3600);
    assert_eq!(bench.after(20), NOTHING);
    assert_eq!(bench.after(10), ["all/webhook/0 B: b"]);
    // That it is resolved is told, whoever was told that it fires.
    bench.resolves("alertname=A instance=a");
    assert_eq!(bench.after(300), ["all/webhook/0 A: a-"]);
}

#[test]
fn one_that_fires_for_long_does_not_wait_after_a_restart() {
    let mut bench = Bench::new(CONFIG);
    bench.alert("alertname=A instance=a", bench.now - 600, bench.now + 3600);
    assert_eq!(bench.after(0), ["all/webhook/0 A: a"]);
}

#[test]
fn a_reload_leaves_groups_alone_whose_route_is_the_same() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a");
    bench.fires("alertname=A instance=d team=db");
    assert_eq!(bench.after(30).len(), 3);
    bench.fires("alertname=A instance=b");
    bench.now += 200;
    // The route of one receiver waits longer, and another begins.
    let text = CONFIG
        .replace("continue: true", "continue: true\n      group_wait: 1m")
        .replace("'...'", "alertname");
    bench.reconfigure(&text);
    assert_eq!(bench.after(0), NOTHING);
    assert_eq!(bench.after(99), NOTHING);
    assert_eq!(bench.after(1), ["all/webhook/0 A: a b"], "the time it had");
    // Alerts that another route takes now leave their group.
    let text = CONFIG.replace("severity=info", "instance=a");
    bench.reconfigure(&text);
    bench.resolves("alertname=A instance=b");
    assert_eq!(bench.after(300), ["all/webhook/0 A: b-"]);
}

#[test]
fn there_is_a_limit_to_everything() {
    let mut bench = Bench::new(CONFIG);
    for number in 0..MAX_ALERTS {
        bench.fires(&format!("alertname=A instance={number}"));
    }
    let alert = |text: &str| HeldAlert {
        labels: labels(text),
        annotations: Labels::empty(),
        starts_at: 0,
        ends_at: i64::MAX,
        end_is_assumed: false,
        updated_at: 0,
        generator_url: String::new(),
    };
    let now = bench.now * 1000;
    assert_eq!(bench.engine.take(alert("alertname=B"), now), Err(Refused::Full));
    assert_eq!(bench.engine.take(alert("alertname=A instance=7"), now), Ok(()));
    let long = format!("alertname={}", "x".repeat(MAX_TEXT_BYTES));
    assert_eq!(bench.engine.take(alert(&long), now), Err(Refused::TooLong));
    assert_eq!(bench.jobs_after(30)[0].alerts.len(), MAX_ALERTS);
    // Annotations that are too long are left out.
    let mut bench = Bench::new(CONFIG);
    let annotations = Labels::from_pairs([("summary", "short"), ("text", &"x".repeat(MAX_TEXT_BYTES))]);
    bench.engine.take(HeldAlert { annotations, ..alert("alertname=A") }, now).expect("room");
    let jobs = bench.jobs_after(30);
    assert_eq!(jobs[0].alerts[0].alert.annotations.to_string(), "{summary=\"short\"}");
}

#[test]
fn keys_of_groups_are_those_of_alertmanager() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a team=db");
    let jobs = bench.jobs_after(30);
    assert_eq!(&*jobs[0].key.group, r#"{}/{team="db"}:{alertname="A"}"#);
}

#[test]
fn after_a_restart_nobody_is_told_of_a_part_of_a_group() {
    let mut bench = Bench::new(CONFIG);
    let began = bench.now;
    bench.fires("alertname=A instance=a");
    bench.fires("alertname=A instance=b");
    bench.fires("alertname=Down instance=c severity=critical");
    bench.fires("alertname=Slow instance=c severity=warning");
    assert_eq!(bench.after(30), ["all/webhook/0 A: a b", "all/webhook/0 Down: c"]);
    bench.now += 600;
    bench.restart(120);
    // One of two was resolved meanwhile and comes first; so does what is inhibited.
    bench.alert("alertname=A instance=b", began, bench.now - 1);
    bench.alert("alertname=Slow instance=c severity=warning", began, bench.now + 3600);
    assert_eq!(bench.after(60), NOTHING);
    bench.alert("alertname=A instance=a", began, bench.now + 3600);
    bench.alert("alertname=Down instance=c severity=critical", began, bench.now + 3600);
    assert_eq!(bench.after(59), NOTHING);
    assert_eq!(bench.after(1), ["all/webhook/0 A: a b-"]);
    assert_eq!(bench.after(300), NOTHING);
}

#[test]
fn what_is_new_after_a_restart_waits_no_longer_than_it_must() {
    let mut bench = Bench::new(CONFIG);
    bench.restart(120);
    bench.fires("alertname=A instance=a");
    let (jobs, next) = bench.engine.turn(bench.now * 1000);
    assert_eq!((jobs.len(), next), (0, (bench.now + 120) * 1000));
    bench.now += 110;
    bench.fires("alertname=B instance=b");
    assert_eq!(bench.after(10), ["all/webhook/0 A: a"]);
    assert_eq!(bench.after(20), ["all/webhook/0 B: b"]);
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a");
    assert_eq!(bench.after(30), ["all/webhook/0 A: a"]);
    bench.now -= 100_000;
    assert_eq!(bench.after(0), NOTHING);
    bench.fires("alertname=A instance=b");
    assert_eq!(bench.after(300), ["all/webhook/0 A: a b"]);
    bench.fires("alertname=B instance=a");
    bench.now -= 100_000;
    assert_eq!(bench.after(0), NOTHING);
    bench.fires("alertname=B instance=a");
    assert_eq!(bench.after(30), ["all/webhook/0 B: a"]);
    bench.restart(120);
    bench.now -= 100_000;
    let (_, next) = bench.engine.turn(bench.now * 1000);
    assert_eq!(next, (bench.now + 120) * 1000);
}

#[test]
fn resolved_alerts_do_not_take_the_room_of_others() {
    let mut bench = Bench::new(CONFIG);
    bench.resolves("alertname=A instance=unknown");
    assert!(bench.engine.alerts.is_empty(), "nobody was told that it fires");
    for number in 0..MAX_ALERTS {
        bench.fires(&format!("alertname=A instance={number}"));
    }
    bench.now += 10;
    for number in 0..10 {
        bench.resolves(&format!("alertname=A instance={number}"));
    }
    bench.fires("alertname=B instance=new");
    assert_eq!(bench.engine.alerts.len(), MAX_ALERTS - 9);
    let counted: usize = bench.engine.alerts.values().map(|kept| kept.alert.bytes()).sum();
    assert_eq!(bench.engine.bytes, counted);
    assert_eq!(bench.jobs_after(30).iter().map(|job| job.alerts.len()).sum::<usize>(), MAX_ALERTS - 9);
}

#[test]
fn resolved_alerts_that_somebody_waits_for_go_last() {
    let mut bench = Bench::new(CONFIG);
    let most = MAX_ALERTS / 10;
    for number in 0..MAX_ALERTS {
        let name = if number < most { "Known" } else { "A" };
        bench.fires(&format!("alertname={name} instance={number}"));
    }
    assert_eq!(bench.after(30).len(), 2);
    for number in 0..most {
        bench.resolves(&format!("alertname=Known instance={number}"));
    }
    assert_eq!(bench.after(300).len(), 1);
    bench.resolves(&format!("alertname=A instance={most}"));
    bench.fires("alertname=B instance=new");
    let jobs = bench.jobs_after(300);
    let ended = jobs.iter().flat_map(|job| job.alerts.iter()).filter(|told| told.resolved).count();
    assert_eq!(ended, 1, "it is told although there was no room");
}

#[test]
fn alerts_of_a_receiver_that_is_gone_are_bounded() {
    let mut bench = Bench::new(CONFIG);
    for round in 0..4 {
        for number in 0..MAX_ALERTS / 2 {
            bench.fires(&format!("alertname=A instance={round}-{number}"));
        }
        bench.now += 30;
        for job in bench.jobs_after(300) {
            bench.engine.finish(&job, false);
        }
        for number in 0..MAX_ALERTS / 2 {
            bench.resolves(&format!("alertname=A instance={round}-{number}"));
        }
        bench.now += 3600;
        for job in bench.jobs_after(0) {
            bench.engine.finish(&job, false);
        }
        assert!(bench.engine.groups.values().map(|group| group.alerts.len()).sum::<usize>() <= MAX_ALERTS);
    }
}

#[test]
fn texts_of_alerts_are_bounded() {
    let mut bench = Bench::new(CONFIG);
    let now = bench.now * 1000;
    let alert = |number: usize| HeldAlert {
        labels: labels(&format!("alertname=A instance={number}")),
        annotations: Labels::from_pairs([("text", "x".repeat(60 << 10))]),
        starts_at: now,
        ends_at: i64::MAX,
        end_is_assumed: false,
        updated_at: now,
        generator_url: format!("http://h/{}", "x".repeat(MAX_URL_BYTES)),
    };
    let taken = (0..MAX_ALERTS).take_while(|number| bench.engine.take(alert(*number), now).is_ok()).count();
    assert!((2000..2500).contains(&taken), "{taken}");
    assert!(bench.engine.bytes <= MAX_ALERT_BYTES);
    assert!(bench.engine.alerts.values().all(|kept| kept.alert.generator_url.is_empty()));
}

#[test]
fn that_it_is_resolved_is_told_where_repeats_are_frequent() {
    let text = CONFIG.replace("repeat_interval: 4h", "repeat_interval: 1m").replace("5m", "2h");
    let mut bench = Bench::new(&text);
    bench.alert("alertname=A instance=a", bench.now, bench.now + 7000);
    assert_eq!(bench.after(30), ["all/webhook/0 A: a"]);
    for _ in 0..119 {
        assert_eq!(bench.after(60), NOTHING);
    }
    assert_eq!(bench.after(60), ["all/webhook/0 A: a-"]);
    // The entry of the group is there while it is, then no longer than it must.
    bench.fires("alertname=B instance=b");
    bench.silence("alertname=C", 1);
    assert_eq!(bench.after(30), ["all/webhook/0 B: b"]);
    bench.after(100_000);
    assert_eq!(bench.engine.log.iter().count(), 1);
}

fn is_cancelled(job: &Job) -> bool {
    job.alive.has_changed().is_err()
}

#[test]
fn a_reload_during_a_delivery_tells_nobody_twice() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a team=db");
    let jobs = bench.jobs_after(30);
    assert_eq!(jobs.len(), 2);
    // The route waits longer and has another place.
    let text = CONFIG.replace("    routes:\n", "    routes:\n    - {receiver: quiet, matchers: [x=y]}\n");
    bench.reconfigure(&text.replace("continue: true", "continue: true\n      group_wait: 1m"));
    assert_eq!(bench.jobs_after(60).len(), 0, "it is on its way");
    assert!(!jobs.iter().any(is_cancelled));
    jobs.iter().for_each(|job| bench.engine.finish(job, true));
    assert!(bench.engine.flights.is_empty());
    bench.fires("alertname=A instance=b team=db");
    assert_eq!(bench.after(240), ["db/webhook/0 A: a b", "db/webhook/1 A: a b"]);
}

#[test]
fn a_receiver_that_is_mended_is_told_at_once() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a");
    bench.fires("alertname=B instance=a team=db");
    let jobs = bench.jobs_after(30);
    assert_eq!(jobs.len(), 3);
    bench.reconfigure(&CONFIG.replace("http://i/", "http://mended/"));
    let (changed, same): (Vec<&Job>, Vec<&Job>) = jobs.iter().partition(|job| job.receiver.name == "db");
    assert!(changed.iter().all(|job| is_cancelled(job)) && !same.iter().any(|job| is_cancelled(job)));
    let again = bench.jobs_after(0);
    assert_eq!(again.iter().map(show).collect::<Vec<_>>(), ["db/webhook/0 B: a", "db/webhook/1 B: a"]);
    // The end of what was cancelled is not that of what came after it.
    bench.engine.finish(changed[0], false);
    again.iter().chain(same).for_each(|job| bench.engine.finish(job, true));
    assert!(bench.engine.flights.is_empty());
    assert_eq!(bench.after(300), NOTHING);
    // Turning it off ends what is on its way.
    bench.fires("alertname=C instance=a");
    let jobs = bench.jobs_after(30);
    bench.engine.forget_alerts();
    assert!(is_cancelled(&jobs[0]));
}

#[test]
fn a_reload_of_routes_loses_nothing_that_is_resolved() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=A instance=a");
    bench.fires("alertname=B instance=b team=db");
    assert_eq!(bench.after(30).len(), 3);
    bench.resolves("alertname=A instance=a");
    bench.resolves("alertname=B instance=b team=db");
    bench.reconfigure(&CONFIG.replace("group_interval: 5m", "group_interval: 1m"));
    let mut told: Vec<String> = bench.jobs_after(60).iter().map(show).collect();
    told.sort();
    assert_eq!(told, ["all/webhook/0 A: a-", "db/webhook/0 B: b-", "db/webhook/1 B: b-"]);
}

#[test]
fn one_that_another_route_takes_when_it_is_resolved_is_told_there() {
    let mut bench = Bench::new(CONFIG);
    let both = |all: bool| {
        CONFIG.replace(
            "    - receiver: quiet\n",
            if all {
                "    - {receiver: all, matchers: [x=y]}\n    - receiver: quiet\n"
            } else {
                "    - receiver: quiet\n"
            },
        )
    };
    // What was told under a key before counts for the group that has it again.
    bench.reconfigure(&both(true));
    bench.fires("alertname=A instance=a x=y");
    assert_eq!(bench.after(30), ["all/webhook/0 A: a"]);
    bench.reconfigure(&both(false));
    assert_eq!(bench.after(30), ["all/webhook/0 A: a"], "another group");
    bench.resolves("alertname=A instance=a x=y");
    bench.reconfigure(&both(true));
    assert_eq!(bench.after(30), ["all/webhook/0 A: a-"]);
}

#[test]
fn values_in_keys_of_groups_are_quoted_as_alertmanager_does() {
    let mut bench = Bench::new(CONFIG);
    bench.fires("alertname=it's\u{7f}");
    assert_eq!(&*bench.jobs_after(30)[0].key.group, r#"{}:{alertname="it's\x7f"}"#);
}

#[test]
fn an_empty_list_of_labels_to_group_by_says_nothing() {
    let mut bench = Bench::new(&CONFIG.replace("continue: true", "continue: true\n      group_by: []"));
    bench.fires("alertname=A instance=a team=db");
    bench.fires("alertname=B instance=b team=db");
    assert_eq!(bench.engine.group_count(), 2);
}

#[test]
fn silences_that_are_over_make_room() {
    let mut bench = Bench::new(CONFIG);
    let first = bench.silence("instance=a", 10);
    let second = bench.silence("instance=a", 20);
    for _ in 2..MAX_SILENCES {
        bench.silence("instance=a", 1000);
    }
    let now = bench.now * 1000;
    let request = || SilenceRequest {
        id: None,
        matchers: parse_matchers("instance=b").expect("matchers"),
        starts_at_ms: now,
        ends_at_ms: now + 900_000,
        created_by: String::new(),
        comment: String::new(),
    };
    assert!(bench.engine.silences.plan(&request(), now).is_err());
    bench.now += 30;
    bench.silence("instance=b", 1000);
    assert!(bench.engine.silences.get(&first).is_none() && bench.engine.silences.get(&second).is_some());
    assert_eq!(bench.engine.silences.iter().count(), MAX_SILENCES);
}
