//! The node directory: where everything of a node lies, and the lock on it.

use crate::error::{Error, Result};
use keepwell_model::state::Exit;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, test_kill_process};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A child that was about to become another program when its parent was killed holds the parent's lock until
/// it is one: so long it may take on a machine that has much to do.
const LET_GO: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Paths of a node directory.
#[derive(Debug, Clone)]
pub struct NodeDir {
    path: PathBuf,
    /// Where its daemon is asked, when that is not in the directory.
    elsewhere: Option<PathBuf>,
}

impl NodeDir {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            elsewhere: None,
        }
    }
    /// The same, for somebody who reaches its daemon by another socket.
    #[must_use]
    pub fn asked_at(self, socket: Option<PathBuf>) -> Self {
        Self {
            elsewhere: socket,
            ..self
        }
    }
    /// The other socket, if one was named.
    pub fn elsewhere(&self) -> Option<&Path> {
        self.elsewhere.as_deref()
    }
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// An error that teaches when this is no node directory.
    pub fn must_exist(&self) -> Result<()> {
        use std::io::ErrorKind;
        let file = self.config_file();
        let Err(e) = std::fs::metadata(&file) else {
            return Ok(());
        };
        if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            return Err(Error {
                exit: Exit::Config,
                ..Error::io("read", &file, &e)
            });
        }
        Err(Error::config(format!(
            "{} is not a node directory: it has no keepwell.toml",
            self.path.display()
        ))
        .hint("`keepwell init DIR` makes one; name it with --node DIR or KEEPWELL_NODE"))
    }

    pub fn config_file(&self) -> PathBuf {
        self.path.join("keepwell.toml")
    }
    pub fn trust_file(&self) -> PathBuf {
        self.path.join("trust.toml")
    }
    pub fn approvers_file(&self) -> PathBuf {
        self.path.join("approvers.toml")
    }
    pub fn lock_file(&self) -> PathBuf {
        self.path.join("plugins.lock")
    }
    pub fn tasks(&self) -> PathBuf {
        self.path.join("tasks")
    }
    pub fn schedules(&self) -> PathBuf {
        self.path.join("schedules")
    }
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }
    pub fn node_key(&self) -> PathBuf {
        self.keys().join("node.key")
    }
    pub fn plugins(&self) -> PathBuf {
        self.path.join("plugins")
    }
    /// Where the puller works, a folder for each source.
    pub fn pulls(&self) -> PathBuf {
        self.path.join("pull")
    }
    pub fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }
    pub fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }
    pub fn run(&self, run: keepwell_model::id::RunId) -> PathBuf {
        self.runs().join(run.to_string())
    }

    /// Where the daemon listens.
    pub fn socket_file(&self) -> PathBuf {
        self.path.join("api.sock")
    }
    /// The same in a form short enough for the kernel, however long the directory's path is.
    pub fn socket(&self) -> Result<Socket> {
        Socket::beside(&self.socket_file())
    }

    /// All folders, readable by the owner alone.
    pub fn create(&self) -> Result<()> {
        for dir in [
            self.path.clone(),
            self.tasks(),
            self.schedules(),
            self.keys(),
            self.plugins(),
            self.cache(),
            self.state(),
            self.runs(),
        ] {
            make_private_dir(&dir)?;
        }
        Ok(())
    }

    /// Holds the node for one process. Taken by every verb that changes something.
    pub fn lock(&self) -> Result<NodeLock> {
        let path = self.state().join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| {
                Error::io("open", &path, &e).hint("`keepwell init DIR` makes a node directory")
            })?;
        let since = Instant::now();
        while let Err(e) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Err(Error::io("lock", &path, &e.into()));
            }
            let holder = holder(&mut file);
            if !holder.is_some_and(is_dead) || since.elapsed() > LET_GO {
                let by = holder.map(|pid| format!(" by process {pid}"));
                return Err(Error::not_now(format!(
                    "the node directory {} is held{}",
                    self.path.display(),
                    by.unwrap_or_default()
                ))
                .hint("another run is under way; try again when it is done"));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        let write = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(|e| Error::io("write", &path, &e))?;
        Ok(NodeLock { _file: file })
    }
}

/// Who holds the lock, as far as it said so. That is only talk: the lock decides.
fn holder(file: &mut File) -> Option<Pid> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(64).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().and_then(Pid::from_raw)
}

fn is_dead(pid: Pid) -> bool {
    test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}

/// A socket's address through an open handle on its directory: an address holds 108 bytes, a path
/// may have 4,096.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    _dir: Option<File>,
}

impl Socket {
    pub fn beside(file: &Path) -> Result<Self> {
        use std::os::fd::AsRawFd as _;
        let (Some(parent), Some(name)) = (file.parent(), file.file_name()) else {
            return Err(Error::usage(format!(
                "{} is no path of a socket",
                file.display()
            )));
        };
        match File::open(parent) {
            Ok(dir) => Ok(Self {
                path: PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name),
                _dir: Some(dir),
            }),
            // What is not there is told by whoever uses the path.
            Err(_) => Ok(Self {
                path: file.to_owned(),
                _dir: None,
            }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Released when dropped, or when the process dies however it dies.
#[derive(Debug)]
pub struct NodeLock {
    _file: File,
}

pub fn make_private_dir(dir: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| Error::io("create", dir, &e))
}

/// Makes what was made, named or removed in a directory durable.
pub fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces a file by rename, so that a crash leaves the old or the new one whole.
pub fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = parent.join(name);
    let write = || -> std::io::Result<()> {
        // Never what lies there already: it may be a link somebody else made, or have another mode.
        match std::fs::remove_file(&temporary) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        sync_dir(parent)
    };
    write().map_err(|e| {
        // A leftover is removed by the next write; the first error is what counts.
        let _ = std::fs::remove_file(&temporary);
        Error::io("write", path, &e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    #[test]
    fn a_file_is_replaced_and_what_lay_beside_it_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("key"), dir.path().join("other"));
        std::fs::write(&other, "mine").unwrap();
        symlink(&other, dir.path().join("key.new")).unwrap();
        write_file(&file, b"secret", 0o600).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"secret");
        assert_eq!(std::fs::read(&other).unwrap(), b"mine");
        // A leftover that others could read does not hand its mode on.
        std::fs::write(dir.path().join("key.new"), "left").unwrap();
        write_file(&file, b"again", 0o600).unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(!dir.path().join("key.new").exists());
    }

    #[test]
    fn a_directory_that_is_no_node_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("absent")] {
            let told = NodeDir::new(path).must_exist().unwrap_err();
            assert_eq!(told.exit, Exit::Config);
            assert!(told.message.contains("is not a node directory"));
        }
        std::fs::write(dir.path().join("keepwell.toml"), "").unwrap();
        assert!(NodeDir::new(dir.path()).must_exist().is_ok());
    }

    /// A lock that is held, by whoever the file says that it is.
    fn held(by: Pid) -> (tempfile::TempDir, NodeDir, File) {
        let folder = tempfile::tempdir().unwrap();
        let dir = NodeDir::new(folder.path().join("node"));
        dir.create().unwrap();
        let path = dir.state().join("lock");
        std::fs::write(&path, format!("{}\n", by.as_raw_nonzero())).unwrap();
        let file = File::open(path).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        (folder, dir, file)
    }

    #[test]
    fn what_a_killed_process_held_is_waited_for_and_what_a_living_one_holds_is_not() {
        // More than any kernel gives out.
        let dead = Pid::from_raw(i32::MAX).unwrap();
        let (_folder, dir, file) = held(dead);
        let child = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(file);
        });
        drop(dir.lock().unwrap());
        child.join().unwrap();

        let (_folder, dir, _file) = held(rustix::process::getpid());
        let since = Instant::now();
        let refused = dir.lock().unwrap_err();
        assert!(
            refused.message.contains("is held by process"),
            "{refused:?}"
        );
        assert!(since.elapsed() < LET_GO);
    }
}
