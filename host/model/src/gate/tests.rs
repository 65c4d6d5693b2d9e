//! What passes, what waits, what is turned away.

use super::*;
use crate::approval::tests::request;
use crate::policy::{Rule, Then};
use proptest::prelude::*;

fn effects(classes: &[Class]) -> BTreeSet<Effect> {
    let effect = |class: &Class| Effect {
        class: *class,
        capability: Capability::StorageClean,
    };
    classes.iter().map(effect).collect()
}

fn facts<'a>(policy: &'a Policy, effects: &'a BTreeSet<Effect>) -> Facts<'a> {
    Facts {
        policy,
        task: "temp-clean",
        tier: Tier::Own,
        effects,
        said_yes: false,
        clock: None,
        approval: None,
    }
}

#[test]
fn what_cannot_be_undone_is_not_done_by_a_clock_in_doubt_unless_the_policy_says_so() {
    let allows = Policy {
        destructive_without_asking: true,
        ..Policy::default()
    };
    let worst = effects(&[Class::Read, Class::Destructive]);
    let by = |policy: &Policy, effects: &BTreeSet<Effect>| {
        let clock = Some(Doubt::Stepped { by_ms: 7_200_000 });
        decide(&Facts {
            clock,
            ..facts(policy, effects)
        })
    };
    for policy in [&allows, &Policy::default()] {
        let Verdict::Deny(denial) = by(policy, &worst) else {
            panic!("it passed")
        };
        assert!(
            denial.message.contains("stepped forward by 2h"),
            "{denial:?}"
        );
        assert_eq!(denial.place, "policy.any-clock");
    }
    let any_clock = Policy {
        any_clock: true,
        ..allows.clone()
    };
    assert!(matches!(by(&any_clock, &worst), Verdict::Pass(_)));
    let undoable = effects(&[Class::Read, Class::Reversible]);
    assert_eq!(by(&allows, &undoable), Verdict::Pass(How::CanBeUndone));
    let forbids = policy(&serde_json::json!([{ "then": "deny" }]));
    let Verdict::Deny(denial) = by(&forbids, &worst) else {
        panic!("it passed")
    };
    assert_eq!(
        denial.place, "policy.rules.0",
        "what is forbidden is forbidden at any time"
    );
}

fn policy(rules: &serde_json::Value) -> Policy {
    serde_json::from_value(serde_json::json!({ "rules": rules })).unwrap()
}

#[test]
fn by_default_only_the_destructive_waits_and_yes_is_not_enough() {
    let plain = Policy::default();
    let pass = |classes: &[Class]| decide(&facts(&plain, &effects(classes)));
    assert_eq!(pass(&[]), Verdict::Pass(How::ChangesNothing));
    assert_eq!(pass(&[Class::Read]), Verdict::Pass(How::ChangesNothing));
    let both = [Class::Read, Class::Reversible];
    assert_eq!(pass(&both), Verdict::Pass(How::CanBeUndone));
    let all = effects(&[Class::Read, Class::Reversible, Class::Destructive]);
    let mut asked = facts(&plain, &all);
    asked.said_yes = true;
    assert_eq!(decide(&asked), Verdict::Wait(Needs::default()));
}

#[test]
fn a_persons_yes_counts_where_the_policy_lets_it() {
    let lets = policy(&serde_json::json!([
        { "class": "destructive", "then": "approve", "yes-suffices": true }
    ]));
    let worst = effects(&[Class::Destructive]);
    let mut asked = facts(&lets, &worst);
    assert!(matches!(decide(&asked), Verdict::Wait(_)));
    asked.said_yes = true;
    assert_eq!(decide(&asked), Verdict::Pass(How::SaidYes));
}

#[test]
fn a_rule_on_the_task_speaks_even_when_nothing_was_granted() {
    let denies = policy(&serde_json::json!([{ "task": "temp-*", "then": "deny" }]));
    let Verdict::Deny(denial) = decide(&facts(&denies, &BTreeSet::new())) else {
        panic!("it passed")
    };
    assert_eq!(denial.place, "policy.rules.0");
    assert!(denial.hint.unwrap().contains("rule 1"));
}

#[test]
fn an_approval_passes_only_for_what_the_policy_wants_now() {
    let plain = Policy::default();
    let worst = effects(&[Class::Destructive]);
    let request = request(1);
    let with = |state: &State, policy: &Policy| {
        let mut asked = facts(policy, &worst);
        asked.approval = Some((&request, state));
        decide(&asked)
    };
    let how = How::Approved(request.id());
    assert_eq!(with(&State::Approved, &plain), Verdict::Pass(how));
    let waiting = State::Waiting { have: 0, need: 1 };
    assert_eq!(with(&waiting, &plain), Verdict::Wait(Needs::default()));
    for over in [
        State::Used,
        State::Void("plan"),
        State::Expired(crate::approval::Expiry::ToExecute),
        State::Denied {
            by: "anna".into(),
            reason: "no".into(),
        },
    ] {
        assert!(over.is_over());
        let Verdict::Deny(denial) = with(&over, &plain) else {
            panic!("{over} passed")
        };
        assert_eq!(denial.message, over.to_string());
        assert!(denial.hint.is_some());
    }
    let allows = policy(&serde_json::json!([{ "class": "destructive", "then": "allow" }]));
    let denied = State::Denied {
        by: "anna".into(),
        reason: String::new(),
    };
    assert!(matches!(with(&denied, &allows), Verdict::Deny(_)));
    let how = How::PolicyAllows(Some(1));
    assert_eq!(with(&waiting, &allows), Verdict::Pass(how));
    let stricter = policy(&serde_json::json!([{ "then": "approve", "approvals": 2 }]));
    assert!(matches!(
        with(&State::Approved, &stricter),
        Verdict::Deny(_)
    ));
    let denies = policy(&serde_json::json!([{ "then": "deny" }]));
    assert!(matches!(with(&State::Approved, &denies), Verdict::Deny(_)));
}

#[test]
fn effects_of_changes_and_grants() {
    let change = Change::Quarantine {
        root: crate::id::RootName::new("tmp").unwrap(),
        path: crate::action::RelPath::new("a").unwrap(),
        kind: crate::action::EntryKind::File,
        identity: crate::action::Identity {
            device: 1,
            inode: 2,
            size: 3,
            mtime_ns: 4,
            ctime_ns: 5,
        },
    };
    let effect = Effect::of(&change);
    assert_eq!(effect.class, Class::Reversible);
    assert_eq!(effect.capability, Capability::StorageClean);
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let class = proptest::option::of(0usize..3);
    let then = proptest::sample::select(vec![Then::Allow, Then::Approve, Then::Deny]);
    let rule = (class, then, 0u32..4, any::<bool>());
    let rules = proptest::collection::vec(rule, 0..5);
    (any::<bool>(), rules).prop_map(|(destructive_without_asking, rules)| Policy {
        destructive_without_asking,
        any_clock: false,
        rules: rules
            .into_iter()
            .map(|(class, then, approvals, yes)| Rule {
                class: class.map(|c| [Class::Read, Class::Reversible, Class::Destructive][c]),
                capability: None,
                task: None,
                tier: None,
                then,
                approvals: Some(approvals),
                approve_within: None,
                execute_within: None,
                peer_suffices: None,
                yes_suffices: Some(yes),
                who: None,
            })
            .collect(),
        ..Policy::default()
    })
}

fn any_state() -> impl Strategy<Value = Option<State>> {
    proptest::option::of(proptest::sample::select(vec![
        State::Waiting { have: 0, need: 1 },
        State::Approved,
        State::Used,
        State::Void("grant"),
        State::Expired(crate::approval::Expiry::ToApprove),
        State::Denied {
            by: String::new(),
            reason: String::new(),
        },
    ]))
}

proptest! {
    /// Nothing passes that a rule denies; what a rule wants approved passes only by an approval
    /// for exactly what is needed, or by a yes where each such rule lets it.
    #[test]
    fn a_pass_has_its_reason(
        policy in any_policy(), bits in 0u8..8, said_yes in any::<bool>(),
        state in any_state(), approvals in 1u32..4,
    ) {
        let classes = [Class::Read, Class::Reversible, Class::Destructive];
        let classes: Vec<Class> =
            classes.into_iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, c)| c).collect();
        let effects = effects(&classes);
        let request = request(approvals);
        let approval = state.as_ref().map(|s| (&request, s));
        let facts = Facts { said_yes, approval, ..facts(&policy, &effects) };
        let seen = if classes.is_empty() { vec![Class::Read] } else { classes };
        let matching = |then: Then| -> Vec<&Rule> {
            policy.rules.iter().filter(|r| r.then == then && seen.iter().any(|class| {
                r.class.map_or(then != Then::Allow || *class != Class::Destructive, |c| c == *class)
            })).collect()
        };
        let verdict = decide(&facts);
        if !matching(Then::Deny).is_empty() {
            prop_assert!(matches!(verdict, Verdict::Deny(_)));
            return Ok(());
        }
        let wanted = matching(Then::Approve);
        let most = wanted.iter().filter_map(|r| r.approvals).max().unwrap_or(0).max(1);
        let named = policy.rules.iter().any(|r| r.class == Some(Class::Destructive) || r.class.is_none() && r.then != Then::Allow);
        let unnamed = seen.contains(&Class::Destructive) && !named && !policy.destructive_without_asking;
        match verdict {
            Verdict::Pass(How::Approved(id)) => {
                prop_assert_eq!(id, request.id());
                prop_assert_eq!(state, Some(State::Approved));
                prop_assert!(request.needs.approvals >= most);
            }
            Verdict::Pass(How::SaidYes) => {
                prop_assert!(said_yes && most == 1 && !unnamed);
                prop_assert!(wanted.iter().all(|r| r.yes_suffices == Some(true)));
            }
            Verdict::Pass(How::ChangesNothing | How::CanBeUndone | How::PolicyAllows(_)) => {
                prop_assert!(wanted.is_empty() && !unnamed);
            }
            Verdict::Wait(needs) => {
                prop_assert!(!wanted.is_empty() || unnamed);
                prop_assert_eq!(needs.approvals, most);
            }
            Verdict::Deny(denial) => prop_assert!(approval.is_some() && denial.hint.is_some()),
        }
    }
}
