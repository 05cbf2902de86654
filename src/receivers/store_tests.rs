//! The file: what comes back, damage, growth.

use super::*;

fn told(number: u64) -> (LogKey, Arc<LogEntry>) {
    let key = LogKey {
        group: format!("{{}}:{{alertname=\"A{number}\"}}").into(),
        receiver: "r".into(),
        integration: "webhook/0".to_owned(),
    };
    let at = i64::try_from(number).expect("small");
    let entry = LogEntry { at, expires_at: at + 1000, firing: vec![number, number + 1], resolved: vec![7] };
    (key, Arc::new(entry))
}

fn silence(id: &str, value: &str) -> Silence {
    Silence {
        id: id.to_owned(),
        matchers: vec![
            Matcher::new("a", MatchOp::Regex, value).expect("a matcher"),
            Matcher::new("b", MatchOp::NotEqual, "x").expect("a matcher"),
        ],
        starts_at_ms: 1,
        ends_at_ms: 1000,
        updated_at_ms: 3,
        created_by: "me".to_owned(),
        comment: "why\n".to_owned(),
    }
}

/// Everything that is known, in a fixed order.
fn known(told: &NotificationLog, silences: &Silences) -> String {
    let mut lines: Vec<String> = told.iter().map(|(key, entry)| format!("{key:?} {entry:?}")).collect();
    lines.extend(silences.iter().map(|silence| format!("{silence:?}")));
    lines.sort();
    lines.join("\n")
}

fn reopened(folder: &Path) -> String {
    let (told, silences) = Store::open(folder).expect("opens").known(0);
    known(&told, &silences)
}

#[test]
fn everything_comes_back_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut expected, mut silences) = (NotificationLog::default(), Silences::default());
    {
        let store = Store::open(folder.path()).expect("opens");
        let (found, none) = store.known(0);
        assert_eq!(known(&found, &none), "");
        for number in 0..20 {
            let (key, entry) = told(number);
            store.told(&key, &entry).expect("written");
            expected.put(key, entry);
        }
        for one in [silence("1", "x.*"), silence("2", "y"), silence("1", "z")] {
            store.silences(std::slice::from_ref(&one)).expect("written");
            silences.put(one);
        }
    }
    let expected = known(&expected, &silences);
    assert_eq!(expected.lines().count(), 22);
    assert_eq!(reopened(folder.path()), expected);
    assert_eq!(reopened(folder.path()), expected);
}

#[test]
fn a_file_cut_or_changed_anywhere_gives_what_came_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut states = vec![String::new()];
    {
        let store = Store::open(folder.path()).expect("opens");
        let (mut log, mut silences) = store.known(0);
        for number in 0..4 {
            let (key, entry) = told(number);
            store.told(&key, &entry).expect("written");
            log.put(key, entry);
            states.push(known(&log, &silences));
            let one = silence(&number.to_string(), "v");
            store.silences(std::slice::from_ref(&one)).expect("written");
            silences.put(one);
            states.push(known(&log, &silences));
        }
    }
    let path = folder.path().join(FILE.name);
    let whole = std::fs::read(&path).expect("there");
    for cut in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[cut] ^= 0x10;
        for bytes in [&whole[..cut], &flipped] {
            let damaged = tempfile::tempdir().expect("a folder");
            std::fs::write(damaged.path().join(FILE.name), bytes).expect("written");
            match Store::open(damaged.path()) {
                Ok(store) => {
                    let (log, silences) = store.known(0);
                    let now = known(&log, &silences);
                    assert!(states.contains(&now), "byte {cut}: {now}");
                    // What was left is whole again.
                    assert_eq!(reopened(damaged.path()), now);
                }
                Err(error) => {
                    assert!(cut == 7 && error.to_string().contains("version"), "byte {cut}: {error}");
                }
            }
        }
    }
}

#[test]
fn the_file_does_not_grow_with_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("opens");
    let many: Vec<Silence> = (0..200).map(|id| silence(&id.to_string(), &"v".repeat(100))).collect();
    for _ in 0..200 {
        store.silences(&many).expect("written");
    }
    let bytes = std::fs::metadata(folder.path().join(FILE.name)).expect("there").len();
    assert!(bytes < 2 << 20, "{bytes} bytes");
    // What is over is dropped, five days later.
    store.compact(1000 + 5 * 24 * 3600 * 1000, &HashSet::new()).expect("written");
    assert_eq!(std::fs::metadata(folder.path().join(FILE.name)).expect("there").len(), 8);
}

#[test]
fn a_silence_that_could_not_be_kept_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("n");
    let store = Store::open(&inside).expect("opens");
    std::fs::remove_dir_all(&inside).expect("removed");
    store.silences(&[silence("1", "x")]).expect_err("the folder is gone");
    std::fs::create_dir(&inside).expect("made");
    store.silences(&[silence("2", "x")]).expect("written");
    assert_eq!(reopened(&inside).lines().count(), 1);
}

#[test]
fn records_that_nobody_wrote_are_no_records() {
    // A deterministic stream of bytes; the reader may refuse any of it, but neither panic nor take much memory.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let len = usize::try_from(next() % 80).expect("small");
        let bytes: Vec<u8> = (0..len).map(|_| u8::try_from(next() & 0xff).expect("a byte")).collect();
        let _ = decode(&bytes);
    }
    let mut good = Vec::new();
    put_silence(&mut good, &silence("1", "x"));
    let payload = &good[crate::codec::frame::RECORD_HEADER_LEN..];
    assert!(decode(payload).is_some());
    for at in 0..payload.len() {
        for value in [0, 1, 0x7f, 0xfb, 0xfc, 0xfd, 0xff] {
            let mut changed = payload.to_vec();
            changed[at] = value;
            let _ = decode(&changed);
        }
    }
}

/// What version 1 looks like, byte by byte.
const GOLDEN: [&[u8]; 3] = [
    b"EKNOTIF\x01",
    b"\x1b\x00\x00\x00Y\xa0\xa5\xb1\x00\x011\x02\x01a\x02\x01x\x01b\x01\x01x\x02\xfb\xd0\x07\x06\x02me\x04why\x0a",
    b"*\x00\x00\x00&\xb2\x1c\xa2\x01\x13{}:{alertname=\"A1\"}\x01r\x09webhook/0\x02\xfb\xd2\x07\x02\x01\x02\x01\x07",
];

#[test]
fn version_1_is_written_and_read_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    {
        let store = Store::open(folder.path()).expect("opens");
        store.silences(&[silence("1", "x")]).expect("written");
        let (key, entry) = told(1);
        store.told(&key, &entry).expect("written");
    }
    let path = folder.path().join(FILE.name);
    assert_eq!(std::fs::read(&path).expect("there"), GOLDEN.concat());
    let expected = reopened(folder.path());
    std::fs::write(&path, GOLDEN.concat()).expect("written");
    assert_eq!(reopened(folder.path()), expected);
    assert_eq!(expected.lines().count(), 2);
}
