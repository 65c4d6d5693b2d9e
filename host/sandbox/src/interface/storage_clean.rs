//! Interface `storage-clean`: proposals, handed to the host, which alone decides on them.

use super::bindings::{storage, storage_clean as wit, types};
use super::storage::{kind, rel_path, subject};
use crate::ctx::{Answered, Ctx, No, wrong_answer};
use crate::frame::pieces;
use crate::protocol::{Answer, Ask, Proposal};
use crate::recount::PROPOSALS_MAX;
use keepwell_model::action::Identity;
use keepwell_model::capability::Capability;
use keepwell_model::id::NAME_MAX_BYTES;
use keepwell_model::words::{Refusal, printable};

/// As the contract says of a reason.
const REASON_MAX_BYTES: usize = 256;
/// Of a proposal, beside its path and reason.
const PROPOSAL_BYTES: usize = 96;

impl Ctx {
    fn cleanable(&self, name: &str) -> Result<(), Refusal> {
        self.need(Capability::StorageClean)?;
        if self
            .assignment
            .cleanable
            .iter()
            .any(|root| root.as_str() == name)
        {
            return Ok(());
        }
        let name = printable(name, NAME_MAX_BYTES);
        Err(
            Refusal::denied(format!("root `{name}` is not granted for cleaning")).hint(format!(
                "add `storage-clean.roots = [\"{name}\"]` to [grant] of this task"
            )),
        )
    }

    /// Proposes what is well formed; the answers stand in the order asked.
    fn propose(
        &mut self,
        root: &str,
        proposals: Vec<wit::Proposal>,
    ) -> Result<Vec<Result<u64, Refusal>>, No> {
        let mut answers: Vec<Option<Result<u64, Refusal>>> = Vec::with_capacity(proposals.len());
        let mut sound = Vec::new();
        for proposal in proposals {
            match check(proposal) {
                Ok(proposal) => {
                    sound.push(proposal);
                    answers.push(None);
                }
                Err(refusal) => answers.push(Some(Err(refusal))),
            }
        }
        let mut judged = Vec::with_capacity(sound.len());
        for piece in pieces(sound, |p| {
            p.path.as_bytes().len() + p.reason.len() + PROPOSAL_BYTES
        }) {
            let asked = piece.len();
            match self.propose_piece(root, piece) {
                Ok(some) if some.len() == asked => judged.extend(some),
                Ok(_) => return Err(wrong_answer()),
                // Pieces before this one are in the plan already, so the answer to all cannot be
                // a single refusal any more.
                Err(No::Refused(refusal)) if !judged.is_empty() => {
                    judged.extend(std::iter::repeat_n(Err(refusal), asked));
                }
                Err(no) => return Err(no),
            }
        }
        let mut judged = judged.into_iter();
        let all = answers
            .into_iter()
            .map(|answer| answer.or_else(|| judged.next()));
        all.collect::<Option<Vec<_>>>().ok_or_else(wrong_answer)
    }

    fn propose_piece(
        &mut self,
        root: &str,
        proposals: Vec<Proposal>,
    ) -> Result<Vec<Result<u64, Refusal>>, No> {
        if proposals.is_empty() {
            return Ok(vec![]);
        }
        let root = root.to_owned();
        let Answer::Proposed(answer) = self.ask(Ask::Propose { root, proposals })? else {
            return Err(wrong_answer());
        };
        Ok(answer?)
    }
}

fn check(proposal: wit::Proposal) -> Result<Proposal, Refusal> {
    let identity = identity(&proposal.entry);
    check_reason(&proposal.reason)?;
    Ok(Proposal {
        path: rel_path(proposal.entry.path)?,
        kind: kind(proposal.entry.kind),
        identity,
        touched_ms: proposal.entry.touched,
        in_use: proposal.entry.in_use,
        reason: proposal.reason,
    })
}

fn check_reason(reason: &str) -> Result<(), Refusal> {
    if reason.len() > REASON_MAX_BYTES {
        return Err(Refusal::invalid(format!(
            "a reason has at most {REASON_MAX_BYTES} bytes, this one {}",
            reason.len()
        )));
    }
    Ok(())
}

const fn identity(entry: &storage::Entry) -> Identity {
    Identity {
        device: entry.identity.device,
        inode: entry.identity.inode,
        size: entry.size,
        mtime_ns: entry.identity.mtime_ns,
        ctime_ns: entry.identity.ctime_ns,
    }
}

impl wit::Host for Ctx {
    fn quarantine(
        &mut self,
        root: String,
        proposals: Vec<wit::Proposal>,
    ) -> Answered<Vec<Result<u64, types::Refusal>>> {
        self.call("storage-clean.quarantine", &root, |ctx| {
            ctx.cleanable(&root)?;
            if proposals.len() > PROPOSALS_MAX {
                return Err(Refusal::invalid(format!(
                    "at most {PROPOSALS_MAX} proposals in a call, not {}",
                    proposals.len()
                ))
                .into());
            }
            let answers = ctx.propose(&root, proposals)?;
            Ok(answers
                .into_iter()
                .map(|a| a.map_err(types::Refusal::from))
                .collect())
        })
    }

    fn quarantine_tree(
        &mut self,
        root: String,
        top: storage::Entry,
        reason: String,
    ) -> Answered<u64> {
        self.call(
            "storage-clean.quarantine-tree",
            &subject(&root, &top.path),
            |ctx| {
                ctx.cleanable(&root)?;
                check_reason(&reason)?;
                let identity = identity(&top);
                let path = rel_path(top.path)?;
                let ask = Ask::ProposeTree {
                    root: root.clone(),
                    path,
                    identity,
                    reason,
                };
                let Answer::ProposedTree(answer) = ctx.ask(ask)? else {
                    return Err(wrong_answer());
                };
                Ok(answer?)
            },
        )
    }
}
