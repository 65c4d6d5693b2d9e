//! `shard-verify`: one slice of the scrub over the granted stores, within one shared budget.
//!
//! Another store comes first in each run. Otherwise one that is larger than the budget, and always
//! has something new, would keep the others from ever being read.

use crate::count::Count;
use keepwell_sdk::prelude::*;
use keepwell_sdk::shards::{Budget, Selector, Verdict};
use serde_json::Value;

/// Reads shards, least recently verified first.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scrub {
    store: Option<String>,
    globs: Vec<String>,
    max_bytes: Size,
    max_seconds: u32,
    not_verified_for: Span,
}

/// What has been read in all stores so far.
#[derive(Debug, Default)]
struct Read {
    shards: u64,
    bytes: u64,
    left: u64,
    unreachable: u64,
}

impl Task for Scrub {
    const NAME: &str = "shard-verify";
    const ABOUT: &str = "Verifies the shards that were not verified for longest";
    const NEEDS: &[Need] = &[need(
        SHARDS,
        "to have shards read and compared with their names",
    )];
    const SETTINGS: &[SettingHelp] = &[
        open("store", "Only this store; all granted ones when not set"),
        list("globs", &[], "Only shards whose name matches one of these"),
        text(
            "max-bytes",
            "0",
            "Read at most this much in all, for example `10GiB`; 0: no bound",
        ),
        number(
            "max-seconds",
            0.0,
            "Read for at most this long in all, each store its part; 0: no bound",
        ),
        text(
            "not-verified-for",
            "0s",
            "Only shards not verified for this long",
        ),
    ];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let stores = shards::stores()?;
        let mut names: Vec<String> = match &self.store {
            // Asked for by name: the host says whether it is granted, and how to grant it.
            Some(name) => vec![name.clone()],
            None => stores.iter().map(|s| s.name.clone()).collect(),
        };
        if names.is_empty() {
            return Err(Failure::Permanent(
                "no store is granted to this task".into(),
            ));
        }
        let first = turn(names.len(), clock::now());
        names.rotate_left(first);
        let mut count = Count::default();
        let mut read = Read::default();
        let mut rows: Vec<Value> = Vec::new();
        for (name, seconds) in names.iter().zip(self.seconds(names.len())) {
            match self.store(name, seconds, &mut count, &mut read) {
                Ok(row) => rows.push(row),
                // Named, it is the whole task; among several, the others still need reading.
                Err(refusal) if self.store.is_some() => return Err(refusal.into()),
                Err(refusal) => {
                    read.unreachable += 1;
                    let title = format!("store {name} could not be verified: {}", refusal.message);
                    finding(Severity::Critical, "store-unverified", name, title)
                        .fact("code", &refusal.code)
                        .report();
                }
            }
        }
        count.tell_rest();
        metric("scrub_shards", "count", read.shards as f64);
        metric("scrub_bytes", "bytes", read.bytes as f64);
        tell_ages(&names)?;
        Ok(told(&count, &read, &rows))
    }
}

/// Which of so many stores comes first. Told by the run's time, so that the same run reads the same
/// shards again, and mixed, so that a task that runs every seven days does not meet the same of
/// seven stores each time.
fn turn(stores: usize, now: u64) -> usize {
    /// 2^64 divided by the golden ratio: neighbouring seconds lead far apart.
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = (now / 1_000).wrapping_mul(MIX) >> 32;
    usize::try_from(mixed % stores.max(1) as u64).unwrap_or(0)
}

/// The age of the oldest verification is the health of a store. Absent, not zero, where some
/// shard was never verified.
fn tell_ages(names: &[String]) -> Result<(), Refusal> {
    for store in shards::stores()?.iter().filter(|s| names.contains(&s.name)) {
        if let Some(at) = store.oldest_verified {
            let age = clock::now().saturating_sub(at) / 1_000;
            labelled_metric(
                "scrub_oldest_verified",
                "seconds",
                age as f64,
                "store",
                &store.name,
            );
        }
    }
    Ok(())
}

fn told(count: &Count, read: &Read, rows: &[Value]) -> Summary {
    let mut line = format!("{} shards, {} read", read.shards, Size(read.bytes));
    let problems = count.problems();
    line += &if problems.is_empty() {
        ", all ok".to_owned()
    } else {
        format!(": {problems}")
    };
    if read.left > 0 {
        line += &format!("; {} left for later", read.left);
    }
    if read.unreachable > 0 {
        line += &format!("; {} stores not verified", read.unreachable);
    }
    if read.shards + read.left + read.unreachable == 0 && problems.is_empty() {
        line = "nothing was due".into();
    }
    let well = count.critical + count.warning + read.unreachable == 0;
    Summary::judged(well, line).with(&json!({
        "shards": read.shards, "bytes": read.bytes, "left": read.left,
        "states": count.states, "stores": rows,
    }))
}

impl Scrub {
    /// Seconds for each of so many stores; `None`: no bound. A task's clock stands still, so what
    /// one store leaves of its part cannot be given to the next.
    fn seconds(&self, stores: usize) -> impl Iterator<Item = Option<u32>> + use<> {
        let all = self.max_seconds;
        let stores = u32::try_from(stores).unwrap_or(u32::MAX).max(1);
        let part = move |nth| all / stores + u32::from(nth < all % stores);
        (0..stores).map(move |nth| (all > 0).then(|| part(nth)))
    }

    fn store(
        &self,
        name: &str,
        seconds: Option<u32>,
        count: &mut Count,
        read: &mut Read,
    ) -> Result<Value, Refusal> {
        let selector = Selector {
            globs: self.globs.clone(),
            not_verified_since: match self.not_verified_for.millis() {
                0 => 0,
                // At least 1, because 0 would mean all.
                span => clock::now().saturating_sub(span).max(1),
            },
        };
        // Of a bound nothing may be left, and to the host 0 would mean that there is none.
        let bytes = (self.max_bytes.0 > 0).then(|| self.max_bytes.0.saturating_sub(read.bytes));
        if bytes == Some(0) || seconds == Some(0) {
            return self.unreached(name, &selector, read);
        }
        let budget = Budget {
            max_bytes: bytes.unwrap_or(0),
            max_shards: 0,
            max_seconds: seconds.unwrap_or(0),
        };
        let mut scrub = shards::verify(name, &selector, budget)?;
        let done_before = read.bytes;
        while let Some(verdicts) = scrub.next().transpose()? {
            for verdict in verdicts.iter().filter(|v| !self.waits(v, bytes)) {
                count.see(name, verdict);
            }
            let at = scrub.progress();
            progress(
                done_before + at.bytes,
                done_before + at.total_bytes,
                "bytes",
                name,
            );
        }
        let end = scrub.progress();
        read.shards += end.shards;
        read.bytes += end.bytes;
        read.left += end.left;
        Ok(json!({ "store": name, "shards": end.shards, "bytes": end.bytes, "left": end.left }))
    }

    /// Whether the host calls a shard too large only for what the stores before it left of the
    /// bytes. It is among those left, and is read in a run in which its store comes first.
    fn waits(&self, verdict: &Verdict, bytes: Option<u64>) -> bool {
        let too_large = bytes.is_some_and(|bytes| verdict.bytes > bytes);
        verdict.state == "unverifiable" && too_large && verdict.bytes <= self.max_bytes.0
    }

    fn unreached(
        &self,
        name: &str,
        selector: &Selector,
        read: &mut Read,
    ) -> Result<Value, Refusal> {
        let mut left = 0;
        for batch in shards::list(name, selector)? {
            left += batch?.len() as u64;
        }
        read.left += left;
        Ok(json!({ "store": name, "shards": 0, "bytes": 0, "left": left }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::FINDINGS_MAX;
    use keepwell_sdk::testing::{Node, SimStore};

    fn good(name: &str) -> SimStore {
        SimStore::new(name, "restic")
            .shard("new", 10, "ok", "1h")
            .shard("old", 20, "ok", "240h")
            .shard("never", 30, "ok", "never")
    }

    #[test]
    fn a_good_store() {
        let outcome = Node::new().store(good("a")).run::<Scrub>(json!({}));
        assert_eq!(outcome.summary().line, "3 shards, 60 B read, all ok");
        assert_eq!(outcome.json()["states"]["ok"], 3);
        assert!(outcome.findings.is_empty());
        assert_eq!(outcome.progress.last().unwrap().done, 60);
    }

    #[test]
    fn every_state_has_its_severity() {
        let states = [
            "corrupt",
            "truncated",
            "missing",
            "misplaced",
            "unreadable",
            "vanished",
            "oversize",
            "extra",
            "stale-temp",
            "changed",
            "unheard-of",
        ];
        let store = states
            .iter()
            .fold(good("a"), |s, state| s.shard(state, 1, state, "never"));
        let outcome = Node::new().store(store).run::<Scrub>(json!({}));
        let critical = outcome
            .findings
            .iter()
            .filter(|f| f.severity == Severity::Critical)
            .count();
        assert_eq!((outcome.findings.len(), critical), (11, 5));
        assert_eq!(outcome.summary().status, Status::Warned);
    }

    #[test]
    fn many_bad_shards_are_told_as_a_total() {
        let store = (0..200).fold(SimStore::new("a", "oci"), |s, i| {
            s.shard(&format!("s{i:03}"), 1, "corrupt", "never")
        });
        let outcome = Node::new().store(store).run::<Scrub>(json!({}));
        assert_eq!(outcome.findings.len() as u64, FINDINGS_MAX + 1);
        assert_eq!(
            outcome.findings.last().unwrap().title,
            "150 more shards of a are corrupt"
        );
    }

    #[test]
    fn the_budget_is_shared_and_the_oldest_come_first() {
        let node = Node::new().store(good("a")).store(good("b"));
        let outcome = node.run::<Scrub>(json!({ "max-bytes": "50B" }));
        let data = outcome.json();
        assert_eq!((&data["shards"], &data["left"]), (&json!(2), &json!(4)));
        // That nothing of the second store fits into what the first one left is no finding, but
        // that a shard never fits is.
        let outcome = node.run::<Scrub>(json!({ "max-bytes": "65B" }));
        assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
        assert_eq!(outcome.json()["left"], 3);
        let never = node.run::<Scrub>(json!({ "max-bytes": "25B" }));
        let found = never.found();
        assert!(
            found.contains(&("shard-unverifiable", "a/never")),
            "{found:?}"
        );
        let due = node.run::<Scrub>(json!({ "store": "b", "not-verified-for": "7d" }));
        assert_eq!(due.json()["shards"], 2);
        let none = Node::new().store(SimStore::new("a", "oci").shard("x", 1, "ok", "1h"));
        let none = none.run::<Scrub>(json!({ "not-verified-for": "7d" }));
        assert_eq!(none.summary().line, "nothing was due");
    }

    /// The store that a run's first progress is about.
    fn first(node: &Node, instant: &str) -> String {
        let outcome = node.clone().now(instant).run::<Scrub>(json!({}));
        outcome.progress[0].note.clone()
    }

    #[test]
    fn every_store_is_first_before_long() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let node = names
            .iter()
            .fold(Node::new(), |n, name| n.store(good(name)));
        // Seven stores, every seventh day at the same hour.
        let weeks = (1..=12).flat_map(|m| [1, 8, 15, 22].map(|d| (m, d)));
        let firsts: std::collections::BTreeSet<String> = weeks
            .map(|(m, d)| first(&node, &format!("2026-{m:02}-{d:02}T02:00:00Z")))
            .collect();
        assert_eq!(firsts.len(), names.len(), "{firsts:?}");
    }

    #[test]
    fn seconds_are_shared_by_all_stores() {
        let parts = |max_seconds, stores| {
            let scrub = Scrub {
                store: None,
                globs: vec![],
                max_bytes: Size(0),
                max_seconds,
                not_verified_for: Span(0),
            };
            scrub.seconds(stores).collect::<Vec<_>>()
        };
        assert_eq!(parts(0, 2), [None, None]);
        assert_eq!(parts(7, 3), [Some(3), Some(2), Some(2)]);
        assert_eq!(parts(1, 3), [Some(1), Some(0), Some(0)]);
        let large = |name| SimStore::new(name, "oci").shard("x", 300 << 20, "ok", "never");
        let node = Node::new().store(large("a")).store(large("b"));
        // Each takes three seconds of the simulated node.
        let data = |seconds: u32| {
            let outcome = node.run::<Scrub>(json!({ "max-seconds": seconds }));
            outcome.json()
        };
        assert_eq!(data(6)["shards"], 2);
        assert_eq!(
            data(5)["left"],
            1,
            "three seconds for one and two for the other"
        );
    }

    #[test]
    fn nothing_due_hides_no_problem() {
        let missing = SimStore::new("a", "oci").absent("x", "missing");
        let outcome = Node::new().store(missing).run::<Scrub>(json!({}));
        assert_eq!(outcome.summary().line, "0 shards, 0 B read: 1 missing");
        assert_eq!(outcome.summary().status, Status::Warned);
    }

    #[test]
    fn a_store_that_is_gone_is_not_healthy_and_keeps_nobody_waiting() {
        let node = Node::new().store(good("a").gone()).store(good("b"));
        let outcome = node.run::<Scrub>(json!({}));
        assert_eq!(outcome.found(), [("store-unverified", "a")]);
        assert_eq!(outcome.json()["shards"], 3);
        let named = node.run::<Scrub>(json!({ "store": "c" }));
        assert!(named.refused().unwrap().is("denied"));
        assert!(matches!(
            Node::new().run::<Scrub>(json!({})).failure(),
            Failure::Permanent(_)
        ));
    }

    #[test]
    fn a_fault_at_any_call_is_never_all_ok() {
        let node = Node::new().store(good("a"));
        for nth in 1..=node.run::<Scrub>(json!({})).calls {
            let outcome = node.clone().fail_call(nth, "io").run::<Scrub>(json!({}));
            let told = outcome
                .result
                .as_ref()
                .map_or(true, |s| s.status == Status::Warned);
            assert!(told, "call {nth}");
        }
    }
}
