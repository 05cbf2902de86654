//! `ByteReader`: every read returns a result and never goes outside the bytes.

use super::CodecError;

/// A cursor over borrowed bytes.
#[derive(Debug, Clone)]
pub struct ByteReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Result<T> = std::result::Result<T, CodecError>;

impl<'a> ByteReader<'a> {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether all bytes were read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// An error that blames `what` at the current position.
    pub fn invalid(&self, what: &'static str) -> CodecError {
        CodecError::Invalid { what, at: self.at }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(len).ok_or(CodecError::UnexpectedEnd { at: self.at })?;
        let out = self.bytes.get(self.at..end).ok_or(CodecError::UnexpectedEnd { at: self.at })?;
        self.at = end;
        Ok(out)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let at = self.at;
        self.bytes(N)?.try_into().map_err(|_| CodecError::UnexpectedEnd { at })
    }

    /// One byte.
    ///
    /// # Errors
    /// At the end.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A 64-bit float of eight bytes, little-endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// An unsigned number of seven bits a byte, lowest first.
    ///
    /// # Errors
    /// When cut, or longer than 64 bits.
    pub fn varint(&mut self) -> Result<u64> {
        let mut out = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                break;
            }
            out |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(out);
            }
        }
        Err(self.invalid("varint"))
    }

    /// A varint that has to fit a `usize` and be at most `max`.
    ///
    /// # Errors
    /// When it is larger; `what` is blamed.
    pub fn len(&mut self, what: &'static str, max: usize) -> Result<usize> {
        let value = self.varint()?;
        usize::try_from(value).ok().filter(|v| *v <= max).ok_or_else(|| self.invalid(what))
    }

    /// A varint that has to fit 32 bits.
    ///
    /// # Errors
    /// When it is larger; `what` is blamed.
    pub fn varint32(&mut self, what: &'static str) -> Result<u32> {
        u32::try_from(self.varint()?).map_err(|_| self.invalid(what))
    }

    /// A signed number, zig-zag coded.
    ///
    /// # Errors
    /// As [`ByteReader::varint`].
    pub fn zigzag(&mut self) -> Result<i64> {
        Ok(unzigzag(self.varint()?))
    }

    /// Length-prefixed UTF-8 text.
    ///
    /// # Errors
    /// When cut or not UTF-8.
    pub fn text(&mut self) -> Result<&'a str> {
        let len = self.len("text length", self.remaining())?;
        let at = self.at;
        std::str::from_utf8(self.bytes(len)?).map_err(|_| CodecError::Invalid { what: "text", at })
    }
}

/// Undoes [`zigzag`].
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Maps signed numbers to unsigned ones so that small magnitudes stay small.
pub fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}
