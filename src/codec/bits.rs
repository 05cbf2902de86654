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

    /// Bytes of memory held by the buffer.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Reads numbers of 0 to 64 bits.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    word: u64,
    left: u32,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, word: 0, left: 0 }
    }

    fn refill(&mut self) -> Result<(), CodecError> {
        // Called only with no bits left in the word.
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if let Some(chunk) = rest.first_chunk::<8>() {
            self.word = u64::from_be_bytes(*chunk);
            self.left = 64;
            self.at += 8;
        } else if rest.is_empty() {
            return Err(CodecError::UnexpectedEnd { at: self.at });
        } else {
            let mut padded = [0u8; 8];
            for (to, from) in padded.iter_mut().zip(rest) {
                *to = *from;
            }
            self.word = u64::from_be_bytes(padded);
            self.left = 8 * rest.iter().fold(0, |n, _| n + 1);
            self.at += rest.len();
        }
        Ok(())
    }

    /// The next `width` bits, at most 64, as the lowest bits of the result.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn get(&mut self, width: u32) -> Result<u64, CodecError> {
        if width == 0 {
            return Ok(0);
        }
        if self.left == 0 {
            self.refill()?;
        }
        if width <= self.left {
            let out = self.word >> (64 - width);
            self.word = self.word.checked_shl(width).unwrap_or(0);
            self.left -= width;
            return Ok(out);
        }
        let high_width = self.left;
        let high = self.word >> (64 - high_width);
        self.left = 0;
        let low_width = width - high_width;
        let low = self.get(low_width)?;
        // low_width is below 64 here because high_width is at least 1.
        Ok(high << low_width | low)
    }
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
