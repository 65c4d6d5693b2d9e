//! Approvals attacked: each answer that must not count, and why it does not.

mod format;
mod properties;

use super::*;
use crate::policy::Who;
use crate::role::{AccountName, Accounts, LookupFailed, Members, Peer, Role, Roles, RolesTable};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const NOW: u64 = 1_764_000_000_000;
const HOUR: u64 = 3_600_000;
/// Who asked.
const ASKER: u32 = 1000;

fn subject() -> Subject {
    Subject {
        plan: Digest::of(b"plan"),
        component: Digest::of(b"component"),
        grant: Digest::of(b"grant"),
        settings: Digest::of(b"settings"),
    }
}

fn request_for(needs: Needs, requester: Requester) -> Request {
    let task = TaskName::new("temp-clean").unwrap();
    let run = RunId::new(NOW, [7; 10]);
    Request::new("node-7", task, run, requester, subject(), needs, NOW).unwrap()
}

fn asker() -> Requester {
    Requester {
        user: Some(Account::Number(ASKER)),
        key: Some("asker-key".to_owned()),
    }
}

pub(crate) fn request(approvals: u32) -> Request {
    let needs = Needs {
        approvals,
        ..Needs::default()
    };
    request_for(needs, asker())
}

fn listed(name: &str, user: Account) -> (String, Listed) {
    let listed = Listed {
        name: name.to_owned(),
        user,
        gids: BTreeSet::from([500]),
        not_after: None,
        revoked: None,
    };
    (format!("{name}-key"), listed)
}

/// anna and bert have accounts here, carla has none; `laptop` is a second key of anna's.
fn directory() -> Directory {
    let carla = Account::Name(AccountName::new("carla").unwrap());
    Directory(BTreeMap::from([
        listed("anna", Account::Number(1001)),
        listed("laptop", Account::Number(1001)),
        listed("bert", Account::Number(1002)),
        listed("carla", carla),
        listed("asker", Account::Number(ASKER)),
        listed("askers-other", Account::Number(ASKER)),
    ]))
}

struct NoNames;

impl Accounts for NoNames {
    fn uid(&self, _: &AccountName) -> Result<Option<u32>, LookupFailed> {
        Ok(None)
    }
    fn gid(&self, _: &AccountName) -> Result<Option<u32>, LookupFailed> {
        Ok(None)
    }
    fn groups_of(&self, _: u32) -> Result<BTreeSet<u32>, LookupFailed> {
        Ok(BTreeSet::new())
    }
}

/// 1003 is an approver; 900 owns the node.
fn roles() -> Roles {
    let members = Members {
        users: vec![Account::Number(1003)],
        groups: vec![],
    };
    let table = RolesTable(BTreeMap::from([(Role::Approver, members)]));
    table.resolve(900, &NoNames).unwrap()
}

fn by(request: &Request, key: &str, answer: Answer) -> Decision {
    let statement = Statement::new(request, answer, NOW + 1, "because");
    Decision::new(statement, Voice::Key(format!("{key}-key")), NOW + 2)
}

fn by_peer(request: &Request, uid: u32, answer: Answer) -> Decision {
    let peer = Peer {
        uid,
        gids: BTreeSet::from([uid]),
    };
    Decision::by_peer(request, answer, peer, NOW + 2, "because").unwrap()
}

struct Court {
    request: Request,
    directory: Directory,
    subject: Subject,
    used: bool,
    now: u64,
}

impl Court {
    fn new(request: Request) -> Self {
        Self {
            request,
            directory: directory(),
            subject: subject(),
            used: false,
            now: NOW + HOUR,
        }
    }

    fn judge(&self, decisions: &[Decision]) -> Judgement {
        judge(&Case {
            request: &self.request,
            decisions,
            subject: &self.subject,
            used: self.used,
            directory: &self.directory,
            roles: &roles(),
            now: self.now,
        })
    }

    /// The only answer, refused.
    fn refuses(&self, decision: Decision) -> Refused {
        let told = self.judge(&[decision]);
        assert!(told.state != State::Approved, "{told:?}");
        assert_eq!(told.refused.len(), 1, "{told:?}");
        let why = told.refused[0].1.clone();
        assert!(!why.hint().is_empty() && !why.to_string().is_empty());
        let json = serde_json::to_value(&why).unwrap();
        assert_eq!(json["code"], why.code());
        why
    }
}

#[test]
fn a_second_person_approves() {
    let court = Court::new(request(1));
    let grant = by(&court.request, "anna", Answer::Grant);
    assert_eq!(court.judge(&[]).state, State::Waiting { have: 0, need: 1 });
    let told = court.judge(&[grant]);
    assert_eq!((told.state, told.refused), (State::Approved, vec![]));
}

#[test]
fn who_asked_cannot_approve_by_user_or_by_key() {
    let mut court = Court::new(request(1));
    for key in ["asker", "askers-other"] {
        let grant = by(&court.request, key, Answer::Grant);
        assert_eq!(court.refuses(grant), Refused::OwnRequest, "{key}");
    }
    // With a key alone, the other keys of its user are of who asked all the same.
    let requester = Requester {
        user: None,
        key: Some("anna-key".to_owned()),
    };
    let by_key = Court::new(request_for(Needs::default(), requester));
    for key in ["anna", "laptop"] {
        let grant = by(&by_key.request, key, Answer::Grant);
        assert_eq!(by_key.refuses(grant), Refused::OwnRequest, "{key}");
    }
    // The same key, listed for somebody else.
    court
        .directory
        .0
        .extend([listed("asker", Account::Number(1009))]);
    let grant = by(&court.request, "asker", Answer::Grant);
    assert_eq!(court.refuses(grant), Refused::OwnRequest);
}

#[test]
fn neither_root_nor_the_owner_approves_what_they_asked_for() {
    let needs = Needs {
        peer_suffices: true,
        ..Needs::default()
    };
    for uid in [0, 900, 1003] {
        let requester = Requester {
            user: Some(Account::Number(uid)),
            key: None,
        };
        let court = Court::new(request_for(needs.clone(), requester));
        let own = by_peer(&court.request, uid, Answer::Grant);
        assert_eq!(court.refuses(own), Refused::OwnRequest, "{uid}");
        let court = Court::new(request_for(needs.clone(), asker()));
        let other = by_peer(&court.request, uid, Answer::Grant);
        assert_eq!(court.judge(&[other]).state, State::Approved, "{uid}");
    }
}

#[test]
fn one_person_counts_once_by_key_and_by_user() {
    let court = Court::new(request(2));
    let (anna, laptop) = (
        by(&court.request, "anna", Answer::Grant),
        by(&court.request, "laptop", Answer::Grant),
    );
    for second in [anna.clone(), laptop] {
        let told = court.judge(&[anna.clone(), second]);
        assert_eq!(told.state, State::Waiting { have: 1, need: 2 });
        assert!(matches!(&told.refused[..], [(1, Refused::Twice { .. })]));
    }
    let bert = by(&court.request, "bert", Answer::Grant);
    assert_eq!(court.judge(&[anna.clone(), bert]).state, State::Approved);
    let carla = by(&court.request, "carla", Answer::Grant);
    assert_eq!(court.judge(&[anna, carla]).state, State::Approved);
}

#[test]
fn a_key_and_the_socket_are_one_person() {
    let needs = Needs {
        approvals: 2,
        peer_suffices: true,
        who: vec![],
        ..Needs::default()
    };
    let mut court = Court::new(request_for(needs, asker()));
    court
        .directory
        .0
        .extend([listed("dora", Account::Number(1003))]);
    let key = by(&court.request, "dora", Answer::Grant);
    let socket = by_peer(&court.request, 1003, Answer::Grant);
    assert_eq!(
        court.judge(&[key, socket]).state,
        State::Waiting { have: 1, need: 2 }
    );
}

#[test]
fn a_denial_wins_before_and_after() {
    let court = Court::new(request(1));
    let grant = by(&court.request, "anna", Answer::Grant);
    let deny = by(&court.request, "bert", Answer::Deny);
    let same = by(&court.request, "anna", Answer::Deny);
    for pair in [
        [deny.clone(), grant.clone()],
        [grant.clone(), deny],
        [same.clone(), grant.clone()],
        [grant.clone(), same],
    ] {
        assert!(
            matches!(court.judge(&pair).state, State::Denied { .. }),
            "{pair:?}"
        );
    }
    // Who asked takes it back.
    let own = by_peer(&court.request, ASKER, Answer::Deny);
    assert!(matches!(
        court.judge(&[grant, own]).state,
        State::Denied { .. }
    ));
}

#[test]
fn a_denial_stays_when_its_key_is_revoked_later() {
    let mut court = Court::new(request(1));
    let deny = by(&court.request, "bert", Answer::Deny);
    let grant = by(&court.request, "anna", Answer::Grant);
    court.directory.0.get_mut("bert-key").unwrap().revoked = Some("lost".to_owned());
    let told = court.judge(&[deny, grant]);
    assert_eq!(told.state.to_string(), "denied by bert: because");
}

#[test]
fn used_once() {
    let mut court = Court::new(request(1));
    let grant = by(&court.request, "anna", Answer::Grant);
    court.used = true;
    assert_eq!(court.judge(&[grant]).state, State::Used);
}

#[test]
fn void_when_any_part_of_the_subject_is_another() {
    let other = Digest::of(b"other");
    for part in ["plan", "component", "grant", "settings"] {
        let mut court = Court::new(request(1));
        match part {
            "plan" => court.subject.plan = other,
            "component" => court.subject.component = other,
            "grant" => court.subject.grant = other,
            _ => court.subject.settings = other,
        }
        let grant = by(&court.request, "anna", Answer::Grant);
        assert_eq!(court.judge(&[grant]).state, State::Void(part));
    }
}

#[test]
fn two_expiries_to_the_millisecond() {
    let mut court = Court::new(request(1));
    let grant = by(&court.request, "anna", Answer::Grant);
    court.now = court.request.approve_by - 1;
    assert_eq!(court.judge(&[]).state, State::Waiting { have: 0, need: 1 });
    court.now = court.request.approve_by;
    assert_eq!(court.judge(&[]).state, State::Expired(Expiry::ToApprove));
    assert_eq!(
        court.judge(std::slice::from_ref(&grant)).state,
        State::Approved
    );
    court.now = court.request.execute_by - 1;
    assert_eq!(
        court.judge(std::slice::from_ref(&grant)).state,
        State::Approved
    );
    court.now = court.request.execute_by;
    assert_eq!(
        court.judge(&[grant]).state,
        State::Expired(Expiry::ToExecute)
    );
}

#[test]
fn late_answers_do_not_count_however_they_are_dated() {
    let mut court = Court::new(request(1));
    court.now = court.request.approve_by + 10;
    let mut late = by(&court.request, "anna", Answer::Grant);
    late.received = court.request.approve_by;
    assert_eq!(court.refuses(late.clone()), Refused::TooLate);
    late.received -= 1;
    assert_eq!(court.judge(&[late.clone()]).state, State::Approved);
    // Denied after it was approved, and before it ran.
    let mut stop = by(&court.request, "bert", Answer::Deny);
    stop.received = court.request.approve_by + 5;
    assert!(matches!(
        court.judge(&[late, stop]).state,
        State::Denied { .. }
    ));
}

#[test]
fn dates_before_the_request_or_in_the_future_are_refused() {
    let court = Court::new(request(1));
    let dated = |at: u64, received: u64| {
        let mut grant = by(&court.request, "anna", Answer::Grant);
        (grant.at, grant.received) = (at, received);
        grant
    };
    let edge = NOW - CLOCK_TOLERANCE_MS;
    assert_eq!(
        court.refuses(dated(edge - 1, NOW + 1)),
        Refused::BeforeRequest
    );
    assert_eq!(court.judge(&[dated(edge, NOW + 1)]).state, State::Approved);
    let edge = NOW + 1 + CLOCK_TOLERANCE_MS;
    assert!(matches!(
        court.refuses(dated(edge + 1, NOW + 1)),
        Refused::FutureDated { .. }
    ));
    assert_eq!(court.judge(&[dated(edge, NOW + 1)]).state, State::Approved);
    let ahead = court.refuses(dated(court.now + 1, court.now + 1));
    assert_eq!(ahead, Refused::FutureDated { ahead_ms: 1 });
    assert!(matches!(
        court.refuses(dated(u64::MAX, u64::MAX)),
        Refused::FutureDated { .. }
    ));
}

#[test]
fn replayed_for_another_request_or_node() {
    let court = Court::new(request(1));
    let mut other = request(1);
    other.run = RunId::new(NOW, [8; 10]);
    let replayed = by(&other, "anna", Answer::Grant);
    let id = other.id();
    assert_eq!(court.refuses(replayed), Refused::OtherRequest { found: id });
    let mut foreign = request(1);
    foreign.node = "node-8".to_owned();
    let statement = Statement::new(&foreign, Answer::Grant, NOW, "");
    assert!(matches!(
        statement.check(&court.request, NOW),
        Err(Refused::OtherNode { .. })
    ));
    let replayed = by(&foreign, "anna", Answer::Grant);
    assert!(matches!(
        court.refuses(replayed),
        Refused::OtherRequest { .. }
    ));
}

#[test]
fn keys_that_are_unknown_revoked_or_expired() {
    let mut court = Court::new(request(1));
    let stranger = by(&court.request, "stranger", Answer::Grant);
    assert!(matches!(court.refuses(stranger), Refused::NotListed { .. }));
    let grant = by(&court.request, "anna", Answer::Grant);
    let key = "anna-key";
    court.directory.0.get_mut(key).unwrap().not_after = Some(NOW + 1);
    assert!(matches!(
        court.refuses(grant.clone()),
        Refused::KeyExpired { .. }
    ));
    court.directory.0.get_mut(key).unwrap().not_after = Some(NOW + 2);
    assert_eq!(
        court.judge(std::slice::from_ref(&grant)).state,
        State::Approved
    );
    court.directory.0.get_mut(key).unwrap().revoked = Some("lost".to_owned());
    assert!(matches!(court.refuses(grant), Refused::KeyRevoked { .. }));
}

#[test]
fn the_socket_counts_where_the_policy_lets_it_and_for_approvers_alone() {
    let court = Court::new(request(1));
    let grant = by_peer(&court.request, 1003, Answer::Grant);
    assert_eq!(court.refuses(grant), Refused::SignatureWanted);
    let stranger = by_peer(&court.request, 1004, Answer::Grant);
    assert_eq!(court.refuses(stranger), Refused::NotApprover { uid: 1004 });
    let deny = by_peer(&court.request, 1004, Answer::Deny);
    assert_eq!(court.refuses(deny), Refused::NotApprover { uid: 1004 });
}

#[test]
fn whoever_the_policy_does_not_name_is_refused() {
    let who = |json: serde_json::Value| serde_json::from_value::<Who>(json).unwrap();
    let judged = |lists: Vec<Who>, decision: fn(&Request) -> Decision| {
        let needs = Needs {
            peer_suffices: true,
            who: lists,
            ..Needs::default()
        };
        let court = Court::new(request_for(needs, asker()));
        let decision = decision(&court.request);
        court.judge(&[decision])
    };
    let anna: fn(&Request) -> Decision = |r| by(r, "anna", Answer::Grant);
    let carla: fn(&Request) -> Decision = |r| by(r, "carla", Answer::Grant);
    let peer: fn(&Request) -> Decision = |r| by_peer(r, 1005, Answer::Grant);
    for (list, decision, passes) in [
        (who(serde_json::json!({ "keys": ["anna"] })), anna, true),
        (who(serde_json::json!({ "keys": ["bert"] })), anna, false),
        (who(serde_json::json!({ "users": [1001] })), anna, true),
        (who(serde_json::json!({ "groups": [500] })), anna, true),
        (who(serde_json::json!({ "groups": [501] })), anna, false),
        (
            who(serde_json::json!({ "roles": ["approver"] })),
            anna,
            false,
        ),
        (who(serde_json::json!({ "users": ["carla"] })), carla, true),
        // Without an account here nobody is in a group.
        (who(serde_json::json!({ "groups": [500] })), carla, false),
        (who(serde_json::json!({ "groups": [1005] })), peer, true),
    ] {
        let told = judged(vec![list.clone()], decision);
        assert_eq!(told.state == State::Approved, passes, "{list:?} {told:?}");
        if !passes {
            assert!(matches!(told.refused[0].1, Refused::NotAmong { .. }));
        }
    }
    let both = vec![
        who(serde_json::json!({ "keys": ["anna"] })),
        who(serde_json::json!({ "users": [1002] })),
    ];
    assert_ne!(judged(both, anna).state, State::Approved);
}
