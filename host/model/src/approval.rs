//! Approvals: what is asked, what is answered, and what the answers come to.
//!
//! A request's canonical bytes are the line `keepwell-approval-request-v1`, then its JSON on one
//! line with the keys in the order of the fields. Its id is their SHA-256, so `sha256sum` of an
//! exported request computes it too.

mod decision;
mod judge;

pub use decision::{
    Answer, CLOCK_TOLERANCE_MS, Decision, REASON_MAX_BYTES, Refused, STATEMENT_MAX_BYTES,
    Statement, Voice,
};
pub use judge::{Case, Directory, Expiry, Judgement, Listed, State, judge};

use crate::id::{Digest, RunId, TaskName};
use crate::policy::Needs;
use crate::role::Account;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// First line of a request's bytes, so that no other thing that is hashed or signed can pass for
/// a request.
const REQUEST_DOMAIN: &str = "keepwell-approval-request-v1";
/// Largest request: lists of approvers from 256 rules are the only part that grows.
pub const REQUEST_MAX_BYTES: usize = 64 << 10;
/// Longest name of a node, as of a host.
pub const NODE_MAX_BYTES: usize = 255;

/// SHA-256 of a request's canonical bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(Digest);

impl RequestId {
    /// The first 12 hex digits, for people.
    pub fn short(&self) -> String {
        self.0.short()
    }

    /// The 64 hex digits alone, as file names use them.
    pub fn hex(&self) -> String {
        self.0.hex()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RequestId {
    type Err = crate::id::BadId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Somebody wants this plan applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Request {
    pub node: String,
    pub task: TaskName,
    pub run: RunId,
    pub requester: Requester,
    pub subject: Subject,
    /// Milliseconds since the Unix epoch, as the two below.
    pub created: u64,
    /// From here on it cannot be approved.
    pub approve_by: u64,
    /// From here on it cannot be applied.
    pub execute_by: u64,
    pub needs: Needs,
}

/// Who asked. Neither: the host itself, by schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Requester {
    /// By number where the node knows the user.
    pub user: Option<Account>,
    /// Id of the key the request came in with.
    pub key: Option<String>,
}

/// What exactly is to be applied. When any part is another, the approval is for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Subject {
    pub plan: Digest,
    pub component: Digest,
    pub grant: Digest,
    pub settings: Digest,
}

/// Why bytes are not a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    #[error("it has {0} bytes, more than {REQUEST_MAX_BYTES}")]
    TooLarge(usize),
    #[error("its first line is not `{REQUEST_DOMAIN}`")]
    Domain,
    #[error("its second line is not the JSON of a request: {0}")]
    Json(String),
    #[error("it is spelled in another way than this tool writes it")]
    Spelling,
    #[error("the node's name is empty, longer than {NODE_MAX_BYTES} bytes or more than one line")]
    Node,
    #[error("its times are not in the order created, approve-by, execute-by")]
    Times,
}

impl Request {
    /// The expiries follow from `needs`.
    pub fn new(
        node: &str,
        task: TaskName,
        run: RunId,
        requester: Requester,
        subject: Subject,
        needs: Needs,
        now: u64,
    ) -> Result<Self, BadRequest> {
        let it = Self {
            node: node.to_owned(),
            task,
            run,
            requester,
            subject,
            created: now,
            approve_by: now.saturating_add(needs.approve_within.as_millis()),
            execute_by: now.saturating_add(needs.execute_within.as_millis()),
            needs,
        };
        it.check()?;
        Ok(it)
    }

    pub fn id(&self) -> RequestId {
        RequestId(Digest::of(&self.to_bytes()))
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        with_domain(REQUEST_DOMAIN, self)
    }

    /// Strict: only what [`Self::to_bytes`] writes is read.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadRequest> {
        if bytes.len() > REQUEST_MAX_BYTES {
            return Err(BadRequest::TooLarge(bytes.len()));
        }
        let json = without_domain(REQUEST_DOMAIN, bytes).ok_or(BadRequest::Domain)?;
        let it: Self = serde_json::from_slice(json).map_err(|e| BadRequest::Json(e.to_string()))?;
        it.check()?;
        if it.to_bytes() != bytes {
            return Err(BadRequest::Spelling);
        }
        Ok(it)
    }

    fn check(&self) -> Result<(), BadRequest> {
        let odd = self.node.contains(char::is_control);
        if self.node.is_empty() || self.node.len() > NODE_MAX_BYTES || odd {
            return Err(BadRequest::Node);
        }
        if self.created >= self.approve_by || self.approve_by > self.execute_by {
            return Err(BadRequest::Times);
        }
        let len = self.to_bytes().len();
        if len > REQUEST_MAX_BYTES {
            return Err(BadRequest::TooLarge(len));
        }
        Ok(())
    }
}

fn with_domain(domain: &str, value: &impl Serialize) -> Vec<u8> {
    let mut bytes = format!("{domain}\n").into_bytes();
    // Strings, numbers, lists and structs are all JSON has a form for.
    bytes.extend(serde_json::to_vec(value).unwrap_or_default());
    bytes.push(b'\n');
    bytes
}

fn without_domain<'a>(domain: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
    bytes.strip_prefix(domain.as_bytes())?.strip_prefix(b"\n")
}

#[cfg(test)]
pub(crate) mod tests;
