//! Asks for four billion of everything, and hands in absurd globs.

use keepwell_sdk::metrics::Order;
use keepwell_sdk::prelude::*;
use keepwell_sdk::storage::Selector;

behaviour!(
    AbsurdLengths,
    "absurd-lengths",
    "Asks for four billion of everything",
    [METRICS, STORAGE],
    run
);

fn run() -> Result<Summary, Failure> {
    let processes = metrics::processes(Order::ByCpu, u32::MAX)?.len();
    let (mut largest, mut globs) = (0, String::new());
    for root in storage::roots()? {
        let mut walk = storage::walk(&root.name, &storage::everything())?;
        while let Some(entries) = walk.next_at_most(u32::MAX).transpose()? {
            largest = largest.max(entries.len());
        }
        let selector = Selector {
            globs: vec!["{a,b}".repeat(10_000); 100],
            ..storage::everything()
        };
        globs = match storage::walk(&root.name, &selector) {
            Ok(_) => "gave".into(),
            Err(refusal) => refusal.code,
        };
    }
    let data = json!({ "processes": processes, "largest-batch": largest, "globs": globs });
    Ok(Summary::done("asked").with(&data))
}
