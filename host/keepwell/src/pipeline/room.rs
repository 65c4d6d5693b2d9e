//! Room for the journal. When it gets low changes stop first; runs that only look go on until the
//! journal cannot be written at all. So there is always room to say what was done and to undo it.

use super::apply::Stop;
use crate::node_dir::NodeDir;
use keepwell_model::state::RunState;
use keepwell_model::units::Bytes;
use keepwell_node::space::space;

/// Changes stop below this: the journal's log may grow to half of it before it is folded, and ends,
/// reverts and undo need the rest.
pub const CHANGES_NEED_BYTES: u64 = 8 << 20;

/// Why changes stop, if they do.
pub fn low(dir: &NodeDir) -> Option<String> {
    let state = dir.state();
    let found = match space(&state) {
        Ok(found) => found,
        Err(e) => {
            return Some(format!(
                "nobody can tell what is free at {}: {e}",
                state.display()
            ));
        }
    };
    if found.read_only {
        return Some(format!("{} is read-only", state.display()));
    }
    (found.free_bytes < CHANGES_NEED_BYTES).then(|| {
        format!(
            "{} are free for the journal, and changes stop below {}",
            Bytes(found.free_bytes),
            Bytes(CHANGES_NEED_BYTES)
        )
    })
}

pub(super) fn stop(dir: &NodeDir) -> Option<Stop> {
    low(dir).map(|why| Stop {
        state: RunState::Interrupted,
        why,
        hint: Some(format!(
            "make room at {}; `keepwell runs resume` goes on",
            dir.state().display()
        )),
    })
}
