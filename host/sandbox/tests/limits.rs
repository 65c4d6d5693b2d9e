//! Guests that want too much: each limit ends the run with its name, in time.

mod common;

use common::{LOG, assignment, guest, look_at};
use keepwell_model::limits::{LimitName, Limits};
use keepwell_model::units::{Bytes, Span};
use keepwell_sandbox::{Assignment, Outcome};
use std::time::{Duration, Instant};

fn with(limits: Limits) -> Assignment {
    Assignment {
        limits,
        ..assignment()
    }
}

fn ms(ms: u64) -> Span {
    Span(Duration::from_millis(ms))
}

fn limited(text: &str, limits: Limits) -> LimitName {
    match look_at(text, &with(limits)).0.outcome {
        Outcome::Limited { limit, .. } => limit,
        other => panic!("not limited: {other:?}"),
    }
}

const FOREVER: &str = "(loop $l (br $l))";

#[test]
fn an_infinite_loop_ends_at_its_cpu_limit_soon() {
    let text = guest("", "", FOREVER);
    let file = common::code(&text);
    let limits = Limits {
        cpu: ms(100),
        fuel: u64::MAX / 2,
        ..Limits::default()
    };
    let began = Instant::now();
    let mut notes = common::Notes::default();
    let ended = common::look_with(&["worker"], file, &with(limits), &mut notes);
    assert!(
        matches!(
            ended.outcome,
            Outcome::Limited {
                limit: LimitName::Cpu,
                ..
            }
        ),
        "{:?}",
        ended.outcome
    );
    // 100 ms of CPU time, and as much again; on a busy machine CPU time is not wall time.
    assert!(ended.usage.cpu_us < 200_000, "{:?}", ended.usage);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_infinite_loop_ends_at_its_wall_limit() {
    let limits = Limits {
        wall: ms(150),
        fuel: u64::MAX / 2,
        ..Limits::default()
    };
    let (ended, _) = look_at(&guest("", "", FOREVER), &with(limits));
    assert!(matches!(
        ended.outcome,
        Outcome::Limited {
            limit: LimitName::Wall,
            ..
        }
    ));
    assert!(ended.usage.wall_us < 2_000_000, "{:?}", ended.usage);
}

#[test]
fn an_infinite_loop_ends_when_its_fuel_is_gone_and_the_count_is_the_same_each_time() {
    let limits = Limits {
        fuel: 1_000_000,
        ..Limits::default()
    };
    let first = look_at(&guest("", "", FOREVER), &with(limits.clone())).0;
    assert!(matches!(
        first.outcome,
        Outcome::Limited {
            limit: LimitName::Fuel,
            ..
        }
    ));
    let second = look_at(&guest("", "", FOREVER), &with(limits)).0;
    assert_eq!(first.usage.fuel, second.usage.fuel);
    assert!(first.usage.fuel >= 1_000_000 - 10);
}

#[test]
fn a_loop_in_a_start_function_is_bounded_too() {
    let start = "(func $spin (loop $l (br $l))) (start $spin)";
    let limits = Limits {
        fuel: 1_000_000,
        ..Limits::default()
    };
    assert_eq!(limited(&guest("", start, ""), limits), LimitName::Fuel);
}

#[test]
fn memory_is_bounded_at_growth_and_from_the_start() {
    let limits = Limits {
        memory: Bytes(1 << 20),
        ..Limits::default()
    };
    let grow = "(loop $l (drop (memory.grow (i32.const 1))) (br $l))";
    assert_eq!(
        limited(&guest("", "", grow), limits.clone()),
        LimitName::Memory
    );
    let large = guest("", "", "").replace("\"memory\") 2)", "\"memory\") 600)");
    assert_eq!(limited(&large, limits.clone()), LimitName::Memory);
    let table = guest("", "(table 1000000 funcref)", "");
    assert_eq!(limited(&table, limits), LimitName::Memory);
}

#[test]
fn the_stack_is_bounded() {
    let deep = "(func $deep (param i32) (result i32)
        (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (local.get 0)))";
    let body = "(drop (call $deep (i32.const 0)))";
    assert_eq!(
        limited(&guest("", deep, body), Limits::default()),
        LimitName::Stack
    );
}

#[test]
fn a_flood_of_log_is_bounded() {
    let body = "(loop $l (call $log (i32.const 1) (i32.const 16) (i32.const 4096)) (br $l))";
    let limits = Limits {
        log: Bytes(64 << 10),
        ..Limits::default()
    };
    let (ended, notes) = look_at(&guest(LOG, "", body), &with(limits));
    assert!(matches!(
        ended.outcome,
        Outcome::Limited {
            limit: LimitName::Log,
            ..
        }
    ));
    assert!(notes.log().iter().map(|line| line.len()).sum::<usize>() <= 64 << 10);
}

#[test]
fn one_call_cannot_move_more_than_it_may() {
    let body = "(drop (memory.grow (i32.const 300)))
        (call $log (i32.const 1) (i32.const 16) (i32.const 16000000))";
    assert_eq!(
        limited(&guest(LOG, "", body), Limits::default()),
        LimitName::Call
    );
}

#[test]
fn an_answer_over_the_limit_is_not_kept() {
    // The second page, which holds zeros: valid text.
    let long = guest("", "", "")
        .replace(
            "(i32.store (i32.const 1040) (i32.const 64))",
            "(i32.store (i32.const 1040) (i32.const 65536))",
        )
        .replace(
            "(i32.store (i32.const 1044) (i32.const 2))",
            "(i32.store (i32.const 1044) (i32.const 60000))",
        );
    let limits = Limits {
        output: Bytes(1 << 10),
        ..Limits::default()
    };
    assert_eq!(limited(&long, limits), LimitName::Output);
}

#[test]
fn a_trap_is_told_and_the_next_run_is_unaffected() {
    let (ended, _) = look_at(&guest("", "", "unreachable"), &assignment());
    let Outcome::Trapped { message } = ended.outcome else {
        panic!("{:?}", ended.outcome)
    };
    assert!(message.contains("unreachable"), "{message}");
    let (ended, _) = look_at(&guest("", "", ""), &assignment());
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
}
