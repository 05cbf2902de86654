//! Guards of the source layout.
