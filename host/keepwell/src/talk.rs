//! The door to stderr: talk beside the data, to whoever listens.

use std::io::Write as _;

/// One line of talk. Nobody listening is no reason to stop, and `eprintln!` would panic.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
