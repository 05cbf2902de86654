//! Bytes to numbers and back, bounds-checked; no knowledge of metrics.
