//! The daemon on the demo's node, for half a minute: slots every few seconds, a plan that waits for a
//! second person and is applied once a key that is not the node's has approved it, and a tuning
//! that nobody confirms and that takes itself back.

mod claims;
mod process;
mod scene;

use super::stage::{DENIED, DONE, Stage, text};
use super::tidy::{check_taken, unchanged};
use super::{listing, tree::Tree};
use crate::error::{Error, Result};
use crate::figures::{grouped, seconds};
use process::Daemon;
use scene::{APP, CHECKS_SECONDS, DISK_USAGE_SECONDS, Scene, WORKERS};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// All of it, from the daemon's start to its end.
const WHOLE: Duration = Duration::from_secs(30);
/// How long slots come due before anybody asks for anything.
const WATCH: Duration = Duration::from_secs(8);
/// The daemon looks at once; this is for a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// Runs that lists show: more than this act makes.
const ALL: &str = "200";

pub(super) fn show(stage: &Stage, dir: &Path, tree: &Tree) -> Result<()> {
    println!(
        "\nThe daemon: half a minute of maintenance by itself\n\n  \
         every 3 s    disk-usage                    tasks/disk-usage.toml\n  \
         every 5 s    quick-check, then disk-check  schedules/checks.toml\n  \
         when asked   temp-clean, whose plan waits for a second person\n  \
         when asked   param-tune, whose change reverts unless somebody confirms it"
    );
    let scene = Scene::set(stage)?;
    stage.show(&["config", "check"], &[DONE])?;
    stage.show(&["schedule", "validate"], &[DONE])?;

    let begun = Instant::now();
    let mut daemon = Daemon::start(stage)?;
    std::thread::sleep(WATCH);
    second_person(stage, &scene, &mut daemon, dir, tree)?;
    tuning(stage, &scene, &mut daemon)?;
    println!("\nMeanwhile the schedules go on");
    stage.show(&["schedule", "list"], &[DONE])?;
    std::thread::sleep(WHOLE.saturating_sub(begun.elapsed()));
    let watched = begun.elapsed();
    daemon.end()?;

    schedules_kept(stage, watched)?;
    stage.show(&["status"], &[DONE])?;
    stage.show(&["audit", "verify"], &[DONE])?;
    Ok(())
}

/// Cleaning waits, the one who asked cannot approve it, alice does on a machine of her own, and the
/// daemon applies what she saw.
fn second_person(
    stage: &Stage,
    scene: &Scene,
    daemon: &mut Daemon,
    dir: &Path,
    tree: &Tree,
) -> Result<()> {
    println!("\nA plan that waits for a second person");
    let before = listing::list(dir)?;
    stage.show(&["run", "temp-clean"], &[DENIED])?;
    let run = text(&stage.ask(&["approvals", "list"])?, "run")?;
    let digest = claims::waits(&stage.ask(&["runs", "show", &run])?)?;
    unchanged("asking for approval", &before, &listing::list(dir)?)?;
    let short = run.get(run.len().saturating_sub(8)..).unwrap_or(&run);
    stage.show(
        &["approvals", "grant", short, "--reason", "mine is fine"],
        &[DENIED],
    )?;
    println!("expected: who asked cannot approve, and nothing has moved");

    let path = |path: &Path| path.display().to_string();
    let (request, answer) = (path(&scene.request), path(&scene.answer));
    stage.show(&["approvals", "export", short, "--out", &request], &[DONE])?;
    println!("\nOn alice's own machine, which needs no node");
    let key = path(&scene.key);
    let sign = [
        "approvals",
        "sign",
        &request,
        "--grant",
        "--reason",
        "looked at it",
        "--key",
        &key,
    ];
    stage.show(&[&sign[..], &["--out", &answer]].concat(), &[DONE])?;
    println!("\nBack on the node");
    stage.show(&["approvals", "import", &answer], &[DONE])?;
    daemon.says("temp-clean went on", SOON)?;
    stage.show(&["runs", "show", short], &[DONE])?;

    let applied = claims::applied_as_approved(&stage.ask(&["runs", "show", &run])?, &digest)?;
    check_taken(tree, applied)?;
    let answers = [
        "audit",
        "show",
        "--kind",
        "approval-answered",
        "--run",
        &run,
    ];
    claims::answered_by(&list(stage.ask(&answers)?), &scene.key_id)?;
    println!(
        "expected: the daemon applied the {} actions that alice approved, by itself",
        grouped(applied)
    );
    stage.show(&["undo", short], &[DONE])?;
    unchanged("undo", &before, &listing::list(dir)?)
}

/// A change that nobody confirms, as when it cuts off whoever made it.
fn tuning(stage: &Stage, scene: &Scene, daemon: &mut Daemon) -> Result<()> {
    println!("\nA bad tuning that takes itself back");
    let read = || std::fs::read_to_string(&scene.app).map_err(Error::io("read", &scene.app));
    claims::holds(&read()?, APP, "before the tuning")?;
    println!("before  {}", WORKERS[0]);
    stage.show(&["run", "param-tune"], &[DONE])?;
    let begun = Instant::now();
    claims::holds(
        &read()?,
        &APP.replace(WORKERS[0], WORKERS[1]),
        "after the tuning",
    )?;
    println!("now     {}", WORKERS[1]);
    stage.show(&["runs", "changes"], &[DONE])?;
    println!("\nNobody confirms it: whoever could may have been cut off by it");
    daemon.says("was not confirmed", SOON)?;
    let took = begun.elapsed();
    claims::holds(&read()?, APP, "after the deadline")?;
    println!("after   {}", WORKERS[0]);
    claims::reverted(&settled(stage)?)?;
    println!(
        "expected: {} later the file is byte for byte what it was, its comments too",
        seconds(took)
    );
    Ok(())
}

/// The changes, once none waits: the value is back a moment before the journal says so.
fn settled(stage: &Stage) -> Result<Vec<Value>> {
    let begun = Instant::now();
    loop {
        let changes = list(stage.ask(&["runs", "changes"])?);
        let waits = changes.iter().any(|change| change["state"] == "armed");
        if !waits || begun.elapsed() > SOON {
            return Ok(changes);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn schedules_kept(stage: &Stage, watched: Duration) -> Result<()> {
    stage.show(&["runs", "list", "--limit", "8"], &[DONE])?;
    let started = list(stage.ask(&["audit", "show", "--kind", "run-due"])?);
    let every = [
        ("disk-usage", DISK_USAGE_SECONDS),
        ("quick-check", CHECKS_SECONDS),
        ("disk-check", CHECKS_SECONDS),
    ];
    let slots = claims::each_slot_once(&started, &every, watched.as_secs())?;
    let runs = list(stage.ask(&["runs", "list", "--limit", ALL])?);
    claims::all_ended_well(&runs, &every.map(|(task, _)| task))?;
    println!(
        "expected: {slots} slots came due in {}, and each ran once",
        seconds(watched)
    );
    Ok(())
}

/// The rows of a JSON array; of anything else none, which no claim takes for good.
fn list(json: Value) -> Vec<Value> {
    match json {
        Value::Array(rows) => rows,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            vec![]
        }
    }
}
