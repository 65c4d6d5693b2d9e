//! The metadata of ostree repositories: commits and directories are named by their SHA-256. The digest of a
//! file covers its mode and its attributes too, so that `ostree fsck` alone can verify files.

use super::super::layout::{Layout, LayoutError, Rule};
use super::Kind;
use keepwell_model::store::DigestKind;
use rustix::fs::FileType;

#[derive(Debug)]
pub(super) struct OstreeMeta;

impl Kind for OstreeMeta {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        let named = |template| Rule::hex(template, DigestKind::Sha256);
        let rules = [
            "objects/{h:2}/{h:2..}.commit",
            "objects/{h:2}/{h:2..}.dirtree",
            "objects/{h:2}/{h:2..}.dirmeta",
        ];
        let ignore = [
            "objects/??/*.file",
            "objects/??/*.filez",
            // Signatures and links, which no digest names.
            "objects/??/*.commitmeta",
            "objects/??/*.payload-link",
            "{config,summary,summary.sig,.lock}",
            "{refs,state,extensions,deltas,delta-indexes,uncompressed-objects-cache}/**",
        ];
        let temporary = ["tmp/**", "objects/??/.tmp*"];
        Layout::new(&rules.map(named), &ignore, &temporary).map(Some)
    }

    fn needed(&self) -> Vec<(&str, FileType)> {
        vec![
            ("config", FileType::RegularFile),
            ("objects", FileType::Directory),
        ]
    }
}
