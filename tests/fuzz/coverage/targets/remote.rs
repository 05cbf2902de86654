//! Remote write bodies of both versions: every decoder, and a real database behind the receiver.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use emberkeep::model::{Samples, TimeRange};
use emberkeep::codec::protobuf as wire;
use emberkeep::remote::{Receiver, histogram, message, v2};
use emberkeep::storage::{Queryable as _, SelectRequest};
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{Limits, SyncPolicy, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;
use emberkeep_fuzz::input::{self, bits};
use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// The clock stands here, in milliseconds.
const NOW: i64 = 1_700_000_600_000;
/// A database is given up after so many requests, so that it stays small.
const REQUESTS: u64 = 5000;

struct Server {
    db: Arc<Tsdb>,
    receiver: Receiver,
    requests: u64,
    _dir: TempDir,
}

thread_local! {
    static SERVER: RefCell<Option<Server>> = const { RefCell::new(None) };
}

fn server() -> Server {
    let dir = tempfile::tempdir().expect("a folder");
    let limits = Limits { retention_ms: 0, out_of_order_ms: 600_000, ..Limits::default() };
    let options = TsdbOptions {
        sync: SyncPolicy::Never,
        background: false,
        reserve_bytes: 0,
        limits,
        ..TsdbOptions::new(dir.path())
    };
    let clock = Arc::new(ManualClock::new(NOW));
    let db = Arc::new(Tsdb::open(options, clock, &mut Registry::default()).expect("an empty folder"));
    let receiver = Receiver::new(Arc::clone(&db), &mut Registry::default()).with_type_and_unit_labels(true);
    Server { db, receiver, requests: 0, _dir: dir }
}

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        let Some((choice, body)) = data.split_first() else { return };
        let made = match choice % 8 {
            0 => made_body(&mut Unstructured::new(body)).ok(),
            _ => None,
        };
        let body = made.as_deref().unwrap_or(body);
        decode(body);
        SERVER.with_borrow_mut(|kept| {
            if kept.as_ref().is_some_and(|server| server.requests >= REQUESTS) {
                *kept = None;
            }
            let server = kept.get_or_insert_with(server);
            server.requests += 1;
            within(256, || write(server, *choice, body));
            if choice & 0xf0 == 0xf0 && server.requests % 16 == 0 {
                read_back(server);
            }
        });
    }
);

fn decode(body: &[u8]) {
    let _ = message::each_series(body, |series| {
        series.histograms.iter().for_each(|bytes| drop(histogram::read(bytes)));
        series.exemplars.iter().for_each(|bytes| drop(message::read_exemplar(bytes)));
    });
    let _ = message::each_family(body, |_, _| {});
    let _ = histogram::read(body);
    let _ = v2::read_exemplar(body);
    if let Ok(request) = v2::Request::read(body) {
        let mut pairs = Vec::new();
        let _ = request.each_series(|series| {
            request.labels(&series.labels, &mut pairs);
            series.histograms.iter().for_each(|bytes| drop(histogram::read(bytes)));
            series.exemplars.iter().for_each(|bytes| drop(v2::read_exemplar(bytes)));
        });
    }
}

fn write(server: &Server, choice: u8, body: &[u8]) {
    if choice % 8 == 7 {
        // The frame of snappy is damaged too.
        let _ = server.receiver.write(body);
        return;
    }
    let packed = snap::raw::Encoder::new().compress_vec(body).expect("small");
    let inflated = server.receiver.inflate(&packed).expect("own output");
    let before = server.db.head().series_count();
    let refused = if choice & 8 == 0 {
        server.receiver.commit(&inflated).err()
    } else {
        server.receiver.commit_v2(&inflated).err()
    };
    if let Some(error) = refused {
        assert!(error.is_bad_request(), "{error}");
        assert!(!error.to_string().is_empty());
    }
    assert!(server.db.head().series_count() >= before);
}

/// What was written can be read, in order.
fn read_back(server: &Server) {
    let querier = server.db.querier(TimeRange::ALL).expect("open");
    let set = querier.select(&SelectRequest::new(&[], TimeRange::ALL)).expect("memory");
    let mut samples = Samples::new();
    for at in 0..set.len() {
        set.read(at, TimeRange::ALL, &mut samples).expect("memory");
        assert!(samples.timestamps.is_sorted_by(|a, b| a < b));
        assert_eq!(samples.timestamps.len(), samples.values.len());
        assert!(at == 0 || set.labels(at - 1) < set.labels(at), "each once, in order");
    }
}

/// A body of version 1.0 as a sender makes it: what is read of it is what was written.
fn made_body(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    let mut all = Vec::new();
    while !u.is_empty() && all.len() < 20 {
        let labels = input::labels(u)?;
        let mut samples = Vec::new();
        for _ in 0..u.int_in_range(0..=4)? {
            samples.push((input::time(u)?, input::float(u)?));
        }
        message::put_series(&mut body, labels.iter(), &samples);
        all.push((labels, samples));
    }
    let mut at = 0;
    message::each_series(&body, |series| {
        let (labels, samples) = &all[at];
        let pairs = labels.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        assert!(pairs.eq(series.labels.iter().copied()));
        let times = |all: &[(i64, f64)]| all.iter().map(|(time, _)| *time).collect::<Vec<_>>();
        let values = |all: &[(i64, f64)]| bits(&all.iter().map(|(_, value)| *value).collect::<Vec<_>>());
        assert_eq!(times(&series.samples), times(samples));
        assert_eq!(values(&series.samples), values(samples));
        at += 1;
    })
    .expect("own output");
    assert_eq!(at, all.len());
    Ok(body)
}

/// Bodies of both versions, and bytes to make others from.
fn made_seeds() -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = (0..300u32).map(|n| (n * n % 251) as u8).collect();
    let message = |fields: &[(u64, &[u8])]| {
        let mut out = Vec::new();
        fields.iter().for_each(|(number, bytes)| wire::put_bytes(&mut out, *number, bytes));
        out
    };
    let sample = |value: f64, time: i64| {
        let mut out = Vec::new();
        wire::put_float(&mut out, 1, value);
        wire::put_varint(&mut out, 2, time.cast_unsigned());
        out
    };
    let exemplar = |labels: &[u8], number: u64| {
        let mut out = message(&[(number, labels)]);
        wire::put_float(&mut out, 2, 0.5);
        wire::put_varint(&mut out, 3, NOW.cast_unsigned());
        out
    };
    // A count, a sum, a schema, a zero bucket, one span with two buckets, a time.
    let mut histogram = Vec::new();
    wire::put_varint(&mut histogram, 1, 5);
    wire::put_float(&mut histogram, 3, 1.5);
    wire::put_varint(&mut histogram, 4, 6);
    wire::put_float(&mut histogram, 5, 0.001);
    wire::put_varint(&mut histogram, 6, 2);
    let mut span = Vec::new();
    wire::put_varint(&mut span, 1, 2);
    wire::put_varint(&mut span, 2, 2);
    wire::put_bytes(&mut histogram, 11, &span);
    wire::put_bytes(&mut histogram, 12, &[4, 1]);
    wire::put_varint(&mut histogram, 15, NOW.cast_unsigned());
    let label = |name: &[u8], value: &[u8]| message(&[(1, name), (2, value)]);
    let mut all = vec![[&[0], &bytes[..]].concat()];
    let first = message(&[(
        1,
        &message(&[
            (1, &label(b"__name__", b"up")),
            (1, &label(b"job", b"x")),
            (2, &sample(1.5, NOW)),
            (2, &sample(2.0, NOW + 15_000)),
            (3, &exemplar(&label(b"trace_id", b"abc"), 1)),
            (4, &histogram),
        ]),
    )]);
    let mut family = Vec::new();
    wire::put_varint(&mut family, 1, 1);
    wire::put_bytes(&mut family, 2, b"up");
    wire::put_bytes(&mut family, 4, b"Help.");
    let first = [first, message(&[(3, &family)])].concat();
    let mut metadata = Vec::new();
    wire::put_varint(&mut metadata, 1, 1);
    wire::put_varint(&mut metadata, 3, 5);
    wire::put_varint(&mut metadata, 4, 6);
    let series = message(&[
        (1, &[1, 2, 3, 4]),
        (2, &sample(1.5, NOW)),
        (3, &histogram),
        (4, &exemplar(&[3, 4], 1)),
        (5, &metadata),
    ]);
    let symbols =
        ["", "__name__", "up", "job", "x", "Help.", "seconds"].map(|text| message(&[(4, text.as_bytes())]));
    let second = [symbols.concat(), message(&[(5, &series)])].concat();
    for choice in [1, 0xf1] {
        all.push([&[choice], &first[..]].concat());
    }
    for choice in [9, 0xf9] {
        all.push([&[choice], &second[..]].concat());
    }
    all.push([&[7], &snap::raw::Encoder::new().compress_vec(&first).expect("small")[..]].concat());
    all
}
