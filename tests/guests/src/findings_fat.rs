//! Reports findings as large as they can be made, fewer than the limit's number: what the host keeps
//! of them must stay bounded all the same.

use keepwell_sdk::prelude::*;

behaviour!(
    FindingsFat,
    "findings-fat",
    "Reports few findings, each as large as can be",
    [],
    run
);

/// Not more than the default limit allows.
const FINDINGS: usize = 1_000;
const FACTS: usize = 64;

fn run() -> Result<Summary, Failure> {
    let long = "\"".repeat(4 << 10);
    for n in 0..FINDINGS {
        let mut fat = finding(Severity::Info, "fat", &format!("{n}{long}"), &long).detail(&long);
        for fact in 0..FACTS {
            fat = fat.fact(&format!("{fact}{long}"), &long);
        }
        fat.report();
    }
    Ok(Summary::done("reported"))
}
