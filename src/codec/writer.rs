//! `ByteWriter`: numbers appended to a reusable `Vec`.

use super::reader::zigzag;

/// The counterpart of [`super::ByteReader`], for any growing byte buffer.
pub trait ByteWriter {
    /// Appends bytes as they are.
    fn put_bytes(&mut self, bytes: &[u8]);

    /// One byte.
    fn put_u8(&mut self, value: u8) {
        self.put_bytes(&[value]);
    }

    /// Four bytes, little-endian.
    fn put_u32(&mut self, value: u32) {
        self.put_bytes(&value.to_le_bytes());
    }

    /// Eight bytes, little-endian.
    fn put_u64(&mut self, value: u64) {
        self.put_bytes(&value.to_le_bytes());
    }

    /// A 64-bit float as eight bytes, little-endian.
    fn put_f64(&mut self, value: f64) {
        self.put_u64(value.to_bits());
    }

    /// An unsigned number of seven bits a byte, lowest first.
    fn put_varint(&mut self, mut value: u64) {
        let mut buf = [0u8; 10];
        let mut used = 0;
        loop {
            let low = (value & 0x7f).to_le_bytes()[0];
            value >>= 7;
            buf[used] = if value == 0 { low } else { low | 0x80 };
            used += 1;
            if value == 0 {
                break;
            }
        }
        self.put_bytes(&buf[..used]);
    }

    /// A length or count.
    fn put_len(&mut self, value: usize) {
        self.put_varint(value as u64);
    }

    /// A signed number, zig-zag coded.
    fn put_zigzag(&mut self, value: i64) {
        self.put_varint(zigzag(value));
    }

    /// Length-prefixed text.
    fn put_text(&mut self, text: &str) {
        self.put_len(text.len());
        self.put_bytes(text.as_bytes());
    }
}

impl ByteWriter for Vec<u8> {
    fn put_bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ByteReader;
    use super::*;

    #[test]
    fn reads_back_what_was_written() {
        let numbers = [0u64, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let signed = [0i64, -1, 1, 63, -64, i64::MIN, i64::MAX];
        let mut out = Vec::new();
        numbers.iter().for_each(|n| out.put_varint(*n));
        signed.iter().for_each(|n| out.put_zigzag(*n));
        out.put_text("label");
        out.put_f64(-0.0);
        let mut reader = ByteReader::new(&out);
        for n in numbers {
            assert_eq!(reader.varint(), Ok(n));
        }
        for n in signed {
            assert_eq!(reader.zigzag(), Ok(n));
        }
        assert_eq!(reader.text(), Ok("label"));
        assert_eq!(reader.f64().map(f64::to_bits), Ok((-0.0f64).to_bits()));
        assert!(reader.u8().is_err());
        assert!(ByteReader::new(&[0xff; 11]).varint().is_err());
        assert!(ByteReader::new(&[5, b'a']).text().is_err());
    }
}
