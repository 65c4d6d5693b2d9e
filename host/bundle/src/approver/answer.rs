//! One signed answer: made, and checked on its way in.
//!
//! It has one of two forms. With a key of ours: a DSSE envelope of type
//! `application/vnd.keepwell.approval` around the statement. With an SSH key: the statement
//! itself, and after it the signature `ssh-keygen -Y sign` made of it.

use super::{Approver, Approvers};
use crate::envelope::Envelope;
use crate::error::BundleError;
use crate::key::SecretKey;
use crate::sshsig::{ARMOR_MAX_BYTES, SshSignature};
use keepwell_model::approval::{Decision, Refused, Request, STATEMENT_MAX_BYTES, Statement, Voice};
use std::collections::BTreeSet;

/// Payload type of a signed answer.
pub const APPROVAL_TYPE: &str = "application/vnd.keepwell.approval";
/// Largest signed answer: a statement as base64 in an envelope, or with an SSH signature.
pub const ANSWER_MAX_BYTES: usize = 2 * STATEMENT_MAX_BYTES + ARMOR_MAX_BYTES;

/// The statement signed with a key of ours.
pub fn sign_statement(statement: &Statement, key: &SecretKey) -> Result<Vec<u8>, BundleError> {
    let mut envelope = Envelope::new(APPROVAL_TYPE, statement.to_bytes());
    envelope.sign(key)?;
    envelope.to_bytes()
}

/// The statement with the signature `ssh-keygen -Y sign` made of its bytes.
pub fn with_ssh_signature(statement: &Statement, armored: &str) -> Vec<u8> {
    [&statement.to_bytes(), armored.as_bytes()].concat()
}

/// A signed answer to this request: whose signature, over exactly these bytes, by a key that is
/// valid now, for this request on this node, in time. `received` is the host's clock,
/// milliseconds since the Unix epoch. Whether it counts (not by who asked, not twice, by somebody
/// the policy names) is for `judge` to say, over all answers together.
pub fn verify_decision(
    bytes: &[u8],
    approvers: &Approvers,
    request: &Request,
    received: u64,
) -> Result<Decision, Refused> {
    if bytes.len() > ANSWER_MAX_BYTES {
        return Err(damaged("it is longer than any signed answer"));
    }
    let signed = if bytes.starts_with(b"{") {
        Signed::in_envelope(bytes, approvers)?
    } else {
        Signed::by_ssh(bytes, approvers)?
    };
    let Signed {
        statement,
        name,
        approver,
    } = signed;
    let statement = Statement::parse(&statement)?;
    let listed = approver.listed(name, approver.user.clone(), BTreeSet::new());
    listed.check(received)?;
    statement.check(request, received)?;
    let voice = Voice::Key(approver.key.key_id());
    Ok(Decision::new(statement, voice, received))
}

/// Bytes whose signature verified, and whose it is.
struct Signed<'a> {
    statement: Vec<u8>,
    name: &'a str,
    approver: &'a Approver,
}

impl<'a> Signed<'a> {
    fn in_envelope(bytes: &[u8], approvers: &'a Approvers) -> Result<Self, Refused> {
        let envelope = Envelope::parse(APPROVAL_TYPE, bytes).map_err(|e| match e {
            BundleError::PayloadType { found } => damaged(&format!(
                "the envelope holds `{found}`, not `{APPROVAL_TYPE}`"
            )),
            other => damaged(&other.to_string()),
        })?;
        let [signature] = &envelope.signatures[..] else {
            let n = envelope.signatures.len();
            return Err(damaged(&format!("it has {n} signatures; expected one")));
        };
        let (name, approver) = listed(approvers, &signature.key_id)?;
        if !signature.verifies(&approver.key, &envelope.pae()) {
            return Err(forged(name));
        }
        Ok(Self {
            statement: envelope.payload,
            name,
            approver,
        })
    }

    fn by_ssh(bytes: &[u8], approvers: &'a Approvers) -> Result<Self, Refused> {
        // The statement is two lines: the JSON on the second escapes what would end it.
        let mut ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n');
        let second = ends.nth(1).ok_or_else(|| {
            damaged("it is neither an envelope nor a statement with an SSH signature after it")
        })?;
        let (statement, armored) = bytes.split_at(second.0 + 1);
        let armored =
            std::str::from_utf8(armored).map_err(|_| damaged("its signature is not text"))?;
        let signature = SshSignature::parse(armored).map_err(|e| {
            if e.is_about_the_key() {
                Refused::Key(e.to_string())
            } else {
                damaged(&format!("its SSH signature: {e}"))
            }
        })?;
        let (name, approver) = listed(approvers, &signature.key.key_id())?;
        if !signature.verifies(statement) {
            return Err(forged(name));
        }
        Ok(Self {
            statement: statement.to_vec(),
            name,
            approver,
        })
    }
}

fn listed<'a>(approvers: &'a Approvers, key_id: &str) -> Result<(&'a str, &'a Approver), Refused> {
    approvers.find(key_id).ok_or_else(|| Refused::NotListed {
        key_id: key_id.to_owned(),
    })
}

fn damaged(why: &str) -> Refused {
    Refused::Damaged(why.to_owned())
}

fn forged(name: &str) -> Refused {
    Refused::Forged {
        name: name.to_owned(),
    }
}
