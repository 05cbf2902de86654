//! The `io.prometheus.write.v2.Request` message: series whose texts are numbers of a table of symbols.
//!
//! **Cost**: the table is a list of slices of the body; a series is read into buffers that the next one uses again.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::codec::CodecError;
use crate::codec::protobuf::{Field, Result, each_field, push_varints, uint32};

/// A request, its series not read yet.
#[derive(Debug, Default)]
pub struct Request<'a> {
    symbols: Vec<&'a [u8]>,
    series: Vec<&'a [u8]>,
}

/// One series of a request.
#[derive(Debug, Default)]
pub struct Series<'a> {
    /// Numbers of names and values, in turn.
    pub labels: Vec<u32>,
    /// Timestamps in milliseconds and values.
    pub samples: Vec<(i64, f64)>,
    /// Native histograms, for [`super::histogram::read`].
    pub histograms: Vec<&'a [u8]>,
    /// Exemplars, for [`read_exemplar`].
    pub exemplars: Vec<&'a [u8]>,
    /// Number of the type of its family, and of the texts of help and unit.
    pub metadata: (u64, u32, u32),
}

/// An exemplar as it was sent.
#[derive(Debug, Default)]
pub struct ExemplarParts {
    /// Numbers of names and values, in turn.
    pub labels: Vec<u32>,
    /// Its value.
    pub value: f64,
    /// In milliseconds; 0 says that there is none.
    pub timestamp: i64,
}

impl<'a> Request<'a> {
    /// Finds the parts of a request.
    ///
    /// # Errors
    /// When the bytes are no such message.
    pub fn read(body: &'a [u8]) -> Result<Self> {
        let mut out = Self::default();
        each_field(body, |number, value| {
            match (number, value) {
                (4, Field::Bytes(symbol)) => out.symbols.push(symbol),
                (5, Field::Bytes(series)) => out.series.push(series),
                // Not a request of this version; those of the first have their series at 1.
                (0..=5, _) => return Err(CodecError::Invalid { what: "protobuf field", at: 0 }),
                _ => {}
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// The text with this number.
    pub fn symbol(&self, number: u32) -> Option<&'a [u8]> {
        self.symbols.get(number as usize).copied()
    }

    /// Puts names and values for their numbers into `out`; false when a number stands alone or for nothing.
    pub fn labels(&self, numbers: &[u32], out: &mut Vec<(&'a [u8], &'a [u8])>) -> bool {
        out.clear();
        for pair in numbers.chunks(2) {
            let &[name, value] = pair else { return false };
            let (Some(name), Some(value)) = (self.symbol(name), self.symbol(value)) else { return false };
            out.push((name, value));
        }
        true
    }

    /// Calls `visit` with each series. The series is reused between calls.
    ///
    /// # Errors
    /// When one is damaged; those before it have been visited.
    pub fn each_series(&self, mut visit: impl FnMut(&Series<'a>)) -> Result<()> {
        let mut series = Series::default();
        for bytes in &self.series {
            read_series(bytes, &mut series)?;
            visit(&series);
        }
        Ok(())
    }
}

fn read_series<'a>(bytes: &'a [u8], out: &mut Series<'a>) -> Result<()> {
    out.labels.clear();
    out.samples.clear();
    out.histograms.clear();
    out.exemplars.clear();
    out.metadata = (0, 0, 0);
    each_field(bytes, |number, value| {
        match (number, value) {
            (1, value) => push_varints(value, |number| out.labels.push(uint32(number)))?,
            (2, Field::Bytes(sample)) => out.samples.push(read_sample(sample)?),
            (3, Field::Bytes(histogram)) => out.histograms.push(histogram),
            (4, Field::Bytes(exemplar)) => out.exemplars.push(exemplar),
            (5, Field::Bytes(metadata)) => out.metadata = read_metadata(metadata)?,
            _ => {}
        }
        Ok(())
    })
}

fn read_sample(bytes: &[u8]) -> Result<(i64, f64)> {
    let (mut timestamp, mut value) = (0, 0.0);
    each_field(bytes, |number, field| {
        match (number, field) {
            (1, Field::Fixed64(bits)) => value = f64::from_bits(bits),
            (2, Field::Varint(time)) => timestamp = time.cast_signed(),
            _ => {}
        }
        Ok(())
    })?;
    Ok((timestamp, value))
}

fn read_metadata(bytes: &[u8]) -> Result<(u64, u32, u32)> {
    let mut out = (0, 0, 0);
    each_field(bytes, |number, value| {
        match (number, value) {
            (1, Field::Varint(kind)) => out.0 = kind,
            (3, Field::Varint(help)) => out.1 = uint32(help),
            (4, Field::Varint(unit)) => out.2 = uint32(unit),
            _ => {}
        }
        Ok(())
    })?;
    Ok(out)
}

/// Reads one of [`Series::exemplars`].
///
/// # Errors
/// When the bytes are no such message.
pub fn read_exemplar(bytes: &[u8]) -> Result<ExemplarParts> {
    let mut out = ExemplarParts::default();
    each_field(bytes, |number, value| {
        match (number, value) {
            (1, value) => push_varints(value, |number| out.labels.push(uint32(number)))?,
            (2, Field::Fixed64(bits)) => out.value = f64::from_bits(bits),
            (3, Field::Varint(time)) => out.timestamp = time.cast_signed(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::protobuf::{put_bytes, put_float, put_varint};
    use crate::remote::message;
    use proptest::prelude::*;

    fn request() -> Vec<u8> {
        let (mut body, mut series, mut sample, mut exemplar, mut metadata) =
            (vec![], vec![], vec![], vec![], vec![]);
        for symbol in ["", "__name__", "up", "id", "x", "Is it?"] {
            put_bytes(&mut body, 4, symbol.as_bytes());
        }
        put_bytes(&mut series, 1, &[1, 2]);
        put_float(&mut sample, 1, 2.5);
        put_varint(&mut sample, 2, 7);
        put_varint(&mut sample, 3, 5);
        put_bytes(&mut series, 2, &sample);
        put_bytes(&mut exemplar, 1, &[3, 4]);
        put_float(&mut exemplar, 2, 0.5);
        put_varint(&mut exemplar, 3, 6);
        put_bytes(&mut series, 4, &exemplar);
        put_varint(&mut metadata, 1, 2);
        put_varint(&mut metadata, 3, 5);
        put_bytes(&mut series, 5, &metadata);
        put_bytes(&mut body, 5, &series);
        body
    }

    #[test]
    fn reads_what_a_sender_writes() {
        let body = request();
        let request = Request::read(&body).expect("a request");
        let mut seen = 0;
        request
            .each_series(|series| {
                seen += 1;
                let mut labels = Vec::new();
                assert!(request.labels(&series.labels, &mut labels));
                assert_eq!(labels, [(&b"__name__"[..], &b"up"[..])]);
                assert_eq!((&series.samples[..], series.metadata), (&[(7, 2.5)][..], (2, 5, 0)));
                let exemplar = read_exemplar(series.exemplars[0]).expect("an exemplar");
                assert!(request.labels(&exemplar.labels, &mut labels));
                assert_eq!((labels[0], exemplar.timestamp), ((&b"id"[..], &b"x"[..]), 6));
                assert!(!request.labels(&[1], &mut labels) && !request.labels(&[1, 9], &mut labels));
            })
            .expect("sound");
        assert_eq!(seen, 1);
        let mut first = Vec::new();
        message::put_series(&mut first, [("__name__", "up")].into_iter(), &[(1, 1.0)]);
        assert!(Request::read(&first).is_err());
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..200, with: u8) {
            let mut body = request();
            let at = at % body.len();
            body[at] ^= with;
            for body in [&body, &bytes] {
                if let Ok(request) = Request::read(body) {
                    let mut labels = Vec::new();
                    let _ = request.each_series(|series| {
                        request.labels(&series.labels, &mut labels);
                        series.exemplars.iter().for_each(|one| drop(read_exemplar(one)));
                    });
                }
            }
        }
    }
}
