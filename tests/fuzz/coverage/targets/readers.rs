//! Bodies of all encodings through the reader: a key always stands for the same labels, histograms are whole, and a
//! body reads the same twice.
#![no_main]

use std::collections::HashMap;

use emberkeep::codec::protobuf::{put_bytes, put_float, put_varint};
use emberkeep::expfmt::{Encoding, Format, Read, ReadOptions, Reader};
use emberkeep::model::histogram::Buckets;
use emberkeep::model::{Labels, LabelsBuf, MetricType, bounds};
use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        let Some((choice, body)) = data.split_first() else { return };
        let encoding = match choice & 3 {
            0 => Encoding::Text(Format::Text),
            1 => Encoding::Text(Format::OpenMetrics),
            _ => Encoding::Protobuf,
        };
        let options = ReadOptions {
            native_histograms: choice & 4 != 0,
            classic_too: choice & 8 != 0,
            convert_classic: choice & 16 != 0,
            created: choice & 32 != 0,
        };
        within(64, || assert_eq!(read(body, encoding, options), read(body, encoding, options)));
    }
);

/// Everything that is read, and how it ended.
fn read(body: &[u8], encoding: Encoding, options: ReadOptions) -> (Vec<String>, String) {
    let mut reader = Reader::new(body, encoding, options);
    let mut labels = LabelsBuf::new();
    let mut known: HashMap<(Vec<u8>, MetricType), Option<Labels>> = HashMap::new();
    let mut all = Vec::new();
    loop {
        let read = match reader.next(None) {
            Ok(Some(read)) => read,
            Ok(None) => return (all, String::new()),
            Err(error) => return (all, error.to_string()),
        };
        if read == Read::Metadata {
            all.push(format!("{:?}", reader.metadata()));
            continue;
        }
        let found = reader.labels(&mut labels).ok().map(|()| {
            labels.drop_empty();
            labels.to_labels()
        });
        // Bounds of texts are brought to one form where the type says that they are bounds.
        let kind = if encoding == Encoding::Protobuf { MetricType::Unknown } else { reader.kind() };
        let key = (reader.series().to_vec(), kind);
        let before = known.entry(key).or_insert_with(|| found.clone());
        assert_eq!(*before, found, "a key stands for one series");
        let mut exemplars = Vec::new();
        let histogram = if matches!(read, Read::Histogram { .. }) { reader.histogram().ok() } else { None };
        if let Some(histogram) = &histogram {
            bounds::check_histogram(histogram).expect("within the bounds");
            whole(&histogram.positive);
            whole(&histogram.negative);
        }
        let created = reader.created();
        while let Some(exemplar) = reader.next_exemplar(&mut labels) {
            exemplars.push((exemplar, labels.to_labels()));
        }
        all.push(format!("{read:?} {found:?} {histogram:?} {created:?} {exemplars:?}"));
    }
}

fn whole(buckets: &Buckets) {
    let length: u64 = buckets.spans.iter().map(|span| u64::from(span.length)).sum();
    assert_eq!(length, buckets.counts.len() as u64);
}

/// A body in each encoding, with all options.
fn made_seeds() -> Vec<Vec<u8>> {
    let text = "# TYPE h histogram\nh_bucket{a=\"b\",le=\"1\"} 3\nh_bucket{a=\"b\",le=\"+Inf\"} 4\nh_sum{a=\"b\"} 2\n\
        h_count{a=\"b\"} 4\n";
    let open = format!("{text}h_created{{a=\"b\"}} 1\n# EOF\n");
    let mut histogram = Vec::new();
    put_varint(&mut histogram, 1, 3);
    put_float(&mut histogram, 2, 4.5);
    put_bytes(&mut histogram, 3, &[8, 3, 17, 0, 0, 0, 0, 0, 0, 36, 64]);
    put_bytes(&mut histogram, 12, &[8, 2, 16, 2]);
    put_bytes(&mut histogram, 13, &[2, 2]);
    put_bytes(&mut histogram, 15, &[8, 5]);
    put_bytes(&mut histogram, 16, &[26, 2, 8, 7]);
    let mut metric = Vec::new();
    put_bytes(&mut metric, 1, &[10, 1, b'a', 18, 1, b'b']);
    put_bytes(&mut metric, 7, &histogram);
    let mut family = Vec::new();
    put_bytes(&mut family, 1, b"h");
    put_varint(&mut family, 3, 4);
    put_bytes(&mut family, 4, &metric);
    let mut delimited = Vec::new();
    put_bytes(&mut delimited, 0, &family);
    let bodies = [(0u8, text.as_bytes()), (1, open.as_bytes()), (2, &delimited[1..])];
    let with = |(encoding, body): &(u8, &[u8])| {
        [0u8, 4, 28, 60].map(|options| [&[encoding | options], *body].concat())
    };
    bodies.iter().flat_map(with).collect()
}
