//! What a replacement that did not end left beside the file: removed when it is ours alone.

use super::file::{self, Opened};
use super::format;
use super::replace::{Names, remove};
use crate::at::refused;
use keepwell_model::id::Digest;
use keepwell_model::param::{ParamChange, Place};
use keepwell_model::words::{Code, Refusal};
use std::os::fd::AsFd as _;

/// Removes what a replacement that did not end left beside the file. A complete file is
/// removed only if nothing of anybody else is lost with it: it is the planned one, but for this
/// value at most, or it differs from the present one in this value alone.
pub(super) fn sweep(change: &ParamChange, names: &Names) -> Result<(), Refusal> {
    let Place::Key { file, format, key } = &change.place else {
        return Ok(());
    };
    let Ok(opened) = file::open(file) else {
        // The reading that follows says why.
        return Ok(());
    };
    let dir = opened.dir.as_fd();
    let cannot = |e| refused(e, "cannot remove what an earlier try left");
    remove(dir, &names.part).map_err(cannot)?;
    let left = match file::open(&file.with_file_name(&names.swap)) {
        Err(no) if no.code == Code::Gone => return Ok(()),
        other => other,
    };
    // The whole file with the old value in its place, if one of our two values stands there.
    let as_planned = |opened: &Opened| {
        let found = format::find(*format, &opened.text, key).ok()?;
        let mut text = opened.text.clone();
        let spelled = &text[found.span.clone()];
        let known = spelled == change.old.spelling || spelled == change.new.spelling;
        text.replace_range(found.span, &change.old.spelling);
        known.then_some(text)
    };
    let left = left.ok().and_then(|left| as_planned(&left));
    let planned = change.seen.map(|seen| seen.digest);
    if left.is_some()
        && (left == as_planned(&opened) || left.map(|text| Digest::of(text.as_bytes())) == planned)
    {
        return remove(dir, &names.swap).map_err(cannot);
    }
    Err(Refusal::busy(format!(
        "{}: a crash left `{}` beside it, which holds what somebody else wrote",
        change.place, names.swap
    ))
    .hint("compare the two files, keep the right one, and remove the other by hand"))
}
