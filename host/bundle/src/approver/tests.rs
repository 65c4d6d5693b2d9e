//! Signed answers attacked on their way in, and the file that says whose count.

use super::*;
use crate::envelope::{Envelope, PAYLOAD_TYPE};
use crate::key::SecretKey;
use crate::sshsig::SSH_NAMESPACE;
use crate::sshsig::tests::{SOUND, have, ssh_keygen};
use keepwell_model::approval::{
    Answer, Case, Decision, Refused, Request, Requester, State, Statement, Subject, Voice, judge,
};
use keepwell_model::id::{Digest, RunId, TaskName};
use keepwell_model::policy::Needs;
use keepwell_model::role::{AccountName, Roles};
use proptest::prelude::*;

const NOW: u64 = 1_764_000_000_000;

fn key(n: u8) -> SecretKey {
    SecretKey::generate([n; 32])
}

fn subject() -> Subject {
    Subject {
        plan: Digest::of(b"plan"),
        component: Digest::of(b"component"),
        grant: Digest::of(b"grant"),
        settings: Digest::of(b"settings"),
    }
}

fn request_on(node: &str) -> Request {
    let requester = Requester {
        user: Some(Account::Number(1000)),
        key: None,
    };
    let task = TaskName::new("temp-clean").unwrap();
    let run = RunId::new(NOW, [7; 10]);
    Request::new(node, task, run, requester, subject(), Needs::default(), NOW).unwrap()
}

fn request() -> Request {
    request_on("node-7")
}

fn approver(n: u8, user: u32) -> Approver {
    Approver {
        key: key(n).public(),
        user: Account::Number(user),
        not_after: None,
        revoked: None,
    }
}

/// `anna` holds key 1, `bert` key 2, and who asked key 3.
fn approvers() -> Approvers {
    let mut it = Approvers::default();
    for (name, n, user) in [("anna", 1, 1001), ("bert", 2, 1002), ("asker", 3, 1000)] {
        it.add(name, approver(n, user)).unwrap();
    }
    it
}

fn grant() -> Statement {
    Statement::new(&request(), Answer::Grant, NOW + 1, "looked at it")
}

fn verify(bytes: &[u8]) -> Result<Decision, Refused> {
    verify_decision(bytes, &approvers(), &request(), NOW + 2)
}

/// The statement in both forms, signed with key `n`.
fn both_forms(statement: &Statement, n: u8) -> [Vec<u8>; 2] {
    let armored = SOUND.sign(&key(n), &statement.to_bytes());
    [
        sign_statement(statement, &key(n)).unwrap(),
        with_ssh_signature(statement, &armored),
    ]
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

fn judged(approvers: &Approvers, decisions: &[Decision]) -> State {
    judge(&Case {
        request: &request(),
        decisions,
        subject: &subject(),
        used: false,
        directory: &approvers.directory(&NoNames).unwrap(),
        roles: &Roles::default(),
        now: NOW + 10,
    })
    .state
}

#[test]
fn signed_either_way_and_approved() {
    for bytes in both_forms(&grant(), 1) {
        let decision = verify(&bytes).unwrap();
        assert_eq!(decision.approver, Voice::Key(key(1).public().key_id()));
        assert_eq!((decision.at, decision.received), (NOW + 1, NOW + 2));
        assert_eq!(judged(&approvers(), &[decision]), State::Approved);
    }
    // Both forms of one key are one person's, and who asked does not count.
    let [own, ssh] = both_forms(&grant(), 3).map(|bytes| verify(&bytes).unwrap());
    assert!(matches!(
        judged(&approvers(), &[own, ssh]),
        State::Waiting { have: 0, .. }
    ));
}

#[test]
fn strangers_and_forgeries() {
    for bytes in both_forms(&grant(), 9) {
        assert!(matches!(verify(&bytes), Err(Refused::NotListed { .. })));
    }
    let forged = Err(Refused::Forged {
        name: "anna".to_owned(),
    });
    // Signed by a stranger and said to be anna's.
    let text = String::from_utf8(sign_statement(&grant(), &key(9)).unwrap()).unwrap();
    let claimed = text.replace(&key(9).public().key_id(), &key(1).public().key_id());
    assert_eq!(verify(claimed.as_bytes()), forged);
    // A denial turned into a grant.
    let deny = Statement::new(&request(), Answer::Deny, NOW + 1, "looked at it");
    let armored = SOUND.sign(&key(1), &deny.to_bytes());
    assert_eq!(verify(&with_ssh_signature(&grant(), &armored)), forged);
}

#[test]
fn signatures_made_for_something_else() {
    let mut bundle = Envelope::new(PAYLOAD_TYPE, grant().to_bytes());
    bundle.sign(&key(1)).unwrap();
    let bytes = bundle.to_bytes().unwrap();
    assert!(matches!(verify(&bytes), Err(Refused::Damaged(_))));
    let text = String::from_utf8(bytes).unwrap();
    let renamed = text.replace(PAYLOAD_TYPE, APPROVAL_TYPE);
    assert!(matches!(
        verify(renamed.as_bytes()),
        Err(Refused::Forged { .. })
    ));
    let mut parts = SOUND;
    parts.namespace = "file";
    let armored = parts.sign(&key(1), &grant().to_bytes());
    assert!(matches!(
        verify(&with_ssh_signature(&grant(), &armored)),
        Err(Refused::Damaged(_))
    ));
    parts = SOUND;
    parts.key_kind = "sk-ssh-ed25519@openssh.com";
    let armored = parts.sign(&key(1), &grant().to_bytes());
    assert!(matches!(
        verify(&with_ssh_signature(&grant(), &armored)),
        Err(Refused::Key(_))
    ));
    // The request itself, signed, is not an answer.
    let mut asked = Envelope::new(APPROVAL_TYPE, request().to_bytes());
    asked.sign(&key(1)).unwrap();
    assert!(matches!(
        verify(&asked.to_bytes().unwrap()),
        Err(Refused::Damaged(_))
    ));
}

#[test]
fn foreign_nodes_other_requests_and_bad_dates() {
    let foreign = Statement::new(&request_on("node-8"), Answer::Grant, NOW + 1, "");
    let mut other = request();
    other.subject.plan = Digest::of(b"another plan");
    let replayed = Statement::new(&other, Answer::Grant, NOW + 1, "");
    let future = Statement::new(&request(), Answer::Grant, NOW + 3_600_000, "");
    let before = Statement::new(&request(), Answer::Grant, NOW - 3_600_000, "");
    let long = Statement::new(&request(), Answer::Grant, NOW + 1, &"r".repeat(1_025));
    for (statement, code) in [
        (foreign, "other-node"),
        (replayed, "other-request"),
        (future, "future-dated"),
        (before, "before-request"),
        (long, "reason"),
    ] {
        for bytes in both_forms(&statement, 1) {
            assert_eq!(verify(&bytes).unwrap_err().code(), code);
        }
    }
    for bytes in both_forms(&grant(), 1) {
        let late = request().approve_by;
        let refused = verify_decision(&bytes, &approvers(), &request(), late);
        assert_eq!(refused, Err(Refused::TooLate));
    }
}

#[test]
fn revoked_and_expired_keys_count_neither_now_nor_before() {
    let [own, ssh] = both_forms(&grant(), 1);
    let earlier = verify(&own).unwrap();
    let with = |change: fn(&mut Approver)| {
        let mut approvers = approvers();
        change(approvers.0.get_mut("anna").unwrap());
        approvers
    };
    let revoked = with(|a| a.revoked = Some("lost".to_owned()));
    let expired = with(|a| a.not_after = Some(NOW));
    for (approvers, code) in [(&revoked, "key-revoked"), (&expired, "key-expired")] {
        for bytes in [&own, &ssh] {
            let refused = verify_decision(bytes, approvers, &request(), NOW + 2);
            assert_eq!(refused.unwrap_err().code(), code);
        }
        let state = judged(approvers, std::slice::from_ref(&earlier));
        assert!(matches!(state, State::Waiting { have: 0, .. }), "{code}");
    }
}

#[test]
fn odd_containers() {
    let [own, ssh] = both_forms(&grant(), 1);
    let mut two = Envelope::new(APPROVAL_TYPE, grant().to_bytes());
    let none = two.to_bytes().unwrap();
    two.sign(&key(1)).unwrap();
    two.sign(&key(2)).unwrap();
    for bad in [
        vec![],
        b"\n\n\n".to_vec(),
        b"{}".to_vec(),
        grant().to_bytes(),
        none,
        two.to_bytes().unwrap(),
        [&own[..], b"\n"].concat(),
        [&ssh[..], &ssh].concat(),
        [&ssh[..], &[0xff]].concat(),
        vec![b'{'; ANSWER_MAX_BYTES + 1],
    ] {
        assert!(
            matches!(verify(&bad), Err(Refused::Damaged(_))),
            "{:.60}",
            String::from_utf8_lossy(&bad)
        );
    }
    let longest = Statement::new(&request(), Answer::Deny, NOW, &"\u{1}".repeat(1_024));
    for bytes in both_forms(&longest, 1) {
        assert!(bytes.len() <= ANSWER_MAX_BYTES && verify(&bytes).is_ok());
    }
}

#[test]
fn the_real_tool_approves() {
    if !have("ssh-keygen") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    ssh_keygen(
        dir.path(),
        &[
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "dora@desk",
            "-f",
            "key",
        ],
    );
    std::fs::write(dir.path().join("answer"), grant().to_bytes()).unwrap();
    ssh_keygen(
        dir.path(),
        &["-Y", "sign", "-n", SSH_NAMESPACE, "-f", "key", "answer"],
    );
    let line = read("key.pub");
    let text = format!(
        "[approvers.dora]\nkey = \"{}\"\nuser = \"dora\"\n",
        line.trim_end()
    );
    let approvers = Approvers::parse(&text).unwrap();
    let bytes = with_ssh_signature(&grant(), &read("answer.sig"));
    let decision = verify_decision(&bytes, &approvers, &request(), NOW + 2).unwrap();
    assert_eq!(judged(&approvers, &[decision]), State::Approved);
}

fn text() -> String {
    let public = key(1).public();
    format!(
        "[approvers.anna]\nkey = \"{public}\"\nuser = 1001\nnot-after = 2027-01-31T00:00:00Z\n\
         revoked = \"lost with the laptop\"\n"
    )
}

#[test]
fn read_written_and_read_again() {
    let approvers = Approvers::parse(&text()).unwrap();
    assert_eq!(approvers.to_toml().unwrap(), text());
    assert_eq!(approvers.all()["anna"].not_after, Some(1_801_353_600_000));
    let offset = text().replace("00:00:00Z", "02:00:00+02:00");
    assert_eq!(Approvers::parse(&offset).unwrap(), approvers);
    assert_eq!(Approvers::parse("").unwrap(), Approvers::default());
}

#[test]
fn errors_say_where() {
    let text = text();
    let at = |bad: &str| {
        let span = Approvers::parse(bad).unwrap_err().span().unwrap();
        bad[span].to_owned()
    };
    assert_eq!(at(&text.replace("not-after", "until")), "until");
    assert_eq!(at(&text.replace("T00:00:00Z", "")), "2027-01-31");
    assert_eq!(
        at(&text.replace("00:00:00Z", "00:00:00")),
        "2027-01-31T00:00:00"
    );
    assert_eq!(at(&text.replace("1001", "\"a b\"")), "\"a b\"");
    assert_eq!(
        at(&text.replace("approvers.anna", "approvers.Anna")),
        "Anna"
    );
    assert_eq!(at(&text.replace("lost with the laptop", " ")), "anna");
    assert!(at(&text.replace("ed25519:", "ssh-rsa ")).starts_with("\"ssh-rsa"));
    assert_eq!(at(&format!("{text}{}", text.replace("anna]", "b]"))), "b");
    assert!(Approvers::parse(&text.replace("user = 1001\n", "")).is_err());
    let (mut many, plain) = (Approvers::default(), approver(0, 1));
    for n in 0..APPROVERS_MAX {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        let key = SecretKey::generate(seed).public();
        many.add(
            &format!("a{n}"),
            Approver {
                key,
                ..plain.clone()
            },
        )
        .unwrap();
    }
    let full = many.add("b", approver(255, 1)).unwrap_err();
    assert!(full.to_string().contains("already 256"), "{full}");
}

#[test]
fn a_directory_needs_accounts_that_can_be_looked_up() {
    struct Down;
    impl Accounts for Down {
        fn uid(&self, _: &AccountName) -> Result<Option<u32>, LookupFailed> {
            Err(LookupFailed("no answer".to_owned()))
        }
        fn gid(&self, _: &AccountName) -> Result<Option<u32>, LookupFailed> {
            Ok(None)
        }
        fn groups_of(&self, _: u32) -> Result<BTreeSet<u32>, LookupFailed> {
            Ok(BTreeSet::new())
        }
    }
    let named = Approvers::parse(&text().replace("1001", "\"anna\"")).unwrap();
    assert!(named.directory(&Down).is_err());
    let listed = &named.directory(&NoNames).unwrap().0[&key(1).public().key_id()];
    assert_eq!(listed.user.to_string(), "anna");
}

proptest! {
    /// Whatever a single byte becomes, the answer is refused.
    #[test]
    fn no_byte_is_free_to_vary(form in 0usize..2, at in 0usize..4_000, to in any::<u8>()) {
        let mut bytes = both_forms(&grant(), 1)[form].clone();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        prop_assert!(verify(&bytes).is_err(), "byte {} to {}", at, to);
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify(&bytes).is_err());
        let braced = verify(&[b"{", &bytes[..]].concat());
        prop_assert!(braced.is_err());
        prop_assert!(verify(&[&grant().to_bytes()[..], &bytes].concat()).is_err());
    }
}
