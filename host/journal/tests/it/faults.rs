//! Many callers, a full disk, a killed process: what was acknowledged is there.

use crate::common::{ORIGIN, fresh, key, line, record, verifier};
use keepwell_journal::{ErrorKind, Filter, Journal, Reader, verify};
use keepwell_model::event::Event;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Set in the processes these tests start: the journal's folder.
const CHILD_DIR: &str = "KEEPWELL_JOURNAL_TEST_DIR";

#[test]
fn sixty_four_callers_and_everything_is_there_in_order() {
    const CALLERS: u64 = 64;
    const EACH: u64 = 40;
    let (dir, journal) = fresh();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let journal = journal.clone();
            scope.spawn(move || {
                let mut last = None;
                for n in 0..EACH {
                    // Between commits something is appended, which must not overtake.
                    journal.append(line(caller * 1_000 + 2 * n)).unwrap();
                    let index = journal.commit(line(caller * 1_000 + 2 * n + 1)).unwrap();
                    assert!(last < Some(index));
                    last = Some(index);
                }
            });
        }
    });
    let mut next: HashMap<u64, u64> = HashMap::new();
    let reader = journal.reader().unwrap();
    let check = &mut |_, record: keepwell_model::event::Record| {
        let next = next.entry(record.at / 1_000).or_default();
        assert_eq!(record.at % 1_000, *next);
        *next += 1;
        ControlFlow::Continue(())
    };
    reader.records(&Filter::default(), check).unwrap();
    assert_eq!(next.len() as u64, CALLERS);
    assert!(next.values().all(|n| *n == 2 * EACH));
    drop(journal);
    let verified = verify(dir.path(), &verifier(), None, &mut |_, _| {}).unwrap();
    assert_eq!(verified.size, CALLERS * EACH * 2);
}

/// Starts one of the tests below as a process of its own. `sh` ignores the signal for files that
/// are too large, so that writing them fails as on a full disk.
#[expect(
    clippy::disallowed_methods,
    reason = "only a process of its own can be killed or starved"
)]
pub(crate) fn child(test: &str, dir: &Path) -> Child {
    Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$@""#, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn child_dir() -> Option<PathBuf> {
    std::env::var_os(CHILD_DIR).map(PathBuf::from)
}

#[test]
#[ignore = "the process that is killed; started by the test below"]
fn commits_until_killed() {
    let Some(dir) = child_dir() else { return };
    let journal = Journal::open(&dir, &key()).unwrap();
    let from = journal.reader().unwrap().size().unwrap();
    println!();
    for n in from.. {
        journal.append(line(2 * n)).unwrap();
        let index = journal.commit(line(n)).unwrap();
        println!("acknowledged {index} {n}");
        if n % 7 == 0 {
            journal.checkpoint().unwrap();
        }
    }
}

#[test]
fn after_kill_every_acknowledged_entry_is_there() {
    let (dir, journal) = fresh();
    drop(journal);
    let mut acknowledged: HashMap<u64, u64> = HashMap::new();
    for round in 0..8 {
        let mut child = child("faults::commits_until_killed", dir.path());
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut lines = out.lines().map(Result::unwrap);
        let mut seen = 0;
        // Killed after ever more commits, and at ever other moments of the one under way.
        for line in lines.by_ref() {
            if let Some(rest) = line.strip_prefix("acknowledged ") {
                let (index, n) = rest.split_once(' ').unwrap();
                acknowledged.insert(index.parse().unwrap(), n.parse().unwrap());
                seen += 1;
            }
            if seen == 1 + 5 * round {
                std::thread::sleep(std::time::Duration::from_micros(700 * round));
                child.kill().unwrap();
                break;
            }
        }
        // What was printed before the end counts, too.
        for line in lines {
            if let Some((index, n)) = line
                .strip_prefix("acknowledged ")
                .and_then(|rest| rest.split_once(' '))
                .and_then(|(index, n)| Some((index.parse().ok()?, n.parse().ok()?)))
            {
                acknowledged.insert(index, n);
            }
        }
        child.wait().unwrap();
        assert!(seen > 0, "the child committed nothing");
        verify(dir.path(), &verifier(), None, &mut |_, _| {}).unwrap();
        drop(Journal::open(dir.path(), &key()).unwrap());
    }
    let mut found: HashMap<u64, u64> = HashMap::new();
    let reader = Reader::open(dir.path()).unwrap();
    let collect = &mut |index, record: keepwell_model::event::Record| {
        found.insert(index, record.at);
        ControlFlow::Continue(())
    };
    reader.records(&Filter::default(), collect).unwrap();
    for (index, n) in &acknowledged {
        assert_eq!(found.get(index), Some(n), "entry {index}");
    }
}

fn large(at: u64) -> keepwell_model::event::Record {
    let reason = "x".repeat(20_000);
    record(at, None, Event::TaskPaused { reason })
}

fn limit_files(current: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

#[test]
#[ignore = "the process whose files cannot grow; started by the test below"]
fn writes_until_the_disk_is_full() {
    let Some(dir) = child_dir() else { return };
    let journal = Journal::create(&dir, ORIGIN, &key()).unwrap();
    limit_files(Some(1 << 20));
    let mut acknowledged = 0;
    let full = loop {
        match journal.commit(large(acknowledged)) {
            Ok(index) => assert_eq!(index, acknowledged),
            Err(e) => break e,
        }
        acknowledged += 1;
        assert!(acknowledged < 1_000, "the limit does nothing");
    };
    assert_eq!(full.kind(), ErrorKind::Unavailable, "{full}");
    // From now on nothing is accepted, however small, until a write succeeds.
    for _ in 0..3 {
        assert_eq!(
            journal.append(large(0)).unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        assert_eq!(
            journal.commit(large(0)).unwrap_err().kind(),
            ErrorKind::Unavailable
        );
    }
    limit_files(None);
    journal.probe().unwrap();
    assert_eq!(journal.commit(line(acknowledged)).unwrap(), acknowledged);
    drop(journal);
    let verified = verify(&dir, &verifier(), None, &mut |_, _| {}).unwrap();
    assert_eq!(verified.size, acknowledged + 1);
    print!("\nsurvived {acknowledged}\n");
    std::io::stdout().flush().unwrap();
}

#[test]
fn a_full_disk_is_told_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let child = child("faults::writes_until_the_disk_is_full", dir.path());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("survived "), "{text}");
}
