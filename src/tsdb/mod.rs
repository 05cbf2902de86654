//! The database.

pub mod chunk;
