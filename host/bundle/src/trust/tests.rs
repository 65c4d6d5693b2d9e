//! What the file says, where it is wrong, and whom it admits.

use super::*;
use crate::key::SecretKey;

fn text() -> String {
    let public = SecretKey::generate([1; 32]).public();
    format!(
        "[keys.acme]\npublic = \"{public}\"\ntier = \"partner\"\nnames = [\"acme-*\"]\n\
         capabilities = [\"metrics\", \"storage-clean\"]\n"
    )
}

#[test]
fn read_written_and_read_again() {
    let trust = Trust::parse(&text()).unwrap();
    assert_eq!(trust.to_toml().unwrap(), text());
    assert_eq!(
        trust.keys()["acme"].rule.as_ref().unwrap().tier,
        Tier::Partner
    );
    assert_eq!(Trust::parse("").unwrap(), Trust::default());
    assert_eq!(
        Trust::parse(&Trust::default().to_toml().unwrap()).unwrap(),
        Trust::default()
    );
}

#[test]
fn errors_say_where() {
    let text = text();
    let at = |bad: &str| {
        let span = Trust::parse(bad).unwrap_err().span().unwrap();
        bad[span].to_owned()
    };
    assert_eq!(at(&text.replace("\"acme-*\"", "\"Acme\"")), "\"Acme\"");
    assert_eq!(at(&text.replace("\"partner\"", "\"friend\"")), "\"friend\"");
    assert_eq!(at(&text.replace("keys.acme", "keys.Acme")), "Acme");
    assert_eq!(at(&text.replace("tier", "level")), "level");
    assert!(at(&text.replace("ed25519:", "rsa:")).starts_with("\"rsa:"));
    assert_eq!(at(&format!("{text}{}", text.replace("acme]", "b]"))), "b");
}

#[test]
fn a_key_is_added_once_and_removed() {
    let mut trust = Trust::parse(&text()).unwrap();
    let key = trust.keys()["acme"].clone();
    assert!(trust.add("other", key.clone()).is_err(), "the same key");
    assert!(trust.add("A", key.clone()).is_err(), "a bad name");
    assert_eq!(trust.remove("acme"), Ok(key.clone()));
    assert!(trust.remove("acme").is_err());
    trust.add("other", key.clone()).unwrap();
    assert!(trust.add("other", key).is_err(), "the same name");
}

/// Everything the file can say.
fn full() -> String {
    let key = |n: u8| SecretKey::generate([n; 32]).public();
    format!(
        "[keys.alice]\npublic = \"{}\"\nnot-after = \"2027-01-31T00:00:00Z\"\n\n\
         [keys.bob]\npublic = \"{}\"\n\n\
         [keys.site]\npublic = \"{}\"\n\n\
         [publishers.acme]\nkeys = [\"alice\", \"bob\"]\nthreshold = 2\ntier = \"third-party\"\n\
         names = [\"acme-*\"]\ncapabilities = [\"storage-clean\"]\n\n\
         [publishers.acme.max.storage-clean]\nmax-files = 1000\nmax-bytes = \"1GiB\"\n\n\
         [endorsement]\ntiers = [\"third-party\"]\nkeys = [\"site\"]\nthreshold = 1\n\n\
         [[revoked.keys]]\nid = \"{}\"\nreason = \"stolen\"\n\n\
         [[revoked.bundles]]\nid = \"{}\"\nreason = \"deletes too much\"\n\n\
         [min-release]\nclean = 7\n",
        key(1),
        key(2),
        key(3),
        key(4).key_id(),
        Digest::of(b"x"),
    )
}

#[test]
fn all_of_it_is_read_and_written() {
    let trust = Trust::parse(&full()).unwrap();
    assert_eq!(trust.to_toml().unwrap(), full());
    assert_eq!(trust.publishers()["acme"].threshold, 2);
    assert_eq!(trust.keys()["alice"].not_after_ms, Some(1_801_353_600_000));
    assert_eq!(trust.revoked().bundles.len(), 1);
}

#[test]
fn what_cannot_hold_is_refused() {
    let full = full();
    for (from, to, says) in [
        ("threshold = 2", "threshold = 3", "1 to 2"),
        ("threshold = 2", "threshold = 0", "1 to 2"),
        ("\"bob\"]", "\"alice\"]", "twice"),
        ("\"bob\"]", "\"carol\"]", "no key named"),
        ("max-files = 1000", "max-keys = 3", "no budget"),
        ("[\"storage-clean\"]", "[\"metrics\"]", "does not have"),
        ("2027-01-31T00:00:00Z", "2027-01-31", "no time"),
        ("\"stolen\"", "\" \"", "needs a reason"),
        ("keys = [\"site\"]", "keys = []", "1 to 0"),
        (
            "[keys.bob]\n",
            "[keys.bob]\ntier = \"own\"\n",
            "signs alone only with",
        ),
        ("[min-release]", "[min-releases]", "unknown field"),
    ] {
        let bad = full.replacen(from, to, 1);
        assert_ne!(bad, full, "{from}");
        let error = Trust::parse(&bad).unwrap_err().to_string();
        assert!(error.contains(says), "{to}: {error}");
    }
}

/// What was revoked does not come back by being added again, and a key in use does not vanish.
#[test]
fn revoked_stays_revoked() {
    let mut trust = Trust::parse(&full()).unwrap();
    assert!(trust.remove("alice").is_err(), "it is one of acme");
    let stolen = TrustedKey {
        public: SecretKey::generate([4; 32]).public(),
        not_after_ms: None,
        rule: None,
    };
    let error = trust.add("new", stolen.clone()).unwrap_err().to_string();
    assert!(error.contains("stolen"), "{error}");
    assert!(trust.rotate("bob", stolen.public).is_err());
    assert!(
        trust.keys().contains_key("bob"),
        "a failed rotation loses nothing"
    );
    trust
        .rotate("bob", SecretKey::generate([5; 32]).public())
        .unwrap();
    assert_eq!(Trust::parse(&trust.to_toml().unwrap()).unwrap(), trust);
}

/// Which installed bundles must be read to know whether they are revoked.
#[test]
fn what_may_be_revoked_is_told_by_the_lock() {
    use crate::lock::Lock;
    let (bundle, component) = (Digest::of(b"bundle"), Digest::of(b"component"));
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    let lock = format!(
        "form = 2\n[[plugin]]\nname = \"acme-disk\"\nversion = \"0.1.0\"\nrelease = 3\nbundle = \"{bundle}\"\n\
         component = \"{component}\"\nsigner = \"{one}\"\nsigner-name = \"acme\"\nsigners = [\"{one}\", \"{two}\"]\n\
         installed-ms = 5\nimports = []\n"
    );
    let lock = Lock::parse(&lock).unwrap();
    let entry = &lock.entries()[0];
    let trust = Trust::parse(&text()).unwrap();
    assert!(!trust.may_revoke(entry));
    let other = Digest::of(b"other");
    for (what, may) in [
        (Revocable::Key(one), true),
        (Revocable::Key(two), true),
        (Revocable::Key("3".repeat(64)), false),
        (Revocable::Bundle(bundle), true),
        (Revocable::Bundle(other), false),
        (Revocable::Component(component), true),
        (Revocable::Component(other), false),
    ] {
        let mut trust = trust.clone();
        trust.revoke(what, "why").unwrap();
        assert_eq!(trust.may_revoke(entry), may);
    }
}
