//! Nothing: this package is its tests, in one binary, `tests/all`. See `guests/` for the plugins
//! that misbehave.
