//! Verifies a tree of files named by their SHA-256 (`{h}`, `{h:2}/{h}` or `data/{h:2}/{h}`) and
//! prints the rate and the most memory the process held: `scrub_bench DIR`.

use keepwell_model::store::{CasLayout, State, StoreConfig, StoreKind};
use keepwell_model::words::Refusal;
use keepwell_node::shards::{Budget, ListSelector, Scrub, Store};
use rustix::fs::{Mode, OFlags, open};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: scrub_bench DIR");
        return ExitCode::from(2);
    };
    match run(path) {
        Ok(bad) => ExitCode::from(u8::from(bad > 0)),
        Err(refusal) => {
            eprintln!("{refusal}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: PathBuf) -> Result<u64, Refusal> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = open(&path, flags, Mode::empty())
        .map_err(|e| Refusal::gone(format!("cannot open `{}`: {e}", path.display())))?;
    let config = StoreConfig {
        kind: StoreKind::Cas,
        path,
        layout: Some(CasLayout {
            templates: ["{h}", "{h:2}/{h}", "data/{h:2}/{h}"]
                .map(str::to_owned)
                .to_vec(),
            ignore: vec![],
            temporary: vec![],
            encoding: Default::default(),
            digest: Default::default(),
            transform: Default::default(),
        }),
        list: None,
    };
    let store = Arc::new(Store::open(&config, dir)?);
    let started = Instant::now();
    let listing = store.list(&[], &ListSelector::default())?;
    let listed = started.elapsed();
    let mut scrub = Scrub::start(store, listing, &Budget::default())?;
    let mut bad = 0;
    loop {
        let verdicts = scrub.next(4_096, Duration::from_millis(500))?;
        if verdicts.is_empty() {
            break;
        }
        for verdict in verdicts.iter().filter(|v| v.state != State::Ok) {
            bad += 1;
            println!("{} {}", verdict.state, verdict.shard);
        }
    }
    let took = started.elapsed().as_secs_f64();
    let done = scrub.progress();
    println!(
        "{} shards, {} bytes in {took:.3} s (listing {:.3} s): {:.2} GB/s, {bad} not ok, peak {} KiB",
        done.shards,
        done.bytes,
        listed.as_secs_f64(),
        done.bytes as f64 / took / 1e9,
        peak_kib(),
    );
    Ok(bad)
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().split(' ').next()?.parse().ok())
        .unwrap_or(0)
}
