//! The actuator against a real kernel: every rule, every fault, and a race.

mod killed;

use super::*;
use crate::in_use::InUse;
use crate::walk::{Selector, Walk, survey};
use keepwell_model::action::{Action, Change};
use keepwell_model::budget::CleanBudget;
use keepwell_model::id::RootName;
use keepwell_model::words::Code;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Later than any file a test makes: the year 2100.
const LATER_MS: u64 = 4_102_444_800_000;

struct Bed {
    dir: tempfile::TempDir,
    root: Arc<Root>,
    run: RunId,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("r")).unwrap();
        fs::write(dir.path().join("plan"), "the sealed plan\n").unwrap();
        let root = Root::open(&RootName::new("tmp").unwrap(), &dir.path().join("r")).unwrap();
        let run = RunId::new(1_000, [7; 10]);
        Self {
            dir,
            root: Arc::new(root),
            run,
        }
    }
    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("r").join(path)
    }
    fn begin(&self) -> Quarantine {
        Quarantine::begin(&self.root, self.run, &self.dir.path().join("plan")).unwrap()
    }
    /// All files, links and empty directories as actions.
    fn plan(&self) -> Vec<Action> {
        let selector = Selector {
            only_empty_directories: true,
            ..Selector::default()
        };
        let in_use = Arc::new(InUse::none());
        let mut walk = Walk::new(Arc::clone(&self.root), &selector, LATER_MS, in_use).unwrap();
        let entries = walk.next(usize::MAX).unwrap();
        let action = |(id, e): (usize, crate::walk::Entry)| Action {
            id: id as u64,
            change: Change::Quarantine {
                root: self.root.name().clone(),
                path: e.path,
                kind: e.kind,
                identity: e.identity,
            },
            reason: "old".into(),
        };
        entries.into_iter().enumerate().map(action).collect()
    }
    fn fill(&self) {
        fs::create_dir_all(self.at("a/b/empty")).unwrap();
        fs::write(self.at("a/one"), "1").unwrap();
        fs::write(self.at("a/b/two"), "22").unwrap();
        fs::write(self.at("top"), "333").unwrap();
        fs::hard_link(self.at("top"), self.at("a/second name")).unwrap();
        symlink("/etc/passwd", self.at("a/link")).unwrap();
        let odd = std::ffi::OsStr::new("x");
        fs::write(self.at("a").join(odd), "odd").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    /// Path, inode, mode, owner, mtime, length of everything but the host's own folder.
    fn listing(&self) -> Vec<(PathBuf, u64, u32, u32, i64, i64, u64)> {
        fn add(at: &Path, out: &mut Vec<(PathBuf, u64, u32, u32, i64, i64, u64)>) {
            let m = fs::symlink_metadata(at).unwrap();
            out.push((
                at.into(),
                m.ino(),
                m.mode(),
                m.uid(),
                m.mtime(),
                m.mtime_nsec(),
                m.len(),
            ));
            if m.is_dir() {
                for e in fs::read_dir(at).unwrap() {
                    let e = e.unwrap();
                    if e.file_name() != ".keepwell" {
                        add(&e.path(), out);
                    }
                }
            }
        }
        let mut out = Vec::new();
        add(&self.at(""), &mut out);
        out.sort();
        out
    }
}

fn budget() -> CleanBudget {
    CleanBudget::default()
}

#[test]
fn undo_gives_the_same_tree_and_repeating_changes_nothing() {
    let bed = Bed::new();
    bed.fill();
    let before = bed.listing();
    let plan = bed.plan();
    assert_eq!(plan.len(), 7);
    let q = bed.begin();
    for a in &plan {
        assert_eq!(q.settled(a), Settled::NotApplied);
        q.check(a, &budget(), LATER_MS, &InUse::none()).unwrap();
        q.apply(a).unwrap();
        q.apply(a).unwrap();
        assert_eq!(q.settled(a), Settled::Applied);
    }
    q.sync().unwrap();
    assert!(
        bed.plan().is_empty()
            || bed
                .plan()
                .iter()
                .all(|a| a.change.path().unwrap().name() == b"b")
    );
    assert_eq!(quarantined(&bed.root).unwrap()[0].entries, 7);
    drop(q);
    // Another process undoes, much later.
    let q = Quarantine::open(&bed.root, bed.run).unwrap();
    for a in plan.iter().rev() {
        assert_eq!(q.undo(a).unwrap(), Undone::Restored);
        assert_eq!(q.undo(a).unwrap(), Undone::WasThere);
    }
    assert!(q.finish_undo().unwrap());
    assert!(!bed.at(".keepwell").exists());
    assert_eq!(bed.listing(), before);
}

#[test]
fn what_changed_is_in_use_young_or_special_is_refused() {
    let bed = Bed::new();
    bed.fill();
    let plan = bed.plan();
    let q = bed.begin();
    let of = |name: &str| {
        plan.iter()
            .find(|a| a.change.path().unwrap().name() == name.as_bytes())
            .unwrap()
    };
    let code =
        |a: &Action, now, in_use: &InUse| q.check(a, &budget(), now, in_use).unwrap_err().code;
    let m = fs::metadata(bed.at("a/one")).unwrap();
    let open = InUse::from_pairs(vec![(m.dev(), m.ino())], true);
    assert_eq!(code(of("one"), LATER_MS, &open), Code::Busy);
    let now = u64::try_from(m.mtime()).unwrap() * 1000;
    assert_eq!(code(of("one"), now + 60_000, &InUse::none()), Code::Denied);
    assert_eq!(code(of("one"), now - 60_000, &InUse::none()), Code::Denied);
    fs::write(bed.at("a/one"), "changed").unwrap();
    assert_eq!(code(of("one"), LATER_MS, &InUse::none()), Code::Gone);
    fs::write(bed.at("a/b/empty/new"), "").unwrap();
    assert_eq!(code(of("empty"), LATER_MS, &InUse::none()), Code::Gone);
    fs::remove_file(bed.at("a/b/two")).unwrap();
    assert_eq!(code(of("two"), LATER_MS, &InUse::none()), Code::Gone);
    fs::remove_file(bed.at("top")).unwrap();
    symlink("/etc/passwd", bed.at("top")).unwrap();
    assert_eq!(code(of("top"), LATER_MS, &InUse::none()), Code::Gone);
    // Without the check, apply still moves nothing but the planned file.
    assert_eq!(q.apply(of("top")).unwrap_err().code, Code::Gone);
    assert!(fs::symlink_metadata(bed.at("top")).unwrap().is_symlink());
}

#[test]
fn a_tree_moves_as_one_and_any_change_in_it_is_seen() {
    let bed = Bed::new();
    bed.fill();
    let path = RelPath::new("a").unwrap();
    let entry = crate::walk::stat(&bed.root, &path, &InUse::none()).unwrap();
    let survey = survey(&bed.root, &path, &InUse::none()).unwrap();
    let change = Change::QuarantineTree {
        root: bed.root.name().clone(),
        path,
        identity: entry.identity,
        survey,
    };
    let action = Action {
        id: 0,
        change,
        reason: String::new(),
    };
    let q = bed.begin();
    let before = bed.listing();
    q.check(&action, &budget(), LATER_MS, &InUse::none())
        .unwrap();
    q.apply(&action).unwrap();
    assert!(!bed.at("a").exists());
    q.undo(&action).unwrap();
    assert!(q.finish_undo().unwrap());
    let ours =
        |l: Vec<(PathBuf, u64, u32, u32, i64, i64, u64)>| l.into_iter().skip(1).collect::<Vec<_>>();
    assert_eq!(ours(bed.listing()), ours(before));
    fs::write(bed.at("a/b/two"), "more").unwrap();
    let q = bed.begin();
    assert_eq!(
        q.check(&action, &budget(), LATER_MS, &InUse::none())
            .unwrap_err()
            .code,
        Code::Gone
    );
}

#[derive(Debug)]
struct FailAt(AtomicU32);

impl Fault for FailAt {
    fn before(&self, _: &'static str) -> Result<(), Errno> {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 0 {
            Err(Errno::NOSPC)
        } else {
            Ok(())
        }
    }
}

#[test]
fn failing_at_any_operation_and_running_again_reaches_the_same_end() {
    // Two steps for each of seven moves, then the sync, then none that fails.
    for n in 0..16 {
        let bed = Bed::new();
        bed.fill();
        let before = bed.listing();
        let plan = bed.plan();
        let q = bed.begin().with_fault(Arc::new(FailAt(AtomicU32::new(n))));
        let all = |f: &dyn Fn(&Action) -> Result<(), Refusal>| plan.iter().try_for_each(f);
        let refused = plan.iter().find_map(|a| Some((a, q.apply(a).err()?)));
        if let Some((a, _)) = &refused {
            assert_eq!(q.settled(a), Settled::NotApplied, "what is refused stays");
        }
        let refused = refused.map(|(_, no)| no).or_else(|| q.sync().err());
        assert_eq!(refused.is_some(), n < 15);
        if let Some(no) = refused {
            assert!(no.hint.is_some() && no.message.contains("no space"), "{no}");
        }
        drop(q);
        let q = bed.begin();
        for a in &plan {
            assert_ne!(q.settled(a), Settled::Unknown);
        }
        all(&|a| q.apply(a)).unwrap();
        drop(q);
        let q = Quarantine::open(&bed.root, bed.run).unwrap();
        let q = q.with_fault(Arc::new(FailAt(AtomicU32::new(n))));
        let first = plan.iter().rev().try_for_each(|a| q.undo(a).map(drop));
        assert_eq!(first.is_err(), n < 7);
        for a in plan.iter().rev() {
            q.undo(a).unwrap();
        }
        assert!(q.finish_undo().unwrap());
        let bare = |l: Vec<(PathBuf, u64, u32, u32, i64, i64, u64)>| {
            l.into_iter().map(|e| (e.0, e.1, e.2)).collect::<Vec<_>>()
        };
        assert_eq!(bare(bed.listing()), bare(before));
    }
}

#[test]
fn expiry_removes_the_run_s_folder_and_nothing_else() {
    let bed = Bed::new();
    bed.fill();
    let outside = bed.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("keep"), "x").unwrap();
    symlink(&outside, bed.at("to outside")).unwrap();
    let plan = bed.plan();
    let q = bed.begin();
    for a in &plan {
        q.apply(a).unwrap();
    }
    let other = RunId::new(2_000, [8; 10]);
    let held = Quarantine::begin(&bed.root, other, &bed.dir.path().join("plan")).unwrap();
    assert_eq!(expire(&bed.root, bed.run, &|| true).unwrap(), (0, 0));
    let (entries, _) = expire(&bed.root, bed.run, &|| false).unwrap();
    assert_eq!(entries, plan.len() as u64);
    assert_eq!(expire(&bed.root, bed.run, &|| false).unwrap(), (0, 0));
    assert!(outside.join("keep").exists() && bed.at("a/b").exists());
    assert_eq!(quarantined(&bed.root).unwrap()[0].run, other);
    assert_eq!(q.undo(&plan[0]).unwrap_err().code, Code::Gone);
    drop(held);
}

#[test]
fn the_host_s_folder_made_by_others_is_refused() {
    let bed = Bed::new();
    let outside = bed.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, bed.at(".keepwell")).unwrap();
    let begin = || Quarantine::begin(&bed.root, bed.run, &bed.dir.path().join("plan"));
    assert_eq!(begin().unwrap_err().code, Code::Denied);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::remove_file(bed.at(".keepwell")).unwrap();
    fs::create_dir(bed.at(".keepwell")).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(bed.at(".keepwell"), fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(begin().unwrap_err().code, Code::Denied);
}

/// A directory turns into a link to outside and back, all the while.
#[test]
fn a_race_with_links_touches_nothing_outside() {
    let bed = Bed::new();
    let outside = bed.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir(bed.at("d")).unwrap();
    for i in 0..20_000 {
        fs::write(bed.at(&format!("d/{i}")), "").unwrap();
    }
    for i in 0..200 {
        fs::write(outside.join(format!("{}", i * 100)), "precious").unwrap();
    }
    let plan = bed.plan();
    let q = bed.begin();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fs::rename(bed.at("d"), bed.at("away")).unwrap();
                symlink(&outside, bed.at("d")).unwrap();
                fs::remove_file(bed.at("d")).unwrap();
                fs::rename(bed.at("away"), bed.at("d")).unwrap();
            }
        });
        let moved = plan.iter().filter(|a| q.apply(a).is_ok()).count();
        stop.store(true, Ordering::Relaxed);
        assert!(moved > 100, "the race must leave something to do, {moved}");
    });
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 200);
    for i in 0..200 {
        let name = outside.join(format!("{}", i * 100));
        assert_eq!(fs::read_to_string(name).unwrap(), "precious");
    }
}
