//! Unit `tree`: a top directory goes only when all below it is aged, and then as a whole. So an
//! unpacked archive or a build folder is never left half.

use crate::batch::{Batch, Tally};
use crate::temp_clean::Clean;
use keepwell_sdk::prelude::*;
use keepwell_sdk::storage::{Entry, Kind};
use std::collections::BTreeSet;

/// What the walk has seen of one top directory so far.
#[derive(Debug, Default)]
struct Top {
    name: Vec<u8>,
    newest: u64,
    files: u64,
    bytes: u64,
    seen: u64,
    directories: u64,
    /// Why it stays, if it does: the first reason met.
    stays: Option<&'static str>,
}

impl Top {
    fn new(name: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            ..Self::default()
        }
    }

    fn see(&mut self, entry: &Entry, time: u64, now: u64, min_age: u64) {
        self.newest = self.newest.max(time);
        self.files += 1;
        if entry.kind == Kind::File {
            self.bytes += entry.size;
        }
        match entry.kind {
            Kind::Directory => self.directories += 1,
            Kind::File | Kind::Symlink | Kind::Other => self.seen += 1,
        }
        let reason = if entry.in_use {
            "in-use"
        } else if time > now {
            "future-time"
        } else if now - time < min_age {
            "young"
        } else if entry.kind == Kind::Other {
            "special-file"
        } else {
            return;
        };
        self.stays.get_or_insert(reason);
    }
}

impl Clean {
    pub(crate) fn trees(&self, root: &str, tally: &mut Tally) -> Result<(), Refusal> {
        let (now, min_age) = (clock::now(), self.older_than.millis());
        let chosen = if self.takes_every_name() {
            None
        } else {
            Some(self.chosen_tops(root)?)
        };
        // Whatever the globs say: they choose the tops, not what a top holds. What is excepted
        // is not seen, and so keeps its top from going.
        let mut walk = storage::walk(root, &self.all_but_excepted())?;
        let mut singles = Batch::new(root, self.older_than);
        let mut top = Top::default();
        while let Some(entry) = walk.next().transpose()? {
            let time = entry.time(self.by());
            if entry.top() != top.name {
                top = Top::new(entry.top());
            }
            top.see(&entry, time, now, min_age);
            // A directory comes after what it holds, so here the top is complete.
            if entry.top() != entry.path {
                continue;
            }
            if chosen
                .as_ref()
                .is_some_and(|chosen| !chosen.contains(&entry.path))
            {
                tally.skip("not-matched", 1);
            } else if let Some(reason) = top.stays {
                tally.skip(reason, 1);
            } else if entry.kind == Kind::Directory {
                self.propose_tree(root, &entry, &top, tally)?;
            } else {
                singles.push(entry, tally)?;
            }
            if tally.used_up() {
                return Ok(());
            }
        }
        singles.flush(tally)?;
        for (reason, count) in walk.skipped() {
            tally.skip(&reason, count);
        }
        Ok(())
    }

    fn chosen_tops(&self, root: &str) -> Result<BTreeSet<Vec<u8>>, Refusal> {
        let mut tops = BTreeSet::new();
        for entry in storage::walk(root, &self.chosen())? {
            let entry = entry?;
            if entry.top() == entry.path {
                tops.insert(entry.path);
            }
        }
        Ok(tops)
    }

    fn propose_tree(
        &self,
        root: &str,
        entry: &Entry,
        top: &Top,
        tally: &mut Tally,
    ) -> Result<(), Refusal> {
        // What the walk could not see, it cannot call aged: count again by other means.
        let usage = storage::usage(root, &entry.path)?;
        let hidden = usage.files + usage.others != top.seen
            || usage.directories > top.directories
            || usage.unreadable > 0;
        if hidden {
            tally.skip("not-all-visible", 1);
            return Ok(());
        }
        if usage.files + usage.others + usage.directories == 0 && !self.takes_empty() {
            tally.skip("empty", 1);
            return Ok(());
        }
        let reason = format!("all of it untouched for over {}", self.older_than);
        match clean::quarantine_tree(root, entry, &reason) {
            Ok(_) => tally.took(top.files, top.bytes),
            Err(refusal) => tally.refused(&refusal),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_sdk::testing::{Budget, Node};

    fn node() -> Node {
        Node::new()
            .file("tmp", "a.b", |f| f.age("48h").size(1))
            .file("tmp", "a/deep/x", |f| f.age("48h").size(10))
            .file("tmp", "a/y", |f| f.age("30h").size(5))
            .file("tmp", "b/old", |f| f.age("48h"))
            .file("tmp", "b/deep/new", |f| f.age("1h"))
            .file("tmp", "c/open", |f| f.age("48h").in_use())
            .file("tmp", "d/future", |f| f.ahead("2h"))
            .directory("tmp", "e/locked", |f| f.age("48h").unreadable())
    }

    fn proposed(node: &Node, settings: serde_json::Value) -> Vec<(String, bool)> {
        let outcome = node.run::<Clean>(settings);
        outcome
            .proposals
            .iter()
            .map(|p| (p.path.clone(), p.tree))
            .collect()
    }

    #[test]
    fn only_whole_aged_trees_go() {
        let all = proposed(&node(), json!({ "unit": "tree" }));
        assert_eq!(all, [("a".to_owned(), true), ("a.b".to_owned(), false)]);
        let data = node().run::<Clean>(json!({ "unit": "tree" })).json();
        for reason in ["young", "in-use", "future-time", "not-all-visible"] {
            assert_eq!(data["skipped"][reason], 1, "{reason}: {data}");
        }
        assert_eq!(data["proposed-bytes"], 16);
    }

    #[test]
    fn globs_choose_tops_and_exceptions_keep_them() {
        let chosen = proposed(&node(), json!({ "unit": "tree", "globs": "a" }));
        assert_eq!(chosen, [("a".to_owned(), true)]);
        let kept = proposed(&node(), json!({ "unit": "tree", "except": "a" }));
        assert_eq!(kept, [("a.b".to_owned(), false)]);
        let below = proposed(&node(), json!({ "unit": "tree", "except": "a/deep/*" }));
        assert_eq!(
            below,
            [("a.b".to_owned(), false)],
            "an exception keeps its whole tree"
        );
    }

    #[test]
    fn a_tree_larger_than_the_budget_keeps_no_other_waiting() {
        let large = Node::new()
            .file("tmp", "a/image", |f| f.age("48h").size(1_000))
            .file("tmp", "b/small", |f| f.age("48h").size(1));
        let budget = Budget {
            files: 100,
            bytes: 20,
            min_age: Span(0),
        };
        let settings = json!({ "unit": "tree" });
        assert_eq!(
            proposed(&large.budget(budget), settings),
            [("b".to_owned(), true)]
        );
    }

    #[test]
    fn a_fault_at_any_call_is_never_swallowed() {
        let settings = json!({ "unit": "tree", "globs": ["*"] });
        for nth in 1..=node().run::<Clean>(settings.clone()).calls {
            let outcome = node().fail_call(nth, "io").run::<Clean>(settings.clone());
            let told = outcome.result.as_ref().map_or(true, |s| {
                s.status == Status::Warned || s.line.contains("io")
            });
            assert!(told, "call {nth}");
        }
    }
}
