//! Landlock: reading beneath what was granted, and nothing else. The kernel checks it whatever
//! this process does later.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use std::os::fd::BorrowedFd;

/// The newest rights asked for. Kernels that know fewer enforce those.
const NEWEST: ABI = ABI::V10;
/// The oldest ABI that counts as a wall: files, truncation and TCP (Linux 6.7).
pub(crate) const LEAST_ABI: i32 = 4;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// All that this kernel knows is enforced.
    Enforced {
        abi: i32,
    },
    /// The kernel is older than [`LEAST_ABI`].
    Partial {
        abi: i32,
    },
    Absent,
}

impl Standing {
    /// As journal and report spell it.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Enforced { abi } => format!("enforced (ABI {abi})"),
            Self::Partial { abi } => format!("partial (ABI {abi})"),
            Self::Absent => "absent".to_owned(),
        }
    }
}

/// Restricts this thread, and all it starts from now on, to reading beneath `readable`.
pub(crate) fn restrict(readable: &[BorrowedFd<'_>]) -> Result<Standing, RulesetError> {
    let rights: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for beneath in readable {
        rules = rules.add_rule(PathBeneath::new(beneath, rights))?;
    }
    Ok(standing(&rules.restrict_self()?))
}

fn standing(status: &RestrictionStatus) -> Standing {
    let abi = abi_of(&status.landlock).unwrap_or(0);
    match status.ruleset {
        RulesetStatus::NotEnforced => Standing::Absent,
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced if abi >= LEAST_ABI => {
            Standing::Enforced { abi }
        }
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => {
            Standing::Partial { abi }
        }
    }
}

/// The ABI in force, from a status.
pub(crate) fn abi_of(status: &LandlockStatus) -> Option<i32> {
    match status {
        LandlockStatus::Available { effective_abi, .. } => Some(*effective_abi as i32),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => None,
    }
}

/// The ABI of this kernel. Restricts a thread that ends at once, as there is no other safe way
/// to ask.
pub(crate) fn kernel_abi() -> Option<i32> {
    let asked = std::thread::spawn(|| {
        let rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))
            .and_then(Ruleset::create)
            .and_then(RulesetCreated::restrict_self);
        rules.ok().and_then(|status| abi_of(&status.landlock))
    });
    asked.join().ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    use std::process::Stdio;

    /// The oldest ABI that keeps abstract sockets and signals inside (Linux 6.12).
    const SCOPES_ABI: i32 = 6;

    /// What there is to reach outside, and whether each of it can be.
    struct Outside {
        dir: tempfile::TempDir,
        listening: TcpListener,
        address: SocketAddr,
        _abstract: UnixListener,
        child: child::OwnChild,
    }

    impl Outside {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("file"), "x").unwrap();
            let name = format!("keepwell-{}", std::process::id());
            let address = SocketAddr::from_abstract_name(name).unwrap();
            let sleep = std::path::Path::new("/bin/sleep");
            Self {
                _abstract: UnixListener::bind_addr(&address).unwrap(),
                listening: TcpListener::bind("127.0.0.1:0").unwrap(),
                child: child::start(sleep, &["60"], Stdio::null(), Stdio::null()).unwrap(),
                address,
                dir,
            }
        }

        fn files_and_network(&self) -> [std::io::Result<()>; 6] {
            let file = self.dir.path().join("file");
            [
                std::fs::read(&file).map(drop),
                std::fs::write(&file, "y"),
                std::fs::create_dir(self.dir.path().join("new")),
                std::fs::remove_file(&file),
                TcpStream::connect(self.listening.local_addr().unwrap()).map(drop),
                TcpListener::bind("127.0.0.1:0").map(drop),
            ]
        }

        fn scopes(&self) -> [std::io::Result<()>; 2] {
            let child = rustix::process::Pid::from_child(&self.child.0);
            [
                UnixStream::connect_addr(&self.address).map(drop),
                rustix::process::test_kill_process(child).map_err(Into::into),
            ]
        }
    }

    /// On a thread of its own, which is the one that stays restricted.
    #[test]
    fn alone_it_holds_files_network_sockets_and_signals() {
        let outside = Outside::new();
        std::thread::scope(|scope| {
            let restricted = scope.spawn(|| {
                let Standing::Enforced { abi } = restrict(&[]).unwrap() else {
                    panic!("this kernel has no Landlock to test")
                };
                for (i, done) in outside.files_and_network().into_iter().enumerate() {
                    let kind = done.unwrap_err().kind();
                    assert_eq!(kind, std::io::ErrorKind::PermissionDenied, "{i}");
                }
                if abi < SCOPES_ABI {
                    eprintln!("SKIPPED: Landlock ABI {abi} knows no scopes");
                    return;
                }
                for (i, done) in outside.scopes().into_iter().enumerate() {
                    let kind = done.unwrap_err().kind();
                    assert_eq!(kind, std::io::ErrorKind::PermissionDenied, "scope {i}");
                }
            });
            restricted.join().unwrap();
        });
        // All of it can be done where nothing is restricted, so the walls were what refused it.
        for done in outside
            .files_and_network()
            .into_iter()
            .chain(outside.scopes())
        {
            done.unwrap();
        }
    }

    #[test]
    fn what_is_readable_is_readable_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "x").unwrap();
        let opened = std::fs::File::open(dir.path()).unwrap();
        let file = dir.path().join("file");
        let worker = std::thread::spawn(move || {
            restrict(&[opened.as_fd()]).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), b"x");
            assert!(std::fs::write(&file, "y").is_err());
            assert!(std::fs::remove_file(&file).is_err());
        });
        worker.join().unwrap();
    }
}
