//! A node whose cleaning waits for alice or bob, and what approvers do with it.

use crate::cleaning::TASK;
use crate::harness::{Aged, Node, Output, Snapshot, age, keepwell, shared, snapshot};
use keepwell_model::event::Event;
use keepwell_model::state::RunState;
use std::cell::Cell;
use std::path::PathBuf;

/// What can be undone waits too. More keys of the rule may follow.
pub(super) const WAIT: &str =
    "[[policy.rules]]\nclass = 'reversible'\ntask = 'temp-*'\nthen = 'approve'\n";

pub(super) struct Scene {
    pub(super) node: Node,
    /// How many files are old enough to go.
    pub(super) old: u64,
    before: Snapshot,
    /// Answers so far, for their file names.
    answers: Cell<u32>,
}

impl Scene {
    pub(super) fn new(policy: &str) -> Self {
        Self::called("under-test", policy)
    }

    /// The node's name is part of what is signed.
    pub(super) fn called(name: &str, policy: &str) -> Self {
        let node = Node::new(shared());
        node.task("temp-clean", TASK);
        for n in 0..20 {
            let file = node.root().join(format!("file-{n}"));
            std::fs::write(&file, n.to_string()).unwrap();
            if n % 2 == 0 {
                age(&file, Aged::days(10));
            }
        }
        let config = node.dir().join("keepwell.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let text = text.replace("under-test", name);
        std::fs::write(&config, format!("{text}\n{policy}")).unwrap();
        let before = snapshot(&node.root());
        let scene = Self {
            node,
            old: 10,
            before,
            answers: Cell::new(0),
        };
        scene.key("alice", "'alice'");
        scene.key("bob", "'bob'");
        scene
    }

    /// A file beside the node directory.
    pub(super) fn path(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.node.scratch().join(name)
    }

    /// Makes a key and lists it for `user`, which is TOML.
    pub(super) fn key(&self, name: &str, user: &str) {
        let public = self.stray_key(name);
        self.approver(name, &public, user);
    }

    /// Makes a key that nobody knows; gives its public half.
    pub(super) fn stray_key(&self, name: &str) -> String {
        let key = self.path(&format!("{name}.key"));
        keepwell(None, &["bundle", "keygen", &key]).exits(0);
        let public = std::fs::read_to_string(format!("{key}.pub")).unwrap();
        public.trim().to_owned()
    }

    pub(super) fn approver(&self, name: &str, public: &str, user: &str) {
        let path = self.node.dir().join("approvers.toml");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let entry = format!("[approvers.{name}]\nkey = '{public}'\nuser = {user}\n");
        std::fs::write(path, text + &entry).unwrap();
    }

    /// `run` must leave the plan waiting, and nothing changed.
    #[track_caller]
    pub(super) fn waits(&self) -> Output {
        let out = self.node.keepwell(&["run", "temp-clean"]);
        out.exits(4);
        let shown = self.node.keepwell(&["runs", "show", "last", "-o", "json"]);
        let report = shown.report();
        assert_eq!(report.state, RunState::Waiting, "{report:?}");
        self.nothing_changed();
        out
    }

    /// An answer to the last run's request by a key of ours, as a file.
    #[track_caller]
    pub(super) fn answer(&self, who: &str, said: &str) -> String {
        self.answer_by(&["--key", &self.path(&format!("{who}.key"))], said)
    }

    #[track_caller]
    pub(super) fn answer_by(&self, key: &[&str], said: &str) -> String {
        let number = self.answers.replace(self.answers.get() + 1);
        let (request, answer) = (self.path("request"), self.path(&format!("answer-{number}")));
        let export = ["approvals", "export", "last", "--out", &request];
        self.node.keepwell(&export).exits(0);
        let words = [
            "approvals",
            "sign",
            &request,
            said,
            "--reason",
            "seen",
            "--out",
            &answer,
        ];
        // Signing needs no node.
        keepwell(None, &[&words, key].concat()).exits(0);
        answer
    }

    pub(super) fn import(&self, answer: &str) -> Output {
        self.node.keepwell(&["approvals", "import", answer])
    }

    /// It must be turned away for this reason, which is journaled; and the plan still waits.
    #[track_caller]
    pub(super) fn refuses(&self, answer: &str, why: &str) {
        let before = self.refusals().len();
        self.import(answer).exits(4).says(&[why]);
        self.refused_since(before, why);
    }

    #[track_caller]
    pub(super) fn refused_since(&self, before: usize, why: &str) {
        let refusals = self.refusals();
        assert_eq!(refusals.len(), before + 1, "{refusals:?}");
        assert!(refusals[before].contains(why), "{refusals:?}");
        self.nothing_changed();
    }

    /// Why answers were turned away, as the journal has it.
    pub(super) fn refusals(&self) -> Vec<String> {
        let records = self.node.journal(&["--kind", "approval-refused"]);
        let why = |event| match event {
            Event::ApprovalRefused { why, .. } => why,
            other => panic!("{other:?}"),
        };
        records.into_iter().map(|r| why(r.event)).collect()
    }

    /// Going on ends the run as denied for this reason, for good.
    #[track_caller]
    pub(super) fn over(&self, why: &str) {
        let out = self
            .node
            .keepwell(&["runs", "resume", "last", "-o", "json"]);
        let report = out.exits(4).report();
        assert_eq!(report.state, RunState::Denied);
        let reason = report.reason.unwrap_or_default();
        assert!(reason.contains(why), "{reason}");
        let again = self.node.keepwell(&["runs", "resume", "last"]);
        again.exits(2).says(&["nothing to resume"]);
        self.nothing_changed();
        self.node.journal_is_whole();
    }

    #[track_caller]
    pub(super) fn nothing_changed(&self) {
        let same = snapshot(&self.node.root()) == self.before;
        assert!(same, "the tree has changed");
    }
}
