//! One person's answer: the statement that is signed, and the decision that is kept.

use super::{Request, RequestId, with_domain, without_domain};
use crate::role::Peer;
use serde::{Deserialize, Serialize};
use std::fmt;

/// First line of what is signed, so that a signature made for anything else is none here.
const STATEMENT_DOMAIN: &str = "keepwell-approval-v1";
/// Longest reason: a few sentences for people.
pub const REASON_MAX_BYTES: usize = 1024;
/// Largest statement: the reason, escaped, and some two hundred bytes.
pub const STATEMENT_MAX_BYTES: usize = 8 << 10;
/// How far an approver's clock may be from the node's. Approvals are signed on other machines.
pub const CLOCK_TOLERANCE_MS: u64 = 120_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Grant,
    Deny,
}

/// What an approver signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// In the request already, and here for whoever reads what they sign.
    pub node: String,
    pub request: RequestId,
    pub answer: Answer,
    /// By the approver's clock, milliseconds since the Unix epoch.
    pub at: u64,
    pub reason: String,
}

impl Statement {
    pub fn new(request: &Request, answer: Answer, at: u64, reason: &str) -> Self {
        Self {
            node: request.node.clone(),
            request: request.id(),
            answer,
            at,
            reason: reason.to_owned(),
        }
    }

    /// The exact bytes that are signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        with_domain(STATEMENT_DOMAIN, self)
    }

    /// Strict: only what [`Self::to_bytes`] writes is read.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let damaged = |why: &str| Refused::Damaged(why.to_owned());
        if bytes.len() > STATEMENT_MAX_BYTES {
            return Err(damaged("it is longer than any statement"));
        }
        let json = without_domain(STATEMENT_DOMAIN, bytes)
            .ok_or_else(|| damaged("its first line is not `keepwell-approval-v1`"))?;
        let it: Self = serde_json::from_slice(json).map_err(|e| damaged(&e.to_string()))?;
        if it.to_bytes() != bytes {
            return Err(damaged(
                "it is spelled in another way than this tool writes it",
            ));
        }
        Ok(it)
    }

    /// Whether it is an answer to this request, on this node, and when it reached the host.
    pub fn check(&self, request: &Request, received: u64) -> Result<(), Refused> {
        if self.node != request.node {
            return Err(Refused::OtherNode {
                found: crate::words::printable(&self.node, 80),
                expected: request.node.clone(),
            });
        }
        if self.reason.len() > REASON_MAX_BYTES {
            return Err(Refused::Reason(self.reason.len()));
        }
        if self.request != request.id() {
            return Err(Refused::OtherRequest {
                found: self.request,
            });
        }
        check_times(request, self.answer, self.at, received)
    }
}

pub(super) fn check_times(
    request: &Request,
    answer: Answer,
    at: u64,
    received: u64,
) -> Result<(), Refused> {
    if at > received.saturating_add(CLOCK_TOLERANCE_MS) {
        return Err(Refused::FutureDated {
            ahead_ms: at - received,
        });
    }
    let earliest = at.min(received).saturating_add(CLOCK_TOLERANCE_MS);
    if earliest < request.created {
        return Err(Refused::BeforeRequest);
    }
    // Whoever denies what was approved stops it as long as it is not applied.
    let last = match answer {
        Answer::Grant => request.approve_by,
        Answer::Deny => request.execute_by,
    };
    // When it came in decides, not when it says it was made: a date is easily written.
    if received >= last {
        return Err(Refused::TooLate);
    }
    Ok(())
}

/// How it is known who answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Voice {
    /// By a signature that verified. The key's id.
    Key(String),
    /// By the kernel's word on the socket's other end.
    Peer(Peer),
}

/// An answer the host took in. A signed one comes from `verify_decision` in `host/bundle`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    pub request: RequestId,
    pub answer: Answer,
    pub approver: Voice,
    /// By the approver's clock.
    pub at: u64,
    /// By the host's.
    pub received: u64,
    pub reason: String,
}

impl Decision {
    /// The answer of somebody at the other end of the socket.
    pub fn by_peer(
        request: &Request,
        answer: Answer,
        peer: Peer,
        now: u64,
        reason: &str,
    ) -> Result<Self, Refused> {
        let statement = Statement::new(request, answer, now, reason);
        statement.check(request, now)?;
        Ok(Self::new(statement, Voice::Peer(peer), now))
    }

    /// What a statement comes to once it is known who made it.
    pub fn new(statement: Statement, approver: Voice, received: u64) -> Self {
        Self {
            request: statement.request,
            answer: statement.answer,
            approver,
            at: statement.at,
            received,
            reason: statement.reason,
        }
    }
}

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "code", content = "detail")]
pub enum Refused {
    #[error("the statement is damaged: {0}")]
    Damaged(String),
    #[error("its key cannot be used: {0}")]
    Key(String),
    #[error("the signature by the key of `{name}` does not fit: this is not what was signed")]
    Forged { name: String },
    #[error("it answers another request, {found}")]
    OtherRequest { found: RequestId },
    #[error("it was made for node `{found}`, and this is `{expected}`")]
    OtherNode { found: String, expected: String },
    #[error("it is dated {ahead_ms} ms in the future")]
    FutureDated { ahead_ms: u64 },
    #[error("it is dated before the request")]
    BeforeRequest,
    #[error("it came after the request had expired")]
    TooLate,
    #[error("the reason has {0} bytes, more than {REASON_MAX_BYTES}")]
    Reason(usize),
    #[error("who asked cannot approve")]
    OwnRequest,
    #[error("key {key_id} is not in approvers.toml")]
    NotListed { key_id: String },
    #[error("user {uid} does not hold the role `approver`")]
    NotApprover { uid: u32 },
    #[error("the key of `{name}` was revoked: {why}")]
    KeyRevoked { name: String, why: String },
    #[error("the key of `{name}` has expired")]
    KeyExpired { name: String },
    #[error("the policy wants a signature, and the socket's credentials are none")]
    SignatureWanted,
    #[error("`{who}` is not among those the policy lets approve this")]
    NotAmong { who: String },
    #[error("`{who}` has answered already, and counts once")]
    Twice { who: String },
}

impl Refused {
    /// Stable, for programs and the journal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "damaged",
            Self::Key(_) => "key",
            Self::Forged { .. } => "forged",
            Self::OtherRequest { .. } => "other-request",
            Self::OtherNode { .. } => "other-node",
            Self::FutureDated { .. } => "future-dated",
            Self::BeforeRequest => "before-request",
            Self::TooLate => "too-late",
            Self::Reason(_) => "reason",
            Self::OwnRequest => "own-request",
            Self::NotListed { .. } => "not-listed",
            Self::NotApprover { .. } => "not-approver",
            Self::KeyRevoked { .. } => "key-revoked",
            Self::KeyExpired { .. } => "key-expired",
            Self::SignatureWanted => "signature-wanted",
            Self::NotAmong { .. } => "not-among",
            Self::Twice { .. } => "twice",
        }
    }

    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Damaged(_) | Self::Forged { .. } => "export the request and sign it again",
            Self::Key(_) => "sign with an Ed25519 key: `ssh-keygen -t ed25519` makes one",
            Self::OtherRequest { .. } | Self::OtherNode { .. } => {
                "`keepwell approvals list` shows what waits on this node"
            }
            Self::FutureDated { .. } | Self::BeforeRequest => {
                "compare the clock of the approver's machine with the node's, then sign again"
            }
            Self::TooLate => "run the task again: a new plan asks for a new approval",
            Self::Reason(_) => "say it shorter",
            Self::OwnRequest => "ask somebody else with `keepwell approvals export`",
            Self::NotListed { .. } => "add the key to approvers.toml if you know whose it is",
            Self::NotApprover { .. } => "add the user to `roles.approver` in keepwell.toml",
            Self::KeyRevoked { .. } | Self::KeyExpired { .. } => {
                "sign with a key that is valid in approvers.toml"
            }
            Self::SignatureWanted => {
                "sign it with your key, or set `peer-suffices` in the policy's rule"
            }
            Self::NotAmong { .. } => "`keepwell approvals show` names who may",
            Self::Twice { .. } => "another person has to approve",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Grant => "grant",
            Self::Deny => "deny",
        })
    }
}
