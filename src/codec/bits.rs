//! Bit writer and reader for chunks: most significant bit first.
//!
//! **Cost**: both work on 64-bit words held in a register; no allocation beyond the output.

use super::CodecError;

/// Appends numbers of 0 to 64 bits to a byte vector.
#[derive(Debug, Default, Clone)]
pub struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are in use; 8 means it is full (or there is none).
    used: u8,
}

impl BitWriter {
    /// An empty writer.
    pub fn new() -> Self {
        Self { bytes: Vec::new(), used: 8 }
    }

    /// The lowest `width` bits of `value`, `width` at most 64.
    pub fn put(&mut self, value: u64, width: u32) {
        if width == 0 {
            return;
        }
        // Aligned to the top; what is above `width` falls out.
        let aligned = value << (64 - width);
        let free = 8 - u32::from(self.used);
        if let Some(last) = self.bytes.last_mut()
            && free > 0
        {
            *last |= aligned.to_be_bytes()[0] >> self.used;
        }
        if width <= free {
            self.used += width.to_le_bytes()[0];
            return;
        }
        let left = width - free;
        let rest = &(aligned << free).to_be_bytes()[..left.div_ceil(8) as usize];
        self.bytes.extend_from_slice(rest);
        self.used = ((left - 1) % 8 + 1).to_le_bytes()[0];
    }

    /// The bytes so far; unused bits of the last one are zero.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Bits that [`BitReader::peek`] shows at least.
pub const PEEK_BITS: u32 = 57;

/// Reads numbers of 0 to 64 bits.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    at: usize,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next [`PEEK_BITS`] bits or more from the top down, without taking them; zeros beyond the end.
    #[inline]
    pub fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = if let Some(chunk) = rest.first_chunk::<8>() {
            u64::from_be_bytes(*chunk)
        } else {
            let mut padded = [0u8; 8];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            u64::from_be_bytes(padded)
        };
        word << (self.at % 8)
    }

    /// Takes `width` bits.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn skip(&mut self, width: u32) -> Result<(), CodecError> {
        let end = self.at + width as usize;
        if end > self.bytes.len() * 8 {
            return Err(CodecError::UnexpectedEnd { at: self.bytes.len() });
        }
        self.at = end;
        Ok(())
    }

    /// The next `width` bits, at most 64, as the lowest bits of the result.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn get(&mut self, width: u32) -> Result<u64, CodecError> {
        if width > PEEK_BITS {
            let high = self.get(width - 32)?;
            return Ok(high << 32 | self.get(32)?);
        }
        let out = top(self.peek(), width);
        self.skip(width)?;
        Ok(out)
    }
}

/// The highest `width` bits of `word`, at most 64, as the lowest of the result.
#[inline]
pub fn top(word: u64, width: u32) -> u64 {
    word.checked_shr(64 - width).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_every_width() {
        let mut writer = BitWriter::new();
        for round in 0..3u64 {
            for width in 0..=64u32 {
                let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
                writer.put((0x9e37_79b9_7f4a_7c15u64.rotate_left(width) ^ round) & mask, width);
            }
        }
        let mut reader = BitReader::new(writer.as_bytes());
        for round in 0..3u64 {
            for width in 0..=64u32 {
                let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
                let expected = (0x9e37_79b9_7f4a_7c15u64.rotate_left(width) ^ round) & mask;
                assert_eq!(reader.get(width), Ok(expected), "width {width}");
            }
        }
        assert!(reader.get(64).is_err());
    }
}
