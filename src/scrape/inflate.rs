//! Bodies out of gzip.
//!
//! **Cost**: a body of one member, as every exporter sends it, is inflated at once by libdeflate into a buffer that its
//! thread keeps; all else takes the slow way, piece by piece.

use std::cell::RefCell;
use std::io::{self, Read as _};

use flate2::read::MultiGzDecoder;
use libdeflater::Decompressor;

/// Most memory that a thread keeps from one body to the next.
const MAX_KEPT_BYTES: usize = 1 << 20;
/// No byte of a compressed body stands for more.
const MAX_RATIO: usize = 1032;
/// How a member begins.
const MEMBER: &[u8] = b"\x1f\x8b\x08";

thread_local! {
    static INFLATER: RefCell<Inflater> = RefCell::new(Inflater::new());
}

/// Inflates `body` and lets `work` have the first `limit_bytes` of what came out, or the error where `body` is no gzip.
/// `work` must not call it again.
pub fn with_inflated<T>(body: &[u8], limit_bytes: u64, work: impl FnOnce(io::Result<&[u8]>) -> T) -> T {
    INFLATER.with_borrow_mut(|inflater| {
        let result = work(inflater.inflate(body, limit_bytes));
        inflater.give_back();
        result
    })
}

struct Inflater {
    decompressor: Decompressor,
    /// As long as it ever was, so that it need not be filled with zeros again.
    buffer: Vec<u8>,
}

impl Inflater {
    fn new() -> Self {
        Self { decompressor: Decompressor::new(), buffer: Vec::new() }
    }

    fn inflate(&mut self, body: &[u8], limit_bytes: u64) -> io::Result<&[u8]> {
        if let Some(length) = self.at_once(body, limit_bytes) {
            return Ok(&self.buffer[..length]);
        }
        self.buffer.clear();
        // Stops at the limit, so that a small body cannot fill the memory.
        MultiGzDecoder::new(body).take(limit_bytes).read_to_end(&mut self.buffer)?;
        Ok(&self.buffer)
    }

    /// Inflates a body of one member, shorter than the limit; none if it is something else.
    fn at_once(&mut self, body: &[u8], limit_bytes: u64) -> Option<usize> {
        // Nothing tells where the first member ends. Where another one might begin, the slow way finds out.
        if memchr::memmem::rfind(body, MEMBER) != Some(0) {
            return None;
        }
        // What stands at the end is the length of the last member.
        let length = u32::from_le_bytes(*body.last_chunk()?);
        if u64::from(length) >= limit_bytes {
            return None;
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= body.len() * MAX_RATIO)?;
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let out = &mut self.buffer[..length];
        let inflated = self.decompressor.gzip_decompress(body, out).ok()?;
        (inflated == length).then_some(length)
    }

    fn give_back(&mut self) {
        if self.buffer.capacity() > MAX_KEPT_BYTES {
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("to memory");
        encoder.finish().expect("to memory")
    }

    fn inflated(body: &[u8], limit: u64) -> Option<Vec<u8>> {
        with_inflated(body, limit, |inflated| inflated.ok().map(<[u8]>::to_vec))
    }

    #[test]
    fn all_members_count_up_to_the_limit() {
        let (one, two) = (b"a 1\n".repeat(1000), b"b 2\n".repeat(10));
        let mut inflater = Inflater::new();
        assert_eq!(inflater.at_once(&gzip(&one), 1 << 20), Some(one.len()));
        assert_eq!(inflater.at_once(&gzip(&one), one.len() as u64), None, "that is for the slow way");
        for text in [&one[..], b"", &two] {
            assert_eq!(inflated(&gzip(text), 1 << 20).as_deref(), Some(text));
        }
        // Members of other lengths, of the same length, of none, and the same one again.
        let pairs: [[&[u8]; 2]; 6] =
            [[&one, &two], [&two, &one], [b"a 1\n", b"b 1\n"], [b"", b"b 1\n"], [&two, b""], [&two, &two]];
        for pair in pairs {
            let body = pair.map(gzip).concat();
            assert_eq!(inflated(&body, 1 << 20), Some(pair.concat()), "{pair:?}");
        }
        assert_eq!(inflated(&gzip(&one), 100).as_deref(), one.get(..100));
    }

    #[test]
    fn what_is_no_gzip_is_an_error_and_takes_no_memory() {
        let good = gzip(&b"a 1\n".repeat(1000));
        for at in 0..good.len() {
            assert_eq!(inflated(&good[..at], 1 << 20), None, "{at}");
        }
        let mut bad = good.clone();
        let last = bad.len() - 1;
        bad[last] = 0x7f;
        assert_eq!(inflated(&bad, 1 << 40), None);
        bad[last] = 0;
        bad[last - 4] ^= 1;
        assert_eq!(inflated(&bad, 1 << 20), None);
        let mut inflater = Inflater::new();
        assert_eq!(inflater.at_once(&[0xff; 64], u64::MAX), None);
        assert!(inflater.buffer.capacity() <= 64 * MAX_RATIO);
        inflater.buffer.resize(60 << 20, 0);
        inflater.give_back();
        assert_eq!(inflater.buffer.capacity(), 0);
    }
}
