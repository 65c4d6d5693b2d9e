//! Native code in the worker, after the walls: what an escape from Wasmtime could do. Each probe
//! runs in a worker of its own that was granted one root.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its scene has failed, and says where"
)]

mod calls;
#[path = "../common/mod.rs"]
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
