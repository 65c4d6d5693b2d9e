//! Files in use: open, mapped, executed or locked by some process, or the image behind a loop
//! device, by device and inode.

use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::path::Path;

/// Device and inode numbers of what was in use when looked at.
#[derive(Debug, Clone, Default)]
pub struct InUse {
    pairs: HashSet<(u64, u64)>,
    complete: bool,
}

impl InUse {
    /// Nothing is in use, and that is known.
    pub fn none() -> Self {
        Self {
            pairs: HashSet::new(),
            complete: true,
        }
    }

    /// As another process found it.
    pub fn from_pairs(pairs: Vec<(u64, u64)>, complete: bool) -> Self {
        Self {
            pairs: pairs.into_iter().collect(),
            complete,
        }
    }

    /// Device and inode of each, in no order.
    pub fn pairs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.pairs.iter().copied()
    }

    /// False when some process could not be looked into, or may be hidden from us: then a longer
    /// minimum age must stand in for knowledge.
    pub const fn complete(&self) -> bool {
        self.complete
    }

    /// Whether the file with these numbers was in use.
    pub fn contains(&self, device: u64, inode: u64) -> bool {
        self.pairs.contains(&(device, inode))
    }
}

/// The kernel's number for the first PID namespace (`PROC_PID_INIT_INO`); in any other one there
/// are processes that we cannot see.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Where the kernel lists block devices, loop devices among them.
const BLOCK_DEVICES: &str = "/sys/block";

/// What is in use on these devices, by any process but this one.
pub fn in_use(devices: &[u64]) -> InUse {
    in_use_except(devices, &[])
}

/// As [`in_use`], also leaving out what only the processes `pids` (our own workers) have open.
pub fn in_use_except(devices: &[u64], pids: &[u32]) -> InUse {
    let mut scan = Scan {
        devices,
        found: InUse::none(),
        maps_seen: HashSet::new(),
    };
    let hidden = !Path::new("/proc/1").exists();
    let nested = std::fs::read_link("/proc/self/ns/pid")
        .map_or(true, |ns| ns.as_os_str() != FIRST_PID_NAMESPACE);
    if hidden || nested {
        scan.found.complete = false;
    }
    let Ok(processes) = std::fs::read_dir("/proc") else {
        scan.found.complete = false;
        return scan.found;
    };
    let ours = std::process::id();
    for process in processes {
        let process = match process {
            Ok(process) => process,
            Err(e) => {
                scan.note(&e);
                continue;
            }
        };
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        if pid != ours && !pids.contains(&pid) {
            scan.process(&process.path());
        }
    }
    scan.locks(&[pids, &[ours]].concat());
    scan.loops(Path::new(BLOCK_DEVICES));
    scan.found
}

struct Scan<'a> {
    devices: &'a [u64],
    found: InUse,
    /// Mapped files already judged, by the numbers in `maps`.
    maps_seen: HashSet<(u64, u64)>,
}

impl Scan<'_> {
    fn process(&mut self, folder: &Path) {
        for link in ["cwd", "root", "exe"] {
            self.link(&folder.join(link));
        }
        // A thread group whose first thread has ended shows nothing there, while the others
        // still hold their files.
        if self.links_in(&folder.join("fd")) == 0
            && let Ok(threads) = std::fs::read_dir(folder.join("task"))
        {
            for thread in threads.flatten() {
                self.links_in(&thread.path().join("fd"));
            }
        }
        self.maps(folder);
    }

    fn links_in(&mut self, folder: &Path) -> usize {
        let mut count = 0;
        match std::fs::read_dir(folder) {
            Ok(links) => {
                for link in links {
                    count += 1;
                    match link {
                        Ok(link) => self.link(&link.path()),
                        Err(e) => self.note(&e),
                    }
                }
            }
            Err(e) => self.note(&e),
        }
        count
    }

    /// Follows one of the kernel's links, without asking a remote server.
    fn link(&mut self, path: &Path) {
        match rustix::fs::statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO) {
            Ok(s) => {
                let device = rustix::fs::makedev(s.stx_dev_major, s.stx_dev_minor);
                if self.devices.contains(&device) {
                    self.found.pairs.insert((device, s.stx_ino));
                }
            }
            Err(e) => self.note(&e.into()),
        }
    }

    fn maps(&mut self, folder: &Path) {
        let text = match std::fs::read(folder.join("maps")) {
            Ok(text) => text,
            Err(e) => return self.note(&e),
        };
        for line in text.split(|b| *b == b'\n') {
            let Some((range, pair)) = map_line(line) else {
                continue;
            };
            if !self.maps_seen.insert(pair) {
                continue;
            }
            if self.devices.contains(&pair.0) {
                self.found.pairs.insert(pair);
            } else {
                // The numbers in `maps` are those of the whole file system; a subvolume or an
                // overlay shows others to `stat`.
                self.link(&folder.join("map_files").join(range));
            }
        }
    }

    fn locks(&mut self, ours: &[u32]) {
        let text = match std::fs::read_to_string("/proc/locks") {
            Ok(text) => text,
            Err(e) => return self.note(&e),
        };
        for (pid, pair) in text.lines().filter_map(lock_line) {
            let mine = u32::try_from(pid).is_ok_and(|pid| ours.contains(&pid));
            if !mine && self.devices.contains(&pair.0) {
                self.found.pairs.insert(pair);
            }
        }
    }

    /// Images behind loop devices: the kernel itself holds them, so no process shows them.
    fn loops(&mut self, devices: &Path) {
        let Ok(devices) = std::fs::read_dir(devices) else {
            // Without sysfs nothing tells of them.
            self.found.complete = false;
            return;
        };
        for device in devices.flatten() {
            let told = device.path().join("loop/backing_file");
            // Of other devices, and of a loop device without an image, there is no such file.
            if let Ok(path) = std::fs::read(told) {
                use std::os::unix::ffi::OsStrExt as _;
                let path = path.strip_suffix(b"\n").unwrap_or(&path);
                self.link(Path::new(std::ffi::OsStr::from_bytes(path)));
            }
        }
    }

    fn note(&mut self, error: &std::io::Error) {
        // A process that ended meanwhile, or a kernel thread, holds nothing.
        let ended = error.raw_os_error().is_some_and(|code| {
            [Errno::NOENT, Errno::SRCH].contains(&Errno::from_raw_os_error(code))
        });
        if !ended {
            self.found.complete = false;
        }
    }
}

/// `start-end perms offset major:minor inode path` of proc_pid_maps(5).
fn map_line(line: &[u8]) -> Option<(&str, (u64, u64))> {
    let mut words = line.split(|b| *b == b' ').filter(|w| !w.is_empty());
    let range = std::str::from_utf8(words.next()?).ok()?;
    let device = device_pair(std::str::from_utf8(words.nth(2)?).ok()?)?;
    let inode: u64 = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    (inode != 0).then_some((range, (device, inode)))
}

/// `n: FLOCK ADVISORY WRITE pid major:minor:inode start end` of proc_locks(5). A waiter's line
/// has `->` after the number. The owner of an open-file-description lock is given as -1.
fn lock_line(line: &str) -> Option<(i64, (u64, u64))> {
    let words: Vec<&str> = line.split_whitespace().filter(|w| *w != "->").collect();
    let pid = words.get(4)?.parse().ok()?;
    let (device, inode) = words.get(5)?.rsplit_once(':')?;
    Some((pid, (device_pair(device)?, inode.parse().ok()?)))
}

fn device_pair(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    let hex = |t| u32::from_str_radix(t, 16).ok();
    Some(rustix::fs::makedev(hex(major)?, hex(minor)?))
}

#[cfg(test)]
mod tests;
