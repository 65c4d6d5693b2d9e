//! What another version of a plugin asks for beyond the one that is used, and whether it is older.
//! Where a capability applies (roots, stores, parameters) is the task file's to say and in no bundle,
//! so no upgrade can change it.

use crate::grant::{Signer, Tier};
use crate::manifest::{Manifest, Request, TaskInfo, parse_version};
use crate::words::printable;
use std::fmt::Display;

/// Most lines of a difference: a person must be able to read them.
pub const WIDER_MAX: usize = 200;
/// Longest line of one; names and reasons are a publisher's words.
const LINE_MAX_BYTES: usize = 300;

/// A version of a plugin, as far as it asks for anything.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    pub manifest: &'a Manifest,
    pub release: u64,
    /// Each imported function.
    pub imports: &'a [String],
    pub signer: &'a Signer,
}

/// What `new` asks for that `old` does not, a line each; nothing when it can replace it unasked.
pub fn wider(old: Version<'_>, new: Version<'_>) -> Vec<String> {
    let mut lines = vec![];
    signer(old.signer, new.signer, &mut lines);
    for task in &new.manifest.tasks {
        match old.manifest.task(&task.name) {
            Some(known) => needs(known, task, &mut lines),
            None => {
                let needs = task.needs.iter().map(|n| n.capability.name());
                let needs = needs.collect::<Vec<_>>().join(", ");
                lines.push(format!("task `{}` is new and asks for: {needs}", task.name));
            }
        }
    }
    if new.manifest.wasi && !old.manifest.wasi {
        lines.push(
            "it is built for WASI, of which it gets clock, randomness and the log".to_owned(),
        );
    }
    for import in new.imports.iter().filter(|i| !old.imports.contains(i)) {
        lines.push(format!("it imports {import}"));
    }
    let more = lines.len().saturating_sub(WIDER_MAX);
    lines.truncate(WIDER_MAX);
    if more > 0 {
        lines.push(format!(
            "and {more} more; `keepwell plugin inspect` shows all"
        ));
    }
    lines.iter().map(|l| printable(l, LINE_MAX_BYTES)).collect()
}

fn signer(old: &Signer, new: &Signer, lines: &mut Vec<String>) {
    if new.tier > old.tier {
        let (old, new) = (tier_word(old.tier), tier_word(new.tier));
        lines.push(format!("its signer has tier {new}, before {old}"));
    }
    // By name: which keys stand behind one is the trust file's to say.
    if new.name != old.name {
        lines.push(format!(
            "it is signed by `{}` (key {}), before by `{}` (key {})",
            new.name,
            short(&new.key_id),
            old.name,
            short(&old.key_id)
        ));
    }
}

fn short(key_id: &str) -> &str {
    key_id.get(..16).unwrap_or(key_id)
}

/// As the trust file spells it.
pub const fn tier_word(tier: Tier) -> &'static str {
    match tier {
        Tier::Own => "own",
        Tier::Partner => "partner",
        Tier::ThirdParty => "third-party",
    }
}

fn needs(old: &TaskInfo, new: &TaskInfo, lines: &mut Vec<String>) {
    for need in &new.needs {
        let (task, capability) = (&new.name, need.capability);
        let Some(known) = old.asks(capability) else {
            let reason = printable(&need.reason, 120);
            lines.push(format!("task `{task}` asks for {capability}: {reason}"));
            continue;
        };
        if known.optional && !need.optional {
            lines.push(format!(
                "task `{task}` does not do without {capability} any more"
            ));
        }
        for (key, was, is) in budgets(known, need) {
            lines.push(format!(
                "task `{task}`, {capability}: {key} {is}, before {was}"
            ));
        }
    }
}

/// Budgets that grew: name, before, now.
fn budgets(old: &Request, new: &Request) -> Vec<(&'static str, String, String)> {
    fn grown<T: PartialOrd + Display>(
        key: &'static str,
        old: Option<T>,
        new: Option<T>,
    ) -> Option<(&'static str, String, String)> {
        // Without a number of its own it may be granted any.
        let old = old?;
        match new {
            Some(new) if new <= old => None,
            Some(new) => Some((key, old.to_string(), new.to_string())),
            None => Some((key, old.to_string(), "without a bound".to_owned())),
        }
    }
    [
        grown("max-files", old.max_files, new.max_files),
        grown("max-bytes", old.max_bytes, new.max_bytes),
        grown("max-keys", old.max_keys, new.max_keys),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Why `new` would be a step back from `old`, each given by version and release.
pub fn older(old: (&str, u64), new: (&str, u64)) -> Option<String> {
    let back = new.1 < old.1 || parse_version(new.0) < parse_version(old.0);
    back.then(|| {
        format!(
            "it is older: {} (release {}), before {} (release {})",
            new.0, new.1, old.0, old.1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Capability;
    use crate::units::Bytes;

    fn request(capability: Capability) -> Request {
        Request {
            capability,
            reason: "because".into(),
            max_files: None,
            max_bytes: None,
            max_keys: None,
            optional: false,
        }
    }

    fn manifest(needs: Vec<Request>) -> Manifest {
        let json = serde_json::json!({
            "schema": 1, "name": "clean", "version": "0.1.0", "description": "d", "contract": "0.1.0",
            "tasks": [{ "name": "temp-clean", "description": "d", "settings": [], "needs": [] }]
        });
        let mut manifest = Manifest::parse(&json.to_string()).unwrap();
        manifest.tasks[0].needs = needs;
        manifest
    }

    fn own() -> Signer {
        Signer {
            key_id: "0".repeat(64),
            name: "own".into(),
            tier: Tier::Own,
            capabilities: vec![],
            also: vec![],
            max: std::collections::BTreeMap::new(),
        }
    }

    fn difference(old: &Manifest, new: &Manifest) -> Vec<String> {
        let signer = own();
        let version = |manifest| Version {
            manifest,
            release: 1,
            imports: &[],
            signer: &signer,
        };
        wider(version(old), version(new))
    }

    #[test]
    fn less_or_the_same_is_no_difference() {
        let mut all = request(Capability::StorageClean);
        all.max_files = Some(10);
        let mut fewer = all.clone();
        fewer.max_files = Some(9);
        fewer.max_bytes = Some(Bytes(5));
        fewer.optional = true;
        let old = manifest(vec![all, request(Capability::Storage)]);
        assert_eq!(difference(&old, &old), [""; 0]);
        assert_eq!(difference(&old, &manifest(vec![fewer])), [""; 0]);
    }

    #[test]
    fn each_thing_more_is_a_line() {
        let mut old_clean = request(Capability::StorageClean);
        old_clean.max_files = Some(10);
        old_clean.max_bytes = Some(Bytes(5));
        old_clean.optional = true;
        let mut new_clean = request(Capability::StorageClean);
        new_clean.max_files = Some(11);
        let old = manifest(vec![old_clean]);
        let mut new = manifest(vec![new_clean, request(Capability::Metrics)]);
        let mut other = new.tasks[0].clone();
        other.name = "other".into();
        new.tasks.push(other);
        let lines = difference(&old, &new);
        let said = |words: &str| lines.iter().any(|l| l.contains(words));
        for words in [
            "max-files 11, before 10",
            "max-bytes without a bound, before",
            "does not do without storage-clean",
            "asks for metrics: because",
            "task `other` is new and asks for: storage-clean, metrics",
        ] {
            assert!(said(words), "{words}: {lines:#?}");
        }
        assert_eq!(lines.len(), 5, "{lines:#?}");
    }

    #[test]
    fn a_stranger_and_more_imports_are_told() {
        let manifest = manifest(vec![]);
        let stranger = Signer {
            key_id: "1".repeat(64),
            name: "stranger".into(),
            tier: Tier::ThirdParty,
            ..own()
        };
        let import = ["keepwell:task/storage@0.1.0#walk".to_owned()];
        let old = Version {
            manifest: &manifest,
            release: 1,
            imports: &[],
            signer: &own(),
        };
        let new = Version {
            imports: &import,
            signer: &stranger,
            ..old
        };
        let lines = wider(old, new);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[0].contains("third-party, before own"), "{lines:#?}");
        assert!(lines[1].contains("1111111111111111"), "{lines:#?}");
        assert!(lines[2].contains("storage@0.1.0#walk"), "{lines:#?}");
        // The way back is less.
        assert_eq!(
            wider(
                new,
                Version {
                    imports: &[],
                    ..new
                }
            ),
            [""; 0]
        );
    }

    #[test]
    fn a_difference_is_a_page() {
        let old = manifest(vec![]);
        let mut new = old.clone();
        for n in 0..(WIDER_MAX + 9) {
            let mut task = new.tasks[0].clone();
            task.name = format!("t-{n}\u{1b}[2J");
            new.tasks.push(task);
        }
        let lines = difference(&old, &new);
        assert_eq!(lines.len(), WIDER_MAX + 1);
        assert!(lines[WIDER_MAX].starts_with("and 9 more"));
        assert!(!lines[0].contains('\u{1b}'), "{}", lines[0]);
    }

    #[test]
    fn what_is_older() {
        assert_eq!(older(("1.0.0", 3), ("1.0.1", 4)), None);
        assert_eq!(older(("1.0.0", 3), ("1.0.0", 3)), None);
        assert!(older(("1.0.0", 3), ("1.0.1", 2)).is_some());
        assert!(older(("1.10.0", 3), ("1.9.0", 3)).is_some());
    }

    proptest::proptest! {
        /// Whatever the numbers: a version that says nothing wider cannot be granted more.
        #[test]
        fn no_budget_grows_unsaid(
            old in proptest::option::of(0u64..5), new in proptest::option::of(0u64..5),
        ) {
            let with = |max_files| {
                let mut request = request(Capability::StorageClean);
                request.max_files = max_files;
                manifest(vec![request])
            };
            let said = !difference(&with(old), &with(new)).is_empty();
            let grew = new.unwrap_or(u64::MAX) > old.unwrap_or(u64::MAX);
            proptest::prop_assert_eq!(said, grew);
        }
    }
}
