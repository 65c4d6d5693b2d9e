//! Chunk stores of casync and desync (`.castr`): a chunk is named by the SHA-512/256 of what it expands to.

use super::super::layout::{Layout, LayoutError, Rule, Transform};
use super::Kind;
use keepwell_model::store::DigestKind;

#[derive(Debug)]
pub(super) struct Casync;

impl Kind for Casync {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        let chunk = Rule::hex("{h:4}/{h}.cacnk", DigestKind::Sha512_256);
        let temporary = ["????/.#*", "????/.tmp-cacnk*"];
        Layout::new(&[chunk.after(Transform::Zstd)], &[], &temporary).map(Some)
    }
}
