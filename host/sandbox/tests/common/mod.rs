//! Small guests in WebAssembly text, and a broker that writes down what it hears.
#![expect(clippy::unwrap_used, reason = "test code ends on the first surprise")]
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses a part of this"
)]

use keepwell_model::id::Digest;
use keepwell_model::limits::Limits;
use keepwell_model::words::Refusal;
use keepwell_sandbox::{
    Answer, Ask, Assignment, Broker, Ended, Entry, Launch, Stop, Told, compile, look, seal,
};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// The test program beside this one.
pub(crate) fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
        path.push("examples");
    }
    path.push("worker");
    path
}

/// A guest whose `run` does `body` and then says `hello`.
pub(crate) fn guest(imports: &str, globals: &str, body: &str) -> String {
    format!(
        r#"(module
  {imports}
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 8192))
  (data (i32.const 16) "hello")
  (data (i32.const 64) "{{}}")
  (data (i32.const 96) "tmp")
  {globals}
  (func (export "cabi_realloc") (param i32 i32 i32 $n i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
    (global.set $top (i32.add (local.get $at) (local.get $n)))
    (block $fits
      (br_if $fits (i32.lt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
      (drop (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get $n) (i32.const 65536))))))
    (local.get $at))
  (func $done (result i32)
    (i32.store8 (i32.const 1024) (i32.const 0))
    (i32.store8 (i32.const 1028) (i32.const 0))
    (i32.store (i32.const 1032) (i32.const 16))
    (i32.store (i32.const 1036) (i32.const 5))
    (i32.store (i32.const 1040) (i32.const 64))
    (i32.store (i32.const 1044) (i32.const 2))
    (i32.const 1024))
  (func $run (export "keepwell:task/task@0.1.0#run") (param i32 i32 i32 i32) (result i32)
    (local $i i32)
    {body}
    (call $done))
  (func (export "keepwell:task/task@0.1.0#review")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
    (call $done))
  (func (export "keepwell:task/task@0.1.0#describe") (result i32)
    (i32.store (i32.const 2048) (i32.const 64))
    (i32.store (i32.const 2052) (i32.const 2))
    (i32.const 2048))
)"#
    )
    .replace("i32 i32 i32 $n i32", "i32 i32 i32) (param $n i32")
}

pub(crate) const LOG: &str =
    r#"(import "keepwell:task/core@0.1.0" "log" (func $log (param i32 i32 i32)))"#;
pub(crate) const ROOTS: &str =
    r#"(import "keepwell:task/storage@0.1.0" "roots" (func $roots (param i32)))"#;
pub(crate) const MEMORY: &str =
    r#"(import "keepwell:task/metrics@0.1.0" "get-memory" (func $get_memory (param i32)))"#;

/// The component of a core module in text.
pub(crate) fn component(text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
    let (package, _) = resolve.push_path(wit).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    let utf8 = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, utf8).unwrap();
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder
        .module(&module)
        .unwrap()
        .validate(true)
        .encode()
        .unwrap()
}

pub(crate) const KEY: [u8; 32] = [3; 32];

/// Compiled in the limited child, and sealed, as an installed plugin is.
pub(crate) fn code(text: &str) -> File {
    sealed(&compile(&program(), &["compile"], &component(text)).unwrap())
}

pub(crate) fn sealed(code: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&seal(code, &KEY, Digest::of(b"test")))
        .unwrap();
    file
}

/// Writes everything down and answers as told.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) told: Vec<Told>,
    pub(crate) asked: Vec<Ask>,
    pub(crate) stop_at: Option<usize>,
}

impl Broker for Notes {
    fn told(&mut self, told: Told) -> Result<(), Stop> {
        self.told.push(told);
        if self.stop_at.is_some_and(|at| self.told.len() >= at) {
            Err(Stop)
        } else {
            Ok(())
        }
    }

    fn ask(&mut self, ask: Ask) -> Answer {
        self.asked.push(ask);
        match self.asked.last() {
            Some(Ask::InUse) => Answer::InUse(Ok((vec![], true))),
            Some(Ask::Remembered { .. }) => Answer::Remembered(Ok(vec![])),
            _ => Answer::Memory(Err(Refusal::io("no answer in this test"))),
        }
    }
}

impl Notes {
    /// The lines logged.
    pub(crate) fn log(&self) -> Vec<&str> {
        let lines = self.told.iter().filter_map(|told| match told {
            Told::Logged(line) => Some(line.message.as_str()),
            _ => None,
        });
        lines.collect()
    }

    /// Function and result of each call.
    pub(crate) fn calls(&self) -> Vec<(&str, &str)> {
        let batches = self.told.iter().filter_map(|told| match told {
            Told::Called { calls, .. } => Some(calls),
            _ => None,
        });
        batches
            .flatten()
            .map(|c| (c.function.as_str(), c.result.as_str()))
            .collect()
    }
}

pub(crate) fn run_entry() -> Entry {
    Entry::Run {
        task: "t".into(),
        trigger: "manual".into(),
    }
}

/// Nothing granted, small limits of time, walls required.
pub(crate) fn assignment() -> Assignment {
    let limits = Limits {
        wall: keepwell_model::units::Span::secs(20),
        cpu: keepwell_model::units::Span::secs(20),
        ..Limits::default()
    };
    Assignment {
        entry: run_entry(),
        ..Assignment::describe(limits, true)
    }
}

pub(crate) fn look_with(
    args: &[&str],
    code: File,
    assignment: &Assignment,
    notes: &mut Notes,
) -> Ended {
    let program = program();
    let launch = Launch {
        program: &program,
        args,
        code,
        assignment,
    };
    look(launch, notes, &AtomicBool::new(false))
}

/// Compiles and runs a guest.
pub(crate) fn look_at(text: &str, assignment: &Assignment) -> (Ended, Notes) {
    let mut notes = Notes::default();
    let ended = look_with(&["worker"], code(text), assignment, &mut notes);
    (ended, notes)
}
