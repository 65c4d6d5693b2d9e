//! Bundles from first to last: a draft is built, signed, and opened against a trust file.

use crate::component::{self, Scan};
use crate::document;
use crate::endorsement;
use crate::envelope::{Envelope, PAYLOAD_MAX_BYTES, PAYLOAD_TYPE};
use crate::error::BundleError;
use crate::key::{PublicKey, SecretKey};
use crate::layout::{self, Documents, Layers};
use crate::statement::{ComponentInfo, Predicate, Statement};
use crate::trust::{Admission, Counted, Trust};
use keepwell_model::grant::Signer;
use keepwell_model::id::Digest;
use keepwell_model::manifest::Manifest;
use serde::Serialize;

/// What a publisher wants to ship.
#[derive(Debug, Clone)]
pub struct Draft {
    pub manifest: Manifest,
    pub component: Vec<u8>,
    /// Who publishes it, for people.
    pub publisher: String,
    /// Grows with each release, from 1.
    pub release: u64,
    /// Milliseconds since the Unix epoch; `None` leaves the time out.
    pub issued_ms: Option<u64>,
}

/// A checked draft: what remains is to sign the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    pub payload: Vec<u8>,
    pub component: Vec<u8>,
    sbom: Option<Vec<u8>>,
    provenance: Option<Vec<u8>>,
}

/// Checks the component against the manifest and writes the payload. Same draft, same bytes.
pub fn build(draft: &Draft) -> Result<Unsigned, BundleError> {
    build_with(draft, Documents::default())
}

/// The same, with what tells from what and how the component was built.
pub fn build_with(draft: &Draft, documents: Documents<'_>) -> Result<Unsigned, BundleError> {
    document::check(documents)?;
    let scan = component::scan(&draft.component)?;
    component::check_against(&scan, &draft.manifest)?;
    let statement = Statement::new(Predicate {
        schema: Statement::schema(),
        publisher: draft.publisher.clone(),
        release: draft.release,
        issued_ms: draft.issued_ms,
        component: ComponentInfo {
            digest: Digest::of(&draft.component),
            imports: scan.imports,
        },
        sbom: documents.sbom.map(Digest::of),
        provenance: documents.provenance.map(Digest::of),
        manifest: draft.manifest.clone(),
    });
    let payload = statement.to_payload()?;
    BundleError::check_size("payload", payload.len(), PAYLOAD_MAX_BYTES)?;
    Ok(Unsigned {
        payload,
        component: draft.component.clone(),
        sbom: documents.sbom.map(<[u8]>::to_vec),
        provenance: documents.provenance.map(<[u8]>::to_vec),
    })
}

impl Unsigned {
    /// The bytes of the `.kwb`. Ed25519 is deterministic, so the same key gives the same bytes.
    pub fn sign(&self, key: &SecretKey) -> Result<Vec<u8>, BundleError> {
        self.write(&[key])
    }

    fn write(&self, keys: &[&SecretKey]) -> Result<Vec<u8>, BundleError> {
        let mut envelope = Envelope::new(PAYLOAD_TYPE, self.payload.clone());
        for key in keys {
            envelope.sign(key)?;
        }
        layout::write(Layers {
            envelope: &envelope.to_bytes()?,
            component: &self.component,
            documents: Documents {
                sbom: self.sbom.as_deref(),
                provenance: self.provenance.as_deref(),
            },
        })
    }

    /// A `.kwb` without any signature, for [`inspect`] and [`add_signature`]; never opens.
    pub fn unsigned(&self) -> Result<Vec<u8>, BundleError> {
        self.write(&[])
    }
}

/// Signs an existing bundle once more; the bundle's id stays. What is signed must be sound.
pub fn add_signature(kwb: &[u8], key: &SecretKey) -> Result<Vec<u8>, BundleError> {
    attach_signature(kwb, &key.public(), &key.sign(&pae(kwb)?))
}

/// As [`add_signature`], with a signature over [`pae`] that was made elsewhere and must verify.
pub fn attach_signature(
    kwb: &[u8],
    public: &PublicKey,
    signature: &[u8],
) -> Result<Vec<u8>, BundleError> {
    let layers = layout::read(kwb)?;
    let mut envelope = Envelope::parse(PAYLOAD_TYPE, layers.envelope)?;
    let statement = Statement::parse(&envelope.payload)?;
    check_layers(&statement, layers)?;
    envelope.attach(public, signature)?;
    layout::write(Layers {
        envelope: &envelope.to_bytes()?,
        ..layers
    })
}

/// A verified bundle. Only [`open`] makes one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Bundle {
    /// SHA-256 of the payload: a further signature does not change it.
    pub id: Digest,
    pub statement: Statement,
    pub manifest: Manifest,
    pub component: Vec<u8>,
    pub component_digest: Digest,
    pub scan: Scan,
    pub signer: Signer,
}

/// What a bundle is held against.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    pub trust: &'a Trust,
    /// The time, no earlier than any that is known to have been: keys end by it.
    pub now_ms: u64,
    /// The site's endorsement, where there is one.
    pub endorsement: Option<&'a [u8]>,
}

/// Verifies, then reads: strict container, signatures over the exact payload, and only then the
/// payload itself; last what the trust file admits.
pub fn open(kwb: &[u8], against: Against<'_>) -> Result<Bundle, BundleError> {
    let Against { trust, now_ms, .. } = against;
    let layers = layout::read(kwb)?;
    let envelope = Envelope::parse(PAYLOAD_TYPE, layers.envelope)?;
    let counted = trust.counted(&envelope, now_ms)?;
    let statement = Statement::parse(&envelope.payload)?;
    let scan = check_layers(&statement, layers)?;
    let id = Digest::of(&envelope.payload);
    let what = Admission {
        bundle: id,
        component: statement.predicate.component.digest,
        release: statement.predicate.release,
        sbom: statement.predicate.sbom,
        provenance: statement.predicate.provenance,
        manifest: &statement.predicate.manifest,
    };
    let signer = trust.admit(what, &counted)?;
    if trust.wants_endorsement(&signer) {
        let counted = match against.endorsement {
            Some(file) => trust.counted(&endorsement::of(file, id)?, now_ms)?,
            None => Counted::new(),
        };
        trust.endorsed(&counted)?;
    }
    Ok(Bundle {
        id,
        manifest: statement.predicate.manifest.clone(),
        component: layers.component.to_vec(),
        component_digest: statement.predicate.component.digest,
        statement,
        scan,
        signer,
    })
}

/// The layers are those that the statement names. The component imports what it says, and no more than
/// the manifest asks for.
fn check_layers(statement: &Statement, layers: Layers<'_>) -> Result<Scan, BundleError> {
    let Documents { sbom, provenance } = layers.documents;
    let predicate = &statement.predicate;
    if sbom.map(Digest::of) != predicate.sbom || provenance.map(Digest::of) != predicate.provenance
    {
        return Err(BundleError::damaged(
            "its documents",
            "they are not those that the statement names",
        ));
    }
    let (said, bytes) = (&predicate.component, layers.component);
    if Digest::of(bytes) != said.digest {
        return Err(BundleError::damaged(
            "its component",
            "it is not the one the statement names",
        ));
    }
    let scan = component::scan(bytes)?;
    if scan.imports != said.imports {
        return Err(BundleError::damaged(
            "its component",
            "it imports something else than the statement says",
        ));
    }
    component::check_against(&scan, &statement.predicate.manifest)?;
    Ok(scan)
}

/// What a file claims to be. NOT VERIFIED: for showing to a person, never for deciding.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct UnverifiedInspection {
    pub id: Digest,
    pub statement: Statement,
    pub manifest: Manifest,
    pub component_digest: Digest,
    pub component_bytes: usize,
    /// What the component really imports; `None` when it is refused.
    pub scan: Option<Scan>,
    /// Why the component is refused.
    pub refused: Option<String>,
    /// Key ids as the envelope names them; anybody can write any there.
    pub key_ids: Vec<String>,
}

/// Parses without trusting anybody. Pure and total, so it is also the target for fuzzing.
pub fn inspect(kwb: &[u8]) -> Result<UnverifiedInspection, BundleError> {
    let layers = layout::read(kwb)?;
    let envelope = Envelope::parse(PAYLOAD_TYPE, layers.envelope)?;
    let statement = Statement::parse(&envelope.payload)?;
    let (scan, refused) = match component::scan(layers.component) {
        Ok(scan) => (Some(scan), None),
        Err(e) => (None, Some(e.to_string())),
    };
    Ok(UnverifiedInspection {
        id: Digest::of(&envelope.payload),
        manifest: statement.predicate.manifest.clone(),
        statement,
        component_digest: Digest::of(layers.component),
        component_bytes: layers.component.len(),
        scan,
        refused,
        key_ids: envelope.signatures.into_iter().map(|s| s.key_id).collect(),
    })
}

/// The documents of a file, as they lie in it. NOT VERIFIED.
pub fn documents(kwb: &[u8]) -> Result<Documents<'_>, BundleError> {
    Ok(layout::read(kwb)?.documents)
}

/// The exact bytes that each signature covers, for checking with other tools.
pub fn pae(kwb: &[u8]) -> Result<Vec<u8>, BundleError> {
    Ok(Envelope::parse(PAYLOAD_TYPE, layout::read(kwb)?.envelope)?.pae())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{Rule, TrustedKey};
    use keepwell_model::grant::Tier;
    use std::collections::BTreeMap;

    fn key(n: u8) -> SecretKey {
        SecretKey::generate([n; 32])
    }

    fn trusting(n: u8) -> Trust {
        let key = TrustedKey {
            public: key(n).public(),
            not_after_ms: None,
            rule: Some(Rule {
                tier: Tier::Own,
                names: vec!["*".into()],
                capabilities: vec![],
                max: BTreeMap::new(),
                require: vec![],
            }),
        };
        let mut trust = Trust::default();
        trust.add("own", key).unwrap();
        trust
    }

    fn signed(payload: &str, keys: &[u8]) -> Envelope {
        let mut envelope = Envelope::new(PAYLOAD_TYPE, payload.into());
        for n in keys {
            envelope.sign(&key(*n)).unwrap();
        }
        envelope
    }

    fn opened(envelope: &Envelope, component: &[u8]) -> BundleError {
        let envelope = envelope.to_bytes().unwrap();
        let kwb = layout::write(Layers {
            envelope: &envelope,
            component,
            documents: Documents::default(),
        });
        open(
            &kwb.unwrap(),
            Against {
                trust: &trusting(1),
                now_ms: 0,
                endorsement: None,
            },
        )
        .unwrap_err()
    }

    fn statement(component: &[u8]) -> String {
        let hex = Digest::of(component).hex();
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"component.wasm","digest":{{"sha256":"{hex}"}}}}],"predicateType":"urn:keepwell:plugin:v1","predicate":{{"schema":1,"publisher":"p","release":1,"component":{{"digest":"sha256:{hex}","imports":[]}},"manifest":{{"schema":1,"name":"n","version":"1.0.0","description":"d","contract":"0.1.0","tasks":[{{"name":"t","description":"d","needs":[],"settings":[{{"name":"s","help":"h","default":{{"a":1}}}}]}}]}}}}}}"#
        )
    }

    #[test]
    fn a_payload_changed_after_signing_is_never_parsed() {
        let mut envelope = signed("{}", &[1]);
        envelope.payload = b"not even JSON".to_vec();
        assert_eq!(opened(&envelope, b"c").code(), "bad-signature");
    }

    #[test]
    fn a_document_that_the_statement_does_not_name_is_refused() {
        let envelope = signed(&statement(b"c"), &[1]).to_bytes().unwrap();
        let kwb = layout::write(Layers {
            envelope: &envelope,
            component: b"c",
            documents: Documents {
                sbom: Some(b"slipped in"),
                provenance: None,
            },
        });
        let against = Against {
            trust: &trusting(1),
            now_ms: 0,
            endorsement: None,
        };
        let error = open(&kwb.unwrap(), against).unwrap_err();
        assert!(error.to_string().contains("its documents"), "{error}");
    }

    #[test]
    fn a_false_signature_refuses_whatever_stands_beside_it() {
        let mut envelope = signed("{}", &[1, 2]);
        let ours = key(1).public().key_id();
        for one in &mut envelope.signatures {
            if one.key_id == ours {
                one.signature = key(3).sign(&signed("{}", &[]).pae());
            }
        }
        assert_eq!(opened(&envelope, b"c").code(), "bad-signature");
    }

    #[test]
    fn one_key_counts_once_however_often_it_signed() {
        let mut envelope = signed("{}", &[1]);
        let twice = envelope.signatures[0].clone();
        envelope.signatures.push(twice);
        assert_eq!(trusting(1).counted(&envelope, 0).unwrap().len(), 1);
    }

    proptest::proptest! {
        /// A trusted key may sign anything: what it signed is still only answered.
        #[test]
        fn any_signed_payload_is_answered(
            changes in proptest::collection::vec((0usize..700, "\\PC{0,3}|[{}\\[\\]:,\"0-9]{0,3}"), 0..5),
        ) {
            let mut text: Vec<char> = statement(b"c").chars().collect();
            for (at, new) in changes {
                let at = at.min(text.len());
                text.splice(at..(at + 1).min(text.len()), new.chars());
            }
            let text: String = text.into_iter().collect();
            // The component is none, so even the sound one does not open.
            let code = opened(&signed(&text, &[1]), b"c").code();
            let known = ["damaged", "bad-component", "bad-draft", "bad-manifest"];
            proptest::prop_assert!(known.contains(&code), "{}: {}", code, text);
        }
    }

    #[test]
    fn signed_statements_are_still_read_strictly() {
        let good = statement(b"c");
        // Sound up to the component, which is none.
        assert_eq!(opened(&signed(&good, &[1]), b"c").code(), "bad-component");
        assert_eq!(opened(&signed(&good, &[1]), b"other").code(), "damaged");
        for (from, to) in [
            (r#"{"a":1}"#, r#"{"a":1,"a":2}"#),
            (r#""publisher""#, r#""extra":1,"publisher""#),
            (r#""release":1"#, r#""release":1,"release":2"#),
            ("urn:keepwell:plugin:v1", "urn:keepwell:plugin:v2"),
            ("component.wasm", "other.wasm"),
            (r#"{"schema":1,"publisher""#, r#"{"schema":2,"publisher""#),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert_eq!(opened(&signed(&bad, &[1]), b"c").code(), "damaged", "{to}");
        }
        let other = good.replace(r#""release":1"#, r#""release":9007199254740992"#);
        assert_eq!(opened(&signed(&other, &[1]), b"c").code(), "bad-draft");
    }
}
