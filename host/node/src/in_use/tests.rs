//! Files in use by this process and by children: open, locked, mapped; other devices; the price.

use super::*;
use proptest::prelude::*;
use rustix::fs::{FlockOperation, fcntl_lock, flock};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// What a scan may cost on a machine with a few hundred processes; it took about 10 ms there.
const SCAN_AT_MOST: Duration = Duration::from_secs(5);

struct Bed {
    dir: tempfile::TempDir,
    pair: (u64, u64),
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), "x").unwrap();
        let m = fs::metadata(dir.path().join("f")).unwrap();
        Self {
            dir,
            pair: (m.dev(), m.ino()),
        }
    }
    fn path(&self) -> PathBuf {
        self.dir.path().join("f")
    }
    fn contains(&self, found: &InUse) -> bool {
        found.contains(self.pair.0, self.pair.1)
    }
    fn scan<'a>(&self, devices: &'a [u64]) -> Scan<'a> {
        assert!(devices.is_empty() || devices == [self.pair.0]);
        Scan {
            devices,
            found: InUse::none(),
            maps_seen: HashSet::new(),
        }
    }
}

/// A program that sleeps until it is killed by the end of the test.
struct Sleeper(Child);

impl Sleeper {
    #[expect(
        clippy::disallowed_methods,
        reason = "what another process holds open can only be tested with another process"
    )]
    fn start(program: &Path, input: Option<&File>) -> Self {
        loop {
            let mut command = std::process::Command::new(program);
            let input = input.map_or_else(Stdio::null, |f| f.try_clone().unwrap().into());
            match command.arg("600").stdin(input).spawn() {
                // Another test's child still holds the copied program open for writing.
                Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                child => return Self(child.unwrap()),
            }
        }
    }
    fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.0.id()))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn what_this_process_has_open_is_its_own_affair() {
    let bed = Bed::new();
    let file = File::open(bed.path()).unwrap();
    assert!(!bed.contains(&in_use(&[bed.pair.0])));
    // The very same look, at ourselves: it is the exclusion that hides it.
    let devices = [bed.pair.0];
    let mut scan = bed.scan(&devices);
    scan.process(Path::new("/proc/self"));
    assert!(bed.contains(&scan.found));
    drop(file);
}

#[test]
fn what_a_child_has_open_is_in_use_until_it_ends() {
    let bed = Bed::new();
    let file = File::open(bed.path()).unwrap();
    let child = Sleeper::start(Path::new("sleep"), Some(&file));
    drop(file);
    let before = Instant::now();
    let found = in_use(&[bed.pair.0]);
    let cost = before.elapsed();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter(|e| e.path().join("maps").exists()).count();
    eprintln!("a scan of {processes} processes took {cost:?}");
    assert!(cost < SCAN_AT_MOST, "{cost:?}");
    assert!(bed.contains(&found));
    assert!(found.pairs().any(|p| p == bed.pair));
    // It may be one of our own workers.
    assert!(!bed.contains(&in_use_except(&[bed.pair.0], &[child.0.id()])));
    // Its device was not asked for, or none was.
    for devices in [&[bed.pair.0 + 1][..], &[]] {
        let found = in_use(devices);
        assert!(!bed.contains(&found));
        assert!(found.pairs().all(|(device, _)| device != bed.pair.0));
    }
    drop(child);
    assert!(!bed.contains(&in_use(&[bed.pair.0])));
}

#[test]
fn a_working_directory_is_in_use() {
    let bed = Bed::new();
    let m = fs::metadata(bed.dir.path()).unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "another process must stand in the directory"
    )]
    let child = std::process::Command::new("sleep")
        .arg("600")
        .current_dir(bed.dir.path())
        .spawn();
    let child = Sleeper(child.unwrap());
    assert!(in_use(&[m.dev()]).contains(m.dev(), m.ino()));
    drop(child);
    assert!(!in_use(&[m.dev()]).contains(m.dev(), m.ino()));
}

/// Locks alone, as `/proc/locks` lists them; whoever holds one has the file open as well.
#[test]
fn whole_file_and_range_locks_are_found() {
    let bed = Bed::new();
    let devices = [bed.pair.0];
    let locked = |ours: &[u32]| {
        let mut scan = bed.scan(&devices);
        scan.locks(ours);
        bed.contains(&scan.found)
    };
    let file = File::options().write(true).open(bed.path()).unwrap();
    for posix in [false, true] {
        assert!(!locked(&[]));
        let set = |how| {
            if posix {
                fcntl_lock(&file, how).unwrap();
            } else {
                flock(&file, how).unwrap();
            }
        };
        set(FlockOperation::LockExclusive);
        assert!(locked(&[]), "posix: {posix}");
        assert!(!locked(&[std::process::id()]), "posix: {posix}");
        set(FlockOperation::Unlock);
    }
    assert!(!locked(&[]));
}

/// Mappings alone: a program that runs is mapped, and nobody has it open.
#[test]
fn a_mapped_file_is_found_without_a_descriptor() {
    let bed = Bed::new();
    let copy = bed.dir.path().join("sleep");
    let sleep = ["/usr/bin/sleep", "/bin/sleep"].map(Path::new);
    let sleep = sleep.iter().find(|p| p.exists()).unwrap();
    fs::copy(sleep, &copy).unwrap();
    let m = fs::metadata(&copy).unwrap();
    let child = Sleeper::start(&copy, None);
    let devices = [m.dev()];
    // The kernel lets the parent go on a moment before the program is mapped.
    let end = Instant::now() + SCAN_AT_MOST;
    loop {
        let mut scan = bed.scan(&devices);
        scan.maps(&child.folder());
        if scan.found.contains(m.dev(), m.ino()) {
            break;
        }
        assert!(Instant::now() < end, "the mapped program was not found");
    }
    let mut scan = bed.scan(&devices);
    scan.links_in(&child.folder().join("fd"));
    assert!(!scan.found.contains(m.dev(), m.ino()));
    // It is mapped still when it has no name any more.
    fs::remove_file(&copy).unwrap();
    assert!(in_use(&devices).contains(m.dev(), m.ino()));
}

#[test]
fn a_process_that_ended_leaves_the_look_complete() {
    let bed = Bed::new();
    let devices = [bed.pair.0];
    let child = Sleeper::start(Path::new("sleep"), None);
    let folder = child.folder();
    drop(child);
    let mut scan = bed.scan(&devices);
    scan.process(&folder);
    assert!(scan.found.complete());
    // What we may not look into is another matter.
    scan.note(&Errno::ACCESS.into());
    assert!(!scan.found.complete());
}

#[test]
fn lines_as_the_kernel_writes_them() {
    let device = rustix::fs::makedev(0xfe, 0x1);
    let map = b"7f1-7f2 r--p 0001 fe:01 4242                   /a b/c d";
    assert_eq!(map_line(map), Some(("7f1-7f2", (device, 4242))));
    assert_eq!(map_line(b"7f1-7f2 rw-p 0000 00:00 0"), None);
    let lock = "3: POSIX  ADVISORY  WRITE 77 fe:01:4242 0 EOF";
    assert_eq!(lock_line(lock), Some((77, (device, 4242))));
    let waits = "3: -> OFDLCK ADVISORY  READ -1 fe:01:4242 5 9";
    assert_eq!(lock_line(waits), Some((-1, (device, 4242))));
}

proptest! {
    #[test]
    fn no_line_makes_the_look_fall(line in prop::collection::vec(any::<u8>(), 0..80), text in ".{0,80}") {
        map_line(&line);
        lock_line(&text);
    }
}

#[test]
fn the_image_behind_a_loop_device_is_in_use() {
    let bed = Bed::new();
    let devices = [bed.pair.0];
    let sys = bed.dir.path().join("block");
    for device in ["loop0/loop", "loop1", "sda"] {
        fs::create_dir_all(sys.join(device)).unwrap();
    }
    let told = format!("{}\n", bed.path().display());
    fs::write(sys.join("loop0/loop/backing_file"), told).unwrap();
    let mut scan = bed.scan(&devices);
    scan.loops(&sys);
    assert!(bed.contains(&scan.found) && scan.found.complete);
    let mut scan = bed.scan(&devices);
    scan.loops(&bed.dir.path().join("none"));
    assert!(!scan.found.complete);
}
