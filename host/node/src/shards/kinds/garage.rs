//! A data directory of Garage: a block is named by the first half of its BLAKE2b-512, and may be
//! compressed.

use super::super::layout::{Layout, LayoutError, Rule, Transform};
use super::Kind;
use keepwell_model::store::DigestKind;

#[derive(Debug)]
pub(super) struct Garage;

impl Kind for Garage {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        let named = |template| Rule::hex(template, DigestKind::Blake2b512Truncated);
        let rules = [
            named("{h:2}/{h:2..4}/{h}"),
            named("{h:2}/{h:2..4}/{h}.zst").after(Transform::Zstd),
        ];
        // What Garage itself found corrupt it has put aside under an ending, and fetches anew.
        let ignore = ["garage-marker", "??/??/*.corrupted"];
        Layout::new(&rules, &ignore, &["??/??/*.tmp*"]).map(Some)
    }
}
