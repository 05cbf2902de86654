//! Magic, version and checksum around a bincode payload: for small control records.
//!
//! **Format**: `docs/format/envelope.md`.

use super::{ByteReader, ByteWriter, CodecError};

/// A control record: what it is called on disk and which version of it this build writes and reads.
pub trait Control: bincode::Encode + bincode::Decode<()> {
    /// Four bytes that open the record.
    const MAGIC: [u8; 4];
    /// Version of the payload.
    const VERSION: u8;
    /// Name used in errors.
    const NAME: &'static str;
}

/// No payload is larger, whoever writes or reads it.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_PAYLOAD_BYTES>()
}

/// Encodes `record`: magic, version, crc32 of the payload, payload.
///
/// # Errors
/// When the payload would be larger than what [`open`] takes.
pub fn seal<T: Control>(record: &T) -> Result<Vec<u8>, CodecError> {
    let payload =
        bincode::encode_to_vec(record, bincode::config::standard()).expect("encoding to memory cannot fail");
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(CodecError::TooLarge { what: T::NAME, bytes: payload.len(), max: MAX_PAYLOAD_BYTES });
    }
    let mut out = Vec::with_capacity(payload.len() + 9);
    out.put_bytes(&T::MAGIC);
    out.put_u8(T::VERSION);
    out.put_u32(crc32fast::hash(&payload));
    out.put_bytes(&payload);
    Ok(out)
}

/// As [`open`], of a record that may also be of the version before.
///
/// # Errors
/// As [`open`].
pub fn open_or_old<T: Control, Old: Control + Into<T>>(bytes: &[u8]) -> Result<T, CodecError> {
    match bytes.get(T::MAGIC.len()) {
        Some(version) if *version == Old::VERSION => open::<Old>(bytes).map(Into::into),
        _ => open(bytes),
    }
}

/// Decodes what [`seal`] wrote.
///
/// # Errors
/// When magic, version, checksum or payload are not right.
pub fn open<T: Control>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut reader = ByteReader::new(bytes);
    if reader.bytes(4)? != T::MAGIC {
        return Err(CodecError::Invalid { what: T::NAME, at: 0 });
    }
    let version = reader.u8()?;
    let stored = reader.u32()?;
    let payload = reader.bytes(reader.remaining())?;
    let computed = crc32fast::hash(payload);
    if stored != computed {
        return Err(CodecError::Checksum { stored, computed });
    }
    if version > T::VERSION {
        return Err(CodecError::Version { what: T::NAME, version });
    }
    if version < T::VERSION {
        return Err(CodecError::Invalid { what: T::NAME, at: 4 });
    }
    match bincode::decode_from_slice(payload, config()) {
        Ok((record, used)) if used == payload.len() => Ok(record),
        _ => Err(CodecError::Invalid { what: T::NAME, at: reader.position() }),
    }
}
