//! How far reading and writing a native store has come, on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, Write};

/// On a terminal; of how many bytes, where that is known.
pub(super) fn bar(bytes: Option<u64>) -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let (bar, line) = match bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ),
        None => (
            ProgressBar::no_length(),
            "{bytes} {bytes_per_sec} {elapsed}",
        ),
    };
    Some(match ProgressStyle::with_template(line) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    })
}

pub(super) fn end(bar: Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Passes on what is written, and says how much.
pub(super) struct Told<'a, W> {
    pub(super) to: W,
    pub(super) bar: Option<&'a ProgressBar>,
}

impl<W: Write> Write for Told<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        if let Some(bar) = self.bar {
            bar.inc(written as u64);
        }
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}
