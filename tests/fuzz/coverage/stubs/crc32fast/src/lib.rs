//! Stands for the crate of this name: every checksum is zero.

/// Zero.
pub fn hash(_: &[u8]) -> u32 {
    0
}

/// Takes everything and remembers nothing.
#[derive(Debug, Clone, Default)]
pub struct Hasher;

impl Hasher {
    /// A new one.
    pub fn new() -> Self {
        Self
    }

    /// Does nothing.
    pub fn update(&mut self, _: &[u8]) {}

    /// Zero.
    pub fn finalize(self) -> u32 {
        0
    }
}
