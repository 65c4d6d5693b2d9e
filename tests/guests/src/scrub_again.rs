//! Opens one scrub after the other, to read more than one run was granted.

use keepwell_sdk::prelude::*;

behaviour!(
    ScrubAgain,
    "scrub-again",
    "Scrubs again and again",
    [SHARDS],
    run
);

/// Far more than the grant of its test.
const TIMES: u32 = 200;

const ALL: shards::Budget = shards::Budget {
    max_bytes: 0,
    max_shards: 0,
    max_seconds: 0,
};

fn run() -> Result<Summary, Failure> {
    let (mut read, mut refused) = (0, 0);
    for _ in 0..TIMES {
        let Ok(mut scrub) = shards::verify("store", &shards::everything(), ALL) else {
            refused += 1;
            continue;
        };
        while let Some(Ok(_)) = scrub.next() {}
        read += scrub.progress().shards;
    }
    Ok(Summary::done("scrubbed").with(&json!({ "read": read, "refused": refused })))
}
