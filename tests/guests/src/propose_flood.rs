//! Proposes the same entries again and again, past every budget.

use keepwell_sdk::clean::{BATCH, Proposal};
use keepwell_sdk::prelude::*;

behaviour!(
    ProposeFlood,
    "propose-flood",
    "Proposes more than any budget",
    [STORAGE, CLEAN],
    run
);

const ROUNDS: usize = 1_000;

fn run() -> Result<Summary, Failure> {
    let (mut taken, mut codes) = (0u64, std::collections::BTreeMap::<String, u64>::new());
    for root in storage::roots()? {
        let mut all = Vec::new();
        for entry in storage::walk(&root.name, &storage::everything())? {
            all.push(Proposal::new(entry?, "flood"));
        }
        let batch: Vec<Proposal> = all.iter().cycle().take(BATCH).cloned().collect();
        for _ in 0..ROUNDS {
            for answer in clean::quarantine(&root.name, &batch)? {
                match answer {
                    Ok(_) => taken += 1,
                    Err(refusal) => *codes.entry(refusal.code).or_insert(0) += 1,
                }
            }
        }
    }
    Ok(Summary::done("flooded").with(&json!({ "taken": taken, "codes": codes })))
}
