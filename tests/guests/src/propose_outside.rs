//! Forges proposals: another file's identity, paths outside, other roots, absurd reasons.

use keepwell_sdk::clean::Proposal;
use keepwell_sdk::prelude::*;
use keepwell_sdk::storage::{Entry, Identity, Kind};

behaviour!(
    ProposeOutside,
    "propose-outside",
    "Proposes what it may not",
    [STORAGE, CLEAN],
    run
);

fn forged(path: &[u8]) -> Entry {
    Entry {
        path: path.into(),
        kind: Kind::File,
        size: u64::MAX,
        touched: 0,
        links: 1,
        owner: 0,
        in_use: false,
        identity: Identity {
            device: 1,
            inode: 2,
            mtime_ns: 0,
            ctime_ns: i64::MIN,
        },
    }
}

fn run() -> Result<Summary, Failure> {
    let mut answers = serde_json::Map::new();
    for root in storage::roots()? {
        let mut all = vec![
            ("parent", forged(b"../secret")),
            ("absolute", forged(b"/etc/passwd")),
            ("empty", forged(b"")),
            ("nul", forged(b"a\0b")),
            ("not-there", forged(b"never-was")),
        ];
        // A real entry, made to look old, or with another's identity, or of another kind.
        if let Some(real) = storage::walk(&root.name, &storage::everything())?.next() {
            let real = real?;
            all.push((
                "aged",
                Entry {
                    touched: 0,
                    ..real.clone()
                },
            ));
            let identity = Identity {
                inode: real.identity.inode ^ 1,
                ..real.identity
            };
            all.push((
                "other-identity",
                Entry {
                    identity,
                    ..real.clone()
                },
            ));
            all.push((
                "other-kind",
                Entry {
                    kind: Kind::Symlink,
                    ..real.clone()
                },
            ));
            all.push(("smaller", Entry { size: 0, ..real }));
        }
        for (name, entry) in all {
            let tree = answer(clean::quarantine_tree(&root.name, &entry, "forged"));
            let one = one(&root.name, Proposal::new(entry, "forged"));
            answers.insert(name.into(), json!({ "one": one, "tree": tree }));
        }
        let long = Proposal::new(forged(b"x"), "r".repeat(1 << 20));
        answers.insert(
            "long-reason".into(),
            json!({ "one": one(&root.name, long) }),
        );
        let many = vec![Proposal::new(forged(b"x"), ""); 100_000];
        let many = answer(clean::quarantine(&root.name, &many).map(|_| 0));
        answers.insert("many".into(), json!({ "call": many }));
    }
    let elsewhere = one("not-granted", Proposal::new(forged(b"x"), "forged"));
    answers.insert("other-root".into(), json!({ "one": elsewhere }));
    Ok(Summary::done("proposed").with(&answers))
}

fn one(root: &str, proposal: Proposal) -> String {
    match clean::quarantine(root, &[proposal]) {
        Ok(mut answers) => answers.pop().map_or("no answer".into(), answer),
        Err(refusal) => refusal.code,
    }
}

fn answer(answer: Result<u64, Refusal>) -> String {
    answer.map_or_else(|no| no.code, |_| "gave".into())
}
