//! Corpus tests of the parser.
