//! What the answers to a request come to, now.

use super::decision::check_times;
use super::{Answer, Decision, Refused, Request, RequestId, Subject, Voice};
use crate::policy::Who;
use crate::role::{Account, Peer, Role, Roles};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Whose keys count: approvers.toml with its accounts looked up. By key id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory(pub BTreeMap<String, Listed>);

/// One key in approvers.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// Whose key it is: by number where the node knows the user.
    pub user: Account,
    /// The user's groups; empty for somebody without an account here.
    pub gids: BTreeSet<u32>,
    /// Milliseconds since the Unix epoch.
    pub not_after: Option<u64>,
    /// Why it is trusted no longer.
    pub revoked: Option<String>,
}

/// Everything the judgement needs.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub request: &'a Request,
    /// In any order, as many as there are.
    pub decisions: &'a [Decision],
    /// What would be applied if it were now.
    pub subject: &'a Subject,
    /// A run was let through by this request already.
    pub used: bool,
    pub directory: &'a Directory,
    pub roles: &'a Roles,
    /// Milliseconds since the Unix epoch.
    pub now: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Waiting {
        have: u32,
        need: u32,
    },
    Approved,
    Denied {
        by: String,
        reason: String,
    },
    Expired(Expiry),
    /// This part of the subject is not what was approved.
    Void(&'static str),
    Used,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    ToApprove,
    ToExecute,
}

/// The state, and why each answer that does not count does not: by its place in the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub state: State,
    pub refused: Vec<(usize, Refused)>,
}

/// Denying needs less than granting: a denial can only stop what has not happened yet.
pub fn judge(case: &Case<'_>) -> Judgement {
    let id = case.request.id();
    let mut refused = vec![];
    let mut granted = BTreeSet::new();
    let mut denied: Option<(u64, String, &str)> = None;
    for (at, decision) in case.decisions.iter().enumerate() {
        match (case.weigh(id, decision), decision.answer) {
            (Err(why), _) => refused.push((at, why)),
            (Ok(standing), Answer::Deny) => {
                // The first to come in is named, whatever the order here.
                let this = (decision.received, standing.to_string(), &*decision.reason);
                denied = Some(denied.map_or(this.clone(), |first| first.min(this)));
            }
            (Ok(standing), Answer::Grant) => {
                let who = standing.to_string();
                if !granted.insert(standing.user) {
                    refused.push((at, Refused::Twice { who }));
                }
            }
        }
    }
    let need = case.request.needs.approvals.max(1);
    let have = u32::try_from(granted.len()).unwrap_or(u32::MAX);
    let state = if case.used {
        State::Used
    } else if let Some(part) = case.request.subject.differs(case.subject) {
        State::Void(part)
    } else if let Some((_, by, reason)) = denied {
        let reason = reason.to_owned();
        State::Denied { by, reason }
    } else if have < need && case.now >= case.request.approve_by {
        State::Expired(Expiry::ToApprove)
    } else if case.now >= case.request.execute_by {
        State::Expired(Expiry::ToExecute)
    } else if have < need {
        State::Waiting { have, need }
    } else {
        State::Approved
    };
    Judgement { state, refused }
}

/// Whoever answered, as this node knows them.
struct Standing {
    name: Option<String>,
    user: Account,
    peer: Option<Peer>,
}

impl Case<'_> {
    fn weigh(&self, id: RequestId, decision: &Decision) -> Result<Standing, Refused> {
        if decision.request != id {
            return Err(Refused::OtherRequest {
                found: decision.request,
            });
        }
        if decision.received > self.now {
            return Err(Refused::FutureDated {
                ahead_ms: decision.received - self.now,
            });
        }
        check_times(
            self.request,
            decision.answer,
            decision.at,
            decision.received,
        )?;
        let standing = self.standing(decision)?;
        match decision.answer {
            Answer::Deny => Ok(standing),
            Answer::Grant => self.check_grant(decision, standing),
        }
    }

    /// Somebody whose answer is heard at all: a listed key, the role, or who asked and takes it
    /// back.
    fn standing(&self, decision: &Decision) -> Result<Standing, Refused> {
        match &decision.approver {
            Voice::Key(key_id) => {
                let Some(listed) = self.directory.0.get(key_id) else {
                    let key_id = key_id.clone();
                    return Err(Refused::NotListed { key_id });
                };
                Ok(Standing {
                    name: Some(listed.name.clone()),
                    user: listed.user.clone(),
                    peer: match listed.user {
                        Account::Number(uid) => Some(Peer {
                            uid,
                            gids: listed.gids.clone(),
                        }),
                        Account::Name(_) => None,
                    },
                })
            }
            Voice::Peer(peer) => {
                let standing = Standing {
                    name: None,
                    user: Account::Number(peer.uid),
                    peer: Some(peer.clone()),
                };
                let mut lists = self.request.needs.who.iter().filter(|w| !w.is_anyone());
                let named = lists.any(|who| self.fits(who, &standing));
                let own = self.asked(&standing.user);
                if !own && !named && !self.roles.holds(peer, Role::Approver) {
                    return Err(Refused::NotApprover { uid: peer.uid });
                }
                Ok(standing)
            }
        }
    }

    /// Whether this user made the request, in person or with a key of theirs.
    fn asked(&self, user: &Account) -> bool {
        let requester = &self.request.requester;
        let key = requester.key.as_ref().and_then(|k| self.directory.0.get(k));
        requester.user.as_ref() == Some(user) || key.is_some_and(|listed| listed.user == *user)
    }

    fn check_grant(&self, decision: &Decision, standing: Standing) -> Result<Standing, Refused> {
        if self.asked(&standing.user) {
            return Err(Refused::OwnRequest);
        }
        match &decision.approver {
            Voice::Key(key_id) => {
                if self.request.requester.key.as_ref() == Some(key_id) {
                    return Err(Refused::OwnRequest);
                }
                if let Some(listed) = self.directory.0.get(key_id) {
                    listed.check(decision.received)?;
                }
            }
            Voice::Peer(_) if !self.request.needs.peer_suffices => {
                return Err(Refused::SignatureWanted);
            }
            Voice::Peer(_) => {}
        }
        let mut lists = self.request.needs.who.iter();
        if lists.all(|who| self.fits(who, &standing)) {
            return Ok(standing);
        }
        let who = standing.to_string();
        Err(Refused::NotAmong { who })
    }

    fn fits(&self, who: &Who, standing: &Standing) -> bool {
        let by_name = standing.name.as_ref().is_some_and(|n| who.keys.contains(n));
        let by_account = standing.peer.as_ref().is_some_and(|peer| {
            who.roles.iter().any(|role| self.roles.holds(peer, *role))
                || who.groups.iter().any(|group| match group {
                    Account::Number(gid) => peer.gids.contains(gid),
                    Account::Name(_) => false,
                })
        });
        who.is_anyone() || by_name || by_account || who.users.contains(&standing.user)
    }
}

impl Listed {
    /// Whether this key's grant counts. A revoked key's never does, whenever it was made: nobody
    /// knows since when it has been in other hands.
    pub fn check(&self, received: u64) -> Result<(), Refused> {
        if let Some(why) = &self.revoked {
            return Err(Refused::KeyRevoked {
                name: self.name.clone(),
                why: why.clone(),
            });
        }
        if self.not_after.is_some_and(|last| received > last) {
            return Err(Refused::KeyExpired {
                name: self.name.clone(),
            });
        }
        Ok(())
    }
}

impl Subject {
    /// The first part that is not the same.
    pub fn differs(&self, other: &Self) -> Option<&'static str> {
        let parts = [
            ("plan", self.plan == other.plan),
            ("component", self.component == other.component),
            ("grant", self.grant == other.grant),
            ("settings", self.settings == other.settings),
        ];
        let differing = parts.into_iter().find(|(_, same)| !same);
        differing.map(|(part, _)| part)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "user {}", self.user),
        }
    }
}

impl State {
    /// Nothing changes it any more: the run ends here.
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Waiting { .. } | Self::Approved => false,
            Self::Denied { .. } | Self::Expired(_) | Self::Void(_) | Self::Used => true,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { have, need } => write!(f, "waiting: {have} of {need} approvals"),
            Self::Approved => f.write_str("approved"),
            Self::Denied { by, reason } if reason.is_empty() => write!(f, "denied by {by}"),
            Self::Denied { by, reason } => {
                let reason = crate::words::printable(reason, super::REASON_MAX_BYTES);
                write!(f, "denied by {by}: {reason}")
            }
            Self::Expired(Expiry::ToApprove) => {
                f.write_str("it expired before enough people had approved it")
            }
            Self::Expired(Expiry::ToExecute) => {
                f.write_str("it was approved, and expired before it was applied")
            }
            Self::Void(part) => write!(f, "the {part} is not the one that was asked about"),
            Self::Used => f.write_str("the approval was used already, and counts for one run"),
        }
    }
}
