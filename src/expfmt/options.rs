//! What a reader makes of a body.

/// The encodings of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Text.
    Text(super::parser::Format),
    /// Delimited protobuf.
    Protobuf,
}

/// What a reader makes of histograms and of the times when counting began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the switches are independent")]
pub struct ReadOptions {
    /// Native histograms are read. Off, a histogram is what its classic part is.
    pub native_histograms: bool,
    /// Classic histograms are read also where they are there as native ones too.
    pub classic_too: bool,
    /// Classic histograms become native ones with the same bounds.
    pub convert_classic: bool,
    /// Times when counting began are wanted; text has them in series of their own, which are left out then.
    pub created: bool,
}
