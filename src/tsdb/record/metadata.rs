//! The record of what became known about metric families.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::kind;
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::{Metadata, MetricType};

/// Appends the payload: names of families and what is said of them.
pub fn put<'a>(out: &mut Vec<u8>, families: impl ExactSizeIterator<Item = (&'a str, &'a Metadata)>) {
    out.put_u8(kind::METADATA);
    out.put_len(families.len());
    for (name, metadata) in families {
        out.put_text(name);
        out.put_u8(metadata.kind.number());
        out.put_text(&metadata.unit);
        out.put_text(&metadata.help);
    }
}

/// Calls `visit` with each family of what [`put`] wrote, in order.
///
/// # Errors
/// When it is cut or damaged; those before the damage have been visited.
pub fn each(payload: &[u8], mut visit: impl FnMut(&str, Metadata)) -> Result<(), CodecError> {
    let mut reader = ByteReader::new(payload);
    reader.u8()?;
    for _ in 0..reader.len("family count", reader.remaining())? {
        let name = reader.text()?;
        let kind = MetricType::from_number(u64::from(reader.u8()?));
        let (unit, help) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        visit(name, Metadata { kind, unit, help });
    }
    if reader.is_empty() { Ok(()) } else { Err(reader.invalid("record length")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written() -> (Vec<u8>, Vec<(String, Metadata)>) {
        let one = Metadata {
            kind: MetricType::Counter,
            unit: "seconds".to_owned(),
            help: "Time \u{e9}.\n".to_owned(),
        };
        let all = vec![("cpu_seconds".to_owned(), one), ("up".to_owned(), Metadata::default())];
        let mut out = Vec::new();
        put(&mut out, all.iter().map(|(name, metadata)| (name.as_str(), metadata)));
        (out, all)
    }

    #[test]
    fn families_come_back() {
        let (out, all) = written();
        let mut found = Vec::new();
        each(&out, |name, metadata| found.push((name.to_owned(), metadata))).expect("own output");
        assert_eq!(found, all);
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0usize..200, with: u8) {
            let (mut out, _) = written();
            let at = at % out.len();
            out[at] ^= with;
            let _ = each(&out, |_, _| {});
        }
    }
}
