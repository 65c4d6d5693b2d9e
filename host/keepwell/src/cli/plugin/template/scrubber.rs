//! What this plugin looks after, in one sentence.

use keepwell_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StoreCheck {
    max_bytes: Size,
}

impl Task for StoreCheck {
    const NAME: &str = "store-check";
    const ABOUT: &str = "Reads the least recently verified shards and tells what is not whole";
    const NEEDS: &[Need] = &[need(SHARDS, "to verify shards")];
    const SETTINGS: &[SettingHelp] =
        &[text("max-bytes", "10GiB", "How much of each store to read at most")];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let budget = shards::Budget { max_bytes: self.max_bytes.0, max_shards: 0, max_seconds: 0 };
        let (mut read, mut bad) = (0, 0);
        for store in shards::stores()? {
            for verdicts in shards::verify(&store.name, &shards::everything(), budget)? {
                for verdict in verdicts? {
                    read += 1;
                    if verdict.state != "ok" {
                        bad += 1;
                        let title = format!("{} is {}", verdict.shard, verdict.state);
                        finding(Severity::Critical, "shard-bad", &verdict.shard, title).report();
                    }
                }
            }
        }
        Ok(Summary::judged(bad == 0, format!("{read} shards read, {bad} not whole")))
    }
}

keepwell_sdk::plugin!("{name}", "Verifies stores", [StoreCheck]);

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_sdk::testing::{Node, SimStore};

    fn node(state: &str) -> Node {
        let store = SimStore::new("backup", "cas").shard("a", 10, state, "never").shard("b", 10, "ok", "never");
        Node::new().store(store)
    }

    #[test]
    fn whole_shards_are_fine() {
        let outcome = node("ok").run::<StoreCheck>(json!({}));
        assert_eq!(outcome.summary().line, "2 shards read, 0 not whole");
    }

    #[test]
    fn a_corrupt_shard_is_told() {
        let outcome = node("corrupt").run::<StoreCheck>(json!({}));
        assert_eq!(outcome.found(), [("shard-bad", "a")]);
    }
}
