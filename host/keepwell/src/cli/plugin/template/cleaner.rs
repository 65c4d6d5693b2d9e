//! What this plugin looks after, in one sentence.

use keepwell_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PartClean {
    older_than: Span,
}

impl Task for PartClean {
    const NAME: &str = "part-clean";
    const ABOUT: &str = "Proposes unfinished downloads that nobody touched for a while";
    const NEEDS: &[Need] = &[
        need(STORAGE, "to find what is old"),
        need(CLEAN, "to propose it for quarantine").max_files(1_000),
    ];
    const SETTINGS: &[SettingHelp] =
        &[text("older-than", "7d", "How long a file must not have been touched")];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let selector = storage::Selector {
            globs: vec!["**/*.part".into()],
            kinds: vec![storage::Kind::File],
            min_age_ms: self.older_than.millis(),
            ..storage::everything()
        };
        let (mut proposed, mut refused) = (0, 0);
        for root in storage::roots()? {
            for batch in storage::walk(&root.name, &selector)?.batches() {
                let proposals: Vec<_> = batch?
                    .into_iter()
                    .map(|entry| clean::Proposal::new(entry, "an old unfinished download"))
                    .collect();
                for answer in clean::quarantine(&root.name, &proposals)? {
                    match answer {
                        Ok(_) => proposed += 1,
                        Err(_) => refused += 1,
                    }
                }
            }
        }
        Ok(Summary::judged(refused == 0, format!("{proposed} proposed, {refused} refused")))
    }
}

keepwell_sdk::plugin!("{name}", "Cleans unfinished downloads", [PartClean]);

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_sdk::testing::Node;

    #[test]
    fn only_what_is_old_and_unfinished_is_proposed() {
        let node = Node::new()
            .root("tmp")
            .file("tmp", "old.part", |f| f.age("8d"))
            .file("tmp", "young.part", |f| f.age("1h"))
            .file("tmp", "old.iso", |f| f.age("8d"));
        let outcome = node.run::<PartClean>(json!({}));
        assert_eq!(outcome.summary().line, "1 proposed, 0 refused");
    }

    #[test]
    fn what_is_in_use_is_not_done_and_said() {
        let node = Node::new().root("tmp").file("tmp", "old.part", |f| f.age("8d").in_use());
        let outcome = node.run::<PartClean>(json!({}));
        assert_eq!(outcome.summary().status, Status::Warned);
    }
}
