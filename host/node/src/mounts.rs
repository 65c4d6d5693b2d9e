//! Sensor for mounts that hold data, counted as `df` counts.

use keepwell_model::words::Refusal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Mirrors `metrics.mount`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it is mounted.
    pub path: String,
    /// What is mounted, as the kernel names it.
    pub device: String,
    /// The file system's type.
    pub file_system: String,
    /// The mount or the file system refuses writing.
    pub read_only: bool,
    /// Size of the file system.
    pub total_bytes: u64,
    /// Bytes taken; reserved blocks belong neither here nor to those available.
    pub used_bytes: u64,
    /// Bytes an ordinary user may still take.
    pub available_bytes: u64,
    /// 0 where the file system has no fixed number of inodes.
    pub total_inodes: u64,
    /// Of them, free.
    pub free_inodes: u64,
}

/// How long a mount may take to answer; the contract says so.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Mounts that are asked: machines full of containers have thousands of the same few.
const MAX_MOUNTS: usize = 1_024;

/// One system call needs little; the default would reserve 2 MiB for each mount.
const STACK_BYTES: usize = 64 << 10;

/// File systems that hold nothing of their own.
const PSEUDO: [&str; 24] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "fuse.portal",
];
/// Where memory file systems are the system's own.
const SYSTEM: [&str; 4] = ["/dev", "/proc", "/sys", "/run/credentials"];

/// Paths whose answer is still being waited for, so that a dead server costs one thread in all.
static WAITING: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    number: String,
    path: PathBuf,
    read_only: bool,
    file_system: String,
    device: String,
}

/// Each device once, at its shortest path; and the mounts that gave no answer in two seconds.
pub fn mounts() -> Result<(Vec<Mount>, Vec<String>), Refusal> {
    let path = "/proc/self/mountinfo";
    let text =
        std::fs::read(path).map_err(|e| Refusal::io(format!("cannot read `{path}`: {e}")))?;
    let lines = chosen(text.split(|b| *b == b'\n').filter_map(line));
    let (send, receive) = mpsc::channel();
    let mut open: BTreeMap<PathBuf, Line> = BTreeMap::new();
    for line in lines {
        let path = line.path.clone();
        open.insert(path.clone(), line);
        if waiting(|set| set.insert(path.clone())) {
            ask(&path, send.clone());
        }
    }
    drop(send);
    let end = Instant::now() + ANSWER_WITHIN;
    let mut found = Vec::new();
    while let Ok((path, answer)) =
        receive.recv_timeout(end.saturating_duration_since(Instant::now()))
    {
        let Some(line) = open.remove(&path) else {
            continue;
        };
        match answer {
            Ok(s) if s.f_blocks > 0 => found.push(counted(line, &s)),
            Ok(_) => {}
            Err(e) => {
                tracing::debug!(path = %path.display(), error = %e, "a mount gives no figures");
                open.insert(path, line);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let silent = open.into_keys().map(|p| p.display().to_string()).collect();
    Ok((found, silent))
}

type Answer = (PathBuf, rustix::io::Result<rustix::fs::StatVfs>);

/// Asks one mount on a thread of its own, which may hang as long as the mount does. Where no thread
/// can be had, the mount counts as one that did not answer.
fn ask(path: &Path, send: mpsc::Sender<Answer>) {
    let asked = path.to_owned();
    let work = move || {
        let answer = rustix::fs::statvfs(&asked);
        waiting(|set| set.remove(&asked));
        // Nobody listens any more when the time is over.
        drop(send.send((asked, answer)));
    };
    let thread = std::thread::Builder::new().name("mount".to_owned());
    if let Err(e) = thread.stack_size(STACK_BYTES).spawn(work) {
        tracing::debug!(path = %path.display(), error = %e, "no thread to ask a mount with");
        waiting(|set| set.remove(path));
    }
}

fn waiting(change: impl FnOnce(&mut HashSet<PathBuf>) -> bool) -> bool {
    let mut set = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    change(set.get_or_insert_default())
}

fn counted(line: Line, s: &rustix::fs::StatVfs) -> Mount {
    let block = s.f_frsize.max(1);
    Mount {
        path: line.path.display().to_string(),
        device: line.device,
        file_system: line.file_system,
        read_only: line.read_only,
        total_bytes: s.f_blocks.saturating_mul(block),
        used_bytes: s.f_blocks.saturating_sub(s.f_bfree).saturating_mul(block),
        available_bytes: s.f_bavail.saturating_mul(block),
        total_inodes: s.f_files,
        free_inodes: s.f_ffree,
    }
}

/// Of the mounts that hold data, the shortest path of each device. Of several at one path only the
/// last one can be asked: it hides the others.
fn chosen(lines: impl Iterator<Item = Line>) -> Vec<Line> {
    let seen: BTreeMap<PathBuf, Line> = lines.map(|line| (line.path.clone(), line)).collect();
    let mut by_device: BTreeMap<String, Line> = BTreeMap::new();
    for line in seen.into_values() {
        let system = SYSTEM.iter().any(|s| line.path.starts_with(s));
        if system || PSEUDO.contains(&line.file_system.as_str()) {
            continue;
        }
        let shorter = by_device
            .get(&line.number)
            .is_none_or(|there| line.path.as_os_str().len() < there.path.as_os_str().len());
        if shorter {
            by_device.insert(line.number.clone(), line);
        }
    }
    by_device.into_values().take(MAX_MOUNTS).collect()
}

/// `id parent major:minor root path options fields… - type source options`, proc_pid_mountinfo(5).
fn line(line: &[u8]) -> Option<Line> {
    let words: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let dash = words.iter().position(|w| *w == b"-")?;
    let text = |w: &[u8]| String::from_utf8_lossy(&unescaped(w)).into_owned();
    let has_ro = |w: &[u8]| w.split(|b| *b == b',').any(|o| o == b"ro");
    Some(Line {
        number: text(words.get(2)?),
        path: PathBuf::from(OsString::from_vec(unescaped(words.get(4)?))),
        read_only: has_ro(words.get(5)?) || words.get(dash + 3).is_some_and(|w| has_ro(w)),
        file_system: text(words.get(dash + 1)?),
        device: text(words.get(dash + 2)?),
    })
}

/// Space, tab, newline and backslash are written as `\040` and so on.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, more @ ..] = rest {
        if let (
            b'\\',
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ],
        ) = (first, more)
        {
            out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = after;
        } else {
            out.push(*first);
            rest = more;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_the_kernel_writes_them() {
        let text = b"36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root ro,errors=continue";
        let got = line(text).unwrap();
        assert_eq!(got.path, PathBuf::from("/mnt/a b"));
        assert!(got.read_only);
        assert_eq!(
            (got.file_system.as_str(), got.device.as_str()),
            ("ext3", "/dev/root")
        );
        assert_eq!(line(b"36 35"), None);
    }

    #[test]
    fn one_device_is_listed_once_at_its_shortest_path() {
        let lines = [
            &b"1 1 8:1 / /srv/deep rw - ext4 /dev/a rw"[..],
            b"2 1 8:1 / /srv rw - ext4 /dev/a rw",
            b"3 1 0:5 / /proc rw - proc proc rw",
            b"4 1 0:9 / /dev/shm rw - tmpfs tmpfs rw",
        ];
        let got = chosen(lines.iter().filter_map(|l| line(l)));
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].path, PathBuf::from("/srv"));
    }

    #[test]
    fn a_mount_that_another_hides_is_not_taken_for_it() {
        let lines = [
            &b"1 1 8:1 / /srv rw - ext4 /dev/a rw"[..],
            b"2 1 8:2 / /srv rw - ext4 /dev/b rw",
            b"3 1 8:3 / /mnt rw - ext4 /dev/c rw",
            b"4 1 0:5 / /mnt rw - proc proc rw",
        ];
        let got = chosen(lines.iter().filter_map(|l| line(l)));
        let devices: Vec<_> = got.iter().map(|l| l.device.as_str()).collect();
        assert_eq!(devices, ["/dev/b"]);
    }

    #[test]
    fn the_root_s_figures_are_those_of_statvfs() {
        let (all, _silent) = mounts().unwrap();
        let root = all.iter().find(|m| m.path == "/").unwrap();
        let s = rustix::fs::statvfs("/").unwrap();
        assert_eq!(root.total_bytes, s.f_blocks * s.f_frsize);
        assert!(root.used_bytes + root.available_bytes <= root.total_bytes);
    }
}
