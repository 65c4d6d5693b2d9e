//! A day in seconds: the real scheduler over the real journal, with a clock that is set by hand.
//! The runs themselves end at once, for there is no plugin: what is tried here is who is started.

use super::shared::Shared;
use crate::clock::Clock;
use crate::node::Node;
use crate::node_dir::{NodeDir, write_file};
use keepwell_journal::{Filter, Journal, NodeKey};
use keepwell_model::event::Event;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// 100 schedules with 100 slots each.
const TASKS: u64 = 100;
const EVERY_S: u64 = 864;
/// Fewer than are due at a time.
const PLACES: u64 = 64;
const DAY_MS: u64 = 86_400_000;
/// A multiple of the interval, in 2026.
const MORNING_MS: u64 = 2_050_000 * EVERY_S * 1_000;
/// Longer, and it is no simulation any more.
const MOST: Duration = Duration::from_secs(60);

fn node(dir: &NodeDir, hand: &Arc<AtomicU64>) -> Node {
    dir.create().unwrap();
    let config = format!("[node]\nname = \"simulated\"\n[daemon]\nruns = {PLACES}\n");
    write_file(&dir.config_file(), config.as_bytes(), 0o644).unwrap();
    for n in 0..TASKS {
        // Critical, so that a busy machine does not hold them up.
        let text = format!(
            "plugin = \"none\"\n[schedule]\nevery = \"{EVERY_S}s\"\ncriticality = \"critical\"\n"
        );
        let path = dir.tasks().join(format!("task-{n}.toml"));
        write_file(&path, text.as_bytes(), 0o644).unwrap();
    }
    let key = NodeKey::generate([7; 32]);
    let hex = data_encoding::HEXLOWER.encode(&key.to_bytes());
    write_file(&dir.node_key(), hex.as_bytes(), 0o600).unwrap();
    drop(Journal::create(&dir.state(), "simulated/test", &key).unwrap());
    let mut node = Node::open(dir.clone()).unwrap().acting_alone();
    node.clock = Clock::set_by(hand);
    node
}

/// Until every run that was started has ended.
fn settle(shared: &Shared) {
    while !shared.scheduler.is_idle() {
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn of_ten_thousand_slots_none_is_lost_and_none_is_doubled() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = NodeDir::new(scratch.path().join("node"));
    let hand = Arc::new(AtomicU64::new(MORNING_MS));
    let shared = Arc::new(Shared::new(node(&dir, &hand)));
    let began = Instant::now();
    let evening = MORNING_MS + DAY_MS;
    loop {
        let now = hand.load(Ordering::Relaxed);
        let mut wake = evening;
        // Who had no place yet gets one in the same moment.
        for _ in 0..TASKS.div_ceil(PLACES) {
            wake = shared.scheduler.look(&shared).unwrap();
            settle(&shared);
        }
        if now >= evening {
            break;
        }
        hand.store(wake.min(evening), Ordering::Relaxed);
    }
    let took = began.elapsed();
    let mut seen = BTreeSet::new();
    let filter = Filter {
        kinds: vec!["run-due".into()],
        ..Filter::default()
    };
    let reader = shared.node().reader().unwrap();
    reader
        .records(&filter, &mut |_, record| {
            let Event::RunDue { slot, .. } = record.event else {
                panic!("{record:?}");
            };
            let slot = slot.unwrap();
            assert!(seen.insert((slot.schedule, slot.due)), "{} twice", slot.due);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen.len() as u64, TASKS * DAY_MS / (EVERY_S * 1_000));
    assert!(took < MOST, "{took:?}");
}
