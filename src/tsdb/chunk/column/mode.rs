//! First byte of a column: how it is coded.

/// One value for all samples: 8 bytes.
pub(super) const CONSTANT: u8 = 1;
/// Exponent, exceptions, packed integers. Written by version 1 only.
pub(super) const DECIMAL: u8 = 2;
/// Each value as the difference in bits to the one before.
pub(super) const XOR: u8 = 3;
/// 8 bytes a value.
pub(super) const RAW: u8 = 4;
/// A decimal that grows by the same step each time.
pub(super) const LINEAR: u8 = 5;
/// Decimals, of which only the changes are listed.
pub(super) const SPARSE: u8 = 6;
/// Decimals as packed integers.
pub(super) const PACKED: u8 = 7;
/// Decimals with a correction in units of the last place.
pub(super) const CORRECTED: u8 = 8;
/// Decimals as integers, compressed by pco.
pub(super) const PCO_DECIMAL: u8 = 9;
/// Floats compressed by pco.
pub(super) const PCO_FLOAT: u8 = 10;
/// The same bytes as an earlier column: its distance.
pub(super) const DUPLICATE: u8 = 11;
/// Histograms, and floats between them: see [`crate::tsdb::chunk::content`].
pub(in crate::tsdb::chunk) const HISTOGRAMS: u8 = 12;
/// When counting began, then a column of one of the others but duplicate: see [`crate::tsdb::chunk::starts`].
pub(in crate::tsdb::chunk) const STARTS: u8 = 13;
