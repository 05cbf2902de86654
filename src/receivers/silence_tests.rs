//! What expressions of silences may take together, and for how long they are kept.

use super::*;
use crate::model::parse_matchers;

/// A new silence with an expression whose program is of some hundred KiB.
fn large(number: usize) -> SilenceRequest {
    SilenceRequest {
        id: None,
        matchers: parse_matchers(&format!("l=~\"(.*a){{1000}}{number}\"")).expect("matchers"),
        starts_at_ms: 1000,
        ends_at_ms: 2000,
        created_by: "me".to_owned(),
        comment: "why".to_owned(),
    }
}

fn put(silences: &mut Silences, request: &SilenceRequest, now: i64) -> Result<String, SilenceError> {
    let changes = silences.plan(request, now)?;
    let id = changes[0].id.clone();
    for silence in changes {
        silences.put(silence);
    }
    Ok(id)
}

/// How many of them there is room for, and the names of those.
fn fill(silences: &mut Silences) -> Vec<String> {
    let mut ids = Vec::new();
    let request = large(0);
    for _ in 0..MAX_SILENCES {
        match put(silences, &request, 1000) {
            Ok(id) => ids.push(id),
            Err(SilenceError::TooLarge) => return ids,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("there is room for all of them");
}

fn has_expression(silence: &Silence) -> bool {
    silence.matchers.iter().any(|matcher| matcher.regex().is_some())
}

#[test]
fn all_silences_that_are_not_over_share_one_budget() {
    let mut silences = Silences::default();
    let ids = fill(&mut silences);
    assert!((4..500).contains(&ids.len()), "{}", ids.len());
    // Another word in place of the old one is no further expression, and neither is a longer time.
    let change = SilenceRequest { id: Some(ids[0].clone()), ends_at_ms: 3000, ..large(0) };
    assert_eq!(put(&mut silences, &change, 1000), Ok(ids[0].clone()));
    put(&mut silences, &SilenceRequest { id: Some(ids[1].clone()), ..large(1_001) }, 1000).expect("room");
    assert_eq!(put(&mut silences, &large(1_002), 1000), Err(SilenceError::TooLarge));
    let plain = SilenceRequest { matchers: parse_matchers("l=x").expect("matchers"), ..large(0) };
    put(&mut silences, &plain, 1000).expect("it has no expression");
    // One that ends makes room.
    let ended = silences.plan_end(&ids[2], 1001).expect("active");
    silences.put(ended);
    put(&mut silences, &large(1_003), 1001).expect("room");
}

#[test]
fn expressions_of_silences_that_are_over_are_dropped() {
    let mut silences = Silences::default();
    let [by_hand, by_time, stays] = [1, 2, 3].map(|number| {
        let ends_at_ms = 2000 + 1000 * i64::from(number == 3);
        let matchers = parse_matchers(&format!("l=~\"(a|b)c{number}\"")).expect("matchers");
        let request = SilenceRequest { matchers, ends_at_ms, ..large(0) };
        put(&mut silences, &request, 1000).expect("room")
    });
    let has = |silences: &Silences, id: &str| has_expression(&silences.get(id).expect("there"));
    let ended = silences.plan_end(&by_hand, 1500).expect("active");
    silences.put(ended);
    assert!(!has(&silences, &by_hand) && has(&silences, &by_time));
    silences.drop_expressions(2000);
    assert!(!has(&silences, &by_time) && has(&silences, &stays));
    // What they say stays, and they are in no survey any more.
    let shown = silences.get(&by_time).expect("there");
    assert_eq!(shown.matchers, parse_matchers("l=~\"(a|b)c2\"").expect("matchers"));
    let asked: Vec<_> = silences.placed(2000).into_iter().map(|(_, silence)| silence.id.clone()).collect();
    assert_eq!(asked, [stays]);
}

#[test]
fn expressions_that_were_kept_as_text_are_read_within_one_budget() {
    let labels = Labels::from_pairs([("l", "ac1")]);
    let mut silences = Silences::default();
    for id in 0..2 {
        let matchers = parse_matchers("l=~\"(a|b)c1\"").expect("matchers");
        let silence = Silence { id: id.to_string(), matchers, ends_at_ms: 2000 + id, ..sample() };
        silences.put(silence.text());
    }
    assert!(silences.iter().all(|silence| !silence.matches(&labels)));
    silences.read_expressions(2000);
    let matching: Vec<_> = silences.iter().filter(|silence| silence.matches(&labels)).collect();
    assert_eq!(
        matching.iter().map(|silence| &silence.id).collect::<Vec<_>>(),
        ["1"],
        "the other one is over"
    );
    assert!(silences.placed(2000)[0].1.matches(&labels), "the same by place");
    let mut many = Silences::default();
    let text = large(0).matchers.iter().map(Matcher::text).collect::<Vec<_>>();
    let room = fill(&mut Silences::default()).len();
    for id in 0..room + 3 {
        many.put(Silence { id: id.to_string(), matchers: text.clone(), ends_at_ms: 9000, ..sample() });
    }
    many.read_expressions(2000);
    let without = many.iter().filter(|silence| !has_expression(silence)).count();
    assert_eq!(without, 3);
}

#[test]
fn an_expression_that_is_too_large_for_a_value_is_not_asked() {
    let silence = Silence { matchers: large(0).matchers, ..sample() };
    let value = |len: usize| Labels::from_pairs([("l", "a".repeat(len))]);
    assert_eq!(silence.matches_while(&value(14 << 10), &|| panic!("asked")), Err(Stopped));
    assert_eq!(silence.matches_while(&value(10), &|| true), Ok(false));
    let plain = Silence { matchers: parse_matchers("l=~\"a+\"").expect("matchers"), ..sample() };
    assert_eq!(plain.matches_while(&value(64 << 10), &|| true), Ok(true), "sensible ones are");
}

fn sample() -> Silence {
    Silence {
        id: String::new(),
        matchers: Vec::new(),
        starts_at_ms: 1000,
        ends_at_ms: 2000,
        updated_at_ms: 1000,
        created_by: String::new(),
        comment: String::new(),
    }
}
