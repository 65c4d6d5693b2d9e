//! The demo's node directory: made by `keepwell init`, then the tasks an operator would write.

use super::stage::{DONE, Stage};
use super::stores::Damaged;
use crate::error::Result;
use crate::places::write;
use std::path::Path;

/// Cleaning as an operator would grant it, with room for a tree that is mostly aged.
const TEMP_CLEAN: &str = r#"plugin = "clean"
task = "temp-clean"
settings = { older-than = "24h", age-by = "modified" }

[grant]
storage = { roots = ["tree"] }
storage-clean = { roots = ["tree"], max-files = 10000, max-bytes = "1GiB", max-share = "90%", min-age = "1h", age-by = "modified" }
"#;

/// The name of the task that verifies a store.
pub(crate) fn scrub_task(store: &Damaged) -> String {
    format!("shard-{}", store.name)
}

pub(crate) fn make(stage: &Stage, bundles: &Path, tree: &Path, stores: &[Damaged]) -> Result<()> {
    println!("\nA node, with the bundled plugins installed");
    let node = stage.node().display().to_string();
    let bundles = bundles.display().to_string();
    let root = format!("tree={}", tree.display());
    let store_words: Vec<String> = stores
        .iter()
        .map(|s| format!("{}={}:{}", s.name, s.kind, s.path.display()))
        .collect();
    let mut words = vec!["init", &node, "--bundles", &bundles, "--name", "demo"];
    words.extend(["--root", &root]);
    for store in &store_words {
        words.extend(["--store", store]);
    }
    stage.show(&words, &[DONE])?;

    let tasks = stage.node().join("tasks");
    write(&tasks.join("temp-clean.toml"), TEMP_CLEAN)?;
    for store in stores {
        let file = tasks.join(format!("{}.toml", scrub_task(store)));
        write(&file, scrub_file(store.name))?;
    }
    stage.show(&["config", "check"], &[DONE])?;
    stage.show(&["task", "list"], &[DONE])?;
    Ok(())
}

fn scrub_file(store: &str) -> String {
    format!(
        r#"plugin = "scrub"
task = "shard-verify"

[grant]
shards = {{ stores = ["{store}"] }}
"#
    )
}
