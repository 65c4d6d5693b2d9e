//! Measurements and tasks' states under faults: broken files, a killed process, a full disk.

use crate::common::run_id;
use crate::measurements::{NOW, assert_rolled_up, fresh, minutes, sample, series};
use keepwell_journal::ErrorKind;
use keepwell_journal::measurements::{Measurements, Retention, TaskStates};
use keepwell_model::measure::DAY_MS;
use keepwell_model::own_state::StateGrant;
use keepwell_model::units::Span;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Set in the processes these tests start: the folder to work in.
const CHILD_DIR: &str = "KEEPWELL_MEASUREMENTS_TEST_DIR";

#[test]
fn a_broken_file_is_set_aside_and_told() {
    let (dir, m) = fresh();
    let path = dir.path().join("measurements.db");
    m.add(&minutes(&series("a"), NOW - DAY_MS, 500), NOW)
        .unwrap();
    drop(m);
    let whole = std::fs::read(&path).unwrap();
    let mut overwritten = whole.clone();
    overwritten[..100].fill(b'x');
    let other = b"this is not a database at all".to_vec();
    for broken in [overwritten, other] {
        std::fs::write(&path, &broken).unwrap();
        let m = Measurements::open(dir.path()).unwrap();
        let told = m.take_replaced().unwrap();
        assert!(
            told.to_string().contains("measurements.db.broken"),
            "{told}"
        );
        assert_eq!(std::fs::read(&told.aside).unwrap(), broken);
        assert_eq!(m.take_replaced(), None);
        assert_eq!(
            m.add(&minutes(&series("a"), NOW - DAY_MS, 5), NOW)
                .unwrap()
                .stored,
            5
        );
        assert_eq!(m.reader().unwrap().series(None).unwrap().len(), 1);
    }
    // Tables of somebody else's are not ours to write into.
    std::fs::write(&path, &whole).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    let sql = "CREATE TRIGGER t AFTER INSERT ON points BEGIN DELETE FROM points; END";
    db.execute_batch(sql).unwrap();
    drop(db);
    let m = Measurements::open(dir.path()).unwrap();
    assert!(m.take_replaced().unwrap().why.contains("tables"));
    drop(m);
    // One that is newer than we are is left alone.
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let newer = Measurements::open(dir.path()).unwrap_err();
    assert!(newer.to_string().contains("version 99"), "{newer}");
}

#[test]
fn a_file_that_breaks_while_in_use_is_replaced() {
    let (dir, m) = fresh();
    let path = dir.path().join("measurements.db");
    m.add(&minutes(&series("a"), NOW - 40 * DAY_MS, 40_000), NOW)
        .unwrap();
    // Folds the log, so that the file alone counts.
    m.sweep(
        &Retention {
            points: Span::secs(1 << 30),
            ..Retention::default()
        },
        NOW,
        &|| false,
    )
    .unwrap();
    m.check().unwrap();
    assert_eq!(m.take_replaced(), None);
    let length = std::fs::metadata(&path).unwrap().len();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(16_384)).unwrap();
    file.write_all(&vec![0xa5; length as usize - 16_384])
        .unwrap();
    m.check().unwrap();
    let told = m.take_replaced().unwrap();
    assert!(told.aside.exists());
    let key = series("a");
    assert_eq!(m.add(&[sample(&key, NOW, 1.0)], NOW).unwrap().stored, 1);
    assert_eq!(m.reader().unwrap().last(&key).unwrap().unwrap().value, 1.0);
}

#[test]
fn no_flipped_byte_makes_opening_or_writing_panic() {
    let (dir, m) = fresh();
    let path = dir.path().join("measurements.db");
    m.add(&minutes(&series("a"), NOW - DAY_MS, 200), NOW)
        .unwrap();
    drop(m);
    let whole = std::fs::read(&path).unwrap();
    let step = whole.len() / 150;
    for at in (0..100).chain((100..whole.len()).step_by(step)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        std::fs::write(&path, &bytes).unwrap();
        // Whatever was hit: it opens (perhaps anew), or says what is wrong, and then writes.
        match Measurements::open(dir.path()) {
            Ok(m) => drop(m.add(&minutes(&series("b"), NOW - DAY_MS, 5), NOW)),
            Err(e) => assert_eq!(e.kind(), ErrorKind::Broken, "byte {at}: {e}"),
        }
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(dir.path().join(format!("measurements.db{suffix}")));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only a process of its own can be killed"
)]
fn child(test: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn child_dir() -> Option<PathBuf> {
    std::env::var_os(CHILD_DIR).map(PathBuf::from)
}

/// Points of one batch of the child; a batch is one transaction.
const BATCH: u64 = 50;

#[test]
#[ignore = "the process that is killed; started by the test below"]
fn adds_and_commits_until_killed() {
    let Some(dir) = child_dir() else { return };
    let m = Measurements::open(&dir).unwrap();
    let states = TaskStates::open(&dir).unwrap();
    let key = series("a");
    let from = m
        .reader()
        .unwrap()
        .last(&key)
        .unwrap()
        .map_or(0, |p| p.at_ms + 1);
    let mut version = states.stored("t").unwrap().version;
    println!();
    for n in 0.. {
        let batch: Vec<_> = (0..BATCH)
            .map(|i| sample(&key, from + n * BATCH + i, i as f64))
            .collect();
        m.add(&batch, NOW).unwrap();
        println!("added {}", from + (n + 1) * BATCH);
        // Three keys that always agree.
        let mut view = states.view("t", StateGrant::default()).unwrap();
        for key in ["a", "b", "c"] {
            view.set(key, (version + 1).to_string().into_bytes())
                .unwrap();
        }
        let mut random = [0; 10];
        random[..8].copy_from_slice(&version.to_le_bytes());
        let run = keepwell_model::id::RunId::new(1_000 + version, random);
        version = states.commit("t", run, &view.into_changes()).unwrap();
        println!("committed {version}");
        if n % 5 == 4 {
            let keep = Retention {
                points_max: 300,
                ..Retention::default()
            };
            m.sweep(&keep, DAY_MS, &|| false).unwrap();
        }
    }
}

#[test]
fn after_kill_all_that_was_acknowledged_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let key = series("a");
    for round in 0..8u64 {
        let mut child = child(
            "measurements_faults::adds_and_commits_until_killed",
            dir.path(),
        );
        let out = BufReader::new(child.stdout.take().unwrap());
        let (mut added, mut committed, mut seen) = (0, 0, 0);
        let mut killed = false;
        for line in out.lines().map(Result::unwrap) {
            if let Some(n) = line.strip_prefix("added ").and_then(|n| n.parse().ok()) {
                added = n;
                seen += 1;
            } else if let Some(n) = line.strip_prefix("committed ").and_then(|n| n.parse().ok()) {
                committed = n;
            }
            if !killed && seen > 3 * round {
                std::thread::sleep(std::time::Duration::from_micros(900 * round));
                child.kill().unwrap();
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(seen > 0, "the child added nothing");
        let m = Measurements::open(dir.path()).unwrap();
        assert_eq!(m.take_replaced(), None);
        m.check().unwrap();
        assert_eq!(m.take_replaced(), None);
        let reader = m.reader().unwrap();
        let last = reader.last(&key).unwrap().unwrap().at_ms + 1;
        assert!(
            last >= added && last.is_multiple_of(BATCH),
            "{last} {added}"
        );
        // Points without gaps up to the last, and rollups of all that ever were.
        let there = reader.points(&key, 0, u64::MAX, u64::MAX).unwrap();
        assert!(there.windows(2).all(|w| w[1].at_ms == w[0].at_ms + 1));
        let value = |at_ms: u64| (at_ms % BATCH) as f64;
        let ever: Vec<_> = (0..last)
            .map(|at| sample(&key, at, value(at)).point)
            .collect();
        assert_rolled_up(&reader, &key, &ever);
        let states = TaskStates::open(dir.path()).unwrap();
        let stored = states.stored("t").unwrap();
        assert!(stored.version >= committed);
        if stored.version > 0 {
            let text = stored.version.to_string().into_bytes();
            assert!(
                stored.keys.values().all(|value| *value == text),
                "{stored:?}"
            );
            assert_eq!(stored.keys.len(), 3);
        }
    }
}

/// A small file system of its own; gone when dropped.
struct Small(PathBuf);

impl Small {
    /// `None` where this process may not mount.
    #[expect(
        clippy::disallowed_methods,
        reason = "only a file system of its own is full when it shall be"
    )]
    fn mount(at: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
            .arg(at);
        let out = mount.output().unwrap();
        if out.status.success() {
            return Some(Self(at.to_owned()));
        }
        let why = String::from_utf8_lossy(&out.stderr).trim().to_owned();
        eprintln!("SKIPPED: no small file system to fill: {why}");
        None
    }

    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        while file.write_all(&[1; 4_096]).is_ok() {}
        path
    }
}

impl Drop for Small {
    #[expect(clippy::disallowed_methods, reason = "what was mounted is unmounted")]
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_is_told_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(dir.path()) else {
        return;
    };
    let key = series("a");
    let m = Measurements::open(dir.path()).unwrap();
    let states = TaskStates::open(dir.path()).unwrap();
    let set = |run, value: &[u8]| {
        let mut view = states.view("t", StateGrant::default()).unwrap();
        view.set("k", value.to_vec()).unwrap();
        states.commit("t", run_id(run), &view.into_changes())
    };
    m.add(&minutes(&key, NOW - 2 * DAY_MS, 100), NOW).unwrap();
    set(1, b"before").unwrap();
    let filler = small.fill();
    // A little may still fit into pages that are there; not this much.
    let full = m.add(&minutes(&key, NOW - DAY_MS, 1_440), NOW).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Unavailable, "{full}");
    assert!(full.hint().unwrap().contains("free space"));
    let full = set(2, &[7; 60_000]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Unavailable, "{full}");
    // What was there is there, and can be read while the disk is full.
    assert_eq!(
        m.reader()
            .unwrap()
            .points(&key, 0, u64::MAX, u64::MAX)
            .unwrap()
            .len(),
        100
    );
    assert_eq!(states.stored("t").unwrap().keys["k"], b"before");
    std::fs::remove_file(filler).unwrap();
    assert_eq!(
        m.add(&minutes(&key, NOW - DAY_MS, 1_440), NOW)
            .unwrap()
            .stored,
        1_440
    );
    set(2, &[7; 60_000]).unwrap();
    assert_eq!(m.take_replaced(), None);
    m.check().unwrap();
    assert_eq!(m.take_replaced(), None);
    let reader = m.reader().unwrap();
    let all = reader.points(&key, 0, u64::MAX, u64::MAX).unwrap();
    assert_eq!(all.len(), 1_540);
    assert_rolled_up(&reader, &key, &all);
    drop((reader, m, states));
}

#[test]
fn what_cannot_be_made_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let none = Measurements::open(&file).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Unavailable, "{none}");
    let none = TaskStates::open(&dir.path().join("missing")).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Unavailable, "{none}");
}
