//! A node directory for one test, copied from one that was made once by `keepwell init`.

use super::program::{Output, keepwell};
use super::turn::Turn;
use super::{bundles, guests};
use keepwell_model::event::Record;
use keepwell_model::report::Report;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// With the bundled plugins and the hostile one installed, and no roots, stores or tasks.
static PROTOTYPE: OnceLock<PathBuf> = OnceLock::new();

#[derive(Debug)]
pub(crate) struct Node {
    scratch: TempDir,
    _turn: Turn,
}

impl Node {
    /// A node whose root `tmp` is an empty directory.
    pub(crate) fn new(turn: Turn) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let prototype = PROTOTYPE.get_or_init(prototype);
        copy(prototype, &scratch.path().join("node"));
        let node = Self {
            scratch,
            _turn: turn,
        };
        std::fs::create_dir(node.root()).unwrap();
        node.configure(&[("tmp", &node.root())], &[]);
        node
    }

    /// A folder of the test's own, in which the node directory and the root lie.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.scratch.path().join("node")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.scratch.path().join("root")
    }

    /// Writes `keepwell.toml` anew.
    pub(crate) fn configure(&self, roots: &[(&str, &Path)], stores: &[(&str, &str, &Path)]) {
        let mut text = String::from("[node]\nname = \"under-test\"\n");
        for (name, path) in roots {
            let _ = write!(text, "\n[roots.{name}]\npath = {path:?}\n");
        }
        for (name, kind, path) in stores {
            let _ = write!(
                text,
                "\n[stores.{name}]\nkind = {kind:?}\npath = {path:?}\n"
            );
        }
        std::fs::write(self.dir().join("keepwell.toml"), text).unwrap();
    }

    /// Adds to `keepwell.toml`.
    pub(crate) fn configure_more(&self, more: &str) {
        let path = self.dir().join("keepwell.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{text}\n{more}")).unwrap();
    }

    /// Writes a file of `tasks/`.
    pub(crate) fn task(&self, name: &str, text: &str) {
        let path = self.dir().join("tasks").join(format!("{name}.toml"));
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn keepwell<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        keepwell(Some(&self.dir()), args)
    }

    /// `run TASK`, with its report.
    #[track_caller]
    pub(crate) fn run(&self, task: &str) -> (Output, Report) {
        let out = self.keepwell(&["run", task, "-o", "json"]);
        let report = out.report();
        (out, report)
    }

    /// `plan TASK`, with its report.
    #[track_caller]
    pub(crate) fn plan(&self, task: &str) -> (Output, Report) {
        let out = self.keepwell(&["plan", task, "-o", "json"]);
        let report = out.report();
        (out, report)
    }

    /// Entries of the journal that `filter` selects, oldest first.
    #[track_caller]
    pub(crate) fn journal(&self, filter: &[&str]) -> Vec<Record> {
        journal(&self.dir(), filter)
    }

    /// The journal must be whole.
    #[track_caller]
    pub(crate) fn journal_is_whole(&self) {
        self.keepwell(&["audit", "verify"]).exits(0);
    }
}

/// The same for a node directory that lies elsewhere.
#[track_caller]
pub(crate) fn journal(node: &Path, filter: &[&str]) -> Vec<Record> {
    let args = [&["audit", "show", "-o", "jsonl"], filter].concat();
    let out = keepwell(Some(node), &args);
    out.exits(0);
    let lines = out.out.lines();
    lines
        .map(|line| {
            let mut entry: serde_json::Value = serde_json::from_str(line).unwrap();
            serde_json::from_value(entry["record"].take()).unwrap()
        })
        .collect()
}

/// Made once for a run of the tests. Those of earlier runs are cleared away first.
fn prototype() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in std::fs::read_dir(place).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(pid) = name.strip_prefix("prototype-")
            && !Path::new("/proc").join(pid).exists()
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let folder = place.join(format!("prototype-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let node = folder.join("node");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    keepwell(
        None,
        &["init", &text(&node), "--bundles", &text(&bundles())],
    )
    .exits(0);
    for entry in std::fs::read_dir(node.join("tasks")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let key = folder.join("key");
    let public = keepwell(None, &["bundle", "keygen", &text(&key)]);
    public.exits(0);
    let bundle = text(&folder.join("hostile.kwb"));
    let (component, key) = (text(&guests()), text(&key));
    let build = [
        "bundle",
        "build",
        &component,
        "--publisher",
        "hostile",
        "--key",
        &key,
        "--out",
        &bundle,
    ];
    keepwell(None, &build).exits(0);
    let mut trust = vec![
        "trust",
        "add",
        "hostile",
        public.out.trim(),
        "--names",
        "*",
        "--tier",
        "own",
    ];
    for capability in [
        "metrics",
        "storage",
        "storage-clean",
        "shards",
        "config-read",
        "config-write",
        "state",
    ] {
        trust.extend(["--capability", capability]);
    }
    keepwell(Some(&node), &trust).exits(0);
    keepwell(Some(&node), &["plugin", "install", &bundle]).exits(0);
    node
}

/// Folders and files, with their modes.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, from.metadata().unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(&path, &copied).unwrap();
        }
    }
}
