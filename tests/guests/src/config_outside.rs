//! Proposes parameters that were not granted, values out of range, absurd lengths, and a flood.

use keepwell_sdk::prelude::*;

behaviour!(
    ConfigOutside,
    "config-outside",
    "Proposes changes of parameters that it may not make",
    [CONFIG_READ, CONFIG_WRITE],
    run
);

fn run() -> Result<Summary, Failure> {
    let mebibyte = "9".repeat(1 << 20);
    let cases: [(&str, &str, &str); 12] = [
        ("secret", "20", "not granted"),
        ("", "20", "no name"),
        ("pool\0", "20", "a name with a NUL"),
        (&mebibyte, "20", "a name of a mebibyte"),
        ("pool", "1000", "above the most"),
        ("pool", "-1", "below the least"),
        ("pool", "15", "off the step"),
        ("pool", "99999999999999999999", "too large for a number"),
        ("pool", "20\n[other]\nx = 1", "more than a value"),
        ("pool", &mebibyte, "a value of a mebibyte"),
        ("pool", "20", &mebibyte),
        ("pool", "10", "what it is already"),
    ];
    let mut codes = vec![];
    for (name, value, reason) in cases {
        codes.push(said(config::propose(name, value, reason)));
    }
    let read = config::get("secret").map_or_else(|no| no.code, |_| "gave".into());
    // One is within the grant; the rest of the flood is not.
    let flood: Vec<String> = (0..500)
        .map(|n| {
            said(config::propose(
                "pool",
                if n % 2 == 0 { "20" } else { "30" },
                "flood",
            ))
        })
        .collect();
    let taken = flood.iter().filter(|code| *code == "taken").count();
    Ok(Summary::done("asked").with(&json!({ "codes": codes, "read": read, "taken": taken })))
}

fn said(answer: Result<u64, Refusal>) -> String {
    answer.map_or_else(|no| no.code, |_| "taken".into())
}
