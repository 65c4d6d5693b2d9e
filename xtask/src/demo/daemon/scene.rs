//! What the daemon's act is played with: schedules every few seconds, a policy that makes cleaning
//! wait for a second person, and a parameter of some service that a task may tune.

use super::super::stage::{Stage, text};
use crate::error::{Error, Result};
use crate::places::{make_dir, write};
use std::path::{Path, PathBuf};

/// What this act adds to `keepwell.toml`. The machine it is watched on may be as busy as it likes.
const POLICY: &str = r#"
[daemon.pressure]
cpu = "100%"
io = "100%"
load-percent = 10000

[[policy.rules]]                 # cleaning waits here, though it can be undone
task = "temp-clean"
class = "reversible"
then = "approve"
approvals = 1
"#;

/// Tasks without a schedule of their own, one after the other.
const CHECKS: &str = r#"[slots.often]
every = "5s"
tasks = ["quick-check", "disk-check"]
stop-on = "never"
"#;

const DISK_USAGE: &str = r#"plugin = "disk"
schedule = { every = "3s" }

[grant]
metrics = {}
"#;

/// Not granted `state`: with a memory it would measure for several runs before it changes anything.
const PARAM_TUNE: &str = r#"plugin = "tune"
settings = { param = "workers", values = ["64"] }

[grant]
metrics = {}
config-read = { params = ["workers"] }
config-write = { params = ["workers"] }
"#;

/// The file of the service that is tuned. All but the number must stay as it is.
pub(super) const APP: &str = "# sized by hand, ask before you touch it\n\
    [server]\nname    = 'demo'\nworkers = 16   # threads\n";
/// The line of it that the change is about, before and while it waits.
pub(super) const WORKERS: [&str; 2] = ["workers = 16   # threads", "workers = 64   # threads"];
/// Of the schedules above.
pub(super) const DISK_USAGE_SECONDS: u64 = 3;
pub(super) const CHECKS_SECONDS: u64 = 5;

/// Where things of this act lie.
#[derive(Debug)]
pub(super) struct Scene {
    /// The file whose value is tuned.
    pub(super) app: PathBuf,
    /// The second person's key, which the node does not hold.
    pub(super) key: PathBuf,
    pub(super) key_id: String,
    pub(super) request: PathBuf,
    pub(super) answer: PathBuf,
}

impl Scene {
    /// Writes what an operator would, and makes the second person's key.
    pub(super) fn set(stage: &Stage) -> Result<Self> {
        let node = stage.node();
        let desk = node.with_file_name("alice");
        make_dir(&desk)?;
        let key = desk.join("alice.key");
        let made = stage.ask(&["bundle", "keygen", &key.display().to_string()])?;
        let scene = Self {
            app: node.with_file_name("app.toml"),
            key,
            key_id: text(&made, "key_id")?,
            request: desk.join("request"),
            answer: desk.join("answer"),
        };
        write(&scene.app, APP)?;
        let config = node.join("keepwell.toml");
        let before = std::fs::read_to_string(&config).map_err(Error::io("read", &config))?;
        let param = param(&scene.app);
        write(&config, format!("{before}{POLICY}{param}"))?;
        write(&node.join("tasks").join("disk-usage.toml"), DISK_USAGE)?;
        write(&node.join("tasks").join("param-tune.toml"), PARAM_TUNE)?;
        make_dir(&node.join("schedules"))?;
        write(&node.join("schedules").join("checks.toml"), CHECKS)?;
        let public = text(&made, "public")?;
        let approvers = format!("[approvers.alice]\nkey = \"{public}\"\nuser = \"alice\"\n");
        write(&node.join("approvers.toml"), approvers)?;
        Ok(scene)
    }
}

/// The shortest time that a change may wait, so that its end can be watched.
fn param(app: &Path) -> String {
    format!(
        r#"
[params.workers]
file = "{}"
format = "toml"
key = "server.workers"
type = "integer"
min = 1
max = 128
soak = "1s"
revert-after = "5s"
"#,
        app.display()
    )
}
