//! When a capability was called last, found without parsing: no guest's words pass for a call.

use crate::common::{about, fresh};
use keepwell_model::capability::Capability;
use keepwell_model::event::{Call, Event};

fn called(at: u64, function: &str, subject: &str, more: u64) -> keepwell_model::event::Record {
    let call = Call {
        function: function.into(),
        subject: subject.into(),
        result: "ok".into(),
    };
    let calls = vec![call];
    about(at, Event::Called { calls, more })
}

#[test]
fn the_newest_call_is_found() {
    let (_dir, journal) = fresh();
    let last = |capability, since| {
        let reader = journal.reader().unwrap();
        reader.last_use("temp-clean", capability, since).unwrap()
    };
    assert_eq!(last(Capability::Storage, 0), None);
    // What a guest names stands in quotes that are escaped, so that it is no call.
    let forged = r#"tmp","function":"metrics.get-cpu"#;
    journal
        .append(called(10, "storage.walk", "tmp", 0))
        .unwrap();
    journal
        .append(called(20, "storage-clean.quarantine", forged, 0))
        .unwrap();
    journal.flush().unwrap();
    assert_eq!(last(Capability::Storage, 0), Some(10));
    assert_eq!(last(Capability::Storage, 11), None);
    assert_eq!(last(Capability::StorageClean, 0), Some(20));
    assert_eq!(last(Capability::Metrics, 0), None);
    let reader = journal.reader().unwrap();
    let other = reader.last_use("other", Capability::Storage, 0);
    assert_eq!(other.unwrap(), None);
    // Beyond the calls that are kept it may have been any.
    journal
        .append(called(30, "storage.walk", "tmp", 7))
        .unwrap();
    journal.flush().unwrap();
    assert_eq!(last(Capability::Metrics, 0), Some(30));
}
