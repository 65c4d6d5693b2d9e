//! A worker from start to end, and workers that lie.

mod common;

use common::{
    LOG, MEMORY, Notes, ROOTS, assignment, code, component, guest, look_at, look_with, program,
    sealed,
};
use keepwell_model::id::RootName;
use keepwell_model::limits::LimitName;
use keepwell_model::units::Span;
use keepwell_sandbox::{
    Assignment, COMPONENT_MAX_BYTES, CompileError, Entry, Outcome, RootAt, Told, compile,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[test]
fn a_trivial_task_runs_and_tells() {
    let body = "(call $log (i32.const 1) (i32.const 16) (i32.const 5))";
    let (ended, notes) = look_at(&guest(LOG, "", body), &assignment());
    let Outcome::Summarized(summary) = ended.outcome else {
        panic!("{:?}", ended.outcome)
    };
    assert_eq!(
        (summary.line.as_str(), summary.data.as_str()),
        ("hello", "{}")
    );
    assert_eq!(notes.log(), ["hello"]);
    assert!(matches!(notes.told.first(), Some(Told::Ready(_))));
    assert!(ended.usage.fuel > 0 && ended.usage.worker_bytes > 0 && ended.usage.memory_bytes > 0);
}

#[test]
fn control_characters_do_not_reach_the_log() {
    let text = guest(
        LOG,
        r#"(data (i32.const 3000) "\1b[2J")"#,
        "(call $log (i32.const 1) (i32.const 3000) (i32.const 4))",
    );
    let (_, notes) = look_at(&text, &assignment());
    assert_eq!(notes.log(), ["\u{fffd}[2J"]);
}

#[test]
fn describe_and_review_are_called() {
    let text = guest(ROOTS, "", "(call $roots (i32.const 4096))");
    let described = Assignment {
        entry: Entry::Describe,
        ..assignment()
    };
    let (ended, _) = look_at(&text, &described);
    assert_eq!(ended.outcome, Outcome::Described("{}".into()));
    let before = keepwell_model::words::Summary {
        status: keepwell_model::words::Status::Done,
        line: "l".into(),
        data: "{}".into(),
    };
    let entry = Entry::Review {
        task: "t".into(),
        trigger: "manual".into(),
        before,
        done: 1,
        not_done: 0,
        applied: vec![],
    };
    let (ended, _) = look_at(
        &guest("", "", ""),
        &Assignment {
            entry,
            ..assignment()
        },
    );
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
}

/// The whole contract is linked, so a call is the only thing between a guest and what it was not
/// granted: it must answer `denied`, ask the host nothing, and let the guest go on.
#[test]
fn an_interface_that_was_not_granted_answers_denied_and_asks_nothing() {
    for (import, call, function) in [
        (ROOTS, "(call $roots (i32.const 4096))", "storage.roots"),
        (
            MEMORY,
            "(call $get_memory (i32.const 4096))",
            "metrics.get-memory",
        ),
        (STORES, "(call $stores (i32.const 4096))", "shards.stores"),
        (CLEAN, CLEAN_CALL, "storage-clean.quarantine"),
    ] {
        let (ended, notes) = look_at(&guest(import, "", call), &assignment());
        assert!(
            matches!(ended.outcome, Outcome::Summarized(_)),
            "{:?}",
            ended.outcome
        );
        assert_eq!(notes.calls(), [(function, "denied")]);
        assert!(notes.asked.is_empty(), "{function}: {:?}", notes.asked);
        let told = notes
            .told
            .iter()
            .any(|told| matches!(told, Told::Refused { refusal, .. } if refusal.hint.is_some()));
        assert!(told, "{function}: no hint");
    }
}

/// What is not in the contract at all does not link.
#[test]
fn an_import_outside_of_the_contract_does_not_run() {
    let text = r#"(component (import "wasi:cli/environment@0.2.0"
        (instance (export "get-environment" (func)))))"#;
    let code = compile(&program(), &["compile"], &wat::parse_str(text).unwrap()).unwrap();
    let ended = look_with(
        &["worker"],
        sealed(&code),
        &assignment(),
        &mut Notes::default(),
    );
    let Outcome::Trapped { message } = ended.outcome else {
        panic!("{:?}", ended.outcome)
    };
    assert!(message.contains("wasi:cli/environment"), "{message}");
}

const STORES: &str = r#"(import "keepwell:task/shards@0.1.0" "stores" (func $stores (param i32)))"#;
const CLEAN: &str = r#"(import "keepwell:task/storage-clean@0.1.0" "quarantine"
    (func $clean (param i32 i32 i32 i32 i32)))"#;
const CLEAN_CALL: &str = "(call $clean (i32.const 96) (i32.const 3) (i32.const 0) (i32.const 0)
    (i32.const 4096))";

#[test]
fn a_granted_root_is_seen_and_a_replaced_one_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let name = RootName::new("tmp").unwrap();
    let real = keepwell_node::root::Root::open(&name, dir.path())
        .unwrap()
        .identity();
    let text = guest(ROOTS, "", "(call $roots (i32.const 4096))");
    let run = |identity| {
        let at = RootAt {
            path: dir.path().to_owned(),
            identity,
        };
        let storage = BTreeMap::from([(name.clone(), at)]);
        look_at(
            &text,
            &Assignment {
                storage,
                ..assignment()
            },
        )
    };
    let (ended, notes) = run(Some(real));
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
    assert_eq!(notes.calls(), [("storage.roots", "ok")]);
    let (_, notes) = run(Some((real.0, real.1 + 1)));
    assert_eq!(notes.calls(), [("storage.roots", "gone")]);
    let (_, notes) = run(None);
    assert_eq!(notes.calls(), [("storage.roots", "gone")]);
}

#[test]
fn metrics_are_asked_of_the_host_and_an_answer_that_does_not_fit_ends_the_run() {
    let text = guest(MEMORY, "", "(call $get_memory (i32.const 4096))");
    let metrics = Assignment {
        metrics: true,
        ..assignment()
    };
    let (ended, notes) = look_at(&text, &metrics);
    assert_eq!(notes.asked.len(), 1);
    assert_eq!(notes.calls(), [("metrics.get-memory", "io")]);
    assert_eq!(ended.usage.refusals, 1);
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
}

#[test]
fn workers_that_speak_nonsense_are_ended_with_a_reason() {
    for (kind, said) in [
        ("random", "protocol"),
        ("huge", "protocol"),
        ("early", "protocol"),
        ("cut", "code 9"),
        ("silent", "code 9"),
        ("stderr", "out of cheese"),
    ] {
        let mut notes = Notes::default();
        let ended = look_with(&["nonsense", kind], sealed(b""), &assignment(), &mut notes);
        let Outcome::Died { detail } = ended.outcome else {
            panic!("{kind}: {:?}", ended.outcome)
        };
        assert!(detail.contains(said), "{kind}: {detail}");
        assert!(notes.told.is_empty(), "{kind}: {:?}", notes.told);
    }
}

#[test]
fn a_worker_that_hangs_is_killed_at_the_wall_limit() {
    let mut assignment = assignment();
    assignment.limits.wall = Span(Duration::from_millis(100));
    let began = Instant::now();
    let ended = look_with(
        &["nonsense", "hang"],
        sealed(b""),
        &assignment,
        &mut Notes::default(),
    );
    assert!(matches!(
        ended.outcome,
        Outcome::Limited {
            limit: LimitName::Wall,
            ..
        }
    ));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_broker_that_has_enough_and_a_cancel_end_the_worker() {
    let text = guest(
        LOG,
        "",
        "(loop $l (call $log (i32.const 1) (i32.const 16) (i32.const 5)) (br $l))",
    );
    let mut notes = Notes {
        stop_at: Some(3),
        ..Notes::default()
    };
    let ended = look_with(&["worker"], code(&text), &assignment(), &mut notes);
    assert_eq!((ended.outcome, notes.told.len()), (Outcome::Cancelled, 3));
    let (program, assignment) = (program(), assignment());
    let launch = keepwell_sandbox::Launch {
        program: &program,
        args: &["nonsense", "hang"],
        code: sealed(b""),
        assignment: &assignment,
    };
    let cancelled = std::sync::atomic::AtomicBool::new(true);
    let ended = keepwell_sandbox::look(launch, &mut Notes::default(), &cancelled);
    assert_eq!(ended.outcome, Outcome::Cancelled);
}

#[test]
fn code_that_is_not_ours_does_not_load() {
    for bytes in [&b"\x7fELF and no more"[..], b""] {
        let ended = look_with(
            &["worker"],
            sealed(bytes),
            &assignment(),
            &mut Notes::default(),
        );
        assert!(
            matches!(ended.outcome, Outcome::Died { .. }),
            "{:?}",
            ended.outcome
        );
    }
    let unsealed = tempfile::tempfile().unwrap();
    let ended = look_with(&["worker"], unsealed, &assignment(), &mut Notes::default());
    let Outcome::Died { detail } = ended.outcome else {
        panic!("{:?}", ended.outcome)
    };
    assert!(detail.contains("no seal"), "{detail}");
}

#[test]
fn what_is_no_component_is_not_compiled() {
    let refused = |bytes: &[u8]| compile(&program(), &["compile"], bytes).unwrap_err();
    assert!(matches!(refused(b"nonsense"), CompileError::Refused(_)));
    assert!(matches!(
        refused(&vec![0; COMPONENT_MAX_BYTES + 1]),
        CompileError::TooLarge(_)
    ));
    let mut cut = component(&guest("", "", ""));
    cut.truncate(cut.len() / 2);
    assert!(matches!(refused(&cut), CompileError::Refused(_)));
}

#[test]
fn features_that_are_off_are_refused_when_compiling() {
    let text = "(component (core module (memory i64 1)))";
    let refused = compile(&program(), &["compile"], &wat::parse_str(text).unwrap()).unwrap_err();
    assert!(matches!(refused, CompileError::Refused(_)), "{refused}");
}
