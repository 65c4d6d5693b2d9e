//! What is asserted of every misbehaviour: how it ended, that it ended in time with all cores
//! busy, that memory stayed bounded, that the journal tells it, that nothing changed, and that the
//! next run is unaffected.

use crate::harness::{Aged, Busy, Node, Output, age, alone, snapshot};
use keepwell_model::limits::LimitName;
use keepwell_model::report::Report;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::time::Duration;

/// How late a limit of time may strike.
const LATE: Duration = Duration::from_millis(100);
/// Other processes only ever add time, so the best of these counts.
const TRIES: usize = 3;
/// Wall limit where a case names none: all others must strike before.
const WALL: Duration = Duration::from_secs(5);
/// What a worker holds beside the guest's memory: itself, machine code, one call's bytes twice.
const WORKER_BESIDE: u64 = 48 << 20;
/// What the host may hold, whatever a guest does.
const HOST_MOST: u64 = 96 << 20;

pub(super) struct Case {
    state: &'static str,
    exit: i32,
    limit: Option<LimitName>,
    reason: &'static str,
    limits: &'static str,
    grants: &'static [&'static str],
    memory_mib: u64,
    check: fn(&Node, &Report),
}

impl Case {
    const fn ends(state: &'static str, exit: i32) -> Self {
        Self {
            state,
            exit,
            limit: None,
            reason: "",
            limits: "",
            grants: &[],
            memory_mib: 16,
            check: |_, _| {},
        }
    }

    /// A limit strikes.
    pub(super) const fn limited(limit: LimitName) -> Self {
        Self {
            limit: Some(limit),
            ..Self::ends("limited", 5)
        }
    }

    /// The limit it crosses, if it does.
    pub(super) const fn limit(&self) -> Option<LimitName> {
        self.limit
    }

    /// It fails, and the reason says so.
    pub(super) const fn failed(reason: &'static str) -> Self {
        Self {
            reason,
            ..Self::ends("failed", 1)
        }
    }

    /// It is refused what it asks for, sees that, and ends well.
    pub(super) const fn done() -> Self {
        Self::ends("done", 0)
    }

    pub(super) const fn limits(self, limits: &'static str) -> Self {
        Self { limits, ..self }
    }

    pub(super) const fn grant(self, grants: &'static [&'static str]) -> Self {
        Self { grants, ..self }
    }

    pub(super) const fn memory_mib(self, memory_mib: u64) -> Self {
        Self { memory_mib, ..self }
    }

    pub(super) const fn check(self, check: fn(&Node, &Report)) -> Self {
        Self { check, ..self }
    }

    /// All of it. The node has the machine to itself, but for loops on every core.
    pub(super) fn hold(&self, task: &str) {
        let node = scene();
        node.task(task, &self.task_file());
        node.task("honest", "plugin = 'hostile'\n");
        let before = snapshot(&node.root());
        let busy = Busy::start();
        let (honest, _) = node.run("honest");
        honest.exits(0);
        let (out, report) = self.in_time(&node, task, honest.took);
        drop(busy);

        assert_eq!(report.state.as_str(), self.state, "{:?}", report.reason);
        assert_eq!(report.limit, self.limit, "{:?}", report.reason);
        let reason = report.reason.clone().unwrap_or_default();
        assert!(reason.contains(self.reason), "{reason}");
        out.exits(self.exit);
        self.memory_held(&out, &report);
        self.journal_tells(&node, &report);
        (self.check)(&node, &report);
        assert!(snapshot(&node.root()) == before, "the root has changed");
        let (honest, report) = node.run("honest");
        honest.exits(0);
        assert_eq!(report.log.len(), 1);
        assert_eq!(report.log[0].message, "still here");
    }

    fn task_file(&self) -> String {
        let mut text = format!(
            "plugin = 'hostile'\n[grant]\n{}[limits]\nmemory = '{}MiB'\n{}\n",
            self.grants.concat(),
            self.memory_mib,
            self.limits
        );
        if !self.limits.contains("wall") {
            let _ = writeln!(text, "wall = '{}ms'", WALL.as_millis());
        }
        text
    }

    fn wall(&self) -> Duration {
        self.time_limit("wall").unwrap_or(WALL)
    }

    /// A limit of time among those the case names.
    fn time_limit(&self, name: &str) -> Option<Duration> {
        let line = self.limits.lines().find_map(|l| l.strip_prefix(name))?;
        let ms = line.strip_prefix(" = '")?.strip_suffix("ms'")?;
        Some(Duration::from_millis(ms.parse().unwrap()))
    }

    /// Runs it until it ended in time. `start` is what a harmless run takes just now.
    fn in_time(&self, node: &Node, task: &str, start: Duration) -> (Output, Report) {
        let wall_most = self.wall() + LATE;
        let cpu_most = self.time_limit("cpu").map_or(Duration::MAX, |l| l + LATE);
        let mut late = String::new();
        for _ in 0..TRIES {
            let (out, report) = node.run(task);
            let wall = Duration::from_micros(report.usage.wall_us);
            let cpu = Duration::from_micros(report.usage.cpu_us);
            if wall <= wall_most && out.took <= wall_most + start && cpu <= cpu_most {
                return (out, report);
            }
            let _ = writeln!(
                late,
                "look {wall:?}, its code {cpu:?}, whole {:?}, a harmless run {start:?}",
                out.took
            );
        }
        panic!(
            "it ended more than {LATE:?} after `{}`:\n{late}",
            self.limits
        );
    }

    /// The fold over the journal's records is the report that was printed.
    fn journal_tells(&self, node: &Node, report: &Report) {
        let records = node.journal(&["--run", &report.run.to_string()]);
        let kinds: Vec<&str> = records.iter().map(|r| r.event.kind()).collect();
        for kind in ["run-due", "run-granted", "worker-started", "looked"] {
            assert!(kinds.contains(&kind), "no `{kind}` in {kinds:?}");
        }
        assert_eq!(kinds.last(), Some(&"run-ended"));
        assert_eq!(Report::fold(&records).as_ref(), Some(report));
        node.journal_is_whole();
    }

    fn memory_held(&self, out: &Output, report: &Report) {
        let most = self.memory_mib << 20;
        let usage = &report.usage;
        assert!(usage.worker_bytes > 0, "nobody measured the worker");
        assert!(
            usage.memory_bytes <= most,
            "the guest held {}",
            usage.memory_bytes
        );
        assert!(
            usage.worker_bytes <= most + WORKER_BESIDE,
            "the worker held {}",
            usage.worker_bytes
        );
        assert!(out.peak_bytes > 0, "nobody measured the host");
        assert!(
            out.peak_bytes <= HOST_MOST,
            "the host held {}",
            out.peak_bytes
        );
    }
}

/// A root with old files, a young one that comes first, and links and a FIFO that lead astray; a
/// secret beside it; and a store that may be asked for.
fn scene() -> Node {
    let node = Node::new(alone());
    let (root, store) = (node.root(), node.scratch().join("store"));
    std::fs::create_dir(&store).unwrap();
    let mut sums = String::new();
    for n in 0..5 {
        let (name, content) = (format!("shard-{n}"), format!("content {n}"));
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&content));
        let _ = writeln!(sums, "{digest}  {name}");
        std::fs::write(store.join(name), content).unwrap();
    }
    std::fs::write(store.join("SHA256SUMS"), sums).unwrap();
    node.configure(&[("tmp", &root)], &[("store", "sha256sums", &store)]);
    std::fs::write(node.scratch().join("secret"), "secret").unwrap();
    let file = node.scratch().join("app.toml");
    std::fs::write(&file, "size = 10\nother = 1\n").unwrap();
    node.configure_more(&format!(
        "[params.pool]\nfile = {file:?}\nformat = 'toml'\nkey = 'size'\ntype = 'integer'\n\
         min = 0\nmax = 100\nstep = 10\n\
         [params.secret]\nfile = {file:?}\nformat = 'toml'\nkey = 'other'\ntype = 'integer'\n\
         min = 0\nmax = 100\n"
    ));
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::write(root.join("aa-young"), "young").unwrap();
    for n in 0..20 {
        let file = root.join(format!("old-{n}"));
        std::fs::write(&file, "old").unwrap();
        age(&file, Aged::days(30));
    }
    symlink("/etc", root.join("outside")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink(node.dir(), root.join("host")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), fifo, 0o600.into(), 0).unwrap();
    node
}
