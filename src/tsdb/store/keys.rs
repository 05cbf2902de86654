//! Keys inside a block, big-endian so that they sort as their numbers do.
//!
//! **Format**: `docs/format/store_keys.md`.

/// The meta record: written last.
pub const META: &[u8] = b"\x00meta";

/// Bundle `number` of sample columns.
pub fn bundle(number: u32) -> [u8; 5] {
    numbered(0x01, number)
}

/// Part `number` of the index.
pub fn index_part(number: u32) -> [u8; 5] {
    numbered(0x02, number)
}

/// Part `number` of the exemplars.
pub fn exemplar_part(number: u32) -> [u8; 5] {
    numbered(0x03, number)
}

/// Part `number` of the directory of the exemplars.
pub fn exemplar_directory(number: u32) -> [u8; 5] {
    numbered(0x04, number)
}

/// Key `number` of those without a value that stand behind all others.
pub fn filler(number: u32) -> [u8; 5] {
    numbered(FILLER, number)
}

/// Whether `key` is one of [`filler`].
pub fn is_filler(key: &[u8]) -> bool {
    key.first() == Some(&FILLER)
}

const FILLER: u8 = 0xff;

fn numbered(kind: u8, number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [kind, a, b, c, d]
}
