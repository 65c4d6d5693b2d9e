//! A store that has little room, cannot be written, or is not what was written: changes stop first,
//! then runs, and that is said; when it is well again everything goes on by itself.

use crate::cleaning::TASK;
use crate::full_disk::{Small, all_there, old_files};
use crate::harness::{Daemon, Node, Output, Snapshot, alone, journal, keepwell};
use keepwell_model::event::Event;
use keepwell_model::state::RunState;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Less than the journal's reserve, below which nothing is changed, and enough for runs that only look.
const LITTLE: u64 = 4 << 20;
const SOON: Duration = Duration::from_secs(60);

/// A node directory on a file system of its own, and a root with old files elsewhere.
struct Scene {
    node: Node,
    small: Small,
    dir: PathBuf,
    before: Snapshot,
}

impl Scene {
    fn new() -> Option<Self> {
        let node = Node::new(alone());
        node.task("temp-clean", TASK);
        node.task("honest", "plugin = 'hostile'\n");
        let before = old_files(&node.root());
        let small = Small::mount(&node.scratch().join("small"), "96M")?;
        let dir = small.0.join("node");
        let mut copy = Command::new("cp");
        let copied = copy.arg("-a").arg(node.dir()).arg(&dir).status().unwrap();
        assert!(copied.success());
        Some(Self {
            node,
            small,
            dir,
            before,
        })
    }

    fn keepwell(&self, args: &[&str]) -> Output {
        keepwell(Some(&self.dir), args)
    }

    fn nothing_changed(&self) {
        all_there(&self.node.root(), &self.before);
    }

    fn undo(&self) {
        self.keepwell(&["undo", "last"]).exits(0);
        self.nothing_changed();
    }
}

#[test]
fn with_little_room_changes_stop_and_looking_goes_on() {
    let Some(scene) = Scene::new() else { return };
    let filler = scene.small.fill(LITTLE);
    let out = scene.keepwell(&["run", "temp-clean", "-o", "json"]);
    let report = out.exits(6).report();
    assert_eq!(report.state, RunState::Interrupted);
    assert_eq!((report.applied.next, report.applied.done), (0, 0));
    let reason = report.reason.unwrap();
    assert!(reason.contains("changes stop below"), "{reason}");
    scene.nothing_changed();
    scene.keepwell(&["run", "honest"]).exits(0);
    let status = scene.keepwell(&["status"]);
    status.exits(3);
    assert!(status.out.contains("NOTHING IS CHANGED"), "{}", status.out);
    let doctor = scene.keepwell(&["doctor", "--only", "node.room"]);
    assert!(
        doctor.exits(1).out.contains("changes stop below"),
        "{}",
        doctor.out
    );
    // Nor is what was approved gone on with.
    let runs = scene
        .keepwell(&["runs", "list", "--task", "temp-clean", "-o", "json"])
        .json();
    let run = runs[0]["run"].as_str().unwrap().to_owned();
    scene.keepwell(&["runs", "resume", &run]).exits(6);
    scene.nothing_changed();
    std::fs::remove_file(filler).unwrap();
    // The same plan, when there is room.
    let out = scene.keepwell(&["runs", "resume", &run, "-o", "json"]);
    assert_eq!(out.exits(0).report().applied.done, 300);
    // What was done can be undone with little room.
    let filler = scene.small.fill(LITTLE);
    scene.keepwell(&["undo", &run]).exits(0);
    scene.nothing_changed();
    std::fs::remove_file(filler).unwrap();
    scene.keepwell(&["status"]);
    scene.keepwell(&["audit", "verify"]).exits(0);
}

/// A daemon stops changing, goes on looking, and cleans by itself when there is room again.
#[test]
fn a_daemon_recovers_by_itself() {
    let Some(scene) = Scene::new() else { return };
    let calm = "[daemon.pressure]\ncpu = '100%'\nio = '100%'\nload-percent = 1000000\n";
    let config = scene.dir.join("keepwell.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + calm).unwrap();
    let every = |task: &str| format!("schedule = {{ every = '1s' }}\n{task}");
    std::fs::write(scene.dir.join("tasks/temp-clean.toml"), every(TASK)).unwrap();
    let honest = every("plugin = 'hostile'\ntask = 'honest'\n");
    std::fs::write(scene.dir.join("tasks/honest.toml"), honest).unwrap();
    let filler = scene.small.fill(LITTLE);
    let daemon = Daemon::at(&scene.dir);
    let ended = |task: &str, state: RunState| {
        let records = journal(&scene.dir, &["--kind", "run-ended", "--task", task]);
        let of = |event| matches!(event, Event::RunEnded { state: s, .. } if s == state);
        records.into_iter().any(|r| of(r.event))
    };
    let until = |what: &str, fits: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !fits() {
            assert!(began.elapsed() < SOON, "it never came: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    until("changes stop", &|| {
        ended("temp-clean", RunState::Interrupted)
    });
    until("looking goes on", &|| ended("honest", RunState::Done));
    scene.nothing_changed();
    std::fs::remove_file(filler).unwrap();
    until("cleaning", &|| ended("temp-clean", RunState::Done));
    drop(daemon);
    let quarantined = scene.keepwell(&["quarantine", "list", "-o", "json"]).json();
    let moved = quarantined.as_array().unwrap().iter();
    let moved: u64 = moved.map(|q| q["entries"].as_u64().unwrap()).sum();
    assert_eq!(moved, 300, "{quarantined}");
    scene.keepwell(&["audit", "verify"]).exits(0);
}

#[test]
fn on_a_read_only_file_system_nothing_is_changed_and_everything_can_be_read() {
    let Some(scene) = Scene::new() else { return };
    scene.keepwell(&["run", "temp-clean"]).exits(0);
    scene.undo();
    scene.keepwell(&["audit", "checkpoint"]).exits(0);
    scene.small.remount("ro");
    for verb in [
        &["run", "temp-clean"][..],
        &["undo", "last"],
        &["daemon"],
        &["runs", "prune"],
    ] {
        let out = scene.keepwell(verb);
        assert_eq!(out.code, 1, "{verb:?}: {}", out.err);
        out.says(&["Read-only file system"]);
    }
    scene.nothing_changed();
    scene.keepwell(&["audit", "verify"]).exits(0);
    scene.keepwell(&["runs", "show", "last"]).exits(0);
    let status = scene.keepwell(&["status"]);
    assert!(
        status.exits(3).out.contains("is read-only"),
        "{}",
        status.out
    );
    scene.small.remount("rw");
    let out = scene.keepwell(&["run", "temp-clean", "-o", "json"]);
    assert_eq!(out.exits(0).report().applied.done, 300);
    scene.undo();
    scene.keepwell(&["audit", "verify"]).exits(0);
}

/// Whatever page of the file is spoilt: the run is as every other and `audit verify` finds it, or the
/// run ends and says so, and nothing is lost.
#[test]
fn a_corrupted_journal_is_told_and_loses_nothing() {
    let Some(scene) = Scene::new() else { return };
    scene.keepwell(&["run", "honest"]).exits(0);
    scene.keepwell(&["audit", "checkpoint"]).exits(0);
    let file = scene.dir.join("state/journal.db");
    let whole = std::fs::read(&file).unwrap();
    let log = scene.dir.join("state/journal.db-wal");
    let pages = whole.len() / 4_096;
    assert!(pages > 20);
    let (mut refused, mut done, mut early) = (0, 0, 0);
    for page in 0..pages {
        let mut spoilt = whole.clone();
        spoilt[page * 4_096..(page + 1) * 4_096].fill(0xa5);
        std::fs::write(&file, &spoilt).unwrap();
        let out = scene.keepwell(&["run", "temp-clean"]);
        if [0, 3].contains(&out.code) {
            // What it needs was not there; `audit verify` still finds it.
            done += 1;
            scene.keepwell(&["audit", "verify"]).exits(1);
        } else {
            refused += 1;
            assert_eq!(out.code, 1, "page {page}: {}", out.err);
            let told = out.err.contains("journal") || out.err.contains("database");
            assert!(told, "page {page}: {}", out.err);
            // Most are found before anything is changed; the rest when the outcome is written down.
            early += usize::from(!scene.node.root().join(".keepwell").exists());
        }
        // As somebody does who has a copy: the files together.
        for beside in [&log, &scene.dir.join("state/journal.db-shm")] {
            let _ = std::fs::remove_file(beside);
        }
        std::fs::write(&file, &whole).unwrap();
        restore(&scene);
    }
    assert!(
        early >= pages / 4,
        "{refused} refused, {early} of them early, {done} done"
    );
    let out = scene.keepwell(&["run", "temp-clean", "-o", "json"]);
    assert_eq!(out.exits(0).report().applied.done, 300);
    scene.undo();
    scene.keepwell(&["audit", "verify"]).exits(0);
}

/// A daemon whose journal is spoilt while it runs begins nothing more, changes nothing, and says so.
#[test]
fn a_daemon_on_a_corrupted_journal_begins_nothing() {
    let Some(scene) = Scene::new() else { return };
    scene.keepwell(&["audit", "checkpoint"]).exits(0);
    let honest = "plugin = 'hostile'\ntask = 'honest'\nschedule = { every = '1s', criticality = 'critical' }\n";
    std::fs::write(scene.dir.join("tasks/honest.toml"), honest).unwrap();
    let file = scene.dir.join("state/journal.db");
    let whole = std::fs::read(&file).unwrap();
    let daemon = Daemon::at(&scene.dir);
    daemon.says("ended done");
    std::fs::write(&file, vec![0xa5; whole.len()]).unwrap();
    daemon.says("nothing is started");
    let out = scene.keepwell(&["run", "temp-clean"]);
    assert_ne!(out.code, 0, "{}", out.out);
    scene.nothing_changed();
    daemon.killed();
    for beside in ["journal.db-wal", "journal.db-shm", "checkpoint"] {
        let _ = std::fs::remove_file(scene.dir.join("state").join(beside));
    }
    std::fs::write(&file, whole).unwrap();
    let daemon = Daemon::at(&scene.dir);
    daemon.says("ended done");
    let out = scene.keepwell(&["run", "temp-clean", "-o", "json"]);
    assert_eq!(out.exits(0).report().applied.done, 300);
    scene.undo();
    drop(daemon);
    scene.keepwell(&["audit", "verify"]).exits(0);
}

/// The journal that was put back knows nothing of what a run with the spoilt one moved; the
/// quarantine folder alone tells where each entry was.
fn restore(scene: &Scene) {
    let _ = std::fs::remove_file(scene.dir.join("state/checkpoint"));
    let folder = scene.node.root().join(".keepwell/quarantine");
    for run in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let manifest = std::fs::read_to_string(run.path().join("manifest.jsonl")).unwrap();
        for line in manifest.lines().skip(1) {
            let action: keepwell_model::action::Action = serde_json::from_str(line).unwrap();
            let from = run.path().join(action.id.to_string());
            if from.exists() {
                let path = action.change.path().unwrap();
                let to = std::str::from_utf8(path.as_bytes()).unwrap();
                std::fs::rename(from, scene.node.root().join(to)).unwrap();
            }
        }
        std::fs::remove_dir_all(run.path()).unwrap();
    }
    scene.nothing_changed();
}
