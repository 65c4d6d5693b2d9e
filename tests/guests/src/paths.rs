//! Asks for paths that would leave the root, and says what each answered.

use keepwell_sdk::prelude::*;

behaviour!(
    Paths,
    "paths",
    "Asks for paths outside of every root",
    [STORAGE],
    run
);

/// What to ask, and how to name it in the answer. `outside`, `loop` and `host` are links, and
/// `fifo` is a FIFO, that the test puts into the root.
fn asked() -> Vec<(&'static str, Vec<u8>)> {
    let text = |s: &str| s.as_bytes().to_vec();
    vec![
        ("parent", text("..")),
        ("parent-file", text("../secret")),
        ("parent-inside", text("a/../../secret")),
        ("dot", text(".")),
        ("dot-inside", text("a/./b")),
        ("absolute", text("/etc/passwd")),
        ("absolute-twice", text("//etc/passwd")),
        ("trailing-slash", text("a/")),
        ("double-slash", text("a//b")),
        ("empty", Vec::new()),
        ("nul", b"a\0b".to_vec()),
        ("not-text", b"a\xff\xfe".to_vec()),
        ("proc", text("/proc/self/environ")),
        ("proc-relative", text("../../../../../../proc/self/environ")),
        ("through-link", text("outside/passwd")),
        ("through-loop", text("loop/loop/loop/x")),
        ("hosts-own", text("host/keepwell.toml")),
        ("quarantine", text(".keepwell-quarantine")),
        ("long", vec![b'x'; 5_000]),
        ("deep", b"a/".repeat(2_500)),
        ("backslash", text("..\\..\\secret")),
        ("fifo", text("fifo")),
        ("through-fifo", text("fifo/x")),
    ]
}

fn run() -> Result<Summary, Failure> {
    let mut answers = serde_json::Map::new();
    for root in storage::roots()? {
        for (name, path) in asked() {
            let stat = match storage::stat(&root.name, &path) {
                Ok(entry) => format!("gave {:?} of {} bytes", entry.kind, entry.size),
                Err(refusal) => refusal.code,
            };
            let usage = match storage::usage(&root.name, &path) {
                Ok(usage) => format!("gave {} files", usage.files),
                Err(refusal) => refusal.code,
            };
            answers.insert(name.into(), json!({ "stat": stat, "usage": usage }));
        }
    }
    Ok(Summary::done("asked").with(&answers))
}
