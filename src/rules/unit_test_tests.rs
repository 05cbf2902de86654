//! Unit tests of unit tests.
