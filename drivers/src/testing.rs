//! Records that the tests of several modules are made with.
