//! The blocks of kubo (IPFS): a block is named by its multihash in base 32, below the two letters before
//! the last.

use super::super::layout::{From, Layout, LayoutError, Rule, Transform};
use super::{Kind, Stranger};
use keepwell_model::store::{DigestKind, Encoding};
use rustix::fs::FileType;

#[derive(Debug)]
pub(super) struct Flatfs;

impl Kind for Flatfs {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        let block = Rule {
            template: "{h:52..54}/{h}.data",
            digest: DigestKind::Sha256,
            encoding: Encoding::Base32Upper,
            from: From::Content(Transform::None),
        };
        let ignore = ["SHARDING", "_README", "diskUsage.cache"];
        let temporary = [".temp/**", "**/put-*", "du-*"];
        Layout::new(&[block], &ignore, &temporary).map(Some)
    }

    fn needed(&self) -> Vec<(&str, FileType)> {
        vec![("SHARDING", FileType::RegularFile)]
    }

    fn stranger(&self, name: &str) -> Stranger {
        match name.ends_with(".data") {
            true => Stranger::Unverifiable(
                "its name is not the multihash of a SHA-256, which alone is supported",
            ),
            false => Stranger::Extra,
        }
    }
}
