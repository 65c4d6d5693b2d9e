//! Native code in the worker, after the walls: what an escape from Wasmtime could do. Each probe
//! runs in a worker of its own that was granted one root.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its scene has failed, and says where"
)]

mod common;

use common::{Notes, assignment, code, guest, look_with};
use keepwell_model::id::RootName;
use keepwell_sandbox::{Assignment, Outcome, RootAt, landlock_abi, seccomp_available};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A granted root with a file and a link that leads out, and a secret beside the root.
struct Scene {
    dir: TempDir,
    code: File,
    assignment: Assignment,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("file"), "content").unwrap();
        std::fs::write(dir.path().join("secret"), "secret").unwrap();
        symlink("../secret", root.join("out")).unwrap();
        let identity = std::fs::metadata(&root).unwrap();
        let at = RootAt {
            path: root,
            identity: Some((identity.dev(), identity.ino())),
        };
        Self {
            dir,
            code: code(&guest("", "", "")),
            assignment: Assignment {
                storage: BTreeMap::from([(RootName::new("tmp").unwrap(), at)]),
                ..assignment()
            },
        }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn file(&self) -> PathBuf {
        self.root().join("file")
    }

    /// How the worker died when it tried this behind both walls.
    #[track_caller]
    fn probe(&self, what: &str, rest: &[&str]) -> String {
        let args = [&["probe", what], rest].concat();
        let code = self.code.try_clone().unwrap();
        let ended = look_with(&args, code, &self.assignment, &mut Notes::default());
        let walls = ended.walls.expect("the walls stood before the probe");
        assert!(walls.landlock.starts_with("enforced"), "{walls:?}");
        assert_eq!(walls.seccomp, "enforced");
        match ended.outcome {
            Outcome::Died { detail } => detail,
            other => panic!("{what}: {other:?}"),
        }
    }

    #[track_caller]
    fn probe_at(&self, what: &str, path: &Path) -> String {
        self.probe(what, &[path.to_str().unwrap()])
    }

    /// A bare system call.
    #[track_caller]
    fn call(&self, number: i64, args: &[i64]) -> String {
        let numbers: Vec<String> = [&[number], args]
            .concat()
            .iter()
            .map(i64::to_string)
            .collect();
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        self.probe("call", &numbers)
    }

    #[track_caller]
    fn is_unchanged(&self) {
        let mut names: Vec<_> = std::fs::read_dir(self.root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["file", "out"]);
        assert_eq!(std::fs::read(self.file()).unwrap(), b"content");
        let outside = std::fs::read_dir(self.dir.path()).unwrap().count();
        assert_eq!(outside, 2, "something was made beside the root");
    }
}

#[track_caller]
fn killed(what: &str, died: &str) {
    assert!(died.contains("SIGSYS"), "{what}: {died}");
}

#[track_caller]
fn refused(what: &str, died: &str) {
    assert!(
        died.contains("code 11") && died.contains("Permission denied"),
        "{what}: {died}"
    );
}

/// The probes are not blind: what was granted can be read by the same ways.
#[test]
fn what_was_granted_can_be_read() {
    let scene = Scene::new();
    for (what, path) in [
        ("read", scene.file()),
        ("hidden-read", scene.file()),
        ("list", scene.root()),
    ] {
        let died = scene.probe_at(what, &path);
        assert!(died.contains("code 10"), "{what}: {died}");
    }
}

#[test]
fn changing_anything_ends_the_worker() {
    let scene = Scene::new();
    for (what, path) in [
        ("create", scene.root().join("new")),
        ("create", scene.dir.path().join("new")),
        ("overwrite", scene.file()),
        ("append", scene.file()),
        ("make-directory", scene.root().join("new")),
        ("remove", scene.file()),
        ("rename", scene.file()),
        ("link", scene.file()),
        ("symlink", scene.file()),
        ("age", scene.file()),
        ("mode", scene.file()),
        ("overwrite", PathBuf::from("/proc/self/mem")),
    ] {
        killed(what, &scene.probe_at(what, &path));
    }
    scene.is_unchanged();
}

/// The flags of openat2(2) lie in memory, where seccomp does not look: Landlock alone holds.
#[test]
fn changing_anything_by_hidden_flags_is_refused() {
    let scene = Scene::new();
    for (what, path) in [
        ("hidden-create", scene.root().join("new")),
        ("hidden-create", scene.dir.path().join("new")),
        ("hidden-overwrite", scene.file()),
        ("hidden-truncate", scene.file()),
        ("hidden-unnamed", scene.root()),
        ("hidden-overwrite", PathBuf::from("/proc/self/mem")),
        ("hidden-overwrite", PathBuf::from("/dev/null")),
    ] {
        refused(what, &scene.probe_at(what, &path));
    }
    scene.is_unchanged();
}

#[test]
fn reading_outside_of_the_grant_is_refused() {
    let scene = Scene::new();
    let parent = PathBuf::from(format!("/proc/{}", std::process::id()));
    for (what, path) in [
        ("read", scene.dir.path().join("secret")),
        ("hidden-read", scene.dir.path().join("secret")),
        ("read", scene.root().join("out")),
        ("read", scene.root().join("../secret")),
        ("list", scene.root().join("..")),
        ("list", PathBuf::from("/")),
        ("read", PathBuf::from("/etc/passwd")),
        ("read", parent.join("environ")),
        ("read", parent.join("maps")),
        ("read", parent.join("root/etc/passwd")),
        ("list", parent.join("fd")),
        ("list", PathBuf::from("/proc")),
        ("read", PathBuf::from("/proc/1/status")),
        ("read", PathBuf::from("/proc/self/maps")),
        ("read", PathBuf::from("/sys/kernel/uevent_seqnum")),
    ] {
        refused(what, &scene.probe_at(what, &path));
    }
}

#[test]
fn speaking_to_anyone_else_ends_the_worker() {
    let scene = Scene::new();
    let socket = scene.dir.path().join("secret");
    for what in ["connect", "send", "listen", "connect-abstract"] {
        killed(what, &scene.probe(what, &["nobody"]));
    }
    killed("connect-local", &scene.probe_at("connect-local", &socket));
    for what in ["exec", "spawn", "signal-parent"] {
        killed(what, &scene.probe(what, &[]));
    }
}

#[test]
fn new_code_and_shared_memory_end_the_worker() {
    let scene = Scene::new();
    for what in ["map-code", "protect-code", "map-shared", "map-own-code"] {
        killed(what, &scene.probe(what, &[]));
    }
}

#[test]
fn memory_is_bounded_for_native_code_too() {
    let died = Scene::new().probe("hoard", &[]);
    assert!(
        died.contains("code 11") && died.contains("allocate memory"),
        "{died}"
    );
}

/// A descriptor that the host forgot to mark is not there any more, whatever its number.
#[test]
fn inherited_descriptors_are_closed() {
    let scene = Scene::new();
    let secret = File::open(scene.dir.path().join("secret")).unwrap();
    let meta = secret.metadata().unwrap();
    let forgotten =
        [3, 100, 900].map(|least| rustix::io::fcntl_dupfd_cloexec(&secret, least).unwrap());
    for fd in &forgotten {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty()).unwrap();
    }
    let sought = format!("{}:{}", meta.dev(), meta.ino());
    let died = scene.probe("descriptors", &[&sought]);
    assert!(died.contains("no descriptor leads there"), "{died}");
    // The root's is there, so the probe does look.
    let meta = std::fs::metadata(scene.root()).unwrap();
    let sought = format!("{}:{}", meta.dev(), meta.ino());
    let died = scene.probe("descriptors", &[&sought]);
    assert!(died.contains("code 10"), "{died}");
}

#[test]
fn it_starts_with_bounds_and_without_an_environment() {
    let scene = Scene::new();
    let died = scene.probe("environment", &[]);
    assert!(died.contains("the environment is empty"), "{died}");
    let died = scene.probe("limits", &[]);
    assert!(died.contains("all bounds are set"), "{died}");
}

/// Calls that come through, some with certain arguments only. Written down a second time, so that
/// nobody adds one in passing.
const CALLS: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fadvise64,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_futex,
    libc::SYS_getdents64,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_prctl,
    libc::SYS_pread64,
    libc::SYS_prlimit64,
    libc::SYS_read,
    libc::SYS_readahead,
    libc::SYS_readlinkat,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_tgkill,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Above the newest call of any kernel, and some way into what is to come.
const NUMBERS: i64 = 512;
/// Where x86 has the calls of its 32-bit pointers' ABI.
const X32: i64 = 0x4000_0000;

/// `uretprobe` and `uprobe` of x86-64: the kernel lets them past every filter, for whoever traces
/// the process; they fail where the kernel itself did not place them.
const PAST_FILTERS: &[i64] = &[335, 336];

#[test]
fn every_call_that_is_not_listed_ends_the_worker() {
    let scene = Scene::new();
    let numbers: Vec<i64> = (0..NUMBERS)
        .filter(|number| !CALLS.contains(number) && !PAST_FILTERS.contains(number))
        .chain([X32 | libc::SYS_read, X32 | libc::SYS_write, X32 + 520])
        .collect();
    std::thread::scope(|scope| {
        for part in numbers.chunks(numbers.len().div_ceil(4)) {
            let scene = &scene;
            scope.spawn(move || {
                for number in part {
                    killed(&format!("call {number}"), &scene.call(*number, &[]));
                }
            });
        }
    });
}

/// Calls that are listed, with arguments that are not.
#[test]
fn listed_calls_with_other_arguments_end_the_worker() {
    let scene = Scene::new();
    let here = i64::from(libc::AT_FDCWD);
    let flags = |flags: i32| [here, 0, i64::from(flags)];
    for changes in [
        libc::O_WRONLY,
        libc::O_RDWR,
        libc::O_CREAT,
        libc::O_TRUNC,
        libc::O_APPEND,
        libc::O_TMPFILE,
        libc::O_RDONLY | libc::O_CREAT | libc::O_CLOEXEC,
    ] {
        killed("openat", &scene.call(libc::SYS_openat, &flags(changes)));
    }
    let own = i64::from(std::process::id());
    let shared = i64::from(libc::MAP_SHARED_VALIDATE | libc::MAP_ANONYMOUS);
    let (read, exec) = (i64::from(libc::PROT_READ), i64::from(libc::PROT_EXEC));
    let namespaces = i64::from(libc::CLONE_NEWUSER | libc::CLONE_NEWNS);
    for (what, number, args) in [
        ("write to the code", libc::SYS_write, &[0_i64, 0, 0][..]),
        ("write to a root", libc::SYS_write, &[3, 0, 0]),
        ("writev to a root", libc::SYS_writev, &[3, 0, 0]),
        (
            "fork by clone",
            libc::SYS_clone,
            &[i64::from(libc::SIGCHLD)],
        ),
        ("a namespace by clone", libc::SYS_clone, &[namespaces]),
        (
            "shared memory",
            libc::SYS_mmap,
            &[0, 4096, read, shared, -1, 0],
        ),
        (
            "code of read memory",
            libc::SYS_mprotect,
            &[0, 4096, read | exec],
        ),
        (
            "being dumpable",
            libc::SYS_prctl,
            &[i64::from(libc::PR_SET_DUMPABLE), 1],
        ),
        (
            "outliving the host",
            libc::SYS_prctl,
            &[i64::from(libc::PR_SET_PDEATHSIG), 0],
        ),
        ("a lock", libc::SYS_fcntl, &[3, i64::from(libc::F_SETLK), 0]),
        (
            "an owner",
            libc::SYS_fcntl,
            &[3, i64::from(libc::F_SETOWN), 1],
        ),
        (
            "a lease",
            libc::SYS_fcntl,
            &[3, i64::from(libc::F_SETLEASE), 0],
        ),
        ("a signal to the host", libc::SYS_tgkill, &[own, own, 0]),
        ("higher limits", libc::SYS_prlimit64, &[0, 1, 1, 0]),
    ] {
        killed(what, &scene.call(number, args));
    }
}

#[test]
fn the_guest_runs_behind_the_same_walls() {
    let file = code(&guest("", "", ""));
    let args = ["probe", "nothing"];
    let ended = look_with(&args, file, &assignment(), &mut Notes::default());
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
    let walls = ended.walls.unwrap();
    assert!(walls.no_new_privileges && walls.rlimits);
}

#[test]
fn this_kernel_is_known() {
    assert!(
        landlock_abi().is_some_and(|abi| abi >= 4),
        "{:?}",
        landlock_abi()
    );
    assert!(seccomp_available());
}
