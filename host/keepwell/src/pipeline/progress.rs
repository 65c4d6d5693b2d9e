//! How far a run is, in a small file beside its plan: whoever follows it reads the same, be it run
//! by the daemon or by a command, and what a killed host left says how far it came.

use keepwell_model::words::Progress;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A run that ends sooner needs no file; a longer one writes it this often.
const EVERY_MS: u64 = 500;
/// A rate over less than this is noise.
const RATE_OVER_MS: u64 = 1_000;

/// How far a run was, and since when it has counted in this unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Far {
    pub progress: Progress,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    since_ms: u64,
    since_done: u64,
}

impl Far {
    /// Units a second since it began to count; `None` while that says nothing.
    pub fn rate(&self) -> Option<f64> {
        let over = self.at_ms.saturating_sub(self.since_ms);
        let done = self.progress.done.saturating_sub(self.since_done);
        (over >= RATE_OVER_MS && done > 0).then(|| done as f64 * 1e3 / over as f64)
    }

    /// Seconds to the end at that rate; `None` where the total is not known.
    pub fn eta_seconds(&self) -> Option<u64> {
        let left = self.progress.total.checked_sub(self.progress.done)?;
        let rate = self.rate().filter(|_| self.progress.total > 0)?;
        Some((left as f64 / rate).ceil() as u64)
    }
}

/// Writes the file, not too often.
#[derive(Debug)]
pub(super) struct ProgressFile {
    path: PathBuf,
    began_ms: u64,
    far: Option<Far>,
    written_ms: u64,
}

impl ProgressFile {
    pub(super) fn of(run_dir: &Path, now_ms: u64) -> Self {
        Self {
            path: run_dir.join("progress.json"),
            began_ms: now_ms,
            far: None,
            written_ms: 0,
        }
    }

    pub(super) fn tell(&mut self, progress: &Progress, now_ms: u64) {
        let same = |far: &&mut Far| {
            far.progress.unit == progress.unit && far.progress.done <= progress.done
        };
        let far = match self.far.as_mut().filter(same) {
            Some(far) => {
                far.progress = progress.clone();
                far.at_ms = now_ms;
                far
            }
            None => self.far.insert(Far {
                progress: progress.clone(),
                at_ms: now_ms,
                since_ms: now_ms,
                since_done: progress.done,
            }),
        };
        let last = self.written_ms.max(self.began_ms);
        if now_ms.saturating_sub(last) >= EVERY_MS {
            self.written_ms = now_ms;
            // Only for looking at: a disk that refuses it stops nothing.
            let _ = write(&self.path, far);
        }
    }
}

/// By rename and without waiting for the disk: a reader sees the old or the new one whole.
fn write(path: &Path, far: &Far) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, serde_json::to_vec(far)?)?;
    std::fs::rename(&fresh, path)
}

/// How far the run in this folder was when it last said so.
pub fn how_far(run_dir: &Path) -> Option<Far> {
    let bytes = std::fs::read(run_dir.join("progress.json")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(done: u64, total: u64) -> Progress {
        Progress {
            done,
            total,
            unit: "shards".into(),
            note: String::new(),
        }
    }

    #[test]
    fn a_short_run_writes_nothing_and_a_long_one_tells_rate_and_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = ProgressFile::of(dir.path(), 1_000);
        file.tell(&at(0, 100), 1_100);
        assert_eq!(how_far(dir.path()), None);
        file.tell(&at(20, 100), 3_100);
        let far = how_far(dir.path()).unwrap();
        assert_eq!(far.rate(), Some(10.0));
        assert_eq!(far.eta_seconds(), Some(8));
    }

    #[test]
    fn what_begins_to_count_anew_has_no_rate_yet() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = ProgressFile::of(dir.path(), 0);
        file.tell(&at(90, 100), 1_000);
        file.tell(&at(5, 0), 2_000);
        let far = how_far(dir.path()).unwrap();
        assert_eq!((far.rate(), far.eta_seconds()), (None, None));
    }
}
