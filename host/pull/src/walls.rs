//! The walls this program puts around itself before it talks to anybody: another user, Landlock,
//! limits. After them it can write beneath what it was given and start nothing.

use crate::error::{Error, Result};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Gid, Resource, Rlimit, Uid};
use std::path::{Path, PathBuf};

/// The newest rights asked for. Kernels that know fewer enforce those.
const NEWEST: ABI = ABI::V10;
/// The largest file it may write: a bundle has 32 MiB at most.
const FILE_MAX_BYTES: u64 = 64 << 20;
/// Its memory: a bundle a few times, and what TLS takes.
const MEMORY_MAX_BYTES: u64 = 512 << 20;
/// Sockets and files it has open at a time are a handful.
const OPEN_FILES_MAX: u64 = 128;

/// What names, certificates and the C library are read from. Those that are not there are left out.
const SYSTEM: &[&str] = &[
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];

/// Whom to become: numbers, since the names were looked up by who started this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct As {
    uid: Uid,
    gid: Gid,
}

impl std::str::FromStr for As {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(':').and_then(|(uid, gid)| {
            let number = |text: &str| text.parse().ok().filter(|n| *n != 0 && *n != u32::MAX);
            Some((number(uid)?, number(gid)?))
        });
        let (uid, gid) = numbers.ok_or("expected UID:GID, neither of them 0")?;
        Ok(Self {
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
        })
    }
}

impl As {
    /// Gives up being root. This process has one thread at this point.
    pub(crate) fn become_it(self) -> Result<()> {
        let give_up = || -> rustix::io::Result<()> {
            rustix::thread::set_thread_groups(&[self.gid])?;
            rustix::thread::set_thread_res_gid(self.gid, self.gid, self.gid)?;
            rustix::thread::set_thread_res_uid(self.uid, self.uid, self.uid)
        };
        give_up().map_err(|e| {
            let (uid, gid) = (self.uid.as_raw(), self.gid.as_raw());
            Error::failed(format!("cannot become user {uid}, group {gid}: {e}"))
                .hint("only root can; start it as that user instead and leave `--as` out")
        })
    }
}

/// What stays in reach.
#[derive(Debug, Default)]
pub(crate) struct Walls {
    pub(crate) readable: Vec<PathBuf>,
    pub(crate) writable: Vec<PathBuf>,
    pub(crate) network: bool,
    /// Without Landlock it goes on, because the person who started it said so.
    pub(crate) optional: bool,
}

impl Walls {
    /// Puts them up around this thread and all it starts from now on.
    pub(crate) fn raise(&self) -> Result<()> {
        bound()
            .map_err(|e| Error::failed(format!("cannot set the limits of this process: {e}")))?;
        let standing = self.landlock().map_err(|e| {
            Error::failed(format!(
                "cannot put up the walls: {}",
                crate::error::chain(&e)
            ))
        })?;
        match standing {
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
            RulesetStatus::NotEnforced if self.optional => {
                crate::show::say(
                    "this kernel has no Landlock: nothing but this user's rights holds it",
                );
                Ok(())
            }
            RulesetStatus::NotEnforced => Err(Error::denied(
                "this kernel has no Landlock, so that nothing would hold a hostile answer in",
            )
            .hint("`--no-walls` goes on without; use a user of its own then")),
        }
    }

    fn landlock(&self) -> std::result::Result<RulesetStatus, landlock::RulesetError> {
        let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = read
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir
            | AccessFs::Refer;
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .handle_access(AccessNet::BindTcp)?;
        if !self.network {
            rules = rules.handle_access(AccessNet::ConnectTcp)?;
        }
        let mut rules = rules.create()?;
        let system = SYSTEM.iter().filter(|_| self.network).map(Path::new);
        let readable = self.readable.iter().map(PathBuf::as_path).chain(system);
        let all = readable
            .map(|path| (path, read))
            .chain(self.writable.iter().map(|path| (path.as_path(), write)));
        for (path, rights) in all {
            // What is not there cannot be read, and is told by whoever reads it.
            let Ok(opened) = PathFd::new(path) else {
                continue;
            };
            let rights = match path.is_dir() {
                true => rights,
                false => rights & AccessFs::from_file(NEWEST),
            };
            rules = rules.add_rule(PathBeneath::new(opened, rights))?;
        }
        Ok(rules.restrict_self()?.ruleset)
    }
}

fn bound() -> rustix::io::Result<()> {
    use rustix::process::{getrlimit, set_dumpable_behavior, setrlimit};
    let lower = |resource, to: u64| {
        let most = getrlimit(resource).maximum.map_or(to, |most| most.min(to));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)
    };
    lower(Resource::Core, 0)?;
    lower(Resource::Fsize, FILE_MAX_BYTES)?;
    lower(Resource::Nofile, OPEN_FILES_MAX)?;
    lower(Resource::Data, MEMORY_MAX_BYTES)?;
    give_up_capabilities()?;
    rustix::thread::set_no_new_privs(true)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Root without them is a user who owns root's files, and Landlock says which of those count.
fn give_up_capabilities() -> rustix::io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
    let held = capabilities(None)?;
    if (held.permitted | held.effective | held.inheritable).is_empty() {
        return Ok(());
    }
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind::PermissionDenied;
    use std::net::{TcpListener, TcpStream};

    /// On a thread of its own, which is the one that stays restricted.
    fn inside(walls: Walls, then: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            let restricted = scope.spawn(move || {
                let standing = walls.landlock().unwrap();
                assert_ne!(standing, RulesetStatus::NotEnforced, "no Landlock to test");
                then();
            });
            restricted.join().unwrap();
        });
    }

    #[test]
    fn only_what_was_given_is_written_and_nothing_is_started() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["spool", "repo"] {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("file"), "x").unwrap();
        }
        std::fs::write(at("secret"), "x").unwrap();
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listening.local_addr().unwrap();
        let walls = |network| Walls {
            readable: vec![at("repo")],
            writable: vec![at("spool")],
            network,
            optional: false,
        };
        let files = || {
            std::fs::write(at("spool/new"), "y").unwrap();
            std::fs::rename(at("spool/new"), at("spool/old")).unwrap();
            std::fs::remove_file(at("spool/old")).unwrap();
            assert_eq!(std::fs::read(at("repo/file")).unwrap(), b"x");
            for refused in [
                std::fs::write(at("repo/file"), "y"),
                std::fs::write(at("repo/new"), "y"),
                std::fs::remove_file(at("repo/file")),
                std::fs::read(at("secret")).map(drop),
                std::fs::read("/etc/passwd").map(drop),
                std::os::unix::fs::symlink("/", at("spool/link")),
                TcpListener::bind("127.0.0.1:0").map(drop),
            ] {
                assert_eq!(refused.unwrap_err().kind(), PermissionDenied);
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "to see that no program can be started"
            )]
            let started = std::process::Command::new("/bin/true").status();
            assert_eq!(started.unwrap_err().kind(), PermissionDenied);
        };
        inside(walls(false), || {
            files();
            let reached = TcpStream::connect(there).map(drop);
            assert_eq!(reached.unwrap_err().kind(), PermissionDenied);
        });
        inside(walls(true), || {
            files();
            TcpStream::connect(there).unwrap();
        });
    }

    #[test]
    fn nobody_becomes_root() {
        assert!("1000:1000".parse::<As>().is_ok());
        for bad in ["", "0:0", "0:1", "1:0", "1", "a:b", "4294967295:1", "1:1:1"] {
            assert!(bad.parse::<As>().is_err(), "{bad}");
        }
    }
}
