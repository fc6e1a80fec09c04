//! Tests that need several parts at once.
