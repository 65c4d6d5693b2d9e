//! Looking for somebody who cannot read the node directory: this program again, with a verb that
//! only looks, and what it prints.

use crate::api::Answer;
use crate::error::{Error, Result};
use crate::node_dir::NodeDir;
use crate::worker::{self, Printed};
use keepwell_model::role::look as verb;
use keepwell_model::state::Exit;

/// Options that say which node; it is this one.
const ELSEWHERE: [&str; 2] = ["--node", "--socket"];

pub(super) fn look(dir: &NodeDir, words: &[String]) -> Result<Answer> {
    if verb(words).is_none() {
        return Err(Error::usage("that does not only look at a node"));
    }
    let elsewhere = |word: &String| ELSEWHERE.iter().any(|no| word.starts_with(no));
    if words.iter().any(elsewhere) {
        return Err(Error::usage("a daemon looks at its own node alone"));
    }
    let Printed { out, err, code } = worker::look(dir.path(), words)?;
    let exit = code
        .and_then(|code| u8::try_from(code).ok())
        .ok_or_else(|| Error::new(Exit::Internal, "looking was ended by a signal"))?;
    Ok(Answer::Looked { out, err, exit })
}
