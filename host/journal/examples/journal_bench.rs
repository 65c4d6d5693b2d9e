//! Measures the journal: durable commits a second from 64 callers, what a short run pays for
//! opening, ending and closing it, and how long a million entries take to verify. Arguments: a folder to work in (default: the system's temporary folder) and
//! the number of entries (default: 1,000,000).

use keepwell_journal::{Journal, NodeKey, verify};
use keepwell_model::event::{Event, Record};
use keepwell_model::id::RunId;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CALLERS: u64 = 64;
const MEASURED: Duration = Duration::from_secs(5);
const ENTRIES: u64 = 1_000_000;
const SHORT_RUNS: u64 = 101;
const ORIGIN: &str = "keepwell.local/bench";

fn intent(n: u64) -> Record {
    Record {
        at: 1_700_000_000_000 + n,
        run: Some(RunId::new(n / 100, [7; 10])),
        task: Some("temp-clean".into()),
        actor: "host".into(),
        event: Event::Intended { first: n, last: n },
    }
}

fn commits(journal: &Journal) -> Result<(), Box<dyn Error>> {
    let since = Instant::now();
    let mut waits: Vec<Duration> = vec![];
    std::thread::scope(|scope| {
        let callers = (0..CALLERS).map(|caller| {
            scope.spawn(move || {
                let mut waits = vec![];
                while since.elapsed() < MEASURED {
                    let begun = Instant::now();
                    if let Err(e) = journal.commit(intent(caller)) {
                        eprintln!("{e}");
                        break;
                    }
                    waits.push(begun.elapsed());
                }
                waits
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            waits.extend(caller.join().unwrap_or_default());
        }
    });
    let seconds = since.elapsed().as_secs_f64();
    waits.sort_unstable();
    let p99 = waits
        .get(waits.len() * 99 / 100)
        .ok_or("nothing was committed")?;
    let a_second = waits.len() as f64 / seconds;
    println!("durable_commits_per_second {a_second:.0}");
    println!("commit_p99_ms {:.1}", p99.as_secs_f64() * 1e3);
    Ok(())
}

/// What a verb pays that opens the journal, journals a run of two records and ends; the median of
/// some, in milliseconds.
fn short_runs(dir: &Path, key: &NodeKey, which: &str) -> Result<(), Box<dyn Error>> {
    let mut took: [Vec<f64>; 4] = Default::default();
    for n in 0..SHORT_RUNS {
        let mut step = Instant::now();
        let mut lap = || {
            let ms = step.elapsed().as_secs_f64() * 1e3;
            step = Instant::now();
            ms
        };
        let journal = Journal::open(dir, key)?;
        took[0].push(lap());
        let reader = journal.reader()?;
        took[1].push(lap());
        drop(reader);
        journal.append(intent(n))?;
        lap();
        journal.commit_with_checkpoint(intent(n))?;
        took[2].push(lap());
        drop(journal);
        took[3].push(lap());
    }
    for (name, took) in ["open", "reader", "end", "close"].iter().zip(&mut took) {
        took.sort_unstable_by(f64::total_cmp);
        println!("{which}_{name}_ms {:.2}", took[took.len() / 2]);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let parent: PathBuf = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let entries = match arguments.next() {
        Some(text) => text.to_string_lossy().parse()?,
        None => ENTRIES,
    };
    let key = NodeKey::from_bytes([1; 32]);
    let small = tempfile::tempdir_in(&parent)?;
    drop(Journal::create(small.path(), ORIGIN, &key)?);
    short_runs(small.path(), &key, "small")?;

    let dir = tempfile::tempdir_in(&parent)?;
    let journal = Journal::create(dir.path(), ORIGIN, &key)?;
    commits(&journal)?;

    let since = Instant::now();
    let stored = journal.reader()?.size()?;
    for n in stored..entries {
        journal.append(intent(n))?;
        if n % 1_000 == 999 {
            journal.checkpoint()?;
        }
    }
    journal.checkpoint()?;
    drop(journal);
    println!("append_seconds {:.1}", since.elapsed().as_secs_f64());

    short_runs(dir.path(), &key, "large")?;

    let since = Instant::now();
    let verified = verify(dir.path(), &key.verifier(ORIGIN)?, None, &mut |_, _| {})?;
    let seconds = since.elapsed().as_secs_f64();
    println!("verified_entries {}", verified.size);
    println!("verified_checkpoints {}", verified.checkpoints);
    println!("verify_seconds {seconds:.1}");
    Ok(())
}
