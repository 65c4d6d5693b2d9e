//! Measures what a node with many runs feels: lists and look-ups over a million of them, and how
//! long a start waits while 100,000 old ones are forgotten. Arguments: a folder to work in
//! (default: the system's temporary folder), how many runs there are (default: 1,000,000) and how
//! many of them are forgotten (default: 100,000).

use keepwell_journal::{Journal, NodeKey, Reader, Result, Retention, RunQuery, verify};
use keepwell_model::event::{Call, Event, Mode, Record};
use keepwell_model::id::RunId;
use keepwell_model::slot::{Slot, Via};
use keepwell_model::state::RunState;
use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const RUNS: u64 = 1_000_000;
const FORGOTTEN: u64 = 100_000;
/// Not a divisor of the hundred after which states repeat, so that every task has every state.
const TASKS: u64 = 41;
const PAGE: u64 = 50;
/// Each look-up is measured so often; the median and the longest are told.
const ROUNDS: u64 = 51;
/// Calls journaled in each run, beside its beginning and its end.
const CALLS: u64 = 3;
/// A start is tried this often while runs are forgotten.
const START_EVERY: Duration = Duration::from_millis(2);
const ORIGIN: &str = "keepwell.local/bench";
/// A minute lies between two runs.
const EVERY_MS: u64 = 60_000;
const BEGAN_MS: u64 = 1_700_000_000_000;

fn id(n: u64) -> RunId {
    let mut random = [0; 10];
    // Spread, so that short ids differ as they do when they are random.
    random[2..].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    RunId::new(BEGAN_MS + n * EVERY_MS, random)
}

fn record(n: u64, event: Event) -> Record {
    Record {
        at: BEGAN_MS + n * EVERY_MS,
        run: Some(id(n)),
        task: Some(format!("task-{:02}", n % TASKS)),
        actor: "host".into(),
        event,
    }
}

fn due(n: u64, slot: Option<Slot>) -> Record {
    let event = Event::RunDue {
        set: None,
        trigger: "schedule".into(),
        mode: Mode::Apply,
        settings: "{\"older-than\":\"24h\"}".into(),
        slot,
        asked: None,
    };
    record(n, event)
}

fn run(journal: &Journal, n: u64) -> Result<()> {
    journal.append(due(n, None))?;
    for call in 0..CALLS {
        let call = Call {
            function: "storage.walk".into(),
            subject: format!("tmp/some/folder/of-the-node/{call}"),
            result: "ok".into(),
        };
        let calls = vec![call];
        journal.append(record(n, Event::Called { calls, more: 0 }))?;
    }
    // One in a hundred fails: a filter that finds few must be as fast.
    let state = match n % 100 {
        7 => RunState::Failed,
        8 => RunState::Limited,
        9 => RunState::Warned,
        _ => RunState::Done,
    };
    let event = Event::RunEnded {
        again: false,
        fault: false,
        state,
        reason: None,
        hint: None,
        limit: None,
    };
    journal.append(record(n, event))
}

fn measured(name: &str, mut each: impl FnMut(u64) -> Result<usize>) -> Result<()> {
    let mut took = vec![];
    let mut rows = 0;
    for round in 0..ROUNDS {
        let since = Instant::now();
        rows = each(round)?;
        took.push(since.elapsed());
    }
    took.sort_unstable();
    let ms = |took: Duration| took.as_secs_f64() * 1e3;
    let (half, most) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "{name}_ms {:.2} longest {:.2} rows {rows}",
        ms(half),
        ms(most)
    );
    Ok(())
}

fn lists(reader: &Reader, runs: u64) -> Result<()> {
    let somewhere = |round: u64| id(runs / (ROUNDS + 1) * (round + 1));
    for which in 0..8 {
        let mut name = String::from("list");
        for (bit, part) in ["_task", "_state", "_before"].iter().enumerate() {
            if which >> bit & 1 == 1 {
                name.push_str(part);
            }
        }
        measured(&name, |round| {
            let query = RunQuery {
                task: (which & 1 != 0).then(|| format!("task-{:02}", round % TASKS)),
                state: (which & 2 != 0).then_some(RunState::Failed),
                before: (which & 4 != 0).then(|| somewhere(round)),
                limit: Some(PAGE),
            };
            Ok(reader.runs(&query)?.len())
        })?;
    }
    measured("find_short", |round| {
        Ok(reader.find_runs(&somewhere(round).short())?.len())
    })?;
    measured("unfinished", |_| Ok(reader.unfinished()?.len()))?;
    measured("history", |round| {
        let history = reader.history(&format!("task-{:02}", round % TASKS), 50)?;
        Ok(history.durations_ms.len())
    })?;
    measured("last_slot", |_| {
        Ok(reader
            .last_slot("task-00", Some("minutely"))?
            .iter()
            .count())
    })
}

/// Starts slots at a pace until told to stop; gives how long each waited to be durable.
fn starts(journal: &Journal, from: u64, stop: &AtomicBool) -> Result<Vec<Duration>> {
    let mut waits = vec![];
    for n in from.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let slot = Slot {
            schedule: "minutely".into(),
            due: BEGAN_MS + n * EVERY_MS,
            attempt: 1,
            via: Via::Schedule,
            reason: None,
        };
        let since = Instant::now();
        journal.commit(due(n, Some(slot)))?;
        waits.push(since.elapsed());
        std::thread::sleep(START_EVERY);
    }
    Ok(waits)
}

fn told(name: &str, waits: &mut [Duration]) {
    waits.sort_unstable();
    let at = |share: usize| {
        let wait = waits.get(waits.len() * share / 1_000);
        wait.or(waits.last())
            .map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
    };
    println!(
        "{name}_start_ms p50 {:.1} p99 {:.1} p99.9 {:.1} longest {:.1} of {}",
        at(500),
        at(990),
        at(999),
        at(1_000),
        waits.len()
    );
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let parent: PathBuf = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let mut number = |usual: u64| match arguments.next() {
        Some(text) => text.to_string_lossy().parse(),
        None => Ok(usual),
    };
    let (runs, forgotten) = (number(RUNS)?, number(FORGOTTEN)?);
    let dir = tempfile::tempdir_in(parent)?;
    let key = NodeKey::from_bytes([1; 32]);
    let journal = Journal::create(dir.path(), ORIGIN, &key)?;
    let since = Instant::now();
    for n in 0..runs {
        run(&journal, n)?;
    }
    journal.checkpoint()?;
    println!(
        "runs {runs} entries {} made in {:.0} s",
        journal.reader()?.size()?,
        since.elapsed().as_secs_f64()
    );
    let quiet = AtomicBool::new(false);
    let mut waits = std::thread::scope(|scope| {
        let starts = scope.spawn(|| starts(&journal, runs, &quiet));
        std::thread::sleep(Duration::from_secs(2));
        quiet.store(true, Ordering::Relaxed);
        starts.join().unwrap_or_else(|_| Ok(vec![]))
    })?;
    told("quiet", &mut waits);
    let next = runs + waits.len() as u64;
    lists(&journal.reader()?, runs)?;

    let retention = Retention {
        age_ms: Some((next - forgotten) * EVERY_MS),
        ..Retention::default()
    };
    let done = AtomicBool::new(false);
    let since = Instant::now();
    let (pruned, waits) = std::thread::scope(|scope| {
        let starts = scope.spawn(|| starts(&journal, next, &done));
        let pruned = journal.prune(&retention, BEGAN_MS + next * EVERY_MS);
        done.store(true, Ordering::Relaxed);
        (pruned, starts.join().unwrap_or_else(|_| Ok(vec![])))
    });
    let pruned = pruned?;
    println!(
        "pruned_runs {} entries {} bytes {} in {:.1} s",
        pruned.runs,
        pruned.entries,
        pruned.bytes,
        since.elapsed().as_secs_f64()
    );
    told("pruning", &mut waits?);
    drop(journal);
    let since = Instant::now();
    let verified = verify(dir.path(), &key.verifier(ORIGIN)?, None, &mut |_, _| {})?;
    println!(
        "verify_seconds {:.1} entries {} pruned {} checkpoints {}",
        since.elapsed().as_secs_f64(),
        verified.size,
        verified.pruned,
        verified.checkpoints
    );
    Ok(())
}
