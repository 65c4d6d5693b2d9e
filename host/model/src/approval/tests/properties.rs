//! What holds for any answers in any order at any time.

use super::*;
use proptest::prelude::*;

/// An answer by one of seven keys or four users of the socket, at some time, for one of two
/// requests.
fn any_decision() -> impl Strategy<Value = Decision> {
    let key = proptest::sample::select(vec![
        "anna",
        "laptop",
        "bert",
        "carla",
        "asker",
        "askers-other",
        "stranger",
    ])
    .prop_map(|name| Voice::Key(format!("{name}-key")));
    let peer = proptest::sample::select(vec![0u32, ASKER, 1003, 1004]).prop_map(|uid| {
        Voice::Peer(Peer {
            uid,
            gids: BTreeSet::new(),
        })
    });
    let answer = prop_oneof![4 => Just(Answer::Grant), 1 => Just(Answer::Deny)];
    let time = 0u64..60 * HOUR;
    (prop_oneof![key, peer], answer, time.clone(), time, 0u8..8).prop_map(
        |(approver, answer, at, received, other)| {
            let mut request = request(2);
            if other == 0 {
                request.run = RunId::new(NOW, [9; 10]);
            }
            Decision {
                request: request.id(),
                answer,
                approver,
                at: NOW - 2 * HOUR + at.min(received + HOUR),
                received: NOW - 2 * HOUR + received,
                reason: String::new(),
            }
        },
    )
}

proptest! {
    /// Approved means: enough different people other than who asked granted this very request in
    /// time, and nobody who is heard denied it. Counted here by other means.
    #[test]
    fn approved_by_enough_others(
        decisions in proptest::collection::vec(any_decision(), 0..12),
        after in 0u64..60 * HOUR, order in any::<u64>(),
    ) {
        let mut court = Court::new(request(2));
        court.now = NOW + after;
        let told = court.judge(&decisions);
        let people: BTreeSet<&str> = decisions.iter().filter(|d| {
            d.answer == Answer::Grant && d.request == court.request.id()
                && d.received < court.request.approve_by && d.received <= court.now
        }).filter_map(|d| match &d.approver {
            Voice::Key(key) => match key.as_str() {
                "anna-key" | "laptop-key" => Some("anna"),
                "bert-key" => Some("bert"),
                "carla-key" => Some("carla"),
                _ => None,
            },
            Voice::Peer(_) => None,
        }).collect();
        if told.state == State::Approved {
            prop_assert!(people.len() >= 2 && court.now < court.request.execute_by);
        }
        let fresh = |d: &&Decision| {
            d.received <= court.now && d.request == court.request.id()
                && d.at.min(d.received) >= NOW && d.at <= d.received
                && d.received < court.request.approve_by
        };
        let denied = decisions.iter().filter(fresh).any(|d| {
            let heard = match &d.approver {
                Voice::Key(key) => key != "stranger-key",
                Voice::Peer(peer) => peer.uid != 1004,
            };
            d.answer == Answer::Deny && heard
        });
        if denied {
            let is = matches!(told.state, State::Denied { .. });
            prop_assert!(is, "{:?}", told);
        }
        let mut turned = decisions.clone();
        let half = if turned.is_empty() { 0 } else { order as usize % turned.len() };
        turned.rotate_left(half);
        prop_assert_eq!(court.judge(&turned).state, told.state);
    }

    /// What is over stays over, whatever comes in later; and more answers never take an approval
    /// from few to none but by a denial.
    #[test]
    fn over_is_over(
        decisions in proptest::collection::vec(any_decision(), 0..12),
        first in 0u64..60 * HOUR, more in 0u64..60 * HOUR,
    ) {
        let mut court = Court::new(request(2));
        court.now = NOW + first;
        let earlier = court.judge(&decisions).state;
        court.now += more;
        let later = court.judge(&decisions).state;
        if earlier.is_over() {
            prop_assert!(later.is_over(), "{:?} became {:?}", earlier, later);
        }
        if earlier == State::Approved {
            let possible = matches!(later, State::Approved | State::Denied { .. }
                | State::Expired(Expiry::ToExecute));
            prop_assert!(possible, "{:?}", later);
        }
    }
}
