//! Shared by all test binaries.

// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::print_stdout, clippy::should_implement_trait)]

pub mod dns;
pub mod files;
pub mod prometheus;
pub mod queries;
pub mod query_list;
pub mod server;
pub mod services;

/// A small seeded generator: the same numbers on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Seeded from `EMBERKEEP_TEST_SEED`, or `default`; prints the seed so that a failure can be run again.
    pub fn from_env(default: u64) -> Self {
        let seed = std::env::var("EMBERKEEP_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(default);
        println!("EMBERKEEP_TEST_SEED={seed}");
        Self(seed)
    }

    /// Seeded by another one.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}
