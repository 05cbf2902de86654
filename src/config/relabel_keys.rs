//! Which keys a relabelling rule has.

use super::key::Below::Value;
use super::key::{Keys, NONE};

pub(super) static RELABEL: Keys = Keys {
    supported: &[
        ("source_labels", Value),
        ("separator", Value),
        ("regex", Value),
        ("modulus", Value),
        ("target_label", Value),
        ("replacement", Value),
        ("action", Value),
    ],
    ..NONE
};
