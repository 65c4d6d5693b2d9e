//! The actuator against real files: every rule, every fault, and an administrator who edits too.

mod administrator;

use super::*;
use keepwell_model::param::{ParamTable, ParamValue};
use keepwell_model::units::Span;
use keepwell_model::words::Code;
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

const FILE: &str = "# a comment\n[pool]\nsize = 0x10 # sixteen\nname = 'x'\n";

struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let bed = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::write(bed.at("app.toml"), FILE).unwrap();
        fs::set_permissions(bed.at("app.toml"), fs::Permissions::from_mode(0o640)).unwrap();
        bed
    }
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn text(&self) -> String {
        fs::read_to_string(self.at("app.toml")).unwrap()
    }
    fn param(&self) -> Param {
        self.param_of(serde_json::json!({}))
    }
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it reads better where it is called"
    )]
    fn param_of(&self, extra: serde_json::Value) -> Param {
        let mut table = serde_json::json!({
            "file": self.at("app.toml"), "format": "toml", "key": "pool.size",
            "type": "integer", "min": 0, "max": 64, "step": 4, "revert-after": "1m"
        });
        for (key, value) in extra.as_object().unwrap() {
            table[key] = value.clone();
        }
        let table: ParamTable = serde_json::from_value(table).unwrap();
        table.resolve(&name()).unwrap()
    }
    fn hands(&self) -> ConfigWrite {
        ConfigWrite::new(RunId::new(1_000, [7; 10]))
    }
    fn action(&self, new: i64) -> Action {
        let hands = self.hands();
        let change = hands.plan(&name(), &self.param(), &ParamValue::Integer(new));
        action(change.unwrap())
    }
    /// Everything beside the file.
    fn others(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).unwrap();
        let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|n| n != "app.toml").collect()
    }
}

fn name() -> ParamName {
    ParamName::new("pool").unwrap()
}

fn action(change: ParamChange) -> Action {
    Action {
        id: 3,
        change: Change::ConfigWrite(change),
        reason: "tuning".into(),
    }
}

#[test]
fn undo_gives_the_same_bytes_and_repeating_changes_nothing() {
    let bed = Bed::new();
    let action = bed.action(32);
    // The plan is a file, so what acts on it has read it from there.
    let line = serde_json::to_string(&action).unwrap();
    let action: Action = serde_json::from_str(&line).unwrap();
    let hands = bed.hands();
    assert_eq!(hands.settled(&action), Settled::NotApplied);
    for _ in 0..2 {
        hands.check(&action, &bed.param()).unwrap();
    }
    for _ in 0..2 {
        hands.apply(&action).unwrap();
        assert_eq!(bed.text(), FILE.replace("0x10", "32"));
        assert_eq!(hands.settled(&action), Settled::Applied);
    }
    let meta = fs::metadata(bed.at("app.toml")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.nlink()), (0o640, 1));
    assert_eq!(hands.undo(&action).unwrap(), Undone::Restored);
    assert_eq!(hands.undo(&action).unwrap(), Undone::WasThere);
    assert_eq!(bed.text(), FILE);
    assert_eq!(hands.settled(&action), Settled::NotApplied);
    assert!(bed.others().is_empty(), "{:?}", bed.others());
}

#[test]
fn bounds_and_steps_are_kept_when_planned_and_when_applied() {
    let bed = Bed::new();
    let plan = |v| bed.hands().plan(&name(), &bed.param(), &v).map(drop);
    let code = |v| plan(v).unwrap_err().code;
    assert_eq!(code(ParamValue::Integer(65)), Code::Limit);
    assert_eq!(code(ParamValue::Integer(33)), Code::Limit);
    assert_eq!(code(ParamValue::Boolean(true)), Code::Invalid);
    assert_eq!(code(ParamValue::Integer(16)), Code::Invalid, "already so");
    let action = bed.action(32);
    let narrower = bed.param_of(serde_json::json!({ "max": 28 }));
    let no = bed.hands().check(&action, &narrower).unwrap_err();
    assert_eq!(no.code, Code::Limit);
    let elsewhere = bed.param_of(serde_json::json!({ "key": "pool.name" }));
    let no = bed.hands().check(&action, &elsewhere).unwrap_err();
    assert_eq!(no.code, Code::Gone);
    let text = bed.param_of(serde_json::json!({ "key": "pool.name" }));
    assert_eq!(bed.hands().read(&text).unwrap_err().code, Code::Invalid);
    let standing = read(&bed.param()).unwrap();
    assert_eq!(standing.held.value, ParamValue::Integer(16));
    assert_eq!(standing.held.spelling, "0x10");
}

#[test]
fn what_an_administrator_edited_is_never_lost() {
    let bed = Bed::new();
    let hands = bed.hands();
    let action = bed.action(32);
    // Between plan and act, in the same length and in place: another key, then the value itself.
    for edited in [FILE.replace("'x'", "'y'"), FILE.replace("0x10", "0x20")] {
        fs::write(bed.at("app.toml"), &edited).unwrap();
        assert_eq!(
            hands.check(&action, &bed.param()).unwrap_err().code,
            Code::Gone
        );
        assert_eq!(hands.apply(&action).unwrap_err().code, Code::Gone);
        assert_eq!(bed.text(), edited);
    }
    assert_eq!(hands.settled(&action), Settled::Unknown);
    // After the change: another key is kept by the undo, the value itself forbids it.
    fs::write(bed.at("app.toml"), FILE).unwrap();
    let action = bed.action(32);
    hands.apply(&action).unwrap();
    let ours = FILE.replace("0x10", "32");
    fs::write(bed.at("app.toml"), ours.replace("'x'", "'mine'")).unwrap();
    assert_eq!(hands.undo(&action).unwrap(), Undone::Restored);
    assert_eq!(bed.text(), FILE.replace("'x'", "'mine'"));
    fs::write(bed.at("app.toml"), ours.replace("32", "33")).unwrap();
    let no = hands.undo(&action).unwrap_err();
    assert_eq!(no.code, Code::Gone);
    assert!(no.message.contains("`33` by somebody else"), "{no}");
    assert_eq!(bed.text(), ours.replace("32", "33"));
    fs::remove_file(bed.at("app.toml")).unwrap();
    assert_eq!(hands.undo(&action).unwrap_err().code, Code::Gone);
    assert_eq!(hands.settled(&action), Settled::Unknown);
}

/// Runs `edit` right before a step, as somebody else would.
struct EditAt<F: Fn() + Send + Sync>(&'static str, F);

impl<F: Fn() + Send + Sync> std::fmt::Debug for EditAt<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl<F: Fn() + Send + Sync> Fault for EditAt<F> {
    fn before(&self, step: &'static str) -> Result<(), Errno> {
        if step == self.0 {
            (self.1)();
        }
        Ok(())
    }
}

#[test]
fn an_edit_at_the_last_moment_is_put_back() {
    let edited = FILE.replace("'x'", "'y'");
    for step in ["create", "rename", "exchange"] {
        for in_place in [true, false] {
            let bed = Bed::new();
            let action = bed.action(32);
            let (path, aside, text) = (bed.at("app.toml"), bed.at("new"), edited.clone());
            let edit = move || {
                if in_place {
                    fs::write(&path, &text).unwrap();
                } else {
                    fs::write(&aside, &text).unwrap();
                    fs::rename(&aside, &path).unwrap();
                }
            };
            let hands = bed.hands().with_fault(Arc::new(EditAt(step, edit)));
            let no = hands.apply(&action).unwrap_err();
            assert_eq!(no.code, Code::Gone, "{step} {no}");
            assert_eq!(bed.text(), edited, "{step}");
            assert!(bed.others().is_empty(), "{step} {:?}", bed.others());
        }
    }
}

#[derive(Debug)]
struct FailAt(AtomicU32);

impl Fault for FailAt {
    fn before(&self, _: &'static str) -> Result<(), Errno> {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 0 {
            Err(Errno::NOSPC)
        } else {
            Ok(())
        }
    }
}

#[test]
fn failing_at_any_operation_and_running_again_reaches_the_same_end() {
    for n in 0..9 {
        let bed = Bed::new();
        let action = bed.action(32);
        let failing = || bed.hands().with_fault(Arc::new(FailAt(AtomicU32::new(n))));
        let first = failing().apply(&action);
        assert_eq!(first.is_err(), n < 7, "{n} {first:?}");
        let hands = bed.hands();
        let told = hands.settled(&action);
        let there = if bed.text() == FILE {
            Settled::NotApplied
        } else {
            Settled::Applied
        };
        assert_eq!(told, there);
        assert!(bed.others().is_empty(), "{n} {:?}", bed.others());
        hands.apply(&action).unwrap();
        assert_eq!(bed.text(), FILE.replace("0x10", "32"));
        drop(failing().undo(&action));
        hands.undo(&action).unwrap();
        assert_eq!(bed.text(), FILE);
        assert!(bed.others().is_empty(), "{n} {:?}", bed.others());
    }
}

#[test]
fn what_a_crash_left_is_removed_unless_it_is_somebody_else_s() {
    let swap = |undo| Names::new(RunId::new(1_000, [7; 10]), 3, undo).swap;
    let part = |undo| Names::new(RunId::new(1_000, [7; 10]), 3, undo).part;
    let new = FILE.replace("0x10", "32");
    for undo in [false, true] {
        for (file, left, told) in [
            // Killed while writing, before the exchange, after it.
            (FILE, None, Settled::NotApplied),
            (FILE, Some(new.as_str()), Settled::NotApplied),
            (new.as_str(), Some(FILE), Settled::Applied),
        ] {
            let bed = Bed::new();
            let action = bed.action(32);
            fs::write(bed.at("app.toml"), file).unwrap();
            fs::write(bed.at(&part(undo)), &new[..10]).unwrap();
            if let Some(left) = left {
                fs::write(bed.at(&swap(undo)), left).unwrap();
            }
            assert_eq!(bed.hands().settled(&action), told);
            assert!(bed.others().is_empty(), "{:?}", bed.others());
        }
        // Killed after the exchange and before an administrator's edit was put back.
        let bed = Bed::new();
        let action = bed.action(32);
        fs::write(bed.at("app.toml"), &new).unwrap();
        let edit = FILE.replace("'x'", "'theirs'");
        fs::write(bed.at(&swap(undo)), &edit).unwrap();
        assert_eq!(bed.hands().settled(&action), Settled::Unknown);
        // What an undo left is no business of apply, which finds its value in place.
        let again = bed.hands().apply(&action).map_err(|no| no.code);
        assert_eq!(again, if undo { Ok(()) } else { Err(Code::Busy) });
        assert_eq!(bed.hands().undo(&action).unwrap_err().code, Code::Busy);
        assert_eq!(fs::read_to_string(bed.at(&swap(undo))).unwrap(), edit);
    }
}

#[test]
fn hostile_files_are_refused() {
    let bed = Bed::new();
    let code = || bed.hands().read(&bed.param()).unwrap_err().code;
    let path = bed.at("app.toml");
    let reset = || {
        let _ = fs::remove_file(&path);
        fs::write(&path, FILE).unwrap();
    };
    fs::rename(&path, bed.at("real")).unwrap();
    symlink("real", &path).unwrap();
    assert_eq!(code(), Code::Denied);
    fs::remove_file(&path).unwrap();
    assert_eq!(code(), Code::Gone);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
    assert_eq!(code(), Code::Denied);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(code(), Code::Denied);
    fs::remove_dir(&path).unwrap();
    fs::hard_link(bed.at("real"), &path).unwrap();
    assert_eq!(code(), Code::Denied);
    for mode in [0o4644, 0o1644, 0o666] {
        reset();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(code(), Code::Denied, "{mode:o}");
    }
    for (bytes, no) in [
        (vec![b'#'; 1 << 20], Code::Gone),
        (vec![b'#'; (1 << 20) + 1], Code::Limit),
        (b"[pool]\nsize = 16 # \xff\n".to_vec(), Code::Invalid),
        (b"[pool]\nsize = 16 # \0\n".to_vec(), Code::Invalid),
        (vec![], Code::Gone),
    ] {
        reset();
        fs::write(&path, bytes).unwrap();
        assert_eq!(code(), no);
    }
    reset();
    fs::set_permissions(bed.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(code(), Code::Denied);
    fs::set_permissions(bed.dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(bed.hands().read(&bed.param()).is_ok());
    // A link in the directory's path, with the real one as the hint.
    symlink(bed.dir.path(), bed.at("again")).unwrap();
    let through = bed.param_of(serde_json::json!({ "file": bed.at("again/app.toml") }));
    let no = bed.hands().read(&through).unwrap_err();
    assert_eq!(no.code, Code::Denied);
    assert!(no.hint.unwrap().contains("without links"));
}

#[test]
fn owner_mode_and_attributes_stay() {
    let bed = Bed::new();
    let path = bed.at("app.toml");
    let root = rustix::process::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(&path, Some(12_345), Some(54_321)).unwrap();
    }
    let flags = rustix::fs::XattrFlags::empty();
    let kept = rustix::fs::setxattr(&path, "user.note", b"kept", flags).is_ok();
    let before = fs::metadata(&path).unwrap();
    bed.hands().apply(&bed.action(32)).unwrap();
    let after = fs::metadata(&path).unwrap();
    let told = |m: &fs::Metadata| (m.uid(), m.gid(), m.mode());
    assert_eq!(told(&before), told(&after));
    assert_ne!(before.ino(), after.ino());
    if kept {
        let mut value = [0; 8];
        let n = rustix::fs::getxattr(&path, "user.note", &mut value[..]).unwrap();
        assert_eq!(&value[..n], b"kept");
    } else {
        eprintln!("skipped: this file system keeps no user attributes");
    }
}

fn sysctl_param(name: &str, min: i64, max: i64) -> Param {
    let table: ParamTable = serde_json::from_value(serde_json::json!({
        "sysctl": name, "type": "integer", "min": min, "max": max
    }))
    .unwrap();
    table.resolve(&ParamName::new("pool").unwrap()).unwrap()
}

#[test]
fn a_sysctl_is_written_read_back_and_undone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("vm")).unwrap();
    let file = dir.path().join("vm/swappiness");
    fs::write(&file, "60\n").unwrap();
    let hands = ConfigWrite::new(RunId::new(1_000, [7; 10])).with_sysctls(dir.path());
    let param = sysctl_param("vm.swappiness", 0, 100);
    let change = hands
        .plan(&name(), &param, &ParamValue::Integer(40))
        .unwrap();
    let action = action(change);
    hands.check(&action, &param).unwrap();
    hands.apply(&action).unwrap();
    hands.apply(&action).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "40\n");
    assert_eq!(hands.settled(&action), Settled::Applied);
    assert_eq!(hands.undo(&action).unwrap(), Undone::Restored);
    assert_eq!(hands.undo(&action).unwrap(), Undone::WasThere);
    fs::write(&file, "7\n").unwrap();
    assert_eq!(hands.settled(&action), Settled::Unknown);
    assert_eq!(hands.check(&action, &param).unwrap_err().code, Code::Gone);
    assert_eq!(hands.apply(&action).unwrap_err().code, Code::Gone);
    assert_eq!(hands.undo(&action).unwrap_err().code, Code::Gone);
    for (text, code) in [
        ("1\t2\n", Code::Invalid),
        ("", Code::Invalid),
        ("x\n", Code::Invalid),
    ] {
        fs::write(&file, text).unwrap();
        assert_eq!(hands.read(&param).unwrap_err().code, code, "{text:?}");
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(hands.read(&param).unwrap_err().code, Code::Gone);
    symlink("/proc/sys/vm/swappiness", &file).unwrap();
    assert_eq!(hands.read(&param).unwrap_err().code, Code::Denied);
    let group = sysctl_param("vm.group", 0, 100);
    fs::create_dir(dir.path().join("vm/group")).unwrap();
    assert_eq!(hands.read(&group).unwrap_err().code, Code::Invalid);
}

/// A sysctl nothing depends on, of this test's own network namespace where there is one: how many
/// unsolicited neighbour entries may wait. Moved by one and back.
#[test]
fn a_real_sysctl_goes_there_and_back() {
    let param = sysctl_param("net.ipv4.neigh.default.unres_qlen", 1, 100_000);
    let Ok(standing) = read(&param) else {
        eprintln!("skipped: this machine does not show the sysctl");
        return;
    };
    let ParamValue::Integer(old) = standing.held.value else {
        panic!("an integer was declared");
    };
    let hands = ConfigWrite::new(RunId::new(1_000, [7; 10]));
    let change = hands
        .plan(&name(), &param, &ParamValue::Integer(old + 1))
        .unwrap();
    let action = action(change);
    match hands.apply(&action) {
        Ok(()) => {}
        Err(no) if matches!(no.code, Code::Denied | Code::Io) => {
            eprintln!("skipped: {no}");
            return;
        }
        Err(no) => {
            // The kernel counts this one in other units on some versions; then it is back already.
            assert_eq!(no.code, Code::Invalid, "{no}");
            assert_eq!(read(&param).unwrap(), standing);
            return;
        }
    }
    assert_eq!(
        read(&param).unwrap().held.value,
        ParamValue::Integer(old + 1)
    );
    assert_eq!(hands.settled(&action), Settled::Applied);
    assert_eq!(hands.undo(&action).unwrap(), Undone::Restored);
    assert_eq!(read(&param).unwrap(), standing);
}

#[test]
fn a_plan_keeps_its_deadline_as_a_span() {
    let bed = Bed::new();
    let Change::ConfigWrite(change) = bed.action(32).change else {
        panic!("a change of a parameter was planned");
    };
    assert_eq!(change.revert_after, Span::secs(60));
    assert_eq!(change.new.spelling, "32");
}
