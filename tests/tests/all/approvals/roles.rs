//! Other users at the daemon's socket: each may what its role says, known by the kernel's word for
//! who they are.

use super::becomes;
use super::scene::{Scene, WAIT};
use crate::harness::{Daemon, Output, have, keepwell_as};
use keepwell_model::state::RunState;
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

// Users without accounts: the roles are by number.
pub(super) const STRANGER: u32 = 65_531;
pub(super) const APPROVER: u32 = 65_532;
pub(super) const OPERATOR: u32 = 65_533;
pub(super) const VIEWER: u32 = 65_534;

/// A node whose daemon everybody reaches, and a folder for its socket.
pub(super) struct Open {
    pub(super) scene: Scene,
    folder: TempDir,
}

impl Open {
    fn new() -> Option<Self> {
        Self::with("")
    }

    /// `None` where this process cannot become others. `more` is TOML.
    pub(super) fn with(more: &str) -> Option<Self> {
        if !rustix::process::getuid().is_root() {
            eprintln!("SKIPPED: only root can be other users");
            return None;
        }
        if !have("setpriv") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let scene = Scene::new(&format!(
            "{WAIT}peer-suffices = true\n{more}[roles]\nviewer = {{ users = [{VIEWER}] }}\noperator = {{ users = [{OPERATOR}] }}\napprover = {{ users = [{APPROVER}, {OPERATOR}] }}\n[daemon]\nsocket = {:?}\n",
            folder.path().join("keepwell.sock")
        ));
        Some(Self { scene, folder })
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("keepwell.sock")
    }

    pub(super) fn ask(&self, uid: u32, args: &[&str]) -> Output {
        keepwell_as(uid, &self.socket(), args)
    }
}

#[test]
fn each_may_what_its_role_says() {
    let Some(open) = Open::new() else { return };
    let node = &open.scene.node;
    let daemon = Daemon::on(node);
    let run = ["run", "temp-clean"];
    open.ask(STRANGER, &run)
        .exits(4)
        .says(&["user 65531 holds no role"]);
    open.ask(VIEWER, &run)
        .exits(4)
        .says(&["does not hold the role `operator`", "[roles]"]);
    open.ask(VIEWER, &["task", "pause", "temp-clean", "--reason", "x"])
        .exits(4);
    open.ask(OPERATOR, &["plugin", "remove", "clean"])
        .exits(4)
        .says(&["`plugin-admin`"]);
    open.ask(APPROVER, &run).exits(4).says(&["`operator`"]);
    assert!(node.journal(&["--kind", "run-due"]).is_empty());

    open.ask(OPERATOR, &run).exits(4);
    becomes(node, RunState::Waiting);
    let due = node.journal(&["--kind", "run-due"]);
    assert_eq!(due[0].actor, format!("uid:{OPERATOR}"));
    let grant = ["approvals", "grant", "last", "--reason", "seen"];
    open.ask(STRANGER, &grant).exits(4);
    open.ask(VIEWER, &grant).exits(4).says(&["`approver`"]);
    // An approver too, and still not for what they asked for.
    open.ask(OPERATOR, &grant)
        .exits(4)
        .says(&["who asked cannot approve"]);
    open.scene.refused_since(0, "who asked cannot approve");
    open.ask(APPROVER, &grant).exits(0);
    becomes(node, RunState::Done);
    let answered = node.journal(&["--kind", "approval-answered"]);
    assert_eq!(answered[0].actor, format!("uid:{APPROVER}"));
    open.ask(OPERATOR, &["undo", "last"]).exits(0);
    open.scene.nothing_changed();
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.ended().success());
    assert!(!open.socket().exists(), "its name stays behind");
    node.journal_is_whole();
}

#[test]
fn who_may_only_look_looks_by_the_socket() {
    let Some(open) = Open::new() else { return };
    let _daemon = Daemon::on(&open.scene.node);
    open.ask(OPERATOR, &["run", "temp-clean"]).exits(4);
    for args in [
        &["runs", "list"][..],
        &["runs", "show", "last"],
        &["status"],
        &["task", "list"],
        &["approvals", "list"],
    ] {
        let looked = open.ask(VIEWER, args);
        looked.exits(0);
        let here = open.scene.node.keepwell(args);
        assert_eq!((looked.out, looked.err), (here.out, here.err), "{args:?}");
        open.ask(STRANGER, args).exits(4);
    }
    let list = open.ask(VIEWER, &["--json", "runs", "list"]);
    assert_eq!(list.json()[0]["task"], "temp-clean");
    // Errors and exit codes come over as well.
    open.ask(VIEWER, &["runs", "show", "nothing"])
        .exits(2)
        .says(&["there is no run `nothing`"]);
    open.ask(VIEWER, &["audit", "show"])
        .exits(4)
        .says(&["`auditor`"]);
}

#[test]
fn a_look_at_another_node_or_file_is_refused() {
    let node = crate::harness::Node::new(crate::harness::shared());
    let daemon = Daemon::on(&node);
    for words in [
        r#"["runs","list","--node","/etc"]"#,
        r#"["runs","list","--node=/etc"]"#,
        r#"["status","--socket=/x"]"#,
        r#"["audit","verify","--journal","/etc"]"#,
        r#"["--node","/etc","status"]"#,
        r#"["init","/etc"]"#,
        "[]",
    ] {
        let mut stream = daemon.connect();
        let line = format!("{{\"request\":{{\"verb\":\"look\",\"words\":{words}}}}}\n");
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).unwrap();
        assert!(answer.starts_with("{\"error\""), "{words}: {answer}");
    }
}

#[test]
fn who_names_a_socket_where_nobody_listens_is_told_so() {
    let Some(open) = Open::new() else { return };
    let missing = open.ask(OPERATOR, &["run", "temp-clean"]);
    missing
        .exits(1)
        .says(&["cannot connect to", "keepwell.sock"]);
    // What a killed daemon leaves is taken over; what is no socket stays.
    let killed = Daemon::on(&open.scene.node);
    killed.killed();
    let left = std::fs::symlink_metadata(open.socket()).unwrap();
    assert!(left.file_type().is_socket());
    open.ask(OPERATOR, &["run", "temp-clean"]).exits(1);
    drop(Daemon::on(&open.scene.node));
    std::fs::remove_file(open.socket()).unwrap();
    std::fs::write(open.socket(), "precious").unwrap();
    open.scene
        .node
        .keepwell(&["daemon"])
        .exits(78)
        .says(&["is no socket"]);
    assert_eq!(precious(&open.socket()), "precious");
}

fn precious(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
