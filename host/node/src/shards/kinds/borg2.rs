//! Borg 2 repositories: a pack is named by its SHA-256, below its first two digits. What lies beside the
//! packs is found by them, or is a cache, and is named otherwise.

use super::super::layout::{Layout, LayoutError, Rule};
use super::Kind;
use keepwell_model::store::DigestKind;
use rustix::fs::FileType;

#[derive(Debug)]
pub(super) struct Borg2;

impl Kind for Borg2 {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        let rules = [Rule::hex("packs/{h:2}/{h}", DigestKind::Sha256)];
        let beside = ["archives", "cache", "config", "index", "keys", "locks"];
        let beside = beside.map(|dir| format!("{dir}/**"));
        // Deleted ones keep their name and get an ending, until the store is compacted.
        let ignore: Vec<&str> = beside
            .iter()
            .map(String::as_str)
            .chain(["packs/??/*.del"])
            .collect();
        Layout::new(&rules, &ignore, &["**/*.tmp"]).map(Some)
    }

    fn needed(&self) -> Vec<(&str, FileType)> {
        vec![
            ("config", FileType::Directory),
            ("packs", FileType::Directory),
        ]
    }
}
