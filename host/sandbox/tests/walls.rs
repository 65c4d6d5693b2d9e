//! Native code in the worker, after the walls: what an escape from Wasmtime could do.

mod common;

use common::{Notes, assignment, code, guest, look_with};
use keepwell_sandbox::{Outcome, landlock_abi, seccomp_available};

/// How the worker died when it tried this.
fn probe(what: &str) -> String {
    let mut notes = Notes::default();
    let file = code(&guest("", "", ""));
    let ended = look_with(&["probe", what], file, &assignment(), &mut notes);
    let walls = ended.walls.expect("the walls stood before the probe");
    assert!(walls.landlock.starts_with("enforced"), "{walls:?}");
    assert_eq!(walls.seccomp, "enforced");
    match ended.outcome {
        Outcome::Died { detail } => detail,
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn forbidden_system_calls_end_the_worker() {
    for what in [
        "write",
        "truncate",
        "connect",
        "exec",
        "fork",
        "map-code",
        "protect-code",
        "signal-parent",
        "prctl",
        "write-code",
    ] {
        let died = probe(what);
        assert!(died.contains("SIGSYS"), "{what}: {died}");
    }
    assert!(!std::path::Path::new("/tmp/keepwell-probe").exists());
}

#[test]
fn reading_outside_of_the_grant_is_refused_by_the_kernel() {
    for what in ["read-outside", "list-outside"] {
        let died = probe(what);
        assert!(
            died.contains("code 11") && died.contains("Permission denied"),
            "{what}: {died}"
        );
    }
}

#[test]
fn the_guest_runs_behind_the_same_walls() {
    let mut notes = Notes::default();
    let file = code(&guest("", "", ""));
    let ended = look_with(&["probe", "nothing"], file, &assignment(), &mut notes);
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
    let walls = ended.walls.unwrap();
    assert!(walls.no_new_privileges && walls.rlimits);
}

#[test]
fn this_kernel_is_known() {
    assert!(
        landlock_abi().is_some_and(|abi| abi >= 4),
        "{:?}",
        landlock_abi()
    );
    assert!(seccomp_available());
}
