//! Stands for the crate of this name: every checksum is zero.

/// Zero.
pub fn crc32c(_: &[u8]) -> u32 {
    0
}

/// Zero.
pub fn crc32c_append(_: u32, _: &[u8]) -> u32 {
    0
}
