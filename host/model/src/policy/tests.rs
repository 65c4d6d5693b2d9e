//! The strictest rule wins, and tables that mislead are refused.

use super::*;
use proptest::prelude::*;

pub(crate) fn rules(json: serde_json::Value) -> Policy {
    let rules: Vec<Rule> = serde_json::from_value(json).unwrap();
    Policy {
        rules,
        ..Policy::default()
    }
}

fn on(class: Class) -> Subject<'static> {
    Subject {
        class,
        capability: Some(Capability::StorageClean),
        task: "temp-clean",
        tier: Tier::Partner,
    }
}

#[test]
fn without_rules_only_the_destructive_waits() {
    let policy: Policy = serde_json::from_str("{}").unwrap();
    assert_eq!(policy.rule_on(on(Class::Read)), Ruling::Allow(None));
    assert_eq!(policy.rule_on(on(Class::Reversible)), Ruling::Allow(None));
    assert_eq!(
        policy.rule_on(on(Class::Destructive)),
        Ruling::Approve(Needs::default())
    );
    let old: Policy = serde_json::from_str(r#"{"destructive-without-asking":true}"#).unwrap();
    assert_eq!(old.rule_on(on(Class::Destructive)), Ruling::Allow(None));
    assert_eq!(old.check(), Ok(()));
}

#[test]
fn deny_wins_then_the_most_demanding_in_any_order() {
    let lines = [
        serde_json::json!({ "task": "temp-*", "then": "approve", "approvals": 2, "peer-suffices": true,
                            "execute-within": "6h" }),
        serde_json::json!({ "tier": "partner", "then": "approve", "approve-within": "1h",
                            "who": { "roles": ["trust-admin"] } }),
        serde_json::json!({ "class": "reversible", "then": "allow" }),
    ];
    let mut needs = vec![];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let policy = rules(order.iter().map(|i| lines[*i].clone()).collect());
        policy.check().unwrap();
        needs.push(policy.rule_on(on(Class::Reversible)));
    }
    let Ruling::Approve(joined) = &needs[0] else {
        panic!("{needs:?}")
    };
    assert!(needs.iter().all(|n| *n == needs[0]));
    assert_eq!(joined.approvals, 2);
    assert_eq!(joined.approve_within, Span::secs(3_600));
    assert_eq!(joined.execute_within, Span::secs(6 * 3_600));
    assert!(!joined.peer_suffices);
    assert_eq!(joined.who.len(), 1);
    let mut policy = rules(lines.into_iter().collect());
    policy
        .rules
        .push(rules(serde_json::json!([{ "then": "deny" }])).rules[0].clone());
    assert_eq!(policy.rule_on(on(Class::Read)), Ruling::Deny(4));
}

#[test]
fn what_cannot_be_undone_is_allowed_by_name_alone() {
    let wide = rules(serde_json::json!([{ "task": "temp-clean", "then": "allow" }]));
    assert_eq!(
        wide.rule_on(on(Class::Destructive)),
        Ruling::Approve(Needs::default())
    );
    let named = rules(serde_json::json!([{ "class": "destructive", "then": "allow" }]));
    assert_eq!(
        named.rule_on(on(Class::Destructive)),
        Ruling::Allow(Some(1))
    );
}

#[test]
fn each_part_of_a_rule_must_match() {
    for (json, matches) in [
        (serde_json::json!({ "then": "deny" }), true),
        (
            serde_json::json!({ "then": "deny", "class": "read" }),
            false,
        ),
        (
            serde_json::json!({ "then": "deny", "capability": "storage" }),
            false,
        ),
        (serde_json::json!({ "then": "deny", "task": "db-*" }), false),
        (serde_json::json!({ "then": "deny", "tier": "own" }), false),
        (
            serde_json::json!({ "then": "deny", "class": "reversible", "tier": "partner",
                "capability": "storage-clean", "task": "*-clean" }),
            true,
        ),
    ] {
        let rule: Rule = serde_json::from_value(json).unwrap();
        assert_eq!(rule.matches(on(Class::Reversible)), matches, "{rule:?}");
    }
}

#[test]
fn tables_that_mislead_are_refused_at_their_place() {
    for (json, key) in [
        (
            serde_json::json!({ "then": "allow", "approvals": 2 }),
            "approvals",
        ),
        (
            serde_json::json!({ "then": "deny", "yes-suffices": true }),
            "yes-suffices",
        ),
        (
            serde_json::json!({ "then": "approve", "approvals": 0 }),
            "approvals",
        ),
        (
            serde_json::json!({ "then": "approve", "approvals": 17 }),
            "approvals",
        ),
        (
            serde_json::json!({ "then": "approve", "approvals": 2, "yes-suffices": true }),
            "yes-suffices",
        ),
        (
            serde_json::json!({ "then": "approve", "approve-within": "0s" }),
            "approve-within",
        ),
        (
            serde_json::json!({ "then": "approve", "execute-within": "31d" }),
            "execute-within",
        ),
        (
            serde_json::json!({ "then": "approve", "approve-within": "2h", "execute-within": "1h" }),
            "execute-within",
        ),
        (serde_json::json!({ "then": "approve", "who": {} }), "who"),
        (
            serde_json::json!({ "then": "approve", "who": { "users": vec![1; WHO_MAX + 1] } }),
            "who",
        ),
    ] {
        let bad = rules(serde_json::json!([{ "then": "deny" }, json]))
            .check()
            .unwrap_err();
        assert_eq!(bad.place, format!("policy.rules.1.{key}"), "{bad}");
    }
    let one = rules(serde_json::json!([{ "then": "deny" }])).rules[0].clone();
    let many = |n| Policy {
        rules: vec![one.clone(); n],
        ..Policy::default()
    };
    assert_eq!(many(RULES_MAX).check(), Ok(()));
    assert_eq!(
        many(RULES_MAX + 1).check().unwrap_err().place,
        "policy.rules"
    );
}

#[test]
fn unknown_keys_and_globs_that_match_nothing_are_refused() {
    for bad in [
        serde_json::json!({ "then": "approve", "approval": 2 }),
        serde_json::json!({ "then": "ask" }),
        serde_json::json!({ "approvals": 2 }),
        serde_json::json!({ "then": "deny", "task": "DB" }),
        serde_json::json!({ "then": "deny", "task": "" }),
        serde_json::json!({ "then": "deny", "class": "Destructive" }),
        serde_json::json!({ "then": "approve", "who": { "role": ["approver"] } }),
    ] {
        assert!(
            serde_json::from_value::<Rule>(bad.clone()).is_err(),
            "{bad}"
        );
    }
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let class = proptest::option::of(proptest::sample::select(vec![
        Class::Read,
        Class::Reversible,
        Class::Destructive,
    ]));
    let then = proptest::sample::select(vec![Then::Allow, Then::Approve, Then::Deny]);
    let who = proptest::option::of((0u32..3).prop_map(|n| Who {
        users: vec![Account::Number(n)],
        ..Who::default()
    }));
    let numbers = (
        proptest::option::of(0u32..4),
        proptest::option::of((0u64..9).prop_map(Span::secs)),
        proptest::option::of((0u64..9).prop_map(Span::secs)),
    );
    let flags = (
        proptest::option::of(any::<bool>()),
        proptest::option::of(any::<bool>()),
    );
    (class, then, who, numbers, flags).prop_map(|(class, then, who, numbers, flags)| Rule {
        class,
        capability: None,
        task: None,
        tier: None,
        then,
        approvals: numbers.0,
        approve_within: numbers.1,
        execute_within: numbers.2,
        peer_suffices: flags.0,
        yes_suffices: flags.1,
        who,
    })
}

/// Whether `one` lets through at most what `other` lets through.
fn at_least_as_strict(one: &Ruling, other: &Ruling) -> bool {
    match (one, other) {
        (Ruling::Deny(_), _) | (_, Ruling::Allow(_)) => true,
        (Ruling::Approve(one), Ruling::Approve(other)) => {
            one.approvals >= other.approvals
                && one.approve_within <= other.approve_within
                && one.execute_within <= other.execute_within
                && one.peer_suffices <= other.peer_suffices
                && one.yes_suffices <= other.yes_suffices
                && other.who.iter().all(|w| one.who.contains(w))
        }
        (Ruling::Approve(_), Ruling::Deny(_)) | (Ruling::Allow(_), _) => false,
    }
}

proptest! {
    /// The ruling is at least as strict as each rule that matches, whatever their order.
    #[test]
    fn no_rule_loosens_another(list in proptest::collection::vec(any_rule(), 1..6)) {
        for class in [Class::Read, Class::Reversible, Class::Destructive] {
            let all = Policy { destructive_without_asking: false, rules: list.clone(), ..Policy::default() };
            let ruling = all.rule_on(on(class));
            for rule in list.iter().filter(|r| r.matches(on(class))) {
                let alone = Policy { destructive_without_asking: false, rules: vec![rule.clone()], ..Policy::default() };
                prop_assert!(at_least_as_strict(&ruling, &alone.rule_on(on(class))));
            }
            if let Ruling::Approve(needs) = &ruling {
                prop_assert!(needs.approvals >= 1 && needs.approve_within <= needs.execute_within);
                prop_assert!(!needs.yes_suffices || needs.approvals == 1);
                let mut turned = all.clone();
                turned.rules.reverse();
                prop_assert_eq!(turned.rule_on(on(class)), ruling);
            }
        }
    }
}
