//! Grants never exceed request, signer and operator, and each denial teaches.

use super::*;
use crate::manifest::Request;
use crate::own_state::{KEYS_CEILING, STATE_CEILING};
use proptest::prelude::*;

/// The capabilities whose rules need no declarations beside them.
const DRAWN: [Capability; 5] = [
    Capability::Metrics,
    Capability::Storage,
    Capability::StorageClean,
    Capability::Shards,
    Capability::State,
];

fn ask(capability: Capability) -> Request {
    Request {
        capability,
        reason: "r".into(),
        max_files: Some(50),
        max_bytes: None,
        max_keys: None,
        optional: false,
    }
}

fn signer(capabilities: &[Capability]) -> Signer {
    Signer {
        key_id: "k".into(),
        also: vec![],
        max: BTreeMap::new(),
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
        state: has(Capability::State).then(StateRule::default),
    }
}

fn decide_with(
    asked: &[Capability],
    may: &[Capability],
    held: &GrantTable,
) -> Result<Grant, Denial> {
    decide_needs(asked.iter().copied().map(ask).collect(), may, held)
}

fn decide_needs(
    needs: Vec<Request>,
    may: &[Capability],
    held: &GrantTable,
) -> Result<Grant, Denial> {
    decide_signed(needs, &signer(may), held)
}

fn decide_signed(needs: Vec<Request>, signer: &Signer, held: &GrantTable) -> Result<Grant, Denial> {
    let info = TaskInfo {
        name: "t".into(),
        description: String::new(),
        needs,
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
        signer,
        rule: held,
        limits: &Limits::default(),
        roots: &roots,
        protect: &BTreeMap::new(),
        stores: &stores,
        params: &BTreeMap::new(),
    })
}

proptest! {
    /// A grant never exceeds request ∩ signer ∩ operator, and is less than the request only where
    /// the plugin does without.
    #[test]
    fn never_more_than_all_three(a in 0u8..32, s in 0u8..32, o in 0u8..32, without in 0u8..32) {
        let set = |bits: u8| -> Vec<Capability> {
            DRAWN.into_iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, c)| c).collect()
        };
        let (asked, may, held, without) = (set(a), set(s), set(o), set(without));
        let needs = asked.iter().map(|c| Request { optional: without.contains(c), ..ask(*c) });
        match decide_needs(needs.collect(), &may, &table(&held)) {
            Ok(grant) => for c in DRAWN {
                let all = asked.contains(&c) && may.contains(&c) && held.contains(&c);
                prop_assert_eq!(grant.holds(c), all);
                prop_assert!(all || !asked.contains(&c) || without.contains(&c));
            },
            Err(denial) => prop_assert!(!denial.message.is_empty() && denial.hint.is_some()),
        }
    }

    /// A quota never exceeds what the plugin asked for, nor a ceiling, nor what the operator wrote.
    #[test]
    fn a_quota_is_within_all_bounds(
        asked in proptest::option::of(0u64..20 << 20),
        written in proptest::option::of(0u64..20 << 20),
        asked_keys in proptest::option::of(0u32..12_000),
        written_keys in proptest::option::of(0u32..12_000),
    ) {
        let need = Request {
            max_bytes: asked.map(Bytes),
            max_keys: asked_keys,
            ..ask(Capability::State)
        };
        let mut held = table(&[]);
        held.state = Some(StateRule { max_bytes: written.map(Bytes), max_keys: written_keys });
        match decide_needs(vec![need], &Capability::ALL, &held) {
            Ok(grant) => {
                let quota = grant.state.unwrap();
                prop_assert!(quota.max_bytes <= STATE_CEILING && quota.max_keys <= KEYS_CEILING);
                prop_assert!(asked.is_none_or(|most| quota.max_bytes.0 <= most));
                prop_assert!(asked_keys.is_none_or(|most| quota.max_keys <= most));
                prop_assert!(written.is_none_or(|wrote| quota.max_bytes.0 == wrote));
                prop_assert!(written_keys.is_none_or(|wrote| quota.max_keys == wrote));
            }
            Err(denial) => prop_assert!(denial.place.starts_with("grant.state.max-")),
        }
    }
}

proptest! {
    /// No budget exceeds what the trust file allows the signer, whatever the operator writes.
    #[test]
    fn budgets_are_within_those_of_the_signer(
        files in 0u64..100,
        bytes in 0u64..1 << 40,
        keys in 0u32..12_000,
        written in proptest::option::of(0u64..1 << 40),
    ) {
        let all = [Capability::StorageClean, Capability::Shards, Capability::State];
        let most = Most { max_files: Some(files), max_bytes: Some(Bytes(bytes)), max_keys: Some(keys) };
        let by = Signer { max: all.map(|c| (c, most)).into(), ..signer(&all) };
        let mut held = table(&all);
        if let Some(rule) = &mut held.storage_clean {
            rule.max_bytes = written.map(Bytes);
        }
        if let Some(rule) = &mut held.shards {
            rule.max_bytes = written.map(Bytes);
        }
        match decide_signed(all.map(ask).to_vec(), &by, &held) {
            Ok(grant) => {
                let clean = grant.clean.unwrap().budget;
                prop_assert!(clean.max_files <= files && clean.max_bytes.0 <= bytes);
                prop_assert!(grant.shards.unwrap().budget.max_bytes.unwrap().0 <= bytes);
                let state = grant.state.unwrap();
                prop_assert!(state.max_bytes.0 <= bytes && state.max_keys <= keys);
            }
            Err(denial) => {
                prop_assert!(denial.place.contains(".max-"), "{denial:?}");
                prop_assert!(denial.message.contains("signer `own`"), "{denial:?}");
            }
        }
    }
}

#[test]
fn a_budget_that_a_capability_has_not_is_refused() {
    let most = Most {
        max_keys: Some(1),
        ..Most::default()
    };
    assert!(most.check(Capability::State).is_ok());
    assert!(
        most.check(Capability::StorageClean)
            .unwrap_err()
            .contains("max-keys")
    );
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
