//! The lock file: what is found by which words, both forms, and files that are refused.

use super::*;

fn entry(name: &str, version: &str) -> LockEntry {
    LockEntry {
        name: PluginName::new(name).unwrap(),
        version: version.into(),
        standing: Standing::Beside,
        release: 1,
        bundle: Digest::of(format!("{name}{version}").as_bytes()),
        component: Digest::of(name.as_bytes()),
        signer: "k".into(),
        signer_name: "own".into(),
        signers: vec!["k".into()],
        installed_ms: 5,
        quarantined: None,
        imports: vec!["keepwell:task/core@0.1.0#log".into()],
        wider: vec![],
        trial: None,
        rolled_back: None,
    }
}

fn clean() -> PluginName {
    PluginName::new("clean").unwrap()
}

#[test]
fn sorted_by_number_and_found() {
    let mut lock = Lock::default();
    for version in ["0.10.0", "0.9.0", "0.2.0"] {
        assert_eq!(lock.insert(entry("clean", version)), None);
    }
    lock.insert(entry("audit", "1.0.0"));
    assert_eq!(lock.find("clean"), None, "no version is active");
    assert_eq!(lock.activate(&clean(), "0.10.0"), None);
    assert_eq!(lock.activate(&clean(), "0.9.0").unwrap(), "0.10.0");
    assert_eq!(lock.find("clean").unwrap().version, "0.9.0");
    assert_eq!(lock.find("clean@0.10.0").unwrap().version, "0.10.0");
    let digest = entry("clean", "0.2.0").bundle.to_string();
    assert_eq!(lock.find(&digest).unwrap().version, "0.2.0");
    for absent in ["", "clea", "clean@", "clean@1.0.0", "sha256:00"] {
        assert_eq!(lock.find(absent), None, "{absent}");
    }
    let text = lock.to_toml().unwrap();
    assert_eq!(Lock::parse(&text).unwrap(), lock);
    assert!(text.find("audit") < text.find("0.2.0") && text.find("0.9.0") < text.find("0.10.0"));
    assert!(lock.insert(entry("clean", "0.9.0")).is_some());
    assert_eq!(lock.entries().len(), 4);
    assert!(lock.remove(&clean(), "0.9.0").is_some());
    assert!(lock.remove(&clean(), "0.9.0").is_none());
}

/// What a version went through is in the file, and so are the grants.
#[test]
fn every_part_is_written_and_read() {
    let mut lock = Lock::default();
    lock.insert(LockEntry {
        trial: Some(Trial {
            since_ms: 7,
            from: "0.1.0".into(),
        }),
        standing: Standing::Active,
        ..entry("clean", "0.2.0")
    });
    lock.insert(LockEntry {
        standing: Standing::Held,
        wider: vec!["task `x` is new".into()],
        ..entry("clean", "0.4.0")
    });
    lock.insert(LockEntry {
        standing: Standing::RolledBack,
        rolled_back: Some(RolledBack {
            at_ms: 9,
            to: "0.2.0".into(),
            faults: 3,
            runs: 4,
        }),
        ..entry("clean", "0.3.0")
    });
    lock.accept(Accepted::of(&entry("clean", "0.2.0")));
    assert_eq!(lock.highest("clean"), None, "it was never the active one");
    let task = TaskName::new("temp-clean").unwrap();
    lock.grants.insert(task, Digest::of(b"grant"));
    let body = lock.to_toml().unwrap();
    assert_eq!(Lock::parse(&body).unwrap(), lock);
    let sealed = joined("00ff", &body);
    assert_eq!(Lock::parse(&sealed).unwrap(), lock);
    assert_eq!(split(&sealed), (Some("00ff"), body.as_str()));
    assert_eq!(split(&body), (None, body.as_str()));
    assert!(needs_seal(&body).unwrap() && needs_seal(&sealed).unwrap());
}

/// As the version before wrote it: no form, no standing, one signer.
#[test]
fn the_form_before_is_read() {
    let old = |version: &str| {
        format!(
            "[[plugin]]\nname = \"clean\"\nversion = \"{version}\"\nrelease = 3\nbundle = \"{}\"\n\
             component = \"{}\"\nsigner = \"k\"\nsigner-name = \"own\"\ninstalled-ms = 5\nimports = []\n",
            Digest::of(version.as_bytes()),
            Digest::of(b"c")
        )
    };
    let lock = Lock::parse(&[old("0.9.0"), old("0.10.0")].concat()).unwrap();
    assert_eq!(lock.find("clean").unwrap().version, "0.10.0");
    assert_eq!(lock.find("clean").unwrap().signers, ["k"]);
    let other = lock.find("clean@0.9.0").unwrap();
    assert_eq!(other.standing, Standing::Beside);
    assert!(lock.was_accepted(other.bundle));
    assert_eq!(lock.highest("clean").unwrap().version, "0.10.0");
    assert_eq!(Lock::parse(&lock.to_toml().unwrap()).unwrap(), lock);
    assert_eq!(Lock::parse("").unwrap(), Lock::default());
    assert!(!needs_seal(&old("0.9.0")).unwrap());
}

#[test]
fn accepted_releases_stay_in_bounds_and_the_newest_are_kept() {
    let mut lock = Lock::default();
    for release in 0..(ACCEPTED_MAX as u64 + 8) {
        lock.accept(Accepted {
            release,
            bundle: Digest::of(&release.to_le_bytes()),
            activated: true,
            ..Accepted::of(&entry("clean", "0.1.0"))
        });
    }
    assert_eq!(lock.accepted().len(), ACCEPTED_MAX);
    assert!(!lock.was_accepted(Digest::of(&7u64.to_le_bytes())));
    assert!(lock.was_accepted(Digest::of(&8u64.to_le_bytes())));
    assert_eq!(lock.highest("clean").unwrap().release, 39);
    assert_eq!(lock.highest("audit"), None);
}

/// TOML's numbers end at 2^63; the answer to a larger one is not an empty file.
#[test]
fn what_cannot_be_written_is_an_error() {
    let mut lock = Lock::default();
    lock.insert(LockEntry {
        installed_ms: u64::MAX,
        ..entry("clean", "0.1.0")
    });
    assert!(matches!(lock.to_toml(), Err(LockError::Unwritable(_))));
}

#[test]
fn odd_files_are_refused() {
    let mut lock = Lock::default();
    lock.insert(entry("clean", "0.1.0"));
    lock.activate(&clean(), "0.1.0");
    let text = lock.to_toml().unwrap();
    let part = text.replace("form = 2\n", "");
    let twice = Lock::parse(&[text.as_str(), &part].concat());
    assert!(matches!(twice, Err(LockError::Twice { .. })), "{twice:?}");
    let two = part.replace("0.1.0\"\nstanding", "0.2.0\"\nstanding");
    let two = Lock::parse(&[text.as_str(), &two].concat());
    assert!(matches!(two, Err(LockError::TwoActive { .. })), "{two:?}");
    let other = text.replace("0.1.0\"\nstanding", "../x\"\nstanding");
    assert!(matches!(
        Lock::parse(&other),
        Err(LockError::Version { .. })
    ));
    for (from, to) in [("signer-name", "by"), ("\"active\"", "\"running\"")] {
        let odd = Lock::parse(&text.replace(from, to));
        assert!(matches!(odd, Err(LockError::Toml(_))), "{to}");
    }
    let later = Lock::parse(&text.replace("form = 2", "form = 3"));
    assert_eq!(later, Err(LockError::Form(3)));
}
