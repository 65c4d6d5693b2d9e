//! restic and rustic repositories: everything but `config` is named by its SHA-256; locks come and go.

use super::super::layout::{Layout, LayoutError, Rule};
use super::Kind;
use keepwell_model::store::DigestKind;
use rustix::fs::FileType;

#[derive(Debug)]
pub(super) struct Restic;

impl Kind for Restic {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        let named = |template| Rule::hex(template, DigestKind::Sha256);
        let rules = ["data/{h:2}/{h}", "index/{h}", "snapshots/{h}", "keys/{h}"].map(named);
        let temporary = ["**/*-tmp-*", "**/*.tmp", "tmp/**"];
        Layout::new(&rules, &["config", "locks/**"], &temporary).map(Some)
    }

    fn needed(&self) -> Vec<(&str, FileType)> {
        vec![
            ("config", FileType::RegularFile),
            ("data", FileType::Directory),
        ]
    }
}
