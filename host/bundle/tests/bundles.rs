//! A bundle's way from draft to opened, and every way it must not open.

mod fixture;

use fixture::{draft, key, kwb, open, trust, trusting};
use keepwell_bundle::{Trust, add_signature, build, inspect, pae};
use keepwell_model::id::Digest;

fn code(kwb: &[u8], trust: &Trust) -> &'static str {
    match open(kwb, trust) {
        Ok(_) => "opened",
        Err(e) => e.code(),
    }
}

#[test]
fn round_trip_and_same_bytes() {
    let (draft, bytes) = (draft(), kwb());
    assert_eq!(bytes, kwb());
    let bundle = open(&bytes, &trusting(&key(1))).unwrap();
    assert_eq!(bundle.component, draft.component);
    assert_eq!(bundle.manifest, draft.manifest);
    assert_eq!(bundle.component_digest, Digest::of(&draft.component));
    assert_eq!(bundle.statement.predicate.release, 7);
    assert_eq!(bundle.signer.key_id, key(1).public().key_id());
    assert_eq!(bundle.id, Digest::of(&build(&draft).unwrap().payload));
    assert_eq!(inspect(&bytes).unwrap().key_ids, [key(1).public().key_id()]);
}

#[test]
fn every_flip_cut_and_addition_is_refused() {
    let (bytes, trust) = (kwb(), trusting(&key(1)));
    for at in 0..bytes.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut flipped = bytes.clone();
            flipped[at] ^= bit;
            assert_ne!(code(&flipped, &trust), "opened", "flip {bit:#x} at {at}");
        }
        assert_ne!(code(&bytes[..at], &trust), "opened", "cut at {at}");
    }
    for more in [1, 512, 10_240] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + more, 0);
        assert_eq!(code(&longer, &trust), "damaged");
    }
    assert_eq!(
        code(&vec![0; keepwell_bundle::BUNDLE_MAX_BYTES + 1], &trust),
        "too-large"
    );
}

#[test]
fn who_may_sign_what() {
    let bytes = kwb();
    assert_eq!(code(&bytes, &Trust::default()), "unknown-signer");
    assert_eq!(code(&bytes, &trusting(&key(2))), "unknown-signer");
    let metrics = r#"["metrics"]"#;
    assert_eq!(
        code(&bytes, &trust(&key(1), r#"["cl*n"]"#, metrics)),
        "opened"
    );
    assert_eq!(
        code(&bytes, &trust(&key(1), r#"["acme-*"]"#, metrics)),
        "not-permitted"
    );
    assert_eq!(
        code(&bytes, &trust(&key(1), "[]", metrics)),
        "not-permitted"
    );
    assert_eq!(
        code(&bytes, &trust(&key(1), r#"["*"]"#, r#"["storage"]"#)),
        "not-permitted"
    );
    let unsigned = build(&draft()).unwrap().unsigned().unwrap();
    assert_eq!(code(&unsigned, &trusting(&key(1))), "unsigned");
}

#[test]
fn signatures_add_up_by_key_and_leave_the_id() {
    let bytes = kwb();
    assert_eq!(
        add_signature(&bytes, &key(1)).unwrap(),
        bytes,
        "the same key again"
    );
    let both = add_signature(&bytes, &key(2)).unwrap();
    assert_eq!(inspect(&both).unwrap().key_ids.len(), 2);
    for n in [1, 2] {
        let bundle = open(&both, &trusting(&key(n))).unwrap();
        assert_eq!(bundle.id, inspect(&bytes).unwrap().id);
        assert_eq!(bundle.signer.key_id, key(n).public().key_id());
    }
    assert_eq!(code(&both, &trusting(&key(3))), "unknown-signer");
}

#[test]
fn drafts_that_say_too_little_or_too_much_are_refused() {
    let mut other = draft();
    other.manifest = fixture::manifest("clean", &["storage"]);
    assert_eq!(build(&other).unwrap_err().code(), "undeclared-import");
    for change in [
        |d: &mut keepwell_bundle::Draft| d.release = 0,
        |d: &mut keepwell_bundle::Draft| d.release = u64::MAX,
        |d: &mut keepwell_bundle::Draft| d.publisher = "a\u{1b}[2J".into(),
        |d: &mut keepwell_bundle::Draft| d.publisher.clear(),
    ] {
        let mut odd = draft();
        change(&mut odd);
        assert_eq!(build(&odd).unwrap_err().code(), "bad-draft");
    }
}

#[test]
fn signed_bytes_are_the_protocol_s() {
    let payload = build(&draft()).unwrap().payload;
    let head = format!("DSSEv1 28 application/vnd.in-toto+json {} ", payload.len());
    assert_eq!(pae(&kwb()).unwrap(), [head.as_bytes(), &payload].concat());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(200))]

    /// Any bytes, and any sound bundle with some bytes changed, cut or doubled: an answer, never a
    /// panic, and never another bundle than the one that was signed.
    #[test]
    fn damaged_bundles_are_answered(
        changes in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), 0u8..4, proptest::prelude::any::<u8>()), 1..6),
    ) {
        let sound = kwb();
        let trust = trusting(&key(1));
        let mut bytes = sound.clone();
        for (at, how, byte) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                // Whole blocks, as a tar has them.
                _ => drop(bytes.splice(at..at, sound[..512].iter().copied())),
            }
        }
        if bytes != sound {
            proptest::prop_assert!(open(&bytes, &trust).is_err());
        }
        let _ = (inspect(&bytes), pae(&bytes), add_signature(&bytes, &key(2)));
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..4096)) {
        let trust = trusting(&key(1));
        proptest::prop_assert!(open(&bytes, &trust).is_err() && inspect(&bytes).is_err());
    }
}
