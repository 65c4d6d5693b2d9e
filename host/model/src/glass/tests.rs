//! The glass breaks for who is named, for the plan they mean, and over nothing that was denied.

use super::*;
use crate::approval::Expiry;
use crate::id::Digest;
use crate::policy::Needs;
use crate::role::{Members, Role, RolesTable};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const NOW: u64 = 1_000_000_000;
const NIGHT_SHIFT: u32 = 1_001;
const STRANGER: u32 = 1_002;

struct Nobody;

impl crate::role::Accounts for Nobody {
    fn uid(&self, _: &crate::role::AccountName) -> Result<Option<u32>, crate::role::LookupFailed> {
        Ok(None)
    }
    fn gid(&self, _: &crate::role::AccountName) -> Result<Option<u32>, crate::role::LookupFailed> {
        Ok(None)
    }
    fn groups_of(&self, _: u32) -> Result<BTreeSet<u32>, crate::role::LookupFailed> {
        Ok(BTreeSet::new())
    }
}

fn policy(table: &serde_json::Value) -> Policy {
    let policy: Policy =
        serde_json::from_value(serde_json::json!({ "break-glass": table })).unwrap();
    policy.check().unwrap();
    policy
}

fn named() -> Policy {
    policy(&serde_json::json!({ "who": { "users": [NIGHT_SHIFT] } }))
}

fn peer(uid: u32, gids: &[u32]) -> Peer {
    Peer {
        uid,
        gids: gids.iter().copied().collect(),
    }
}

fn subject() -> Subject {
    let digest = Digest::of(b"what was planned");
    Subject {
        plan: digest,
        component: digest,
        grant: digest,
        settings: digest,
    }
}

/// One that passes; each test spoils a part.
fn with<T>(spoil: impl FnOnce(Case<'_>) -> T, policy: &Policy, by: &Peer) -> T {
    let subject = subject();
    let typed = subject.plan.hex()[..DIGITS_MIN].to_owned();
    let roles = RolesTable(BTreeMap::from([(
        Role::Approver,
        Members {
            users: vec![],
            groups: vec![Account::Number(77)],
        },
    )]));
    let roles = roles.resolve(0, &Nobody).unwrap();
    let ruling = Ruling::Approve(Needs::default());
    spoil(Case {
        policy,
        roles: &roles,
        by,
        typed: &typed,
        reason: "the disk is full and nobody answers",
        state: RunState::Waiting,
        let_through: false,
        sealed: NOW - 1_000,
        planned: &subject,
        now_is: &subject,
        ruling: &ruling,
        answered: Some(&State::Waiting { have: 0, need: 1 }),
        now: NOW,
    })
}

#[test]
fn who_is_named_breaks_it_for_a_short_time() {
    let broken = with(|case| judge(&case), &named(), &peer(NIGHT_SHIFT, &[])).unwrap();
    assert_eq!(broken.over, "waiting: 0 of 1 approvals");
    assert_eq!(broken.until, NOW + 15 * 60_000);
    let by_role = policy(&serde_json::json!({ "who": { "roles": ["approver"] }, "within": "1m" }));
    let broken = with(|case| judge(&case), &by_role, &peer(STRANGER, &[77])).unwrap();
    assert_eq!(broken.until, NOW + 60_000);
}

#[test]
fn nobody_else_does() {
    for (policy, by) in [
        (Policy::default(), peer(0, &[])),
        (named(), peer(STRANGER, &[NIGHT_SHIFT])),
        // Whoever may do everything is not thereby named.
        (named(), peer(0, &[])),
        (
            policy(&serde_json::json!({ "who": { "groups": [5] } })),
            peer(5, &[6]),
        ),
    ] {
        let whole = with(|case| judge(&case), &policy, &by).unwrap_err();
        assert!(
            matches!(whole, Whole::Nobody | Whole::NotAmong { .. }),
            "{whole}"
        );
    }
}

#[test]
fn what_is_denied_is_overridden_only_where_the_policy_says_so() {
    let may =
        policy(&serde_json::json!({ "who": { "users": [NIGHT_SHIFT] }, "overrides-deny": true }));
    let person = State::Denied {
        by: "bob".into(),
        reason: "not today".into(),
    };
    for (ruling, answered) in [
        (Ruling::Deny(2), None),
        (Ruling::Approve(Needs::default()), Some(&person)),
        (Ruling::Allow(None), Some(&person)),
    ] {
        let judged = |policy: &Policy| {
            with(
                |case| {
                    judge(&Case {
                        ruling: &ruling,
                        answered,
                        state: RunState::Denied,
                        ..case
                    })
                },
                policy,
                &peer(NIGHT_SHIFT, &[]),
            )
        };
        assert!(
            matches!(judged(&named()), Err(Whole::Denied(_))),
            "{ruling:?}"
        );
        assert!(
            judged(&may).unwrap().over.contains("denied by"),
            "{ruling:?}"
        );
    }
}

#[test]
fn what_expired_lacks_approval_and_what_is_approved_lacks_nothing() {
    let judged = |ruling: &Ruling, answered: Option<&State>| {
        with(
            |case| {
                judge(&Case {
                    ruling,
                    answered,
                    ..case
                })
            },
            &named(),
            &peer(NIGHT_SHIFT, &[]),
        )
    };
    let approve = Ruling::Approve(Needs::default());
    let expired = State::Expired(Expiry::ToApprove);
    assert!(
        judged(&approve, Some(&expired))
            .unwrap()
            .over
            .contains("expired")
    );
    assert!(judged(&approve, None).is_ok());
    assert!(matches!(
        judged(&approve, Some(&State::Approved)),
        Err(Whole::Needless(_))
    ));
    assert!(matches!(
        judged(&Ruling::Allow(None), None),
        Err(Whole::Needless(_))
    ));
}

#[test]
fn a_table_that_misleads_is_refused() {
    for bad in [
        serde_json::json!({ "who": {} }),
        serde_json::json!({ "who": { "keys": ["alice"] } }),
        serde_json::json!({ "who": { "users": [1], "keys": ["alice"] } }),
        serde_json::json!({ "who": { "users": [1] }, "within": "0s" }),
        serde_json::json!({ "who": { "users": [1] }, "within": "5h" }),
        serde_json::json!({ "who": { "users": (0..65).collect::<Vec<u32>>() } }),
    ] {
        let policy = serde_json::from_value::<Policy>(serde_json::json!({ "break-glass": bad }));
        assert!(policy.unwrap().check().is_err(), "{bad}");
    }
    assert!(serde_json::from_str::<Policy>(r#"{ "break-glass": { "within": "1m" } }"#).is_err());
}

proptest! {
    /// Whatever else holds: only who is named, only the plan whose digest was typed, only once,
    /// only as it was, only in its time.
    #[test]
    fn nothing_is_broken_that_must_not_be(
        uid in prop_oneof![Just(NIGHT_SHIFT), any::<u32>()],
        digits in 0_usize..70, flip in any::<bool>(), let_through in any::<bool>(),
        changed in any::<bool>(), age in 0_u64..200_000_000, state in 0_usize..11,
    ) {
        const STATES: [RunState; 11] = [
            RunState::Waiting, RunState::Denied, RunState::Running, RunState::Done, RunState::Warned,
            RunState::Failed, RunState::Limited, RunState::Skipped, RunState::Missed,
            RunState::Cancelled, RunState::Interrupted,
        ];
        let state = STATES[state];
        let mut typed: String = subject().plan.hex().chars().take(digits).collect();
        if flip {
            typed = typed.chars().rev().collect();
        }
        let right = typed.len() >= DIGITS_MIN && subject().plan.hex().starts_with(&typed);
        let other = Subject { grant: Digest::of(b"other"), ..subject() };
        let same = subject();
        let now_is = if changed { &other } else { &same };
        let judged = with(
            |case| judge(&Case {
                typed: &typed, let_through, now_is, state, sealed: NOW.saturating_sub(age), ..case
            }),
            &named(),
            &peer(uid, &[]),
        );
        let may = uid == NIGHT_SHIFT && right && !let_through && !changed
            && age < PLAN_AGE_MAX.as_millis()
            && matches!(state, RunState::Waiting | RunState::Denied);
        prop_assert_eq!(judged.is_ok(), may, "{:?}", judged);
    }
}
