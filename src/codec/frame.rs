//! Length and checksum around a payload: log records and stored values.
//!
//! **Format**: `docs/format/wal.md` (records) and `docs/format/block.md` (values).

use super::{ByteReader, ByteWriter, CodecError};

/// Bytes of a record frame before its payload.
pub const RECORD_HEADER_LEN: usize = 8;

/// Version byte of a stored value.
pub const VALUE_VERSION: u8 = 1;

/// Appends `length, crc32, payload`; the payload is what `write` appends.
pub fn put_record(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_bytes(&[0; RECORD_HEADER_LEN]);
    write(out);
    let payload_start = start + RECORD_HEADER_LEN;
    let len = u32::try_from(out.len() - payload_start).expect("records are far below 4 GiB");
    let crc = crc32fast::hash(&out[payload_start..]);
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..payload_start].copy_from_slice(&crc.to_le_bytes());
}

/// Reads one record's payload.
///
/// # Errors
/// When it is cut, empty or fails its checksum.
pub fn read_record<'a>(reader: &mut ByteReader<'a>) -> Result<&'a [u8], CodecError> {
    let len = reader.u32()? as usize;
    let stored = reader.u32()?;
    if len == 0 {
        // A run of zeros (a file grown but never written) must not pass for empty records.
        return Err(reader.invalid("record length"));
    }
    let payload = reader.bytes(len)?;
    let computed = crc32fast::hash(payload);
    if stored == computed { Ok(payload) } else { Err(CodecError::Checksum { stored, computed }) }
}

/// Wraps a stored value: version, length, crc32 over key and payload, payload.
pub fn seal_value(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 9);
    out.put_u8(VALUE_VERSION);
    out.put_u32(u32::try_from(payload.len()).expect("values are at most 96 KiB"));
    out.put_u32(value_crc(key, payload));
    out.put_bytes(payload);
    out
}

/// Checks and unwraps a stored value.
///
/// # Errors
/// When version, length or checksum are not right, the last also when the value belongs to another key.
pub fn open_value<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], CodecError> {
    let mut reader = ByteReader::new(value);
    let version = reader.u8()?;
    let len = reader.u32()? as usize;
    let stored = reader.u32()?;
    let payload = reader.bytes(len)?;
    if !reader.is_empty() {
        return Err(reader.invalid("stored value length"));
    }
    let computed = value_crc(key, payload);
    if stored != computed {
        return Err(CodecError::Checksum { stored, computed });
    }
    if version != VALUE_VERSION {
        return Err(CodecError::Version { what: "stored value", version });
    }
    Ok(payload)
}

fn value_crc(key: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_every_flipped_bit_of_a_value() {
        let value = seal_value(b"key", b"payload");
        assert_eq!(open_value(b"key", &value), Ok(&b"payload"[..]));
        assert!(open_value(b"other", &value).is_err());
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open_value(b"key", &damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn reads_records_until_the_damage() {
        let mut out = Vec::new();
        put_record(&mut out, |o| o.put_bytes(b"one"));
        put_record(&mut out, |o| o.put_bytes(b"two"));
        let mut reader = ByteReader::new(&out);
        assert_eq!(read_record(&mut reader), Ok(&b"one"[..]));
        assert_eq!(read_record(&mut reader), Ok(&b"two"[..]));
        assert!(reader.is_empty());
        for cut in RECORD_HEADER_LEN + 3 + 1..out.len() {
            let mut reader = ByteReader::new(&out[..cut]);
            assert!(read_record(&mut reader).is_ok());
            assert!(read_record(&mut reader).is_err());
        }
        assert!(read_record(&mut ByteReader::new(&[0; 64])).is_err());
    }
}
