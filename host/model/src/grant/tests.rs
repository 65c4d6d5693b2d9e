//! Grants never exceed request, signer and operator, and each denial teaches.

use super::*;
use crate::manifest::Request;
use proptest::prelude::*;

fn ask(capability: Capability) -> Request {
    Request {
        capability,
        reason: "r".into(),
        max_files: Some(50),
        max_bytes: None,
    }
}

fn signer(capabilities: &[Capability]) -> Signer {
    Signer {
        key_id: "k".into(),
        name: "own".into(),
        tier: Tier::Own,
        capabilities: capabilities.to_vec(),
    }
}

fn table(held: &[Capability]) -> GrantTable {
    let roots = vec![RootName::new("tmp").unwrap()];
    let has = |c| held.contains(&c);
    GrantTable {
        metrics: has(Capability::Metrics).then(MetricsRule::default),
        storage: has(Capability::Storage).then(|| StorageRule {
            roots: roots.clone(),
        }),
        storage_clean: has(Capability::StorageClean).then(|| CleanRule {
            roots: roots.clone(),
            max_files: Some(10),
            max_bytes: None,
            max_share: None,
            min_age: None,
            age_by: None,
            max_time: None,
            max_rate: None,
        }),
        shards: has(Capability::Shards).then(|| ShardsRule {
            stores: vec![StoreName::new("s").unwrap()],
            max_bytes: None,
            max_shards: None,
            max_time: None,
        }),
        config_read: None,
        config_write: None,
    }
}

fn decide_with(
    asked: &[Capability],
    may: &[Capability],
    held: &GrantTable,
) -> Result<Grant, Denial> {
    let info = TaskInfo {
        name: "t".into(),
        description: String::new(),
        needs: asked.iter().copied().map(ask).collect(),
        settings: vec![],
    };
    let roots = BTreeMap::from([(RootName::new("tmp").unwrap(), PathBuf::from("/x"))]);
    let stores = BTreeMap::from([(
        StoreName::new("s").unwrap(),
        StoreConfig {
            kind: crate::store::StoreKind::Oci,
            path: "/y".into(),
            layout: None,
            list: None,
        },
    )]);
    decide(Facts {
        task: "t",
        plugin: "p",
        version: "1.0.0",
        component: Digest::of(b""),
        info: &info,
        signer: &signer(may),
        rule: held,
        limits: &Limits::default(),
        roots: &roots,
        protect: &BTreeMap::new(),
        stores: &stores,
        params: &BTreeMap::new(),
    })
}

proptest! {
    /// A grant never exceeds request ∩ signer ∩ operator.
    #[test]
    fn never_more_than_all_three(a in 0u8..16, s in 0u8..16, o in 0u8..16) {
        let set = |bits: u8| -> Vec<Capability> {
            Capability::ALL.into_iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, c)| c).collect()
        };
        let (asked, may, held) = (set(a), set(s), set(o));
        match decide_with(&asked, &may, &table(&held)) {
            Ok(grant) => for c in Capability::ALL {
                prop_assert_eq!(grant.holds(c), asked.contains(&c) && may.contains(&c) && held.contains(&c));
            },
            Err(denial) => prop_assert!(!denial.message.is_empty() && denial.hint.is_some()),
        }
    }
}

#[test]
fn a_budget_wider_than_requested_is_refused() {
    let mut wide = table(&[Capability::StorageClean]);
    if let Some(rule) = &mut wide.storage_clean {
        rule.max_files = Some(51);
    }
    let all = Capability::ALL;
    let denial = decide_with(&[Capability::StorageClean], &all, &wide).unwrap_err();
    assert_eq!(denial.place, "grant.storage-clean.max-files");
}

#[test]
fn an_unknown_root_suggests_the_nearest() {
    let mut typo = table(&[Capability::Storage]);
    typo.storage = Some(StorageRule {
        roots: vec![RootName::new("tpm").unwrap()],
    });
    let denial = decide_with(&[Capability::Storage], &Capability::ALL, &typo).unwrap_err();
    assert_eq!(denial.hint.unwrap(), "did you mean `tmp`?");
}

#[test]
fn a_root_that_is_not_granted_teaches_the_line() {
    let grant = decide_with(
        &[Capability::Storage],
        &Capability::ALL,
        &table(&[Capability::Storage]),
    )
    .unwrap();
    assert!(grant.readable_root("tmp").is_ok());
    let refusal = grant.readable_root("etc").unwrap_err();
    assert!(refusal.hint.unwrap().contains(r#"storage.roots = ["etc"]"#));
    assert!(grant.cleanable_root("tmp").is_err());
}
