//! The kernel of a test: semantics in memory.
