//! Unit `file`: every aged file by itself, and directories that are empty already.
//!
//! A directory that only becomes empty by this run goes in a later one: emptying it touches it,
//! and the host would rightly no longer find it as it was looked at.

use crate::batch::{Batch, Tally};
use crate::temp_clean::Clean;
use keepwell_sdk::prelude::*;
use keepwell_sdk::storage::Kind;

impl Clean {
    pub(crate) fn files(&self, root: &str, tally: &mut Tally) -> Result<(), Refusal> {
        let mut walk = storage::walk(root, &self.aged())?;
        let mut batch = Batch::new(root, self.older_than);
        let mut seen: u64 = 0;
        while let Some(entry) = walk.next().transpose()? {
            seen += u64::from(entry.kind != Kind::Directory);
            if entry.in_use {
                tally.skip("in-use", 1);
                continue;
            }
            batch.push(entry, tally)?;
            if tally.used_up() {
                return Ok(());
            }
        }
        batch.flush(tally)?;
        for (reason, count) in walk.skipped() {
            seen += count;
            tally.skip(&reason, count);
        }
        // The walk gives only what is aged; what else is there is known by counting.
        let usage = storage::usage(root, b"")?;
        let left = (usage.files + usage.others).saturating_sub(seen);
        tally.skip(
            if self.takes_all() {
                "young"
            } else {
                "young-or-not-matched"
            },
            left,
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_sdk::testing::{Budget, Node};

    fn node() -> Node {
        Node::new()
            .file("tmp", "old/a", |f| f.age("48h").size(10))
            .file("tmp", "old/b", |f| f.age("25h").size(5))
            .file("tmp", "open", |f| f.age("48h").in_use())
            .file("tmp", "young", |f| f.age("1h"))
            .file("tmp", "ahead", |f| f.ahead("1h"))
            .directory("tmp", "empty", |f| f.age("48h"))
            .directory("tmp", "new-empty", |f| f.age("1h"))
            .symlink("tmp", "link", |f| f.age("48h"))
            .special("tmp", "socket", |f| f.age("48h"))
    }

    fn paths(outcome: &keepwell_sdk::testing::Outcome) -> Vec<&str> {
        outcome.proposals.iter().map(|p| p.path.as_str()).collect()
    }

    #[test]
    fn aged_files_links_and_empty_directories_go() {
        let outcome = node().run::<Clean>(json!({}));
        assert_eq!(paths(&outcome), ["empty", "link", "old/a", "old/b"]);
        assert_eq!(outcome.summary().status, Status::Done);
        let data = outcome.json();
        assert_eq!(
            (&data["proposed-files"], &data["proposed-bytes"]),
            (&json!(4), &json!(15))
        );
        assert_eq!(data["skipped"]["in-use"], 1);
        assert_eq!(data["skipped"]["young"], 1);
        assert_eq!(data["skipped"]["future-time"], 1);
        assert_eq!(data["skipped"]["special-file"], 1);
        assert_eq!(outcome.proposals[2].reason, "untouched for over 1d");
    }

    #[test]
    fn settings_narrow_it() {
        let kept = node().run::<Clean>(json!({ "empty-directories": "false", "except": "old" }));
        assert_eq!(paths(&kept), ["link"]);
        let globbed = node().run::<Clean>(json!({ "globs": ["*/a"], "older-than": "47h" }));
        assert_eq!(paths(&globbed), ["old/a"]);
        let read = Node::new().file("tmp", "read", |f| f.age("1h").modified("48h"));
        assert!(paths(&read.run::<Clean>(json!({}))).is_empty());
        assert_eq!(
            paths(&read.run::<Clean>(json!({ "age-by": "modified" }))),
            ["read"]
        );
    }

    #[test]
    fn a_limit_stops_it_and_is_told() {
        let budget = Budget {
            files: 2,
            bytes: 1 << 30,
            min_age: Span(0),
        };
        let outcome = node().budget(budget).run::<Clean>(json!({}));
        assert_eq!(outcome.proposals.len(), 2);
        assert_eq!(outcome.summary().status, Status::Warned);
        assert!(
            outcome.summary().line.contains("limit: "),
            "{}",
            outcome.summary().line
        );
    }

    #[test]
    fn a_file_larger_than_the_budget_keeps_no_other_waiting() {
        let budget = Budget {
            files: 100,
            bytes: 20,
            min_age: Span(0),
        };
        let node = node().file("tmp", "a-image", |f| f.age("48h").size(1_000));
        let outcome = node.budget(budget).run::<Clean>(json!({}));
        assert_eq!(paths(&outcome), ["empty", "link", "old/a", "old/b"]);
        assert_eq!(outcome.json()["skipped"]["limit"], 1);
        assert_eq!(outcome.summary().status, Status::Warned);
    }

    #[test]
    fn a_budget_that_is_used_up_ends_the_run() {
        let budget = Budget {
            files: 10,
            bytes: 1 << 30,
            min_age: Span(0),
        };
        let many = |root| {
            (0..9_000).fold(Node::new().root("z"), |node, i| {
                node.file(root, &format!("f{i:05}"), |f| f.age("48h").size(1))
            })
        };
        let all = many("a").budget(budget).run::<Clean>(json!({}));
        assert_eq!(all.json()["proposed-files"], 10);
        // The first batch shows it; the second is not asked for.
        assert_eq!(all.json()["skipped"]["limit"], 4_096 - 10);
        assert_eq!(all.json()["roots"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn many_go_in_batches() {
        let many = (0..5_000).fold(Node::new(), |node, i| {
            node.file("tmp", &format!("f{i:05}"), |f| f.age("48h").size(1))
        });
        let outcome = many.run::<Clean>(json!({}));
        assert_eq!(outcome.json()["proposed-files"], 5_000);
    }

    #[test]
    fn a_fault_at_any_call_ends_in_a_result_and_no_more_than_the_plan() {
        let whole = node().run::<Clean>(json!({}));
        for nth in 1..=whole.calls {
            let outcome = node().fail_call(nth, "io").run::<Clean>(json!({}));
            assert!(outcome.proposals.len() <= whole.proposals.len());
            let warned = outcome
                .result
                .as_ref()
                .map_or(true, |s| s.status == Status::Warned);
            assert!(warned, "call {nth}: a fault was swallowed");
        }
    }

    #[test]
    fn denials_are_told() {
        assert!(
            node()
                .deny(STORAGE)
                .run::<Clean>(json!({}))
                .refused()
                .unwrap()
                .is("denied")
        );
        let mute = node().deny(CLEAN).run::<Clean>(json!({}));
        assert_eq!(mute.summary().status, Status::Warned);
        assert_eq!(mute.json()["skipped"]["root-denied"], 1);
    }
}
