//! Whom the trust file admits: thresholds by different keys, endorsement, expiry and revocation.

#![expect(clippy::unwrap_used, reason = "a test may end at what fails")]

#[expect(dead_code, reason = "each test file uses its own part of the fixture")]
mod fixture;

use fixture::{draft, key};
use keepwell_bundle::{
    Against, Documents, Trust, add_signature, build, build_with, components, documents, endorse,
    endorsement, endorsement_pae, open, tar,
};
use keepwell_model::grant::Tier;
use keepwell_model::id::Digest;

/// Signed by the keys of these numbers, in this order.
fn signed(by: &[u8]) -> Vec<u8> {
    let (first, others) = by.split_first().unwrap();
    let bytes = build(&draft()).unwrap().sign(&key(*first)).unwrap();
    let sign = |bytes: Vec<u8>, n: &u8| add_signature(&bytes, &key(*n)).unwrap();
    others.iter().fold(bytes, sign)
}

/// Keys 1 to 3 are of acme, two of which must sign; key 9 signs alone; `more` follows.
fn trust(more: &str) -> Trust {
    let line = |n: u8| format!("[keys.k{n}]\npublic = \"{}\"\n", key(n).public());
    let several = "[publishers.acme]\nkeys = ['k1', 'k2', 'k3']\nthreshold = 2\ntier = 'partner'\n\
                   names = ['clean']\ncapabilities = ['metrics']\n";
    let alone = "tier = 'third-party'\nnames = ['cl*']\ncapabilities = ['metrics']\n";
    let keys: String = [1, 2, 3].map(line).concat();
    Trust::parse(&format!("{keys}{}{alone}{several}{more}", line(9))).unwrap()
}

fn code_at(kwb: &[u8], trust: &Trust, now_ms: u64, endorsement: Option<&[u8]>) -> &'static str {
    let against = Against {
        trust,
        now_ms,
        endorsement,
    };
    open(kwb, against).map_or_else(|e| e.code(), |_| "opened")
}

fn code(kwb: &[u8], trust: &Trust) -> &'static str {
    code_at(kwb, trust, 0, None)
}

/// A threshold counts keys, never signatures (CVE-2020-15093 counted the latter).
#[test]
fn a_threshold_counts_different_keys() {
    let trust = trust("");
    assert_eq!(code(&signed(&[1]), &trust), "too-few-signers");
    assert_eq!(code(&signed(&[1, 1]), &trust), "too-few-signers");
    assert_eq!(code(&signed(&[1, 7]), &trust), "too-few-signers");
    assert_eq!(code(&signed(&[7]), &trust), "unknown-signer");
    for two in [[1, 2], [3, 1], [2, 3]] {
        let against = Against {
            trust: &trust,
            now_ms: 0,
            endorsement: None,
        };
        let bundle = open(&signed(&two), against).unwrap();
        assert_eq!(bundle.signer.name, "acme");
        assert_eq!(bundle.signer.also.len(), 1);
    }
    assert_eq!(code(&signed(&[1, 2, 3]), &trust), "opened");
}

/// Who may not make a plugin alone may not make it by signing beside others, and the nearest publisher
/// that may is taken.
#[test]
fn one_key_alone_and_several_together() {
    let trust = trust("");
    let opened = |by: &[u8]| {
        let against = Against {
            trust: &trust,
            now_ms: 0,
            endorsement: None,
        };
        open(&signed(by), against).map(|b| (b.signer.name, b.signer.tier))
    };
    assert_eq!(opened(&[9]).unwrap(), ("k9".into(), Tier::ThirdParty));
    assert_eq!(opened(&[9, 1]).unwrap(), ("k9".into(), Tier::ThirdParty));
    assert_eq!(opened(&[9, 1, 2]).unwrap(), ("acme".into(), Tier::Partner));
}

#[test]
fn sixteen_keys_and_no_more() {
    let all: Vec<u8> = (1..=16).collect();
    let mut names = vec![];
    let mut text = String::new();
    for n in &all {
        text.push_str(&format!("[keys.k{n}]\npublic = \"{}\"\n", key(*n).public()));
        names.push(format!("'k{n}'"));
    }
    text.push_str(&format!(
        "[publishers.all]\nkeys = [{}]\nthreshold = 16\ntier = 'own'\nnames = ['*']\n\
         capabilities = ['metrics']\n",
        names.join(", ")
    ));
    let trust = Trust::parse(&text).unwrap();
    let full = signed(&all);
    assert_eq!(code(&full, &trust), "opened");
    assert_eq!(code(&signed(&all[1..]), &trust), "too-few-signers");
    assert_eq!(
        add_signature(&full, &key(17)).unwrap_err().code(),
        "too-large"
    );
}

#[test]
fn keys_end_and_are_revoked() {
    let ends = "[keys.late]\npublic = \"P\"\nnot-after = \"2027-01-31T00:00:00Z\"\ntier = 'own'\n\
                names = ['*']\ncapabilities = ['metrics']\n";
    let trust = trust(&ends.replace('P', &key(20).public().to_string()));
    let end = 1_801_353_600_000;
    assert_eq!(code_at(&signed(&[20]), &trust, end - 1, None), "opened");
    assert_eq!(code_at(&signed(&[20]), &trust, end, None), "key-expired");
    let id = key(2).public().key_id();
    let revoked = format!("[[revoked.keys]]\nid = \"{id}\"\nreason = 'lost'\n");
    let trust = self::trust(&revoked);
    // It does not count beside another, and alone it is told why.
    assert_eq!(code(&signed(&[1, 2]), &trust), "too-few-signers");
    assert_eq!(code(&signed(&[2]), &trust), "key-revoked");
    assert_eq!(code(&signed(&[1, 3]), &trust), "opened");
}

#[test]
fn what_is_revoked_or_too_old_is_refused_whoever_signed_it() {
    let bytes = signed(&[1, 2, 3]);
    let unsigned = build(&draft()).unwrap();
    let (bundle, component) = (
        Digest::of(&unsigned.payload),
        Digest::of(&draft().component),
    );
    let listed = |list: &str, id| format!("[[revoked.{list}]]\nid = \"{id}\"\nreason = 'bad'\n");
    assert_eq!(code(&bytes, &trust(&listed("bundles", bundle))), "revoked");
    assert_eq!(
        code(&bytes, &trust(&listed("components", component))),
        "revoked"
    );
    assert_eq!(
        code(&bytes, &trust(&listed("bundles", component))),
        "opened"
    );
    assert_eq!(code(&bytes, &trust("[min-release]\nclean = 7\n")), "opened");
    assert_eq!(
        code(&bytes, &trust("[min-release]\nclean = 8\n")),
        "too-old"
    );
}

#[test]
fn the_site_endorses_a_bundle_and_no_other() {
    let site = |n: u8| format!("[keys.site{n}]\npublic = \"{}\"\n", key(30 + n).public());
    let wants =
        "[endorsement]\ntiers = ['third-party']\nkeys = ['site1', 'site2']\nthreshold = 2\n";
    let trust = trust(&format!("{}{}{wants}", site(1), site(2)));
    let bytes = signed(&[9]);
    let bundle = Digest::of(&build(&draft()).unwrap().payload);
    let by = |of: Digest, keys: &[u8]| {
        let mut file = endorsement(of).unwrap();
        for n in keys {
            let signature = key(*n).sign(&endorsement_pae(&file).unwrap());
            file = endorse(&file, &key(*n).public(), &signature).unwrap();
        }
        file
    };
    let with = |file: &[u8]| code_at(&bytes, &trust, 0, Some(file));
    assert_eq!(code(&bytes, &trust), "not-endorsed");
    assert_eq!(with(&endorsement(bundle).unwrap()), "unsigned");
    assert_eq!(with(&by(bundle, &[31])), "not-endorsed");
    assert_eq!(with(&by(bundle, &[31, 31])), "not-endorsed");
    assert_eq!(with(&by(bundle, &[9, 31])), "not-endorsed");
    assert_eq!(with(&by(bundle, &[31, 32])), "opened");
    assert_eq!(with(&by(Digest::of(b"other"), &[31, 32])), "not-endorsed");
    assert_eq!(with(b"{}"), "damaged");
    // Another tier needs none; and an endorser is no publisher.
    assert_eq!(code(&signed(&[1, 2]), &trust), "opened");
    assert_eq!(code(&signed(&[31]), &trust), "unknown-signer");
    // A signature over something else is not attached.
    let file = endorsement(bundle).unwrap();
    let false_one = key(31).sign(b"something else");
    assert!(endorse(&file, &key(31).public(), &false_one).is_err());
}

const SBOM: &[u8] = br#"{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{}]}"#;
const PROVENANCE: &[u8] =
    br#"{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://slsa.dev/provenance/v1"}"#;

/// Documents are signed with the component: none can be taken out, put in or changed.
#[test]
fn documents_are_signed_as_the_component_is() {
    let trust = trust("");
    let both = Documents {
        sbom: Some(SBOM),
        provenance: Some(PROVENANCE),
    };
    let with = build_with(&draft(), both).unwrap().sign(&key(9)).unwrap();
    assert_eq!(code(&with, &trust), "opened");
    assert_eq!(documents(&with).unwrap(), both);
    let wants = "[publishers.strict]\nkeys = ['k9']\nthreshold = 1\ntier = 'own'\nnames = ['*']\n\
                 capabilities = ['metrics']\nrequire = ['sbom', 'provenance']\n";
    let strict = format!("[keys.k9]\npublic = \"{}\"\n{wants}", key(9).public());
    let strict = Trust::parse(&strict).unwrap();
    assert_eq!(code(&with, &strict), "opened");
    assert_eq!(code(&signed(&[9]), &strict), "lacks-document");
    assert_eq!(components(SBOM).unwrap(), 1);
    let without = signed(&[9]);
    assert_ne!(with, without);
    // The layers of the one around the envelope of the other.
    let blob = |kwb: &[u8], of: &[u8]| {
        let name = format!("blobs/sha256/{}", Digest::of(of).hex());
        tar::read(kwb)
            .unwrap()
            .iter()
            .any(|entry| entry.name == name)
    };
    assert!(blob(&with, SBOM) && !blob(&without, SBOM));
    let flipped: Vec<u8> = {
        let at = with
            .windows(SBOM.len())
            .position(|part| part == SBOM)
            .unwrap();
        let mut bytes = with.clone();
        bytes[at + 40] ^= 1;
        bytes
    };
    assert_eq!(code(&flipped, &trust), "damaged");
    for (sbom, provenance) in [
        (Some(&b"{}"[..]), None),
        (Some(&b"not JSON"[..]), None),
        (None, Some(SBOM)),
    ] {
        let wrong = Documents { sbom, provenance };
        assert_eq!(build_with(&draft(), wrong).unwrap_err().code(), "bad-draft");
    }
}
