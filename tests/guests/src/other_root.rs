//! Asks for roots and stores it was not granted.

use keepwell_sdk::prelude::*;

behaviour!(
    OtherRoot,
    "other-root",
    "Asks for roots and stores not granted",
    [STORAGE, SHARDS],
    run
);

const NAMES: [&str; 9] = [
    "",
    "/",
    ".",
    "..",
    "etc",
    "TMP",
    "tmp/",
    "tmp\0",
    "not-granted",
];

fn run() -> Result<Summary, Failure> {
    let everything = storage::everything();
    let mut answers = Vec::new();
    for name in NAMES {
        let said = |code: Result<(), Refusal>| code.map_or_else(|no| no.code, |()| "gave".into());
        answers.push(json!({
            "name": name,
            "walk": said(storage::walk(name, &everything).map(drop)),
            "stat": said(storage::stat(name, b"x").map(drop)),
            "usage": said(storage::usage(name, b"").map(drop)),
            "list": said(shards::list(name, &shards::everything()).map(drop)),
            "verify": said(shards::verify(name, &shards::everything(), ONE).map(drop)),
        }));
    }
    Ok(Summary::done("asked").with(&json!({ "answers": answers })))
}

const ONE: shards::Budget = shards::Budget {
    max_bytes: 1,
    max_shards: 1,
    max_seconds: 1,
};
