//! Values that are no floats.

use std::sync::Arc;

use super::expand_within;
use crate::model::Histogram;
use crate::model::histogram::{Buckets, Span};
use crate::template::{Limits, SampleValue};

fn with_histogram(template: &str) -> String {
    let histogram = Histogram {
        schema: 0,
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: 7.0,
        sum: 10.5,
        positive: Buckets { spans: vec![Span { offset: 0, length: 2 }], counts: vec![1.0, 3.0] },
        negative: Buckets { spans: vec![Span { offset: 1, length: 1 }], counts: vec![1.0] },
        ..Histogram::default()
    };
    let value = SampleValue::Histogram(Arc::new(histogram));
    expand_within(template, value, &Limits::default()).unwrap_or_else(|error| error.reason().to_owned())
}

#[test]
fn a_native_histogram_has_a_text_and_fields() {
    let text = "{count:7, sum:10.5, [-2,-1):1, [-0.001,0.001]:2, (0.5,1]:1, (1,2]:3}";
    assert_eq!(with_histogram("{{ $value }}"), text);
    assert_eq!(with_histogram("{{ .Value | printf \"%v\" }}"), text);
    assert_eq!(
        with_histogram("{{ $value.Count }} {{ .Value.Sum | humanize }} {{ $value.Schema }}"),
        "7 10.5 0"
    );
    assert_eq!(with_histogram("{{ if $value }}there{{ end }}"), "there");
    assert_eq!(
        with_histogram("{{ $value | humanize }}"),
        "error calling humanize: can't convert *histogram.FloatHistogram to float"
    );
    assert_eq!(with_histogram("{{ gt $value 1.0 }}"), "error calling gt: invalid type for comparison");
}

#[test]
fn floats_that_are_no_numbers_are_printed() {
    let with = |value| {
        expand_within(
            "{{ $value }} {{ humanize $value }} {{ ge $value 1.0 }}",
            SampleValue::Float(value),
            &Limits::default(),
        )
    };
    assert_eq!(with(f64::NAN).as_deref(), Ok("NaN NaN true"));
    assert_eq!(with(f64::INFINITY).as_deref(), Ok("+Inf +Inf true"));
    assert_eq!(with(-0.0).as_deref(), Ok("-0 -0 false"));
}
