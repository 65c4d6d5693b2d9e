//! The daemon on the demo's node: slots every few seconds, a plan that waits for a second person,
//! is approved by a key that is not the node's, and is applied by the daemon by itself.

use super::stage::{DONE, Stage, number, text};
use crate::error::{Error, Result};
use crate::places::write;
use crate::step::{command, expect_success};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Tasks without a schedule of their own, one after the other.
const OFTEN: &str = r#"[slots.often]
every = "5s"
tasks = ["quick-check", "disk-check"]
stop-on = "never"
"#;

const DISK_USAGE: &str = r#"plugin = "disk"
schedule = { every = "3s" }

[grant]
metrics = {}
"#;

/// Cleaning waits here, though it can be undone; the demo's machine may be as busy as it likes.
const POLICY: &str = r#"
[daemon.pressure]
cpu = "100%"
io = "100%"
load-percent = 10000

[[policy.rules]]
task = "temp-clean"
class = "reversible"
then = "approve"
approvals = 1
"#;

/// How long slots come due before the plan is asked for.
const WATCH: Duration = Duration::from_secs(12);
/// The daemon looks at what was approved at once; this is for a busy machine.
const APPLIED_WITHIN: Duration = Duration::from_secs(20);

pub(crate) fn show(stage: &Stage) -> Result<()> {
    println!("\nThe daemon: schedules, and a plan that waits for a second person");
    let node = stage.node();
    let config = node.join("keepwell.toml");
    let before = std::fs::read_to_string(&config).map_err(Error::io("read", &config))?;
    write(&config, format!("{before}{POLICY}"))?;
    write(&node.join("tasks").join("disk-usage.toml"), DISK_USAGE)?;
    let schedules = node.join("schedules");
    crate::places::make_dir(&schedules)?;
    write(&schedules.join("standard.toml"), OFTEN)?;

    let key = node.join("alice.key").display().to_string();
    let public = expect_success(&mut stage.command(&["bundle", "keygen", &key]))?;
    let approvers = format!(
        "[approvers.alice]\nkey = \"{}\"\nuser = \"alice\"\n",
        public.trim()
    );
    write(&node.join("approvers.toml"), approvers)?;
    stage.show(&["config", "check"], &[DONE])?;

    println!("\n$ keepwell daemon &");
    let mut daemon = Daemon(
        stage
            .command(&["daemon"])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|source| Error::Start {
                program: stage.keepwell().display().to_string(),
                source,
            })?,
    );
    std::thread::sleep(WATCH);
    // 4: the approval is missing.
    stage.show(&["run", "temp-clean"], &[4])?;
    stage.show(&["approvals", "list"], &[DONE])?;
    let waiting = stage.ask(&["approvals", "list"])?;
    let run = text(&waiting, "run")?;
    let (request, answer) = (node.join("request"), node.join("answer"));
    let (request, answer) = (request.display().to_string(), answer.display().to_string());
    stage.show(&["approvals", "export", &run, "--out", &request], &[DONE])?;
    println!("\non the approver's own machine");
    let sign = [
        "approvals",
        "sign",
        &request,
        "--grant",
        "--reason",
        "looked at it",
        "--key",
        &key,
        "--out",
        &answer,
    ];
    stage.show(&sign, &[DONE])?;
    stage.show(&["approvals", "import", &answer], &[DONE])?;
    let applied = until_applied(stage, &run)?;
    stage.show(&["runs", "show", &run], &[DONE])?;
    println!("expected: the daemon applied {applied} actions by itself once they were approved");

    daemon.end()?;
    stage.show(&["runs", "list", "--limit", "8"], &[DONE])?;
    stage.show(&["undo", &run], &[DONE])?;
    stage.show(&["audit", "verify"], &[DONE])?;
    Ok(())
}

/// Waits until the daemon has carried the plan out.
fn until_applied(stage: &Stage, run: &str) -> Result<u64> {
    let begun = Instant::now();
    while begun.elapsed() < APPLIED_WITHIN {
        let report = stage.ask(&["runs", "show", run])?;
        if text(&report, "state")? == "done" {
            return number(&report, &["applied", "done"]);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Err(Error::Unexpected(format!(
        "the daemon did not apply run {run} within {} s of its approval",
        APPLIED_WITHIN.as_secs()
    )))
}

/// Ended in order, or killed when the demo fails before.
#[derive(Debug)]
struct Daemon(Child);

impl Daemon {
    fn end(&mut self) -> Result<()> {
        let pid = self.0.id().to_string();
        println!("\n$ kill -TERM {pid}");
        expect_success(command("kill").args(["-TERM", &pid]))?;
        let status = self.0.wait().map_err(|source| Error::Start {
            program: "keepwell daemon".into(),
            source,
        })?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Unexpected(format!("the daemon ended with {status}")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
