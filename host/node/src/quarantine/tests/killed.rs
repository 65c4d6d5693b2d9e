//! A process killed while it moves entries aside and back: `settled` must tell the truth of each.

use super::*;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How the child, this same program, is told where its bed is.
const BED: &str = "KEEPWELL_KILLED_BED";
/// Kills; each at another moment.
const ROUNDS: u32 = 24;
/// The child moves for ever; all moves aside and back take it a few times this long.
const KILL_WITHIN_US: u64 = 30_000;

/// Moves everything aside and back until it is killed.
#[test]
#[ignore = "runs for ever: started, and killed, by the test below"]
fn the_child_that_is_killed() {
    let Some(bed) = std::env::var_os(BED).map(PathBuf::from) else {
        return;
    };
    let plan: Vec<Action> = fs::read_to_string(bed.join("plan"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let root = Root::open(&RootName::new("tmp").unwrap(), &bed.join("r")).unwrap();
    println!("ready");
    loop {
        let q = Quarantine::begin(&root, RunId::new(1_000, [7; 10]), &bed.join("plan")).unwrap();
        for (i, action) in plan.iter().enumerate() {
            q.apply(action).unwrap();
            if i % 64 == 0 {
                q.sync().unwrap();
            }
        }
        for action in plan.iter().rev() {
            q.undo(action).unwrap();
        }
        assert!(q.finish_undo().unwrap());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only another process can be killed in the middle of its work"
)]
fn start(bed: &Bed) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("quarantine::tests::killed::the_child_that_is_killed")
        .env(BED, bed.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The test harness says its own lines first.
    let ready = lines.map_while(Result::ok).any(|l| l.contains("ready"));
    assert!(ready, "the child did not begin");
    child
}

/// Where the entry is, as the file system alone tells; never in both places and never in none.
fn truth(bed: &Bed, action: &Action) -> Settled {
    let Change::Quarantine { path, identity, .. } = &action.change else {
        panic!("the plan holds single entries only");
    };
    use std::os::unix::ffi::OsStrExt as _;
    let name = std::ffi::OsStr::from_bytes(path.as_bytes());
    let is_it = |at: PathBuf| fs::symlink_metadata(at).is_ok_and(|m| m.ino() == identity.inode);
    let held = is_it(bed.at(&format!(".keepwell/quarantine/{}/{}", bed.run, action.id)));
    match (is_it(bed.dir.path().join("r").join(name)), held) {
        (true, false) => Settled::NotApplied,
        (false, true) => Settled::Applied,
        (both, _) => panic!("{path} is in both places or in none: {both}"),
    }
}

#[test]
fn after_a_kill_settled_tells_the_truth_and_all_can_go_on_or_back() {
    let bed = Bed::new();
    bed.fill();
    for i in 0..400 {
        fs::write(bed.at(&format!("a/b/{i}")), i.to_string()).unwrap();
    }
    let names = |l: Vec<(PathBuf, u64, u32, u32, i64, i64, u64)>| {
        l.into_iter().map(|e| (e.0, e.1, e.2)).collect::<Vec<_>>()
    };
    let before = names(bed.listing());
    let plan = bed.plan();
    let lines = plan
        .iter()
        .map(|a| serde_json::to_string(a).unwrap() + "\n");
    fs::write(bed.dir.path().join("plan"), lines.collect::<String>()).unwrap();
    let mut between = 0;
    for round in 0..ROUNDS {
        let mut child = start(&bed);
        let random = RandomState::new().build_hasher().finish();
        std::thread::sleep(Duration::from_micros(random % KILL_WITHIN_US));
        child.kill().unwrap();
        child.wait().unwrap();
        let Ok(q) = Quarantine::open(&bed.root, bed.run) else {
            // Killed when the folder was not yet, or no longer, there: nothing may be moved.
            assert_eq!(names(bed.listing()), before);
            continue;
        };
        let told: Vec<Settled> = plan.iter().map(|a| q.settled(a)).collect();
        let true_ones: Vec<Settled> = plan.iter().map(|a| truth(&bed, a)).collect();
        assert_eq!(told, true_ones, "round {round}");
        let applied = told.iter().filter(|t| **t == Settled::Applied).count();
        between += u32::from(applied > 0 && applied < plan.len());
        // Some rounds are carried on to the end, all are taken back.
        if round % 2 == 0 {
            let q = bed.begin();
            for action in &plan {
                q.apply(action).unwrap();
                assert_eq!(q.settled(action), Settled::Applied);
            }
            q.sync().unwrap();
        }
        for action in plan.iter().rev() {
            q.undo(action).unwrap();
            assert_eq!(q.settled(action), Settled::NotApplied);
        }
        assert!(q.finish_undo().unwrap());
        assert_eq!(names(bed.listing()), before, "round {round}");
    }
    assert!(
        between >= 3,
        "only {between} kills met the child in the middle"
    );
}

#[test]
fn what_is_in_neither_place_or_in_both_is_unknown() {
    let bed = Bed::new();
    fs::write(bed.at("one"), "1").unwrap();
    let plan = bed.plan();
    let q = bed.begin();
    q.apply(&plan[0]).unwrap();
    let held = bed.at(&format!(".keepwell/quarantine/{}/0", bed.run));
    fs::hard_link(&held, bed.at("one")).unwrap();
    assert_eq!(q.settled(&plan[0]), Settled::Unknown);
    fs::remove_file(bed.at("one")).unwrap();
    assert_eq!(q.settled(&plan[0]), Settled::Applied);
    // Something else under the old name does not hide that it was moved.
    fs::write(bed.at("one"), "another").unwrap();
    assert_eq!(q.settled(&plan[0]), Settled::Applied);
    // Made while the first is there, so that it does not get its inode's number.
    fs::write(bed.at("other"), "another").unwrap();
    fs::remove_file(&held).unwrap();
    assert_eq!(q.settled(&plan[0]), Settled::Unknown);
    fs::rename(bed.at("other"), &held).unwrap();
    assert_eq!(q.settled(&plan[0]), Settled::Unknown);
}
