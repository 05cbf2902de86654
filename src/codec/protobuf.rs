//! Protobuf on the wire: the fields of a message, read in place.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::reader::unzigzag;
use super::{ByteReader, ByteWriter as _, CodecError};

/// Outcome of reading a message.
pub type Result<T> = std::result::Result<T, CodecError>;

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// A text, a message or several numbers.
    Bytes(&'a [u8]),
    /// Four bytes; no message that is read here has any.
    Fixed32,
}

/// Reads the number of the next field and the field.
///
/// # Errors
/// When it is cut, or of no known form.
// Every label and sample begins with one.
#[inline]
pub fn field<'a>(reader: &mut ByteReader<'a>) -> Result<(u64, Field<'a>)> {
    let tag = reader.varint()?;
    let value = match tag & 7 {
        0 => Field::Varint(reader.varint()?),
        1 => Field::Fixed64(reader.u64()?),
        2 => {
            let len = reader.len("field length", reader.remaining())?;
            Field::Bytes(reader.bytes(len)?)
        }
        5 => {
            reader.u32()?;
            Field::Fixed32
        }
        _ => return Err(reader.invalid("protobuf wire type")),
    };
    Ok((tag >> 3, value))
}

/// Calls `visit` with each field of `message`.
///
/// # Errors
/// When it is cut or damaged, or those of `visit`.
pub fn each_field<'a>(message: &'a [u8], mut visit: impl FnMut(u64, Field<'a>) -> Result<()>) -> Result<()> {
    let mut reader = ByteReader::new(message);
    while !reader.is_empty() {
        let (number, value) = field(&mut reader)?;
        visit(number, value)?;
    }
    Ok(())
}

/// Appends the numbers of a repeated field, given one by one or packed.
///
/// # Errors
/// When it is cut or of another form.
pub fn push_varints(value: Field<'_>, mut push: impl FnMut(u64)) -> Result<()> {
    match value {
        Field::Varint(number) => push(number),
        Field::Bytes(packed) => {
            let mut reader = ByteReader::new(packed);
            while !reader.is_empty() {
                push(reader.varint()?);
            }
        }
        _ => return Err(CodecError::Invalid { what: "protobuf field", at: 0 }),
    }
    Ok(())
}

/// As [`push_varints`], for floats.
///
/// # Errors
/// When it is cut or of another form.
pub fn push_floats(value: Field<'_>, mut push: impl FnMut(f64)) -> Result<()> {
    match value {
        Field::Fixed64(bits) => push(f64::from_bits(bits)),
        Field::Bytes(packed) => {
            let mut reader = ByteReader::new(packed);
            while !reader.is_empty() {
                push(reader.f64()?);
            }
        }
        _ => return Err(CodecError::Invalid { what: "protobuf field", at: 0 }),
    }
    Ok(())
}

/// The number that a `sint32` field holds; what is beyond 32 bits is cut off, as protobuf says.
#[expect(clippy::cast_possible_truncation, reason = "protobuf cuts wider numbers")]
pub fn sint32(number: u64) -> i32 {
    unzigzag(number) as i32
}

/// The number that a `uint32` field holds; what is beyond 32 bits is cut off, as protobuf says.
#[expect(clippy::cast_possible_truncation, reason = "protobuf cuts wider numbers")]
pub fn uint32(number: u64) -> u32 {
    number as u32
}

/// Appends a field of bytes to a message being made. Used by benches and tests, like what follows.
pub fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    out.put_varint(number << 3 | 2);
    out.put_len(bytes.len());
    out.put_bytes(bytes);
}

/// Appends a field of variable length.
pub fn put_varint(out: &mut Vec<u8>, number: u64, value: u64) {
    out.put_varint(number << 3);
    out.put_varint(value);
}

/// Appends a float.
pub fn put_float(out: &mut Vec<u8>, number: u64, value: f64) {
    out.put_varint(number << 3 | 1);
    out.put_f64(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::reader::zigzag;

    #[test]
    fn repeated_numbers_come_alone_or_packed() {
        let mut message = Vec::new();
        put_varint(&mut message, 9, zigzag(-3));
        put_bytes(&mut message, 9, &[4, 0x96, 0x01]);
        put_float(&mut message, 10, 0.5);
        put_bytes(&mut message, 10, &[1.0f64.to_le_bytes(), 2.0f64.to_le_bytes()].concat());
        let (mut numbers, mut floats) = (Vec::new(), Vec::new());
        each_field(&message, |number, value| match number {
            9 => push_varints(value, |n| numbers.push(unzigzag(n))),
            _ => push_floats(value, |float| floats.push(float)),
        })
        .expect("own output");
        assert_eq!(numbers, [-3, 2, 75]);
        assert_eq!(floats, [0.5, 1.0, 2.0]);
        assert!(push_floats(Field::Bytes(&[0; 9]), |_| {}).is_err());
        assert!(push_varints(Field::Fixed64(1), |_| {}).is_err());
        assert_eq!((sint32(zigzag(-53)), uint32(1 << 32 | 7)), (-53, 7));
    }
}
