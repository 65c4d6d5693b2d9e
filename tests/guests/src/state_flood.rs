//! Keeps as much as it can: absurd keys and values, more bytes and more keys than its quota, and
//! keys that it deletes again, without end.

use keepwell_sdk::prelude::*;

behaviour!(
    StateFlood,
    "state-flood",
    "Keeps more than it may",
    [STATE],
    run
);

fn run() -> Result<Summary, Failure> {
    for key in state::keys("")? {
        state::delete(&key)?;
    }
    let mebibyte = "k".repeat(1 << 20);
    let shapes = [
        "",
        " ",
        "a b",
        "a\n",
        "\u{202e}",
        "a\0",
        "é",
        mebibyte.as_str(),
    ];
    let shapes = shapes.map(|key| {
        let read = said(state::get(key).map(drop));
        let listed = said(state::set(key, b"v"));
        let deleted = said(state::delete(key).map(drop));
        [read, listed, deleted].concat()
    });
    let value = vec![7; state::VALUE_MAX_BYTES + 1];
    let large = said(state::set("large", &value));
    let (mut bytes, mut keys) = (0, 0);
    // Bytes first: few keys with the largest values.
    while state::set(&format!("b{bytes}"), &value[1..]).is_ok() {
        bytes += 1;
    }
    for n in 0..bytes {
        state::delete(&format!("b{n}"))?;
    }
    while state::set(&format!("k{keys}"), b"").is_ok() {
        keys += 1;
    }
    let full = said(state::set("one-more", b""));
    // The quota is full; one key comes and goes under ever new names.
    state::delete("k0")?;
    for n in 0..500 {
        let key = format!("{n:0>120}");
        state::set(&key, b"")?;
        state::delete(&key)?;
    }
    let usage = state::usage()?;
    Ok(Summary::done("kept").with(&json!({
        "shapes": shapes, "large": large, "bytes": bytes, "keys": keys, "full": full,
        "used": usage.keys,
    })))
}

fn said(answer: Result<(), Refusal>) -> String {
    answer.map_or_else(|no| no.code, |()| "taken".into())
}
