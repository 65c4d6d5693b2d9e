//! Who may do what, and how accounts are read.

use super::*;
use proptest::prelude::*;

struct Passwd;

impl Accounts for Passwd {
    fn uid(&self, name: &AccountName) -> Result<Option<u32>, LookupFailed> {
        match name.as_str() {
            "backup" => Ok(Some(34)),
            "down" => Err(LookupFailed("no answer".to_owned())),
            _ => Ok(None),
        }
    }
    fn gid(&self, name: &AccountName) -> Result<Option<u32>, LookupFailed> {
        Ok((name.as_str() == "wheel").then_some(10))
    }
    fn groups_of(&self, _: u32) -> Result<BTreeSet<u32>, LookupFailed> {
        Ok(BTreeSet::new())
    }
}

fn table(json: serde_json::Value) -> RolesTable {
    serde_json::from_value(json).unwrap()
}

fn peer(uid: u32, gids: &[u32]) -> Peer {
    Peer {
        uid,
        gids: gids.iter().copied().collect(),
    }
}

#[test]
fn users_and_groups_by_number_and_by_name() {
    let roles = table(serde_json::json!({
        "operator": { "users": [1001, "backup"] }, "auditor": { "groups": ["wheel"] }
    }));
    let roles = roles.resolve(1000, &Passwd).unwrap();
    for who in [
        peer(1001, &[]),
        peer(34, &[]),
        peer(0, &[]),
        peer(1000, &[]),
    ] {
        assert_eq!(may(&roles, &who, Role::Operator), Ok(()));
        assert_eq!(may_use(&roles, &who, "runs list"), Ok(()));
    }
    assert!(roles.holds(&peer(5, &[4, 10]), Role::Auditor));
    assert!(!roles.holds(&peer(5, &[4, 10]), Role::Viewer));
    let denial = may_use(&roles, &peer(10, &[34]), "run").unwrap_err();
    assert_eq!(denial.place, "roles.operator");
    let hint = denial.hint.unwrap();
    assert!(hint.contains("`operator = { users = [10] }`"), "{hint}");
}

#[test]
fn names_nobody_has_and_lookups_that_fail_are_errors() {
    let resolve = |json| table(json).resolve(1000, &Passwd).unwrap_err();
    assert!(matches!(
        resolve(serde_json::json!({ "viewer": { "users": ["nobody-here"] } })),
        Unresolved::User { .. }
    ));
    assert!(matches!(
        resolve(serde_json::json!({ "viewer": { "groups": ["backup"] } })),
        Unresolved::Group { .. }
    ));
    assert!(matches!(
        resolve(serde_json::json!({ "viewer": { "users": ["down"] } })),
        Unresolved::Lookup(_)
    ));
}

#[test]
fn what_is_no_account_or_role_is_refused() {
    for bad in [
        serde_json::json!({ "operators": {} }),
        serde_json::json!({ "operator": { "user": [] } }),
        serde_json::json!({ "operator": { "users": ["0"] } }),
        serde_json::json!({ "operator": { "users": [-1] } }),
        serde_json::json!({ "operator": { "users": [4_294_967_296_u64] } }),
        serde_json::json!({ "operator": { "users": ["a b"] } }),
        serde_json::json!({ "operator": { "users": ["a:b"] } }),
        serde_json::json!({ "operator": { "users": [""] } }),
        serde_json::json!({ "operator": { "users": ["x".repeat(257)] } }),
        serde_json::json!({ "operator": { "users": [null] } }),
    ] {
        assert!(
            serde_json::from_value::<RolesTable>(bad.clone()).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn the_table_is_sorted_so_that_looking_up_finds() {
    assert!(VERBS.is_sorted_by(|(a, _), (b, _)| a < b));
    for (verb, role) in VERBS {
        assert_eq!(needed(verb), Some(*role));
    }
    assert_eq!(needed("runs"), None);
}

#[test]
fn an_unknown_verb_is_denied_even_to_root() {
    let denial = may_use(&Roles::default(), &peer(0, &[]), "runs lsit").unwrap_err();
    assert_eq!(denial.hint.unwrap(), "did you mean `runs list`?");
}

proptest! {
    /// Nobody holds what no line gives: the user, a group of theirs, and no wider role.
    #[test]
    fn held_only_by_a_line(
        uid in 1u32..6, gids in proptest::collection::btree_set(0u32..6, 0..3),
        given in 0usize..6, asked in 0usize..6, to_user in any::<bool>(), number in 0u32..6,
    ) {
        let (given, asked) = (Role::ALL[given], Role::ALL[asked]);
        let account = vec![Account::Number(number)];
        let members = if to_user {
            Members { users: account, groups: vec![] }
        } else {
            Members { users: vec![], groups: account }
        };
        let roles = RolesTable(BTreeMap::from([(given, members)])).resolve(99, &Passwd).unwrap();
        let among = if to_user { number == uid } else { gids.contains(&number) };
        let held = roles.holds(&Peer { uid, gids }, asked);
        prop_assert_eq!(held, among && given.includes(asked));
    }
}

#[test]
fn what_only_looks_has_a_role_and_is_known_by_its_first_words() {
    assert!(LOOKS.is_sorted());
    for verb in LOOKS {
        assert!(needed(verb).is_some(), "{verb}");
    }
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(look(&words("runs list --json")), Some("runs list"));
    assert_eq!(look(&words("task state list")), Some("task state list"));
    assert_eq!(look(&words("status")), Some("status"));
    for no in [
        "run",
        "--node x status",
        "runs",
        "audit verify",
        "task state show x",
        "",
    ] {
        assert_eq!(look(&words(no)), None, "{no}");
    }
}
