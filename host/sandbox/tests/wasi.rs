//! The inert WASI: what it gives, and that nothing of it is without a bound.
#![expect(clippy::unwrap_used, reason = "test code ends on the first surprise")]

mod common;

use common::{Notes, assignment, guest, look_with, program, sealed};
use keepwell_model::limits::{LimitName, Limits};
use keepwell_model::units::{Bytes, Span};
use keepwell_model::words::Level;
use keepwell_sandbox::{Assignment, Ended, Outcome, Told, compile};
use std::time::{Duration, Instant};

/// As `common::component`, with a world that imports WASI too.
fn component(text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    for wit in ["/../../wit", "/wit"] {
        let path = format!("{}{wit}", env!("CARGO_MANIFEST_DIR"));
        resolve.push_path(path).unwrap();
    }
    let both = "package test:guest; world guest {
        include keepwell:task/plugin@0.1.0; include keepwell:inert/inert@0.1.0; }";
    let package = resolve.push_str("guest.wit", both).unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    let utf8 = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, utf8).unwrap();
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder.module(&module).unwrap().encode().unwrap()
}

const IMPORTS: &str = r#"
  (import "wasi:random/random@0.2.12" "get-random-bytes" (func $random (param i64 i32)))
  (import "wasi:random/insecure@0.2.12" "get-insecure-random-bytes" (func $insecure (param i64 i32)))
  (import "wasi:random/insecure-seed@0.2.12" "insecure-seed" (func $seed (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.12" "now" (func $now (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $after (param i64) (result i32)))
  (import "wasi:clocks/wall-clock@0.2.12" "now" (func $wall (param i32)))
  (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.12" "poll" (func $poll (param i32 i32 i32)))
  (import "wasi:cli/stdin@0.2.12" "get-stdin" (func $stdin (result i32)))
  (import "wasi:cli/stdout@0.2.12" "get-stdout" (func $stdout (result i32)))
  (import "wasi:cli/stderr@0.2.12" "get-stderr" (func $stderr (result i32)))
  (import "wasi:io/streams@0.2.12" "[method]input-stream.read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.12" "[method]output-stream.check-write" (func $check (param i32 i32)))
  (import "wasi:io/streams@0.2.12" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.12" "[method]output-stream.write-zeroes" (func $zeroes (param i32 i64 i32)))
  (import "wasi:cli/environment@0.2.12" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/environment@0.2.12" "get-arguments" (func $arguments (param i32)))
  (import "wasi:cli/exit@0.2.12" "exit-with-code" (func $exit (param i32)))
  (import "wasi:filesystem/preopens@0.2.12" "get-directories" (func $directories (param i32)))
  (import "wasi:filesystem/types@0.2.12" "[method]descriptor.get-type" (func $type (param i32 i32)))"#;

fn look_as(assignment: &Assignment, body: &str) -> (Ended, Notes) {
    let data = r#"(data (i32.const 128) "one\ntwo")"#;
    let text = guest(IMPORTS, data, body);
    let code = sealed(&compile(&program(), &["compile"], &component(&text)).unwrap());
    let mut notes = Notes::default();
    let ended = look_with(&["worker"], code, assignment, &mut notes);
    (ended, notes)
}

fn look(body: &str) -> (Ended, Notes) {
    look_as(&assignment(), body)
}

#[track_caller]
fn done(body: &str) -> Notes {
    let (ended, notes) = look(body);
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
    notes
}

#[track_caller]
fn limited(body: &str, expected: LimitName) {
    let (ended, _) = look(body);
    let Outcome::Limited { limit, .. } = ended.outcome else {
        panic!("{:?}", ended.outcome);
    };
    assert_eq!(limit, expected);
}

#[track_caller]
fn trapped(body: &str, words: &str) {
    let (ended, _) = look(body);
    let Outcome::Trapped { message } = ended.outcome else {
        panic!("{:?}", ended.outcome);
    };
    assert!(message.contains(words), "{message}");
}

/// Traps unless the i32 at `at` is `value`.
fn must_be(at: u32, value: u32) -> String {
    format!("(if (i32.ne (i32.load (i32.const {at})) (i32.const {value})) (then unreachable))")
}

#[test]
fn nothing_was_handed_over() {
    let mut body = String::new();
    for (function, at) in [
        ("environment", 4_096),
        ("arguments", 4_104),
        ("directories", 4_112),
    ] {
        body.push_str(&format!("(call ${function} (i32.const {at}))"));
        // The length of the list.
        body.push_str(&must_be(at + 4, 0));
    }
    // Standard input is at its end: an error, and the error is `closed`.
    body.push_str("(call $read (call $stdin) (i64.const 10) (i32.const 4120))");
    body.push_str("(if (i32.ne (i32.load8_u (i32.const 4120)) (i32.const 1)) (then unreachable))");
    body.push_str("(if (i32.ne (i32.load8_u (i32.const 4124)) (i32.const 1)) (then unreachable))");
    done(&body);
}

#[test]
fn a_file_that_was_not_handed_over_cannot_be_guessed() {
    for number in [0, 1, 3, 4] {
        // Numbers of other resources are there; none of them is a file.
        let body = format!(
            "(drop (call $stdout)) (drop (call $stdin))
             (call $type (i32.const {number}) (i32.const 4096))"
        );
        trapped(&body, "handle");
    }
}

#[test]
fn what_is_printed_are_lines_of_the_log() {
    let notes = done(
        "(call $write (call $stdout) (i32.const 128) (i32.const 7) (i32.const 4096))
         (call $write (call $stderr) (i32.const 128) (i32.const 3) (i32.const 4096))
         (call $write (call $stdout) (i32.const 16) (i32.const 5) (i32.const 4096))",
    );
    let lines: Vec<(Level, &str)> = (notes.told.iter())
        .filter_map(|told| match told {
            Told::Logged(line) => Some((line.level, line.message.as_str())),
            _ => None,
        })
        .collect();
    let expected = [
        (Level::Info, "one"),
        (Level::Info, "twohello"),
        (Level::Warn, "one"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn printing_has_the_limit_of_the_log() {
    limited(
        "(loop $on
           (call $zeroes (call $stdout) (i64.const 65536) (i32.const 4096))
           (br $on))",
        LimitName::Log,
    );
    let short = Assignment {
        limits: Limits {
            log: Bytes(10),
            ..Limits::default()
        },
        ..assignment()
    };
    // Without an end of the line it counts too, when the guest is done.
    let body = "(call $write (call $stdout) (i32.const 16) (i32.const 5) (i32.const 4096))";
    let (ended, _) = look_as(&short, body);
    let Outcome::Limited { limit, .. } = ended.outcome else {
        panic!("{:?}", ended.outcome);
    };
    assert_eq!(limit, LimitName::Log);
}

#[test]
fn one_call_gives_and_takes_so_much() {
    done("(call $random (i64.const 65536) (i32.const 4096))");
    limited(
        "(call $random (i64.const 65537) (i32.const 4096))",
        LimitName::Call,
    );
    limited(
        "(call $insecure (i64.const -1) (i32.const 4096))",
        LimitName::Call,
    );
    limited(
        "(call $zeroes (call $stdout) (i64.const 65537) (i32.const 4096))",
        LimitName::Call,
    );
    limited(
        "(call $write (call $stdout) (i32.const 0) (i32.const 65537) (i32.const 4096))",
        LimitName::Call,
    );
}

#[test]
fn randomness_is_random_and_the_seed_follows_from_the_runs_time() {
    let print = |call: &str| {
        // As 16 bytes that are letters, from what the call wrote.
        format!(
            "{call}
             (loop $each
               (i32.store8 (i32.add (i32.const 4200) (local.get $i))
                 (i32.add (i32.const 97)
                   (i32.and (i32.const 15)
                     (i32.load8_u (i32.add (local.get $i) (i32.load (i32.const 4096)))))))
               (br_if $each (i32.lt_u
                 (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 16))))
             (call $write (call $stdout) (i32.const 4200) (i32.const 16) (i32.const 4296))"
        )
    };
    let said = |now_ms, call: &str| {
        let at = Assignment {
            now_ms,
            ..assignment()
        };
        let (ended, notes) = look_as(&at, &print(call));
        let done = matches!(ended.outcome, Outcome::Summarized(_));
        assert!(done, "{:?}", ended.outcome);
        notes.log().concat()
    };
    let random = "(call $random (i64.const 16) (i32.const 4096))";
    assert_ne!(said(7, random), said(7, random));
    let seed = "(call $seed (i32.const 4104)) (i32.store (i32.const 4096) (i32.const 4104))";
    assert_eq!(said(7, seed), said(7, seed));
    assert_ne!(said(7, seed), said(8, seed));
}

#[test]
fn a_sleeping_guest_is_under_its_wall_limit() {
    let short = Assignment {
        limits: Limits {
            wall: Span(Duration::from_millis(300)),
            ..Limits::default()
        },
        ..assignment()
    };
    for body in [
        "(call $block (call $after (i64.const -1)))",
        "(i32.store (i32.const 4096) (call $after (i64.const -1)))
         (call $poll (i32.const 4096) (i32.const 1) (i32.const 4104))",
    ] {
        let began = Instant::now();
        let (ended, _) = look_as(&short, body);
        let Outcome::Limited { limit, .. } = ended.outcome else {
            panic!("{:?}", ended.outcome);
        };
        assert_eq!(limit, LimitName::Wall);
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(ended.usage.wall_us >= 300_000, "{:?}", ended.usage);
        // It slept: no more than a look every few milliseconds is charged.
        assert!(ended.usage.cpu_us < 150_000, "{:?}", ended.usage);
    }
}

#[test]
fn clocks_count_from_the_begin_and_in_milliseconds() {
    let fails = |condition: &str| format!("(if {condition} (then unreachable))");
    let body = [
        // Not a millisecond's fraction, and less than an hour since the machine came up.
        fails("(i64.ne (i64.rem_u (call $now) (i64.const 1000000)) (i64.const 0))"),
        fails("(i64.gt_u (call $now) (i64.const 3600000000000))"),
        "(call $block (call $after (i64.const 50000000)))".to_owned(),
        fails("(i64.lt_u (call $now) (i64.const 50000000))"),
        // The run's own time: 7,008 ms.
        "(call $wall (i32.const 4096))".to_owned(),
        fails("(i64.ne (i64.load (i32.const 4096)) (i64.const 7))"),
        fails("(i32.ne (i32.load (i32.const 4104)) (i32.const 8000000))"),
    ]
    .concat();
    let at = Assignment {
        now_ms: 7_008,
        ..assignment()
    };
    let (ended, _) = look_as(&at, &body);
    assert!(
        matches!(ended.outcome, Outcome::Summarized(_)),
        "{:?}",
        ended.outcome
    );
}

#[test]
fn what_would_never_end_or_gives_no_answer_ends_the_run() {
    trapped(
        "(call $poll (i32.const 4096) (i32.const 0) (i32.const 4104))",
        "polls nothing",
    );
    trapped("(call $exit (i32.const 3))", "called exit with code 3");
    limited(
        "(loop $on (drop (call $after (i64.const 0))) (br $on))",
        LimitName::Handles,
    );
}
