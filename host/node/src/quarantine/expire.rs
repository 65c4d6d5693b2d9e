//! The host's own retention: what lies in quarantine, and its deletion by handle.

use super::At;
use super::folder::{MANIFEST, QUARANTINE, held, remove, step};
use crate::at::{look, look_at, open_directory, refused, to_ms};
use crate::root::Root;
use keepwell_model::action::{EntryKind, OWN_FOLDER};
use keepwell_model::id::RunId;
use keepwell_model::words::{Code, Refusal};
use rustix::fs::{AtFlags, Dir, Mode};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;

/// Directories below directories: a tree that was moved is never deeper than a walk goes, and
/// whoever deepens it afterwards is refused.
const MAX_DEPTH: usize = crate::tree::MAX_DEPTH + 8;

/// One run's quarantine in one root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedRun {
    /// The run that moved them.
    pub run: RunId,
    /// When the folder was sealed, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Entries, those inside of moved directories among them.
    pub entries: u64,
    /// Sum of the lengths of the files among them.
    pub bytes: u64,
}

/// What lies in quarantine in this root, the oldest run first.
pub fn quarantined(root: &Root) -> Result<Vec<QuarantinedRun>, Refusal> {
    let cannot = |e| {
        refused(
            e,
            format!("cannot read the quarantine of root `{}`", root.name()),
        )
    };
    let all = match step(root.fd(), OWN_FOLDER, false)
        .and_then(|own| step(own.as_fd(), QUARANTINE, false))
    {
        Ok(all) => all,
        Err(no) if no.code == Code::Gone => return Ok(Vec::new()),
        Err(no) => return Err(no),
    };
    let mut runs = Vec::new();
    for entry in Dir::read_from(&all).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let Some(run) = entry
            .file_name()
            .to_str()
            .ok()
            .and_then(|n| n.parse::<RunId>().ok())
        else {
            continue;
        };
        let folder = step(all.as_fd(), &run.to_string(), false)?;
        let sealed = look(folder.as_fd(), MANIFEST).or_else(|_| look_at(folder.as_fd()));
        let mut sum = Sum::default();
        sum.add_all(folder.as_fd(), 0).map_err(cannot)?;
        runs.push(QuarantinedRun {
            run,
            since_ms: to_ms(sealed.map_err(cannot)?.mtime_ns),
            entries: sum.entries,
            bytes: sum.bytes,
        });
    }
    runs.sort_by_key(|r| (r.since_ms, r.run));
    Ok(runs)
}

/// Deletes what a run holds in quarantine, and its folder. `stop` is asked before each entry;
/// what is left then goes next time. Gives entries and bytes deleted. This cannot be undone.
pub fn expire(root: &Root, run: RunId, stop: &dyn Fn() -> bool) -> Result<(u64, u64), Refusal> {
    let folder = match super::Folder::open(root, run) {
        Ok(folder) => folder,
        Err(no) if no.code == Code::Gone => return Ok((0, 0)),
        Err(no) => return Err(no),
    };
    let mut sum = Sum::default();
    let cannot = |e| refused(e, format!("cannot delete from the quarantine of run {run}"));
    for name in held(folder.fd()).map_err(cannot)? {
        if !sum.delete(folder.fd(), &name, 0, stop).map_err(cannot)? {
            return Ok((sum.entries, sum.bytes));
        }
    }
    remove(root.fd(), run, folder.fd()).map_err(cannot)?;
    Ok((sum.entries, sum.bytes))
}

#[derive(Default)]
struct Sum {
    entries: u64,
    bytes: u64,
}

impl Sum {
    fn add_all(&mut self, at: At<'_>, depth: usize) -> Result<(), Errno> {
        if depth > MAX_DEPTH {
            return Err(Errno::NAMETOOLONG);
        }
        let names = if depth == 0 { held(at)? } else { names(at)? };
        for name in names {
            let facts = look(at, name.as_slice())?;
            self.entries += 1;
            match facts.kind {
                EntryKind::File => self.bytes = self.bytes.saturating_add(facts.size),
                EntryKind::Directory => {
                    self.add_all(open_directory(at, name.as_slice())?.as_fd(), depth + 1)?;
                }
                EntryKind::Symlink | EntryKind::Other => {}
            }
        }
        Ok(())
    }

    /// Deletes one entry with all it holds. False: it was told to stop.
    fn delete(
        &mut self,
        at: At<'_>,
        name: &[u8],
        depth: usize,
        stop: &dyn Fn() -> bool,
    ) -> Result<bool, Errno> {
        if stop() {
            return Ok(false);
        }
        if depth > MAX_DEPTH {
            return Err(Errno::NAMETOOLONG);
        }
        let facts = match look(at, name) {
            Ok(facts) => facts,
            Err(Errno::NOENT) => return Ok(true),
            Err(e) => return Err(e),
        };
        let mut flags = AtFlags::empty();
        if facts.kind == EntryKind::Directory {
            flags = AtFlags::REMOVEDIR;
            let inside = open_directory(at, name)?;
            let inside_names = names(inside.as_fd())?;
            let mode = Mode::from_raw_mode(u32::from(facts.mode));
            if !inside_names.is_empty() && !mode.contains(Mode::WUSR | Mode::XUSR) {
                // Its owner had made it read-only; what it holds could not be deleted then.
                rustix::fs::fchmod(&inside, mode | Mode::RWXU)?;
            }
            for inner in inside_names {
                if !self.delete(inside.as_fd(), &inner, depth + 1, stop)? {
                    return Ok(false);
                }
            }
        }
        rustix::fs::unlinkat(at, name, flags)?;
        self.entries += 1;
        if facts.kind == EntryKind::File {
            self.bytes = self.bytes.saturating_add(facts.size);
        }
        Ok(true)
    }
}

fn names(at: At<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(at)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}
